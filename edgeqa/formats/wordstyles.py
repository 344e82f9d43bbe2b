"""The parts that Word keeps beside its text: styles, the numbering of lists ("Article 2", "2.1", "(c)"), tables.

In: the XML of the parts that describe them, as events; then paragraphs, rows and cells in their order. Out: the
headings, lists and hidden text that a style means; the marker of each paragraph in a list; rows and cells as prose. A
list may be used under several names; they share one count, unless a name says where to begin. Numbers in words are
English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING

from edgeqa.formats.archive import Handler, Properties, is_hex, is_on, note, number_in, word_in
from edgeqa.formats.notation import numeral

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.formats.prose import Prose

MAX_STYLES = 1 << 14
MAX_BASES = 30  # a chain of styles, each based on the next, is followed so far
MAX_LEVELS = 9  # outlines and lists have so many


@dataclass(slots=True)
class Style:
    """The properties that a style sets itself; None and "" if it does not set them."""

    name: str = ""
    based_on: str = ""
    outline: int | None = None
    list_id: str | None = None
    list_level: int | None = None
    is_hidden: bool | None = None
    is_bold: bool | None = None
    align: str = ""
    """superscript, subscript or baseline."""
    marks_first_row: bool | None = None
    """Whether the first row looks different, in the style of a table."""


PLAIN = Style()
# By element: the property that it sets, and the way to read its value.
OF_RUNS: Properties = {"vanish": ("is_hidden", is_on), "b": ("is_bold", is_on), "vertAlign": ("align", word_in)}
OF_PARAGRAPHS: Properties = {
    "outlineLvl": ("outline", number_in),
    "numId": ("list_id", word_in),
    "ilvl": ("list_level", number_in),
}
_OF_STYLES: Properties = {**OF_RUNS, **OF_PARAGRAPHS, "name": ("name", word_in), "basedOn": ("based_on", word_in)}


class Styles(Handler):
    """The styles of a document."""

    def __init__(self) -> None:
        self._styles: dict[str, Style] = {}
        self._default = ""  # the default style of paragraphs
        self._style: Style | None = None
        self._conditions = 0
        self._resolved: dict[str, Style] = {}

    def __contains__(self, style_id: str) -> bool:
        return style_id in self._styles

    def resolved(self, style_id: str) -> Style:
        """Returns the properties of a style and of those that it is based on; "" is the paragraphs' default."""
        found = self._resolved.get(style_id)
        if found is None:
            found = self._resolved[style_id] = self._merged(style_id)
        return found

    def heading_level(self, style_id: str) -> int:
        """Returns the level of heading for the paragraphs of a style; 0 for none."""
        place = style_id
        for _ in range(MAX_BASES):
            style = self._styles.get(place)
            if (level := named_level(style.name if style is not None else place)) is not None:
                return level
            if style is None:
                break
            if style.outline is not None:
                return outline_level(style.outline)
            place = style.based_on
        return 0

    def _merged(self, style_id: str) -> Style:
        merged = Style()
        place = style_id or self._default
        for _ in range(MAX_BASES):
            style = self._styles.get(place)
            if style is None:
                break
            for one in fields(Style):
                if getattr(merged, one.name) in (None, ""):
                    setattr(merged, one.name, getattr(style, one.name))
            place = style.based_on
        return merged

    # --- events

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if name == "style" and len(self._styles) < MAX_STYLES:
            self._style = self._styles.setdefault(attributes.get("styleId", ""), Style())
            if attributes.get("type") == "paragraph" and is_on(attributes, "default", "0"):
                self._default = attributes.get("styleId", "")
        elif name == "tblStylePr":
            self._conditions += 1
            if self._style is not None and attributes.get("type") == "firstRow":
                self._style.marks_first_row = True
        elif self._style is not None and not self._conditions:
            note(self._style, _OF_STYLES, name, attributes)

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if name == "style":
            self._style = None
        elif name == "tblStylePr":
            self._conditions = max(0, self._conditions - 1)


