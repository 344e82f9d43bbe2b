"""CSV, also with semicolons, tabs or bars: each row is a record, or all rows are one record.

Python's csv module reads row by row, strictly. If it refuses a row for a stray quote, the row is read with backslashes
before its quotes, or cut at its delimiters, and must then have as many fields as there are columns; if not, it is an
error that names the line. Between tabs or bars, a quote is a character, unless it quotes a whole field. A first line
`sep=;`, as Excel writes it, names the delimiter. First lines with `#` are comments; the last of them may name the
columns.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.formats import decode, lines_of
from edgeqa.formats.blocks import MAX_RECORD_BYTES, TEXT_FIELDS, Record, RecordInvalid, RecordTooLong, find
from edgeqa.formats.plain import record
from edgeqa.formats.prose import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.formats.blocks import Block, FormatOptions

DELIMITERS = ",;\t|"
_TABBED = (".tsv", ".tab")
_NONE = "\x1f"  # this stands for the delimiter in a table of one column
_UNQUOTED = f"\t|{_NONE}"  # between these a quote is a character, unless it quotes a whole field


_SEPARATOR = re.compile(r'"?sep=(.)"?[ \t;,]*\n?', re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?[\d.,:/%€$£ -]*\d[\d.,:/%€$£ -]*")
_LINE_BYTES = 50  # a line that is held takes so many besides its characters
_MAX_LINES_IN_FIELD = 50  # a quoted field between tabs has at most so many


class _Row(NamedTuple):
    line: int
    """The line in which it begins, from 1."""
    number: int
    """Its number among the rows, from 1, as a spreadsheet counts: with comments, blank lines and names."""
    cells: list[str]


def read(blocks: Iterator[bytes], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record a row, without rows that have no text, or one record of all rows.

    Raises:
        FormatError: naming the line.
    """
    lines = _Lines(_decoded(blocks, name), name)
    comments = lines.comments()
    rows = _rows(lines, name, comments, options)
    first = next(rows, _Row(1, 1, []))
    header = first.cells
    fields = find(header, options, name, f"line {first.line}")
    if fields is None:
        yield Record(name, "", _blocks(comments, chain([first], rows)))
        return
    text_field, title_field = fields
    text_at = header.index(text_field)
    title_at = None if title_field is None else header.index(title_field)
    for line, _, row in rows:
        if any(row[len(header) :]):
            reason = f"{len(row)} fields, where the first line names {len(header)}"
            raise RecordInvalid(name, f"line {line}", reason, "put text with a delimiter in it in quotes")
        # Spreadsheets do not write empty cells at the end of a row.
        if len(row) > text_at and row[text_at].strip():
            title = row[title_at] if title_at is not None and len(row) > title_at else ""
            yield record(f"{name}#{line}", title, row[text_at])


def _blocks(comments: Sequence[str], rows: Iterator[_Row]) -> Iterator[Block]:
    """Yields a table as blocks. Single cells in the lines before the names of the columns are no rows of it."""
    made = Rows()
    yield from made.paragraph("\n".join(line.lstrip("#").strip() for line in comments))
    has_header = False
    for _, number, row in rows:
        filled = [cell for cell in row if cell.strip()]
        if not filled:  # spreadsheets write an empty row between a title and a table so
            continue
        if not has_header and len(filled) == 1 and len(row) != 1:
            yield from made.paragraph(filled[0])
        elif not has_header:
            has_header = True
            yield from made.row(row, is_header=_is_header(row))
        else:
            yield from made.row(row, number=number)


def _is_header(row: list[str]) -> bool:
    """Tells whether a first row names columns: no cell of it is a number, and no two are the same."""
    filled = [cell.strip() for cell in row if cell.strip()]
    return len(set(filled)) == len(filled) > 0 and not any(_NUMBER.fullmatch(cell) for cell in filled)


