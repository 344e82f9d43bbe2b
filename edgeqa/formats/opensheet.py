"""ODS: each sheet of a spreadsheet of LibreOffice is a record, named `FILE#Sheet`; its rows are rows of tables.

Cells say what they show, so numbers need no formats. Hidden sheets, rows and columns are left out. Cells and rows may
be written once and stand for any number: those with text are repeated up to a bound, and refused beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import IO, TYPE_CHECKING

from edgeqa.formats.blocks import FormatOptions, Record
from edgeqa.formats.cells import MOST_COLUMNS, Cell, Grid, general, is_name_alone, title_of
from edgeqa.formats.errors import FileExcessive
from edgeqa.formats.odfstyles import CONTENT, META, Content, OdfStyles, opened
from edgeqa.formats.package import Package, number_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.blocks import Block

MOST_REPEATED_ROWS = 10_000  # that have text
MOST_TEXT_CHARACTERS = 1 << 28  # of the file: what is repeated counts
MOST_CELL_CHARACTERS = 1 << 16
_HIDDEN = ("collapse", "filter")
_SKIPPED = frozenset(("annotation", "tracked-changes", "forms", "shapes", "title", "desc", "content-validations"))


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a sheet; empty ones are left out.

    Raises:
        FormatError: if it is no such document, or is encrypted.
    """
    package, styles = opened(stream, name)
    title = package.title(META)
    for (sheet, _), group in groupby(_settled(package, _Sheets(package, styles)), key=itemgetter(0, 1)):
        blocks = (block for _, _, block in group)
        begin = list(islice(blocks, 2))
        if not is_name_alone(begin):
            yield Record(f"{name}#{sheet}", title_of(title, sheet), chain(begin, blocks))


def _settled(package: Package, sheets: _Sheets) -> Iterator[tuple[str, int, Block]]:
    """Yields the blocks, each with the name and the number of its sheet."""
    for _ in package.parse(CONTENT, sheets):
        out, sheets.out = sheets.out, []
        yield from out


@dataclass(slots=True)
class _Row:
    repeated: int = 1
    is_hidden: bool = False
    column: int = 0
    shown_column: int = 0
    cells: dict[int, Cell] = field(default_factory=dict)


class _Sheets(Content):
    """Takes the sheets of a document."""

    def __init__(self, package: Package, styles: OdfStyles) -> None:
        super().__init__(package, styles, ("spreadsheet",), _SKIPPED)
        self.out: list[tuple[str, int, Block]] = []
        self._name = package.name
        self._in_header = False
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

    def finish(self, name: str) -> None:
        if name == "p":
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

    def write(self, text: str) -> None:
        if self._in_paragraph and self._parts is not None and self._characters < MOST_CELL_CHARACTERS:
            self._parts.append(text)
            self._characters += len(text)

    def _is_hidden(self, attributes: dict[str, str]) -> bool:
        return bool(self.styles.resolved(attributes.get("style-name", "")).is_hidden)

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self.is_left_out = name == "table" and self._is_hidden(attributes)
        if self.is_left_out:
            return
        if name in ("p", "s", "tab", "line-break"):
            self._in_paragraph += name == "p"
            if self._parts:
                self._parts.append(" ")
        elif name == "table" and self._grid is None:
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
            is_bold = bool(self.styles.resolved(self._attributes.get("style-name", "")).is_bold)
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
