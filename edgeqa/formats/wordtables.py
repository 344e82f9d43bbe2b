"""Tables of Word documents: which row is the header, and which cells go on across and below.

In: the properties of tables, rows and cells as they come, and when each begins and ends. Out: rows and cells on prose.
Properties stand at the beginning of what they hold for, so that a row and a cell are begun with what follows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.formats.package import is_hex, is_on, number_in

if TYPE_CHECKING:
    from edgeqa.formats.prose import Prose
    from edgeqa.formats.wordparts import Styles

MOST_MERGED_CHARACTERS = 1000  # of a cell that goes on in the rows below, repeated there
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
        self._text: list[str] = []
        self._characters = 0
        self._merged: dict[int, str] = {}  # by column, the text of a cell that goes on below
        prose.table()

    def take(self, holder: str, name: str, attributes: dict[str, str]) -> None:
        """Takes a property of the table, the row or the cell that has begun."""
        if holder == "tblPr" and name == "tblStyle":
            self._style = attributes.get("val", "")
        elif holder == "tblPr" and name == "tblLook":
            self._looks_at_first_row = _looks_at_first_row(attributes)
        elif holder == "trPr" and name == "tblHeader":
            self._is_header = is_on(attributes)
        elif holder == "trPr" and name in ("hidden", "del", "moveFrom"):
            self._is_hidden = is_on(attributes)
        elif holder == "trPr" and name == "gridBefore":
            self._skipped_columns = number_in(attributes) or 0
        elif holder == "tcPr" and name == "gridSpan":
            self._span = max(1, min(number_in(attributes) or 1, MOST_COLUMNS))
        elif holder == "tcPr" and name == "vMerge":
            self._merge = "restart" if attributes.get("val") == "restart" else "continue"

    def text(self, text: str, *, is_bold: bool) -> None:
        """Notes text of the cell."""
        if text.strip():
            self._is_bold = self._is_bold and is_bold
        if self._merge == "restart" and self._characters < MOST_MERGED_CHARACTERS:
            self._text.append(text[:MOST_MERGED_CHARACTERS])
            self._characters += len(text)

    def begin_row(self) -> None:
        """A row begins; its properties follow."""
        self._is_header = self._is_hidden = self._is_open = self.is_muted = False
        self._is_bold = True
        self._column = self._skipped_columns = 0

    def begin_cell(self) -> None:
        """A cell begins; its properties follow."""
        self._open_row()
        self._span, self._merge, self.is_cell_open = 1, "", False
        self._text, self._characters = [], 0

    def open_cell(self) -> None:
        """What follows is in the cell: its properties have been read."""
        if self._is_open and not self.is_cell_open and self._column < MOST_COLUMNS:
            self.is_cell_open = True
            self._prose.cell(self._span)

    def end_cell(self) -> None:
        """The cell ends here."""
        self.open_cell()
        if self._merge == "continue" and (above := self._merged.get(self._column)):
            self._prose.text(above)
        elif self._merge == "restart":
            self._merged[self._column] = "".join(self._text)
        else:
            self._merged.pop(self._column, None)
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
            looks = self._styles.resolved(self._style).marks_first_row
        self._prose.row(is_header=self._is_header or looks)
        if 0 < self._skipped_columns < MOST_COLUMNS:
            self._prose.cell(self._skipped_columns)
            self._column = self._skipped_columns


def _looks_at_first_row(attributes: dict[str, str]) -> bool:
    if (first := attributes.get("firstRow")) is not None:
        return is_on({"val": first})
    bits = attributes.get("val", "")
    return is_hex(bits) and bool(int(bits, 16) & 0x20)