def _decoded(blocks: Iterator[bytes], name: str) -> Iterator[str]:
    """Yields the text, read as UTF-16 ("Unicode text" of Excel) if its first bytes say so, else as UTF-8."""
    first = next(blocks, b"")
    whole = chain([first], blocks)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return codecs.iterdecode(whole, "utf-16", errors="replace")
    return decode(whole, name)


def _delimiter(lines: _Lines, name: str, options: FormatOptions) -> str:
    """Returns the delimiter; takes away blank lines before the first row, and a line that names the delimiter."""
    while lines.first and not lines.first.strip():
        lines.begin_row()
        lines.skip()
        lines.first = lines.peek(0) or ""
    if (declared := _SEPARATOR.fullmatch(lines.first)) is not None:
        lines.skip()
        return declared[1]
    if name.lower().endswith(_TABBED) and "\t" in lines.first:  # the file's name decides, whatever is in the fields
        return "\t"
    outside = _outside_quotes(lines.first)
    delimiter = max(DELIMITERS, key=outside.count)
    only = lines.first.strip().strip('"')
    is_only = delimiter not in outside and (only == options.text_field or only.casefold() in TEXT_FIELDS)
    return _NONE if is_only else delimiter


def _rows(lines: _Lines, name: str, comments: list[str], options: FormatOptions) -> Iterator[_Row]:
    """Yields the rows that are not blank.

    Args:
        lines: the lines of the file.
        name: the name of the file.
        comments: the comments before them; the last is taken away if it names the columns.
        options: the user's options.
    """
    delimiter = _delimiter(lines, name, options)
    if comments and 0 < lines.first.count(delimiter) <= comments[-1].count(delimiter):
        names = comments.pop().strip()
        cells = (names[1:].lstrip() if names[1:2] != delimiter else names).split(delimiter)
        yield _Row(lines.number, lines.rows, cells)
    if delimiter in _UNQUOTED:
        yield from _parted(lines, delimiter)
        return
    columns = 0
    reader = _reader(lines, delimiter)
    while True:
        began = lines.begin_row()
        usual = csv.field_size_limit(MAX_RECORD_BYTES)  # a setting of the whole process, restored at once
        try:
            row = next(reader, None)
            if row is not None and len(row) > columns > 0:
                row, reader = _narrower(row, lines, delimiter, columns), _reader(lines, delimiter)
        except csv.Error as error:
            row = _escaped_row(lines, delimiter, columns)
            if row is None:
                lines.replay()
                row = _parted_row(lines, delimiter)
            reader = _reader(lines, delimiter)
            if row is None or (columns and len(row) != columns):
                reason = f"not CSV: {error}"
                raise RecordInvalid(name, f"line {began}", reason, "a quote within quotes is written twice") from error
        finally:
            csv.field_size_limit(usual)
        if row is None:
            return
        columns = columns or len(row)
        if row:
            yield _Row(began, lines.rows, row)


