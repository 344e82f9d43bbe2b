"""Tables in plain text: this module finds tables that people lay out with bars, tabs, colons, keys or blanks. Pure.

In: the lines of a group, without a blank line between them. Out: the table that begins with a line, if there is one,
and its rows with their cells. A table has three rows, or a rule below its names. Its columns have the same blanks
between them in all rows, and the gaps differ in width; gaps of one width may be the double blanks of justified prose.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeqa.formats.blocks import BlockKind

MIN_ROWS = 3
MIN_SURE_ROWS = 6  # so many rows are a table though the next line is none of it
GAP = re.compile(r"\S(?: {2,}|[ ]*\t[ \t]*)(?=\S)")
_WIDE_GAP = re.compile(r"\S(?: {3,}|[ ]*\t[ \t]*)\S")
_KEY = re.compile(r"[ \t]*([^\W_](?:[^:=\n]{0,38}[^:=\s])?)[ \t]*(:[ \t]+|[ \t]=[ \t]+|=(?=\S))(\S.*)")
_CLOCK = re.compile(r"\d\d?:\d\d")
_AMOUNT = re.compile(r"[-+~<>≤≥±$€£¥]?\d|[-\u2013\u2014]$")
_BAR = re.compile(r"[ \t]*[|│║┃][ \t]*")
_TABS = re.compile(r" *\t[ \t]*")
_TAB = re.compile(r" *\t *")
_WORDS = re.compile(r"\S+")
_COLUMN = re.compile(r"1(?:0?1)*")
_RULE = re.compile(r"[-=+|:~_ \t\u2500-\u257f]*[-=~_\u2500\u2501\u2550]{2,}[-=+|:~_ \t\u2500-\u257f]*$")

Cells: TypeAlias = "list[tuple[int, int]]"


class Line(NamedTuple):
    """A line of a group."""

    begin: int
    """Where its text begins in the group, after its indentation."""
    end: int
    indent: int
    """Its indentation in columns; a tab reaches to the next multiple of 8."""
    text: str
    """Its text, without white space around it."""


class Span(NamedTuple):
    """A block of a group."""

    begin: int
    end: int
    kind: BlockKind
    level: int = 0
    cells: tuple[tuple[int, int], ...] = ()
    """The places of its cells in the group."""
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a table, and the way they are cut into cells."""

    cut: Callable[[Line], Cells | None]
    """Returns the places of a line's cells; None for a rule."""
    end: int
    """The line after the last."""
    has_header: bool

    def rows(self, lines: Sequence[Line], level: int = 0) -> list[Span]:
        """Returns one span for each row; a rule belongs to the row above it, or at the top to the row below it."""
        spans: list[Span] = []
        top: int | None = None
        for line in lines:
            cells = self.cut(line)
            if cells is None and not spans:
                top = line.begin if top is None else top
            elif cells is None:
                spans[-1] = spans[-1]._replace(end=line.end)
            elif spans and len(cells) == 2 and _is_empty(cells[0]) and len(spans[-1].cells) == 2:
                first, second = spans[-1].cells
                begin = cells[1][0] if _is_empty(second) else second[0]
                spans[-1] = spans[-1]._replace(end=line.end, cells=(first, (begin, cells[1][1])))
            else:
                kind: BlockKind = "header" if self.has_header and not spans else "row"
                begin = line.begin if top is None else top
                spans.append(Span(begin, line.end, kind, level, tuple(cells), not spans))
                top = None
        return spans


def _is_empty(cell: tuple[int, int]) -> bool:
    return cell[0] == cell[1]


def table_at(lines: Sequence[Line], at: int) -> Table | None:
    """Returns the table that begins with a line; None if none does."""
    text = lines[at].text
    if len(lines) - at < 2:
        return None
    if "|" in text or "│" in text or _RULE.fullmatch(text):
        found = _delimited(lines, at, _cut_at_bars)
    elif "\t" in text and not at and not lines[0].indent and all("\t" in line.text for line in lines):
        # Several tabs in a row align cells, or stand around empty ones.
        found = _delimited(lines, at, partial(_cut_at, _TABS))
        if found is None or found.end < len(lines):
            found = _delimited(lines, at, partial(_cut_at, _TAB)) or found
    elif "  " in text or "\t" in text:
        found = _columns(lines, at)
    else:
        found = None
    if found is None and (":" in text or "=" in text):
        found = _keys(lines, at) or _colons(lines, at)
    return found


