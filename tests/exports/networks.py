"""Makes small ONNX graphs as the usual exporters lay them: of plain operators, unfused, with dynamic axes.

`bert` is a real encoder with weights given or drawn from a seed; `lookup` gives each token the logits of its id, so
that a test can say what the answer is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Weight = np.ndarray[Any, Any]
    Weights = Mapping[str, Weight]

OPSET, IR_VERSION = 17, 9
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
CONTEXT_POSITION = 64  # of a split reader


@dataclass
class Shape:
    """What a graph takes and gives."""

    inputs: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids")
    outputs: Sequence[str] = ("start_logits", "end_logits")
    """Two, or one for both."""
    element: int = TensorProto.INT64
    """Of token ids."""
    first_position: int = 0
    """Where positions begin, where the graph counts them itself."""
    axes: Sequence[str | int] = ("batch", "tokens")


class Graph:
    """Collects nodes and initializers; each operator returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}

    def const(self, name: str, value: object, dtype: type = np.float32) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype)), name)
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:  # noqa: ANN401 - onnx's own
        name = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"node_{len(self.nodes)}", **attributes))
        return name

    def split(self, x: str, axis: int, parts: int) -> list[str]:
        names = [f"{x}_{part}" for part in range(parts)]
        self.nodes.append(helper.make_node("Split", [x], names, axis=axis))
        return names

    def model(self, shape: Shape, **options: Any) -> ModelProto:  # noqa: ANN401 - onnx's own
        inputs = [helper.make_tensor_value_info(name, shape.element, list(shape.axes)) for name in shape.inputs]
        dims = list(shape.axes) if len(shape.outputs) == 2 else [*shape.axes, 2]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in shape.outputs]
        graph = helper.make_graph(self.nodes, "main", inputs, outputs, initializer=list(self.initializers.values()))
        settings = {"opset_imports": [helper.make_opsetid("", OPSET)], "ir_version": IR_VERSION, **options}
        return helper.make_model(graph, **settings)


@dataclass
class Sizes:
    """Of a `bert`."""

    vocabulary: int
    width: int = 16
    layers: int = 2
    heads: int = 2
    positions: int = 512
    apart: int = 0
    """So many lower layers see question and context apart, as those of a split reader do."""
    inner: int = field(init=False)

    def __post_init__(self) -> None:
        self.inner = 4 * self.width


def random_weights(sizes: Sizes, seed: int = 1, spread: float = 0.4) -> dict[str, np.ndarray[Any, Any]]:
    """Returns weights in the naming of the bundled network's."""
    drawn = np.random.default_rng(seed)
    w, i = sizes.width, sizes.inner
    shapes: dict[str, tuple[int, ...]] = {
        "word.weight": (sizes.vocabulary, w),
        "pos.weight": (sizes.positions, w),
        "typ.weight": (2, w),
        "ln.bias": (w,),
        "span.weight": (2, w),
        "span.bias": (2,),
    }
    for layer in range(sizes.layers):
        p = f"layers.{layer}."
        shapes |= {f"{p}qkv.weight": (3 * w, w), f"{p}qkv.bias": (3 * w,), f"{p}o.weight": (w, w), f"{p}o.bias": (w,)}
        shapes |= {f"{p}f1.weight": (i, w), f"{p}f1.bias": (i,), f"{p}f2.weight": (w, i), f"{p}f2.bias": (w,)}
        shapes |= {f"{p}ln1.bias": (w,), f"{p}ln2.bias": (w,)}
    weights = {name: drawn.normal(0, spread, shape).astype(np.float32) for name, shape in shapes.items()}
    ones = ["ln.weight", *(f"layers.{n}.ln{k}.weight" for n in range(sizes.layers) for k in (1, 2))]
    return weights | {name: np.ones(w, np.float32) for name in ones}


def bert(sizes: Sizes, weights: Weights, shape: Shape | None = None, table: Weight | None = None) -> ModelProto:
    """Returns an encoder with a span head; to its logits those of each token's id in `table` are added."""
    shape = shape or Shape()
    g = Graph()
    ids = g.op("Cast", "input_ids", to=TensorProto.INT64) if shape.element != TensorProto.INT64 else "input_ids"
    x = g.op("Gather", g.const("embeddings.word", weights["word.weight"]), ids)
    if "token_type_ids" in shape.inputs:
        x = g.op("Add", x, g.op("Gather", g.const("typ", weights["typ.weight"]), "token_type_ids"))
    positions = _positions(g, ids, shape, sizes)
    x = g.op("Add", x, g.op("Gather", g.const("pos", weights["pos.weight"]), positions))
    x = _norm(g, x, weights, "ln")
    masks = _masks(g, sizes)
    for layer in range(sizes.layers):
        x = _layer(g, x, weights, layer, sizes, masks[layer < sizes.apart])
    logits = _linear(g, x, weights, "span")
    if table is not None:
        logits = g.op("Add", logits, g.op("Gather", g.const("table", table), ids))
    if len(shape.outputs) == 1:
        g.op("Identity", logits, out=shape.outputs[0])
    if len(shape.outputs) == 2:
        for part, name in zip(g.split(logits, 2, 2), shape.outputs, strict=True):
            g.op("Squeeze", part, g.const("last", [-1], np.int64), out=name)
    return g.model(shape)


