"""Spans of many passages to the few best ones.

Pure. Spans are ranked across passages by their rank, which is score and all that counts besides; of spans that overlap
in the same document (windows overlap, so that the same place is read twice) only the best is kept.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeqa.contexts.pieces import place_of

if TYPE_CHECKING:
    from edgeqa.asking.scope import Placed
    from edgeqa.contexts.pieces import Place

KEPT_PER_ANSWER = 8  # two windows show the same span at most twice or three times


@dataclass(slots=True, order=True)  # not frozen, which would take twice as long for each span
class Ranked:
    """A span, and where it is from."""

    rank: float
    # Of equal ranks the earlier is greater, then the shorter; so all is negated. Of the same place in two windows, the
    # later window's: the order is whole, so that it does not matter which was offered first.
    precedence: tuple[int, int, int, int]
    placed: Placed = field(compare=False)
    place: Place = field(compare=False)

    def overlaps(self, other: Ranked) -> bool:
        """Tells whether both are of the same document, and share a character of it."""
        if self.placed.number != other.placed.number:
            return False
        (begin, end), (its_begin, its_end) = self.at, other.at
        return begin < its_end and its_begin < end

    @property
    def at(self) -> tuple[int, int]:
        """Where it stands in its document."""
        return -self.precedence[1], -self.precedence[2]


class Ranking:
    """Takes one span after the other; the order does not matter."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._best: list[Ranked] = []  # a heap, the worst first

    @property
    def best(self) -> float:
        """Rank of the best span so far; -inf before there is one."""
        return max((found.rank for found in self._best), default=-math.inf)

    def offer(self, rank: float, place: Place, placed: Placed) -> None:
        """Takes a span."""
        text = placed.text
        start, end = place_of(text.start, text.pieces, place.start, place.end)
        heapq.heappush(self._best, Ranked(rank, (-placed.number, -start, -end, text.start), placed, place))
        if len(self._best) > KEPT_PER_ANSWER * self._top:
            heapq.heappop(self._best)

    def spans(self) -> list[Ranked]:
        """Returns the best spans, best first, of which no two overlap."""
        kept: list[Ranked] = []
        for found in sorted(self._best, reverse=True):
            if len(kept) < self._top and not any(found.overlaps(other) for other in kept):
                kept.append(found)
        return kept
