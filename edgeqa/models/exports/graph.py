"""Facts about a graph, found before onnxruntime gets it: a path in, `GraphFacts` out, or an error that names the fault.

Structure and shapes are read here, never weights, for a graph of any size, without the `onnx` package. `Message` walks
the wire format of Protocol Buffers and decodes only the fields that are asked for. The file is untrusted: every length
is checked against the bytes that are there before it is followed, and the number of fields is bounded.

Files of weights beside the graph are checked here, because a graph may name any file of the disk, and not every version
of onnxruntime refuses to read files elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO, overload

from edgeqa.models import manifest
from edgeqa.models.exports.errors import ExportDamaged, ExportFileLater, ExportPathUnsafe, ExportUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
MAX_FIELDS = 5_000_000  # a graph of a large reader has some tens of thousands
# Field numbers of onnx.proto.
MODEL_GRAPH, MODEL_OPSETS, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 8, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_INPUT, NODE_KIND, NODE_ATTRIBUTE, FUNCTION_NODE = 1, 4, 5, 7
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
TENSOR_DIMENSIONS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL = 1, 2, 8, 9, 13
OPSET_DOMAIN, OPSET_VERSION = 1, 2
STANDARD_DOMAINS = {"", "ai.onnx"}
ENTRY_KEY, ENTRY_VALUE = 1, 2
TRAINING_GRAPHS, SPARSE_TENSORS = (1, 2), (1, 2)
FLOAT32, FLOAT16, BFLOAT16 = 1, 10, 16

_BLOCK_BYTES = 1 << 14
MAX_DEPTH = 16  # graphs within nodes within graphs
LFS_NOTE = b"version https://git-lfs.github.com/"
INT8_OPERATORS = {
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "QAttention",
    "QGemm",
    "QLinearMatMul",
}
RESERVED = {manifest.NAME, *manifest.REQUIRED_FILES["joint"]}


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """A graph, as far as it can be known without running it."""

    path: Path
    opset: int
    """Version of the standard operators; 0 if the graph states none."""
    precision: str
    """"float32", "float16", "bfloat16" or "int8"."""
    vocabulary: int | None
    """Rows of the table that `input_ids` are looked up in; None if that is not seen."""
    weights: tuple[Path, ...]
    """Files beside the graph that hold its weights; each is there and long enough."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The graph and the files of its weights."""
        return (self.path, *self.weights)

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.stat().st_size for file in self.files)


@dataclass(slots=True)
class _Findings:
    opset: int = 0
    kinds: set[str] = field(default_factory=set)
    elements: Counter[int] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    lookups: list[str] = field(default_factory=list)
    external: dict[str, int] = field(default_factory=dict)
    """Location to the bytes that are needed there."""
    is_graph: bool = False


def graph_facts(path: Path) -> GraphFacts:
    """Returns the facts that the graph in the file `path` states about itself.

    Raises:
        ExportError: if it is damaged, cannot be read, or its weights lie where they must not.
    """
    seen = _Findings()
    try:
        with path.open("rb") as file:
            if file.read(len(LFS_NOTE)) == LFS_NOTE:
                raise ExportFileLater(path)
            if not os.fstat(file.fileno()).st_size:
                raise ExportDamaged(path, "it is empty")
            _model(Message(_Bytes(file)), seen)
    except Malformed as error:
        raise ExportDamaged(path, str(error)) from error
    except OSError as error:
        if isinstance(error, (ExportDamaged, ExportFileLater)):
            raise
        raise ExportUnreadable(path, error.strerror or str(error)) from error
    if not seen.is_graph:
        raise ExportDamaged(path, "it holds no graph")
    weights = tuple(_beside(path, location, needed) for location, needed in sorted(seen.external.items()))
    tables = [seen.rows[name] for name in seen.lookups if name in seen.rows]
    return GraphFacts(path, seen.opset, _precision(seen), tables[0] if tables else None, weights)


def _precision(seen: _Findings) -> str:
    if seen.kinds & INT8_OPERATORS:
        return "int8"
    names = {FLOAT32: "float32", FLOAT16: "float16", BFLOAT16: "bfloat16"}
    return names[max(names, key=lambda element: seen.elements[element])]