def _delimited(lines: Sequence[Line], at: int, cut: Callable[[Line], Cells | None]) -> Table | None:
    """Returns the table of lines that a mark cuts into the same number of cells, two or more."""
    rows: list[list[str]] = []
    rules: list[tuple[int, str]] = []  # for each rule: the number of rows above it, and its characters
    end = at
    for line in lines[at:]:
        cells = cut(line)
        if cells is None:
            rules.append((len(rows), line.text))
        elif len(cells) < 2 or (rows and len(cells) != len(rows[0])):
            break
        else:
            rows.append(_texts(line, cells))
        end += 1
    if not rows or len(rows) < (2 if rules or len(rows[0]) > 2 else MIN_ROWS):
        return None
    return Table(cut, end, _is_ruled_off(rules, len(rows)) or _has_header(rows))


def _is_ruled_off(rules: Sequence[tuple[int, str]], rows: int) -> bool:
    """Tells whether the first row has a rule of its own below it."""
    between = [number for number, _ in rules if 0 < number < rows]
    return between == [1] or any(number == 1 and ("=" in rule or "═" in rule) for number, rule in rules)


def _texts(line: Line, cells: Cells) -> list[str]:
    return [line.text[begin - line.begin : end - line.begin] for begin, end in cells]


def _cut_at_bars(line: Line) -> Cells | None:
    if _RULE.fullmatch(line.text):
        return None
    cells = _cut_at(_BAR, line)
    if len(cells) > 1 and _is_empty(cells[0]):
        cells = cells[1:]
    return cells[:-1] if len(cells) > 1 and _is_empty(cells[-1]) else cells


def _cut_at(mark: re.Pattern[str], line: Line) -> Cells:
    cells, begin = [], 0
    for found in mark.finditer(line.text):
        cells.append((line.begin + begin, line.begin + found.start()))
        begin = found.end()
    return [*cells, (line.begin + begin, line.end)]


def _cut_at_colons(line: Line) -> Cells:
    cells, begin = [], line.begin
    for part in line.text.split(":"):
        cells.append((begin, begin + len(part)))
        begin += len(part) + 1
    return cells


def _colons(lines: Sequence[Line], at: int) -> Table | None:
    """Returns the table of lines like `a:b:c`, as in the files of Unix."""
    wanted = lines[at].text.count(":")
    end = at
    while wanted and end < len(lines) and _has_colons(lines[end].text, wanted):
        end += 1
    if not wanted or end - at < MIN_ROWS or all(_CLOCK.search(line.text) for line in lines[at:end]):
        return None
    rows = [_texts(line, _cut_at_colons(line)) for line in lines[at:end]]
    return Table(_cut_at_colons, end, _has_header(rows))


def _has_colons(text: str, wanted: int) -> bool:
    return (
        text.count(":") == wanted
        and ": " not in text
        and "://" not in text
        and text[0] not in ":-("
        and len(text) > wanted
    )


def _keys(lines: Sequence[Line], at: int) -> Table | None:
    """Returns the table of lines like `key: value` or `key = value`; a long value goes on below, deeper."""
    first = _KEY.fullmatch(lines[at].text)
    if first is None or not _is_key(first):
        return None
    mark, indent = first[2].strip(), lines[at].indent
    rows = 0
    end = at
    while end < len(lines):
        line = lines[end]
        if line.indent == indent:
            found = _KEY.fullmatch(line.text)
            if found is None or found[2].strip() != mark or not _is_key(found):
                break
            rows += 1
        elif line.indent < indent:
            break
        end += 1
    is_all = not at and end == len(lines)
    if rows < (2 if is_all else MIN_ROWS):
        return None
    return Table(partial(_cut_at_key, indent), end, has_header=False)


def _is_key(found: re.Match[str]) -> bool:
    return (
        len(found[1].split()) <= 4
        and found[1] not in ("Q", "A")
        and not found[3].startswith("//")
        and len(found[0]) <= 400
    )


def _cut_at_key(indent: int, line: Line) -> Cells:
    found = _KEY.fullmatch(line.text) if line.indent == indent else None
    if found is None:
        return [(line.begin, line.begin), (line.begin, line.end)]
    return [(line.begin + found.start(1), line.begin + found.end(1)), (line.begin + found.start(3), line.end)]


