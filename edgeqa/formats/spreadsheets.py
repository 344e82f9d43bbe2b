"""XLSX and ODS: each sheet of a spreadsheet is a record, named `FILE#Sheet`; its rows are rows of tables.

Numbers, dates and percents are written as Excel shows them, and in ODS as the cells give them. Hidden sheets, rows and
columns are left out. A formula counts by its result. The text of boxes over a sheet stands at its end. The file is read
row by row, whatever its size; only the strings that cells share are held. In ODS, a cell or a row may be written once
and stand for many: those with text are repeated up to a limit, and refused beyond it.

The formats are ECMA-376, SpreadsheetML, and OpenDocument 1.3, by OASIS.
"""

from __future__ import annotations

import contextlib
import re
from array import array
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, groupby, islice
from operator import itemgetter
from typing import IO, TYPE_CHECKING

from edgeqa.formats import cells, nfc
from edgeqa.formats.archive import Handler, OfficePackage, Package, Relations, is_on, number_in
from edgeqa.formats.blocks import Block, FileDamaged, FileExcessive, FormatOptions, Record
from edgeqa.formats.cells import MAX_SHOWN_COLUMNS, Cell, CellText, Grid, general, is_name_alone, title_of
from edgeqa.formats.opendocument import CONTENT, META, Content, OdfStyles, open_document
from edgeqa.formats.slides import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SHARED_BYTES = 1 << 26  # the strings that cells share take at most so many
MAX_TEXT_CHARACTERS = 1 << 28  # a sheet has at most so many: its cells may all show the same long string
MAX_COLUMNS = 16_384  # Excel has so many
MAX_SHEETS = 4096
MAX_FORMATS = 1 << 16
MAX_MERGES = 1 << 16  # a sheet has at most so many
MAX_MERGED_COLUMNS = 100  # one cell covers at most so many
_REFERENCE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_MERGED = re.compile(rb"mergeCell\s[^<>]{0,200}?ref\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})[\"']")
_MAX_MERGE_BYTES = 300
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_HIDDEN = ("hidden", "veryHidden")


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a sheet; empty ones are left out.

    Raises:
        FormatError: if it is no XLSX file.
    """
    package = OfficePackage(stream, name, "XLSX", "xl/workbook.xml")
    workbook, looks, shared = _Workbook(), _Looks(), _Shared(name)
    for _ in package.parse(package.main, workbook, "workbook"):
        pass
    title = package.stated_title()
    folder = package.main.rpartition("/")[0]
    for kind, handler in (("styles", looks), ("sharedStrings", shared)):
        for part in package.relations.targets.get(kind, [f"{folder}/{kind}.xml"])[:1]:
            package.take(part, handler)
    for sheet_name, relation in workbook.sheets:
        part = package.relations.by_id.get(relation, "")
        if part in package:
            blocks = _blocks(package, part, _Sheet(name, sheet_name, looks, shared, since_1904=workbook.since_1904))
            begin = list(islice(blocks, 2))
            if not is_name_alone(begin):
                yield Record(f"{name}#{sheet_name}", title_of(title, sheet_name), chain(begin, blocks))
        else:
            yield Record(f"{name}#{sheet_name}", "", (), note="the workbook names it, but has no such part")


def _blocks(package: OfficePackage, part: str, sheet: _Sheet) -> Iterator[Block]:
    # The list of merged cells stands after all cells, so that the part is read twice, first for that list alone.
    sheet.merge(_merges(package.blocks(part)))
    for _ in package.parse(part, sheet):
        yield from sheet.grid.pop()
    yield from sheet.grid.finish()
    for drawing in Relations(package, part).targets.get("drawing", []) if sheet.has_drawing else ():
        with contextlib.suppress(FileDamaged):  # the rows do without
            yield from drawn(package, drawing)


def _merges(blocks: Iterator[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Yields the first and last row and the first and last column of cells that are merged."""
    held = b""
    for block in blocks:
        held += block
        end = 0
        for found in _MERGED.finditer(held):
            end = found.end()
            left, right = (_column(found[group].decode("ascii")) for group in (1, 3))
            yield int(found[2]) - 1, int(found[4]) - 1, left, right
        held = held[max(end, len(held) - _MAX_MERGE_BYTES) :]


