"""PPTX: each slide of a presentation is a record, called `FILE#3` after its number; its notes stand at its end.

The title comes first and is a heading. The text in a text placeholder is a list with its levels, tables are rows, and
so are the numbers of charts; the words of diagrams are items. Hidden slides and shapes are left out, and so are
numbers, dates and footers that repeat. One slide is held in memory at a time.

The format is ECMA-376, PresentationML and DrawingML.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from edgeqa.formats import cells
from edgeqa.formats.archive import Handler, OfficePackage, Relations, is_on, number_in
from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOptions, Record, one_line
from edgeqa.formats.notation import OfficeMath, numeral
from edgeqa.formats.prose import Draft, Prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.blocks import Block

MAX_SLIDES = 10_000
MAX_SLIDE_CHARACTERS = 1 << 23
MAX_MERGED = 1000  # one cell spans at most so many columns or rows
MAX_CHART_CHARACTERS = 1000  # a name in a chart has at most so many
_LINE_BREAK = "_x000B_"  # some programs write a line break so
_TITLES = ("title", "ctrTitle")
_REPEATED = ("sldNum", "dt", "ftr", "hdr", "sldImg")
_SHAPES = ("sp", "grpSp", "graphicFrame", "pic", "cxnSp")
_NO_TITLES = ("powerpoint presentation", "powerpoint-präsentation", "présentation powerpoint", "slide 1")
_NUMBERS = {"arabic": "1", "alphaLc": "a", "alphaUc": "A", "romanLc": "i", "romanUc": "I"}


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a slide; those without text are left out.

    Raises:
        FormatError: if it is no PPTX file.
    """
    package = OfficePackage(stream, name, "PPTX", "ppt/presentation.xml")
    presentation = _Presentation()
    for _ in package.parse(package.main, presentation, "presentation"):
        pass
    whole = package.stated_title()
    whole = "" if whole.lower() in _NO_TITLES else whole
    damage: FileDamaged | None = None
    has_slide = False
    for number, relation in enumerate(presentation.slides, 1):
        part = package.relations.by_id.get(relation)
        if part is None or part not in package:
            yield Record(f"{name}#{number}", "", (), note="the presentation names it, but has no such part")
            continue
        try:
            blocks, title = _slide(package, part, number)
        except FileDamaged as error:
            damage = error
            yield Record(f"{name}#{number}", "", (), note=str(error))
            continue
        has_slide = True
        if blocks:
            names = [one for one in (whole, title) if one]
            shown = names[:1] if len(names) > 1 and whole.casefold() == title.casefold() else names
            yield Record(f"{name}#{number}", one_line(": ".join(shown)), iter(blocks))
    if damage is not None and not has_slide:
        raise damage


def _slide(package: OfficePackage, part: str, number: int) -> tuple[list[Block], str]:
    """Returns the blocks of a slide and its title; none if it is hidden."""
    relations = Relations(package, part)
    slide = package.take(part, _Slide(package.name, f"slide {number}"))
    if slide.is_hidden:
        return [], ""
    for diagram in relations.targets.get("diagramData", []):
        package.take(diagram, _Diagram(slide.prose))
        slide.settle()
    for chart in relations.targets.get("chart", []):
        with contextlib.suppress(FileDamaged):  # the slide does without
            if blocks := charted(package, chart):
                slide.others.append([replace(blocks[0], before="\n\n"), *blocks[1:]])
    for notes in relations.targets.get("notesSlide", [])[:1]:
        aside = package.take(notes, _Slide(package.name, f"slide {number}", of_notes=True))
        slide.others += aside.titles + aside.others
    blocks = [block for shape in (*slide.titles, *slide.others) for block in shape]
    title = one_line(" ".join(block.text for shape in slide.titles for block in shape))
    return ([replace(blocks[0], before=""), *blocks[1:]] if blocks else []), title


def drawn(package: OfficePackage, part: str) -> list[Block]:
    """Returns the blocks of a drawing that lies over a sheet of a spreadsheet."""
    drawing = package.take(part, _Slide(package.name, "one of its drawings"))
    return [block for shape in (*drawing.titles, *drawing.others) for block in shape]


