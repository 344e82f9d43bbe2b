"""Ranking: it chooses the few best spans of many passages, and tells whether another passage may still change them.

Pure. A span's rank is its score, its evidence, and a number for its passage. Raw BM25 scores mean something else for
each question, so a passage counts by its *share*: its route score divided by the best passage's, in [0, 1]. The numbers
are the model's own (`models.manifest.Searched`), fitted by `tools/calibrate.py` on questions on paragraphs, articles
and documents. Windows overlap, so the same place may be read twice: of spans that overlap in one document, only the
best is kept.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeqa.contexts import place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeqa.asking import SourcePassage
    from edgeqa.contexts import Place
    from edgeqa.models.manifest import Searched

ENOUGH_BELOW = 0.03  # reading ends once the chance of a better answer in another passage is below this
MAX_READ = 8
CAREFUL_READ = 3  # passages that the careful reader looks at, at most
FEW_PASSAGES = 3  # if there are so few, all are read
MAX_MARGIN = 20.0  # a larger margin tells nothing more
KEPT_PER_ANSWER = 8  # windows show the same span at most twice or three times


@dataclass(slots=True, order=True)  # not frozen, which would take twice as long for each span
class Ranked:
    """A span, and where it is from."""

    rank: float
    # Among equal ranks the earlier is greater, then the shorter, so all is negated. For one place in two windows, the
    # later window is greater: the order is total, so that the order of offers does not matter.
    precedence: tuple[int, int, int, int]
    passage: SourcePassage = field(compare=False)
    place: Place = field(compare=False)
    among: Sequence[Place] = field(compare=False, default=())
    """The spans of its passage."""

    def overlaps(self, other: Ranked) -> bool:
        """Tells whether both are of the same document, and share a character of it."""
        if self.passage.number != other.passage.number:
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

    def offer(self, rank: float, place: Place, passage: SourcePassage, among: Sequence[Place] = ()) -> None:
        """Takes a span, and all of its passage."""
        text = passage.text
        start, end = place_of(text.start, text.pieces, place.start, place.end)
        heapq.heappush(self._best, Ranked(rank, (-passage.number, -start, -end, text.start), passage, place, among))
        if len(self._best) > KEPT_PER_ANSWER * self._top:
            heapq.heappop(self._best)

    def lead(self, first: Ranked) -> float:
        """Returns by how much a span outranks the best one of another passage; inf where there is no other."""
        others = (one.rank for one in self._best if one.passage is not first.passage and not one.overlaps(first))
        return first.rank - max(others, default=-math.inf)

    def spans(self) -> list[Ranked]:
        """Returns the best spans, best first, of which no two overlap."""
        kept: list[Ranked] = []
        for found in sorted(self._best, reverse=True):
            if len(kept) < self._top and not any(found.overlaps(other) for other in kept):
                kept.append(found)
        return kept


def lift(share: float, numbers: Searched) -> float:
    """Returns the number that a passage's place in the search adds to its spans' ranks: 0 for the best, else less."""
    return numbers.route * (share - 1)


def is_enough(best: float, next_share: float, read: int, numbers: Searched) -> bool:
    """Tells whether the passages that were not read yet are unlikely to have a better answer.

    Args:
        best: rank of the best span so far; -inf before there is one.
        next_share: of the next passage.
        read: how many passages were read.
        numbers: of the model.
    """
    if not read or best == -math.inf or not numbers.chance:
        return False
    of_best, of_share, of_read, intercept = numbers.chance
    return sigmoid(of_best * best + of_share * next_share + of_read * math.log(read) + intercept) < ENOUGH_BELOW


def probability(
    rank: float, coverage: float, margin: float, numbers: Searched, lead: float = 0.0, *, agrees: bool = False
) -> float:
    """Returns the probability that the best ranked span is right.

    Args:
        rank: of the span.
        coverage: which part of the question's words stands in its passage.
        margin: by how much it outranks the next span of its passage.
        numbers: of the model.
        lead: by how much it outranks the best span of another passage.
        agrees: whether another reader's best span overlaps it.
    """
    beyond = numbers.agrees * agrees + numbers.margin * max(-MAX_MARGIN, min(MAX_MARGIN, margin))
    beyond += numbers.lead * max(-MAX_MARGIN, min(MAX_MARGIN, lead))
    return sigmoid(numbers.slope * rank + numbers.coverage * coverage + beyond + numbers.intercept)


def sigmoid(x: float) -> float:
    """Returns 1 / (1 + exp(-x)), however far from 0 x is."""
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
