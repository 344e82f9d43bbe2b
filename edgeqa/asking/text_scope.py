"""Texts and files as what is asked: split into passages, which are kept for a while, and searched when they are asked.

In: documents. Out: a scope. Only passages that are read are tokenised. A text that is too long to be held is split anew
for each step, so that memory does not grow with it.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.asking import SourcePassage
from edgeqa.asking.documents import BETWEEN_RECORDS
from edgeqa.contexts import Piece
from edgeqa.digests import blake2b
from edgeqa.errors import ContextChanged, ContextEmpty, ContextMissing
from edgeqa.formats.source import HELD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.asking.documents import Document
    from edgeqa.asking.equipment import Equipment
    from edgeqa.contexts import Context
    from edgeqa.contexts.passages import Passage
    from edgeqa.contexts.search import Hit, Hits, Words
    from edgeqa.formats.blocks import Block
    from edgeqa.models.readers import Encoding

    Numbered = tuple[int, tuple[str, int], Passage]

MAX_REASONS, MAX_LISTED = 5, 8  # so many reasons, and parts without text for each, are named
DIGEST_BYTES = 16
_OBJECT_BYTES = 500  # a passage's objects, besides its text


class CutText:
    """A passage as a record has it: cut from a text again."""

    __slots__ = ("heading", "kind", "pieces", "start", "text")

    def __init__(self, text: str, start: int, heading: tuple[str, ...], pieces: tuple[Piece, ...], kind: str) -> None:
        self.text, self.start, self.heading, self.pieces, self.kind = text, start, heading, pieces, kind


class _KnownTexts(NamedTuple):
    """The passages of texts that were asked before, kept for the next question."""

    passages: tuple[Numbered, ...]
    left_out: list[tuple[str, str]]
    words: Words | None = None

    @property
    def size_bytes(self) -> int:
        """Memory that it takes, about."""
        texts = sum(4 * len(passage.text) + _OBJECT_BYTES for _, _, passage in self.passages)
        others = _OBJECT_BYTES * (1 + len(self.left_out))
        return texts + others + (self.words.size_bytes if self.words is not None else 0)


class TextScope:
    """Some texts to ask. May be asked again, by several threads at a time."""

    def __init__(self, equipment: Equipment, documents: Sequence[Document]) -> None:
        """Reads what the texts hold, to know them again.

        Raises:
            ContextMissing: if there is none.
            ContextError: for a text that cannot be read.
        """
        if not documents:
            raise ContextMissing
        self._equipment, self._documents = equipment, documents
        self._digests = [_digest(document) for document in documents]
        self.digest = _joined(self._digests)
        self._is_held = sum(document.size_bytes for document in documents) <= HELD_BYTES
        self._found: Sequence[Numbered] | dict[int, Numbered] = ()  # all passages, or only those found
        self._read: dict[int, _GrowingText] = {}
        self._left_out: list[tuple[str, str]] = []
        self.is_given = False
        """Whether they are a single passage; known after a search."""

    @property
    def known_by(self) -> tuple[str, ...]:
        """All that an answer has of them: what they hold, and their names."""
        return self.digest, *(document.name for document in self._documents)

    def search(self, question: str, most: int) -> Hits:
        """Returns the passages that share most with the question, best first; then, of few, those that do not.

        Raises:
            ContextError: for a text that cannot be read.
        """
        held = self._held() if self._is_held else None
        if held is not None and len(held.passages) == 1:
            self._found, self.is_given = held.passages, True
            return _the_only_one()
        from edgeqa.contexts.search import Hit, search  # imported here: a remembered answer does not need it

        language = self._equipment.bundle.manifest.language
        if held is None:
            hits = search(lambda: (passage for _, _, passage in self._passages()), question, most, language)
        else:
            self._found = held.passages
            hits = search(self._words(held, language), question, most, language)
        found = {hit.number for hit in hits.best}
        for number in range(min(hits.passages, most)):
            if len(hits.best) < most and number not in found:
                hits.best.append(Hit(number, 0.0))
        if held is None:
            looked_for = {hit.number for hit in hits.best}
            self._found = {n: numbered for n, numbered in enumerate(self._passages()) if n in looked_for}
        return hits

    def passage(self, hit: Hit) -> SourcePassage:
        """Returns a passage that was found."""
        number, part, passage = self._found[hit.number]
        return SourcePassage(passage, self._documents[number].name, number, None, None, *part)

    def windows(self, passage: SourcePassage) -> Iterator[tuple[Context, Encoding | None]]:
        """Yields what is read of a passage."""
        found: Any = passage.text  # it is a Passage, from `passage`
        for window in self._equipment.reading.windows(found):
            yield window, None

    def reference(self, passage: SourcePassage) -> list[Any]:
        """Returns the places and lengths that cut the passage from the texts again, and what stands between them."""
        text = passage.text
        parts: list[Any] = [text.start, len(text.text)]
        if text.pieces:
            parts, at = [], 0
            for piece in text.pieces:
                parts += [text.text[at : piece.start], piece.place, piece.end - piece.start]
                at = piece.end
            parts.append(text.text[at:])
        return [passage.number, text.start, list(text.heading), text.kind, parts]

    def again(self, reference: Any) -> SourcePassage | None:  # noqa: ANN401 - whatever lies in the cache
        """Returns the passage that a reference stands for."""
        number, start, heading, kind, parts = reference
        document = self._documents[number]
        pieces: tuple[Piece, ...] = ()
        if isinstance(parts[0], int):
            begin, characters = parts
            text = self._cut(number, begin, begin + characters)
            if len(text) != characters:
                return None
        else:
            text, pieces = self._put_together(number, parts)
        part = document.part_at(start) if document.part_at is not None else ("", 0)
        return SourcePassage(
            CutText(text, start, tuple(heading), pieces, kind), document.name, number, None, None, *part
        )

    def _put_together(self, number: int, parts: list[Any]) -> tuple[str, tuple[Piece, ...]]:
        text, pieces = "", []
        for between, place, characters in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
            text += between
            pieces.append(Piece(len(text), len(text) + characters, place))
            text += self._cut(number, place, place + characters)
        return text + parts[-1], tuple(pieces)

    def locate(self, found: Iterable[SourcePassage]) -> None:
        """Does nothing: whoever asks has named the files."""

    def nothing_read(self) -> None:
        """Raises ContextEmpty."""
        raise ContextEmpty(", ".join(document.name for document in self._documents))

    def damaged(self) -> tuple[str, ...]:
        """Returns nothing: a text that cannot be read is an error."""
        return ()

    def left_out(self) -> tuple[str, ...]:
        """Returns a line for each reason why pages or chapters have no text; files' names do not count here."""
        if not self._is_held:
            self._left_out = self._without_text()
        found: dict[str, list[str]] = {}
        for part, why in self._left_out:
            found.setdefault(why, []).append(part)
        return tuple(f"without text: {_listed(parts)}: {why}" for why, parts in islice(found.items(), MAX_REASONS))

    def _without_text(self) -> list[tuple[str, str]]:
        """Returns the parts that had no text when the documents were last read, each with why."""
        return [found for document in self._documents if document.left_out for found in document.left_out()]

    def is_whole(self) -> bool:
        """Returns True: what is read is all there is.

        Raises:
            ContextChanged: if a text that is not held has changed meanwhile.
        """
        changing = any(document.size_bytes > HELD_BYTES for document in self._documents)
        if changing and _joined([_digest(document) for document in self._documents]) != self.digest:
            raise ContextChanged(", ".join(document.name for document in self._documents))
        return True

    def _held(self) -> _KnownTexts:
        kept: _KnownTexts | None = self._equipment.passages.get(self.digest)
        if kept is None:
            passages = tuple(self._passages())
            kept = _KnownTexts(passages, self._without_text())
            self._equipment.passages.put(self.digest, kept, kept.size_bytes)
        self._left_out = kept.left_out
        return kept

    def _words(self, kept: _KnownTexts, language: str) -> Words:
        """Returns the words of the passages, which are kept with them if there is room for both."""
        from edgeqa.contexts.search import Words

        if kept.words is not None:
            return kept.words
        words = Words((passage for _, _, passage in kept.passages), language)
        kept = kept._replace(words=words)
        self._equipment.passages.put(self.digest, kept, kept.size_bytes)
        return words

    def _passages(self) -> Iterator[Numbered]:
        from edgeqa.contexts.passages import passages

        for number, document in enumerate(self._documents):
            place = 0
            for blocks in document.records():
                counted = _CountedBlocks(blocks)
                part = document.part_at(place) if document.part_at is not None else ("", 0)
                for passage in passages(counted):
                    yield number, part, passage.moved(place) if place else passage
                place += counted.characters + len(BETWEEN_RECORDS)

    def _cut(self, number: int, start: int, end: int) -> str:
        if number not in self._read:
            self._read[number] = _GrowingText(self._documents[number].blocks(), keeps=self._is_held)
        found = self._read[number].cut(start, end)
        if not self._is_held:
            del self._read[number]
        return found


