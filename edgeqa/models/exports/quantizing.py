"""Makes the int8 form of a float32 graph, and says when its answers moved too far. Needs the package `onnx`.

Matrix products become int8 with one scale a column, as onnxruntime's own quantiser makes them; the table of words, in
many models half of all weights, becomes int8 with one scale a row. Everything else stays float32.
"""

from __future__ import annotations

import contextlib
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeqa.errors import NotEnoughMemory
from edgeqa.models.exports.errors import ExportQuantizedAlready, ExportQuantizerMissing
from edgeqa.models.manifest import JOINT_GRAPH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.models.exports.graph import GraphFacts
    from edgeqa.models.exports.questions import Drift

MAX_MOVED_PERCENT = 10.0  # answers to the built-in questions may move by so much, by F1: two or three of 24 change
MAX_MOVED_LOGITS = 2.0  # as in the self-test, which would refuse the bundle on each start
# The whole process needs so much to make it int8: 1,721 MiB were measured for a graph of 415 MiB, 447 for one of 86.
MEMORY_PERCENT, PROCESS_BYTES = 410, 128 << 20
MIN_ROWS = 1024  # a smaller table is not worth two more operators
MAX_FILE_BYTES = (1 << 31) - (1 << 24)  # Protocol Buffers take no more in one piece; this leaves some room


def check(graph: GraphFacts) -> None:
    """Sees whether the graph can be made int8, before anything is done.

    Raises:
        ExportQuantizerMissing: if the package onnx is not installed.
        ExportQuantizedAlready: if the graph is not of float32.
    """
    if find_spec("onnx") is None:
        raise ExportQuantizerMissing
    if graph.precision != "float32":
        raise ExportQuantizedAlready(graph.path, graph.precision)


def check_memory(graph: GraphFacts, available_bytes: int) -> None:
    """Sees whether the graph can be made int8 in the memory that there is.

    Raises:
        NotEnoughMemory: if it cannot.
    """
    needed_bytes = PROCESS_BYTES + graph.size_bytes * MEMORY_PERCENT // 100
    if needed_bytes > available_bytes:
        raise NotEnoughMemory(
            what="memory", needed_bytes=needed_bytes, available_bytes=available_bytes, overrides={"quantize": "int8"}
        )


def too_far(moved: Drift) -> str:
    """Returns a sentence on how much too far answers moved; it is empty if they did not."""
    if moved.answers_percent > MAX_MOVED_PERCENT:
        return (
            f"answers to the built-in questions move by {moved.answers_percent:.1f} % F1 ({moved.questions} of them "
            f"are others), more than {MAX_MOVED_PERCENT:g} %"
        )
    if not moved.logits <= MAX_MOVED_LOGITS:  # also where it is not a number
        return f"logits of the built-in questions move by {moved.logits:.2f}, more than {MAX_MOVED_LOGITS:g}"
    return ""


def quantize(graph: GraphFacts, directory: Path) -> tuple[str, ...]:
    """Writes the int8 form of `graph` into `directory`; returns the names of the files, the graph's first."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(graph.path)
    _quantize_words(model)
    large = model.ByteSize() > MAX_FILE_BYTES
    with _unlogged():
        quantize_dynamic(
            model,
            directory / JOINT_GRAPH,
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=large,
            extra_options={"MatMulConstBOnly": True},
        )
    return tuple(sorted((file.name for file in directory.iterdir()), key=lambda name: name != JOINT_GRAPH))


def _quantize_words(model: Any) -> None:  # noqa: ANN401 - onnx publishes no types
    """Makes large float32 tables that ids are looked up in int8, with one scale a row."""
    from onnx import TensorProto, helper, numpy_helper

    tables = {i.name: i for i in model.graph.initializer if i.data_type == TensorProto.FLOAT and len(i.dims) == 2}
    users: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for name, table in tables.items():
        lookups = users.get(name, [])
        if table.dims[0] < MIN_ROWS or not lookups or not all(_looks_up(node, name) for node in lookups):
            continue
        rows = numpy_helper.to_array(table)
        scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / np.float32(127)
        model.graph.initializer.remove(table)
        int8 = numpy_helper.from_array(np.rint(rows / scale).astype(np.int8), f"{name}_int8")
        model.graph.initializer.extend([int8, numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale")])
        for node in lookups:
            ids, out = node.input[1], node.output[0]
            made = [
                helper.make_node("Gather", [f"{name}_int8", ids], [f"{out}_int8"]),
                helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], to=TensorProto.FLOAT),
                helper.make_node("Gather", [f"{name}_scale", ids], [f"{out}_scale"]),
                helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
            ]
            at = list(model.graph.node).index(node)
            model.graph.node.remove(node)
            for number, one in enumerate(made):
                model.graph.node.insert(at + number, one)


def _looks_up(node: Any, name: str) -> bool:  # noqa: ANN401 - onnx publishes no types
    """Tells whether the node takes whole rows of the table."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    return node.op_type == "Gather" and node.input[0] == name and node.input[1] != name and axis == 0


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Silences the quantiser's advice to lay the graph out otherwise first."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