def _reader(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _escaped_row(lines: _Lines, delimiter: str, columns: int) -> list[str] | None:
    """Returns the fields of the current row, with backslashes before the quotes in them, as databases write it.

    It returns None if there are no such quotes, or if the number of fields is not that of the columns.
    """
    if not any('\\"' in line for line in lines.row_lines):
        return None
    lines.replay()
    try:
        row = next(csv.reader(lines, delimiter=delimiter, escapechar="\\", strict=True, skipinitialspace=True), None)
    except csv.Error:
        return None
    return row if row is not None and len(row) == columns else None


def _narrower(row: list[str], lines: _Lines, delimiter: str, columns: int) -> list[str]:
    """Returns a row with too many fields, read with backslashes before quotes if that gives the right number."""
    count = len(lines.row_lines)
    if (escaped := _escaped_row(lines, delimiter, columns)) is not None:
        return escaped
    lines.replay()
    lines.take(count)
    return row


def _parted(lines: _Lines, delimiter: str) -> Iterator[_Row]:
    """Yields rows whose delimiter is in none of the fields."""
    while True:
        began = lines.begin_row()
        row = _parted_row(lines, delimiter)
        if row is None:
            return
        if any(row):
            yield _Row(began, lines.rows, row)


def _parted_row(lines: _Lines, delimiter: str) -> list[str] | None:
    """Returns the fields of the next row; None where there is none."""
    line = next(lines, None)
    if line is None:
        return None
    text = line.removesuffix("\n")
    row: list[str] = []
    while True:
        if text.startswith('"') and (found := _quoted(text, lines, delimiter)) is not None:
            cell, rest = found
        else:
            cell, _, after = text.partition(delimiter)
            rest = after if delimiter in text else None
        row.append(cell)
        if rest is None:
            return row
        text = rest if delimiter in _UNQUOTED else rest.lstrip(" ")


def _quoted(text: str, lines: _Lines, delimiter: str) -> tuple[str, str | None] | None:
    """Returns a field in quotes and the rest of the line (None at its end); returns None if it is not quoted.

    Args:
        text: the rest of the line, from the quote on.
        lines: the next lines, for a field that goes on in them.
        delimiter: the delimiter that ends the field.
    """
    taken = 0
    while True:
        place = 1
        while (end := text.find('"', place)) >= 0 and text[end + 1 : end + 2] == '"':
            place = end + 2
        if end >= 0:
            after = text[end + 1 :].lstrip(" ")
            if after and not after.startswith(delimiter):
                return None
            lines.take(taken)
            return text[1:end].replace('""', '"'), after[1:] if after else None
        if taken == _MAX_LINES_IN_FIELD or (more := lines.peek(taken)) is None:
            return None
        text += "\n" + more.removesuffix("\n")
        taken += 1


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


class _Lines:
    """The lines of a text, each with a line feed; knows which row is being read, and where it began."""

    def __init__(self, text: Iterable[str], name: str) -> None:
        newlines = io.IncrementalNewlineDecoder(None, translate=True)
        decoded = chain(map(newlines.decode, text), (newlines.decode(last, final=True) for last in ("",)))
        lines = lines_of(decoded, "\n", MAX_RECORD_BYTES, lambda n: RecordTooLong(name, f"line {n}", MAX_RECORD_BYTES))
        self.first = next(lines, "")
        self._lines = chain([self.first], lines)
        self._name = name
        self.rows = 0
        """The number of rows that were begun."""
        self._number = 0
        self._row_characters = 0
        self._row_line = 1
        self._row_lines: list[str] = []
        self._ahead: deque[str] = deque()

    def comments(self) -> list[str]:
        """Takes away the lines with `#` before all others, and returns them."""
        found: list[str] = []
        while self.first.startswith("#") or (found and self.first and not self.first.strip()):
            self.begin_row()
            found.append(next(self))
            self.first = self.peek(0) or ""
        while found and not found[-1].strip():
            found.pop()
        return found

    @property
    def number(self) -> int:
        """The number of lines that were taken."""
        return self._number

    def skip(self) -> None:
        """Takes the first line away."""
        next(self)

    def peek(self, number: int) -> str | None:
        """Returns the line that is so many lines ahead, None if there is none."""
        while len(self._ahead) <= number:
            line = next(self._lines, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[number]

    def take(self, count: int) -> None:
        """Takes so many lines."""
        for _ in range(count):
            next(self)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else next(self._lines)
        self._number += 1
        self._row_lines.append(line)
        self._row_characters += len(line) + _LINE_BYTES
        if self._row_characters > MAX_RECORD_BYTES:
            raise RecordTooLong(self._name, f"line {self._row_line}", MAX_RECORD_BYTES)
        return line

    @property
    def row_lines(self) -> list[str]:
        """The lines of the current row."""
        return self._row_lines

    def replay(self) -> None:
        """Gives back the lines of the row that was begun."""
        self._ahead.extendleft(reversed(self._row_lines))
        self._number -= len(self._row_lines)
        self._row_characters = 0
        self._row_lines.clear()

    def begin_row(self) -> int:
        """Returns the number of the line where the next row begins."""
        self._row_characters, self._row_line = 0, self._number + 1
        self._row_lines.clear()
        self.rows += 1
        return self._row_line
