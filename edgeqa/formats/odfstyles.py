"""What an OpenDocument file says of how it looks: its styles, how its lists are numbered, whether it is encrypted.

In: XML, as events. Out: values that the readers of text and of spreadsheets look up. Shared by `opendocument` and
`opensheet`.

The format: OpenDocument 1.3, OASIS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeqa.formats.errors import FileDamaged, FileEncrypted
from edgeqa.formats.notation import numeral
from edgeqa.formats.package import number_in, take
from edgeqa.formats.wordparts import MOST_BASES, MOST_STYLES

if TYPE_CHECKING:
    from edgeqa.formats.archive import Archive

MOST_LEVELS = 10
CONTENT, META, STYLES = "content.xml", "meta.xml", "styles.xml"
_PERCENT = re.compile(r"(-?[0-9]+)(?:\.[0-9]+)?%")
_LEVELS = ("list-level-style-number", "list-level-style-bullet", "list-level-style-image", "outline-level-style")
_NOT_SHOWN = ("none", "false", "condition")


@dataclass(slots=True)
class OdfStyle:
    """What a style says itself; None and "" where it says nothing."""

    parent: str = ""
    list_style: str = ""
    outline: int = 0
    is_hidden: bool | None = None
    is_bold: bool | None = None
    align: str | None = None
    """superscript, subscript, or "" for neither."""


@dataclass(slots=True)
class ListLevel:
    """How the items of a level of a list are shown."""

    form: str = ""
    prefix: str = ""
    suffix: str = ""
    start: int = 1
    shown_levels: int = 1
    is_bullet: bool = False


@dataclass(slots=True)
class ListStyle:
    """How a list is shown, by levels from 1 on."""

    levels: dict[int, ListLevel] = field(default_factory=dict)

    def marker(self, counts: dict[int, int], level: int) -> str:
        """Returns what an item is shown with, and the blank after it."""
        here = self.levels.get(level)
        if here is None or here.is_bullet:
            return "- "
        numbers = []
        for place in range(max(1, level - here.shown_levels + 1), level + 1):
            other = self.levels.get(place, here)
            if other.form and not other.is_bullet:
                numbers.append(numeral(counts.get(place, other.start), other.form))
        text = f"{here.prefix}{'.'.join(numbers)}{here.suffix}".strip() if numbers and here.form else ""
        return f"{text} " if text else ""


class OdfStyles:
    """Takes styles, from their own part and from the beginning of the content."""

    def __init__(self) -> None:
        self.lists: dict[str, ListStyle] = {}
        self.outline = ListStyle()
        self._styles: dict[str, OdfStyle] = {}
        self._style: OdfStyle | None = None
        self._list: ListStyle | None = None
        self._resolved: dict[str, OdfStyle] = {}

    def resolved(self, name: str) -> OdfStyle:
        """Returns what a style says together with those that it is based on."""
        found = self._resolved.get(name)
        if found is None:
            found = OdfStyle()
            place = name
            for _ in range(MOST_BASES):
                style = self._styles.get(place)
                if style is None:
                    break
                found.list_style = found.list_style or style.list_style
                found.outline = found.outline or style.outline
                found.is_hidden = style.is_hidden if found.is_hidden is None else found.is_hidden
                found.is_bold = style.is_bold if found.is_bold is None else found.is_bold
                found.align = style.align if found.align is None else found.align
                place = style.parent
            if len(self._resolved) < MOST_STYLES:
                self._resolved[name] = found
        return found

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if name == "style" and len(self._styles) < MOST_STYLES:
            self._style = self._styles.setdefault(attributes.get("name", ""), OdfStyle())
            self._style.parent = attributes.get("parent-style-name", "")
            self._style.list_style = attributes.get("list-style-name", "")
            self._style.outline = number_in(attributes, "default-outline-level") or 0
        elif name == "list-style" and len(self.lists) < MOST_STYLES:
            self._list = self.lists.setdefault(attributes.get("name", ""), ListStyle())
        elif name == "outline-style":
            self._list = self.outline
        elif name in _LEVELS and self._list is not None:
            self._note_level(name, attributes)
        elif self._style is not None and name.endswith("-properties"):
            _note(self._style, name, attributes)

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if name == "style":
            self._style = None
        elif name in ("list-style", "outline-style"):
            self._list = None

    def text(self, _text: str) -> None:
        """Takes text."""

    def _note_level(self, name: str, attributes: dict[str, str]) -> None:
        level = number_in(attributes, "level") or 1
        if self._list is not None and 0 < level <= MOST_LEVELS:
            self._list.levels[level] = ListLevel(
                attributes.get("num-format", ""),
                attributes.get("num-prefix", "")[:40],
                attributes.get("num-suffix", "")[:40],
                start if (start := number_in(attributes, "start-value")) is not None else 1,
                number_in(attributes, "display-levels") or 1,
                is_bullet=name in ("list-level-style-bullet", "list-level-style-image"),
            )


def _note(style: OdfStyle, name: str, attributes: dict[str, str]) -> None:
    display = attributes.get("display")
    if name in ("text-properties", "table-properties") and display is not None:
        style.is_hidden = display in _NOT_SHOWN
    if name == "drawing-page-properties" and "visibility" in attributes:
        style.is_hidden = attributes["visibility"] == "hidden"
    if name == "text-properties":
        weight = attributes.get("font-weight")
        if weight is not None:
            style.is_bold = weight in ("bold", "600", "700", "800", "900")
        position = attributes.get("text-position", "").split(" ")[0]
        if position:
            percent = _PERCENT.fullmatch(position)
            amount = int(percent[1][:6]) if percent else {"super": 1, "sub": -1}.get(position, 0)
            style.align = "superscript" if amount > 0 else "subscript" if amount < 0 else ""


class Manifest:
    """Finds out whether parts are encrypted."""

    def __init__(self) -> None:
        self.is_encrypted = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        self.is_encrypted = self.is_encrypted or name == "encryption-data"

    def end(self, _name: str) -> None:
        """Takes an end tag."""

    def text(self, _text: str) -> None:
        """Takes text."""


def opened(archive: Archive, name: str, format_name: str) -> OdfStyles:
    """Returns the styles of a document that is there and can be read.

    Raises:
        FormatError: if it has no content, or is encrypted.
    """
    manifest = Manifest()
    take(archive, "META-INF/manifest.xml", manifest, name, format_name)
    if manifest.is_encrypted:
        raise FileEncrypted(name, "it needs a password")
    if CONTENT not in archive:
        raise FileDamaged(name, format_name, f"it has no part {CONTENT!r}")
    styles = OdfStyles()
    take(archive, STYLES, styles, name, format_name)
    return styles
