"""Route score and span score together: which passage's answer is best, and whether reading another may change that.

Pure. Raw BM25 scores mean something else for each question, so that a passage counts by its *share*: its route score as
a part of the best one's, in [0, 1]. The numbers are the model's own (`models.manifest.Searched`), fitted by
`tools/calibrate.py` on questions on paragraphs, articles and documents.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeqa.models.manifest import Searched

ENOUGH_BELOW = 0.03  # chance that another passage has a better answer; below it, reading ends
MOST_READ = 8
FEW_PASSAGES = 3  # are all read


def lift(share: float, numbers: Searched) -> float:
    """Returns what a passage's place in the routing adds to its spans' ranks: 0 for the best, less for the others."""
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


def probability(rank: float, coverage: float, numbers: Searched) -> float:
    """Returns how likely the best ranked span is right."""
    return sigmoid(numbers.slope * rank + numbers.coverage * coverage + numbers.intercept)


def sigmoid(x: float) -> float:
    """Returns 1 / (1 + exp(-x)), however far from 0 x is."""
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
