"""Passages: the parts of a document that a person would point at when asked where the answer stands.

This module is pure and needs no tokenizer. In: blocks of NFC text. Out: passages in order, each with its headings, its
kind, and the places of its pieces in the document.

- A row of a table is a passage of its own, which reads "Header: cell; Header: cell".
- A term stays with its explanation, an item with the sentence that introduces its list, a heading with the text below.
- A paragraph stays whole. A text that is too long is cut where sentences end; each part repeats the term or the
  introduction.

The passages depend only on the text and the kinds of the blocks, not on the way a long text was cut into blocks.

Lengths are counted in characters of Latin script; a token has about four. A character of another script counts as
OTHER_CHARACTERS of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from edgeqa.contexts import Piece, row_heading
from edgeqa.formats.blocks import Block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.formats.blocks import BlockKind

SPLITTER_VERSION: Final = 4
"""This number rises whenever the same blocks become other passages. A collection then reads a document again when it is
next added."""

WHOLE_LENGTH = 1800  # a paragraph or an entry of at most this length stays whole
PART_LENGTH = 1300  # each part of a longer one has about this length
GATHERED_LENGTH = 500  # short neighbours are joined to a passage of at most this length
LEAD_LENGTH = 160  # a term, or the sentence before a list, is repeated if it is not longer
MAX_PENDING = 1 << 14  # so many characters of one block are held at most; a longer block is cut
OTHER_CHARACTERS = 4
MAX_HEADING_CHARACTERS = 300
CAPTION_LENGTH = 80

_INTRODUCES = re.compile(r"[:\uff1a]\s*$")
_LATIN_END = "\u0250"
_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n\s*|\r\n[^\S\n]*\r\n\s*")
# A full stop after a single letter or digit ends no sentence: it belongs to initials ("R. N.") or numbers of a list.
_SENTENCE_END = re.compile(r"(?:(?<!\b\w)\.|[!?…])['\"”’»)\]]*\s+|[。！？]['\"”’»)\]]*")
# A full stop after one of these ends no sentence, even if a capital follows.
_ABBREVIATIONS = frozenset(
    """
    al approx apr aug bros ca capt cf co col corp dec dr ed eds etc feb fig figs ft gen gov hon inc jan jr lt ltd messrs
    mr mrs ms mt no nos nov oct op pp prof pt rep rev sen sept sgt sp sr st vol vols vs
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)
_LAST_WORD = re.compile(r"\w+\Z")
_OPENING = "([{«“\u2018\"'`|,;:="  # what a sentence may begin with, before its first letter
_LINE_END = re.compile(r"\n\s*")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to read, with its place in the document."""

    text: str
    start: int
    """Place of its first character in the document; repeated headers and terms do not count as the first."""
    heading: tuple[str, ...] = ()
    """The headings and terms that it stands under, outermost first."""
    kind: str = "paragraph"
    """One of `context.KINDS`."""
    pieces: tuple[Piece, ...] = ()
    """The parts of its text that stand in the document; empty if the whole text stands there, from `start` on."""
    borders: tuple[int, ...] = ()
    """The places in its text where an item, term, paragraph or line of code follows another, in rising order."""

    def moved(self, by: int) -> Passage:
        """Returns the same passage in a document with so many more characters before it."""
        pieces = tuple(Piece(start, end, place + by) for start, end, place in self.pieces)
        return Passage(self.text, self.start + by, self.heading, self.kind, pieces, self.borders)


def passages(blocks: Iterable[Block]) -> Iterator[Passage]:
    """Yields the passages of a document; a document of white space alone has none."""
    gathering = _Gathering()
    for element in _elements(blocks):
        yield from gathering.take(element)
    yield from gathering.rest()


def length(text: str) -> int:
    """Returns the length of a text in characters of Latin script that take as long to read."""
    if text.isascii():
        return len(text)
    return len(text) + (OTHER_CHARACTERS - 1) * sum(character >= _LATIN_END for character in text)


class HeadingPath:
    """The headings above the current place, while a document is read from its beginning to its end."""

    def __init__(self) -> None:
        self.titles: tuple[str, ...] = ()
        """Outermost first."""
        self._levels: tuple[int, ...] = ()

    def leave(self, level: int) -> None:
        """Closes the sections that end where a heading of this level begins."""
        above = sum(1 for one in self._levels if one < level)
        self.titles, self._levels = self.titles[:above], self._levels[:above]

    def enter(self, level: int, heading: str) -> None:
        """Begins the section of a heading."""
        self.leave(level)
        self.titles += (_title(heading),)
        self._levels += (level,)


def _title(text: str) -> str:
    return " ".join(text.split())[:MAX_HEADING_CHARACTERS]


class _Element(NamedTuple):
    """A whole block, or a part of one that is too long, with its place and without white space around it."""

    text: str
    place: int
    before: str
    """The text between the previous element and this one."""
    kind: BlockKind
    level: int
    cells: tuple[tuple[int, int], ...] = ()
    begins: bool = False
    row: int = 0


# The next functions make elements from blocks.


def _elements(blocks: Iterable[Block]) -> Iterator[_Element]:
    return _apart(chain.from_iterable(_cut(joined, place) for joined, place in _joined(blocks)))


def _joined(blocks: Iterable[Block]) -> Iterator[tuple[Block, int]]:
    """Yields the blocks with their places; the parts of one block are joined up to MAX_PENDING characters."""
    held: Block | None = None
    place = begin = 0
    for block in blocks:
        if held is not None and _goes_on(held, block):
            text = held.text + block.text
            cells = held.cells + tuple((a + len(held.text), b + len(held.text)) for a, b in block.cells)
            held = Block(text, held.before, held.kind, held.level, cells, held.begins)
        else:
            if held is not None:
                yield held, begin
            held, begin = block, place + len(block.before)
        place += len(block.before) + len(block.text)
        while len(held.text) > MAX_PENDING + 1 and not held.cells:
            cut = _pending_cut(held)
            yield Block(held.text[:cut], held.before, held.kind, held.level, (), held.begins), begin
            held, begin = Block(held.text[cut:], "", held.kind, held.level), begin + cut
    if held is not None:
        yield held, begin


def _goes_on(held: Block, block: Block) -> bool:
    return (
        not block.before
        and (block.kind, block.level) == (held.kind, held.level)
        and not (block.begins or block.cells)
        and bool(held.text)
    )


def _pending_cut(held: Block) -> int:
    """Returns the place to cut a block that is longer than MAX_PENDING; its end may not have come yet."""
    seen = held.text[:MAX_PENDING]
    if held.kind == "paragraph":
        ends = [end for end in paragraph_ends(seen) if end < len(seen)]
        if ends:
            return ends[-1]
    for find in (sentence_ends, line_ends):
        ends = [end for end in find(seen) if len(seen) // 2 < end < len(seen)]
        if ends:
            return ends[-1]
    space = seen.rfind(" ", len(seen) // 2)
    return space + 1 if space >= 0 else len(seen)


def _cut(block: Block, place: int) -> Iterator[_Element]:
    """Yields a block's paragraphs, or the parts of long ones; the text between two is the `before` of the second."""
    before, done = block.before, 0
    begins = block.begins
    for begin, end in _parts(block):
        text = block.text[begin:end]
        bare = text.strip()
        if not bare:
            continue
        first = begin + text.index(bare[0])
        cells = tuple((a - first, b - first) for a, b in block.cells)
        between = before + block.text[done:first]
        yield _Element(bare, place + first, between, block.kind, block.level, cells, begins, block.row)
        before, done, begins = "", first + len(bare), False
    left = before + block.text[done:]
    if left:
        yield _Element("", place + len(block.text), left, block.kind, block.level)


