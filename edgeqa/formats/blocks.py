"""Blocks: what a reader of a format makes of a document, in its order, with the structure that people see.

Values only. The document's text, in which places count, is all blocks one after the other, each after its `before`:
"".join(block.before + block.text for block in blocks). A block is a heading, a paragraph, an item of a list, a term
that what follows explains, a row of a table, or code. What blocks belong together is told by their order, kind and
level; passages are made of them in `contexts`. Nothing here reads a file or knows a format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BlockKind: TypeAlias = Literal["heading", "paragraph", "item", "term", "header", "row", "code"]
"""`header` is a table's row of column names; `term` an option, a glossary's word or an FAQ's question."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document that a person would point at; of a long one, a part that goes on in the next block."""

    text: str
    """NFC text, as it stands in the document's text; of a row, its cells with what parts them."""
    before: str = ""
    """White space between the block before and this one; "" where this one directly continues that one."""
    kind: BlockKind = "paragraph"
    level: int = 0
    """Of a heading 1 (outermost) to 6. Of others, how deep they lie in lists, from 0: a paragraph of level 1 belongs
    to the item or term of level 1 that stands before it."""
    cells: tuple[tuple[int, int], ...] = ()
    """Of a row and a header, where in `text` each column's cell begins and ends, empty ones too."""
    begins: bool = False
    """Whether a table or list begins here, so that it does not go on from the one before."""


def text_of(blocks: Iterable[Block]) -> Iterator[str]:
    """Yields the document's text in pieces, none of them empty."""
    for block in blocks:
        if piece := block.before + block.text:
            yield piece
