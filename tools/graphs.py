"""Lays the split reader's two ONNX graphs, `encode` and `read`, straight from its weights.

In go float32 weights and their sizes; out come ONNX models. They are laid by hand from onnxruntime's fused operators
(MultiHeadAttention, SkipLayerNormalization, BiasGelu), so that nothing has to be recognised and fused when a session
starts on a device. Matrix products stay float32 here: making them int8 is `quantize.py`'s job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from reference import NORM_EPSILON

if TYPE_CHECKING:
    from weights import Sizes, Weights

MICROSOFT = "com.microsoft"
OPSET, MICROSOFT_OPSET, IR_VERSION = 17, 1, 9
SPAN_WEIGHT = "span.weight.T"
ENCODE_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


class _Graph:
    """Collects nodes and initializers; adding one returns the name to refer to it by."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def const(self, name: str, value: np.ndarray[Any, Any]) -> str:
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def op(self, kind: str, *inputs: str, out: tuple[str, ...] = (), domain: str = "", **attributes: object) -> str:
        name = f"{kind}_{len(self._nodes)}"
        outputs = out or (f"{name}_out",)
        node = helper.make_node(kind, inputs, outputs, name=name, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self._nodes.append(node)
        return outputs[0]

    def skip_norm(self, x: str, skipped: str, weight: str, bias: str, x_bias: str) -> str:
        names = (x, skipped, weight, bias, x_bias)
        return self.op("SkipLayerNormalization", *names, domain=MICROSOFT, epsilon=NORM_EPSILON)

    def model(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, name, inputs, outputs, initializer=list(self._initializers.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, MICROSOFT_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def encode_graph(weights: Weights, sizes: Sizes, *, int8_words: bool = False) -> onnx.ModelProto:
    """Returns the lower layers: token ids to hidden values.

    With `int8_words` the word embeddings, half of all weights, are int8 with one scale a row.
    """
    g = _Graph()
    words = _int8_words(g, weights) if int8_words else _rows(g, weights, "word.weight", "input_ids")
    x = g.op("Add", words, _rows(g, weights, "pos.weight", "position_ids"))
    x = g.op("Add", x, _rows(g, weights, "typ.weight", "token_type_ids"))
    scale, bias = g.const("ln.weight", weights["ln.weight"]), g.const("ln.bias", weights["ln.bias"])
    x = g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=NORM_EPSILON)
    mask = g.op("Cast", "attention_mask", to=TensorProto.INT32)
    for i in range(sizes.split):
        x = _layer(g, weights, f"layers.{i}.", x, mask, sizes.heads)
    g.op("Identity", x, out=("hidden",))

    tokens = ["batch", "tokens"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in ENCODE_INPUTS]
    hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [*tokens, _width(weights)])
    return g.model("encode", inputs, [hidden])


def read_graph(weights: Weights, sizes: Sizes) -> onnx.ModelProto:
    """Returns the upper layers and the span head: one question against a batch of int8 context encodings."""
    g = _Graph()
    zero, one, two = (g.const(f"axis{i}", np.array([i], np.int64)) for i in range(3))
    batch = g.op("Slice", g.op("Shape", "context_hidden"), zero, one)
    question_tokens = g.op("Slice", g.op("Shape", "question_hidden"), one, two)
    context = g.op("Mul", g.op("Cast", "context_hidden", to=TensorProto.FLOAT), "context_scale")
    repeats = g.op("Concat", batch, g.const("ones", np.ones(2, np.int64)), axis=0)
    x = g.op("Concat", g.op("Expand", "question_hidden", repeats), context, axis=1)
    question_shape = g.op("Concat", batch, question_tokens, axis=0)
    valid = helper.make_tensor("one", TensorProto.INT32, [1], [1])
    question_mask = g.op("ConstantOfShape", question_shape, value=valid)
    mask = g.op("Concat", question_mask, g.op("Cast", "context_mask", to=TensorProto.INT32), axis=1)
    for i in range(sizes.split, sizes.layers):
        x = _layer(g, weights, f"layers.{i}.", x, mask, sizes.heads)
    product = g.op("MatMul", x, g.const(SPAN_WEIGHT, weights["span.weight"].T))
    g.op("Add", product, g.const("span.bias", weights["span.bias"]), out=("logits",))

    width, tokens = _width(weights), ["batch", "context_tokens"]
    inputs = [
        helper.make_tensor_value_info("question_hidden", TensorProto.FLOAT, [1, "question_tokens", width]),
        helper.make_tensor_value_info("context_hidden", TensorProto.INT8, [*tokens, width]),
        helper.make_tensor_value_info("context_scale", TensorProto.FLOAT, [*tokens, 1]),
        helper.make_tensor_value_info("context_mask", TensorProto.INT64, tokens),
    ]
    return g.model("read", inputs, [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "tokens", 2])])


def _layer(g: _Graph, weights: Weights, prefix: str, x: str, mask: str, heads: int) -> str:
    def const(name: str) -> str:
        return g.const(prefix + name, weights[prefix + name])

    def product(x: str, name: str) -> str:
        return g.op("MatMul", x, g.const(f"{prefix}{name}.weight.T", weights[f"{prefix}{name}.weight"].T))

    q, k, v = (prefix + name for name in "qkv")
    thirds = g.const("qkv_sizes", np.full(3, _width(weights), np.int64))
    g.op("Split", product(x, "qkv"), thirds, out=(q, k, v), axis=-1)
    attended = g.op("MultiHeadAttention", q, k, v, const("qkv.bias"), mask, domain=MICROSOFT, num_heads=heads)
    x = g.skip_norm(product(attended, "o"), x, const("ln1.weight"), const("ln1.bias"), const("o.bias"))
    inner = g.op("BiasGelu", product(x, "f1"), const("f1.bias"), domain=MICROSOFT)
    return g.skip_norm(product(inner, "f2"), x, const("ln2.weight"), const("ln2.bias"), const("f2.bias"))


def _rows(g: _Graph, weights: Weights, table: str, index: str) -> str:
    return g.op("Gather", g.const(table, weights[table]), index)


def _int8_words(g: _Graph, weights: Weights) -> str:
    table = weights["word.weight"]
    scale = (np.abs(table).max(1, keepdims=True) / 127).astype(np.float32)
    rows = g.op("Gather", g.const("word.int8", np.rint(table / scale).astype(np.int8)), "input_ids")
    floats = g.op("Cast", rows, to=TensorProto.FLOAT)
    return g.op("Mul", floats, g.op("Gather", g.const("word.scale", scale), "input_ids"))


def _width(weights: Weights) -> int:
    return weights["ln.weight"].size
