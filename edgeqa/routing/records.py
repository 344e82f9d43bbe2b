"""Answers of a collection as they are remembered. Pure.

In: what was found. Out: plain values without the contexts' texts, and back, cut from the collection. A record that no
longer fits what it is cut from, or has another shape, is no answer. So is one that was made of less than the collection
holds: of a damaged shard, or while somebody wrote.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeqa.answer import Candidate, Found
from edgeqa.collection.errors import ContextGone, ShardDamaged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.collection.collection import Collection


def record(found: Found, context_ids: Mapping[str | None, int], *, whole: bool) -> dict[str, Any]:
    """Returns what is stored of an answer.

    Args:
        found: the answer.
        context_ids: id of the context with each address.
        whole: whether it was made of all that the collection holds.
    """
    spans = [[context_ids[c.address], c.text, c.start, c.end, c.score, c.probability] for c in found.candidates]
    return {
        "spans": spans,
        "contexts": found.contexts,
        "skimmed": found.skimmed,
        "question_cut": found.question_cut,
        "whole": whole,
    }


def numbered(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Returns the candidates with numbers for their documents, counted in the order in which they come."""
    numbers: dict[str, int] = {}
    documents = [(one.address or one.source).rpartition(":")[0] for one in candidates]
    return tuple(
        replace(one, source_number=numbers.setdefault(document, len(numbers)))
        for one, document in zip(candidates, documents, strict=True)
    )


def found_again(stored: Any, collection: Collection) -> Found | None:  # noqa: ANN401 - whatever lies in the cache
    """Returns what was found, cut from the collection; None if it does not fit it."""
    try:
        if not stored["whole"]:
            return None
        candidates = []
        for context_id, text, start, end, score, probability in stored["spans"]:
            context = collection.context(context_id)
            if context.text[start:end] != text:
                return None
            candidates.append(
                Candidate(
                    text=text,
                    start=start,
                    end=end,
                    context=context.text,
                    context_start=context.start,
                    source=context.document,
                    source_number=0,
                    score=score,
                    probability=probability,
                    address=context.address,
                )
            )
        return Found(numbered(tuple(candidates)), stored["contexts"], stored["skimmed"], stored["question_cut"])
    except (KeyError, TypeError, ValueError, ContextGone, ShardDamaged):
        return None
