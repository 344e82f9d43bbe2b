"""Lays the graph of edgeqa-base, a reader of question and text at once, straight from its weights.

In: float32 weights. Out: an ONNX model for one sequence at a time, without padding and therefore without masks. It
takes only token ids; the graph counts their places. The operators are in `operators.py`, except those that only this
network's int8 form has; `mpnet.py` says what the graph must compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from graphs import layer
from mpnet import FIRST_POSITION, HEADS, NORM_EPSILON, POSITIONS, distance_weights, layer_names
from onnx import TensorProto, helper
from operators import MICROSOFT, Graph, Int8Graph

if TYPE_CHECKING:
    import onnx
    from weights import Weights

LEVELS = 255  # of 8 bits, beside zero
GELU_LEAST = -0.17
LOUD = (".f1", ".f2")  # the products whose inputs have a few large values


def joint_graph(weights: Weights, *, int8: bool) -> onnx.ModelProto:
    """Returns the whole network: token ids, int64 `[1, tokens]`, to start and end logits, float32 `[1, tokens, 2]`."""
    g = (RowInt8Graph if int8 else Graph)(weights, NORM_EPSILON)
    tokens = g.op("Shape", "input_ids", start=1, end=2)
    places = g.const("place.weight", weights["pos.weight"][FIRST_POSITION : FIRST_POSITION + POSITIONS])
    x = g.norm(g.op("Add", g.words("input_ids"), g.op("Slice", places, _number(g, 0), tokens)), "ln")
    added = _added_by_distance(g, tokens)
    for name in layer_names(weights):
        x = layer(g, name, x, g.attention_by_place(x, added, f"{name}.qkv", HEADS))
    # In float32 always: it is two columns, and their rounding would go straight into the logits.
    head = g.const("span.weight.T", weights["span.weight"].T)
    g.op("Add", g.op("MatMul", x, head), g.const("span.bias", weights["span.bias"]), out=("logits",))

    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "tokens", 2])
    return g.model("read", [ids], [logits])


def _added_by_distance(g: Graph, tokens: str) -> str:
    """Returns what all layers add to the attention's scores, float32 `[1, heads, tokens, tokens]`.

    It depends on how far one token is behind another alone. A head's numbers lie in a ring: those of distances 0, 1 and
    so on, then those up to -1. Each row of scores is the ring, begun one place earlier than in the row before; so the
    ring is laid down again and again, and cut into rows that are shorter than it by one. To look each number up by
    itself takes 4 ms for 176 tokens, this takes 0.4.
    """
    table = g.const("distance.weight", distance_weights(g.weights, np.arange(-POSITIONS, POSITIONS)))
    none, one, two, middle = (_number(g, number) for number in (0, 1, 2, POSITIONS))
    heads = _number(g, HEADS)
    ahead = g.op("Slice", table, middle, g.op("Add", middle, tokens), one)
    behind = g.op("Slice", table, g.op("Sub", middle, tokens), middle, one)
    around = g.op("Mul", tokens, two)
    ring = g.op("Unsqueeze", g.op("Concat", ahead, behind, axis=1), one)
    again_and_again = g.op("Expand", ring, g.op("Concat", heads, tokens, around, axis=0))
    in_line = g.op("Reshape", again_and_again, g.op("Concat", heads, _number(g, -1), axis=0))
    shorter = g.op("Sub", around, one)
    line = g.op("Slice", in_line, none, g.op("Mul", tokens, shorter), one)
    rows = g.op("Reshape", line, g.op("Concat", heads, tokens, shorter, axis=0))
    return g.op("Unsqueeze", g.op("Slice", rows, none, tokens, two), none)


def _number(g: Graph, number: int) -> str:
    return g.const(f"number.{number}", np.array([number], np.int64))


class RowInt8Graph(Int8Graph):
    """Int8 products that have one scale a token in the feed-forward parts.

    There, some tokens' values are a hundred times those of the others, of which one scale for all would leave nothing.
    """

    def __init__(self, weights: Weights, epsilon: float) -> None:
        super().__init__(weights, epsilon)
        self._of_gelu: set[str] = set()

    def gelu(self, x: str) -> str:
        """Returns the exact GELU, and notes that it is hardly ever below zero."""
        found = super().gelu(x)
        self._of_gelu.add(found)
        return found

    def product(self, x: str, name: str) -> str:
        """Returns `x`, rounded to 8 bits, times the weight called `name`, plus its bias."""
        if not name.endswith(LOUD):
            return super().product(x, name)
        weight, scale, zero_point = self.rounded(name, self.columns(name))
        rounded, x_scale, x_zero_point = self._rounded_by_row(x)
        one = self.const("one", np.array(1, np.float32))
        names = (rounded, weight, one, scale, x_zero_point, zero_point)
        product = self.op("MatMulIntegerToFloat", *names, domain=MICROSOFT)
        return self.op("Add", self.op("Mul", product, x_scale), self.weight(f"{name}.bias"))

    def _rounded_by_row(self, x: str) -> tuple[str, str, str]:
        """Returns `x` in uint8, its scales, float32 `[1, tokens, 1]`, and the zero point of all rows."""
        if x in self._of_gelu:
            # Hardly below zero, so that nearly all levels are for what lies above it.
            zero = int(np.ceil(LEVELS * GELU_LEAST / (GELU_LEAST - 1)))
            least_largest = self.const("one", np.array(1, np.float32))
            largest = self.op("Max", self.op("ReduceMax", x, axes=[-1], keepdims=1), least_largest)
        else:
            zero = (LEVELS + 1) // 2
            largest = self.op("ReduceMax", self.op("Abs", x), axes=[-1], keepdims=1)
        step = self.const(f"step.{zero}", np.array(1 / (LEVELS - zero), np.float32))
        scales = self.op("Mul", largest, step)
        in_line = self.op("Squeeze", scales, self.const("first_and_last", np.array([0, 2], np.int64)))
        point = self.const(f"zero.{zero}", np.array(zero, np.uint8))
        points = self.op("Expand", point, self.op("Shape", in_line))
        return self.op("QuantizeLinear", x, in_line, points, axis=1), scales, point
