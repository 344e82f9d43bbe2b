"""Lays the split reader's two ONNX graphs, `encode` and `read`, straight from its weights.

In: float32 weights and their sizes. Out: ONNX models for one sequence at a time, without padding and therefore without
masks. The operators are in `operators.py`; `reference.py` says what the graphs must compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper
from operators import Graph, Int8Graph
from reference import CONTEXT_POSITION

if TYPE_CHECKING:
    import onnx
    from weights import Floats, Sizes, Weights


def encode_graph(weights: Weights, sizes: Sizes, *, int8: bool) -> onnx.ModelProto:
    """Returns the lower layers: token ids and their positions, int64 `[1, tokens]`, to hidden values.

    A position tells the part: those below `CONTEXT_POSITION` are a question's, the others a context's.
    """
    g = _graph(weights, int8=int8)
    places = g.op("Gather", g.const("place.weight", _places(weights)), "position_ids")
    x = g.norm(g.op("Add", g.words("input_ids"), places), "ln")
    for name in (f"layers.{i}" for i in range(sizes.split)):
        x = layer(g, name, x, g.attention(x, f"{name}.qkv", sizes.heads))
    g.op("Identity", x, out=("hidden",))

    tokens = (1, "tokens")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in ("input_ids", "position_ids")]
    hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [*tokens, _width(weights)])
    return g.model("encode", inputs, [hidden])


def read_graph(weights: Weights, sizes: Sizes, *, int8: bool) -> onnx.ModelProto:
    """Returns the upper layers and the span head: a question and a context's int8 encoding to start and end logits.

    An answer begins and ends at few of a context's tokens, and which these may be shows one layer before the end. So
    the last layer is computed for `likely_tokens` of the context's tokens, which see all; `rows` tells which they are.
    The logits are theirs, then those of `[CLS]`.

    The upper layers know no positions, so that the context may come first: its tokens' numbers are those of the rows.
    """
    g = _graph(weights, int8=int8)
    context = g.op("DequantizeLinear", "context_hidden", "context_scale", axis=1)
    x = g.op("Concat", context, "question_hidden", axis=1)
    *whole, last = (f"layers.{i}" for i in range(sizes.split, sizes.layers))
    for name in whole:
        x = layer(g, name, x, g.attention(x, f"{name}.qkv", sizes.heads))
    # In float32 always: it is two columns, and their rounding would go straight into the logits.
    head = g.const("span.weight.T", weights["span.weight"].T)
    cls = g.op("Shape", "context_hidden", start=1, end=2)
    rows = g.op("Concat", _likely_rows(g, g.op("MatMul", x, head), cls), cls, axis=0)
    seen = g.attention_of(rows, x, f"{last}.qkv", sizes.heads)
    x = layer(g, last, g.rows(x, rows), seen)
    g.op("Add", g.op("MatMul", x, head), g.const("span.bias", weights["span.bias"]), out=("logits",))

    width, tokens = _width(weights), "context_tokens"
    inputs = [
        helper.make_tensor_value_info("question_hidden", TensorProto.FLOAT, [1, "question_tokens", width]),
        helper.make_tensor_value_info("context_hidden", TensorProto.INT8, [1, tokens, width]),
        helper.make_tensor_value_info("context_scale", TensorProto.FLOAT, [tokens]),
        helper.make_tensor_value_info("likely_tokens", TensorProto.INT64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "likely_and_cls_tokens", 2]),
        helper.make_tensor_value_info("rows", TensorProto.INT64, ["likely_tokens"]),
    ]
    return g.model("read", inputs, outputs)


def _likely_rows(g: Graph, early_logits: str, cls: str) -> str:
    """Returns the context's rows with the highest logits, `likely_tokens` of them; its separator is none."""
    likelihood = g.op("ReduceMax", early_logits, axes=[0, 2], keepdims=0)
    separator = g.op("Sub", cls, g.const("one", np.array([1], np.int64)))
    of_context = g.op("Slice", likelihood, g.const("zero", np.array([0], np.int64)), separator)
    highest, rows = "highest", "rows"
    g.op("TopK", of_context, "likely_tokens", out=(highest, rows), axis=0, sorted=0)
    return rows


def layer(g: Graph, name: str, x: str, seen: str) -> str:
    """Returns one post-norm BERT layer's output, of its input and of what its attention saw."""
    # Addition and norm stay apart: SkipLayerNormalization, which is both, takes six times as long on a CPU.
    x = g.norm(g.op("Add", g.product(seen, f"{name}.o"), x), f"{name}.ln1")
    inner = g.gelu(g.product(x, f"{name}.f1"))
    return g.norm(g.op("Add", g.product(inner, f"{name}.f2"), x), f"{name}.ln2")


def _places(weights: Weights) -> Floats:
    """Returns what is added to a word at each position: the embeddings of the position and of its part's type."""
    types = (np.arange(len(weights["pos.weight"])) >= CONTEXT_POSITION).astype(np.int64)
    return weights["pos.weight"] + weights["typ.weight"][types]


def _graph(weights: Weights, *, int8: bool) -> Graph:
    return Int8Graph(weights) if int8 else Graph(weights)


def _width(weights: Weights) -> int:
    return weights["ln.weight"].size
