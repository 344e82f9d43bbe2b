"""Writes a graph as its operators, NAME.onnx, and its weights beside it, NAME.bin; or NAME-1.bin and so on.

onnxruntime maps such weights instead of reading them, and packs products straight from the mapping. So memory holds
only those pages of the table of words whose words were seen. The same model always gives the same bytes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import TensorProto
from onnx.external_data_helper import set_external_data

if TYPE_CHECKING:
    from typing import BinaryIO

    import onnx

ALIGNMENT_BYTES = 64  # a line of cache, and a register of AVX-512
MIN_BYTES = 1024  # what is smaller stays with its operators


def save_graph(model: onnx.ModelProto, graph: Path, most_bytes: int | None = None) -> tuple[Path, ...]:
    """Writes `graph`, a path that ends in .onnx, and its weights; the model's weights are in the files afterwards.

    Args:
        model: what is written.
        graph: the path.
        most_bytes: how large a file of weights may be; by default there is one of any size.

    Returns:
        The files of weights.
    """
    with contextlib.ExitStack() as stack:
        files: list[BinaryIO] = []
        for tensor in model.graph.initializer:
            raw = tensor.raw_data
            if len(raw) < MIN_BYTES:
                continue
            if not files or (most_bytes and files[-1].tell() + ALIGNMENT_BYTES + len(raw) > most_bytes):
                number = "" if most_bytes is None else f"-{len(files) + 1}"
                files.append(stack.enter_context(graph.with_name(f"{graph.stem}{number}.bin").open("xb")))
            file = files[-1]
            file.write(bytes(-file.tell() % ALIGNMENT_BYTES))
            set_external_data(tensor, Path(file.name).name, offset=file.tell(), length=len(raw))
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            file.write(raw)
        written = tuple(Path(file.name) for file in files)
    graph.write_bytes(model.SerializeToString(deterministic=True))
    return written
