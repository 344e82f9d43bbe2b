"""Writes a graph as two files: its operators as NAME.onnx, its weights beside it as NAME.bin.

onnxruntime maps such weights instead of reading them, so that of the table of words only the pages of words that were
seen are in memory, and packs products straight from the mapping. The same model gives the same bytes always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto
from onnx.external_data_helper import set_external_data

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

ALIGNMENT_BYTES = 64  # a line of cache, and a register of AVX-512
LEAST_BYTES = 1024  # what is smaller stays with its operators


def save_graph(model: onnx.ModelProto, graph: Path) -> None:
    """Writes `graph`, a path that ends in .onnx, and its weights; the model's weights are in the file afterwards."""
    weights = graph.with_suffix(".bin")
    with weights.open("xb") as file:
        for tensor in model.graph.initializer:
            raw = tensor.raw_data
            if len(raw) < LEAST_BYTES:
                continue
            file.write(bytes(-file.tell() % ALIGNMENT_BYTES))
            set_external_data(tensor, weights.name, offset=file.tell(), length=len(raw))
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            file.write(raw)
    graph.write_bytes(model.SerializeToString(deterministic=True))
