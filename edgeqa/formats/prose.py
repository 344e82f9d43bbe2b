"""Text as it is written down: words with white space folded, lines, paragraphs, items of lists, cells of tables.

Pure. In: what a reader of a document finds, in its order. Out: plain text, paragraphs apart by a blank line, cells by
bars. Breaks are asked for as often as a document likes, and written once, and only between texts.
"""

from __future__ import annotations

import re

_WHITE_SPACE = re.compile(r"[ \t\n\r\f]+")
_NONE, _SPACE, _CELL, _LINE, _PARAGRAPH = range(5)
_WRITTEN = ("", " ", " | ", "\n", "\n\n")


class Prose:
    """Text in the making."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._break = _NONE
        self._marker = ""
        self._begun = False
        self._in_items = self._in_rows = self._row_begun = False
        self._is_fresh = False  # an item or a cell has begun and has no text yet: it stays where it is

    def text(self, text: str) -> None:
        """Adds words; white space in them is folded."""
        folded = _WHITE_SPACE.sub(" ", text)
        words = folded.strip(" ")
        if words:
            if folded[0] == " ":
                self._at_least(_SPACE)
            self._write(words)
        if folded and folded[-1] == " ":
            self._at_least(_SPACE)

    def verbatim(self, text: str) -> None:
        """Adds text as it stands."""
        if text:
            self._write(text)

    def line(self) -> None:
        """What follows begins on a line of its own."""
        if not self._is_fresh:
            self._at_least(_LINE)

    def paragraph(self) -> None:
        """What follows is a paragraph of its own."""
        if not self._is_fresh:
            self._at_least(_PARAGRAPH)

    def item(self) -> None:
        """What follows is an item of a list."""
        self._break = _LINE if self._in_items else max(self._break, _LINE)
        self._marker, self._is_fresh, self._in_items = "- ", True, True

    def row(self) -> None:
        """What follows is a row of a table."""
        self._is_fresh = self._row_begun = False
        self._break = _LINE if self._in_rows else max(self._break, _LINE)
        self._in_rows = True

    def cell(self) -> None:
        """What follows is a cell of the row."""
        if self._row_begun:
            self._break = _CELL
        self._is_fresh = True

    def end(self) -> None:
        """A list or table ends here."""
        self._marker = ""
        self._is_fresh = self._row_begun = self._in_items = self._in_rows = False
        self._at_least(_PARAGRAPH)

    def taken(self) -> str:
        """Returns what was written since the last time."""
        written = "".join(self._out)
        self._out.clear()
        return written

    def _at_least(self, wanted: int) -> None:
        self._break = max(self._break, wanted)

    def _write(self, text: str) -> None:
        if self._begun:
            self._out.append(_WRITTEN[self._break])
        self._out.append(self._marker)
        self._out.append(text)
        self._break, self._marker = _NONE, ""
        self._begun, self._is_fresh, self._row_begun = True, False, True
