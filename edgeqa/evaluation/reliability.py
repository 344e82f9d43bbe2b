"""How far the probabilities of answers can be believed: expected calibration error, and what it is made of.

Pure. In go probabilities and whether each answer was right, out come ten bins and the error: the distance between the
mean probability of a bin and its share of right answers, averaged over all questions (Naeini et al., AAAI 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The questions whose best answer has a probability from `start` on, below `end` (the last: up to 1)."""

    start: float
    end: float
    questions: int
    mean_probability: float | None
    """None where there is no question."""
    share_right: float | None
    """None where there is no question."""

    def to_json(self) -> dict[str, Any]:
        """Returns the bin as a JSON object."""
        return {
            "from": self.start,
            "to": self.end,
            "questions": self.questions,
            "mean_probability": _rounded(self.mean_probability),
            "share_right": _rounded(self.share_right),
        }


@dataclass(frozen=True, slots=True)
class Reliability:
    """What the probabilities of a run of questions were worth."""

    ece: float
    """Expected calibration error, in [0, 1]."""
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns it as a JSON object."""
        return {"ece": round(self.ece, 4), "bins": [one.to_json() for one in self.bins]}


def reliability(judged: Sequence[tuple[float, bool]]) -> Reliability:
    """Returns what the probabilities are worth, from pairs of one and whether its answer was right."""
    bins, error = [], 0.0
    for number in range(BINS):
        within = [one for one in judged if min(int(one[0] * BINS), BINS - 1) == number]
        mean = share = None
        if within:
            mean, share = fmean(probability for probability, _ in within), fmean(right for _, right in within)
            error += len(within) * abs(mean - share)
        bins.append(Bin(number / BINS, (number + 1) / BINS, len(within), mean, share))
    return Reliability(error / len(judged) if judged else 0.0, tuple(bins))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
