"""Stories: the body of a document, its text boxes and its notes. Pure.

In: the beginning and the end of each text box and note. Out: the prose to write each to, and the blocks in their order.
A text box stands after the paragraph or table that holds it; notes stand at the end. The text that is held back until
its place comes is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from edgeqa.formats.blocks import FileExcessive
from edgeqa.formats.prose import Prose

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.formats.blocks import Block

MAX_BOXES = 20  # text boxes lie within each other so deep
MAX_HELD_CHARACTERS = 1 << 24
NOTE = "note"


@dataclass(slots=True)
class Story:
    """Text that is read by itself: the body, a text box, a note."""

    prose: Prose = field(default_factory=Prose)
    kind: str = ""
    """Its kind; NOTE for a note."""
    in_paragraph: int = 0
    """The number of open paragraphs."""
    boxes: list[Block] = field(default_factory=list)
    """The boxes of the current paragraph or table, which are written after it."""


S = TypeVar("S", bound=Story)


class Stories(Generic[S]):
    """The stories of one document."""

    def __init__(self, make: Callable[[], S], name: str) -> None:
        """Begins the body.

        Args:
            make: a function that makes an empty story.
            name: the name of the file, for an error.
        """
        self.story = make()
        """The story that is being written."""
        self._make, self._name = make, name
        self._outer: list[S] = []
        self._notes: list[Block] = []
        self._held_characters = 0
        self._out: list[Block] = []
        self._is_begun = self._is_body_begun = False

    @property
    def in_body(self) -> bool:
        """Whether the body is being written."""
        return not self._outer

    @property
    def has_room(self) -> bool:
        """Whether another story may begin."""
        return len(self._outer) < MAX_BOXES

    def enter(self, kind: str) -> None:
        """Begins a story within the one that is being written.

        Raises:
            FileExcessive: if it lies too deep.
        """
        if not self.has_room:
            raise FileExcessive(self._name, f"its text boxes are nested more than {MAX_BOXES} deep")
        self._outer.append(self.story)
        self.story = self._make()
        self.story.kind = kind

    def leave(self) -> None:
        """Ends the story that is being written, if it is not the body."""
        if not self._outer:
            return
        aside, self.story = self.story, self._outer.pop()
        blocks = aside.prose.finish()
        self._held_characters += _characters(blocks)
        blocks += aside.boxes
        if blocks:
            blocks[0] = replace(blocks[0], before="\n\n")
            (self._notes if aside.kind == NOTE else self.story.boxes).extend(blocks)
        if self._held_characters > MAX_HELD_CHARACTERS:
            what = f"its notes and text boxes hold more than {MAX_HELD_CHARACTERS} characters"
            raise FileExcessive(self._name, what)

    def insert(self, blocks: list[Block]) -> None:
        """Puts blocks after the current end of the body; within another story, they are put after that story."""
        if not blocks:
            return
        first, *others = blocks
        blocks = [replace(first, before="\n\n"), *others]
        if self.in_body:
            self._emit_body(self.story.prose.pop())
            self._emit(blocks)
        else:
            self.story.boxes += blocks

    def hold(self, blocks: list[Block]) -> None:
        """Puts blocks after the paragraph or table that is being written."""
        if blocks:
            self.story.boxes += [replace(blocks[0], before="\n\n"), *blocks[1:]]
            self._held_characters += _characters(blocks)

    def settle(self) -> None:
        """Ends a paragraph or table of the body; its boxes follow."""
        if self.story.boxes and not self._outer:  # boxes within a box wait for the end of the outer paragraph
            boxes, self.story.boxes = self.story.boxes, []
            self._held_characters -= _characters(boxes)
            self._emit_body(self.story.prose.pop())
            self._emit(boxes)

    def pop(self) -> list[Block]:
        """Returns the finished blocks, in order, each of them once."""
        if not self._outer:
            self._emit_body(self.story.prose.pop())
        out, self._out = self._out, []
        return out

    def finish(self) -> list[Block]:
        """Ends the document, and returns the last blocks."""
        while self._outer:
            self.leave()
        self._emit_body(self.story.prose.finish())
        self._emit(self.story.boxes + self._notes)
        return self.pop()

    def _emit_body(self, blocks: list[Block]) -> None:
        if blocks and not self._is_body_begun:
            blocks[0] = replace(blocks[0], before="\n\n")  # a text box may stand before it
            self._is_body_begun = True
        self._emit(blocks)

    def _emit(self, blocks: list[Block]) -> None:
        if blocks and not self._is_begun:
            blocks[0] = replace(blocks[0], before="")
            self._is_begun = True
        self._out += blocks


def _characters(blocks: list[Block]) -> int:
    return sum(len(block.text) for block in blocks)