MAX_SERIES = 100
MAX_POINTS = 2000  # of a chart's series
_AXES = frozenset(("catAx", "valAx", "dateAx", "serAx", "extLst"))
_OF_SERIES = {"tx": "name", "cat": "categories", "xVal": "categories", "val": "values", "yVal": "values"}


def charted(package: OfficePackage, part: str) -> list[Block]:
    """Returns the blocks of a chart: its title, and its numbers as the rows of a table."""
    return package.take(part, _Chart()).blocks()


@dataclass(slots=True)
class _Series:
    """One series of a chart: its name, and its numbers with their categories, by their places."""

    name: dict[int, str] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=dict)
    values: dict[int, str] = field(default_factory=dict)


class _Chart(Handler):
    """Takes a chart: the numbers of its last display, which a spreadsheet has put into it."""

    def __init__(self) -> None:
        self._title: list[str] = []
        self._series: list[_Series] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self._point = 0
        self._code = "General"

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        self._text = []
        if name == "ser" and len(self._series) < MAX_SERIES and not _AXES.intersection(self._open):
            self._series.append(_Series())
        elif name == "pt":
            self._point = number_in(attributes, "idx") or 0
        elif name in ("numCache", "numLit"):
            self._code = "General"

    def end(self, name: str) -> None:
        if self._open:
            self._open.pop()
        text, self._text = "".join(self._text), []
        if _AXES.intersection(self._open):
            return
        if name == "formatCode":
            self._code = text
        elif name == "v" and "ser" in self._open and self._series:
            of = next((_OF_SERIES[one] for one in reversed(self._open) if one in _OF_SERIES), "")
            found: dict[int, str] = getattr(self._series[-1], of) if of else {}
            if len(found) < MAX_POINTS:
                found[self._point] = self._shown(text) if "numCache" in self._open else text
        elif name in ("t", "p") and "title" in self._open and "ser" not in self._open:
            self._title.append(text if name == "t" else " ")

    def text(self, text: str) -> None:
        if self._open and self._open[-1] in ("v", "t", "formatCode") and len(self._text) < MAX_MERGED:
            self._text.append(text[:MAX_CHART_CHARACTERS])

    def _shown(self, text: str) -> str:
        try:
            return cells.shown(float(text[:100]), self._code)
        except ValueError:
            return text

    def blocks(self) -> list[Block]:
        """Returns its title and its rows."""
        draft = Draft()
        draft.add(" ".join("".join(self._title).split()))
        draft.end()
        places = sorted({place for one in self._series for place in one.values})[:MAX_POINTS]
        names = ["".join(one.name.values()) for one in self._series]
        categories = {place: text for one in reversed(self._series) for place, text in one.categories.items()}
        if places and any(names):
            draft.row(["", *names] if categories else names, is_header=True, begins=True)
        for number, place in enumerate(places):
            row = [one.values.get(place, "") for one in self._series]
            begins = not number and not any(names)
            draft.row([categories.get(place, ""), *row] if categories else row, begins=begins)
        return draft.pop()