def _model(model: Message, seen: _Findings) -> None:
    for part in model:
        if part.number == MODEL_GRAPH:
            _graph(model.within(part), seen, 0)
        elif part.number == MODEL_OPSETS:
            domain, version = read_opset(model.within(part))
            if domain in STANDARD_DOMAINS:
                seen.opset = version
        elif part.number == MODEL_FUNCTIONS:
            _nodes(model.within(part), FUNCTION_NODE, seen, 0)
        elif part.number == MODEL_TRAINING:
            training = model.within(part)
            for graph in (one for one in training if one.number in TRAINING_GRAPHS):
                _graph(training.within(graph), seen, 0)


def _graph(graph: Message, seen: _Findings, depth: int) -> None:
    for part in graph:
        if part.number == GRAPH_INITIALIZER:
            _tensor(graph.within(part), seen)
        elif part.number == GRAPH_SPARSE:
            _sparse(graph.within(part), seen)
    _nodes(graph, GRAPH_NODE, seen, depth)


def _nodes(holder: Message, number: int, seen: _Findings, depth: int) -> None:
    for part in holder:
        if part.number == number:
            seen.is_graph = True
            _node(holder.within(part), seen, depth)


def _node(node: Message, seen: _Findings, depth: int) -> None:
    kind, inputs = "", []
    for part in node:
        if part.number == NODE_KIND:
            kind = node.text(part)
        elif part.number == NODE_INPUT:
            inputs.append(node.text(part))
        elif part.number == NODE_ATTRIBUTE:
            _attribute(node.within(part), seen, depth)
    seen.kinds.add(kind)
    if kind == "Gather" and inputs[1:] == ["input_ids"]:
        seen.lookups.append(inputs[0])


def _attribute(attribute: Message, seen: _Findings, depth: int) -> None:
    for part in attribute:
        if part.number in ATTRIBUTE_TENSORS:
            _tensor(attribute.within(part), seen)
        elif part.number in ATTRIBUTE_SPARSE:
            _sparse(attribute.within(part), seen)
        elif part.number in ATTRIBUTE_GRAPHS:
            if depth == MAX_DEPTH:
                raise Malformed(part.begin, f"graphs within graphs, more than {MAX_DEPTH} deep,")
            _graph(attribute.within(part), seen, depth + 1)


def _sparse(sparse: Message, seen: _Findings) -> None:
    for part in sparse:
        if part.number in SPARSE_TENSORS:
            _tensor(sparse.within(part), seen)


def _tensor(tensor: Message, seen: _Findings) -> None:
    name, element, dimensions, entries, _ = read_tensor(tensor)
    seen.elements[element] += prod(dimensions)
    if len(dimensions) == 2:
        seen.rows[name] = dimensions[0]
    if entries:
        location = entries.get("location", "")
        try:
            needed = int(entries.get("offset", "0")) + int(entries.get("length", "0"))
        except ValueError as error:
            raise Malformed(0, f"weights at the place {entries}") from error
        seen.external[location] = max(needed, seen.external.get(location, 0))