class _CountedBlocks:
    """Blocks on their way, and how much text they are."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = blocks
        self.characters = 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.characters += len(block.before) + len(block.text)
            yield block


class _GrowingText:
    """A text that is read as far as it is wanted."""

    def __init__(self, blocks: Iterator[str], *, keeps: bool) -> None:
        self._blocks, self._keeps = blocks, keeps
        self._text, self._place = "", 0

    def cut(self, start: int, end: int) -> str:
        """Returns `text[start:end]`, as far as there is so much; where nothing is kept, once."""
        parts, characters = [self._text], len(self._text)
        while self._place + characters < end and (block := next(self._blocks, None)) is not None:
            if not self._keeps and self._place + characters + len(block) <= start:
                self._place += characters + len(block)
                parts, characters = [], 0
                continue
            parts.append(block)
            characters += len(block)
        self._text = "".join(parts)
        return self._text[max(0, start - self._place) : max(0, end - self._place)]


@lru_cache(maxsize=1)
def _the_only_one() -> Hits:
    """Returns the result of a search of a single passage, which nobody may change."""
    from edgeqa.contexts.search import Hit, Hits

    return Hits([Hit(0, 1.0)], 1, {})


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - MAX_LISTED
    return ", ".join(parts[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _digest(document: Document) -> bytes:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for block in document.raw():
        digest.update(block)
    return digest.digest()


def _joined(digests: Iterable[bytes]) -> str:
    """Returns a digest of what texts hold, in their order; their names do not count."""
    return blake2b(b"".join(digests), digest_size=DIGEST_BYTES).hexdigest()
