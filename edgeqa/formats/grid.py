"""Rows of a spreadsheet to blocks: what stands together is a table, whose first row may name its columns.

Pure. In: rows with their cells, in order. Out: blocks. A blank row ends a table. A row of one cell before a table is a
paragraph. A first row of text alone is a header where it looks like one: its cells are bold or it stays on the screen,
or numbers stand below it, or it has three cells or more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.formats.sheet import LINE, PARAGRAPH, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.formats.blocks import Block

MOST_COLUMNS = 1000  # what stands further to the right is put into the last
LONGEST_NAME = 200  # characters of a column's name


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows."""

    text: str
    is_text: bool = True
    """Whether it is neither a number nor a date."""
    is_bold: bool = False


class Grid:
    """One sheet in the making."""

    def __init__(self, name: str) -> None:
        self._sheet = Sheet()
        if name.strip():
            self._sheet.begin("heading", 1)
            self._sheet.add(" ".join(name.split()))
            self._sheet.end()
        self._number = -1  # of the last row
        self._held: list[Mapping[int, Cell]] = []  # a table's first rows, until it is known whether one is a header
        self._stays = False
        self._in_table = False

    def row(self, number: int, cells: Mapping[int, Cell], *, stays: bool = False) -> None:
        """Takes a row that is shown.

        Args:
            number: among the rows that are shown.
            cells: by column, those that are not empty.
            stays: whether it stays on the screen while others roll by.
        """
        if number > self._number + 1 or not cells:
            self._end_table()
        self._number = number
        if not cells:
            return
        if self._in_table:
            self._write(cells)
        elif not self._held and len(cells) == 1:
            self._sheet.begin("paragraph", 0, PARAGRAPH)
            self._sheet.add(" ".join(next(iter(cells.values())).text.split()))
            self._sheet.end()
        else:
            self._stays = stays if not self._held else self._stays
            self._held.append(dict(cells))
            if len(self._held) > (1 if len(self._held[0]) > 2 else 2):
                self._begin_table()

    def taken(self) -> list[Block]:
        """Returns the blocks that are settled."""
        return self._sheet.taken()

    def ended(self) -> list[Block]:
        """Returns the last blocks."""
        self._end_table()
        return self._sheet.taken()

    def _is_header(self) -> bool:
        """Tells whether the first of the rows that are held names the columns."""
        first, *others = (list(row.values()) for row in self._held)
        texts = [cell.text for cell in first]
        if not others or len(set(texts)) < len(texts):
            return False
        if not all(cell.is_text and len(cell.text) <= LONGEST_NAME for cell in first):
            return False
        stands_out = all(cell.is_bold for cell in first) and not all(cell.is_bold for row in others for cell in row)
        # Of two columns, the first may name what the second says: numbers stand below each other only in tables.
        has_figures = len(others) > 1 and all(any(not cell.is_text for cell in row) for row in others)
        return self._stays or stands_out or len(first) > 2 or has_figures

    def _begin_table(self) -> None:
        is_header = bool(self._held) and self._is_header()
        for number, cells in enumerate(self._held):
            self._write(cells, is_header=is_header and not number, begins=not number)
        self._held, self._in_table = [], True

    def _end_table(self) -> None:
        self._begin_table()
        self._in_table = False

    def _write(self, cells: Mapping[int, Cell], *, is_header: bool = False, begins: bool = False) -> None:
        texts = [""] * (min(max(cells), MOST_COLUMNS - 1) + 1)
        for column in sorted(cells):
            place = min(column, MOST_COLUMNS - 1)
            texts[place] = f"{texts[place]} {cells[column].text}".strip()
        self._sheet.row(texts, is_header=is_header, begins=begins, gap=LINE)
