"""DOCX: the text of a Word document, as Word shows it, is one record; its notes stand at the end.

Headings and lists have their levels and numbers, and tables are rows with their header. A text box stands after the
paragraph that holds it. Text that Word does not show is left out: hidden text and rows, text that was deleted or moved
away, prompts of fields that nobody has filled in, codes of fields. Comments, headers and footers are no part of the
text, and are left out, too. The title is the first heading, else the one in the properties. The standard library reads
the XML as it comes, in linear time and little memory.

The format is ECMA-376, WordprocessingML.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING

from edgeqa.formats import kinds
from edgeqa.formats.archive import Handler, OfficePackage, Properties, is_hex, is_on, note, number_in, word_in
from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOptions, Record, first_heading
from edgeqa.formats.notation import MAX_FIELD_CHARACTERS, OfficeMath, field_shown, symbol, without_private
from edgeqa.formats.slides import charted
from edgeqa.formats.stories import Stories, Story
from edgeqa.formats.wordstyles import (
    OF_PARAGRAPHS,
    OF_RUNS,
    PLAIN,
    Numbering,
    Styles,
    WordTable,
    named_level,
    outline_level,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.blocks import Block

_SHAPE = "shape"  # a shape's text ends with its paragraph
MAX_READING_CHARACTERS = 1000  # a reading aid is not longer
MAX_NOTES = 100  # so many parts that are not read are named
MAX_INCLUDED_CHARACTERS = 1 << 24
MAX_ENTRIES = 2000  # a list to choose from has at most so many
RAISED_HALF_POINTS = 4  # text moved up by so much is raised

_PROMPTS = ("placeholder text", "placeholdertext")  # a style
_SEPARATORS = ("separator", "continuationSeparator", "continuationNotice")
# These are not shown: deleted text, the old place of moved text, properties before a change, data shown elsewhere.
_SKIPPED = frozenset(("moveFrom", "del", "delText", "delInstrText", "fldData", "binData", "glossaryDocument"))


_NOTES = ("footnotes", "endnotes")
_SHAPES = ("drawing", "shape", "rect", "roundrect", "oval", "group")
_INCLUDED = (".htm", ".html", ".xhtml", ".mht", ".mhtml", ".txt", ".rtf")


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the document as one record.

    Raises:
        FormatError: if it is no DOCX file.
    """
    package = OfficePackage(stream, name, "DOCX", "word/document.xml")
    notes: list[str] = []
    title, blocks = first_heading(_blocks(package, notes))
    yield Record(name, title or package.stated_title(), blocks)
    for note_of_part in notes[:MAX_NOTES]:
        yield Record(name, "", (), note=note_of_part)


def _included(package: OfficePackage, notes: list[str], relation: str) -> list[Block]:
    """Returns the blocks of a file that a document includes, as it came from another program."""
    part = package.relations.by_id.get(relation, "")
    kind = kinds.by_name(part)
    if kind is None or part not in package or not part.lower().endswith(_INCLUDED):
        if len(notes) < MAX_NOTES:
            notes.append(f"it includes {part!r}, which is not read")
        return []
    found: list[Block] = []
    characters = 0
    for record in kind.reader()(package.blocks(part), f"{package.name}, {part}", FormatOptions()):
        for block in record.blocks:
            found.append(block)
            characters += len(block.text)
            if characters > MAX_INCLUDED_CHARACTERS:
                raise FileExcessive(
                    package.name, f"its part {part!r} has more than {MAX_INCLUDED_CHARACTERS} characters"
                )
    return found


def _charted(package: OfficePackage, relation: str) -> list[Block]:
    """Returns the blocks of a chart; none if there is no such part, or it is damaged."""
    part = package.relations.by_id.get(relation, "")
    with contextlib.suppress(FileDamaged):
        return charted(package, part) if part in package else []
    return []


