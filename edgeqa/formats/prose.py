"""Prose: the readers of formats write their text here, in its order, and it becomes blocks. Pure.

In: words, and calls for the beginning of a heading, a paragraph, an item, a term, a table's rows and cells, or code.
Out: blocks in NFC, with white space folded and all breaks in `before`. A reader may ask for a break as often as it
likes; the break is written once, and only between texts. A row that is no row of a table (pages are laid out with
tables, too) is written as the paragraphs of its cells. One block, or one row, is held at a time; a longer one comes in
parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgeqa.formats import BLOCK_BYTES, nfc_blocks
from edgeqa.formats.blocks import Block, BlockKind
from edgeqa.formats.notation import SLASHES, digits_meet, subscript, superscript

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edgeqa.formats.blocks import BlockKind

MAX_ROW_CHARACTERS = 4096  # a longer row is no row of a table
MAX_CELLS = 1000  # the rest of a longer row stays in the last cell
MAX_SPAN = 30  # one cell spans at most so many columns
MAX_CELL_BLOCKS = 8  # a cell with more paragraphs is no cell of a table
MAX_MERGED_CHARACTERS = 1000  # a cell that goes on in the rows below is repeated there up to this length
MAX_CARRIED_CHARACTERS = 1 << 16  # cells that span rows may add so much to a table, and four times its text
MAX_RAISED_CHARACTERS = 4096  # one raised or lowered piece is not longer
MAX_TABLES = 64  # tables lie within each other so deep
_MAX_INDENTED = 8

_WHITE_SPACE = re.compile(r"[ \t\n\r\f]+")
_UNSEEN = re.compile("[\u00ad\u200b\u2060-\u2064\ufeff]")  # these mark where a word may be cut, or stand in formulas
FRACTION_SLASH = "\u2044"
_RAISED_NUMBER = re.compile(r"\^\d+")
_NONE, _LINE, _PARAGRAPH = range(3)
_WRITTEN = ("", "\n", "\n\n")


@dataclass(slots=True)
class _Cell:
    columns: int
    rows: int
    is_header: bool
    merge: str = ""
    blocks: list[Block] = field(default_factory=list)

    def text(self) -> str:
        return "\n".join(block.text for block in self.blocks)


@dataclass(slots=True)
class _Table:
    level: int
    cells: list[_Cell] | None = None
    """The cells of the current row; None if no row is open, or if it is no row of a table."""
    is_header: bool = False
    rows: int = 0
    row_characters: int = 0
    may_carry_characters: int = MAX_CARRIED_CHARACTERS
    numbered: int = 0
    carried: dict[int, tuple[int, str, int]] = field(default_factory=dict)
    """The cells that span further rows, by column: how many rows, the text, and the cell's number in the table."""
    merged: dict[int, str] = field(default_factory=dict)
    """The text of cells that go on as long as the rows below say so, by column."""