class _Workbook(Handler):
    """Finds the sheets that are shown."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        """Name and relation of each."""
        self.since_1904 = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sheet" and attributes.get("state") not in _HIDDEN and len(self.sheets) < MAX_SHEETS:
            self.sheets.append((attributes.get("name", "")[:300], attributes.get("id", "")))
        elif name == "workbookPr":
            self.since_1904 = is_on(attributes, "date1904", "0")


class _Looks(Handler):
    """The styles of cells: the code of each style's format, and whether it is bold."""

    def __init__(self) -> None:
        self._codes: dict[int, str] = dict(cells.BUILT_IN)
        self._fonts: list[bool] = []
        self._styles: list[tuple[int, int]] = []
        self._in = ""

    def of(self, style: int) -> tuple[str, bool]:
        """Returns the code of a style's format, and whether it is bold."""
        if not 0 <= style < len(self._styles):
            return "General", False
        format_id, font = self._styles[style]
        return self._codes.get(format_id, "General"), 0 <= font < len(self._fonts) and self._fonts[font]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("cellXfs", "fonts", "cellStyleXfs", "dxfs"):
            self._in = name
        elif name == "numFmt" and self._in != "dxfs" and len(self._codes) < MAX_FORMATS:
            self._codes[number_in(attributes, "numFmtId") or 0] = attributes.get("formatCode", "General")
        elif name == "font" and self._in == "fonts" and len(self._fonts) < MAX_FORMATS:
            self._fonts.append(False)
        elif name == "b" and self._in == "fonts" and self._fonts:
            self._fonts[-1] = is_on(attributes)
        elif name == "xf" and self._in == "cellXfs" and len(self._styles) < MAX_FORMATS:
            self._styles.append((number_in(attributes, "numFmtId") or 0, number_in(attributes, "fontId") or 0))

    def end(self, name: str) -> None:
        if name == self._in:
            self._in = ""


class _Runs:
    """The text of a cell, or of a shared string, while it is read: its runs, without phonetic aids."""

    def __init__(self) -> None:
        self._text = CellText()
        self._aids = self._raised = 0
        self._is_open = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._is_open = name in ("t", "v") and not self._aids
        if self._is_open:
            return
        if name == "vertAlign":
            self._raised = {"superscript": 1, "subscript": -1}.get(attributes.get("val", ""), 0)
        elif name in ("r", "c", "si"):
            self._raised = 0
        elif name == "rPh":
            self._aids += 1

    def end(self, name: str) -> None:
        self._is_open = False
        if name == "rPh":
            self._aids = max(0, self._aids - 1)

    def add(self, text: str) -> None:
        if self._is_open:
            self._text.add(text, self._raised)

    def take(self) -> str:
        """Returns the text since the last call."""
        return self._text.take()


class _Shared(Handler):
    """The strings that cells share, in one piece of memory."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bytes = bytearray()
        self._ends = array("Q")
        self._runs = _Runs()

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self._ends):
            return ""
        begin = self._ends[number - 1] if number else 0
        return self._bytes[begin : self._ends[number]].decode("utf-8", "replace")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._runs.start(name, attributes)

    def end(self, name: str) -> None:
        self._runs.end(name)
        if name == "si":
            self._bytes += _unescaped(self._runs.take()).encode("utf-8", "surrogatepass")
            self._ends.append(len(self._bytes))
            if len(self._bytes) + 8 * len(self._ends) > MAX_SHARED_BYTES:
                raise FileExcessive(self._name, f"its cells share more than {MAX_SHARED_BYTES} bytes of text")

    def text(self, text: str) -> None:
        self._runs.add(text)


@dataclass(slots=True)
class _Row:
    number: int = -1
    is_hidden: bool = False
    column: int = -1
    repeated: int = 1
    cells: dict[int, Cell] = field(default_factory=dict)


class _Columns:
    """The hidden columns, and the numbers of the visible ones."""

    def __init__(self) -> None:
        self.are_hidden = False
        """Whether any column is hidden."""
        self._hidden = bytearray(MAX_COLUMNS)
        self._before: list[int] = []  # by column: how many before it are hidden; made when it is first needed

    def hide(self, first: int, after: int) -> None:
        """Hides columns; it must be called before any column's number is needed."""
        first, after = max(0, first), min(after, MAX_COLUMNS)
        if first < after and not self._before:
            self._hidden[first:after] = b"\1" * (after - first)
            self.are_hidden = True

    def shown(self, column: int) -> int | None:
        """Returns the number of a column among the visible ones; None if it is hidden."""
        if not self._before:
            self._before = list(accumulate(self._hidden, initial=0))
        return None if self._hidden[column] else column - self._before[column]

    def count(self, first: int, last: int) -> int:
        """Returns the number of these columns that are shown: at least one, and no more than MAX_MERGED_COLUMNS."""
        last = min(last, first + MAX_MERGED_COLUMNS - 1, MAX_COLUMNS - 1)
        return max(1, sum(self.shown(column) is not None for column in range(first, last + 1)))


