"""What Word keeps beside its text: styles, and what they say of headings, lists and hidden text.

In: the XML of the part, as events. Out: values that the readers look up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeqa.formats.package import OFF, is_on, number_in

MOST_STYLES = 1 << 14
MOST_BASES = 30  # styles that are based on one another
MOST_LEVELS = 9  # of outlines and lists


@dataclass(slots=True)
class Style:
    """What a style says itself; None and "" where it says nothing."""

    name: str = ""
    based_on: str = ""
    outline: int | None = None
    list_id: str | None = None
    list_level: int | None = None
    is_hidden: bool | None = None
    is_bold: bool | None = None
    align: str = ""
    """superscript, subscript or baseline."""
    marks_first_row: bool = False
    """Of a table's style, whether its first row looks different."""


PLAIN = Style()


class Styles:
    """The styles of a document."""

    def __init__(self) -> None:
        self._styles: dict[str, Style] = {}
        self._default = ""  # of paragraphs
        self._style: Style | None = None
        self._conditions = 0
        self._resolved: dict[str, Style] = {}

    def __contains__(self, style_id: str) -> bool:
        return style_id in self._styles

    def resolved(self, style_id: str) -> Style:
        """Returns what a style says together with those that it is based on; "" is the paragraphs' default."""
        found = self._resolved.get(style_id)
        if found is None:
            found = self._resolved[style_id] = self._merged(style_id)
        return found

    def heading_level(self, style_id: str) -> int:
        """Returns the level of heading that paragraphs of a style are; 0 for none."""
        place = style_id
        for _ in range(MOST_BASES):
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
        for _ in range(MOST_BASES):
            style = self._styles.get(place)
            if style is None:
                break
            merged.name = merged.name or style.name
            for one in ("outline", "list_id", "list_level", "is_hidden", "is_bold"):
                if getattr(merged, one) is None:
                    setattr(merged, one, getattr(style, one))
            merged.align = merged.align or style.align
            merged.marks_first_row = merged.marks_first_row or style.marks_first_row
            place = style.based_on
        return merged

    # --- events

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if name == "style" and len(self._styles) < MOST_STYLES:
            self._style = self._styles.setdefault(attributes.get("styleId", ""), Style())
            if attributes.get("type") == "paragraph" and attributes.get("default", "0") not in OFF:
                self._default = attributes.get("styleId", "")
        elif name == "tblStylePr":
            self._conditions += 1
            if self._style is not None and attributes.get("type") == "firstRow":
                self._style.marks_first_row = True
        elif self._style is not None and not self._conditions:
            _note(self._style, name, attributes)

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if name == "style":
            self._style = None
        elif name == "tblStylePr":
            self._conditions = max(0, self._conditions - 1)

    def text(self, _text: str) -> None:
        """Takes text."""


def _note(style: Style, name: str, attributes: dict[str, str]) -> None:
    value = attributes.get("val", "")
    if name == "name":
        style.name = value
    elif name == "basedOn":
        style.based_on = value
    elif name == "outlineLvl":
        style.outline = number_in(attributes)
    elif name == "numId":
        style.list_id = value
    elif name == "ilvl":
        style.list_level = number_in(attributes)
    elif name == "vanish":
        style.is_hidden = is_on(attributes)
    elif name == "b":
        style.is_bold = is_on(attributes)
    elif name == "vertAlign":
        style.align = value


def named_level(name: str) -> int | None:
    """Returns the level of heading that a style of this name is; None if the name says nothing."""
    name = name.strip().lower()
    found = re.fullmatch(r"heading ?([1-9])(?:[ ,;].*)?", name)
    if found:
        return min(int(found[1]), 6)
    return 1 if name == "title" else None


def outline_level(outline: int) -> int:
    """Returns the level of heading that an outline level means, which count from 0; 0 for text."""
    return min(outline + 1, 6) if 0 <= outline < MOST_LEVELS else 0
