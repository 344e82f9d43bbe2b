"""Graphs in plain operators: a graph of onnxruntime's int8 operators in, the same in float32 or float16 out.

Accelerators know only ONNX's plain operators. `DynamicQuantizeMatMul`, `QAttention` and their like run on the CPU
alone; any other provider hands them back. So weights are multiplied out here, products become `MatMul` and `Add`,
attention becomes the steps that it is made of, and values between operators are not rounded to 8 bits any more. Tables
that ids are looked up in stay in int8, because a look-up takes little time. Nothing is read or written here, and the
code is the same for every network.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edgeqa.errors import GraphNotPlain
from edgeqa.models.exports.graph import FLOAT16, FLOAT32
from edgeqa.models.onnx_file import Graph, Node, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgeqa.models.onnx_file import Attribute

    Array = NDArray[Any]

MICROSOFT = "com.microsoft"
OURS = "plain:"  # names that are made here begin so, to differ from the graph's own names
ELEMENTS = {"float32": FLOAT32, "float16": FLOAT16}
# These operators make numbers of a type that is set elsewhere; in float16, that would have to change, too.
MAKES_NUMBERS = {"Constant", "ConstantOfShape", "EyeLike", "RandomNormal", "RandomUniform", "Range", "Resize"}


def floating(graph: Graph, precision: str) -> Graph:
    """Returns the graph in plain operators.

    Args:
        graph: of any of edgeqa's bundles, or an export's.
        precision: "float32" or "float16". What goes in and comes out stays as it is.

    Raises:
        GraphNotPlain: naming what cannot be made so.
    """
    return _Rewriter(graph, precision).made()


class _Rewriter:
    def __init__(self, graph: Graph, precision: str) -> None:
        self._graph, self._precision = graph, precision
        self._dtype = np.dtype(precision)
        self._nodes: list[Node] = []
        self._tensors: dict[str, Tensor] = {}
        self._names: dict[str, str] = {}
        """New names of the graph's values, where they have others here."""
        self._widths: dict[str, int] = {}
        """Columns of the products' results."""
        self._rules: dict[str, Callable[[Node], None]] = {
            "Attention": self._attention,
            "Cast": self._cast,
            "DequantizeLinear": self._dequantize,
            "DynamicQuantizeLinear": self._dynamic_quantize,
            "DynamicQuantizeMatMul": self._dynamic_product,
            "Gelu": self._gelu,
            "MatMulInteger": self._integer_product,
            "MatMulIntegerToFloat": self._scaled_product,
            "MultiHeadAttention": self._heads,
            "QAttention": self._quantized_attention,
            "QuantizeLinear": self._quantize,
        }

    def made(self) -> Graph:
        """Returns the graph."""
        halves = self._precision == "float16"
        for value in self._graph.inputs if halves else ():
            if value.element == FLOAT32:
                self._names[value.name] = self._op("Cast", value.name, to=FLOAT16)
        for node in self._graph.nodes:
            if node.holds_graphs or (halves and node.kind in MAKES_NUMBERS):
                raise GraphNotPlain(
                    node.kind, "it holds graphs" if node.holds_graphs else "it makes numbers of a type of its own"
                )
            if (rule := self._rules.get(node.kind)) is not None:
                rule(node)
            elif node.domain not in ("", "ai.onnx"):
                raise GraphNotPlain(node.kind, f"it is of {node.domain}")
            else:
                self._taken_over(node)
        for value in self._graph.outputs:
            found = self._value(value.name)
            if halves and value.element == FLOAT32:
                self._renamed(value.name, f"{OURS}{value.name}")
                self._op("Cast", f"{OURS}{value.name}", out=value.name, to=FLOAT32)
            elif found != value.name:
                self._op("Identity", found, out=value.name)
        opsets = {domain: version for domain, version in self._graph.opsets.items() if domain != MICROSOFT}
        return replace(self._graph, nodes=self._nodes, tensors=self._tensors, opsets=opsets)

    # --- what rules are made of ---

    def _taken_over(self, node: Node) -> None:
        inputs = [self._value(name) for name in node.inputs]
        self._nodes.append(Node(node.kind, inputs, list(node.outputs), attributes=dict(node.attributes)))
        if node.kind == "MatMul" and (weight := self._graph.tensors.get(node.inputs[1])) is not None:
            self._widths[node.outputs[0]] = weight.dimensions[-1]
        elif node.kind == "Add" and (widths := [self._widths[name] for name in inputs if name in self._widths]):
            self._widths[node.outputs[0]] = widths[0]

    def _op(self, kind: str, *inputs: str, out: str = "", **told: Attribute) -> str:
        out = out or f"{OURS}{kind}.{len(self._nodes)}"
        self._nodes.append(Node(kind, [*inputs], [out], attributes=told))
        return out

    def _value(self, name: str) -> str:
        """Returns the new graph's name of a value of the old one; a tensor is taken over when it is first asked for."""
        if name in self._names:
            return self._names[name]
        if (tensor := self._graph.tensors.get(name)) is not None and name not in self._tensors:
            in_float = tensor.element == FLOAT32 and self._precision == "float16"
            self._tensors[name] = Tensor.of(name, tensor.array().astype(self._dtype)) if in_float else tensor
        return name

    def _renamed(self, name: str, to: str) -> None:
        """Calls a value otherwise where it is made, and wherever it is used."""
        for node in self._nodes:
            node.outputs[:] = [to if one == name else one for one in node.outputs]
            node.inputs[:] = [to if one == name else one for one in node.inputs]

    def _numbers(self, called: str, numbers: Array) -> str:
        """Adds numbers that are not computed, in the graph's precision."""
        return self._tensor(called, numbers.astype(self._dtype))

    def _whole(self, called: str, *numbers: int) -> str:
        return self._tensor(called, np.array(numbers, np.int64))

    def _tensor(self, called: str, array: Array) -> str:
        name = f"{OURS}{called}"
        self._tensors[name] = Tensor.of(name, array)
        return name

    def _array(self, name: str) -> Array:
        """Returns the numbers of a tensor of the old graph."""
        if (tensor := self._graph.tensors.get(name)) is None:
            raise GraphNotPlain(name, "it is computed, where weights, scales and biases are given")
        return tensor.array()

    def _weight(self, name: str, scale: str, zero_point: str) -> Array:
        """Returns a weight, multiplied out."""
        steps = self._array(name).astype(np.float32)
        if zero_point:
            steps = steps - self._array(zero_point).astype(np.float32)
        return steps * self._array(scale) if scale else steps

    def _product(self, x: str, name: str, weight: Array, bias: Array | None, out: str = "") -> str:
        """Adds `x` times a weight, plus a bias."""
        plain = self._numbers(name, weight)
        if bias is None:
            made = self._op("MatMul", x, plain, out=out)
        else:
            made = self._op("Add", self._op("MatMul", x, plain), self._numbers(f"{name}.bias", bias), out=out)
        self._widths[made] = weight.shape[-1]
        return made

    def _attended(self, parts: list[str], heads: int, scale: float, added: str, out: str) -> None:
        """Adds the attention of `heads` heads, of queries, keys and values."""
        if (width := self._widths.get(parts[0])) is None:
            raise GraphNotPlain(parts[0], "attention is of it, and it is no product")
        apart = self._whole(f"heads.{heads}", 0, 0, heads, -1)
        q, k, v = (self._op("Reshape", part, apart) for part in parts)
        q, v = (self._op("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
        k = self._op("Transpose", k, perm=[0, 2, 3, 1])
        factor = self._numbers(f"scale.{heads}.{width}", np.array(scale or 1 / sqrt(width // heads)))
        scores = self._op("MatMul", self._op("Mul", q, factor), k)
        if added:
            scores = self._op("Add", scores, added)
        seen = self._op("Transpose", self._op("MatMul", self._op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        self._op("Reshape", seen, self._whole("together", 0, 0, -1), out=out)

    # --- one rule an operator ---

    def _dynamic_quantize(self, node: Node) -> None:
        # Nothing is rounded any more: a value that was divided by a scale and multiplied by it again has the scale 1.
        steps, scale, *_ = node.outputs
        self._names[steps] = self._value(node.inputs[0])
        self._names[scale] = self._numbers("one", np.array(1))

    def _quantize(self, node: Node) -> None:
        x, scale = (self._value(name) for name in node.inputs[:2])
        tensor = self._graph.tensors.get(node.inputs[1])
        if tensor is None or tensor.dimensions not in ((), (1,)):
            if node.attributes.get("axis", 1) != 1:
                raise GraphNotPlain(node.kind, "its axis is another one than that of tokens")
            scale = self._op("Unsqueeze", scale, self._whole("last", -1))
        self._names[node.outputs[0]] = self._op("Div", x, scale)

    def _dequantize(self, node: Node) -> None:
        if len(node.inputs) > 2 or node.attributes.get("axis", 1) != 1 or node.inputs[0] in self._graph.tensors:
            raise GraphNotPlain(node.kind, "it is of other than a context's encoding")
        steps = self._op("Cast", self._value(node.inputs[0]), to=ELEMENTS[self._precision])
        scale = self._op("Unsqueeze", self._value(node.inputs[1]), self._whole("last", -1))
        self._op("Mul", steps, scale, out=node.outputs[0])

    def _cast(self, node: Node) -> None:
        to = node.attributes["to"]
        self._op(
            "Cast",
            self._value(node.inputs[0]),
            out=node.outputs[0],
            to=ELEMENTS[self._precision] if to == FLOAT32 else to,
        )

    def _dynamic_product(self, node: Node) -> None:
        x, weight, scale, zero_point, bias = (*node.inputs, "", "")[:5]
        of_bias = self._array(bias) if bias else None
        self._product(self._value(x), weight, self._weight(weight, scale, zero_point), of_bias, node.outputs[0])

    def _integer_product(self, node: Node) -> None:
        x, weight, _, zero_point = (*node.inputs, "", "")[:4]
        self._product(self._value(x), weight, self._weight(weight, "", zero_point), None, node.outputs[0])

    def _scaled_product(self, node: Node) -> None:
        x, weight, x_scale, scale, _, zero_point, bias = (*node.inputs, "", "", "")[:7]
        steps, of_bias = self._weight(weight, scale, zero_point), self._array(bias) if bias else None
        if x_scale in self._graph.tensors:
            steps = steps * self._array(x_scale)
        self._product(self._value(x), weight, steps, of_bias, node.outputs[0])

    def _quantized_attention(self, node: Node) -> None:
        x, weight, bias, _, scale, mask, _, zero_point, past = (*node.inputs, "", "", "", "")[:9]
        self._attention_of(node, x, (weight, self._weight(weight, scale, zero_point)), bias, (mask, past))

    def _attention(self, node: Node) -> None:
        x, weight, bias, *others = node.inputs
        self._attention_of(node, x, (weight, self._array(weight)), bias, tuple(others))

    def _attention_of(self, node: Node, x: str, weight: tuple[str, Array], bias: str, others: tuple[str, ...]) -> None:
        told = node.attributes
        if any(others) or told.get("unidirectional") or "qkv_hidden_sizes" in told or len(node.outputs) > 1:
            raise GraphNotPlain(node.kind, "it has a mask, or what was seen before")
        name, columns = weight
        thirds = zip("qkv", np.split(columns, 3, axis=-1), np.split(self._array(bias), 3), strict=True)
        parts = [self._product(self._value(x), f"{name}.{letter}", part, of) for letter, part, of in thirds]
        self._attended(parts, *_told(node), "", node.outputs[0])

    def _heads(self, node: Node) -> None:
        q, k, v, bias, mask, added, *others = (*node.inputs, "", "", "")
        if (
            not (q and k and v)
            or bias
            or mask
            or any(others)
            or node.attributes.get("unidirectional")
            or len(node.outputs) > 1
        ):
            raise GraphNotPlain(node.kind, "it has a mask, a bias, or what was seen before")
        parts = [self._value(name) for name in (q, k, v)]
        self._attended(parts, *_told(node), self._value(added) if added else "", node.outputs[0])

    def _gelu(self, node: Node) -> None:
        if node.attributes:
            raise GraphNotPlain(node.kind, "it is an approximation")
        x = self._value(node.inputs[0])
        part = self._op("Erf", self._op("Div", x, self._numbers("root", np.array(sqrt(2)))))
        more = self._op("Add", part, self._numbers("one", np.array(1)))
        self._op("Mul", self._op("Mul", x, self._numbers("half", np.array(0.5))), more, out=node.outputs[0])


def _told(node: Node) -> tuple[int, float]:
    """Returns the number of heads, and what scores are multiplied by; 0 for the usual."""
    heads, scale = node.attributes["num_heads"], node.attributes.get("scale", 0.0)
    return cast("int", heads), cast("float", scale)
