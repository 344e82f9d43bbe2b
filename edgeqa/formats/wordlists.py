"""How Word numbers its lists: "Article 2", "2.1", "(c)", "Third".

In: the XML of the part that describes them, as events; then paragraphs, in their order. Out: what each is shown with.
Paragraphs are counted for each list as it is described, however many names it is used under, unless one says where to
begin. Numbers in words are English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeqa.formats.notation import numeral
from edgeqa.formats.package import is_on, number_in
from edgeqa.formats.wordparts import MOST_LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.formats.wordparts import Styles

MOST_LISTS = 1 << 14
MOST_NUMBER = 1 << 31


@dataclass(slots=True)
class _Level:
    start: int = 1
    form: str = "decimal"
    text: str | None = None
    restart: int | None = None
    """After which level, counted from 1, it begins anew; 0 for never, None for any that is higher."""
    is_legal: bool = False
    suffix: str = "tab"
    style: str = ""
    is_hidden: bool = False


@dataclass(slots=True)
class _List:
    levels: dict[int, _Level] = field(default_factory=dict)
    linked: str = ""
    """Style that says how it is numbered."""


@dataclass(slots=True)
class _Use:
    """A list as paragraphs name it."""

    abstract: str = ""
    starts: dict[int, int] = field(default_factory=dict)
    levels: dict[int, _Level] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marker:
    """What a paragraph of a list is shown with."""

    text: str
    """With the blank after it; "" for none."""
    is_first: bool
    """Whether a list begins here."""


class Numbering:
    """How lists are numbered, and how far each of them has come."""

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
        """Counts a paragraph of a list, and returns what it is shown with; None if there is no such list."""
        if list_id not in self._uses:
            return None
        use, found = self._found(list_id)
        level = max(0, min(level, MOST_LEVELS - 1))
        counts = self._counts.setdefault(use.abstract, {})
        is_first = list_id not in self._begun
        if is_first and len(self._begun) < MOST_LISTS:
            self._begun.add(list_id)
            for number in use.starts:
                counts.pop(number, None)
        here = self._levels(use, found)
        start = use.starts.get(level, here[level].start)
        counts[level] = min(counts[level] + 1, MOST_NUMBER) if level in counts else start
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
        return {n: use.levels.get(n) or found.levels.get(n) or default for n in range(MOST_LEVELS)}

    # --- events

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if name == "abstractNum" and len(self._lists) < MOST_LISTS:
            self._list_id = attributes.get("abstractNumId", "")
            self._list = self._lists.setdefault(self._list_id, _List())
        elif name == "num" and len(self._uses) < MOST_LISTS:
            self._use = self._uses.setdefault(attributes.get("numId", ""), _Use())
        elif name == "lvlOverride":
            self._override = number_in(attributes, "ilvl") or 0
        elif name == "lvl":
            self._level = _Level()
            holder = self._use or self._list
            number = number_in(attributes, "ilvl") or 0
            if holder is not None and 0 <= number < MOST_LEVELS:
                holder.levels[number] = self._level
        elif self._level is not None:
            _note_level(self._level, name, attributes)
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

    def text(self, _text: str) -> None:
        """Takes text."""


def _note_level(level: _Level, name: str, attributes: dict[str, str]) -> None:
    value = attributes.get("val", "")
    if name == "start":
        level.start = number_in(attributes) or 0
    elif name == "numFmt":
        level.form = value
    elif name == "lvlText":
        level.text = value[:100]
    elif name == "lvlRestart":
        level.restart = number_in(attributes)
    elif name == "isLgl":
        level.is_legal = is_on(attributes)
    elif name == "suff":
        level.suffix = value
    elif name == "pStyle":
        level.style = value
    elif name == "vanish":
        level.is_hidden = is_on(attributes)


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
_MOST_CIRCLED = 20


def written(number: int, form: str) -> str:
    """Returns a number in one of Word's ways to write it; in digits where the way is not known."""
    way = _WAYS.get(form)
    return str(number) if way is None else way(number)


def _roman(style: str) -> Callable[[int], str]:
    return lambda number: numeral(number, style)


def _lettered(style: str) -> Callable[[int], str]:
    return lambda number: _repeated(number, style)


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _circled(number: int) -> str:
    return chr(0x2460 + number - 1) if 0 < number <= _MOST_CIRCLED else str(number)


def _chicago(number: int) -> str:
    return "*†‡§"[(number - 1) % 4] * ((number - 1) // 4 + 1) if 0 < number < 100 else str(number)


def _repeated(number: int, style: str) -> str:
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
    "lowerLetter": _lettered("a"),
    "upperLetter": _lettered("A"),
    "lowerRoman": _roman("i"),
    "upperRoman": _roman("I"),
    "decimalZero": "{:02}".format,
    "ordinal": _ordinal,
    "cardinalText": lambda number: _in_words(number, is_ordinal=False),
    "ordinalText": lambda number: _in_words(number, is_ordinal=True),
    "hex": "{:X}".format,
    "numberInDash": "- {} -".format,
    "decimalEnclosedCircle": _circled,
    "decimalEnclosedCircleChinese": _circled,
    "decimalEnclosedParen": "({})".format,
    "decimalEnclosedFullstop": "{}.".format,
    "chicago": _chicago,
    "none": lambda _: "",
}