def _blocks(package: OfficePackage, notes: list[str]) -> Iterator[Block]:
    folder = package.main.rpartition("/")[0]

    def parts(kind: str) -> list[str]:
        return package.relations.targets.get(kind, [f"{folder}/{kind}.xml"])

    styles = Styles()
    numbering = Numbering(styles)
    for part, handler in ((parts("styles")[0], styles), (parts("numbering")[0], numbering)):
        with contextlib.suppress(FileDamaged):  # the text can be read without it
            package.take(part, handler)
    document = _Text(package.name, styles, numbering, partial(_included, package, notes), partial(_charted, package))
    for _ in package.parse(package.main, document, "document"):
        yield from document.pop()
    for part in (part for kind in _NOTES for part in parts(kind)):
        if part in package:
            try:
                for _ in package.parse(part, document):
                    yield from document.pop()
            except FileDamaged as error:
                notes.append(f"its part {part!r}: {error}")
        elif part in package.relations.by_id.values():
            notes.append(f"it names {part!r}, but has no such part")
    yield from document.finish()


@dataclass(slots=True)
class _Run:
    """The look of a run of text; None and "" if the run does not say."""

    style: str = ""
    font: str = ""
    align: str = ""
    position: int = 0
    is_hidden: bool | None = None
    is_bold: bool | None = None
    effect: tuple[bool, bool, int] | None = None
    """Whether it is hidden, whether it is bold, and whether it is raised (1) or lowered (-1), once that is known."""


@dataclass(slots=True)
class _Paragraph:
    style: str = ""
    outline: int | None = None
    list_id: str | None = None
    list_level: int | None = None
    is_mark_hidden: bool = False
    """Whether its end is hidden or deleted, so that the next one goes on in its line."""
    is_drop_cap: bool = False
    """Whether it is the large first letter of the next paragraph."""
    is_settled: bool = False
    """Whether its properties have taken effect."""


_OF_RUNS: Properties = {
    **OF_RUNS,
    "rStyle": ("style", word_in),
    "position": ("position", lambda attributes: number_in(attributes) or 0),
    "rFonts": ("font", lambda found: found.get("ascii") or found.get("hAnsi") or found.get("cs", "")),
}
_OF_PARAGRAPHS: Properties = {
    **OF_PARAGRAPHS,
    "pStyle": ("style", word_in),
    "framePr": ("is_drop_cap", lambda attributes: attributes.get("dropCap", "none") != "none"),
}
_RAISED = {"superscript": 1, "subscript": -1}


@dataclass(slots=True)
class _Story(Story):
    paragraph: _Paragraph = field(default_factory=_Paragraph)
    goes_on: bool = False
    """Whether the next paragraph continues the block of the last one."""
    run: _Run = field(default_factory=_Run)
    tables: list[WordTable] = field(default_factory=list)
    in_list: str | None = None
    reading: list[str] | None = None
    """The reading aid of a word, which stands before the word in the file."""
    in_reading: bool = False