class Prose:
    """Blocks while they are written. A call takes effect with the next text."""

    def __init__(self) -> None:
        self._done: list[Block] = []
        self._last: BlockKind | None = None
        self._parts: list[str] = []  # the parts of the current block
        self._characters = 0
        self._space = ""  # wanted before the next word of the block
        self._ends_apart = False  # the block ends in a power, an index or a formula, and a digit needs a blank
        self._raised: list[str] = []  # raised or lowered text that has not ended
        self._raised_as = self._raised_characters = 0
        self._gap = _NONE  # wanted before the block
        self._kind: BlockKind = "paragraph"
        self._level = 0
        self._marker = ""
        self._is_fresh = False  # an item, a term or a heading has begun without text, and keeps its kind
        self._continues = False  # the current block continues the previous one
        self._begins = False  # a list begins with the next item or term
        self._in_items = False
        self._tables: list[_Table] = []
        self._deeper_tables = 0  # the number of open tables beyond MAX_TABLES

    # --- words

    def text(self, text: str, raised: int = 0) -> None:
        """Adds words; white space in them is folded.

        Args:
            text: the words.
            raised: 1 for raised text, -1 for lowered text; it is written once it is complete.
        """
        if raised != self._raised_as:
            self._end_raised()
            self._raised_as = raised
        if raised:
            self._raised.append(text)
            self._raised_characters += len(text)
            if self._raised_characters > MAX_RAISED_CHARACTERS:
                self._end_raised()
            return
        if not text.isascii():
            text = _UNSEEN.sub("", text)
            if text[:1] == FRACTION_SLASH and self._parts and _RAISED_NUMBER.fullmatch(self._parts[-1]):
                self._parts[-1] = f" {self._parts[-1][1:]}"  # the raised text is no power, but a fraction of its own
        folded = _WHITE_SPACE.sub(" ", text)
        words = folded.strip(" ")
        if words:
            if folded[0] == " ":
                self._space = self._space or " "
            self._write(words)
        if folded and folded[-1] == " ":
            self._space = self._space or " "

    def apart(self, text: str) -> None:
        """Adds a power, an index or a formula; digits beside it stay apart from its numbers."""
        if not text:
            return
        if digits_meet(self.last_character(), text):
            self._space = " "
        self.text(text)
        self._ends_apart = not self._space

    def lowered(self, text: str) -> None:
        """Adds lowered text. After a raised number and a slash it makes a fraction: 1 1/2, and not 1^1/2."""
        raised, between, slash = ["", " ", "", *self._parts][-3:]
        is_below = slash in SLASHES and not (between or self._space) and text.strip().isdecimal()
        if is_below and _RAISED_NUMBER.fullmatch(raised):
            self._parts[-3] = f" {raised[1:]}"
        self.apart(subscript(self.last_character(), text))

    def verbatim(self, text: str) -> None:
        """Adds text as it stands."""
        if self._kind == "code" and not self._parts and not self._continues:
            text = text.lstrip("\n")
        elif not self._parts and text.isspace():
            return
        if text:
            self._write(text)

    def line(self) -> None:
        """Begins a new line."""
        self._end_raised()
        if self._parts:
            self._space = " " if self._kind == "heading" or self._row() is not None else "\n"

    def last_character(self, *, over_space: bool = False) -> str:
        """Returns the character directly before the next text; "" if there is none.

        Args:
            over_space: whether to look over white space.
        """
        return "" if (self._space and not over_space) or not self._parts else self._parts[-1][-1:]

    # --- blocks

    def paragraph(self, level: int = 0, *, apart: bool = True) -> None:
        """Begins a paragraph.

        Args:
            level: its depth in lists.
            apart: whether there is a blank line before it.
        """
        self._close()
        if not self._is_fresh:
            self._open("paragraph", level)
            self._gap = max(self._gap, _PARAGRAPH if apart else _LINE)

    def heading(self, level: int) -> None:
        """Begins a heading of this level, 1 to 6. An item that is also a heading keeps its number."""
        self._close()
        self._dissolve()
        marker = self._marker if self._is_fresh and self._marker.strip("-*• ") else ""
        self._open("heading", level, marker, is_fresh=True)
        self._gap, self._in_items = _PARAGRAPH, False

    def code(self, level: int = 0) -> None:
        """Begins code; `verbatim` adds its text."""
        self._close()
        self._open("code", level)
        self._gap = max(self._gap, _PARAGRAPH)

    def begin_list(self) -> None:
        """Begins a list at the next item or term."""
        self._begins, self._in_items = True, False

    def item(self, level: int = 1, marker: str = "- ") -> None:
        """Begins an item of a list.

        Args:
            level: the depth of the list, from 1.
            marker: bullet or number, with the blank after it.
        """
        self._entry("item", level, marker)

    def term(self, level: int = 1) -> None:
        """Begins a term; the next paragraphs on its level explain it."""
        self._entry("term", level, "")

    def end_block(self, level: int = 0, *, apart: bool = True) -> None:
        """Ends the item, term, heading or paragraph, even if it has no text; then begins a paragraph."""
        self._close()
        self._open("paragraph", level)
        self._gap = max(self._gap, _PARAGRAPH if apart else _LINE)

    def end(self, level: int = 0) -> None:
        """Ends a list; the next text stands apart, in the list of this level if there is one."""
        self.end_block(level)
        self._begins, self._in_items = False, level > 0

    # --- tables

    def table(self, level: int = 0) -> None:
        """Begins a table. A row that it lies in is layout, and no row of a table."""
        self._close()
        self._dissolve()
        if len(self._tables) == MAX_TABLES:
            self._deeper_tables += 1
        else:
            self._tables.append(_Table(level))
        self._gap, self._in_items = max(self._gap, _PARAGRAPH), False

    def row(self, *, is_header: bool = False) -> None:
        """Begins a row of the table.

        Args:
            is_header: whether it is known to name the columns; if not, it does so if all its cells are headers.
        """
        self.end_row()
        if not self._tables:
            self.table()
        self._tables[-1].cells, self._tables[-1].is_header = [], is_header

    def name_row(self) -> None:
        """Makes the open row a header, which is known only now."""
        if self._row() is not None:
            self._tables[-1].is_header = True

    def cell(self, columns: int = 1, rows: int = 1, *, is_header: bool = False, merge: str = "") -> None:
        """Begins the row's next cell.

        Args:
            columns: the number of columns that it spans.
            rows: the number of rows that it spans; its text is repeated in each.
            is_header: whether it names its column.
            merge: "first" for a cell that goes on in the rows below, whose cells in the same column say "next".
        """
        self._close()
        self._open("paragraph", 0)
        cells = self._row()
        if cells is None:  # there is no row, or it is layout
            self._gap = max(self._gap, _PARAGRAPH)
        elif len(cells) < MAX_CELLS:
            cells.append(_Cell(max(1, min(columns, MAX_SPAN)), max(1, rows), is_header, merge))

    def names_column(self) -> None:
        """Marks the current cell as looking like a header; in the first row of a table it is one."""
        cells = self._row()
        if cells and not self._tables[-1].rows:
            cells[-1].is_header = True

    def end_row(self) -> None:
        """Ends the row, if one is open."""
        self._close()
        self._open("paragraph", self._tables[-1].level if self._tables else 0)
        if self._row() is not None:
            self._write_row(self._tables[-1])

    def end_table(self) -> None:
        """Ends the table."""
        self.end_row()
        if self._deeper_tables:
            self._deeper_tables -= 1
        elif self._tables:
            self._tables.pop()
        self._gap = max(self._gap, _PARAGRAPH)

    # --- what comes out

    def pop(self) -> list[Block]:
        """Returns the finished blocks, in order, each of them once."""
        done, self._done = self._done, []
        return done

    def finish(self) -> list[Block]:
        """Ends the text, and returns the last blocks."""
        while self._tables:
            self.end_table()
        self._close()
        return self.pop()

    # --- inside

    def _open(self, kind: BlockKind, level: int, marker: str = "", *, is_fresh: bool = False) -> None:
        self._kind, self._level, self._marker, self._is_fresh = kind, level, marker, is_fresh

    def _entry(self, kind: BlockKind, level: int, marker: str) -> None:
        self._close()
        self._open(kind, level, marker, is_fresh=True)
        self._gap = _LINE if self._in_items else max(self._gap, _LINE)
        self._in_items = True

    def _write(self, words: str) -> None:
        if words[0] == "\xa0" and not self._parts and not self._continues and self._kind != "code":
            words = words.lstrip("\xa0 ")  # such a blank fills an empty place, or indents
            if not words:
                return
        if self._parts or self._continues:
            is_apart = self._ends_apart and not self._space and digits_meet("".join(self._parts[-1:]), words)
            self._parts.append(" " if is_apart else self._space)
        else:
            self._parts.append(self._marker)
        self._parts.append(words)
        self._space, self._is_fresh, self._ends_apart = "", False, False
        self._characters += len(words) + 1
        if self._row() is not None:
            self._tables[-1].row_characters += len(words) + 1
            if self._tables[-1].row_characters > MAX_ROW_CHARACTERS:
                self._dissolve()
        if self._characters >= BLOCK_BYTES:
            self._give_part()

    def _give_part(self) -> None:
        """Passes on the finished part of the current block."""
        text = "".join(self._parts)
        cut = max(text.rfind(" "), text.rfind("\n"))
        if cut > len(text) // 2:
            whole, kept = "".join(nfc_blocks([text[:cut]])), text[cut:]
        else:
            *settled, kept = nfc_blocks([text])
            whole = "".join(settled)
        if whole:
            self._give(whole)
            self._continues = True
        self._parts, self._characters = [kept], len(kept)

    def _end_raised(self) -> None:
        """Writes the raised or lowered text."""
        text, self._raised, self._raised_characters = "".join(self._raised), [], 0
        is_lowered, self._raised_as = self._raised_as < 0, 0
        if not text:
            return
        if is_lowered:
            self.lowered(text)
        else:
            self.apart(superscript(self.last_character(), text))
        if text[-1].isspace():
            self.text(" ")

    def _close(self) -> None:
        """Ends the current block, if it has text."""
        self._end_raised()
        text = "".join(self._parts).rstrip()
        if text:
            self._give(text if text.isascii() else "".join(nfc_blocks([text])))
        if text or self._continues:
            self._parts, self._characters, self._continues, self._marker = [], 0, False, ""
        self._space, self._ends_apart = "", False

    def _give(self, text: str) -> None:
        begins = self._begins and self._kind in ("item", "term") and not self._continues
        if begins:
            self._begins = False
        cells = self._row()
        block = Block(text, self._before(), self._kind, self._level, begins=begins)
        if cells:
            cells[-1].blocks.append(block)
        else:
            self._emit(block)

    def _before(self) -> str:
        if self._continues:
            return ""
        gap, self._gap = max(self._gap, _LINE), _NONE
        indent = min(self._level - 1, _MAX_INDENTED) if self._kind in ("item", "term") else 0
        return _WRITTEN[gap] + "  " * indent

    def _emit(self, block: Block) -> None:
        if self._last is None:
            block = Block(block.text, "", block.kind, block.level, block.cells, block.begins)
        self._last = block.kind
        self._done.append(block)

    def _row(self) -> list[_Cell] | None:
        """Returns the cells of the current row; None if there is none."""
        return self._tables[-1].cells if self._tables else None

    def _dissolve(self) -> None:
        """Makes paragraphs of the current row."""
        cells = self._row()
        if cells is None:
            return
        table = self._tables[-1]
        table.cells, table.row_characters = None, 0
        for cell in cells:
            for number, block in enumerate(cell.blocks):
                before = block.before if number else "\n\n"
                self._emit(Block(block.text, before, block.kind, block.level, begins=block.begins))
                self._gap = max(self._gap, _PARAGRAPH)

    def _write_row(self, table: _Table) -> None:
        """Ends and writes the current row."""
        cells = table.cells or []
        _go_on(table, cells)
        columns = self._columns(table, cells)
        if not any(cell.blocks for cell in cells):
            table.cells, table.row_characters = None, 0
        elif len(columns) == 1 or any(len(cell.blocks) > MAX_CELL_BLOCKS for cell in cells):
            self._dissolve()
        else:
            text, ranges = joined(columns)
            is_header = (table.is_header or all(c.is_header for c in cells if c.blocks)) and len(cells) > 1
            before = _WRITTEN[_LINE if table.rows and self._last in ("row", "header") else _PARAGRAPH]
            kind: BlockKind = "header" if is_header else "row"
            self._emit(Block(text, before, kind, table.level, ranges, begins=not table.rows))
            table.rows += 1
            self._gap = _LINE
            table.cells, table.row_characters = None, 0

    def _columns(self, table: _Table, cells: list[_Cell]) -> list[tuple[str, int]]:
        """Returns the text and the number of the cell in each column, with cells from above that go on here."""
        columns: list[tuple[str, int]] = []
        still: dict[int, tuple[int, str, int]] = {}
        table.may_carry_characters += 4 * table.row_characters

        def carry() -> None:
            while (found := table.carried.pop(len(columns), None)) is not None:
                left, text, number = found
                table.may_carry_characters -= len(text) + 8
                if left > 1 and table.may_carry_characters > 0:
                    still[len(columns)] = (left - 1, text, number)
                columns.append((text, number))

        for cell in cells:
            carry()
            table.numbered += 1
            text = cell.text()
            for _ in range(min(cell.columns, MAX_CELLS - len(columns))):
                if cell.rows > 1:
                    still[len(columns)] = (cell.rows - 1, text, table.numbered)
                columns.append((text, table.numbered))
        carry()
        table.carried = still
        return columns


