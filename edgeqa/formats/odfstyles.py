"""What an OpenDocument file says of how it looks: its styles, how its lists are numbered, whether it is encrypted.

In: XML, as events. Out: values that the readers of text and of spreadsheets look up. Shared by `opendocument` and
`opensheet`.

The format: OpenDocument 1.3, OASIS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from edgeqa.formats.errors import FileEncrypted
from edgeqa.formats.notation import numeral
from edgeqa.formats.package import Handler, Package, number_in

if TYPE_CHECKING:
    from collections.abc import Container

MOST_STYLES = 1 << 14
MOST_BASES = 30  # styles that are based on one another
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
    is_hidden: bool | None = None
    is_bold: bool | None = None
    raised: int | None = None
    """1 for what is raised, -1 for what is lowered, 0 for neither."""


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


class OdfStyles(Handler):
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
                for one in ("list_style", "is_hidden", "is_bold", "raised"):
                    if getattr(found, one) in (None, ""):
                        setattr(found, one, getattr(style, one))
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
            style.raised = (amount > 0) - (amount < 0)


class _Manifest(Handler):
    """Finds out whether parts are encrypted."""

    is_encrypted = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.is_encrypted = self.is_encrypted or name == "encryption-data"


def opened(stream: IO[bytes], name: str) -> tuple[Package, OdfStyles]:
    """Returns a document that is there and can be read, and its styles.

    Raises:
        FormatError: if it has no content, or is encrypted.
    """
    package = Package(stream, name, "OpenDocument")
    if package.take("META-INF/manifest.xml", _Manifest()).is_encrypted:
        raise FileEncrypted(name, "it needs a password")
    if CONTENT not in package:
        reason = f"it has no part {CONTENT!r}"
        raise package.damaged(reason)
    return package, package.take(STYLES, OdfStyles())


class Content(Handler):
    """The content of a document: what is in its body, without what is left out; styles before it go to the styles."""

    def __init__(self, package: Package, styles: OdfStyles, bodies: Container[str], skipped: Container[str]) -> None:
        """Begins.

        Args:
            package: the document.
            styles: its styles.
            bodies: what the body may be of.
            skipped: elements that are left out, with what is in them.
        """
        self.styles = styles
        self.is_left_out = False
        """To be set within `begin`: whether the element is left out with what is in it."""
        self._package, self._bodies, self._skipped = package, bodies, skipped
        self._place = ""  # styles, body, or what the body is of
        self._skipped_depth = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag of the body."""

    def finish(self, name: str) -> None:
        """Takes an end tag of the body."""

    def write(self, text: str) -> None:
        """Takes text of the body."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if self._place == "styles":
            self.styles.start(name, attributes)
        elif self._skipped_depth:
            self._skipped_depth += 1
        elif not self._place:
            self._place = "styles" if name in ("automatic-styles", "styles") else "body" if name == "body" else ""
        elif self._place == "body":
            if name not in self._bodies:
                raise self._package.damaged()
            self._place = name
        elif name in self._skipped:
            self._skipped_depth = 1
        else:
            self.begin(name, attributes)
            if self.is_left_out:
                self.is_left_out, self._skipped_depth = False, 1

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if self._place == "styles":
            self._place = "" if name in ("automatic-styles", "styles") else "styles"
            self.styles.end(name)
        elif self._skipped_depth:
            self._skipped_depth -= 1
        else:
            self.finish(name)

    def text(self, text: str) -> None:
        """Takes text."""
        if self._place != "styles" and not self._skipped_depth:
            self.write(text)
