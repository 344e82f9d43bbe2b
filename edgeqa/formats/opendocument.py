"""ODT and ODP: the text of a document of LibreOffice, as it is shown, is one record; its notes stand at the end.

Headings and lists have their levels and numbers, and tables are rows with their header. A text box stands after the
paragraph that holds it. Text that is not shown is left out: hidden text and sections, tracked deletions, comments,
placeholders. In presentations, the title of each slide is a heading. The XML is read as it comes. Styles, and the
numbering of lists, are read here, for `spreadsheets` too.

The format is OpenDocument 1.3, by OASIS.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from edgeqa.formats.archive import Handler, Package, number_in
from edgeqa.formats.blocks import FileDamaged, FileEncrypted, FormatOptions, Record, first_heading
from edgeqa.formats.notation import Formula, numeral
from edgeqa.formats.stories import NOTE, Stories, Story

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from edgeqa.formats.blocks import Block

MAX_REPEATED = 1000  # a cell or a row of a text's table is repeated so often at most
# These are not shown: comments, deleted text, prompts, forms, descriptions of pictures, the numbers of notes, scripts.
_SKIPPED = frozenset(
    ("annotation", "tracked-changes", "placeholder", "forms", "title", "desc", "note-citation", "script", "dde-links")
)
MAX_STYLES = 1 << 14
MAX_BASES = 30  # a chain of styles, each based on the next, is followed so far
MAX_LEVELS = 10
CONTENT, META, STYLES = "content.xml", "meta.xml", "styles.xml"
_PERCENT = re.compile(r"(-?[0-9]+)(?:\.[0-9]+)?%")
_LEVELS = ("list-level-style-number", "list-level-style-bullet", "list-level-style-image", "outline-level-style")
_NOT_SHOWN = ("none", "false", "condition")


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the document as one record.

    Raises:
        FormatError: if it is no such document, or is encrypted.
    """
    package, styles = open_document(stream, name)
    title, blocks = first_heading(_blocks(package, _Document(package, styles)))
    stated = package.title(META)
    yield Record(name, title or stated, blocks)


def _blocks(package: Package, document: _Document) -> Iterator[Block]:
    for _ in package.parse(CONTENT, document):
        yield from document.stories.pop()
    yield from document.stories.finish()


@dataclass(slots=True)
class OdfStyle:
    """The properties that a style sets itself; None and "" if it does not set them."""

    parent: str = ""
    list_style: str = ""
    is_hidden: bool | None = None
    is_bold: bool | None = None
    raised: int | None = None
    """1 for raised text, -1 for lowered text, 0 for neither."""


@dataclass(slots=True)
class ListLevel:
    """The marker of the items on one level of a list."""

    form: str = ""
    prefix: str = ""
    suffix: str = ""
    start: int = 1
    shown_levels: int = 1
    is_bullet: bool = False


@dataclass(slots=True)
class ListStyle:
    """The markers of a list, by level from 1 on."""

    levels: dict[int, ListLevel] = field(default_factory=dict)

    def marker(self, counts: dict[int, int], level: int) -> str:
        """Returns an item's marker, with the blank after it."""
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
        """Returns the properties of a style, together with those of the styles that it is based on."""
        found = self._resolved.get(name)
        if found is None:
            found = OdfStyle()
            place = name
            for _ in range(MAX_BASES):
                style = self._styles.get(place)
                if style is None:
                    break
                for one in ("list_style", "is_hidden", "is_bold", "raised"):
                    if getattr(found, one) in (None, ""):
                        setattr(found, one, getattr(style, one))
                place = style.parent
            if len(self._resolved) < MAX_STYLES:
                self._resolved[name] = found
        return found

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if name == "style" and len(self._styles) < MAX_STYLES:
            self._style = self._styles.setdefault(attributes.get("name", ""), OdfStyle())
            self._style.parent = attributes.get("parent-style-name", "")
            self._style.list_style = attributes.get("list-style-name", "")
        elif name == "list-style" and len(self.lists) < MAX_STYLES:
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
        if self._list is not None and 0 < level <= MAX_LEVELS:
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