class _Text(Handler):
    """Takes the XML of a document and of its notes."""

    def __init__(
        self,
        name: str,
        styles: Styles,
        numbering: Numbering,
        included: Callable[[str], list[Block]],
        charted: Callable[[str], list[Block]],
    ) -> None:
        self._styles, self._numbering, self._included, self._charted = styles, numbering, included, charted
        self._stories = Stories(_Story, name)
        self._properties: list[str] = []  # the open elements of properties
        self._in_text = self._in_code = False
        self._skipped_depth = 0
        self._muted = 0  # the number of open elements whose text is not shown
        self._controls: list[bool] = []  # for each content control: whether it holds only its prompt
        self._mutes: list[bool] = []  # for each element that may hide its text: whether it does
        self._fields: list[_Field] = []  # the open fields
        self._form: _Form | None = None
        self._math: OfficeMath | None = None
        self._referred: set[str] = set()
        self._starts: dict[str, Callable[[str, dict[str, str]], None]] = {
            "t": self._begin_text, "r": self._begin_run, "p": self._begin_paragraph, "tab": self._space,
            "ptab": self._space, "br": self._break, "cr": self._break, "noBreakHyphen": self._hyphen,
            "sym": self._symbol, "rt": self._begin_reading, "sdt": self._begin_control,
            "sdtContent": self._begin_content, "footnote": self._begin_note, "endnote": self._begin_note,
            "footnoteReference": self._refer, "endnoteReference": self._refer,
            "fldChar": self._field_mark, "instrText": self._begin_code, "ffData": self._begin_form,
            **dict.fromkeys(("checkBox", "default", "checked", "ddList", "result", "listEntry"), self._form_part),
            **dict.fromkeys(_SHAPES, self._begin_shape), "docPr": self._describe_shape, "altChunk": self._include,
            "chart": self._chart, "txbxContent": self._begin_box, "oMath": self._begin_math, "tbl": self._begin_table,
            "tr": self._begin_row, "tc": self._begin_cell,
        }  # fmt: skip
        self._ends: dict[str, Callable[[], None]] = {
            "t": self._end_text, "instrText": self._end_code, "p": self._end_paragraph, "rt": self._end_reading,
            "ruby": self._end_ruby,
            "sdt": self._end_control, "sdtContent": self._end_content, "footnote": self._end_content,
            "endnote": self._end_content, **dict.fromkeys(_SHAPES, self._end_content), "ffData": self._end_form,
            "txbxContent": self._stories.leave, "tbl": self._end_table, "tr": self._end_row, "tc": self._end_cell,
        }  # fmt: skip

    @property
    def _story(self) -> _Story:
        return self._stories.story

    def pop(self) -> list[Block]:
        """Returns the finished blocks."""
        return self._stories.pop()

    def finish(self) -> list[Block]:
        """Returns the last blocks."""
        return self._stories.finish()

    # --- events

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if self._skipped_depth:
            self._skipped_depth += 1
        elif self._properties:
            if name.endswith("Change"):  # these are the properties before a change
                self._skipped_depth = 1
                return
            self._property(name, attributes)
            self._properties.append(name)
        elif name.endswith("Pr") and name != "docPr" and self._math is None:
            self._properties.append(name)
        elif name in _SKIPPED:
            self._skipped_depth = 1
        elif self._math is not None:
            self._in_text = name == "t"
            self._math.start(name, attributes)
        elif (handler := self._starts.get(name)) is not None:
            handler(name, attributes)

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if self._skipped_depth:
            self._skipped_depth -= 1
        elif self._properties:
            self._properties.pop()
        elif self._math is not None:
            self._in_text = False
            if self._math.end(name):
                formula, self._math = self._math.line(), None
                self.add(formula, is_formula=True)
        elif (handler := self._ends.get(name)) is not None:
            handler()

    def text(self, text: str) -> None:
        """Takes text."""
        if self._in_code and not self._skipped_depth and self._fields:
            self._fields[-1].add_code(text)
        if not self._in_text or self._skipped_depth or self._properties:
            return
        if self._math is not None:
            self._math.text(text)
        else:
            self.add(text)

    # --- text

    def add(self, text: str, *, is_formula: bool = False) -> None:
        """Adds text, or a formula, to the paragraph, as its run and its paragraph are shown."""
        story = self._story
        is_hidden, is_bold, raised = self._effect()
        if is_hidden or self._is_muted() or any(one.in_code for one in self._fields):
            return
        for one in self._fields:
            one.is_shown = True
        self._settle()
        text = without_private(text, story.run.font)
        if story.reading is not None and story.in_reading:
            if len(story.reading) < MAX_READING_CHARACTERS:
                story.reading.append(text[:MAX_READING_CHARACTERS])
            return
        if story.tables and story.tables[-1].is_cell_open:
            story.tables[-1].text(text, is_bold=is_bold)
        if is_formula:
            story.prose.apart(text)
        else:
            story.prose.text(text, raised)

    def _is_muted(self) -> bool:
        """Tells whether an open element is not shown: a prompt, a note of no interest, a row."""
        return self._muted > 0 or any(table.is_muted for table in self._story.tables)

    def _effect(self) -> tuple[bool, bool, int]:
        """Returns whether the run is hidden, bold, and raised or lowered, by itself or by its styles."""
        story = self._story
        run = story.run
        if run.effect is None:
            style = self._styles.resolved(run.style) if run.style else PLAIN
            below = self._styles.resolved(story.paragraph.style)
            # Each style toggles such a property: if both set it, it is off.
            is_hidden = bool(style.is_hidden) != bool(below.is_hidden) if run.is_hidden is None else run.is_hidden
            is_bold = bool(style.is_bold) != bool(below.is_bold) if run.is_bold is None else run.is_bold
            align = run.align or style.align or below.align
            if not align and abs(run.position) >= RAISED_HALF_POINTS:
                align = "superscript" if run.position > 0 else "subscript"
            # Some prompts are not marked by their control.
            is_prompt = bool(self._controls) and (style.name.lower() or run.style.lower()) in _PROMPTS
            is_hidden = is_hidden or is_prompt
            run.effect = is_hidden, is_bold, _RAISED.get(align, 0)
        return run.effect

    # --- properties

    def _property(self, name: str, attributes: dict[str, str]) -> None:
        holder = self._properties[-1]
        if holder == "rPr":
            if self._properties[0] == "rPr":
                note(self._story.run, _OF_RUNS, name, attributes)
            elif self._properties[0] == "pPr" and name in ("vanish", "del", "moveFrom"):
                self._story.paragraph.is_mark_hidden = is_on(attributes)
        elif holder in ("pPr", "numPr"):
            note(self._story.paragraph, _OF_PARAGRAPHS, name, attributes)
        elif holder == "sdtPr":
            if name == "showingPlcHdr" and self._controls:
                self._controls[-1] = is_on(attributes)
        elif self._story.tables:
            self._story.tables[-1].take(holder, name, attributes)

    # --- paragraphs

    def _begin_paragraph(self, _name: str, _attributes: dict[str, str]) -> None:
        if self._story.in_paragraph and self._stories.has_room:  # a shape's own text is no text box
            self._stories.enter(_SHAPE)
        self._open_cell()
        story = self._story
        story.in_paragraph += 1
        story.paragraph, story.run = _Paragraph(is_settled=story.goes_on), _Run()
        story.goes_on = False
        # A field's code that goes on beyond its paragraph has lost its end; the text after it is kept.
        for one in self._fields:
            one.in_code = False

    def _settle(self) -> None:
        """Applies the paragraph's properties: before its first text, or if it counts without any text."""
        story = self._story
        paragraph = story.paragraph
        if paragraph.is_settled or not story.in_paragraph:
            return
        paragraph.is_settled = True
        level = self._heading_level(paragraph)
        if story.tables and level > 2:  # in a table, these are names of rows and columns more often than headings
            level = 0
        item = self._item(paragraph)
        if item is not None:
            marker, list_level, is_first = item
            if story.in_list is None or (is_first and not list_level):
                story.prose.begin_list()
            story.in_list = paragraph.list_id or paragraph.style
            story.prose.item(list_level + 1, marker)
        elif story.in_list is not None:
            story.prose.end()
            story.in_list = None
        if level:
            story.prose.heading(level)
            story.in_list = None
        elif item is None:
            story.prose.paragraph()

    def _heading_level(self, paragraph: _Paragraph) -> int:
        if paragraph.outline is not None:
            return outline_level(paragraph.outline)
        if paragraph.style in self._styles:
            return self._styles.heading_level(paragraph.style)
        return named_level(paragraph.style) or 0

    def _item(self, paragraph: _Paragraph) -> tuple[str, int, bool] | None:
        """Returns an item's marker, its level and whether its list begins; None if the paragraph is no item."""
        style = self._styles.resolved(paragraph.style)
        list_id = paragraph.list_id if paragraph.list_id is not None else style.list_id
        if list_id is None or list_id in ("0", ""):
            is_bulleted = list_id is None and style.name.lower().startswith("list bullet")
            return ("- ", 0, False) if is_bulleted else None
        level = paragraph.list_level
        if level is None:
            level = style.list_level if style.list_level is not None and paragraph.list_id is None else None
        if level is None:
            level = self._numbering.level_of(list_id, paragraph.style)
        found = self._numbering.marker(list_id, level)
        if found is None:  # the list is not described
            return "- ", level, False
        return found.text, level, found.is_first

    def _end_paragraph(self) -> None:
        story = self._story
        if not story.in_paragraph:
            return
        if not self._is_muted() and not story.paragraph.is_mark_hidden:
            self._settle()  # an item without text counts in its list, too
        paragraph = story.paragraph
        story.goes_on = paragraph.is_settled and (paragraph.is_mark_hidden or paragraph.is_drop_cap)
        if not story.goes_on:
            story.prose.end_block()
        story.in_paragraph -= 1
        if story.kind == _SHAPE and not story.in_paragraph:
            self._stories.leave()
        if not story.tables and not self._story.in_paragraph:
            self._stories.settle()

    def _begin_run(self, _name: str, _attributes: dict[str, str]) -> None:
        self._story.run = _Run()

    def _begin_text(self, _name: str, _attributes: dict[str, str]) -> None:
        self._in_text = True

    def _end_text(self) -> None:
        self._in_text = False

    def _begin_code(self, _name: str, _attributes: dict[str, str]) -> None:
        self._in_code = True

    def _end_code(self) -> None:
        self._in_code = False

    def _space(self, _name: str, _attributes: dict[str, str]) -> None:
        self.add(" ")

    def _hyphen(self, _name: str, _attributes: dict[str, str]) -> None:
        self.add("-")

    def _break(self, _name: str, _attributes: dict[str, str]) -> None:
        if not self._is_muted():
            self._story.prose.line()

    def _symbol(self, _name: str, attributes: dict[str, str]) -> None:
        code = attributes.get("char", "")
        if is_hex(code):
            self.add(symbol(int(code[:6], 16), attributes.get("font", "Symbol")))

    # --- words with a reading aid

    def _begin_reading(self, _name: str, _attributes: dict[str, str]) -> None:
        if self._story.reading is None:
            self._story.reading, self._story.in_reading = [], True

    def _end_reading(self) -> None:
        self._story.in_reading = False

    def _end_ruby(self) -> None:
        reading, self._story.reading, self._story.in_reading = self._story.reading, None, False
        if reading and (text := "".join(reading).strip()):
            self._story.prose.text(f" ({text})")

    # --- what is not shown, or shown elsewhere

    def _begin_control(self, _name: str, _attributes: dict[str, str]) -> None:
        self._controls.append(False)

    def _begin_content(self, _name: str, _attributes: dict[str, str]) -> None:
        self._mutes.append(bool(self._controls) and self._controls[-1])
        self._muted += self._mutes[-1]

    def _end_content(self) -> None:
        if self._mutes:
            self._muted -= self._mutes.pop()

    def _end_control(self) -> None:
        if self._controls:
            self._controls.pop()

    def _begin_shape(self, _name: str, attributes: dict[str, str]) -> None:
        is_hidden = "visibility:hidden" in attributes.get("style", "").replace(" ", "").lower()
        self._mutes.append(is_hidden)
        self._muted += is_hidden

    def _describe_shape(self, _name: str, attributes: dict[str, str]) -> None:
        if self._mutes and not self._mutes[-1] and is_on(attributes, "hidden", "0"):
            self._mutes[-1] = True
            self._muted += 1

    def _include(self, _name: str, attributes: dict[str, str]) -> None:
        """Writes the text of a file of another format that stands at this place of the document."""
        self._story.prose.end_block()
        self._stories.insert(self._included(attributes.get("id", "")))

    def _chart(self, _name: str, attributes: dict[str, str]) -> None:
        if not self._is_muted():
            self._stories.hold(self._charted(attributes.get("id", "")))

    def _begin_note(self, name: str, attributes: dict[str, str]) -> None:
        is_shown = attributes.get("type") not in _SEPARATORS and (
            not self._referred or f"{name}:{attributes.get('id')}" in self._referred
        )
        self._mutes.append(not is_shown)
        self._muted += not is_shown

    def _refer(self, name: str, attributes: dict[str, str]) -> None:
        if not self._is_muted() and not self._effect()[0]:
            self._referred.add(f"{name.removesuffix('Reference')}:{attributes.get('id')}")

    def _field_mark(self, _name: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("fldCharType")
        if kind == "begin":
            self._fields.append(_Field())
        elif kind == "separate" and self._fields:
            self._fields[-1].in_code = False
        elif kind == "end" and self._fields:
            ended = self._fields.pop()
            if not ended.is_shown and (shown := field_shown("".join(ended.code))):
                self.add(shown, is_formula=True)

    def _begin_form(self, _name: str, _attributes: dict[str, str]) -> None:
        self._form = _Form()

    def _form_part(self, name: str, attributes: dict[str, str]) -> None:
        if self._form is not None:
            self._form.take(name, attributes)

    def _end_form(self) -> None:
        form, self._form = self._form, None
        if form is not None and (shown := form.shown()):
            fields, self._fields = self._fields, []
            self.add(shown)
            self._fields = fields

    def _begin_box(self, _name: str, _attributes: dict[str, str]) -> None:
        self._stories.enter("box")

    def _begin_math(self, _name: str, _attributes: dict[str, str]) -> None:
        self._math = OfficeMath()

    # --- tables

    def _begin_table(self, _name: str, _attributes: dict[str, str]) -> None:
        self._open_cell()
        self._story.tables.append(WordTable(self._story.prose, self._styles))
        self._story.in_list, self._story.goes_on = None, False

    def _end_table(self) -> None:
        story = self._story
        if story.tables:
            story.tables.pop()
            story.prose.end_table()
        if not story.tables and not story.in_paragraph:
            self._stories.settle()

    def _begin_row(self, _name: str, _attributes: dict[str, str]) -> None:
        if self._story.tables:
            self._story.tables[-1].begin_row()

    def _begin_cell(self, _name: str, _attributes: dict[str, str]) -> None:
        if self._story.tables:
            self._story.tables[-1].begin_cell()

    def _open_cell(self) -> None:
        if self._story.tables:
            self._story.tables[-1].open_cell()

    def _end_cell(self) -> None:
        self._story.goes_on = False
        if self._story.tables:
            self._story.tables[-1].end_cell()

    def _end_row(self) -> None:
        if self._story.tables:
            self._story.tables[-1].end_row()


@dataclass(slots=True)
class _Field:
    """An open field."""

    in_code: bool = True
    """Whether its code comes next."""
    code: list[str] = field(default_factory=list)
    characters: int = 0
    is_shown: bool = False
    """Whether its result has text."""

    def add_code(self, text: str) -> None:
        """Adds a part of its code."""
        if self.in_code and self.characters < MAX_FIELD_CHARACTERS:
            self.code.append(text)
            self.characters += len(text)


class _Form:
    """A form field of Word before it had content controls: a box to tick, or a list to choose from."""

    def __init__(self) -> None:
        self._kind = ""
        self._is_checked = False
        self._default: int | None = None
        self._chosen: int | None = None
        self._entries: list[str] = []

    def take(self, name: str, attributes: dict[str, str]) -> None:
        """Takes an element of its description."""
        if name in ("checkBox", "ddList"):
            self._kind = name
        elif name == "default":
            self._default = number_in(attributes)
            self._is_checked = self._kind == "checkBox" and is_on(attributes)
        elif name == "checked":
            self._is_checked = is_on(attributes)
        elif name == "result":
            self._chosen = number_in(attributes)
        elif name == "listEntry" and len(self._entries) < MAX_ENTRIES:
            self._entries.append(attributes.get("val", ""))

    def shown(self) -> str:
        """Returns the text that it shows."""
        if self._kind == "checkBox":
            return "☒" if self._is_checked else "☐"
        chosen = self._chosen if self._chosen is not None else self._default or 0
        return self._entries[chosen] if self._kind == "ddList" and 0 <= chosen < len(self._entries) else ""
