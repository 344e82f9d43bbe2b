"""JSON Lines: an object a line, each a record named after its line; blank lines are left out."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from edgeqa.contexts.documents import checked
from edgeqa.formats.errors import RecordTooLong
from edgeqa.formats.fields import MOST_RECORD_BYTES
from edgeqa.formats.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.records import FormatOptions, Record


def read(blocks: Iterator[bytes], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record a line.

    Raises:
        FormatError: naming the line.
    """
    objects = Objects(name, options)
    for number, line in _lines(checked(blocks, name), name):
        if line.strip() and (found := objects.record(line, number, f"line {number}")) is not None:
            yield found


def _lines(blocks: Iterable[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    number, parts, held_bytes = 1, [], 0
    for block in blocks:
        first, *others = block.split(b"\n")
        parts.append(first)
        held_bytes += len(first)
        for line in others:
            yield number, b"".join(parts).removeprefix(codecs.BOM_UTF8 if number == 1 else b"")
            number, parts, held_bytes = number + 1, [line], len(line)
        if held_bytes > MOST_RECORD_BYTES:
            raise RecordTooLong(name, f"line {number}", MOST_RECORD_BYTES)
    yield number, b"".join(parts).removeprefix(codecs.BOM_UTF8 if number == 1 else b"")
