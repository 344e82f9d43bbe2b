"""ONNX files: a file is taken apart into plain values, a `Graph`, and put together again.

This works without the package `onnx`, which devices do not have, for graphs that were checked before (`exports.graph`).
Weights that lie in files stay there until they are asked for. This module does not know what a node computes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgeqa import files
from edgeqa.errors import BundleGraphInvalid
from edgeqa.models.exports.graph import (
    ENTRY_KEY,
    ENTRY_VALUE,
    FLOAT16,
    FLOAT32,
    GRAPH_INITIALIZER,
    GRAPH_NODE,
    MODEL_GRAPH,
    MODEL_OPSETS,
    NODE_ATTRIBUTE,
    NODE_INPUT,
    NODE_KIND,
    OPSET_DOMAIN,
    OPSET_VERSION,
    TENSOR_DIMENSIONS,
    TENSOR_EXTERNAL,
    TENSOR_NAME,
    TENSOR_RAW,
    TENSOR_TYPE,
    Malformed,
    Message,
    read_opset,
    read_tensor,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any, BinaryIO

    from numpy.typing import NDArray

    Array = NDArray[Any]

Attribute: TypeAlias = "int | float | list[int] | bytes"
"""The value of a node's attribute; the whole message for kinds that no module here looks into."""

# Field numbers of onnx.proto that only this module knows.
MODEL_IR_VERSION, GRAPH_NAME, GRAPH_INPUT, GRAPH_OUTPUT = 1, 2, 11, 12
NODE_OUTPUT, NODE_NAME, NODE_DOMAIN = 2, 3, 7
ATTRIBUTE_NAME, ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS, ATTRIBUTE_TYPE = 1, 2, 3, 8, 20
OF_FLOAT, OF_INT, OF_GRAPH, OF_INTS, OF_GRAPHS = 1, 2, 5, 7, 10
TENSOR_PLACE, EXTERNAL = 14, 1
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR, TENSOR_ELEMENT, TENSOR_SHAPE, SHAPE_DIMENSION, DIMENSION_SIZE = 1, 2, 1, 1, 2, 1, 1
ELEMENTS = {FLOAT32: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", FLOAT16: "<f2", 11: "<f8"}
ALIGNMENT_BYTES = 64  # a line of cache, and a register of AVX-512
MIN_APART_BYTES = 1024  # what is smaller stays with its operators


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value that is not computed, and where its bytes are."""

    name: str
    dimensions: tuple[int, ...]
    element: int
    raw: bytes = b""
    file: Path | None = None
    """Where `raw` is, if it is not here."""
    offset_bytes: int = 0
    length_bytes: int = 0

    @classmethod
    def of(cls, name: str, array: Array) -> Tensor:
        """Returns a tensor of what is in memory."""
        return cls(name, array.shape, _element(array), np.ascontiguousarray(array).tobytes())

    def array(self) -> Array:
        """Returns its elements."""
        raw = self.raw
        if self.file is not None:
            with files.reading(self.file) as stream:
                stream.seek(self.offset_bytes)
                raw = stream.read(self.length_bytes)
        found: Array = np.frombuffer(raw, ELEMENTS[self.element]).reshape(self.dimensions)
        return found


@dataclass(slots=True)
class Node:
    """An operator."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    domain: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    holds_graphs: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """An input or an output of a graph."""

    name: str
    element: int
    message: bytes
    """All that the file says of it."""

    @classmethod
    def of(cls, name: str, array: Array) -> Value:
        """Returns the value that stands for arrays of this type and shape."""
        sizes = (integer_field(DIMENSION_SIZE, size) for size in array.shape)
        shape = b"".join(bytes_field(SHAPE_DIMENSION, size) for size in sizes)
        tensor = integer_field(TENSOR_ELEMENT, _element(array)) + bytes_field(TENSOR_SHAPE, shape)
        message = _text(VALUE_NAME, name) + bytes_field(VALUE_TYPE, bytes_field(TYPE_TENSOR, tensor))
        return cls(name, _element(array), message)


@dataclass(slots=True)
class Graph:
    """A graph: what it computes, with what."""

    name: str
    ir_version: int
    opsets: dict[str, int]
    nodes: list[Node]
    tensors: dict[str, Tensor]
    inputs: list[Value]
    outputs: list[Value]

    @property
    def files(self) -> set[str]:
        """Names of the files that hold its weights."""
        return {tensor.file.name for tensor in self.tensors.values() if tensor.file is not None}


def read(path: Path) -> Graph:
    """Returns the graph in the file `path`.

    Raises:
        BundleGraphInvalid: if it is none, or has what is not known here.
    """
    graph = Graph("", 0, {}, [], {}, [], [])
    try:
        model = Message(files.read(path))
        for part in model:
            if part.number == MODEL_IR_VERSION:
                graph.ir_version = part.value
            elif part.number == MODEL_OPSETS:
                domain, version = read_opset(model.within(part))
                graph.opsets[domain] = version
            elif part.number == MODEL_GRAPH:
                _graph(model.within(part), graph, path)
    except (OSError, ValueError, struct.error) as error:  # a malformed file is a ValueError
        raise BundleGraphInvalid(path, f"it cannot be read ({error})") from error
    return graph


def _graph(message: Message, graph: Graph, path: Path) -> None:
    for part in message:
        if part.number == GRAPH_NAME:
            graph.name = message.text(part)
        elif part.number == GRAPH_NODE:
            graph.nodes.append(_node(message.within(part)))
        elif part.number == GRAPH_INITIALIZER:
            tensor = _tensor(message.within(part), path)
            graph.tensors[tensor.name] = tensor
        elif part.number in (GRAPH_INPUT, GRAPH_OUTPUT):
            value = _value(message.within(part), message.raw(part))
            (graph.inputs if part.number == GRAPH_INPUT else graph.outputs).append(value)


def _node(message: Message) -> Node:
    node = Node("", [], [])
    for part in message:
        if part.number == NODE_INPUT:
            node.inputs.append(message.text(part))
        elif part.number == NODE_OUTPUT:
            node.outputs.append(message.text(part))
        elif part.number == NODE_KIND:
            node.kind = message.text(part)
        elif part.number == NODE_DOMAIN:
            node.domain = message.text(part)
        elif part.number == NODE_ATTRIBUTE:
            _attribute(message.within(part), message.raw(part), node)
    return node


def _attribute(message: Message, whole: bytes, node: Node) -> None:
    name, kind, number, ratio = "", 0, 0, 0.0
    numbers: list[int] = []
    for part in message:
        if part.number == ATTRIBUTE_NAME:
            name = message.text(part)
        elif part.number == ATTRIBUTE_TYPE:
            kind = part.value
        elif part.number == ATTRIBUTE_INT:
            number = _signed(part.value)
        elif part.number == ATTRIBUTE_FLOAT:
            ratio = struct.unpack("<f", message.raw(part))[0]
        elif part.number == ATTRIBUTE_INTS:
            numbers += map(_signed, message.numbers(part))
    node.holds_graphs |= kind in (OF_GRAPH, OF_GRAPHS)
    known: dict[int, Attribute] = {OF_INT: number, OF_FLOAT: ratio, OF_INTS: numbers}
    node.attributes[name] = known.get(kind, whole)


def _tensor(message: Message, path: Path) -> Tensor:
    name, element, dimensions, entries, field_of_raw = read_tensor(message)
    raw = b"" if field_of_raw is None else message.raw(field_of_raw)
    if element not in ELEMENTS:
        raise Malformed(0, f"the tensor {name!r} of the type {element}, which is not known here,")
    size_bytes = np.dtype(ELEMENTS[element]).itemsize * int(np.prod(dimensions))
    if not entries and len(raw) != size_bytes:
        raise Malformed(0, f"the tensor {name!r} with its elements one by one")
    if not entries:
        return Tensor(name, dimensions, element, raw)
    file = path.with_name(entries["location"])
    return Tensor(name, dimensions, element, b"", file, int(entries.get("offset", "0")), size_bytes)


def _value(message: Message, whole: bytes) -> Value:
    name, element = "", 0
    for part in message:
        if part.number == VALUE_NAME:
            name = message.text(part)
        elif part.number == VALUE_TYPE:
            kind = message.within(part)
            for one in (one for one in kind if one.number == TYPE_TENSOR):
                tensor = kind.within(one)
                element = next((field.value for field in tensor if field.number == TENSOR_ELEMENT), 0)
    return Value(name, element, whole)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def write(graph: Graph, path: Path, weights: Path) -> None:
    """Writes the graph to `path`, and what is large of its tensors to `weights`, beside it; neither is there yet.

    Raises:
        OSError: if that cannot be done.
    """
    with files.create(weights) as stream:
        tensors = [_placed(one, stream, weights.name) for one in graph.tensors.values()]
    with files.create(path) as stream:
        stream.write(_packed(graph, tensors))


def packed(graph: Graph) -> bytes:
    """Returns the bytes of a file that holds the graph with all of its tensors."""
    tensors = (_described(one) + bytes_field(TENSOR_RAW, one.array().tobytes()) for one in graph.tensors.values())
    return _packed(graph, tensors)


def _packed(graph: Graph, tensors: Iterable[bytes]) -> bytes:
    body = b"".join(bytes_field(GRAPH_NODE, _packed_node(node, number)) for number, node in enumerate(graph.nodes))
    body += _text(GRAPH_NAME, graph.name) + b"".join(bytes_field(GRAPH_INITIALIZER, one) for one in tensors)
    body += b"".join(bytes_field(GRAPH_INPUT, value.message) for value in graph.inputs)
    body += b"".join(bytes_field(GRAPH_OUTPUT, value.message) for value in graph.outputs)
    model = integer_field(MODEL_IR_VERSION, graph.ir_version) + bytes_field(MODEL_GRAPH, body)
    for domain, version in graph.opsets.items():
        model += bytes_field(MODEL_OPSETS, _text(OPSET_DOMAIN, domain) + integer_field(OPSET_VERSION, version))
    return model


def _placed(tensor: Tensor, stream: BinaryIO, name: str) -> bytes:
    """Returns the tensor's message; its bytes are there, or in the stream."""
    message, raw = _described(tensor), tensor.array().tobytes()
    if len(raw) < MIN_APART_BYTES:
        return message + bytes_field(TENSOR_RAW, raw)
    stream.write(bytes(-stream.tell() % ALIGNMENT_BYTES))
    for key, value in (("location", name), ("offset", str(stream.tell())), ("length", str(len(raw)))):
        message += bytes_field(TENSOR_EXTERNAL, _text(ENTRY_KEY, key) + _text(ENTRY_VALUE, value))
    stream.write(raw)
    return message + integer_field(TENSOR_PLACE, EXTERNAL)


def _described(tensor: Tensor) -> bytes:
    """Returns a tensor's message but for its bytes."""
    message = b"".join(integer_field(TENSOR_DIMENSIONS, size) for size in tensor.dimensions)
    return message + integer_field(TENSOR_TYPE, tensor.element) + _text(TENSOR_NAME, tensor.name)


def _element(array: Array) -> int:
    """Returns the number that the format has for an array's type."""
    return next(number for number, kind in ELEMENTS.items() if np.dtype(kind) == array.dtype)


def _packed_node(node: Node, number: int) -> bytes:
    names = _texts(NODE_INPUT, node.inputs) + _texts(NODE_OUTPUT, node.outputs)
    named = _text(NODE_NAME, f"{node.kind}_{number}") + _text(NODE_KIND, node.kind) + _text(NODE_DOMAIN, node.domain)
    return names + named + b"".join(bytes_field(NODE_ATTRIBUTE, _told(*one)) for one in node.attributes.items())


def _told(name: str, value: Attribute) -> bytes:
    if isinstance(value, bytes):
        return value
    message = _text(ATTRIBUTE_NAME, name)
    if isinstance(value, float):
        kind = OF_FLOAT
        message += _tag(ATTRIBUTE_FLOAT, 5) + struct.pack("<f", value)
    elif isinstance(value, int):
        kind = OF_INT
        message += integer_field(ATTRIBUTE_INT, value)
    else:
        kind = OF_INTS
        message += b"".join(integer_field(ATTRIBUTE_INTS, one) for one in value)
    return message + integer_field(ATTRIBUTE_TYPE, kind)


def _texts(number: int, texts: Iterable[str]) -> bytes:
    return b"".join(_text(number, text) for text in texts)


def _text(number: int, text: str) -> bytes:
    return bytes_field(number, text.encode())


def bytes_field(number: int, value: bytes) -> bytes:
    """Returns the field of a message that holds bytes: a text, an array, or another message."""
    return _tag(number, 2) + _varint(len(value)) + value


def integer_field(number: int, value: int) -> bytes:
    """Returns the field of a message that holds an integer."""
    return _tag(number, 0) + _varint(value)


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
