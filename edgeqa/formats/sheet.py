"""Blocks in the making, for formats that come line by line: man pages, mails, slides.

Pure. In: what a reader finds, in its order. Out: blocks. A block is begun, then gets words and lines; one without any
text is none. Of a long block each PIECE_CHARACTERS are a block that goes on in the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.formats.blocks import Block
from edgeqa.formats.text import nfc_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.formats.blocks import BlockKind

PIECE_CHARACTERS = 1 << 16
PARAGRAPH, LINE = "\n\n", "\n"
CELL = " | "


class Sheet:
    """Takes one block after the other."""

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
        """How many rows were added."""
        return self._rows

    @property
    def is_empty(self) -> bool:
        """Whether the block that was begun has no text yet."""
        return not self._characters

    @property
    def kind(self) -> BlockKind:
        """Of the block that was begun."""
        return self._kind

    @property
    def text(self) -> str:
        """What the block that was begun has by now."""
        return "".join(self._parts)

    def begin(self, kind: BlockKind, level: int = 0, gap: str = PARAGRAPH, *, begins: bool = False) -> None:
        """Ends the block before; what follows is one of this kind, `gap` apart from it, a term a line from a term."""
        self.end()
        gap = LINE if kind == self._last == "term" else gap
        self._kind, self._level, self._gap, self._begins = kind, level, gap, begins

    def turn(self, kind: BlockKind, level: int) -> None:
        """Makes the block that was begun one of another kind."""
        self._kind, self._level = kind, level

    def add(self, text: str) -> None:
        """Adds text as it stands; white space that a block begins with is left out, but of code."""
        if not self._characters and self._kind != "code":
            text = text.lstrip()
        elif not self._characters:
            text = text.lstrip("\n")
        if not text:
            return
        self._parts.append(text)
        self._characters += len(text)
        if self._characters > PIECE_CHARACTERS:
            self._flush()
            self._gap, self._begins, self._characters = "", False, 1  # it goes on, so what follows is not its beginning

    def words(self, text: str) -> None:
        """Adds words, apart from those before by a blank."""
        if text:
            last = self._parts[-1][-1:] if self._parts else ""
            self.add(text if last.isspace() or (not self._parts and self.is_empty) else f" {text}")

    def line(self) -> None:
        """What follows is on a line of its own within the block."""
        if not self.is_empty and not (self._parts and self._parts[-1].endswith("\n")):
            self.add("\n")

    def row(self, cells: Iterable[str], *, is_header: bool = False, begins: bool = False, gap: str = LINE) -> None:
        """Adds a row of a table; lines and white space in its cells are folded. One without text is none."""
        self.end()
        texts = [_normal(" ".join(cell.split())) for cell in cells]
        if not any(texts):
            return
        places: list[tuple[int, int]] = []
        at = 0
        for text in texts:
            places.append((at, at + len(text)))
            at += len(text) + len(CELL)
        length = max(end for begin, end in places if end > begin)  # empty cells at the end leave no bars
        whole = CELL.join(texts)[:length]
        self._rows += 1
        cut = tuple((min(begin, length), min(end, length)) for begin, end in places)
        self._put(whole, "header" if is_header else "row", 0, PARAGRAPH if begins else gap, cut, begins=begins)

    def end(self) -> None:
        """Ends the block that was begun; text that follows is a paragraph."""
        self._flush(is_last=True)
        self._kind, self._level, self._gap, self._begins, self._characters = "paragraph", 0, PARAGRAPH, False, 0

    def taken(self) -> list[Block]:
        """Returns the blocks that have ended since the last time."""
        out, self._out = self._out, []
        return out

    def _flush(self, *, is_last: bool = False) -> None:
        text = _normal("".join(self._parts))
        self._parts.clear()
        if is_last:
            text = text.rstrip()
        for place in range(0, len(text), PIECE_CHARACTERS):
            gap = "" if place else self._gap
            begins = self._begins and not place
            self._put(text[place : place + PIECE_CHARACTERS], self._kind, self._level, gap, (), begins=begins)

    def _put(
        self, text: str, kind: BlockKind, level: int, gap: str, cells: tuple[tuple[int, int], ...], *, begins: bool
    ) -> None:
        before = "" if self._is_first else gap
        self._is_first, self._last = False, kind
        self._out.append(Block(text, before, kind, level, cells, begins))


def _normal(text: str) -> str:
    return text if text.isascii() else "".join(nfc_blocks([text]))