def open_document(stream: IO[bytes], name: str) -> tuple[Package, OdfStyles]:
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
    """The content of a document: its body without hidden elements. Styles before the body go to the styles."""

    def __init__(self, package: Package, styles: OdfStyles, bodies: Container[str], skipped: Container[str]) -> None:
        """Begins the content.

        Args:
            package: the document.
            styles: its styles.
            bodies: the kinds of body that are read.
            skipped: elements that are left out with their content.
        """
        self.styles = styles
        self.is_left_out = False
        """Whether the element is left out with its content; `begin` sets it."""
        self._package, self._bodies, self._skipped = package, bodies, skipped
        self._place = ""  # styles, body, or the body's kind
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


# The rest reads the text.


@dataclass(slots=True)
class _List:
    style: str


@dataclass(slots=True)
class _Story(Story):
    lists: list[_List] = field(default_factory=list)
    tables: int = 0
    marker: str | None = None
    """The marker of the item that has begun, until its first paragraph."""
    spans: list[str] = field(default_factory=list)


class _FormulaPart(Handler):
    """Takes a part that is a formula, and ignores any other."""

    def __init__(self) -> None:
        self.formula = Formula()
        self._is_formula: bool | None = None

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if self._is_formula is None:
            self._is_formula = name == "math"
        elif self._is_formula:
            self.formula.start(name)

    def end(self, name: str) -> None:
        if self._is_formula:
            self.formula.end(name)

    def text(self, text: str) -> None:
        if self._is_formula:
            self.formula.text(text)


