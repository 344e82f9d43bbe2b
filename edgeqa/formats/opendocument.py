"""ODT and ODP: the text of a document of LibreOffice as it is shown, then its notes, is one record.

Headings and lists come with their levels and numbers, tables as rows with their header; text boxes stand after the
paragraph that holds them. Left out is what is not shown: hidden text and sections, deletions that were tracked,
comments, placeholders. Of presentations, the title of each slide is a heading. Read as the XML comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from edgeqa.formats.archive import Archive
from edgeqa.formats.blocks import FormatOptions, Record, begun, one_line
from edgeqa.formats.errors import FileDamaged, FileExcessive
from edgeqa.formats.notation import subscript, superscript
from edgeqa.formats.odfstyles import CONTENT, META, MOST_LEVELS, ListStyle, OdfStyles, opened
from edgeqa.formats.package import Title, number_in, parse, take
from edgeqa.formats.prose import Prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.blocks import Block

MOST_HELD_CHARACTERS = 1 << 24  # of notes, and of text boxes that wait for the end of what holds them
MOST_BOXES = 20  # within each other
MOST_REPEATED = 1000  # times that a cell or a row of a text's table stands for
_BODIES = ("text", "presentation", "drawing")
_STYLES = ("automatic-styles", "styles")
# Not shown: comments, what was deleted, prompts, forms, descriptions of pictures, the numbers of notes.
_SKIPPED = frozenset(("annotation", "tracked-changes", "placeholder", "forms", "title", "desc", "note-citation"))


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the document as one record.

    Raises:
        FormatError: if it is no such document, or is encrypted.
    """
    archive = Archive(stream, name, "OpenDocument")
    document = _Document(name, opened(archive, name, "OpenDocument"))
    blocks, _ = begun(_blocks(archive, document, name), lambda: bool(document.heading))
    properties = Title()
    take(archive, META, properties, name, "OpenDocument")
    yield Record(name, document.heading or one_line(properties.title), blocks)


def _blocks(archive: Archive, document: _Document, name: str) -> Iterator[Block]:
    for _ in parse(archive.blocks(CONTENT), document, name, "OpenDocument"):
        if document.body and document.body not in _BODIES:
            raise FileDamaged(name, "OpenDocument", "it is another program's document")
        yield from document.taken()
    yield from document.ended()


@dataclass(slots=True)
class _List:
    style: str
    is_counted: bool = True


@dataclass(slots=True)
class _Story:
    """Text that is read by itself: the body, a text box, a note."""

    prose: Prose = field(default_factory=Prose)
    lists: list[_List] = field(default_factory=list)
    in_paragraph: int = 0
    tables: int = 0
    marker: str | None = None
    """Of the item that has begun, until its first paragraph."""
    spans: list[str] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)
    raised_as: str = ""
    boxes: list[Block] = field(default_factory=list)
    kind: str = ""
    """The element that it lies in."""


