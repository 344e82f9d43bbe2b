"""What HTML's elements are to a reader of text: which begin blocks, which end others by beginning, which are not shown.

Pure: tables, and the rules of the HTML standard that go with them ("optional tags", "scope"), kept to what text needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


MOST_DEPTH = 200  # of elements within each other that are told apart

VOID = _names(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr"
)
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
LISTS = frozenset(("ul", "ol", "menu", "dl", "dir", "details"))
BLOCKS = _names(
    "address article aside blockquote body caption center dialog div fieldset figcaption figure footer form header "
    "hgroup legend main nav p search section"
)
TABLE_PARTS = frozenset(("caption", "thead", "tbody", "tfoot", "tr", "td", "th"))
MAIN = frozenset(("main", "article"))  # never part of what is left out: an end tag was forgotten
WITHOUT_PLACE = _names("rp script textarea iframe noembed noframes xmp")
"""What leaves no gap in a line where it is left out."""
LEFT_OUT = WITHOUT_PLACE | _names(
    "nav svg noscript template select button object canvas audio video datalist applet map"
)
"""What a page shows to nobody, or to operate it with."""
KNOWN = (
    BLOCKS
    | HEADINGS
    | LISTS
    | TABLE_PARTS
    | LEFT_OUT
    | _names("a br dd dt hr li math p pre q rt rtc ruby style sub summary sup table title")
)
"""What changes how text is written, even without attributes."""

_BREAKS_OUT = _names("blockquote body center code div dl h1 h2 h3 h4 h5 h6 head hr li main ol p pre section table ul")
"""What ends an <svg> or <math> that was forgotten to be ended, as in browsers."""
_NO_CONTROL = _names("article dl h1 h2 h3 h4 h5 h6 main ol p pre section table ul")
"""What no button holds: it was forgotten to be ended."""
ENDS_PARAGRAPH = (BLOCKS - {"body", "caption"}) | HEADINGS | LISTS | {"li", "dt", "dd", "hr", "pre", "table", "summary"}
_CLOSED_BY: Mapping[str, tuple[str, ...]] = {
    "li": ("li",),
    "dt": ("dt", "dd"),
    "dd": ("dt", "dd"),
    "td": ("td", "th"),
    "th": ("td", "th"),
    "tr": ("tr", "caption"),
    "thead": ("thead", "tbody", "tfoot", "tr", "caption"),
    "tbody": ("thead", "tbody", "tfoot", "tr", "caption"),
    "tfoot": ("thead", "tbody", "tfoot", "tr", "caption"),
    "caption": ("caption",),
    "rt": ("rt", "rp"),
    "rp": ("rt", "rp"),
    "button": ("button",),
    **{name: tuple(HEADINGS) for name in HEADINGS},
}
# Beyond these an element is not ended by one that begins, nor by the end of another.
_CELLS = frozenset(("td", "th", "caption", "table"))
_BARRIERS: Mapping[str, frozenset[str]] = {
    "li": LISTS | _CELLS,
    "dt": LISTS | _CELLS,
    "dd": LISTS | _CELLS,
    **{name: frozenset(("table",)) for name in TABLE_PARTS},
    "table": frozenset(),
    "rt": frozenset(("ruby",)),
    "rp": frozenset(("ruby",)),
}


class Opened:
    """The elements that are open, outermost first, as far as they matter; never more than MOST_DEPTH."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._counts: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return bool(self._counts.get(name))

    def push(self, name: str) -> None:
        """Begins an element."""
        self.names.append(name)
        self._counts[name] = self._counts.get(name, 0) + 1

    def pop(self) -> str:
        """Ends the innermost element, and returns its name."""
        name = self.names.pop()
        self._counts[name] -= 1
        return name

    def ended_by(self, name: str) -> int:
        """Returns how many elements end where one of this name begins."""
        ended = 0
        if "p" in self and (name in ENDS_PARAGRAPH or name == "p"):
            ended = self._from(("p",), _CELLS)
        if name in _CLOSED_BY:
            ended = max(ended, self._from(_CLOSED_BY[name], _BARRIERS.get(name, _CELLS)))
        return ended

    def ended_with(self, name: str) -> int:
        """Returns how many elements end with the end tag of this name; 0 if it ends none."""
        return self._from(tuple(HEADINGS) if name in HEADINGS else (name,), _BARRIERS.get(name, _CELLS))

    def _from(self, names: tuple[str, ...], barriers: frozenset[str]) -> int:
        """Returns how many there are from the outermost of these names on that lies before a barrier."""
        counts = self._counts
        for name in names:
            if counts.get(name):
                break
        else:
            return 0
        found = 0
        for count, name in enumerate(reversed(self.names), 1):
            if name in names:
                found = count
                if len(names) == 1:
                    break
            elif name in barriers:
                break
        return found