def named_level(name: str) -> int | None:
    """Returns the level of heading for a style of this name; None if the name does not tell."""
    name = name.strip().lower()
    found = re.fullmatch(r"heading ?([1-9])(?:[ ,;].*)?", name)
    if found:
        return min(int(found[1]), 6)
    return 1 if name == "title" else None


def outline_level(outline: int) -> int:
    """Returns the level of heading for an outline level, counted from 0; 0 for text."""
    return min(outline + 1, 6) if 0 <= outline < MAX_LEVELS else 0


# The next part numbers lists.

MAX_LISTS = 1 << 14
MAX_NUMBER = 1 << 31


@dataclass(slots=True)
class _Level:
    start: int = 1
    form: str = "decimal"
    text: str | None = None
    restart: int | None = None
    """The level, counted from 1, after which it begins anew; 0 for never, None for any higher level."""
    is_legal: bool = False
    suffix: str = "tab"
    style: str = ""
    is_hidden: bool = False


_OF_LEVELS: Properties = {
    "start": ("start", lambda attributes: number_in(attributes) or 0),
    "numFmt": ("form", word_in),
    "lvlText": ("text", lambda attributes: word_in(attributes)[:100]),
    "lvlRestart": ("restart", number_in),
    "isLgl": ("is_legal", is_on),
    "suff": ("suffix", word_in),
    "pStyle": ("style", word_in),
    "vanish": ("is_hidden", is_on),
}


@dataclass(slots=True)
class _List:
    levels: dict[int, _Level] = field(default_factory=dict)
    linked: str = ""
    """The style that defines its numbering."""


@dataclass(slots=True)
class _Use:
    """A list, under a name that paragraphs use."""

    abstract: str = ""
    starts: dict[int, int] = field(default_factory=dict)
    levels: dict[int, _Level] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marker:
    """The marker of a paragraph in a list."""

    text: str
    """The marker with the blank after it; "" for none."""
    is_first: bool
    """Whether a list begins here."""