class _Document(Content):
    """Writes the text of a document as blocks."""

    def __init__(self, package: Package, styles: OdfStyles) -> None:
        super().__init__(package, styles, ("text", "presentation", "drawing"), _SKIPPED)
        self.stories = Stories(_Story, package.name)
        self._hidden: list[bool] = []  # for each open element that may be hidden: whether it is
        self._counts: dict[str, dict[int, int]] = {}  # by the style of a list: the current number of each level
        self._outline: dict[int, int] = {}
        self._in_header = False
        self._title_frames = 0
        self._frames: list[bool] = []
        self._formula: Formula | None = None
        self._starts: dict[str, Callable[[dict[str, str]], None]] = {
            "p": self._begin_paragraph, "h": self._begin_paragraph, "span": self._begin_span, "a": self._begin_span,
            "s": self._space, "tab": self._space, "line-break": self._break, "list": self._begin_list,
            "list-item": self._begin_item, "list-header": self._begin_list_header, "section": self._begin_section,
            "page": self._begin_page, "hidden-text": self._hide_text, "hidden-paragraph": self._hide_paragraph,
            "frame": self._begin_frame, "text-box": self._begin_box, "note-body": self._begin_note,
            "ruby-text": self._begin_reading, "table": self._begin_table, "table-header-rows": self._begin_header,
            "table-row": self._begin_row, "table-cell": self._begin_cell, "object": self._begin_object,
        }  # fmt: skip
        self._ends: dict[str, Callable[[], None]] = {
            "p": self._end_paragraph, "h": self._end_paragraph, "span": self._end_span, "a": self._end_span,
            "list": self._end_list, "section": self._end_hidden, "page": self._end_hidden,
            "hidden-text": self._end_hidden, "frame": self._end_frame, "text-box": self._end_box,
            "note-body": self._end_note, "ruby-text": self._end_reading, "table": self._end_table,
            "table-header-rows": self._end_header, "table-row": self._end_row,
        }  # fmt: skip
        self._level = 0

    @property
    def _story(self) -> _Story:
        return self.stories.story

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag of the body."""
        if self._formula is not None:
            self._formula.start(name)
        elif name == "math":
            self._formula = Formula()
        elif attributes.get("display") == "none":  # fields that only set a value, sections, frames
            self.is_left_out = True
        elif (handler := self._starts.get(name)) is not None:
            self._level = (number_in(attributes, "outline-level") or 1) if name == "h" else 0
            handler(attributes)

    def finish(self, name: str) -> None:
        """Takes an end tag of the body."""
        if self._formula is None:
            if (handler := self._ends.get(name)) is not None:
                handler()
        elif name != "math":
            self._formula.end(name)
        else:
            formula, self._formula = self._formula.line(), None
            self.write(formula, is_formula=True)

    def write(self, text: str, *, is_formula: bool = False) -> None:
        """Takes text of the body, or a formula."""
        if self._formula is not None:
            self._formula.text(text)
            return
        spans = [self.styles.resolved(span) for span in self._story.spans]
        if not self._story.in_paragraph or any(self._hidden) or any(span.is_hidden for span in spans):
            return
        raised = next((span.raised for span in reversed(spans) if span.raised is not None), 0)
        if is_formula:
            self._story.prose.apart(text)
        else:
            self._story.prose.text(text, raised)

    # --- paragraphs

    def _begin_paragraph(self, attributes: dict[str, str]) -> None:
        level = self._level
        style = attributes.get("style-name", "")
        if self._story.in_paragraph and self.stories.has_room:  # this paragraph is of a shape within another one
            self.stories.enter("p")
        story = self._story
        story.in_paragraph += 1
        story.spans = [style]
        self._hidden.append(False)
        marker = self._marker(style) if story.lists else None
        if level and not story.lists:
            marker = self._heading_number(level, attributes)
        if self._title_frames and not level:
            level = 1
        depth = len(story.lists)
        if marker is not None:
            story.prose.item(max(1, depth), marker)
        if level and not (story.tables and level > 2):
            story.prose.heading(min(level, 6))
        elif marker is None:
            story.prose.paragraph(depth)

    def _heading_number(self, level: int, attributes: dict[str, str]) -> str | None:
        """Counts a heading; returns its number, None if it is shown without one."""
        form = self.styles.outline.levels.get(level)
        if form is None or not form.form or attributes.get("is-list-header") == "true":
            return None
        self._outline = {place: count for place, count in self._outline.items() if place <= level}
        start = number_in(attributes, "start-value") if attributes.get("restart-numbering") == "true" else None
        before = self._outline.get(level, form.start - 1)
        self._outline[level] = start if start is not None else min(before + 1, 1 << 31)
        return self.styles.outline.marker(self._outline, level)

    def _end_paragraph(self) -> None:
        story = self._story
        if not story.in_paragraph:
            return
        self._hidden.pop()
        story.prose.end_block(len(story.lists))
        story.in_paragraph -= 1
        story.spans.clear()
        if story.kind == "p" and not story.in_paragraph:
            self.stories.leave()
        if not self._story.tables and not self._story.in_paragraph:
            self.stories.settle()

    def _begin_span(self, attributes: dict[str, str]) -> None:
        self._story.spans.append(attributes.get("style-name", ""))

    def _end_span(self) -> None:
        if len(self._story.spans) > 1:
            self._story.spans.pop()

    def _space(self, _attributes: dict[str, str]) -> None:
        self.write(" ")

    def _break(self, _attributes: dict[str, str]) -> None:
        self._story.prose.line()

    def _begin_reading(self, _attributes: dict[str, str]) -> None:
        self.write(" (")

    def _end_reading(self) -> None:
        self.write(")")

    # --- lists

    def _begin_list(self, attributes: dict[str, str]) -> None:
        story = self._story
        style = attributes.get("style-name") or (story.lists[-1].style if story.lists else "")
        if len(story.lists) < MAX_LEVELS * 10:
            story.lists.append(_List(style))
        goes_on = attributes.get("continue-numbering") == "true" or "continue-list" in attributes
        level = len(story.lists)
        if level == 1:
            story.prose.begin_list()
        if not goes_on:
            counts = self._counts.setdefault(style, {})
            for place in [place for place in counts if place >= level]:
                del counts[place]

    def _end_list(self) -> None:
        story = self._story
        if story.lists:
            story.lists.pop()
        if not story.lists:
            story.prose.end()

    def _begin_item(self, attributes: dict[str, str]) -> None:
        story = self._story
        if not story.lists:
            return
        level = len(story.lists)
        style = story.lists[-1].style
        counts = self._counts.setdefault(style, {})
        known = self.styles.lists.get(style, ListStyle()).levels.get(level)
        start = number_in(attributes, "start-value")
        before = counts.get(level, (known.start if known is not None else 1) - 1)
        counts[level] = start if start is not None else min(before + 1, 1 << 31)
        for place in [place for place in counts if place > level]:
            del counts[place]
        story.marker = style

    def _begin_list_header(self, _attributes: dict[str, str]) -> None:
        self._story.marker = None

    def _marker(self, paragraph_style: str) -> str | None:
        """Returns the marker of the item that has begun; None for its further paragraphs."""
        story = self._story
        if story.marker is None:
            return None
        style, story.marker = story.marker, None
        level = len(story.lists)
        name = style or self.styles.resolved(paragraph_style).list_style
        found = self.styles.lists.get(name)
        if found is None:
            return "- "
        counts = self._counts.get(style, {})
        if not style:  # it was counted before the first number of its style was known
            counts = {n: count + found.levels[n].start - 1 for n, count in counts.items() if n in found.levels}
        return found.marker(counts, level)

    # --- what is not shown

    def _begin_section(self, attributes: dict[str, str]) -> None:
        # LibreOffice writes `is-hidden` only if the condition was met.
        self._hidden.append(attributes.get("display") == "condition" and attributes.get("is-hidden") == "true")

    def _begin_page(self, attributes: dict[str, str]) -> None:
        self._hidden.append(bool(self.styles.resolved(attributes.get("style-name", "")).is_hidden))

    def _hide_text(self, attributes: dict[str, str]) -> None:
        self._hidden.append(attributes.get("is-hidden") == "true")

    def _hide_paragraph(self, attributes: dict[str, str]) -> None:
        if attributes.get("is-hidden") == "true" and self._hidden and self._story.in_paragraph:
            self._hidden[-1] = True

    def _end_hidden(self) -> None:
        if self._hidden:
            self._hidden.pop()

    # --- what lies aside

    def _begin_frame(self, attributes: dict[str, str]) -> None:
        self._frames.append(attributes.get("class") == "title")
        self._title_frames += self._frames[-1]
        is_prompt = attributes.get("placeholder") == "true"
        self._hidden.append(is_prompt or attributes.get("display") == "printer")

    def _end_frame(self) -> None:
        if self._frames:
            self._title_frames -= self._frames.pop()
            self._end_hidden()

    def _begin_object(self, attributes: dict[str, str]) -> None:
        """Writes a formula that is a document of its own, in another part."""
        place = posixpath.normpath(attributes.get("href", "").removeprefix("./"))
        if not place.startswith((".", "/", "#")):
            found = _FormulaPart()
            with contextlib.suppress(FileDamaged):
                self._package.take(f"{place}/{CONTENT}", found)
            self.write(found.formula.line(), is_formula=True)

    def _begin_box(self, _attributes: dict[str, str]) -> None:
        if self._story.in_paragraph:
            self.stories.enter("text-box")
        else:  # on a slide, it is a part of the text
            self._hidden.append(False)

    def _end_box(self) -> None:
        if self._story.kind == "text-box":
            self.stories.leave()
        else:
            self._end_hidden()

    def _begin_note(self, _attributes: dict[str, str]) -> None:
        self.stories.enter(NOTE)

    def _end_note(self) -> None:
        if self._story.kind == NOTE:
            self.stories.leave()

    # --- tables

    def _begin_table(self, attributes: dict[str, str]) -> None:
        self._hidden.append(bool(self.styles.resolved(attributes.get("style-name", "")).is_hidden))
        self._story.tables += 1
        self._story.prose.table(len(self._story.lists))

    def _end_table(self) -> None:
        self._end_hidden()
        self._story.tables = max(0, self._story.tables - 1)
        self._story.prose.end_table()
        if not self._story.tables and not self._story.in_paragraph:
            self.stories.settle()

    def _begin_header(self, _attributes: dict[str, str]) -> None:
        self._in_header = True

    def _end_header(self) -> None:
        self._in_header = False

    def _begin_row(self, attributes: dict[str, str]) -> None:
        self._hidden.append(attributes.get("visibility") in ("collapse", "filter"))
        if self._story.tables:
            self._story.prose.row(is_header=self._in_header)

    def _end_row(self) -> None:
        self._end_hidden()
        if self._story.tables:
            self._story.prose.end_row()

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        if not self._story.tables:
            return
        columns = number_in(attributes, "number-columns-spanned") or 1
        rows = number_in(attributes, "number-rows-spanned") or 1
        # Empty cells at the end of a row are written once, with the number of repetitions.
        for _ in range(min((number_in(attributes, "number-columns-repeated") or 1) - 1, MAX_REPEATED)):
            self._story.prose.cell()
        self._story.prose.cell(columns, min(rows, MAX_REPEATED))
