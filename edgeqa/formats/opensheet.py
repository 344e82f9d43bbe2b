"""ODS: each sheet of a spreadsheet of LibreOffice is a record, named `FILE#Sheet`; its rows are rows of tables.

Cells say what they show, so numbers need no formats. Hidden sheets, rows and columns are left out. Cells and rows may
be written once and stand for any number: those with text are repeated up to a bound, and refused beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from edgeqa.formats.archive import Archive
from edgeqa.formats.blocks import FormatOptions, Record, one_line
from edgeqa.formats.cells import MOST_COLUMNS, Cell, Grid, general
from edgeqa.formats.errors import FileDamaged, FileExcessive
from edgeqa.formats.odfstyles import CONTENT, META, OdfStyles, opened
from edgeqa.formats.package import Title, number_in, parse, take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.blocks import Block

MOST_REPEATED_ROWS = 10_000  # that have text
MOST_TEXT_CHARACTERS = 1 << 28  # of the file: what is repeated counts
MOST_CELL_CHARACTERS = 1 << 16
_HIDDEN = ("collapse", "filter")
_STYLES = ("automatic-styles", "styles")
_SKIPPED = frozenset(("annotation", "tracked-changes", "forms", "shapes", "title", "desc", "content-validations"))


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a sheet; empty ones are left out.

    Raises:
        FormatError: if it is no such document, or is encrypted.
    """
    archive = Archive(stream, name, "OpenDocument")
    sheets = _Sheets(name, opened(archive, name, "OpenDocument"))
    properties = Title()
    take(archive, META, properties, name, "OpenDocument")
    title = one_line(properties.title)
    found = _Stream(_settled(archive, sheets, name))
    while (sheet := found.sheet()) is not None:
        yield Record(f"{name}#{sheet}", one_line(f"{title}: {sheet}" if title else sheet), found.blocks())


def _settled(archive: Archive, sheets: _Sheets, name: str) -> Iterator[tuple[str, int, Block]]:
    """Yields the blocks, each with the name and the number of its sheet."""
    for _ in parse(archive.blocks(CONTENT), sheets, name, "OpenDocument"):
        if sheets.body not in ("", "spreadsheet"):
            raise FileDamaged(name, "OpenDocument", "it is another program's document")
        out, sheets.out = sheets.out, []
        yield from out


class _Stream:
    """Blocks of sheets, one after the other, as the blocks of each sheet. Sheets that are a name alone are left out."""

    def __init__(self, blocks: Iterator[tuple[str, int, Block]]) -> None:
        self._blocks = blocks
        self._next = next(blocks, None)
        self._first: Block | None = None
        self._number = -1

    def sheet(self) -> str | None:
        """Returns the name of the next sheet, once the blocks of the one before are gone through; None at the end."""
        for _ in self.blocks():
            pass
        while self._next is not None:
            name, number, first = self._next
            self._next = next(self._blocks, None)
            if self._next is not None and self._next[1] == number:
                self._first, self._number = first, number
                return name
        return None

    def blocks(self) -> Iterator[Block]:
        """Yields the blocks of the sheet."""
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        while self._next is not None and self._next[1] == self._number:
            block = self._next[2]
            self._next = next(self._blocks, None)
            yield block


@dataclass(slots=True)
class _Row:
    repeated: int = 1
    is_hidden: bool = False
    column: int = 0
    shown_column: int = 0
    cells: dict[int, Cell] = field(default_factory=dict)


