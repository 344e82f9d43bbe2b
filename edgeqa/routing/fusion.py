"""Route score and span score together: which context's answer is best, and whether reading another may change that.

Pure. A context's *share* is its route score as a part of the best one's, in (0, 1]: raw BM25 scores mean something else
for each question. A share of 0.1 less weighs as much as ROUTE_WEIGHT / 10 logits of the reader. All numbers here were
fitted by `tools/calibrate_collection.py`, on the bundled model; others' logits are taken to be of that scale.
"""

from __future__ import annotations

import math

from edgeqa.models.manifest import Calibration

# Fitted on 1,200 questions of squad-v1.1-dev-open.json (28 articles, 1,059 contexts), seed 1. The training file would
# not do: the reader has seen its questions, and is surer of them.
ROUTE_WEIGHT = 23.6
CHANCE_BEST, CHANCE_NEXT, CHANCE_READ, CHANCE_INTERCEPT = -0.144, 9.438, -0.566, -9.58
CALIBRATION = Calibration(slope=0.2207, contexts=-0.8136, intercept=-1.2976, no_answer_below=0.333)

# Fitted on half of the articles and shown on the other half, F1 by the best span of 1, 2, 3, 5, 8 contexts is 67.4,
# 70.1, 70.7, 70.2, 70.2; with the lift 67.4, 70.9, 71.9, 72.1, 72.7; stopping at a chance of 1, 2, 3, 5 %: 72.6, 72.5,
# 72.1, 71.9, of 2.31, 1.92, 1.74, 1.54 contexts read. Of questions without an answer, 97 % are refused, of others 16 %.
ENOUGH_BELOW = 0.03  # chance that another context has a better answer; below it, reading ends
MOST_READ = 8


def lift(share: float) -> float:
    """Returns what a context's place in the routing adds to its spans' scores: 0 for the best, less for the others."""
    return ROUTE_WEIGHT * (share - 1)


def chance_of_better(best: float, next_share: float, read: int) -> float:
    """Returns how likely a context that was not read yet has a better answer.

    Args:
        best: score and lift of the best span so far.
        next_share: of the next context.
        read: how many contexts were read, at least 1.
    """
    if best == -math.inf:
        return 1.0
    x = CHANCE_BEST * best + CHANCE_NEXT * next_share + CHANCE_READ * math.log(read) + CHANCE_INTERCEPT
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
