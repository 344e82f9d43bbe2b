"""Cells of spreadsheets: this module writes numbers by Excel's format codes, and makes blocks from rows. Pure.

In: a number and a code such as `#,##0.00;(#,##0.00)`; rows with their cells, in order. Out: the text that an English
Excel shows; blocks. Some dates take their form from the country that Excel runs in, which the file does not say: these
are written as in ISO 8601.

Neighbouring rows are a table. Its first row names the columns if it has only text and looks like a header: its cells
are bold, or it stays on the screen, or numbers stand below it, or it has three cells or more. A blank row ends a table;
a row of one cell before a table is a paragraph.

The codes are defined in ECMA-376, part 1, 18.8.30 and 18.8.31.
"""

from __future__ import annotations

import datetime
import functools
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING

from edgeqa.formats.blocks import one_line
from edgeqa.formats.notation import joined
from edgeqa.formats.prose import LINE, PARAGRAPH, Draft

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeqa.formats.blocks import Block

MAX_SHOWN_COLUMNS = 1000  # cells further to the right are joined to the last one
MAX_CELL_CHARACTERS = 1 << 16  # LibreOffice takes so many, Excel half of them
MAX_NAME_CHARACTERS = 200  # the name of a column is not longer


@dataclass(frozen=True, slots=True)
class Cell:
    """The text that a cell shows."""

    text: str
    is_text: bool = True
    """Whether it is neither a number nor a date."""
    is_bold: bool = False
    columns: int = 1
    """The number of columns that it covers."""


class CellText:
    """The text of a cell while it is read; raised and lowered text is written as elsewhere."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, int]] = []
        self._characters = 0

    def add(self, text: str, raised: int = 0) -> None:
        """Adds text, as long as the cell has room; `raised` is 1 for raised text and -1 for lowered text."""
        if self._characters < MAX_CELL_CHARACTERS:
            self._pieces.append((text, raised))
            self._characters += len(text)

    def take(self) -> str:
        """Returns the text since the last call."""
        if not self._pieces:
            return ""
        text, is_raised = self._pieces[0]
        if len(self._pieces) == 1 and not is_raised:  # nearly all cells are so
            self._pieces, self._characters = [], 0
            return text[:MAX_CELL_CHARACTERS]
        text = joined(self._pieces)
        self._pieces, self._characters = [], 0
        return text[:MAX_CELL_CHARACTERS]


def is_name_alone(begin: Sequence[Block]) -> bool:
    """Tells whether a sheet that begins so, with at most two blocks, is empty."""
    return not begin or (len(begin) == 1 and begin[0].kind == "heading")


def title_of(workbook: str, sheet: str) -> str:
    """Returns the title of a sheet's record."""
    return one_line(f"{workbook}: {sheet}" if workbook else sheet)


class Grid:
    """One sheet while it is read."""

    def __init__(self, name: str) -> None:
        self._draft = Draft()
        if name.strip():
            self._draft.begin("heading", 1)
            self._draft.add(" ".join(name.split()))
            self._draft.end()
        self._number = -1  # the number of the last row
        self._held: list[
            tuple[int, Mapping[int, Cell]]
        ] = []  # a table's first rows, held until it is known whether one is a header
        self._stays = False
        self._in_table = False

    def row(self, number: int, place: int, cells: Mapping[int, Cell], *, stays: bool = False) -> None:
        """Takes a visible row.

        Args:
            number: its number among the visible rows.
            place: its number in the sheet, from 1.
            cells: the cells that are not empty, by column.
            stays: whether it stays on the screen while others scroll.
        """
        if number > self._number + 1 or not cells:
            self._end_table()
        self._number = number
        if not cells:
            return
        if self._in_table:
            self._write(place, cells)
        elif not self._held and len(cells) == 1:
            self._draft.begin("paragraph", 0, PARAGRAPH)
            self._draft.add(" ".join(next(iter(cells.values())).text.split()))
            self._draft.end()
        else:
            self._stays = stays if not self._held else self._stays
            self._held.append((place, dict(cells)))
            if len(self._held) > (1 if len(self._held[0][1]) > 2 else 2):
                self._begin_table()

    def pop(self) -> list[Block]:
        """Returns the finished blocks."""
        return self._draft.pop()

    def finish(self) -> list[Block]:
        """Returns the last blocks."""
        self._end_table()
        return self._draft.pop()

    def _is_header(self) -> bool:
        """Tells whether the first of the rows that are held names the columns."""
        first, *others = (list(row.values()) for _, row in self._held)
        texts = [cell.text for cell in first]
        if not others or len(set(texts)) < len(texts):
            return False
        if not all(cell.is_text and len(cell.text) <= MAX_NAME_CHARACTERS for cell in first):
            return False
        stands_out = all(cell.is_bold for cell in first) and not all(cell.is_bold for row in others for cell in row)
        # In two columns, the first may name the values of the second. Only in tables do numbers stand below each other.
        has_figures = len(others) > 1 and all(any(not cell.is_text for cell in row) for row in others)
        return self._stays or stands_out or len(first) > 2 or has_figures

    def _begin_table(self) -> None:
        is_header = bool(self._held) and self._is_header()
        for number, (place, cells) in enumerate(self._held):
            self._write(place, cells, is_header=is_header and not number, begins=not number)
        self._held, self._in_table = [], True

    def _end_table(self) -> None:
        self._begin_table()
        self._in_table = False

    def _write(self, place: int, cells: Mapping[int, Cell], *, is_header: bool = False, begins: bool = False) -> None:
        last = max(column + cell.columns - 1 for column, cell in cells.items())
        texts = [""] * (min(last, MAX_SHOWN_COLUMNS - 1) + 1)
        covered: dict[int, int] = {}
        for column in sorted(cells):
            at = min(column, MAX_SHOWN_COLUMNS - 1)
            texts[at] = f"{texts[at]} {cells[column].text}".strip()
            others = range(column + 1, min(column + cells[column].columns, len(texts)))
            covered.update((other, at) for other in others if other not in cells)
        self._draft.row(texts, is_header=is_header, begins=begins, gap=LINE, number=place, covered=covered)