def lookup(logits: np.ndarray[Any, Any], shape: Shape | None = None, positions: int = 512) -> ModelProto:
    """Returns a graph that gives each token the logits [vocabulary, 2] of its id."""
    shape = shape or Shape()
    g = Graph()
    x = g.op("Gather", g.const("table", logits), "input_ids")
    nothing = g.op("Gather", g.const("pos", np.zeros((positions, 2))), _positions(g, "input_ids", shape, Sizes(1)))
    used = [n for n in shape.inputs if n not in ("input_ids", "position_ids")]
    x = g.op("Add", x, nothing, out=shape.outputs[0] if len(shape.outputs) == 1 else "")
    for name in used:  # the graph has to have what it declares
        g.op("Identity", name)
    if len(shape.outputs) == 2:
        for part, name in zip(g.split(x, 2, 2), shape.outputs, strict=True):
            g.op("Squeeze", part, g.const("last", [-1], np.int64), out=name)
    return g.model(shape)


def _positions(g: Graph, ids: str, shape: Shape, sizes: Sizes) -> str:
    if "position_ids" in shape.inputs:
        return "position_ids"
    ones = g.op("Add", g.op("Mul", ids, g.const("zero", 0, np.int64)), g.const("one", 1, np.int64))
    counted = g.op("CumSum", ones, g.const("axis", 1, np.int64))
    index = g.op("Add", counted, g.const("first", shape.first_position - 1, np.int64))
    if not sizes.apart:
        return index
    # A context's positions begin at CONTEXT_POSITION, however long the question.
    types = "token_type_ids"
    of_question = g.op("Sub", ones, types)
    question_tokens = g.op("ReduceSum", of_question, g.const("axes", [1], np.int64), keepdims=1)
    shift = g.op("Sub", g.const("context_position", CONTEXT_POSITION, np.int64), question_tokens)
    shifted = g.op("Add", index, g.op("Mul", shift, types))
    return g.op("Min", shifted, g.const("last_position", sizes.positions - 1, np.int64))


def _masks(g: Graph, sizes: Sizes) -> tuple[str, str]:
    """Returns what is added to attention scores where all is seen, and where question and context are apart."""
    axes = g.const("mask_axes", [1, 2], np.int64)
    there = g.op("Cast", g.op("Unsqueeze", "attention_mask", axes), to=TensorProto.FLOAT)
    hidden = g.op("Mul", g.op("Sub", g.const("onef", 1.0), there), g.const("masked", -1e4))
    if not sizes.apart:
        return hidden, hidden
    rows = g.op("Unsqueeze", "token_type_ids", g.const("row_axes", [1, 3], np.int64))
    columns = g.op("Unsqueeze", "token_type_ids", axes)
    other = g.op("Cast", g.op("Not", g.op("Equal", rows, columns)), to=TensorProto.FLOAT)
    return hidden, g.op("Add", hidden, g.op("Mul", other, "masked"))


def _linear(g: Graph, x: str, weights: Weights, name: str, out: str = "") -> str:
    product = g.op("MatMul", x, g.const(f"{name}.weight", weights[f"{name}.weight"].T))
    return g.op("Add", product, g.const(f"{name}.bias", weights[f"{name}.bias"]), out=out)


def _norm(g: Graph, x: str, weights: Weights, name: str) -> str:
    scale, bias = g.const(f"{name}.weight", weights[f"{name}.weight"]), g.const(f"{name}.bias", weights[f"{name}.bias"])
    return g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)


def _layer(g: Graph, x: str, weights: Weights, layer: int, sizes: Sizes, mask: str) -> str:
    p, head = f"layers.{layer}.", sizes.width // sizes.heads
    apart = g.const("heads", [0, 0, sizes.heads, head], np.int64)

    def heads(x: str, order: list[int]) -> str:
        return g.op("Transpose", g.op("Reshape", x, apart), perm=order)

    q, k, v = g.split(_linear(g, x, weights, f"{p}qkv"), 2, 3)
    scores = g.op("MatMul", heads(q, [0, 2, 1, 3]), heads(k, [0, 2, 3, 1]))
    scores = g.op("Add", g.op("Mul", scores, g.const("scale", head**-0.5)), mask)
    seen = g.op(
        "Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), heads(v, [0, 2, 1, 3])), perm=[0, 2, 1, 3]
    )
    seen = g.op("Reshape", seen, g.const("together", [0, 0, sizes.width], np.int64))
    x = _norm(g, g.op("Add", x, _linear(g, seen, weights, f"{p}o")), weights, f"{p}ln1")
    inner = _linear(g, x, weights, f"{p}f1")
    bent = g.op("Add", g.op("Erf", g.op("Div", inner, g.const("root2", 2**0.5))), g.const("onef", 1.0))
    gelu = g.op("Mul", g.op("Mul", inner, bent), g.const("half", 0.5))
    return _norm(g, g.op("Add", x, _linear(g, gelu, weights, f"{p}f2")), weights, f"{p}ln2")
