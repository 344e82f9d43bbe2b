"""Puts ONNX operators and weights together into a graph, in float32 or with int8 products.

In: names of values, and float32 weights. Out: names of new values, and at last the model. Each operation that depends
on the precision is a method here: products, attention, the table of words. `graphs.py` decides on the order of the
layers, and `quantize.py` rounds the weights.

The operators are onnxruntime's own fused ones (com.microsoft: Attention, QAttention, DynamicQuantizeMatMul, Gelu), so
that nothing has to be recognised and fused when a session starts on a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from quantize import by_column, by_row
from reference import NORM_EPSILON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from weights import Floats, Weights

MICROSOFT = "com.microsoft"
OPSET, MICROSOFT_OPSET, IR_VERSION = 17, 1, 9


class Graph:
    """A graph in the making, with float32 products. Adding to it returns the name to refer to what was added by."""

    def __init__(self, weights: Weights, epsilon: float = NORM_EPSILON) -> None:
        self.weights = weights
        self._epsilon = epsilon  # what is added to a variance
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def const(self, name: str, value: NDArray[Any]) -> str:
        """Adds a value that is not computed; once, however often it is asked for."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def op(self, kind: str, *inputs: str, out: tuple[str, ...] = (), domain: str = "", **attributes: object) -> str:
        """Adds an operator, and returns the name of its first output."""
        name = f"{kind}_{len(self._nodes)}"
        outputs = out or (f"{name}_out",)
        node = helper.make_node(kind, inputs, outputs, name=name, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self._nodes.append(node)
        return outputs[0]

    def words(self, ids: str) -> str:
        """Returns the word embeddings of token ids, float32."""
        return self.op("Gather", self.weight("word.weight"), ids)

    def product(self, x: str, name: str) -> str:
        """Returns `x` times the weight called `name`, plus its bias."""
        weight = self.const(f"{name}.weight.T", self.columns(name))
        return self.op("Add", self.op("MatMul", x, weight), self.weight(f"{name}.bias"))

    def rows(self, x: str, rows: str) -> str:
        """Returns these rows of `x`."""
        return self.op("Gather", x, rows, axis=1)

    def attention(self, x: str, name: str, heads: int) -> str:
        """Returns what the heads see of `x`: the products called `name`, and the attention among all tokens."""
        weight, bias = self.const(f"{name}.weight.T", self.columns(name)), self.weight(f"{name}.bias")
        return self.op("Attention", x, weight, bias, domain=MICROSOFT, num_heads=heads)

    def attention_of(self, rows: str, x: str, name: str, heads: int) -> str:
        """Returns the same for these rows of `x` alone; what they see are all rows."""
        parts = self._queries_keys_values(rows, x, name)
        return self.op("MultiHeadAttention", *parts, domain=MICROSOFT, num_heads=heads)

    def attention_by_place(self, x: str, added: str, name: str, heads: int) -> str:
        """Returns the same for all rows, with `added` to the scores: float32 `[1, heads, tokens, tokens]`."""
        parts = self._queries_keys_values("", x, name)
        no_bias = no_mask = ""  # biases are in the products
        names = (*parts, no_bias, no_mask, added)
        return self.op("MultiHeadAttention", *names, domain=MICROSOFT, num_heads=heads)

    def gelu(self, x: str) -> str:
        """Returns the exact GELU, not its tanh approximation."""
        return self.op("Gelu", x, domain=MICROSOFT)

    def norm(self, x: str, name: str) -> str:
        """Returns `x` normalised token by token, with the scale and bias called `name`."""
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=self._epsilon)

    def model(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """Returns the finished model."""
        graph = helper.make_graph(self._nodes, name, inputs, outputs, initializer=list(self._initializers.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, MICROSOFT_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)

    def _queries_keys_values(self, rows: str, x: str, name: str) -> list[str]:
        return [
            self.op(
                "Add", self.op("MatMul", of, self.const(f"{part}.weight.T", columns)), self.const(f"{part}.bias", bias)
            )
            for of, (part, columns, bias) in zip(
                (self.rows(x, rows) if rows else x, x, x), self._thirds(name), strict=True
            )
        ]

    def _thirds(self, name: str) -> Iterator[tuple[str, Floats, Floats]]:
        """Yields name, weight and bias of the products that make queries, keys and values."""
        weights, biases = (np.split(part, 3, axis=-1) for part in (self.columns(name), self.weights[f"{name}.bias"]))
        for letter, columns, bias in zip("qkv", weights, biases, strict=True):
            yield f"{name}.{letter}", columns, bias

    def weight(self, name: str) -> str:
        """Returns the weight called `name`, float32."""
        return self.const(name, self.weights[name])

    def columns(self, name: str) -> Floats:
        """Returns the weight called `name` as products take it."""
        return self.weights[f"{name}.weight"].T


class Int8Graph(Graph):
    """The same with int8 products: weights with one scale a column, activations scaled as they come, tensor by tensor.

    The zero points of the weights are written out though they are all 0: without them onnxruntime 1.25 aborts where
    it is asked for exact products (`session.x64quantprecision`).
    """

    def words(self, ids: str) -> str:
        """Returns the word embeddings, from a table of int8 with one scale a row: half of all weights."""
        rounded, scale = by_row(self.weights["word.weight"])
        rows = self.op("Cast", self.op("Gather", self.const("word.int8", rounded), ids), to=TensorProto.FLOAT)
        return self.op("Mul", rows, self.op("Gather", self.const("word.scale", scale), ids))

    def product(self, x: str, name: str) -> str:
        """Returns `x`, rounded to 8 bits, times the weight called `name`, plus its bias."""
        weight, scale, zero_point = self.rounded(name, self.columns(name))
        names = (x, weight, scale, zero_point, self.weight(f"{name}.bias"))
        return self.op("DynamicQuantizeMatMul", *names, domain=MICROSOFT)

    def attention(self, x: str, name: str, heads: int) -> str:
        """Returns what the heads see of `x`, which is rounded to 8 bits; the attention itself is in float32."""
        weight, scale, zero_point = self.rounded(name, self.columns(name))
        rounded, x_scale, x_zero_point = self._rounded_as_it_comes(x, name)
        no_mask = ""
        names = (rounded, weight, self.weight(f"{name}.bias"), x_scale, scale, no_mask, x_zero_point, zero_point)
        return self.op("QAttention", *names, domain=MICROSOFT, num_heads=heads)

    def _queries_keys_values(self, rows: str, x: str, name: str) -> list[str]:
        rounded, x_scale, x_zero_point = self._rounded_as_it_comes(x, name)
        parts = []
        of_rows = self.rows(rounded, rows) if rows else rounded
        for of, (part, columns, bias) in zip((of_rows, rounded, rounded), self._thirds(name), strict=True):
            weight, scale, zero_point = self.rounded(part, columns)
            names = (of, weight, x_scale, scale, x_zero_point, zero_point, self.const(f"{part}.bias", bias))
            parts.append(self.op("MatMulIntegerToFloat", *names, domain=MICROSOFT))
        return parts

    def _rounded_as_it_comes(self, x: str, name: str) -> tuple[str, str, str]:
        names = (f"{name}.x", f"{name}.x.scale", f"{name}.x.zero_point")
        self.op("DynamicQuantizeLinear", x, out=names)
        return names

    def rounded(self, name: str, columns: Floats) -> tuple[str, str, str]:
        """Returns a weight in int8, its scales and its zero points, one a column."""
        rounded, scale = by_column(columns)
        return (
            self.const(f"{name}.weight.T.int8", rounded),
            self.const(f"{name}.weight.T.scale", scale),
            self.const(f"{name}.weight.T.zero_point", np.zeros(len(scale), np.int8)),
        )
