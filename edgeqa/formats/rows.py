"""Rows as blocks: of tables, of records that have the same fields, and of a name with its value.

Pure. In: cells as they come. Out: blocks, NFC, a row a line; a row without text is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.formats.blocks import Block
from edgeqa.formats.prose import joined
from edgeqa.formats.text import nfc_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.formats.blocks import BlockKind

MOST_COLUMNS = 1000


class Rows:
    """Blocks of one document, in the making."""

    def __init__(self) -> None:
        self._last: BlockKind | None = None
        self._begins = True

    def table(self) -> None:
        """A table begins with the next row, or has none before it."""
        self._begins = True

    def row(self, cells: Iterable[str], *, is_header: bool = False) -> Iterator[Block]:
        """Yields the row of these cells, if it has any text."""
        texts = [_nfc(cell.strip()) for cell in cells]
        while texts and (not texts[-1] or len(texts) > MOST_COLUMNS):
            last = texts.pop()
            if len(texts) >= MOST_COLUMNS:
                texts[-1] = f"{texts[-1]} {last}"
        if texts:
            text, places = joined(list(zip(texts, range(1, len(texts) + 1), strict=True)))
            yield self._block(text, "header" if is_header else "row", cells=places)

    def pair(self, name: str, value: str) -> Iterator[Block]:
        """Yields a name with its value."""
        name, value = _nfc(name.strip()), _nfc(value.strip())
        if value:
            between = ": " if name else ""
            begin = len(name) + len(between)
            places = ((0, len(name)), (begin, begin + len(value)))
            yield self._block(f"{name}{between}{value}", "row", cells=places)

    def paragraph(self, text: str, kind: BlockKind = "paragraph", level: int = 0) -> Iterator[Block]:
        """Yields a block that is no row."""
        if text := _nfc(text.strip()):
            yield self._block(text, kind, level)
            self._begins = True

    def _block(self, text: str, kind: BlockKind, level: int = 0, cells: Sequence[tuple[int, int]] = ()) -> Block:
        is_row = bool(cells)
        is_next = is_row and self._last in ("row", "header") and not self._begins
        before = "" if self._last is None else "\n" if is_next or kind == self._last == "item" else "\n\n"
        begins = is_row and self._begins
        self._last, self._begins = kind, False
        return Block(text, before, kind, level, tuple(cells), begins)


def _nfc(text: str) -> str:
    return text if text.isascii() else "".join(nfc_blocks([text]))