def _beside(graph: Path, location: str, needed_bytes: int) -> Path:
    """Returns the file of weights that the graph calls `location`."""
    plain = PurePosixPath(location).name == location == PureWindowsPath(location).name
    if not plain or location in {"", ".", ".."} or not location.isprintable():
        raise ExportPathUnsafe(graph, location, "which is not the name of a file beside it")
    if location in RESERVED:
        raise ExportPathUnsafe(graph, location, "a name that a file of the bundle has")
    file = graph.parent / location
    try:
        found = file.lstat()
    except OSError as error:
        raise ExportDamaged(graph, f"its weights, the file {location}, are not beside it") from error
    if stat.S_ISLNK(found.st_mode):
        raise ExportPathUnsafe(graph, location, "a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise ExportPathUnsafe(graph, location, "which is no plain file")
    if found.st_size < needed_bytes:
        raise ExportDamaged(file, f"it has {found.st_size} bytes, and the graph needs {needed_bytes} of it")
    return file


class Malformed(ValueError):
    """The buffer is not in the format, from this byte on."""

    def __init__(self, offset_bytes: int, reason: str) -> None:
        super().__init__(f"{reason} at byte {offset_bytes}")


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its number and its value."""

    number: int
    value: int
    """The value of a number; 0 if the field has bytes."""
    begin: int
    """Where its bytes begin in the buffer, and where they end; equal for a number."""
    end: int


class _Bytes:
    """The bytes of a file, read as they are looked at: most of a graph are weights, which nobody looks at here.

    They are not mapped: where somebody cut a mapped file short, the system would end the process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size_bytes = file, os.fstat(file.fileno()).st_size
        self._from, self._block = 0, b""

    def __len__(self) -> int:
        return self._size_bytes

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> bytes: ...
    def __getitem__(self, at: int | slice) -> int | bytes:
        if isinstance(at, slice):
            return os.pread(self._file.fileno(), at.stop - at.start, at.start)
        if not 0 <= at - self._from < len(self._block):
            self._from, self._block = at, os.pread(self._file.fileno(), _BLOCK_BYTES, at)
            if not self._block:
                raise Malformed(at, "the file was cut short")
        return self._block[at - self._from]


class Message:
    """A message in a buffer. Iterating gives its fields, in order."""

    def __init__(
        self, buffer: _Bytes | bytes, begin: int = 0, end: int | None = None, budget: list[int] | None = None
    ) -> None:
        self._buffer = buffer
        self._begin, self._end = begin, len(buffer) if end is None else end
        self._budget = [MAX_FIELDS] if budget is None else budget  # shared by a message and all within it

    def __iter__(self) -> Iterator[Field]:
        at, end = self._begin, self._end
        while at < end:
            self._budget[0] -= 1
            if self._budget[0] < 0:
                raise Malformed(at, f"more than {MAX_FIELDS} fields")
            tag, at = self._varint(at)
            number, wire = tag >> 3, tag & 7
            if not number:
                raise Malformed(at, "a field of number 0")
            if wire == VARINT:
                value, at = self._varint(at)
                yield Field(number, value, at, at)
                continue
            if wire == BYTES:
                length, at = self._varint(at)
            elif wire in (FIXED64, FIXED32):
                length = 8 if wire == FIXED64 else 4
            else:
                raise Malformed(at, f"a field of the unknown kind {wire}")
            if length > end - at:
                raise Malformed(at, f"{length} bytes announced, {end - at} there")
            yield Field(number, 0, at, at + length)
            at += length

    def within(self, field: Field) -> Message:
        """Returns the message that a field of bytes holds."""
        return Message(self._buffer, field.begin, field.end, self._budget)

    def text(self, field: Field) -> str:
        """Returns the text that a field of bytes holds."""
        return self._buffer[field.begin : field.end].decode("utf-8", "replace")

    def raw(self, field: Field) -> bytes:
        """Returns the bytes that a field of bytes holds."""
        return self._buffer[field.begin : field.end]

    def numbers(self, field: Field) -> Iterator[int]:
        """Yields the numbers of a repeated field, whether packed into bytes or single."""
        if field.begin == field.end and not field.value:
            # A single number 0, or no packed numbers at all: dimensions of 0 hold nothing either way.
            yield 0
            return
        if field.begin == field.end:
            yield field.value
            return
        at = field.begin
        while at < field.end:
            value, at = self._varint(at)
            yield value

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for shift in range(MAX_VARINT_BYTES):
            if at >= self._end:
                raise Malformed(at, "the end in the middle of a number")
            byte = self._buffer[at]
            at += 1
            value |= (byte & 0x7F) << (7 * shift)
            if byte < 0x80:
                return value, at
        raise Malformed(at, "a number of more than 10 bytes")


def read_opset(message: Message) -> tuple[str, int]:
    """Returns the domain and the version of a set of operators."""
    domain, version = "", 0
    for part in message:
        if part.number == OPSET_DOMAIN:
            domain = message.text(part)
        elif part.number == OPSET_VERSION:
            version = part.value
    return domain, version


def read_tensor(message: Message) -> tuple[str, int, tuple[int, ...], dict[str, str], Field | None]:
    """Returns a tensor's name, element type, dimensions, what is said of its file, and the field of its bytes."""
    name, element = "", 0
    raw: Field | None = None
    dimensions: list[int] = []
    entries: dict[str, str] = {}
    for part in message:
        if part.number == TENSOR_DIMENSIONS:
            dimensions += message.numbers(part)
        elif part.number == TENSOR_TYPE:
            element = part.value
        elif part.number == TENSOR_NAME:
            name = message.text(part)
        elif part.number == TENSOR_RAW:
            raw = part
        elif part.number == TENSOR_EXTERNAL:
            entry = message.within(part)
            texts = {one.number: entry.text(one) for one in entry}
            entries[texts.get(ENTRY_KEY, "")] = texts.get(ENTRY_VALUE, "")
    return name, element, tuple(dimensions), entries, raw