def _columns(lines: Sequence[Line], at: int) -> Table | None:
    """Returns the table of lines whose cells stand below each other, with two blanks or more between columns."""
    # Few lines of prose have wide blanks, so that a look at three lines saves most of the work.
    if not any(_WIDE_GAP.search(line.text) or _RULE.fullmatch(line.text) for line in lines[at : at + MIN_ROWS]):
        return None
    covered = _covered(lines[at])
    if len(_runs(covered)) < 2:
        return None
    end, columns, closed = at, 0, 0  # the line that first closes the blanks between two columns of enough others
    rules: list[tuple[int, str]] = []
    for line in lines[at:]:
        is_rule = _RULE.fullmatch(line.text) is not None
        if not is_rule:
            wider = covered | _covered(line)
            runs = _runs(wider)
            if not closed and end - at >= MIN_SURE_ROWS and len(runs) < columns:
                closed = end
            begins, ends = _runs(covered)[0]  # the first column; names and figures may stand to its right
            is_row = line.indent < ends and line.indent + len(line.text) > begins and GAP.search(line.text) is not None
            goes_on = end > at and len(runs) > 1 and line.indent >= runs[1][0]
            if len(runs) < 2 or not (is_row or goes_on):
                break
            covered, columns = wider, len(runs)
        else:
            rules.append((end - at - len(rules), line.text))
        end += 1
    cut = partial(_cut_at_columns, tuple(_runs(covered)))
    rows = [(line, cells) for line in lines[at:end] if (cells := cut(line)) is not None]
    whole = [(line, cells) for line, cells in rows if not _is_empty(cells[0])]
    is_ruled = _is_ruled_off(rules, end - at - len(rules))
    if len(whole) < (2 if is_ruled else MIN_ROWS) or not (is_ruled or _is_laid_out(whole)):
        # A long name may reach into the next column. This is tried once a group, since it takes as long again.
        return _columns(lines[:closed], at) if closed and not at else None
    texts = [_texts(line, cells) for line, cells in rows]
    names = ["-", *texts[0][1:]]  # the first column may have none
    has_header = _has_header([text for text in texts if text[0]]) or (
        not texts[0][0] and _has_header([names, *texts[1:]])
    )
    return Table(cut, end, is_ruled or has_header)


def _covered(line: Line) -> int:
    """Returns a number with a bit for each column that has a character."""
    covered, columns = 0, _columns_of(line)
    for word in _WORDS.finditer(line.text):
        covered |= ((1 << (word.end() - word.start())) - 1) << columns[word.start()]
    return covered


def _columns_of(line: Line) -> Sequence[int]:
    """Returns the column of each character, and the one after the last."""
    if "\t" not in line.text:
        return range(line.indent, line.indent + len(line.text) + 1)
    columns = [line.indent]
    for character in line.text:
        columns.append((columns[-1] // 8 + 1) * 8 if character == "\t" else columns[-1] + 1)
    return columns


def _runs(covered: int) -> list[tuple[int, int]]:
    """Returns the beginning and end of each column; columns have two blanks or more between them."""
    marks = bin(covered)[:1:-1]  # in this order, the first column comes first
    return [(found.start(), found.end()) for found in _COLUMN.finditer(marks)]


def _cut_at_columns(runs: tuple[tuple[int, int], ...], line: Line) -> Cells | None:
    if _RULE.fullmatch(line.text):
        return None
    cells: Cells = []
    columns = _columns_of(line)
    borders = [0, *(bisect_left(columns, begin) for begin, _ in runs[1:]), len(line.text)]
    for low, high in pairwise(min(border, len(line.text)) for border in borders):
        text = line.text[low:high]
        place = line.begin + low + len(text) - len(text.lstrip())
        cells.append((place, place + len(text.strip())))
    return cells


def _is_laid_out(rows: Sequence[tuple[Line, Cells]]) -> bool:
    """Tells whether the blanks between cells align them, and do not just fill the lines to one length."""
    texts = [_texts(line, cells) for line, cells in rows]
    several = sum(sum(map(bool, row)) > 1 for row in texts)
    wide = sum(any(len(gap[0].expandtabs()) > 3 for gap in GAP.finditer(line.text)) for line, _ in rows)
    ends = {cells[0][1] - line.begin for line, cells in rows}
    inner = sum(any("  " in text for text in row) for row in texts)
    is_short = sum(len(row[0]) for row in texts) <= 40 * len(texts)
    return (
        several * 3 >= 2 * len(rows) and wide * 3 >= len(rows) and len(ends) > 1 and inner * 3 < len(rows) and is_short
    )


def _has_header(rows: Sequence[list[str]]) -> bool:
    """Tells whether the first row names the columns: it has no figures, and stands over figures, or is in capitals."""
    first, *others = rows
    if len(others) < 2 or not all(first) or any(any(map(str.isdigit, cell)) for cell in first):
        return False
    for number in range(len(first)):
        below = [row[number] for row in others if number < len(row) and row[number]]
        if below and sum(_AMOUNT.match(cell) is not None for cell in below) * 5 >= 4 * len(below):
            return True
    letters = "".join(first)
    return letters.isupper() and not "".join(chain.from_iterable(others)).isupper()