def _parts(block: Block) -> Iterator[tuple[int, int]]:
    text = block.text
    if block.cells:
        return iter([(0, len(text))])
    ends = [0, *(paragraph_ends(text) if block.kind == "paragraph" and "\n" in text else ()), len(text)]
    paragraphs = pairwise(ends)
    return chain.from_iterable(
        ((a + begin, b + begin) for a, b in _sentences_together(text[begin:end])) for begin, end in paragraphs
    )


def _sentences_together(text: str) -> Iterator[tuple[int, int]]:
    """Yields the place of a text. If it is too long, yields its parts, about equally long, which end with sentences."""
    whole = length(text)
    if whole <= WHOLE_LENGTH:
        yield 0, len(text)
        return
    number = -(-whole // PART_LENGTH)
    wanted, begin = len(text) / number, 0
    borders = {find: list(find(text)) for find in (sentence_ends, line_ends)}
    for part in range(1, number):
        aim = round(part * wanted)
        cut = next(
            (
                min(near, key=lambda end: abs(end - aim))
                for found in borders.values()
                if (near := [end for end in found if end > begin and abs(end - aim) <= wanted / 3])
            ),
            None,
        )
        if cut is None:
            cut = text.rfind(" ", begin + 1, aim) + 1 or aim
        if cut > begin:
            yield begin, cut
            begin = cut
    yield begin, len(text)


def _apart(elements: Iterable[_Element]) -> Iterator[_Element]:
    """Yields the elements that have text; the text between two is the `before` of the second."""
    waiting = ""
    for element in elements:
        if element.text:
            yield element._replace(before=waiting + element.before) if waiting else element
            waiting = ""
        else:
            waiting += element.before


# The rest makes passages from elements.


class _Gathering:
    """The elements that have been read and do not belong to a finished passage yet."""

    def __init__(self) -> None:
        self._headings = HeadingPath()
        self._terms: list[_Element] = []  # terms whose explanation may go on, outermost first
        self._run: list[_Element] = []  # neighbours in the document that will be a passage
        self._length = 0
        self._lead: _Element | None = None  # the element that the passage repeats before the run
        self._introduction: _Element | None = None  # the introduction of the current list
        self._header: list[tuple[str, int]] = []  # the header of the current table
        self._caption = ""

    def take(self, element: _Element) -> Iterator[Passage]:
        """Takes the next element; yields the passages that are whole."""
        if element.kind in ("row", "header"):
            yield from self._row(element)
            return
        self._header, self._caption = [], ""
        if element.kind == "heading":
            yield from self._heading(element)
        elif element.kind == "term":
            yield from self._term(element)
        else:
            yield from self._text(element)

    def rest(self) -> Iterator[Passage]:
        """Yields what is left at the end of the document."""
        if self._run:
            yield self._passage(self._run, self._lead)
        self._run, self._lead, self._length = [], None, 0

    def _heading(self, element: _Element) -> Iterator[Passage]:
        only_headings = bool(self._run) and all(e.kind == "heading" for e in self._run)
        if not (only_headings and element.level > self._run[-1].level and self._length < GATHERED_LENGTH):
            yield from self.rest()
        self._terms.clear()
        self._introduction = None
        self._headings.enter(element.level, element.text)
        self._append(element)

    def _term(self, element: _Element) -> Iterator[Passage]:
        self._introduction = None
        is_second = bool(self._run) and self._run[-1].kind == "term" and self._run[-1].level == element.level
        if not (is_second and self._length < WHOLE_LENGTH) and not self._has_heading_alone():
            yield from self.rest()
        while self._terms and self._terms[-1].level >= element.level:
            self._terms.pop()
        self._terms.append(element)
        self._append(element)

    def _text(self, element: _Element) -> Iterator[Passage]:
        belongs_to = len(self._terms)
        while belongs_to and not _belongs(element, self._terms[belongs_to - 1]):
            belongs_to -= 1
        if belongs_to < len(self._terms):
            yield from self.rest()  # which stands under the terms that end here
            del self._terms[belongs_to:]
        elif self._explains_item(element):
            item = self._run.pop()
            yield from self.rest()
            self._terms.append(item)
            self._append(item)
            self._introduction = None
        is_item = element.kind == "item"
        if is_item and self._introduction is None and self._run and self._run[-1].kind == "paragraph":
            last = self._run[-1]
            if length(last.text) <= LEAD_LENGTH and _INTRODUCES.search(last.text):
                self._introduction = last
        if not is_item and not (self._introduction is not None and element.level):
            self._introduction = None
        if self._run and not self._fits(element):
            lead = self._introduction if is_item else None
            if lead is not None and self._run[-1] is lead and len(self._run) > 1:
                self._run.pop()
                yield from self.rest()
                self._append(lead)
            else:
                yield from self.rest()
                lead = lead or (self._terms[-1] if self._terms else None)
                self._lead = lead if lead is not None and length(lead.text) <= LEAD_LENGTH else None
        self._append(element)

    def _explains_item(self, element: _Element) -> bool:
        """Tells whether the element explains the last item of the run, as in a list of names with paragraphs."""
        last = self._run[-1] if self._run else None
        is_item = last is not None and last.kind == "item" and length(last.text) <= LEAD_LENGTH
        return is_item and last is not None and element.kind != "item" and 0 < last.level <= element.level

    def _fits(self, element: _Element) -> bool:
        last = self._run[-1]
        together = self._length + length(element.text)
        if last.kind in ("heading", "term"):
            return True
        if last.kind == "paragraph" and _INTRODUCES.search(last.text):
            return together <= (WHOLE_LENGTH if len(self._run) == 1 else GATHERED_LENGTH // 2)
        return together <= (WHOLE_LENGTH if self._terms else GATHERED_LENGTH)

    def _append(self, element: _Element) -> None:
        self._run.append(element)
        self._length += len(element.before) + length(element.text)

    def _has_heading_alone(self) -> bool:
        return bool(self._run) and all(e.kind == "heading" for e in self._run)

    def _row(self, element: _Element) -> Iterator[Passage]:
        self._introduction = None
        if self._run:
            last = self._run[-1]
            is_caption = last.kind == "paragraph" and length(last.text) <= CAPTION_LENGTH and last.text[-1] != "."
            self._caption = last.text.rstrip(":") if is_caption else ""
            if self._has_heading_alone():  # each row has the heading in its path already
                self._run, self._length = [], 0
            yield from self.rest()
        if element.begins:
            self._header = []
        while self._terms and not _belongs(element, self._terms[-1]):
            self._terms.pop()
        cells = [(element.text[a:b], element.place + a) for a, b in element.cells]
        if element.kind == "header":
            self._header = cells
            return
        text, pieces = _row_text(cells or [(element.text, element.place)], self._header)
        if pieces:
            caption = (self._caption,) if self._caption else ()
            row = (row_heading(element.row),) if element.row else ()
            yield Passage(text, element.place, (*self._path(), *caption, *row), "row", pieces)

    def _path(self) -> tuple[str, ...]:
        """Returns the headings and terms that a passage stands under."""
        return (*self._headings.titles, *(_title(term.text) for term in self._terms))

    def _passage(self, run: Sequence[_Element], lead: _Element | None) -> Passage:
        text, start, borders = _slice(run)
        pieces: tuple[Piece, ...] = ()
        if lead is not None:
            shift = len(lead.text) + 1
            pieces = (Piece(0, len(lead.text), lead.place), Piece(shift, shift + len(text), start))
            text, borders = f"{lead.text}\n{text}", [shift, *(shift + border for border in borders)]
        return Passage(text, start, self._path(), _kind(run), pieces, tuple(borders))


def _belongs(element: _Element, term: _Element) -> bool:
    """Tells whether an element, which is no term itself, explains the term."""
    return element.level > term.level or (element.level == term.level and element.kind != "item")


def _slice(run: Sequence[_Element]) -> tuple[str, int, list[int]]:
    """Returns the text of neighbouring elements, its place, and the borders in it that no span crosses."""
    parts = [run[0].text]
    at = len(run[0].text)
    borders: list[int] = []
    if run[0].kind == "code":
        borders += line_ends(run[0].text)
    for element in run[1:]:
        at += len(element.before)
        borders.append(at)
        if element.kind == "code":
            borders += (at + end for end in line_ends(element.text))
        parts += (element.before, element.text)
        at += len(element.text)
    return "".join(parts), run[0].place, borders


def _kind(run: Sequence[_Element]) -> str:
    kinds = {element.kind for element in run}
    if "term" in kinds:
        return "entry"
    if "item" in kinds:
        return "list"
    return "code" if kinds <= {"code", "heading"} and "code" in kinds else "paragraph"


def _row_text(cells: Sequence[tuple[str, int]], header: Sequence[tuple[str, int]]) -> tuple[str, tuple[Piece, ...]]:
    """Returns the text of a row, and its pieces."""
    text, pieces = "", []

    def add(piece: str, place: int, after: str) -> None:
        nonlocal text
        bare = piece.strip()
        if bare:
            text += after
            pieces.append(Piece(len(text), len(text) + len(bare), place + piece.index(bare[0])))
            text += bare

    for number, (cell, place) in enumerate(cells):
        if not cell.strip():
            continue
        name = header[number] if number < len(header) else ("", 0)
        is_value = not header and number == 1 and len(cells) == 2 and bool(text)
        between = "; " if text else ""
        if name[0].strip():
            add(*name, between)
            between = " " if text.endswith(":") else ": "
        elif is_value:
            between = " " if text.endswith((":", "=")) else ": "
        add(cell, place, between)
    return text, tuple(pieces)


# Punctuation alone decides where paragraphs and sentences end. A wrong guess ("Dr. | Smith") costs only a less pretty
# border, because contexts overlap.


def paragraph_ends(text: str) -> Iterator[int]:
    """Yields the places where a paragraph begins after another."""
    return (m.end() for m in _PARAGRAPH_END.finditer(text))


def sentence_ends(text: str) -> Iterator[int]:
    """Yields the places where a sentence begins after another in the same paragraph."""
    return (m.end() for m in _SENTENCE_END.finditer(text))


def sure_sentence_ends(text: str) -> Iterator[int]:
    """Yields the sentence ends that no answer crosses: none is before a small letter or after an abbreviation.

    One answer in 1,000 of SQuAD 1.1 crosses such an end.
    """
    for found in _SENTENCE_END.finditer(text):
        following = text[found.end() : found.end() + 4].lstrip(_OPENING)
        if following[:1].islower() or not following:
            continue
        if text[found.start()] == ".":
            last = _LAST_WORD.search(text, max(0, found.start() - 12), found.start())
            if last is not None and last[0].lower() in _ABBREVIATIONS:
                continue
        yield found.end()


def line_ends(text: str) -> Iterator[int]:
    """Yields the places where a line begins after another. A line may end anywhere in a sentence."""
    return (m.end() for m in _LINE_END.finditer(text))
