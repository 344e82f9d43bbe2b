"""Walks the wire format of Protocol Buffers: a buffer in, its fields out, nothing decoded that is not asked for.

Reads an ONNX graph of any size through a memory map without the `onnx` package. The buffer is untrusted: every length
is checked against what is there before it is followed, and the number of fields is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10
MOST_FIELDS = 5_000_000  # a graph of a large reader has some tens of thousands


class Malformed(ValueError):
    """The buffer is not in the format, from this byte on."""

    def __init__(self, offset_bytes: int, reason: str) -> None:
        super().__init__(f"{reason} at byte {offset_bytes}")


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its number and its value."""

    number: int
    value: int
    """Of a number; of bytes, 0."""
    begin: int
    """Where its bytes begin in the buffer, and where they end; equal for a number."""
    end: int


class Message:
    """A message in a buffer. Iterating gives its fields, in order."""

    def __init__(
        self, buffer: mmap | bytes, begin: int = 0, end: int | None = None, budget: list[int] | None = None
    ) -> None:
        self._buffer = buffer
        self._begin, self._end = begin, len(buffer) if end is None else end
        self._budget = [MOST_FIELDS] if budget is None else budget  # shared by a message and all within it

    def __iter__(self) -> Iterator[Field]:
        at, end = self._begin, self._end
        while at < end:
            self._budget[0] -= 1
            if self._budget[0] < 0:
                raise Malformed(at, f"more than {MOST_FIELDS} fields")
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
        for shift in range(LONGEST_VARINT):
            if at >= self._end:
                raise Malformed(at, "the end in the middle of a number")
            byte = self._buffer[at]
            at += 1
            value |= (byte & 0x7F) << (7 * shift)
            if byte < 0x80:
                return value, at
        raise Malformed(at, "a number of more than 10 bytes")
