"""Spans of many contexts to the few best candidates, and how likely the best of them is right.

Pure. Spans are ranked by score across contexts, with a lift for contexts that are likelier from the start; of spans
that overlap in the same source (windows overlap, so the same place is read twice) only the best is kept. The bundle's
calibration turns a score into a probability.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.answer import Candidate
from edgeqa.contexts.graphemes import widen
from edgeqa.contexts.signs import with_signs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.contexts.context import Context, Text
    from edgeqa.models.manifest import Calibration
    from edgeqa.models.spans import Span

KEPT_PER_ANSWER = 8  # two windows show the same span at most twice or three times


class Place(NamedTuple):
    """A span in characters of its context."""

    start: int
    end: int
    score: float


def places(spans: Iterable[Span], context: Context) -> list[Place]:
    """Returns where in the context's text its spans are, whole characters of a reader each, with their signs."""
    offsets, text, found = context.tokens.offsets, context.text, []
    for span in spans:
        start, end = widen(text, *with_signs(text, offsets.item(span.first, 0), offsets.item(span.last, 1)))
        found.append(Place(start, end, span.score))
    return found


@dataclass(slots=True, order=True)  # not frozen, which would take twice as long for each span
class _Found:
    rank: float
    """Score and lift."""
    # Of equal scores the earlier is greater, then the shorter; so all is negated. Of the same place in two windows, the
    # later window's: the order is whole, so that it does not matter which was offered first.
    precedence: tuple[int, int, int, int]
    source_number: int = field(compare=False)
    source: str = field(compare=False)
    passage: Text = field(compare=False)
    place: Place = field(compare=False)
    address: str | None = field(compare=False)

    def overlaps(self, other: _Found) -> bool:
        if self.source_number != other.source_number:
            return False
        mine, its = self.passage.start, other.passage.start
        return mine + self.place.start < its + other.place.end and its + other.place.start < mine + self.place.end


class Ranking:
    """Takes the spans of one context after the other; the order does not matter."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._best: list[_Found] = []  # a heap, the worst first
        self.contexts = 0

    @property
    def best(self) -> float:
        """Score and lift of the best span so far; -inf before there is one."""
        return max((found.rank for found in self._best), default=-math.inf)

    def offer(
        self,
        found: Iterable[Place],
        passage: Text,
        source: str,
        source_number: int,
        *,
        lift: float = 0.0,
        address: str | None = None,
    ) -> None:
        """Takes the best spans of a context, which count as one context's.

        Args:
            found: the spans.
            passage: the context.
            source: name of its document.
            source_number: the same for the contexts of one document.
            lift: what the context is worth besides its spans' scores.
            address: of the context, in a collection.
        """
        self.contexts += 1
        for place in found:
            start, end = passage.start + place.start, passage.start + place.end
            precedence = (-source_number, -start, -end, passage.start)
            heapq.heappush(
                self._best, _Found(place.score + lift, precedence, source_number, source, passage, place, address)
            )
        while len(self._best) > KEPT_PER_ANSWER * self._top:
            heapq.heappop(self._best)

    def candidates(self, calibration: Calibration) -> tuple[Candidate, ...]:
        """Returns the best candidates, best first."""
        kept: list[_Found] = []
        for found in sorted(self._best, reverse=True):
            if len(kept) < self._top and not any(found.overlaps(other) for other in kept):
                kept.append(found)
        return tuple(self._candidate(found, calibration) for found in kept)

    def _candidate(self, found: _Found, calibration: Calibration) -> Candidate:
        passage = found.passage
        return Candidate(
            text=passage.text[found.place.start : found.place.end],
            start=found.place.start,
            end=found.place.end,
            context=passage.text,
            context_start=passage.start,
            source=found.source,
            source_number=found.source_number,
            score=found.place.score,
            probability=probability(found.rank, self.contexts, calibration),
            address=found.address,
        )


def probability(score: float, contexts: int, calibration: Calibration) -> float:
    """Returns the calibrated probability that a span is right that is the best of so many contexts."""
    x = calibration.slope * score + calibration.contexts * math.log(max(1, contexts)) + calibration.intercept
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
