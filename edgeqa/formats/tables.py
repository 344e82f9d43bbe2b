"""CSV, also with semicolons, tabs or bars: the first line names the fields, each row is a record named after its line.

Read row by row by Python's csv module, strictly: a stray quote is an error that names its line, rather than a field
that swallows what follows.
"""

from __future__ import annotations

import csv
import io
from itertools import chain
from typing import TYPE_CHECKING

from edgeqa.contexts.documents import decode
from edgeqa.formats.errors import RecordInvalid, RecordTooLong
from edgeqa.formats.fields import MOST_RECORD_BYTES, choose
from edgeqa.formats.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.records import FormatOptions, Record

DELIMITERS = ",;\t|"


def read(blocks: Iterator[bytes], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record a row; rows without text are left out.

    Raises:
        FormatError: naming the line.
    """
    rows = _rows(decode(blocks, name), name)
    header_line, header = next(rows, (1, []))
    text_field, title_field = choose(header, options, name, f"line {header_line}")
    text_at = header.index(text_field)
    title_at = None if title_field is None else header.index(title_field)
    for line, row in rows:
        if any(row[len(header) :]):
            reason = f"{len(row)} fields, where the first line names {len(header)}"
            raise RecordInvalid(name, f"line {line}", reason, "put text with a delimiter in it in quotes")
        # Spreadsheets leave out empty cells at the end of a row.
        if len(row) > text_at and row[text_at].strip():
            title = row[title_at] if title_at is not None and len(row) > title_at else ""
            yield record(f"{name}#{line}", title, row[text_at])


def _rows(text: Iterable[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows that are not blank, each with the number of the line that it begins in."""
    lines = _Lines(text, name)
    delimiter = max(DELIMITERS, key=_outside_quotes(lines.first).count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        began = lines.begin_row()
        usual = csv.field_size_limit(MOST_RECORD_BYTES)  # of the whole process, so it is given back at once
        try:
            row = next(reader, None)
        except csv.Error as error:
            reason = f"not CSV: {error}"
            raise RecordInvalid(name, f"line {began}", reason, "a quote within quotes is written twice") from error
        finally:
            csv.field_size_limit(usual)
        if row is None:
            return
        if row:
            yield began, row


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


class _Lines:
    """The lines of a text, each with a line feed; knows where the row that is being read began."""

    def __init__(self, text: Iterable[str], name: str) -> None:
        lines = _lines(text, name)
        self.first = next(lines, "")
        self._lines = chain([self.first], lines)
        self._name = name
        self._number = 0
        self._row_characters = 0
        self._row_line = 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        self._row_characters += len(line)
        if self._row_characters > MOST_RECORD_BYTES:
            raise RecordTooLong(self._name, f"line {self._row_line}", MOST_RECORD_BYTES)
        return line

    def begin_row(self) -> int:
        """Returns the number of the line where the next row begins."""
        self._row_characters, self._row_line = 0, self._number + 1
        return self._row_line


def _lines(text: Iterable[str], name: str) -> Iterator[str]:
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    number, parts, held = 1, [], 0
    for block in text:
        first, *others = newlines.decode(block).split("\n")
        parts.append(first)
        held += len(first)
        for line in others:
            parts.append("\n")
            yield "".join(parts)
            number, parts, held = number + 1, [line], len(line)
        if held > MOST_RECORD_BYTES:
            raise RecordTooLong(name, f"line {number}", MOST_RECORD_BYTES)
    if last := "".join(parts) + newlines.decode("", final=True):
        yield last