class _Document:
    """Writes the text of a document down."""

    def __init__(self, name: str, styles: OdfStyles) -> None:
        self.heading = ""
        """The first heading, as soon as it was read."""
        self.body = ""
        """What the body is of, once that is known."""
        self._name = name
        self._styles = styles
        self._in_styles = False
        self._in_body = False
        self._skipped_depth = 0
        self._hidden: list[bool] = []  # elements that are open and may be hidden
        self._story = _Story()
        self._stories: list[_Story] = []
        self._notes: list[Block] = []
        self._held = 0
        self._counts: dict[str, dict[int, int]] = {}  # by the style of a list, how far its levels have come
        self._outline: dict[int, int] = {}
        self._in_header = False
        self._title_frames = 0
        self._frames: list[bool] = []
        self._out: list[Block] = []
        self._is_begun = False
        self._starts: dict[str, Callable[[dict[str, str]], None]] = {
            "p": self._begin_paragraph, "h": self._begin_paragraph, "span": self._begin_span, "a": self._begin_span,
            "s": self._space, "tab": self._space, "line-break": self._break, "list": self._begin_list,
            "list-item": self._begin_item, "list-header": self._begin_list_header, "section": self._begin_section,
            "page": self._begin_page, "hidden-text": self._hide_text, "hidden-paragraph": self._hide_paragraph,
            "frame": self._begin_frame, "text-box": self._begin_box, "note-body": self._begin_note,
            "ruby-text": self._begin_reading, "table": self._begin_table, "table-header-rows": self._begin_header,
            "table-row": self._begin_row, "table-cell": self._begin_cell,
        }  # fmt: skip
        self._ends: dict[str, Callable[[], None]] = {
            "p": self._end_paragraph, "h": self._end_paragraph, "span": self._end_span, "a": self._end_span,
            "list": self._end_list, "section": self._end_hidden, "page": self._end_hidden,
            "hidden-text": self._end_hidden, "frame": self._end_frame, "text-box": self._end_box,
            "note-body": self._end_note, "ruby-text": self._end_reading, "table": self._end_table,
            "table-header-rows": self._end_header, "table-row": self._end_row,
        }  # fmt: skip
        self._level = 0

    # --- what comes out

    def taken(self) -> list[Block]:
        """Returns the blocks that are settled."""
        if not self._stories:
            self._emit(self._story.prose.taken())
        out, self._out = self._out, []
        return out

    def ended(self) -> list[Block]:
        """Returns the last blocks: the notes stand at the end."""
        while self._stories:
            self._leave()
        self._emit(self._story.prose.ended())
        self._emit_boxes()
        notes, self._notes = self._notes, []
        self._emit(notes)
        return self.taken()

    def _emit(self, blocks: list[Block]) -> None:
        for block in blocks:
            if not self.heading and block.kind == "heading":
                self.heading = one_line(block.text)
            before = "" if not self._is_begun else block.before
            self._out.append(block if before == block.before else replace(block, before=before))
            self._is_begun = True

    def _emit_boxes(self) -> None:
        story = self._story
        if story.boxes and not self._stories:
            boxes, story.boxes = story.boxes, []
            self._emit(story.prose.taken())
            self._emit(boxes)

    # --- events

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if self._in_styles:
            self._styles.start(name, attributes)
        elif self._skipped_depth:
            self._skipped_depth += 1
        elif not self._in_body:
            self._in_styles = name in _STYLES
            self._in_body = name == "body"
        elif not self.body:
            self.body = name
        elif name in _SKIPPED:
            self._skipped_depth = 1
        elif (handler := self._starts.get(name)) is not None:
            self._level = (number_in(attributes, "outline-level") or 1) if name == "h" else 0
            handler(attributes)

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if self._in_styles:
            self._in_styles = name not in _STYLES
            self._styles.end(name)
        elif self._skipped_depth:
            self._skipped_depth -= 1
        elif (handler := self._ends.get(name)) is not None:
            handler()

    def text(self, text: str) -> None:
        """Takes text."""
        if self._story.in_paragraph and not self._skipped_depth and not self._in_styles:
            self._add(text)

    def _add(self, text: str) -> None:
        story = self._story
        if any(self._hidden) or any(self._styles.resolved(span).is_hidden for span in story.spans):
            return
        aligns = (self._styles.resolved(span).align for span in reversed(story.spans))
        align = next((align for align in aligns if align is not None), "")
        if align != story.raised_as:
            self._flush_raised()
            story.raised_as = align
        if align:
            story.raised.append(text)
        else:
            story.prose.text(text)

    def _flush_raised(self) -> None:
        story = self._story
        if story.raised:
            text, story.raised = "".join(story.raised), []
            before = story.prose.last_character()
            written = superscript(before, text) if story.raised_as == "superscript" else subscript(before, text)
            story.prose.text(written + (" " if text[-1:].isspace() else ""))

    # --- paragraphs

    def _begin_paragraph(self, attributes: dict[str, str]) -> None:
        level = self._level
        style = attributes.get("style-name", "")
        if self._story.in_paragraph and len(self._stories) < MOST_BOXES:  # of a shape that lies in a paragraph
            self._enter("p")
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
        """Counts a heading; returns its number, None if it is shown without."""
        form = self._styles.outline.levels.get(level)
        if form is None or not form.form or attributes.get("is-list-header") == "true":
            return None
        self._outline = {place: count for place, count in self._outline.items() if place <= level}
        start = number_in(attributes, "start-value") if attributes.get("restart-numbering") == "true" else None
        before = self._outline.get(level, form.start - 1)
        self._outline[level] = start if start is not None else min(before + 1, 1 << 31)
        return self._styles.outline.marker(self._outline, level)

    def _end_paragraph(self) -> None:
        story = self._story
        if not story.in_paragraph:
            return
        self._flush_raised()
        self._hidden.pop()
        story.prose.end_block(len(story.lists))
        story.in_paragraph -= 1
        story.spans.clear()
        if story.kind == "p" and not story.in_paragraph:
            self._leave()
        if not self._story.tables and not self._story.in_paragraph:
            self._emit_boxes()

    def _begin_span(self, attributes: dict[str, str]) -> None:
        self._story.spans.append(attributes.get("style-name", ""))

    def _end_span(self) -> None:
        if len(self._story.spans) > 1:
            self._story.spans.pop()

    def _space(self, _attributes: dict[str, str]) -> None:
        if self._story.in_paragraph:
            self._add(" ")

    def _break(self, _attributes: dict[str, str]) -> None:
        self._flush_raised()
        self._story.prose.line()

    def _begin_reading(self, _attributes: dict[str, str]) -> None:
        self._add(" (")

    def _end_reading(self) -> None:
        self._add(")")

    # --- lists

    def _begin_list(self, attributes: dict[str, str]) -> None:
        story = self._story
        style = attributes.get("style-name") or (story.lists[-1].style if story.lists else "")
        if len(story.lists) < MOST_LEVELS * 10:
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
        known = self._styles.lists.get(style, ListStyle()).levels.get(level)
        start = number_in(attributes, "start-value")
        before = counts.get(level, (known.start if known is not None else 1) - 1)
        counts[level] = start if start is not None else min(before + 1, 1 << 31)
        for place in [place for place in counts if place > level]:
            del counts[place]
        story.marker = style

    def _begin_list_header(self, _attributes: dict[str, str]) -> None:
        self._story.marker = None

    def _marker(self, paragraph_style: str) -> str | None:
        """Returns what the item that has begun is shown with; None for its further paragraphs."""
        story = self._story
        if story.marker is None:
            return None
        style, story.marker = story.marker, None
        level = len(story.lists)
        name = style or self._styles.resolved(paragraph_style).list_style
        found = self._styles.lists.get(name)
        if found is None:
            return "- "
        counts = self._counts.get(style, {})
        if not style:  # counted before it was known where its style begins
            counts = {n: count + found.levels[n].start - 1 for n, count in counts.items() if n in found.levels}
        return found.marker(counts, level)

    # --- what is not shown

    def _begin_section(self, attributes: dict[str, str]) -> None:
        self._hidden.append(attributes.get("display") in ("none", "condition"))

    def _begin_page(self, attributes: dict[str, str]) -> None:
        self._hidden.append(bool(self._styles.resolved(attributes.get("style-name", "")).is_hidden))

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

    def _end_frame(self) -> None:
        if self._frames:
            self._title_frames -= self._frames.pop()

    def _begin_box(self, _attributes: dict[str, str]) -> None:
        if len(self._stories) >= MOST_BOXES:
            raise FileExcessive(self._name, f"its text boxes are nested more than {MOST_BOXES} deep")
        if self._story.in_paragraph:
            self._enter("text-box")
        else:  # of a slide: it is part of what is read
            self._hidden.append(False)

    def _end_box(self) -> None:
        if self._story.kind == "text-box":
            self._leave()
        else:
            self._end_hidden()

    def _begin_note(self, _attributes: dict[str, str]) -> None:
        self._enter("note-body")

    def _end_note(self) -> None:
        if self._story.kind == "note-body":
            self._leave()

    def _enter(self, kind: str) -> None:
        self._stories.append(self._story)
        self._story = _Story(kind=kind)

    def _leave(self) -> None:
        aside = self._story
        blocks = [*aside.prose.ended(), *aside.boxes]
        self._story = self._stories.pop()
        if not blocks:
            return
        blocks[0] = replace(blocks[0], before="\n\n")
        self._held += sum(len(block.text) for block in blocks)
        if self._held > MOST_HELD_CHARACTERS:
            raise FileExcessive(
                self._name, f"its notes and text boxes hold more than {MOST_HELD_CHARACTERS} characters"
            )
        if aside.kind == "note-body":
            self._notes += blocks
        else:
            self._story.boxes += blocks

    # --- tables

    def _begin_table(self, attributes: dict[str, str]) -> None:
        self._hidden.append(bool(self._styles.resolved(attributes.get("style-name", "")).is_hidden))
        self._story.tables += 1
        self._story.prose.table(len(self._story.lists))

    def _end_table(self) -> None:
        self._end_hidden()
        self._story.tables = max(0, self._story.tables - 1)
        self._story.prose.end_table()
        if not self._story.tables and not self._story.in_paragraph:
            self._emit_boxes()

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
        # Empty cells at the end of a row are written once, with how often they are there.
        for _ in range(min((number_in(attributes, "number-columns-repeated") or 1) - 1, MOST_REPEATED)):
            self._story.prose.cell()
        self._story.prose.cell(columns, min(rows, MOST_REPEATED))