class _Presentation(Handler):
    """Finds the slides, in their order."""

    def __init__(self) -> None:
        self.slides: list[str] = []
        """The relation of each slide."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sldId" and len(self.slides) < MAX_SLIDES:
            # Without namespaces, `r:id` has overwritten `id`.
            self.slides.append(attributes.get("id", ""))


class _Diagram(Handler):
    """Writes the words of a diagram as blocks."""

    def __init__(self, prose: Prose) -> None:
        self._prose = prose
        self._is_shown = self._in_text = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "pt":
            self._is_shown = attributes.get("type", "node") in ("node", "asst", "doc")
            self._prose.item()
        self._in_text = name == "t" and self._is_shown

    def end(self, name: str) -> None:
        if name == "p" and self._is_shown:
            self._prose.text(" ")
        self._in_text = False

    def text(self, text: str) -> None:
        if self._in_text:
            self._prose.text(text)


@dataclass(slots=True)
class _Paragraph:
    level: int = 0
    mark: str = ""
    """buNone, buChar or buAutoNum, if the paragraph sets it itself."""
    numbers: str = ""
    first: int = 1
    is_settled: bool = False


class _Slide(Handler):
    """Writes the text of a slide as blocks, shape by shape."""

    def __init__(self, name: str, called: str, *, of_notes: bool = False) -> None:
        self.titles: list[list[Block]] = []
        self.others: list[list[Block]] = []
        """The blocks of each shape."""
        self.is_hidden = False
        self.prose = Prose()
        self._name, self._called = name, called
        self._of_notes = of_notes
        self._shapes: list[bool] = []  # for each open shape: whether it is hidden
        self._place: str | None = None  # the kind of a placeholder; "" for text
        self._paragraph = _Paragraph()
        self._counts: dict[int, int] = {}
        self._in_paragraph = self._in_text = self._in_properties = False
        self._skipped_depth = 0
        self._raised = 0
        self._math: OfficeMath | None = None
        self._first_row = self._in_table = False
        self._rows = 0
        self._characters = 0
        self._starts: dict[str, Callable[[dict[str, str]], None]] = {
            "sld": self._begin_slide, "cNvPr": self._name_shape, "ph": self._stand_in, "p": self._begin_paragraph,
            "pPr": self._begin_properties, "buNone": self._bullet_none, "buChar": self._bullet,
            "buAutoNum": self._bullet_number, "rPr": self._look, "r": self._begin_run, "fld": self._begin_run,
            "t": self._begin_text, "br": self._break, "tbl": self._begin_table, "tblPr": self._look_at_table,
            "tr": self._begin_row, "tc": self._begin_cell, "oMath": self._begin_math,
        }  # fmt: skip
        self._ends: dict[str, Callable[[], None]] = {
            "p": self._end_paragraph, "pPr": self._end_properties, "t": self._end_text, "tbl": self._end_table,
            "tr": self.prose.end_row,
        }  # fmt: skip

    def settle(self) -> None:
        """Keeps the blocks of the shape that ends here."""
        blocks = self.prose.finish()
        if blocks:
            blocks[0] = replace(blocks[0], before="\n\n")
            (self.titles if self._place in _TITLES else self.others).append(blocks)
        self.prose.end()

    # --- events

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if self._skipped_depth:
            self._skipped_depth += 1
        elif self._math is not None:
            self._in_text = name == "t"
            self._math.start(name, attributes)
        elif name in _SHAPES:
            self._shapes.append(False)
            self._place = None
            self._counts.clear()
        elif (handler := self._starts.get(name)) is not None:
            handler(attributes)

    def end(self, name: str) -> None:
        """Takes an end tag."""
        if self._skipped_depth:
            self._skipped_depth -= 1
        elif self._math is not None:
            self._in_text = False
            if self._math.end(name):
                formula, self._math = self._math.line(), None
                self._add(formula, is_formula=True)
        elif name in _SHAPES:
            self.settle()
            if self._shapes:
                self._shapes.pop()
            self._place = None
        elif (handler := self._ends.get(name)) is not None:
            handler()

    def text(self, text: str) -> None:
        """Takes text."""
        if not self._in_text or self._skipped_depth:
            return
        if self._math is not None:
            self._math.text(text)
        else:
            self._add(text)

    def _add(self, text: str, *, is_formula: bool = False) -> None:
        if any(self._shapes) or self._place in _REPEATED or (self._of_notes and self._place != "body"):
            return
        self._characters += len(text)
        if self._characters > MAX_SLIDE_CHARACTERS:
            what = f"{self._called} has more than {MAX_SLIDE_CHARACTERS} characters"
            raise FileExcessive(self._name, what)
        self._settle_paragraph()
        text = text.replace(_LINE_BREAK, " ")
        if is_formula:
            self.prose.apart(text)
        else:
            self.prose.text(text, self._raised)

    # --- shapes

    def _begin_slide(self, attributes: dict[str, str]) -> None:
        self.is_hidden = not is_on(attributes, "show")

    def _name_shape(self, attributes: dict[str, str]) -> None:
        if self._shapes and is_on(attributes, "hidden", "0"):
            self._shapes[-1] = True

    def _stand_in(self, attributes: dict[str, str]) -> None:
        self._place = attributes.get("type", "")

    # --- paragraphs

    def _begin_paragraph(self, _attributes: dict[str, str]) -> None:
        self._paragraph = _Paragraph()
        self._in_paragraph = True
        self._raised = 0

    def _begin_properties(self, attributes: dict[str, str]) -> None:
        self._in_properties = self._in_paragraph
        if self._in_paragraph:
            self._paragraph.level = max(0, min(number_in(attributes, "lvl") or 0, 8))

    def _end_properties(self) -> None:
        self._in_properties = False

    def _bullet_none(self, _attributes: dict[str, str]) -> None:
        self._mark("buNone")

    def _bullet(self, _attributes: dict[str, str]) -> None:
        self._mark("buChar")

    def _bullet_number(self, attributes: dict[str, str]) -> None:
        if self._in_properties:
            self._mark("buAutoNum")
            self._paragraph.numbers = attributes.get("type", "arabicPeriod")
            self._paragraph.first = number_in(attributes, "startAt") or 1

    def _mark(self, mark: str) -> None:
        if self._in_properties:
            self._paragraph.mark = mark

    def _settle_paragraph(self) -> None:
        paragraph = self._paragraph
        if paragraph.is_settled:
            return
        paragraph.is_settled = True
        level = paragraph.level
        if self._place in _TITLES:
            self.prose.heading(1)
            return
        is_list = paragraph.mark in ("buChar", "buAutoNum") or (
            not paragraph.mark and self._place in ("", "body", "obj") and not self._of_notes and not self._in_table
        )
        if not is_list:
            self._counts.clear()
            self.prose.paragraph()
            return
        marker = "- "
        if paragraph.mark == "buAutoNum":
            self._counts = {place: count for place, count in self._counts.items() if place <= level}
            self._counts[level] = self._counts.get(level, paragraph.first - 1) + 1
            marker = _numbered(self._counts[level], paragraph.numbers)
        else:
            self._counts = {place: count for place, count in self._counts.items() if place < level}
        self.prose.item(level + 1, marker)

    def _end_paragraph(self) -> None:
        self._in_paragraph = False
        self.prose.end_block()

    def _begin_run(self, _attributes: dict[str, str]) -> None:
        self._raised = 0

    def _look(self, attributes: dict[str, str]) -> None:
        baseline = number_in({"val": attributes.get("baseline", "0").rstrip("%")}) or 0
        self._raised = (baseline > 0) - (baseline < 0)

    def _begin_text(self, _attributes: dict[str, str]) -> None:
        self._in_text = True

    def _end_text(self) -> None:
        self._in_text = False

    def _break(self, _attributes: dict[str, str]) -> None:
        self.prose.line()

    def _begin_math(self, _attributes: dict[str, str]) -> None:
        self._math = OfficeMath()

    # --- tables

    def _begin_table(self, _attributes: dict[str, str]) -> None:
        self._in_table, self._first_row, self._rows = True, False, 0
        self.prose.table()

    def _look_at_table(self, attributes: dict[str, str]) -> None:
        self._first_row = is_on(attributes, "firstRow", "0")

    def _end_table(self) -> None:
        self._in_table = False
        self.prose.end_table()

    def _begin_row(self, _attributes: dict[str, str]) -> None:
        self.prose.row(is_header=self._first_row and not self._rows)
        self._rows += 1

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        # The cells that a merged cell covers are written as empty cells.
        if is_on(attributes, "hMerge", "0") or is_on(attributes, "vMerge", "0"):
            return
        columns, rows = number_in(attributes, "gridSpan") or 1, number_in(attributes, "rowSpan") or 1
        self.prose.cell(min(columns, MAX_MERGED), min(rows, MAX_MERGED))


def _numbered(number: int, kind: str) -> str:
    style = next((form for begin, form in _NUMBERS.items() if kind.startswith(begin)), "1")
    written = numeral(number, style)
    if kind.endswith("ParenBoth"):
        return f"({written}) "
    return f"{written}) " if kind.endswith("ParenR") else f"{written} " if kind.endswith("Plain") else f"{written}. "
