"""The limit of a device: the time of the network's matrix products alone, through onnxruntime.

In: the sizes of the network, and the lengths of question and context. Out: a session that computes these products and
nothing else, in the same shapes, with weights of its own for every layer. Products with weights are int8 by int8 or
float32, as in the bundle; products of attention are float32, as there. The session has no quantisation, bias,
normalisation or activation: a real network needs their time on top of this.

The model is written here as bytes, field by field, so that a device without the `onnx` package can be measured
(onnx.proto, IR version 8, opset 17).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeqa.models.onnx_file import bytes_field, integer_field
from edgeqa.models.readers import likely_tokens
from edgeqa.models.session import SessionOptions, session_setup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeqa.models.manifest import Manifest

_IR_VERSION, _OPSET = 8, 17
_ELEMENT = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}  # TensorProto.DataType


@dataclass(frozen=True, slots=True)
class GraphValue:
    """An input or output of the graph."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the standard set, without attributes."""

    kind: str
    inputs: tuple[str, ...]
    output: str


def onnx_model(
    nodes: list[Node], constants: dict[str, NDArray[Any]], inputs: list[GraphValue], outputs: list[GraphValue]
) -> bytes:
    """Returns the serialised model."""
    graph = b"".join(
        [
            *(bytes_field(1, _node(node)) for node in nodes),
            bytes_field(2, b"graph"),
            *(bytes_field(5, _tensor(name, array)) for name, array in constants.items()),
            *(bytes_field(11, _value(value)) for value in inputs),
            *(bytes_field(12, _value(value)) for value in outputs),
        ]
    )
    return integer_field(1, _IR_VERSION) + bytes_field(7, graph) + bytes_field(8, integer_field(2, _OPSET))


def _node(node: Node) -> bytes:
    inputs = b"".join(bytes_field(1, name.encode()) for name in node.inputs)
    return (
        inputs
        + bytes_field(2, node.output.encode())
        + bytes_field(3, node.output.encode())
        + bytes_field(4, node.kind.encode())
    )


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    shape = b"".join(integer_field(1, size) for size in array.shape)
    raw = np.ascontiguousarray(array).tobytes()
    return shape + integer_field(2, _ELEMENT[array.dtype.name]) + bytes_field(8, name.encode()) + bytes_field(9, raw)


def _value(value: GraphValue) -> bytes:
    shape = b"".join(bytes_field(1, integer_field(1, size)) for size in value.shape)
    tensor = integer_field(1, _ELEMENT[value.dtype]) + bytes_field(2, shape)
    return bytes_field(1, value.name.encode()) + bytes_field(2, bytes_field(1, tensor))


INNER = 4  # BERT's feed-forward layer is so many times as wide as the others
HEAD_WIDTH = 32  # the width in small BERTs; heads of other widths need the same number of multiplications


@dataclass(frozen=True, slots=True)
class Product:
    """One product, [batch, rows, depth] by [batch, depth, columns]; the second factor is a weight if `weighted`."""

    rows: int
    depth: int
    columns: int
    batch: int = 1
    weighted: bool = True

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batch * self.rows * self.depth * self.columns


def layer(tokens: int, width: int, looking: int | None = None) -> list[Product]:
    """Returns the products of one BERT layer; with `looking`, only so many tokens attend to the others."""
    heads = max(1, width // HEAD_WIDTH)
    rows = tokens if looking is None else looking
    of_all = Product(tokens, width, 3 * width)
    return [
        *([of_all] if looking is None else [Product(tokens, width, 2 * width), Product(rows, width, width)]),
        Product(rows, HEAD_WIDTH, tokens, heads, weighted=False),
        Product(rows, tokens, HEAD_WIDTH, heads, weighted=False),
        Product(rows, width, width),
        Product(rows, width, INNER * width),
        Product(rows, INNER * width, width),
    ]


def of_question(manifest: Manifest, question_tokens: int, context_tokens: int, contexts: int) -> list[list[Product]]:
    """Returns the products of each run that a question needs, if its contexts are encoded already.

    A split network encodes the question (with [CLS] and [SEP]), then reads it with each context (and its [SEP]). In the
    last layer, only [CLS] and the context's likely tokens attend to the others.
    """
    question, context, width = question_tokens + 2, context_tokens + 1, manifest.width
    # An exact reading leaves out no token.
    likely = context - 1 if manifest.precision == "float32" else likely_tokens(context - 1)
    upper = layer(question + context, width) * (manifest.layers - manifest.split - 1)
    upper += layer(question + context, width, looking=likely + 1)
    lower = layer(question, width) * manifest.split
    return [*([lower] if lower else []), *([upper] * contexts)]


class Products:
    """A session of some products. `run` computes them once, into memory that is allocated before."""

    def __init__(self, products: Sequence[Product], *, int8: bool, options: SessionOptions) -> None:
        setup = session_setup(options)
        import onnxruntime

        graph, inputs, outputs = _graph(products, int8=int8)
        self._session = onnxruntime.InferenceSession(graph, setup, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self._memory = {shape: np.empty(shape, np.int32) for shape in {value.shape for value in outputs}}
        self._inputs = inputs  # the binding has only their addresses, so that they must stay alive
        for name, array in inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for value in outputs:  # both types of output have four bytes
            address = self._memory[value.shape].ctypes.data
            self._binding.bind_output(value.name, "cpu", 0, np.dtype(value.dtype).type, value.shape, address)

    def run(self) -> None:
        """Computes all products once."""
        self._session.run_with_iobinding(self._binding)


def sessions(
    manifest: Manifest, options: SessionOptions, question_tokens: int, context_tokens: int, contexts: int
) -> list[Products]:
    """Returns a session for each run that a question needs; equal runs share one."""
    runs = [tuple(run) for run in of_question(manifest, question_tokens, context_tokens, contexts)]
    made = {run: Products(run, int8=manifest.precision == "int8", options=options) for run in set(runs)}
    return [made[run] for run in runs]


def _graph(products: Sequence[Product], *, int8: bool) -> tuple[bytes, dict[str, NDArray[Any]], list[GraphValue]]:
    """Returns the model, its inputs, and its outputs. Products of one shape share an input, but no weight."""
    random = np.random.default_rng(0)
    nodes: list[Node] = []
    constants: dict[str, NDArray[Any]] = {}
    inputs: dict[str, NDArray[Any]] = {}
    outputs: list[GraphValue] = []
    for number, p in enumerate(products):
        quantised = int8 and p.weighted
        left, right = f"left_{p.batch}_{p.rows}_{p.depth}_{quantised}", f"right_{number}"
        lefts = random.integers(0, 255, (p.batch, p.rows, p.depth), np.uint8)
        shape = (p.depth, p.columns) if p.weighted else (p.batch, p.depth, p.columns)
        rights = random.integers(-127, 127, shape, np.int8)
        inputs.setdefault(left, lefts if quantised else lefts / np.float32(256))
        (constants if p.weighted else inputs)[right] = rights if quantised else rights / np.float32(128)
        output = GraphValue(f"product_{number}", "int32" if quantised else "float32", (p.batch, p.rows, p.columns))
        nodes.append(Node("MatMulInteger" if quantised else "MatMul", (left, right), output.name))
        outputs.append(output)
    return onnx_model(nodes, constants, _values(inputs), outputs), inputs, outputs


def _values(arrays: dict[str, NDArray[Any]]) -> list[GraphValue]:
    return [GraphValue(name, array.dtype.name, array.shape) for name, array in arrays.items()]