class _Sheet(Handler):
    """Takes the rows of one sheet."""

    def __init__(self, file_name: str, name: str, looks: _Looks, shared: _Shared, *, since_1904: bool) -> None:
        self.grid = Grid(name)
        self._name = file_name
        self._looks, self._shared, self._since_1904 = looks, shared, since_1904
        self._columns = _Columns()
        self._frozen_rows = 0
        self._row = _Row()
        self._hidden_rows = 0
        self._kind = ""
        self._style = 0
        self._runs = _Runs()
        self._left = MAX_TEXT_CHARACTERS
        # The last row and column of merged cells, by the first ones.
        self._merges: dict[tuple[int, int], tuple[int, int]] = {}
        self.has_drawing = False
        """Whether a drawing lies over it."""
        self._merged: dict[int, tuple[int, Cell]] = {}  # by column, until which row which cell goes on

    def merge(self, merges: Iterator[tuple[int, int, int, int]]) -> None:
        """Takes which cells are merged: first and last row, first and last column."""
        for top, bottom, left, right in merges:
            if len(self._merges) < MAX_MERGES:
                self._merges[top, left] = bottom, right

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._runs.start(name, attributes)
        if name == "c":
            self._begin_cell(attributes)
        elif name == "row":
            number = number_in(attributes, "r")
            is_hidden = is_on(attributes, "hidden", "0") or attributes.get("ht") == "0"
            self._row = _Row(number - 1 if number is not None and number > 0 else self._row.number + 1, is_hidden)
        elif name == "col" and (is_on(attributes, "hidden", "0") or attributes.get("width") == "0"):
            self._columns.hide((number_in(attributes, "min") or 0) - 1, number_in(attributes, "max") or 0)
        elif name == "drawing":
            self.has_drawing = True
        elif name == "pane" and attributes.get("state", "").startswith("frozen"):
            self._frozen_rows = number_in({"val": attributes.get("ySplit", "0").partition(".")[0]}) or 0

    def end(self, name: str) -> None:
        self._runs.end(name)
        if name == "c":
            self._end_cell()
        elif name == "row":
            self._end_row()

    def text(self, text: str) -> None:
        self._runs.add(text)

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        found = _REFERENCE.fullmatch(attributes.get("r", ""))
        self._row.column = _column(found[1]) if found else self._row.column + 1
        self._kind = attributes.get("t", "n")
        self._style = number_in(attributes, "s") or 0
        self._runs.take()

    def _end_cell(self) -> None:
        value = self._runs.take()
        row, column = self._row, self._row.column
        if not value or row.is_hidden or column >= MAX_COLUMNS:
            return
        if self._columns.are_hidden and self._columns.shown(column) is None:
            return
        cell = self._cell(value)
        if cell.text.strip():
            self._put(row, column, cell)

    def _put(self, row: _Row, column: int, cell: Cell) -> None:
        row.cells[column] = cell
        self._left -= len(cell.text)
        if self._left < 0:
            raise FileExcessive(self._name, f"one of its sheets shows more than {MAX_TEXT_CHARACTERS} characters")

    def _cell(self, value: str) -> Cell:
        code, is_bold = self._looks.of(self._style)
        if self._kind == "s":
            number = value.strip()
            text = self._shared[int(number)] if number.isdecimal() and len(number) < 10 else ""
            return Cell(cells.text_shown(text, code), is_bold=is_bold)
        if self._kind in ("str", "inlineStr", "e"):
            return Cell(cells.text_shown(_unescaped(value), code), is_bold=is_bold)
        if self._kind == "b":
            return Cell("TRUE" if value.strip() == "1" else "FALSE", is_bold=is_bold)
        if self._kind == "d":
            return Cell(value.strip().replace("T00:00:00", "").replace("T", " "), is_text=False, is_bold=is_bold)
        try:
            number_value = float(value[:100])
        except ValueError:
            return Cell(value, is_bold=is_bold)
        shown = cells.shown(number_value, code, since_1904=self._since_1904)
        return Cell(shown, is_text=False, is_bold=is_bold)

    def _end_row(self) -> None:
        row = self._row
        if row.is_hidden:
            self._hidden_rows += 1
            return
        if self._merges:
            self._repeat(row)
        stays = row.number < self._frozen_rows
        shown = row.cells
        if self._columns.are_hidden:
            places = ((self._columns.shown(column), cell) for column, cell in shown.items())
            shown = {place: cell for place, cell in places if place is not None}
        self.grid.row(row.number - self._hidden_rows, row.number + 1, shown, stays=stays)

    def _repeat(self, row: _Row) -> None:
        """Adds the cells that go on from above to the row, if it has other cells."""
        merged = {column: (last, cell) for column, (last, cell) in self._merged.items() if row.number <= last}
        for column, (_, cell) in merged.items() if row.cells else ():
            if column not in row.cells:
                self._put(row, column, cell)
        for column, cell in row.cells.items():
            if (found := self._merges.get((row.number, column))) is not None:
                last, right = found
                row.cells[column] = wide = replace(cell, columns=self._columns.count(column, right))
                if last > row.number:
                    merged[column] = (last, wide)
        self._merged = merged


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _unescaped(text: str) -> str:
    """Returns text with the characters that Excel writes as `_x000D_` restored."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


# The rest reads OpenDocument.

MAX_REPEATED_ROWS = 10_000  # a row with text is repeated so often at most
MAX_REPEATED_CELLS = 1 << 20  # repetitions add at most so many cells with text to a file
_BREAKS = {**dict.fromkeys(("p", "s", "tab", "line-break"), " "), "ruby-text": " ("}
_COLLAPSED = ("collapse", "filter")
_SKIPPED = frozenset(
    ("annotation", "tracked-changes", "forms", "title", "desc", "content-validations", "dde-links", "script")
)


def read_ods(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a sheet; empty ones are left out.

    Raises:
        FormatError: if it is no such document, or is encrypted.
    """
    package, styles = open_document(stream, name)
    title = package.title(META)
    for (sheet, _), group in groupby(_blocks_of_sheets(package, _Sheets(package, styles)), key=itemgetter(0, 1)):
        blocks = (block for _, _, block in group)
        begin = list(islice(blocks, 2))
        if not is_name_alone(begin):
            yield Record(f"{name}#{sheet}", title_of(title, sheet), chain(begin, blocks))


