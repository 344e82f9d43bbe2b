"""Answers as they are remembered: an `Answer` to a record without its contexts, and back, cut from the texts again.

In: what was found, and the texts that it was found in. Out: the same, in the words of the question and the names of
the texts that are asked with now. A context is not stored: the texts are part of the key, so that whoever asks for the
answer has them. What no longer fits the texts is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from edgeqa.answer import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeqa.contexts.documents import Document

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Span:
    """A candidate without its context."""

    text: str
    start: int
    end: int
    context_start: int
    context_characters: int
    source_number: int
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of an answer."""

    spans: tuple[Span, ...]
    contexts: int
    skimmed: bool
    question_cut: bool


def scope_digest(texts: Sequence[Document]) -> str:
    """Returns a digest of what the texts hold, in their order; their names do not count.

    Raises:
        ContextError: for a text that cannot be read.
    """
    scope = blake2b(digest_size=DIGEST_BYTES)
    for text in texts:
        scope.update(_digest(text.raw()))
    return scope.hexdigest()


def _digest(blocks: Iterable[bytes]) -> bytes:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for block in blocks:
        digest.update(block)
    return digest.digest()


def spans(candidates: Iterable[Candidate]) -> tuple[Span, ...]:
    """Returns the candidates as they are stored."""
    return tuple(
        Span(c.text, c.start, c.end, c.context_start, len(c.context), c.source_number, c.score, c.probability)
        for c in candidates
    )


def candidates(stored: Iterable[Span], texts: Sequence[Document]) -> tuple[Candidate, ...] | None:
    """Returns the candidates, cut from the texts; None if they do not fit them."""
    found = []
    for span in stored:
        if span.source_number >= len(texts):
            return None
        source = texts[span.source_number]
        context = _cut(source, span.context_start, span.context_start + span.context_characters)
        if context[span.start : span.end] != span.text:
            return None
        found.append(
            Candidate(
                text=span.text,
                start=span.start,
                end=span.end,
                context=context,
                context_start=span.context_start,
                source=source.name,
                source_number=span.source_number,
                score=span.score,
                probability=span.probability,
            )
        )
    return tuple(found)


def _cut(text: Document, start: int, end: int) -> str:
    parts, place = [], 0
    for block in text.blocks():
        if place + len(block) > start:
            parts.append(block[max(0, start - place) : end - place])
        place += len(block)
        if place >= end:
            break
    return "".join(parts)
