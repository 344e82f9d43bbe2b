"""Source code in UTF-8: the whole file is one record, as it stands, in pieces of code that blank lines part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.formats.blocks import Block
from edgeqa.formats.records import FormatOptions, Record
from edgeqa.formats.text import decode, nfc_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARACTERS = 1 << 16  # of a piece; a longer one goes on in the next


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the file as one record."""
    yield Record(name, "", _pieces(nfc_blocks(decode(blocks, name))))


def _pieces(text: Iterator[str]) -> Iterator[Block]:
    before = held = ""
    for line in _lines(text):
        if not line.isspace():
            held += line
        elif held:
            piece = held.rstrip()
            yield Block(piece, before, "code")
            before, held = held[len(piece) :] + line, ""
        else:
            before += line
        if max(len(held), len(before)) > MOST_CHARACTERS:
            yield Block(held, before, "code")
            before = held = ""
    piece = held.rstrip()
    if piece:
        yield Block(piece, before, "code")
        before = held[len(piece) :]
    if before:
        yield Block("", before, "code")


def _lines(text: Iterator[str]) -> Iterator[str]:
    """Yields lines with their ends, of a long one the parts."""
    kept = ""
    for block in text:
        *lines, kept = (kept + block).split("\n")
        for line in lines:
            yield f"{line}\n"
        if len(kept) > MOST_CHARACTERS:
            yield kept
            kept = ""
    if kept:
        yield kept
