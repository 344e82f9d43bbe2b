"""Answers as they are remembered: what reading found to a record without its contexts, and back, cut from the texts.

In: what was found, and the texts that it was found in. Out: the same, under the names of the texts that are asked with
now. A context is not stored: the texts are part of the key, so that whoever asks for the answer has them. A record that
no longer fits the texts, or has another shape, is no answer.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from edgeqa.answer import Candidate, Found
from edgeqa.digests import blake2b

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeqa.contexts.documents import Document

DIGEST_BYTES = 16
# A record is a dict of plain values rather than a dataclass, which would take longer to declare than to read.
_SPAN = ("text", "start", "end", "context_start", "source_number", "score", "probability")
_span_of = attrgetter(*_SPAN)


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


def record(found: Found) -> dict[str, Any]:
    """Returns what is stored."""
    return {
        "spans": [[*_span_of(c), len(c.context)] for c in found.candidates],
        "contexts": found.contexts,
        "skimmed": found.skimmed,
        "question_cut": found.question_cut,
    }


def found_again(stored: Any, texts: Sequence[Document]) -> Found | None:  # noqa: ANN401 - whatever lies in the cache
    """Returns what was found, cut from the texts; None if it does not fit them."""
    try:
        candidates = [_candidate(dict(zip(_SPAN, span, strict=False)), span[-1], texts) for span in stored["spans"]]
        whole = [c for c in candidates if c is not None]
        if len(whole) < len(candidates):
            return None
        return Found(tuple(whole), stored["contexts"], stored["skimmed"], stored["question_cut"])
    except (KeyError, TypeError, IndexError):
        return None


def _candidate(span: dict[str, Any], characters: int, texts: Sequence[Document]) -> Candidate | None:
    source = texts[span["source_number"]]
    context = _cut(source, span["context_start"], span["context_start"] + characters)
    fits = context[span["start"] : span["end"]] == span["text"]
    return Candidate(**span, context=context, source=source.name) if fits else None


def _cut(text: Document, start: int, end: int) -> str:
    parts, place = [], 0
    for block in text.blocks():
        if place + len(block) > start:
            parts.append(block[max(0, start - place) : end - place])
        place += len(block)
        if place >= end:
            break
    return "".join(parts)