def breaks_out(name: str, root: str) -> bool:
    """Tells whether an element begins that shows that what is left out, `root`, has ended before it."""
    if root in ("svg", "math"):
        return name in _BREAKS_OUT
    return name in (_NO_CONTROL if root == "button" else MAIN)


_STYLE = re.compile(
    r"display:none|visibility:(?:hidden|collapse)|mso-hide:all|content-visibility:hidden"
    r"|position:(?:absolute|fixed)[^\"]*(?:left|top):-\d{4,}px|(?:left|top):-\d{4,}px[^\"]*position:(?:absolute|fixed)"
    r"|(?:max-)?height:0(?:px)?(?:;|!|$).*overflow:hidden|overflow:hidden.*(?:max-)?height:0(?:px)?(?:;|!|$)"
)
_ALWAYS_SHOWN = ("html", "body")
_FORMULA_CLASSES = ("mwe-math", "katex-mathml")  # of Wikipedia and KaTeX, hidden behind the picture of what they say


def hides(name: str, attributes: Mapping[str, str], sheet: StyleSheet) -> bool:
    """Tells whether an element is not shown, by its attributes or the page's own style sheets."""
    if name in _ALWAYS_SHOWN:
        return False
    classes = attributes.get("class", "")
    if any(mark in classes for mark in _FORMULA_CLASSES):
        return False
    if attributes.get("hidden", "until-found").strip().lower() != "until-found":
        return True
    if attributes.get("aria-hidden", "").strip().lower() == "true" or (name == "dialog" and "open" not in attributes):
        return True
    if "popover" in attributes:
        return True
    style = attributes.get("style")
    if style is not None and _STYLE.search("".join(style.lower().split())[:2000]):
        return True
    return sheet.hides(name, attributes.get("id", ""), classes)


MOST_SHEET_CHARACTERS = 1 << 18
_HIDDEN_RULE = re.compile(r"(?:^|;)(?:display:none|visibility:hidden)(?:;|!|$)")
_SHOWN_RULE = re.compile(r"(?:^|;)(?:display:(?!none)|visibility:visible)")
_SIMPLE = re.compile(r"([a-z][a-z0-9]*)?([.#][\w-]+)?")
_NAMED = re.compile(r"[.#][\w-]+")


@dataclass(slots=True)
class StyleSheet:
    """The plain rules of a page's <style> elements that hide a class, an id or an element.

    What any other rule shows again, as that of an open tab or menu, counts as shown: people can get to it.
    """

    _hidden: set[str] = field(default_factory=set)
    _shown: set[str] = field(default_factory=set)

    def add(self, source: str) -> None:
        """Takes a style sheet. Rules for certain media are left out."""
        if "none" not in source and "hidden" not in source:
            return
        for selectors, declarations in _rules(_without_comments(source[:MOST_SHEET_CHARACTERS])):
            written = "".join(declarations.lower().split())
            if _HIDDEN_RULE.search(written):
                for selector in selectors.split(","):
                    if (simple := selector.strip()) and _SIMPLE.fullmatch(simple):
                        self._hidden.add(simple)
            elif _SHOWN_RULE.search(written):
                self._shown.update(_NAMED.findall(selectors))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is hidden by it."""
        return not self._hidden

    def hides(self, name: str, identity: str, classes: str) -> bool:
        """Tells whether a rule hides an element of this name, id and these classes."""
        if not self._hidden:
            return False
        marks = [f".{one}" for one in classes.split()] + ([f"#{identity}"] if identity else [])
        return name in self._hidden or any(
            mark not in self._shown and (mark in self._hidden or name + mark in self._hidden) for mark in marks
        )


def _without_comments(source: str) -> str:
    kept: list[str] = []
    for number, part in enumerate(source.split("/*")):
        kept.append(part.partition("*/")[2] if number else part)
    return "".join(kept)


def _rules(source: str) -> Iterator[tuple[str, str]]:
    """Yields selectors and declarations, but for those in blocks of others, as `@media print { ... }`."""
    depth = begin = opening = 0
    is_nested = False
    for found in re.finditer(r"[{}]", source):
        if found.group() == "{":
            depth += 1
            is_nested = is_nested or depth > 1
            opening = opening if depth > 1 else found.end()
        elif depth:
            depth -= 1
            if not depth:
                if not is_nested:
                    yield source[begin : opening - 1], source[opening : found.start()]
                begin, is_nested = found.end(), False
