"""The limit of a device: the time of the network's matrix products alone, through onnxruntime.

In: the sizes of the network, and the lengths of question and context. Out: a session that computes these products and
nothing else, in the same shapes, with weights of its own for every layer. Products with weights are int8 by int8 or
float32, as in the bundle; products of attention are float32, as there. The session has no quantisation, bias,
normalisation or activation: a real network needs their time on top of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeqa.models.onnx_file import Graph, Node, Tensor, Value, packed
from edgeqa.models.readers import likely_tokens
from edgeqa.models.session import SessionOptions, session_setup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeqa.models.manifest import Manifest

    Arrays = dict[str, NDArray[Any]]

_IR_VERSION, _OPSET = 8, 17
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

        # The binding has only the arrays' addresses, so that they must stay alive.
        graph, self._inputs, self._outputs = _graph(products, int8=int8)
        self._session = onnxruntime.InferenceSession(graph, setup, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        for name, array in self._inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in self._outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

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


def _graph(products: Sequence[Product], *, int8: bool) -> tuple[bytes, Arrays, Arrays]:
    """Returns the model, its inputs, and the memory of its outputs. Products of one shape share both, but no weight."""
    random = np.random.default_rng(0)
    nodes: list[Node] = []
    weights: Arrays = {}
    inputs: Arrays = {}
    outputs: Arrays = {}
    memory: dict[tuple[int, ...], NDArray[Any]] = {}
    for number, p in enumerate(products):
        quantised = int8 and p.weighted
        left, right, product = f"left_{p.batch}_{p.rows}_{p.depth}_{quantised}", f"right_{number}", f"product_{number}"
        lefts = random.integers(0, 255, (p.batch, p.rows, p.depth), np.uint8)
        shape = (p.depth, p.columns) if p.weighted else (p.batch, p.depth, p.columns)
        rights = random.integers(-127, 127, shape, np.int8)
        inputs.setdefault(left, lefts if quantised else lefts / np.float32(256))
        (weights if p.weighted else inputs)[right] = rights if quantised else rights / np.float32(128)
        shape = (p.batch, p.rows, p.columns)
        held = memory.setdefault(shape, np.empty(shape, np.int32))
        outputs[product] = held if quantised else held.view(np.float32)
        nodes.append(Node("MatMulInteger" if quantised else "MatMul", [left, right], [product]))
    tensors = {name: Tensor.of(name, array) for name, array in weights.items()}
    given, made = ([Value.of(*one) for one in arrays.items()] for arrays in (inputs, outputs))
    return packed(Graph("graph", _IR_VERSION, {"": _OPSET}, nodes, tensors, given, made)), inputs, outputs
