"""What reading passages for a question gave, and how that is remembered: one record for texts and collections.

In: an `Outcome`, before it is decided whether there is an answer. Out: plain values without the passages' texts, and
back. What is asked is part of the key, so that whoever asks for an answer has the texts that it is cut from. A record
that no longer fits them, or has another shape, is no answer; so is one that was made of less than all that the scope
holds. It reads nothing: the scope finds passages again. Frozen dataclasses would take a millisecond more to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.contexts.context import Place

if TYPE_CHECKING:
    from edgeqa.asking.scope import Scope, SourcePassage


class FoundSpan(NamedTuple):
    """A span of a passage."""

    passage: SourcePassage
    place: Place
    probability: float


class NearPassage(NamedTuple):
    """A passage close to the question."""

    passage: SourcePassage
    rank: float
    marked: tuple[int, int] | None


class Outcome(NamedTuple):
    """What reading for a question gave: an answer without the decision whether there is one."""

    spans: tuple[FoundSpan, ...]
    """The best spans, best first."""
    closest: tuple[NearPassage, ...]
    contexts: int
    """How many windows were read."""
    is_given: bool
    """Whether that is a passage which nobody searched for."""
    question_cut: bool
    question_mended: str | None
    notes: tuple[str, ...]
    damaged: tuple[str, ...] = ()
    careful: tuple[str, float] | None = None
    """Where the careful reader decides, the name of its model, and the probability below which it gives no answer."""

    def passages(self) -> list[SourcePassage]:
        """Returns the passages that it names."""
        return [*(span.passage for span in self.spans), *(near.passage for near in self.closest)]


def record(outcome: Outcome, scope: Scope, *, whole: bool) -> dict[str, Any]:
    """Returns what is stored of an answer; `whole` tells whether it was made of all that the scope holds."""
    references: list[Any] = []
    numbers: dict[int, int] = {}

    def number_of(passage: SourcePassage) -> int:
        if id(passage) not in numbers:
            numbers[id(passage)] = len(references)
            references.append(scope.reference(passage))
        return numbers[id(passage)]

    spans = [
        [number_of(s.passage), s.passage.text.text[s.place.start : s.place.end], *s.place, s.probability]
        for s in outcome.spans
    ]
    closest = [[number_of(n.passage), n.rank, *(n.marked or ())] for n in outcome.closest]
    return {
        "passages": references,
        "spans": spans,
        "closest": closest,
        "contexts": outcome.contexts,
        "is_given": outcome.is_given,
        "question_cut": outcome.question_cut,
        "question_mended": outcome.question_mended,
        "notes": list(outcome.notes),
        "whole": whole,
        **({} if outcome.careful is None else {"careful": list(outcome.careful)}),
    }


def found_again(stored: Any, scope: Scope) -> Outcome | None:  # noqa: ANN401 - whatever lies in the cache
    """Returns what was found, cut from the scope; None if it does not fit it."""
    try:
        if not stored["whole"]:
            return None
        passages = [scope.again(reference) for reference in stored["passages"]]
        spans = []
        for number, text, start, end, score, probability in stored["spans"]:
            passage = passages[number]
            if passage is None or passage.text.text[start:end] != text:
                return None
            spans.append(FoundSpan(passage, Place(start, end, score), probability))
        closest = []
        for number, rank, *marked in stored["closest"]:
            passage = passages[number]
            if passage is None:
                return None
            closest.append(NearPassage(passage, rank, (marked[0], marked[1]) if marked else None))
        return Outcome(
            tuple(spans),
            tuple(closest),
            stored["contexts"],
            stored["is_given"],
            stored["question_cut"],
            stored["question_mended"],
            tuple(stored["notes"]),
            careful=_careful(stored),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _careful(stored: Any) -> tuple[str, float] | None:  # noqa: ANN401 - as above
    if (careful := stored.get("careful")) is None:
        return None
    model, below = careful
    return str(model), float(below)