def _go_on(table: _Table, cells: list[_Cell]) -> None:
    """Fills the cells that go on from above."""
    column = 0
    for cell in cells:
        if cell.merge == "next" and (text := table.merged.get(column)) and table.may_carry_characters > 0:
            cell.blocks.append(Block(text))
            table.may_carry_characters -= len(text) + 8
        elif cell.merge == "first":
            table.merged[column] = cell.text()[:MAX_MERGED_CHARACTERS]
        else:
            table.merged.pop(column, None)
        column += cell.columns


def joined(columns: list[tuple[str, int]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Returns a row's text, and the place of each column's cell in it; columns of one cell have the same place."""
    pieces: list[str] = []
    ranges: list[tuple[int, int]] = []
    length = bars = last = begin = end = 0
    for text, number in columns:
        if number != last:
            bars += bool(last)
            last, begin = number, length
            if text:
                between = (" " if length else "") + "| " * bars if bars else ""
                pieces += (between, text)
                begin, bars = length + len(between), 0
                length = begin + len(text)
            end = length
        ranges.append((begin, end))
    return "".join(pieces), tuple(ranges)


PARAGRAPH, LINE = "\n\n", "\n"
CELL = " | "


class Draft:
    """A draft, which takes one block after the other."""

    def __init__(self) -> None:
        self._out: list[Block] = []
        self._parts: list[str] = []
        self._characters = 0
        self._kind: BlockKind = "paragraph"
        self._level = 0
        self._gap = PARAGRAPH
        self._begins = False
        self._is_first = True
        self._last: BlockKind | None = None
        self._rows = 0

    @property
    def rows(self) -> int:
        """The number of rows that were added."""
        return self._rows

    @property
    def is_empty(self) -> bool:
        """Whether the block that was begun has no text yet."""
        return not self._characters

    @property
    def kind(self) -> BlockKind:
        """The kind of the block that was begun."""
        return self._kind

    @property
    def text(self) -> str:
        """The text of the block that was begun, so far."""
        return "".join(self._parts)

    def begin(self, kind: BlockKind, level: int = 0, gap: str = PARAGRAPH) -> None:
        """Ends the previous block and begins one of this kind, `gap` apart from it; two terms are one line apart."""
        self.end()
        gap = LINE if kind == self._last == "term" else gap
        self._kind, self._level, self._gap, self._begins = kind, level, gap, False

    def turn(self, kind: BlockKind, level: int) -> None:
        """Gives the block that was begun another kind."""
        self._kind, self._level = kind, level

    def add(self, text: str) -> None:
        """Adds text as it stands; white space at the beginning of a block is left out, except in code."""
        if not self._characters and self._kind != "code":
            text = text.lstrip()
        elif not self._characters:
            text = text.lstrip("\n")
        if not text:
            return
        self._parts.append(text)
        self._characters += len(text)
        if self._characters > BLOCK_BYTES:
            self._flush()
            self._gap, self._begins, self._characters = "", False, 1  # the block goes on

    def words(self, text: str) -> None:
        """Adds words, after a blank."""
        if text:
            last = self._parts[-1][-1:] if self._parts else ""
            self.add(text if last.isspace() or (not self._parts and self.is_empty) else f" {text}")

    def line(self) -> None:
        """Begins a new line within the block."""
        if not self.is_empty and not (self._parts and self._parts[-1].endswith("\n")):
            self.add("\n")

    def row(
        self,
        cells: Iterable[str],
        *,
        is_header: bool = False,
        begins: bool = False,
        gap: str = LINE,
        number: int = 0,
        covered: Mapping[int, int] | None = None,
    ) -> None:
        """Adds a row of a table; lines and white space in its cells are folded. A row without text is left out.

        Args:
            cells: the texts of the cells.
            is_header: whether the row names the columns.
            begins: whether it is the first row of a table.
            gap: the white space before it, if it is not.
            number: its number in a spreadsheet.
            covered: the columns that are covered by a cell further left, with the column of that cell.
        """
        self.end()
        texts = [_nfc(" ".join(cell.split())) for cell in cells]
        if not any(texts):
            return
        over = covered or {}
        places: list[tuple[int, int]] = []
        at = 0
        for column, text in enumerate(texts):
            if column in over:
                places.append(places[over[column]])
            else:
                places.append((at, at + len(text)))
                at += len(text) + len(CELL)
        length = max(end for begin, end in places if end > begin)  # empty cells at the end leave no bars
        whole = CELL.join(text for column, text in enumerate(texts) if column not in over)[:length]
        self._rows += 1
        cut = tuple((min(begin, length), min(end, length)) for begin, end in places)
        kind: BlockKind = "header" if is_header else "row"
        self._put(Block(whole, PARAGRAPH if begins else gap, kind, 0, cut, begins, number))

    def end(self) -> None:
        """Ends the block that was begun; the next text is a paragraph."""
        self._flush(is_last=True)
        self._kind, self._level, self._gap, self._begins, self._characters = "paragraph", 0, PARAGRAPH, False, 0

    def pop(self) -> list[Block]:
        """Returns the blocks that have ended since the last call."""
        out, self._out = self._out, []
        return out

    def _flush(self, *, is_last: bool = False) -> None:
        text = _nfc("".join(self._parts))
        self._parts.clear()
        if is_last:
            text = text.rstrip()
        for place in range(0, len(text), BLOCK_BYTES):
            gap = "" if place else self._gap
            begins = self._begins and not place
            self._put(Block(text[place : place + BLOCK_BYTES], gap, self._kind, self._level, begins=begins))

    def _put(self, block: Block) -> None:
        self._out.append(replace(block, before="") if self._is_first else block)
        self._is_first, self._last = False, block.kind


def _nfc(text: str) -> str:
    return text if text.isascii() else "".join(nfc_blocks([text]))


class Rows:
    """A writer of blocks of one document."""

    def __init__(self) -> None:
        self._last: BlockKind | None = None
        self._begins = True

    def table(self) -> None:
        """Begins a table at the next row."""
        self._begins = True

    def row(self, cells: Iterable[str], *, is_header: bool = False, number: int = 0) -> Iterator[Block]:
        """Yields the row of these cells, if it has any text; a row of a spreadsheet has its number there."""
        texts = [_nfc(cell.strip()) for cell in cells]
        while texts and (not texts[-1] or len(texts) > MAX_CELLS):
            last = texts.pop()
            if len(texts) >= MAX_CELLS:
                texts[-1] = f"{texts[-1]} {last}"
        if texts:
            text, places = joined(list(zip(texts, range(1, len(texts) + 1), strict=True)))
            yield self._block(text, "header" if is_header else "row", cells=places, number=number)

    def pair(self, name: str, value: str) -> Iterator[Block]:
        """Yields a name with its value."""
        name, value = _nfc(name.strip()), _nfc(value.strip())
        if value:
            between = ": " if name else ""
            begin = len(name) + len(between)
            places = ((0, len(name)), (begin, begin + len(value)))
            yield self._block(f"{name}{between}{value}", "row", cells=places)

    def paragraph(self, text: str, kind: BlockKind = "paragraph", level: int = 0) -> Iterator[Block]:
        """Yields a block that is no row."""
        if text := _nfc(text.strip()):
            yield self._block(text, kind, level)
            self._begins = True

    def _block(
        self, text: str, kind: BlockKind, level: int = 0, cells: Sequence[tuple[int, int]] = (), number: int = 0
    ) -> Block:
        is_row = bool(cells)
        is_next = is_row and self._last in ("row", "header") and not self._begins
        before = "" if self._last is None else "\n" if is_next or kind == self._last == "item" else "\n\n"
        begins = is_row and self._begins
        self._last, self._begins = kind, False
        return Block(text, before, kind, level, tuple(cells), begins, number)
