"""A file of any format as one document: what a question about the file is asked of.

In: a path. Out: a document whose text is that of all its records, a blank line between them, read from the file anew
each time. It notes where each record begins as it comes to it, so that a place in the text has a page or a chapter.
What an answer is remembered under is the digest of the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.contexts.documents import BETWEEN_RECORDS, Document
from edgeqa.errors import ContextIsDirectory
from edgeqa.formats.blocks import text_of
from edgeqa.formats.folders import walk
from edgeqa.formats.records import FormatOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgeqa.formats.blocks import Block
    from edgeqa.formats.source import Source


def from_formatted(path: Path) -> Document:
    """Returns the file as a document.

    Raises:
        ContextError: if it is not there. What is in it is read, and found to be wrong, with the text.
    """
    if path.is_dir():
        raise ContextIsDirectory(path)
    (source,) = walk([path], FormatOptions())
    whole = _Whole(source)
    raw = lambda: iter([source.digest()])  # noqa: E731 - as short as it is
    return Document(source.name, source.size_bytes, whole.blocks, raw, whole.records, whole.part_at, whole.left_out)


class _Whole:
    """The records of a source as one text."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: dict[int, str] = {}
        """By the place where it begins, what each record's name has beyond the source's."""

    def blocks(self) -> Iterator[str]:
        between = ""
        for blocks in self.records():
            yield between
            between = BETWEEN_RECORDS
            yield from text_of(blocks)

    def records(self) -> Iterator[Iterable[Block]]:
        place = 0

        def counted(blocks: Iterable[Block]) -> Iterator[Block]:
            nonlocal place
            for block in blocks:
                yield block
                place += len(block.before) + len(block.text)

        for number, record in enumerate(self._source.records()):
            place += len(BETWEEN_RECORDS) if number else 0
            self._parts[place] = record.name.removeprefix(self._source.name)
            yield counted(record.blocks)

    def left_out(self) -> list[tuple[str, str]]:
        return [(name.removeprefix(self._source.name), why) for name, why in self._source.notes]

    def part_at(self, place: int) -> tuple[str, int]:
        begins = max(begin for begin in list(self._parts) if begin <= place)
        return self._parts[begins], begins