class Numbering(Handler):
    """The numbering of lists, and the current number of each."""

    def __init__(self, styles: Styles) -> None:
        self._styles = styles
        self._lists: dict[str, _List] = {}
        self._uses: dict[str, _Use] = {}
        self._by_style: dict[str, str] = {}  # list style to the list that defines it
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[str] = set()
        self._list: _List | None = None
        self._list_id = ""
        self._use: _Use | None = None
        self._level: _Level | None = None
        self._override = 0

    def level_of(self, list_id: str, style_id: str) -> int:
        """Returns the level that a list gives to paragraphs of a style."""
        use, found = self._found(list_id)
        levels = {**found.levels, **use.levels}
        return next((number for number, level in levels.items() if level.style == style_id and style_id), 0)

    def marker(self, list_id: str, level: int) -> Marker | None:
        """Counts a paragraph of a list, and returns its marker; None if there is no such list."""
        if list_id not in self._uses:
            return None
        use, found = self._found(list_id)
        level = max(0, min(level, MAX_LEVELS - 1))
        counts = self._counts.setdefault(use.abstract, {})
        is_first = list_id not in self._begun
        if is_first and len(self._begun) < MAX_LISTS:
            self._begun.add(list_id)
            for number in use.starts:
                counts.pop(number, None)
        here = self._levels(use, found)
        start = use.starts.get(level, here[level].start)
        counts[level] = min(counts[level] + 1, MAX_NUMBER) if level in counts else start
        for number in [n for n in counts if n > level]:
            restart = here[number].restart
            if restart is None or (restart and level < restart):
                del counts[number]
        for number in range(level):
            counts.setdefault(number, use.starts.get(number, here[number].start))
        return Marker(_shown(here, counts, level), is_first)

    def _found(self, list_id: str) -> tuple[_Use, _List]:
        use = self._uses.get(list_id, _Use())
        found = self._lists.get(use.abstract, _List())
        if found.linked and not found.levels:
            defining = self._by_style.get(found.linked, "")
            if not defining:
                numbered = self._styles.resolved(found.linked).list_id or ""
                defining = self._uses.get(numbered, _Use()).abstract
            found = self._lists.get(defining, found)
        return use, found

    def _levels(self, use: _Use, found: _List) -> dict[int, _Level]:
        default = _Level()
        return {n: use.levels.get(n) or found.levels.get(n) or default for n in range(MAX_LEVELS)}

    # --- events

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if name == "abstractNum" and len(self._lists) < MAX_LISTS:
            self._list_id = attributes.get("abstractNumId", "")
            self._list = self._lists.setdefault(self._list_id, _List())
        elif name == "num" and len(self._uses) < MAX_LISTS:
            self._use = self._uses.setdefault(attributes.get("numId", ""), _Use())
        elif name == "lvlOverride":
            self._override = number_in(attributes, "ilvl") or 0
        elif name == "lvl":
            self._level = _Level()
            holder = self._use or self._list
            number = number_in(attributes, "ilvl") or 0
            if holder is not None and 0 <= number < MAX_LEVELS:
                holder.levels[number] = self._level
        elif self._level is not None:
            note(self._level, _OF_LEVELS, name, attributes)
        else:
            self._note(name, attributes)

    def _note(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if self._use is not None and name == "abstractNumId":
            self._use.abstract = value
        elif self._use is not None and name == "startOverride":
            self._use.starts[self._override] = number_in(attributes) or 0
        elif self._list is not None and name == "numStyleLink":
            self._list.linked = value
        elif self._list is not None and name == "styleLink":
            self._by_style[value] = self._list_id

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if name == "lvl":
            self._level = None
        elif name == "num":
            self._use = None
        elif name == "abstractNum":
            self._list = None


_PLACE = re.compile(r"%([1-9])")
_LETTERS = re.compile(r"[^\W_]")
_PRIVATE = re.compile("[\ue000-\uf8ff]")


def _shown(levels: dict[int, _Level], counts: dict[int, int], level: int) -> str:
    here = levels[level]
    if here.is_hidden:
        return ""
    text = here.text if here.text is not None else f"%{level + 1}."
    if here.form in ("bullet", "none") and not _PLACE.search(text):
        text = _PRIVATE.sub("", text).strip()
        if here.form == "bullet" and not _LETTERS.search(text) and text not in ("§", "†"):
            return "- "
    else:

        def number(found: re.Match[str]) -> str:
            which = int(found[1]) - 1
            form = "decimal" if here.is_legal else levels[which].form
            return written(counts.get(which, levels[which].start), form)

        text = _PLACE.sub(number, text).strip()
    return text + ("" if here.suffix == "nothing" or not text else " ")


_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_ORDINALS |= {"twelve": "twelfth"}
_MAX_CIRCLED = 20


def written(number: int, form: str) -> str:
    """Returns a number in one of Word's styles; in digits if the style is unknown."""
    return _WAYS.get(form, str)(number)


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _circled(number: int) -> str:
    return chr(0x2460 + number - 1) if 0 < number <= _MAX_CIRCLED else str(number)


def _chicago(number: int) -> str:
    return "*†‡§"[(number - 1) % 4] * ((number - 1) // 4 + 1) if 0 < number < 100 else str(number)


def _repeated(style: str, number: int) -> str:
    """Returns letters as Word counts with them: z, then aa, bb."""
    if not 0 < number <= 780:
        return str(number)
    return numeral((number - 1) % 26 + 1, style) * ((number - 1) // 26 + 1)


def _in_words(number: int, *, is_ordinal: bool) -> str:
    if not 0 < number < 100:
        return _ordinal(number) if is_ordinal else str(number)
    tens, ones = divmod(number, 10)
    words = [_ONES[number]] if number < 20 else [_TENS[tens], *([_ONES[ones]] if ones else [])]
    if is_ordinal:
        last = words[-1]
        words[-1] = _ORDINALS.get(last) or (f"{last[:-1]}ie" if last.endswith("y") else last.removesuffix("e")) + "th"
    return "-".join(words).capitalize()


_WAYS: dict[str, Callable[[int], str]] = {
    "lowerLetter": partial(_repeated, "a"),
    "upperLetter": partial(_repeated, "A"),
    "lowerRoman": partial(numeral, style="i"),
    "upperRoman": partial(numeral, style="I"),
    "decimalZero": "{:02}".format,
    "ordinal": _ordinal,
    "cardinalText": partial(_in_words, is_ordinal=False),
    "ordinalText": partial(_in_words, is_ordinal=True),
    "hex": "{:X}".format,
    "numberInDash": "- {} -".format,
    "decimalEnclosedCircle": _circled,
    "decimalEnclosedCircleChinese": _circled,
    "decimalEnclosedParen": "({})".format,
    "decimalEnclosedFullstop": "{}.".format,
    "chicago": _chicago,
    "none": lambda _: "",
}


MAX_COLUMNS = 2000


class WordTable:
    """One table while it is read."""

    def __init__(self, prose: Prose, styles: Styles) -> None:
        self._is_muted = False  # the row that is open is hidden or deleted
        self.is_deleted = False
        """Whether the cell that is open is deleted."""
        self.is_cell_open = False
        """Whether a cell takes text."""
        self._prose, self._styles = prose, styles
        self._style = ""
        self._looks_at_first_row = False
        self._rows = 0
        # These belong to the row.
        self._is_header = self._is_hidden = self._is_open = False
        self._is_bold = True
        self._column = self._skipped_columns = 0
        # These belong to the cell.
        self._span = 1
        self._merge = ""
        prose.table()

    @property
    def is_muted(self) -> bool:
        """Whether the open row or cell is not shown."""
        return self._is_muted or self.is_deleted

    def take(self, holder: str, name: str, attributes: dict[str, str]) -> None:
        """Takes a property of the table, the row or the cell that has begun."""
        note(self, _PROPERTIES.get(holder, {}), name, attributes)

    def text(self, text: str, *, is_bold: bool) -> None:
        """Notes text of the cell."""
        self._is_bold = self._is_bold and (is_bold or not text.strip())

    def begin_row(self) -> None:
        """Begins a row; its properties follow."""
        self._is_header = self._is_hidden = self._is_open = self._is_muted = False
        self._is_bold = True
        self._column = self._skipped_columns = 0

    def begin_cell(self) -> None:
        """Begins a cell; its properties follow."""
        self._open_row()
        self._span, self._merge, self.is_cell_open, self.is_deleted = 1, "", False, False

    def open_cell(self) -> None:
        """Begins the content of the cell, after its properties."""
        if self._is_open and not self.is_cell_open and self._column < MAX_COLUMNS:
            self.is_cell_open = True
            self._prose.cell(self._span, merge=self._merge)

    def end_cell(self) -> None:
        """Ends the cell."""
        self.open_cell()
        self.is_cell_open = False
        self._column += self._span
        self._span, self._merge, self.is_deleted = 1, "", False

    def end_row(self) -> None:
        """Ends the row."""
        if self._is_open:
            if not self._rows and self._is_bold and self._column > 1:
                self._prose.name_row()
            self._rows += not self._is_hidden
            self._is_open = self._is_muted = False
        self._prose.end_row()

    def _open_row(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        self._is_muted = self._is_hidden
        looks = self._looks_at_first_row and not self._rows
        if looks and self._style and self._style in self._styles:
            looks = self._styles.resolved(self._style).marks_first_row is True
        self._prose.row(is_header=self._is_header or looks)
        if 0 < self._skipped_columns < MAX_COLUMNS:
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
        "gridSpan": ("_span", lambda attributes: max(1, min(number_in(attributes) or 1, MAX_COLUMNS))),
        "cellDel": ("is_deleted", is_on),
        "vMerge": ("_merge", lambda attributes: "first" if word_in(attributes) == "restart" else "next"),
    },
}
