"""Tables in man pages, as the preprocessor tbl reads them: rows of cells, out as rows of a table.

In: the lines between `.TS` and `.TE`. Out: rows on a sheet. Of the format lines only what tells a header is of
interest: a first row in bold, or one with a rule under it. Spanned columns stay empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeqa.formats.roff import GLUED

if TYPE_CHECKING:
    from edgeqa.formats.roff import Roff
    from edgeqa.formats.sheet import Sheet

MOST_COLUMNS = 200
_TAB = re.compile(r"\btab\s*\((.)\)")
_RULE = re.compile(r"[_=]+\Z")
_BOLD = re.compile(r"[a-z^][^a-z]*(?:f?b\b|b|f\[?b)", re.IGNORECASE)
_TEXT_BEGINS, _TEXT_ENDS = "T{", "T}"


class Table:
    """One table. Rows are written as soon as the one after them is seen: a rule may make the first a header."""

    def __init__(self, roff: Roff) -> None:
        self._roff = roff
        self._tab = "\t"
        self._formats: list[str] = []
        self._in_head = True  # options and formats
        self._held: list[str] | None = None
        self._cells: list[str] = []  # of a row that goes on, as its text goes over several lines
        self._text: list[str] | None = None
        self._rows = 0

    def take(self, raw: str, sheet: Sheet) -> None:
        """Takes a line."""
        if self._in_head:
            self._head(raw)
        elif self._text is not None:
            self._in_text(raw)
            if self._text is None:
                self._row(sheet)
        elif raw.startswith(".T&"):
            self._in_head = True
            self._formats.clear()
        elif raw.startswith(".") and not raw[1:2].isdigit():
            return
        elif _RULE.match(raw.strip()):
            if self._rows == 1:
                self._write(sheet, is_header=True)
        else:
            self._split(raw)
            if self._text is None:
                self._row(sheet)

    def end(self, sheet: Sheet) -> None:
        """Writes the last row."""
        if self._cells:
            self._row(sheet)
        self._write(sheet, is_header=False)

    def _head(self, raw: str) -> None:
        line = self._roff.plain(raw).strip()
        if found := _TAB.search(line):
            self._tab = found[1]
        if line.endswith(";"):
            return
        self._formats.append(line)
        self._in_head = not line.endswith(".")

    def _split(self, raw: str) -> None:
        for cell in raw.split(self._tab)[:MOST_COLUMNS]:
            if cell.strip() == _TEXT_BEGINS:
                self._text = []
                return
            self._cells.append("" if cell.strip() in ("\\^", "\\_", "_", "=") else self._shown(cell))

    def _in_text(self, raw: str) -> None:
        if self._text is None:
            return
        if raw.startswith(_TEXT_ENDS):
            self._cells.append(" ".join(self._text))
            self._text = None
            rest = raw[len(_TEXT_ENDS) :]
            if rest.startswith(self._tab):
                self._split(rest[len(self._tab) :])
        elif raw[:1] in (".", "'"):
            name, _, rest = raw[1:].strip().partition(" ")
            if name in ("B", "I", "R", "BR", "IR", "RB", "BI", "IB", "RI", "SM", "Nm", "Xr", "Ev", "Fa", "Ar", "Sy"):
                between = "" if len(name) == 2 and name.isupper() and name != "SM" else " "
                self._text.append(between.join(map(self._shown, self._roff.arguments(rest))))
        elif raw.strip():
            self._text.append(self._shown(raw))

    def _shown(self, raw: str) -> str:
        return self._roff.plain(raw).replace(GLUED, "")

    def _row(self, sheet: Sheet) -> None:
        self._write(sheet, is_header=self._rows == 1 and self._is_bold())
        self._held, self._cells = self._cells, []
        self._rows += 1

    def _is_bold(self) -> bool:
        """Whether the format of the first row is in bold, and another format follows it."""
        first, *others = [one for line in self._formats for one in line.split(",")] or [""]
        return bool(others) and bool(_BOLD.match(first.strip()))

    def _write(self, sheet: Sheet, *, is_header: bool) -> None:
        if self._held is not None:
            sheet.row(self._held, is_header=is_header, begins=self._rows == 1)
        self._held = None