def _blocks_of_sheets(package: Package, sheets: _Sheets) -> Iterator[tuple[str, int, Block]]:
    """Yields the blocks, each with the name and the number of its sheet."""
    for _ in package.parse(CONTENT, sheets):
        out, sheets.out = sheets.out, []
        yield from out


class _Sheets(Content):
    """Takes the sheets of a document."""

    def __init__(self, package: Package, styles: OdfStyles) -> None:
        super().__init__(package, styles, ("spreadsheet",), _SKIPPED)
        self.out: list[tuple[str, int, Block]] = []
        self._name = package.name
        self._in_header = False
        self._grid: Grid | None = None
        self._sheet, self._number = "", -1
        self._columns, self._column = _Columns(), 0
        self._row = _Row(column=0)
        self._rows = self._place_in_sheet = 0
        self._attributes: dict[str, str] = {}
        self._text = CellText()
        self._in_paragraph = 0
        self._spans: list[int] = []  # for each open span: whether it is raised or lowered
        self._merged: dict[int, tuple[int, Cell]] = {}  # by column, until which row which cell goes on
        self._left = MAX_TEXT_CHARACTERS
        self._repeated_cells = 0
        self._shapes = 0  # the number of open elements for shapes over the sheet
        self._drawn: list[str] = []  # the paragraphs of their text

    def finish(self, name: str) -> None:
        if name == "p":
            self._in_paragraph = max(0, self._in_paragraph - 1)
            if self._shapes and (text := " ".join(self._text.take().split())):
                self._use(len(text))
                self._drawn.append(text)
        elif name == "shapes":
            self._shapes = max(0, self._shapes - 1)
        elif name == "span" and self._spans:
            self._spans.pop()
        elif name == "ruby-text":
            self._text.add(")")
        elif name in ("table-cell", "covered-table-cell"):
            self._end_cell(is_covered=name == "covered-table-cell")
        elif name == "table-row":
            self._end_row()
        elif name == "table-header-rows":
            self._in_header = False
        elif name == "table" and self._grid is not None:
            drawn, self._drawn = self._drawn, []
            self._take([*self._grid.finish(), *(Block(nfc(text), "\n\n") for text in drawn)])
            self._grid = None

    def write(self, text: str) -> None:
        if self._in_paragraph:
            self._text.add(text, next((raised for raised in reversed(self._spans) if raised), 0))

    def _is_hidden(self, attributes: dict[str, str]) -> bool:
        return bool(self.styles.resolved(attributes.get("style-name", "")).is_hidden)

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self.is_left_out = name in ("table", "span") and self._is_hidden(attributes)
        if self.is_left_out:
            return
        if name in _BREAKS:
            self._in_paragraph += name == "p"
            self._text.add(_BREAKS[name])
        elif name == "shapes":
            self._shapes += 1
            self._text.take()
        elif name == "span":
            self._spans.append(self.styles.resolved(attributes.get("style-name", "")).raised or 0)
        elif name == "table" and self._grid is None:
            self._sheet, self._number = attributes.get("name", "")[:300], self._number + 1
            self._grid = Grid(self._sheet)
            self._columns, self._column, self._rows, self._place_in_sheet = _Columns(), 0, 0, 0
            self._merged = {}
        elif name.startswith("table-") or name == "covered-table-cell":
            self._begin_part(name, attributes)

    def _begin_part(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table-column":
            first, self._column = self._column, min(self._column + _repeated(attributes, "columns"), MAX_COLUMNS)
            if attributes.get("visibility") in _COLLAPSED:
                self._columns.hide(first, self._column)
        elif name == "table-header-rows":
            self._in_header = True
        elif name == "table-row":
            self._row = _Row(0, attributes.get("visibility") in _COLLAPSED, 0, _repeated(attributes, "rows"))
        elif name in ("table-cell", "covered-table-cell"):
            self._attributes, self._spans = attributes, []
            self._text.take()

    def _end_cell(self, *, is_covered: bool) -> None:
        text = "" if is_covered else " ".join(self._text.take().split()) or _value(self._attributes)
        row, repeated = self._row, _repeated(self._attributes, "columns")
        if text and not row.is_hidden:
            kind = self._attributes.get("value-type", "string")
            is_bold = bool(self.styles.resolved(self._attributes.get("style-name", "")).is_bold)
            cell = Cell(text, kind in ("string", "boolean"), is_bold)
            rows = number_in(self._attributes, "number-rows-spanned") or 1
            columns = number_in(self._attributes, "number-columns-spanned") or 1
            if columns > 1 and repeated == 1:
                cell = replace(cell, columns=self._columns.count(row.column, row.column + columns - 1))
            after = min(row.column + repeated, MAX_SHOWN_COLUMNS)
            self._count(after - row.column - 1)
            for column in range(row.column, after):
                if (place := self._columns.shown(column)) is not None:
                    row.cells[place] = cell
                    if rows > 1:
                        self._merged[place] = (self._place_in_sheet + rows - 1, cell)
        row.column = min(row.column + repeated, 1 << 20)

    def _end_row(self) -> None:
        row, self._row = self._row, _Row(column=0)
        place, self._place_in_sheet = self._place_in_sheet, self._place_in_sheet + row.repeated
        if row.is_hidden or self._grid is None:
            return
        self._merged = {column: found for column, found in self._merged.items() if found[0] >= place}
        for column, (_, cell) in self._merged.items() if row.cells else ():
            if column not in row.cells:
                row.cells[column] = cell
        if row.cells and row.repeated > MAX_REPEATED_ROWS:
            raise FileExcessive(self._name, f"one of its rows stands for more than {MAX_REPEATED_ROWS}")
        self._count((row.repeated - 1) * len(row.cells))
        self._use(row.repeated * sum(len(cell.text) for cell in row.cells.values()))
        for number in range(row.repeated if row.cells else 0):
            self._grid.row(self._rows, place + number + 1, row.cells, stays=self._in_header)
            self._rows += 1
            self._take(self._grid.pop())
        self._rows += 0 if row.cells else row.repeated

    def _use(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise FileExcessive(self._name, f"its sheets show more than {MAX_TEXT_CHARACTERS} characters")

    def _count(self, more: int) -> None:
        self._repeated_cells += max(0, more)
        if self._repeated_cells > MAX_REPEATED_CELLS:
            raise FileExcessive(self._name, f"its cells stand for more than {MAX_REPEATED_CELLS} others")

    def _take(self, blocks: list[Block]) -> None:
        self.out += [(self._sheet, self._number, block) for block in blocks]


def _repeated(attributes: dict[str, str], what: str) -> int:
    return max(1, number_in(attributes, f"number-{what}-repeated") or 1)


def _value(attributes: dict[str, str]) -> str:
    """Returns the value of a cell that does not hold the text that it shows."""
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
