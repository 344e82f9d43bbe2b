"""Spans of many contexts to the few best candidates, and the decision whether there is an answer at all.

Pure. Spans are ranked by score across contexts; of spans that overlap in the same source (windows overlap, so the same
place is read twice) only the best is kept. The bundle's calibration turns a score into a probability.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeqa.answer import Candidate
from edgeqa.contexts.graphemes import widen

if TYPE_CHECKING:
    from edgeqa.contexts.context import Context
    from edgeqa.models.manifest import Calibration
    from edgeqa.models.spans import Span

KEPT_PER_ANSWER = 8  # two windows show the same span at most twice or three times


@dataclass(frozen=True, slots=True, order=True)
class _Found:
    score: float
    # Of equal scores the earlier is greater, then the shorter; so all is negated. Of the same place in two windows, the
    # later window's: the order is whole, so that it does not matter which was offered first.
    precedence: tuple[int, int, int, int]
    source_number: int = field(compare=False)
    source: str = field(compare=False)
    passage: Context = field(compare=False)
    start: int = field(compare=False)
    end: int = field(compare=False)

    def overlaps(self, other: _Found) -> bool:
        if self.source_number != other.source_number:
            return False
        mine, its = self.passage.start, other.passage.start
        return mine + self.start < its + other.end and its + other.start < mine + self.end


class Ranking:
    """Takes the spans of one context after the other; the order does not matter."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._best: list[_Found] = []  # a heap, the worst first
        self.contexts = 0

    def offer(self, spans: list[Span], passage: Context, source: str, source_number: int) -> None:
        """Takes the best spans of a context, which count as one context's."""
        self.contexts += 1
        for span in spans:
            offsets = passage.tokens.offsets
            start, end = widen(passage.text, int(offsets[span.first, 0]), int(offsets[span.last, 1]))
            precedence = (-source_number, -(passage.start + start), -(passage.start + end), passage.start)
            heapq.heappush(self._best, _Found(span.score, precedence, source_number, source, passage, start, end))
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
            text=passage.text[found.start : found.end],
            start=found.start,
            end=found.end,
            context=passage.text,
            context_start=passage.start,
            source=found.source,
            source_number=found.source_number,
            score=found.score,
            probability=probability(found.score, self.contexts, calibration),
        )


def probability(score: float, contexts: int, calibration: Calibration) -> float:
    """Returns the calibrated probability that a span is right that is the best of so many contexts."""
    x = calibration.slope * score + calibration.contexts * math.log(max(1, contexts)) + calibration.intercept
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