MAX_DIGITS = 15  # a spreadsheet knows so many digits of a number
MAX_DECIMALS = 30
MAX_CODE_CHARACTERS = 500
_HALVES_UP = Context(prec=100, rounding=ROUND_HALF_UP)
_SHOWN_DIGITS = 10  # a number with a fraction and without a format shows so many
_DATE, _TIME = "yyyy-mm-dd", "h:mm"

BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?",
    13: "# ??/??", 14: _DATE, 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM",
    20: _TIME, 21: "h:mm:ss", 22: f"{_DATE} {_TIME}", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)", 41: "#,##0", 42: "#,##0", 43: "#,##0.00", 44: "#,##0.00",
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    **dict.fromkeys((*range(27, 37), *range(50, 59)), _DATE),
}  # fmt: skip

_PIECE = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_.|\*.|\[\$(?P<currency>[^\]-]*)[^\]]*\]'
    r"|\[(?P<elapsed>h+|m+|s+)\]|\[(?P<condition>[<>=]+-?[\d.]+)\]|\[[^\]]*\]"
    r"|(?P<general>General)|(?P<half>AM/PM|A/P)|(?P<date>y+|m+|d+|h+|s+(?:\.0+)?|e+|b+)"
    r"|(?P<number>[#0?](?:[#0?,.]*[#0?,.])?(?:E[+-][0#?]+)?(?:(?:\s*[#0?]+)?\s*/\s*[#0?\d]+)?|\.[0#?]+(?:E[+-][0#?]+)?)"
    r"|(?P<text>@)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)(-?[\d.]+)")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of a code, for numbers of some kind."""

    pieces: tuple[tuple[str, str], ...]
    """The kind of each token, and its characters."""
    condition: tuple[str, float] | None
    is_date: bool


def shown(value: float, code: str, *, since_1904: bool = False) -> str:
    """Returns a number as a format shows it.

    Args:
        value: the number; a date is the number of days since the beginning of 1900 or 1904.
        code: the format's code.
        since_1904: whether dates count from 1904.
    """
    if value != value or value in (float("inf"), float("-inf")):
        return ""
    sections = _sections(code[:MAX_CODE_CHARACTERS])
    section, value = _chosen(sections, value)
    if section is None:
        return general(value)
    return _date(value, section, since_1904=since_1904) if section.is_date else _number(value, section)


def text_shown(text: str, code: str) -> str:
    """Returns a text as a format shows it; `;;;` hides it."""
    if ";" not in code and "@" not in code:
        return text
    *others, last = _sections(code[:MAX_CODE_CHARACTERS])
    if len(others) < 3 and not any(kind == "text" for kind, _ in last.pieces):
        return text
    return "".join(text if kind == "text" else piece for kind, piece in last.pieces if kind in ("text", "literal"))


def general(value: float) -> str:
    """Returns a number in the form that a cell without a format shows."""
    if value == int(value) and abs(value) < 10**MAX_DIGITS:
        return str(int(value))
    if abs(value) >= 10**MAX_DIGITS or abs(value) < 1e-9:
        return f"{value:.6g}".replace("e", "E")
    text = f"{value:.{_SHOWN_DIGITS}g}"
    if "e" in text:
        text = f"{value:.{MAX_DIGITS}f}".rstrip("0")
    return text


@functools.lru_cache(256)
def _sections(code: str) -> tuple[_Section, ...]:
    sections: list[list[tuple[str, str]]] = [[]]
    conditions: list[tuple[str, float] | None] = [None]
    for found in _PIECE.finditer(code):
        kind = found.lastgroup or ""
        piece = found[kind] if kind else ""
        if kind == "other" and piece == ";":
            sections.append([])
            conditions.append(None)
        elif kind == "condition":
            if (test := _CONDITION.fullmatch(piece)) is not None and test[2].count(".") < 2 and test[2].strip("-."):
                conditions[-1] = test[1], float(test[2])
        elif kind in ("quoted", "escaped", "currency", "other"):
            sections[-1].append(("literal", piece))
        elif kind:
            sections[-1].append((kind, piece))
    return tuple(
        _Section(tuple(pieces), condition, any(kind in ("date", "elapsed", "half") for kind, _ in pieces))
        for pieces, condition in zip(sections[:4], conditions[:4], strict=True)
    )


def _chosen(sections: tuple[_Section, ...], value: float) -> tuple[_Section | None, float]:
    """Returns the section for a number, None for none, and the number without the sign that the section writes."""
    if any(section.condition is not None for section in sections):
        for section in sections[:3]:
            if section.condition is None or _holds(section.condition, value):
                return section, value
        return None, value
    if len(sections) > 2 and value == 0:
        return sections[2], value
    if len(sections) > 1 and value < 0:
        return sections[1], -value
    return sections[0], value


def _holds(condition: tuple[str, float], value: float) -> bool:
    sign, limit = condition
    return {
        "<": value < limit,
        ">": value > limit,
        "<=": value <= limit,
        ">=": value >= limit,
        "=": value == limit,
        "<>": value != limit,
    }[sign]


# --- numbers ---------------------------------------------------------------------------------------------------------


def _number(value: float, section: _Section) -> str:
    percents = sum(piece.count("%") for kind, piece in section.pieces if kind == "literal")
    value *= 100.0 ** min(percents, 4)
    out: list[str] = []
    is_signed = value < 0
    is_written = False
    for kind, piece in section.pieces:
        if kind == "literal":
            out.append(piece)
        elif kind in ("number", "general", "text") and not is_written:
            out.append(_digits(abs(value), piece) if kind == "number" else general(abs(value)))
            is_written = True
    shown = "".join(out)
    return f"-{shown}" if is_signed and re.search(r"[1-9]", shown) else shown


def _digits(value: float, form: str) -> str:
    if "/" in form:
        return _fraction(value, form)
    mantissa, exponent = re.fullmatch(r"(.*?)(?:[eE]([+-])[0#?]+)?", form, re.DOTALL).groups()  # type: ignore[union-attr]
    whole, _, decimals = mantissa.partition(".")
    most = min(sum(decimals.count(c) for c in "0#?"), MAX_DECIMALS)
    least = min(sum(decimals.count(c) for c in "0?"), MAX_DECIMALS)
    if exponent is not None:
        text = f"{value:.{most}E}"
        head, _, power = text.partition("E")
        sign = "-" if power.startswith("-") else "+" if exponent == "+" else ""
        return f"{_trimmed(head, least)}E{sign}{power.lstrip('+-').zfill(2)}"
    value /= 1000.0 ** min(len(mantissa) - len(mantissa.rstrip(",")), 4)  # a comma at the end drops three digits
    text = _trimmed(_rounded(value, most) if value < 1e21 else f"{value:.0f}", least)
    digits, point, rest = text.partition(".")
    digits = "" if digits == "0" and "0" not in whole and rest else digits
    digits = digits.zfill(min(whole.count("0"), MAX_DECIMALS)) if whole.count("0") > 1 else digits
    if "," in whole.rstrip(","):
        digits = _grouped(digits)
    return digits + point + rest


def _rounded(value: float, decimals: int) -> str:
    """Returns a number with so many decimals: halves of the digits that Excel knows are rounded up, 0.125 to 0.13."""
    return f"{Decimal(f'{value:.{MAX_DIGITS}g}').quantize(Decimal(1).scaleb(-decimals), context=_HALVES_UP):f}"


def _trimmed(text: str, least: int) -> str:
    """Returns a number without zeros at its end, but with at least so many decimals."""
    digits, _, decimals = text.partition(".")
    while len(decimals) > least and decimals.endswith("0"):
        decimals = decimals[:-1]
    return f"{digits}.{decimals}" if decimals else digits


def _grouped(digits: str) -> str:
    head = len(digits) % 3
    groups = [digits[:head]] if head else []
    return ",".join(groups + [digits[at : at + 3] for at in range(head, len(digits), 3)])


def _fraction(value: float, form: str) -> str:
    from fractions import Fraction  # imported here, because few formats have fractions

    head, _, below = form.partition("/")
    is_mixed = bool(re.search(r"[#0?]\s+[#0?]", head))
    below = below.strip()
    if below.isdigit() and int(below):
        parts = Fraction(round(value * int(below)), 1), int(below)
        numerator, denominator = int(parts[0]), parts[1]
    else:
        found = Fraction(value).limit_denominator(10 ** min(len(below), 3) - 1)
        numerator, denominator = found.numerator, found.denominator
    if not is_mixed:
        return f"{numerator}/{denominator}"
    whole, rest = divmod(numerator, denominator)
    if not rest:
        return str(whole)
    return f"{whole} {rest}/{denominator}" if whole else f"{rest}/{denominator}"


# --- dates -----------------------------------------------------------------------------------------------------------

_SECONDS_A_DAY = 86_400
_MAX_DAYS = 3_000_000  # to the year 9999


def _date(value: float, section: _Section, *, since_1904: bool) -> str:
    if abs(value) > _MAX_DAYS:
        return general(value)
    milliseconds = round(value * _SECONDS_A_DAY * 1000)
    has_fraction = any("." in piece for kind, piece in section.pieces if kind == "date")
    if not has_fraction:
        milliseconds = round(milliseconds / 1000) * 1000
    moment = _moment(milliseconds, since_1904=since_1904)
    if moment is None:
        return general(value)
    is_half = any(kind == "half" for kind, _ in section.pieces)
    out: list[str] = []
    for at, (kind, piece) in enumerate(section.pieces):
        if kind == "literal":
            out.append(piece)
        elif kind == "half":
            out.append("AM" if moment.hour < 12 else "PM")
        elif kind == "elapsed":
            unit = {"h": 3_600_000, "m": 60_000, "s": 1000}[piece[0].lower()]
            out.append(str(milliseconds // unit).zfill(len(piece)))
        elif kind == "date":
            is_minute = piece[0] in "mM" and _is_minute(section.pieces, at)
            out.append(_part(moment, piece.lower(), is_minute=is_minute, is_half=is_half))
    return "".join(out)


def _moment(milliseconds: int, *, since_1904: bool) -> datetime.datetime | None:
    days, rest = divmod(milliseconds, _SECONDS_A_DAY * 1000)
    # Excel takes 1900 for a leap year: its dates before March 1900 are a day off.
    origin = datetime.datetime(1904, 1, 1) if since_1904 else datetime.datetime(1899, 12, 30 if days > 59 else 31)
    try:
        return origin + datetime.timedelta(days=days, milliseconds=rest)
    except OverflowError:
        return None


def _is_minute(pieces: tuple[tuple[str, str], ...], at: int) -> bool:
    """Tells whether an `m` means minutes: after hours, or before seconds."""
    before = next((piece[0].lower() for kind, piece in reversed(pieces[:at]) if kind in ("date", "elapsed")), "")
    after = next((piece[0].lower() for kind, piece in pieces[at + 1 :] if kind in ("date", "elapsed")), "")
    return len(pieces[at][1]) < 3 and (before == "h" or after == "s")


def _part(moment: datetime.datetime, piece: str, *, is_minute: bool, is_half: bool) -> str:
    length = len(piece)
    first = piece[0]
    if first in "yeb":
        return f"{moment.year % 100:02}" if length <= 2 and first == "y" else f"{moment.year:04}"
    if first == "m" and not is_minute:
        name = _MONTHS[moment.month - 1]
        return {1: str(moment.month), 2: f"{moment.month:02}", 3: name[:3], 5: name[0]}.get(length, name)
    if first == "d":
        name = _DAYS[moment.weekday()]
        return {1: str(moment.day), 2: f"{moment.day:02}", 3: name[:3]}.get(length, name)
    if first == "h":
        hour = (moment.hour % 12 or 12) if is_half else moment.hour
        return str(hour).zfill(min(length, 2))
    if first == "m":
        return str(moment.minute).zfill(min(length, 2))
    whole, _, decimals = piece.partition(".")
    seconds = str(moment.second).zfill(min(len(whole), 2))
    return f"{seconds}.{moment.microsecond // 1000:03}"[: len(seconds) + 1 + len(decimals)] if decimals else seconds
