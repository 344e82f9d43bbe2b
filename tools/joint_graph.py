"""Lays the graph of edgeqa-base, a reader of question and text at once, straight from its weights.

In go float32 weights; out comes an ONNX model for one sequence at a time, without padding and therefore without masks.
It takes token ids alone: places are counted in the graph. What the operators are is in `operators.py`; what the graph
must compute is in `mpnet.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from graphs import layer
from mpnet import FIRST_POSITION, HEADS, NORM_EPSILON, POSITIONS, distance_weights, layer_names
from onnx import TensorProto, helper
from operators import Graph, Int8Graph

if TYPE_CHECKING:
    import onnx
    from weights import Weights


def joint_graph(weights: Weights, *, int8: bool) -> onnx.ModelProto:
    """Returns the whole network: token ids, int64 `[1, tokens]`, to start and end logits, float32 `[1, tokens, 2]`."""
    g = (Int8Graph if int8 else Graph)(weights, NORM_EPSILON)
    tokens = g.op("Shape", "input_ids", start=1, end=2)
    places = g.const("place.weight", weights["pos.weight"][FIRST_POSITION : FIRST_POSITION + POSITIONS])
    of_tokens = g.op("Slice", places, g.const("row", np.array([0], np.int64)), tokens)
    x = g.norm(g.op("Add", g.words("input_ids"), of_tokens), "ln")
    added = _added_by_distance(g, tokens)
    for name in layer_names(weights):
        x = layer(g, name, x, g.attention_by_place(x, added, f"{name}.qkv", HEADS), by_row=True)
    # In float32 always: it is two columns, and their rounding would go straight into the logits.
    head = g.const("span.weight.T", weights["span.weight"].T)
    g.op("Add", g.op("MatMul", x, head), g.const("span.bias", weights["span.bias"]), out=("logits",))

    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "tokens", 2])
    return g.model("read", [ids], [logits])


def _added_by_distance(g: Graph, tokens: str) -> str:
    """Returns what all layers add to the attention's scores, float32 `[1, heads, tokens, tokens]`.

    It depends on how far one token is behind another alone: a table of distances, looked up.
    """
    table = g.const("distance.weight", distance_weights(g.weights, np.arange(1 - POSITIONS, POSITIONS)))
    row, column = (g.const(name, np.array([axis], np.int64)) for axis, name in enumerate(("row", "column")))
    first, step, middle = (
        g.const(name, np.array(value, np.int64))
        for name, value in (("first", 0), ("step", 1), ("middle", POSITIONS - 1))
    )
    index = g.op("Range", first, g.op("Squeeze", tokens), step)
    distances = g.op("Sub", g.op("Unsqueeze", index, row), g.op("Unsqueeze", index, column))
    return g.op("Unsqueeze", g.op("Gather", table, g.op("Add", distances, middle), axis=1), row)
