"""An ONNX model as bytes: nodes and constants in, what onnxruntime loads out.

Only what a few matrix products need, so that a device without the `onnx` package can be measured: its protocol buffers
are fields of a number, a wire type (0 for integers, 2 for bytes) and a value. (onnx.proto, IR version 8, opset 17.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IR_VERSION, _OPSET = 8, 17
_ELEMENT = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}  # TensorProto.DataType


@dataclass(frozen=True, slots=True)
class Value:
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


def model(nodes: list[Node], constants: dict[str, NDArray[Any]], inputs: list[Value], outputs: list[Value]) -> bytes:
    """Returns the serialised model."""
    graph = b"".join(
        [
            *(_bytes(1, _node(node)) for node in nodes),
            _bytes(2, b"graph"),
            *(_bytes(5, _tensor(name, array)) for name, array in constants.items()),
            *(_bytes(11, _value(value)) for value in inputs),
            *(_bytes(12, _value(value)) for value in outputs),
        ]
    )
    return _integer(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _integer(2, _OPSET))


def _node(node: Node) -> bytes:
    inputs = b"".join(_bytes(1, name.encode()) for name in node.inputs)
    return inputs + _bytes(2, node.output.encode()) + _bytes(3, node.output.encode()) + _bytes(4, node.kind.encode())


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    shape = b"".join(_integer(1, size) for size in array.shape)
    raw = np.ascontiguousarray(array).tobytes()
    return shape + _integer(2, _ELEMENT[array.dtype.name]) + _bytes(8, name.encode()) + _bytes(9, raw)


def _value(value: Value) -> bytes:
    shape = b"".join(_bytes(1, _integer(1, size)) for size in value.shape)
    tensor = _integer(1, _ELEMENT[value.dtype]) + _bytes(2, shape)
    return _bytes(1, value.name.encode()) + _bytes(2, _bytes(1, tensor))


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