class _Sheets:
    """Takes the sheets of a document."""

    def __init__(self, name: str, styles: OdfStyles) -> None:
        self.body = ""
        """What the body is of, once that is known."""
        self.out: list[tuple[str, int, Block]] = []
        self._name = name
        self._styles = styles
        self._in_styles = self._in_body = self._in_header = False
        self._skipped_depth = 0
        self._grid: Grid | None = None
        self._sheet, self._number = "", -1
        self._columns: list[tuple[int, bool]] = []  # how many, and whether they are hidden
        self._row = _Row()
        self._rows = 0
        self._attributes: dict[str, str] = {}
        self._parts: list[str] | None = None
        self._characters = 0
        self._in_paragraph = 0
        self._left = MOST_TEXT_CHARACTERS

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if self._in_styles:
            self._styles.start(name, attributes)
        elif self._skipped_depth:
            self._skipped_depth += 1
        elif not self._in_body:
            self._in_styles = name in _STYLES
            self._in_body = name == "body"
        elif not self.body:
            self.body = name
        elif name in _SKIPPED or (name == "table" and self._is_hidden(attributes)):
            self._skipped_depth = 1
        elif name in ("p", "s", "tab", "line-break"):
            self._within(name)
        else:
            self._structure(name, attributes)

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if self._in_styles:
            self._in_styles = name not in _STYLES
            self._styles.end(name)
        elif self._skipped_depth:
            self._skipped_depth -= 1
        elif name == "p":
            self._in_paragraph = max(0, self._in_paragraph - 1)
        elif name in ("table-cell", "covered-table-cell"):
            self._end_cell()
        elif name == "table-row":
            self._end_row()
        elif name == "table-header-rows":
            self._in_header = False
        elif name == "table" and self._grid is not None:
            self._take(self._grid.ended())
            self._grid = None

    def text(self, text: str) -> None:
        """Takes text."""
        if not self._in_paragraph or self._skipped_depth or self._parts is None:
            return
        if self._characters < MOST_CELL_CHARACTERS:
            self._parts.append(text)
            self._characters += len(text)

    def _is_hidden(self, attributes: dict[str, str]) -> bool:
        return bool(self._styles.resolved(attributes.get("style-name", "")).is_hidden)

    def _within(self, name: str) -> None:
        self._in_paragraph += name == "p"
        if self._parts:
            self._parts.append(" ")

    def _structure(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table" and self._grid is None:
            self._sheet, self._number = attributes.get("name", "")[:300], self._number + 1
            self._grid = Grid(self._sheet)
            self._columns, self._rows = [], 0
        elif name == "table-column" and len(self._columns) < MOST_COLUMNS:
            self._columns.append((_repeated(attributes, "columns"), attributes.get("visibility") in _HIDDEN))
        elif name == "table-header-rows":
            self._in_header = True
        elif name == "table-row":
            self._row = _Row(_repeated(attributes, "rows"), attributes.get("visibility") in _HIDDEN)
        elif name in ("table-cell", "covered-table-cell"):
            self._attributes, self._parts, self._characters = attributes, [], 0

    def _end_cell(self) -> None:
        text = " ".join("".join(self._parts or []).split()) or _value(self._attributes)
        self._parts = None
        row, repeated = self._row, _repeated(self._attributes, "columns")
        if text and not row.is_hidden:
            kind = self._attributes.get("value-type", "string")
            is_bold = bool(self._styles.resolved(self._attributes.get("style-name", "")).is_bold)
            cell = Cell(text[:MOST_CELL_CHARACTERS], kind in ("string", "boolean"), is_bold)
            for column in range(row.column, min(row.column + repeated, MOST_COLUMNS)):
                if (place := self._shown_column(column)) is not None:
                    row.cells[place] = cell
        row.column = min(row.column + repeated, 1 << 20)

    def _shown_column(self, column: int) -> int | None:
        """Returns a column's number among those that are shown; None if it is hidden."""
        place = hidden = 0
        for count, is_hidden in self._columns:
            if column < place + count:
                return None if is_hidden else column - hidden
            place += count
            hidden += count if is_hidden else 0
        return column - hidden

    def _end_row(self) -> None:
        row, self._row = self._row, _Row()
        if row.is_hidden or self._grid is None:
            return
        if row.cells and row.repeated > MOST_REPEATED_ROWS:
            raise FileExcessive(self._name, f"one of its rows stands for more than {MOST_REPEATED_ROWS}")
        self._left -= row.repeated * sum(len(cell.text) for cell in row.cells.values())
        if self._left < 0:
            raise FileExcessive(self._name, f"its sheets show more than {MOST_TEXT_CHARACTERS} characters")
        for _ in range(row.repeated if row.cells else 0):
            self._grid.row(self._rows, row.cells, stays=self._in_header)
            self._rows += 1
            self._take(self._grid.taken())
        self._rows += 0 if row.cells else row.repeated

    def _take(self, blocks: list[Block]) -> None:
        self.out += [(self._sheet, self._number, block) for block in blocks]


def _repeated(attributes: dict[str, str], what: str) -> int:
    return max(1, number_in(attributes, f"number-{what}-repeated") or 1)


def _value(attributes: dict[str, str]) -> str:
    """Returns the value of a cell that does not say what it shows."""
    kind = attributes.get("value-type", "")
    if kind == "date":
        return attributes.get("date-value", "").replace("T00:00:00", "").replace("T", " ")
    if kind == "boolean":
        return attributes.get("boolean-value", "").upper()
    if kind == "string":
        return attributes.get("string-value", "")
    try:
        value = float(attributes.get("value", "")[:100])
        shown = general(value * 100 if kind == "percentage" else value)
    except (ValueError, OverflowError):
        return ""
    return f"{shown}%" if kind == "percentage" else f"{shown} {attributes.get('currency', '')}".strip()
