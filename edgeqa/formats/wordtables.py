"""Tables of Word documents: which row is the header, and which cells go on across and below.

In: the properties of tables, rows and cells as they come, and when each begins and ends. Out: rows and cells on prose.
Properties stand at the beginning of what they hold for, so that a row and a cell are begun with what follows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.formats.package import Properties, is_hex, is_on, note, number_in, word_in

if TYPE_CHECKING:
    from edgeqa.formats.prose import Prose
    from edgeqa.formats.wordstyles import Styles

MOST_COLUMNS = 2000


class WordTable:
    """One table in the making."""

    def __init__(self, prose: Prose, styles: Styles) -> None:
        self.is_muted = False
        """Whether the row that is open is hidden or deleted."""
        self.is_cell_open = False
        """Whether a cell takes text."""
        self._prose, self._styles = prose, styles
        self._style = ""
        self._looks_at_first_row = False
        self._rows = 0
        # Of the row:
        self._is_header = self._is_hidden = self._is_open = False
        self._is_bold = True
        self._column = self._skipped_columns = 0
        # Of the cell:
        self._span = 1
        self._merge = ""
        prose.table()

    def take(self, holder: str, name: str, attributes: dict[str, str]) -> None:
        """Takes a property of the table, the row or the cell that has begun."""
        note(self, _PROPERTIES.get(holder, {}), name, attributes)

    def text(self, text: str, *, is_bold: bool) -> None:
        """Notes text of the cell."""
        self._is_bold = self._is_bold and (is_bold or not text.strip())

    def begin_row(self) -> None:
        """A row begins; its properties follow."""
        self._is_header = self._is_hidden = self._is_open = self.is_muted = False
        self._is_bold = True
        self._column = self._skipped_columns = 0

    def begin_cell(self) -> None:
        """A cell begins; its properties follow."""
        self._open_row()
        self._span, self._merge, self.is_cell_open = 1, "", False

    def open_cell(self) -> None:
        """What follows is in the cell: its properties have been read."""
        if self._is_open and not self.is_cell_open and self._column < MOST_COLUMNS:
            self.is_cell_open = True
            self._prose.cell(self._span, merge=self._merge)

    def end_cell(self) -> None:
        """The cell ends here."""
        self.open_cell()
        self.is_cell_open = False
        self._column += self._span
        self._span, self._merge = 1, ""

    def end_row(self) -> None:
        """The row ends here."""
        if self._is_open:
            if not self._rows and self._is_bold and self._column > 1:
                self._prose.name_row()
            self._rows += not self._is_hidden
            self._is_open = self.is_muted = False
        self._prose.end_row()

    def _open_row(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        self.is_muted = self._is_hidden
        looks = self._looks_at_first_row and not self._rows
        if looks and self._style and self._style in self._styles:
            looks = self._styles.resolved(self._style).marks_first_row is True
        self._prose.row(is_header=self._is_header or looks)
        if 0 < self._skipped_columns < MOST_COLUMNS:
            self._prose.cell(self._skipped_columns)
            self._column = self._skipped_columns


def _looks_at_first_row(attributes: dict[str, str]) -> bool:
    if "firstRow" in attributes:
        return is_on(attributes, "firstRow")
    bits = word_in(attributes)
    return is_hex(bits) and bool(int(bits, 16) & 0x20)


_PROPERTIES: dict[str, Properties] = {
    "tblPr": {"tblStyle": ("_style", word_in), "tblLook": ("_looks_at_first_row", _looks_at_first_row)},
    "trPr": {
        "tblHeader": ("_is_header", is_on),
        "gridBefore": ("_skipped_columns", lambda attributes: number_in(attributes) or 0),
        **dict.fromkeys(("hidden", "del", "moveFrom"), ("_is_hidden", is_on)),
    },
    "tcPr": {
        "gridSpan": ("_span", lambda attributes: max(1, min(number_in(attributes) or 1, MOST_COLUMNS))),
        "vMerge": ("_merge", lambda attributes: "first" if word_in(attributes) == "restart" else "next"),
    },
}
