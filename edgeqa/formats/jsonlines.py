"""JSON Lines: an object a line, each a record named after its line; blank lines are left out.

Objects without a field that holds text are the rows of one record.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from edgeqa.formats.errors import RecordTooLong
from edgeqa.formats.fields import MOST_RECORD_BYTES
from edgeqa.formats.objects import records
from edgeqa.formats.text import checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.records import FormatOptions, Record


_BLANK = b" \t\r\n\x1e"  # the last begins a text of a JSON sequence


def read(blocks: Iterator[bytes], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record a line.

    Raises:
        FormatError: naming the line.
    """
    lines = _lines(checked(blocks, name), name)
    yield from records(((n, f"line {n}", line) for n, line in lines if line.strip(_BLANK)), name, options)


def _lines(blocks: Iterable[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    number, parts, held_bytes = 1, [], 0
    for block in blocks:
        first, *others = block.split(b"\n")
        parts.append(first)
        held_bytes += len(first)
        for line in others:
            yield number, b"".join(parts).removeprefix(codecs.BOM_UTF8 if number == 1 else b"").lstrip(_BLANK)
            number, parts, held_bytes = number + 1, [line], len(line)
        if held_bytes > MOST_RECORD_BYTES:
            raise RecordTooLong(name, f"line {number}", MOST_RECORD_BYTES)
    yield number, b"".join(parts).removeprefix(codecs.BOM_UTF8 if number == 1 else b"").lstrip(_BLANK)
