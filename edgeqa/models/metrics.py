"""Metrics: SQuAD's scores for answers, and the calibration error for their probabilities.

Pure. In: predicted and gold texts. Out: exact match and F1 in [0, 1], and the best threshold for "no answer". The
rules are those of evaluate-v1.1.py and evaluate-v2.0.py (https://rajpurkar.github.io/SQuAD-explorer/) to the letter,
odd ones included, so that scores can be compared with published ones. They are for English, and for scoring only:
`normalize` must not make cache keys.

The expected calibration error is the distance between the mean probability of a bin and its share of right answers,
averaged over all questions (Naeini et al., AAAI 2015).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

BINS = 10
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII only: curly quotes and long dashes stay


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """The score of one answer."""

    em: float
    f1: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged question, as the sweep for the best threshold needs it."""

    f1: float
    """F1 of the answer, as if it were given whatever the threshold."""
    no_answer_score: float
    """The higher, the more likely there is no answer."""
    has_answer: bool
    """Whether the question can be answered."""
    is_answered: bool
    """Whether the predicted text is more than the empty string."""


def normalize(text: str) -> str:
    """Returns `text` in lower case, without ASCII punctuation and English articles, white space collapsed."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def score_v1(prediction: str | None, golds: Sequence[str]) -> QuestionScore:
    """Returns the score by the rules of SQuAD 1.1: the best over all golds, nothing for no prediction."""
    if prediction is None:
        return QuestionScore(0.0, 0.0)
    return QuestionScore(
        em=max(_exact(prediction, gold) for gold in golds),
        f1=max(_overlap(normalize(prediction).split(), normalize(gold).split()) for gold in golds),
    )


def score_v2(prediction: str, golds: Sequence[str]) -> QuestionScore:
    """Returns the score by the rules of SQuAD 2.0, where the empty prediction is right if there is no gold."""
    golds = [gold for gold in golds if normalize(gold)] or [""]
    return QuestionScore(
        em=max(_exact(prediction, gold) for gold in golds), f1=max(_f1_v2(prediction, gold) for gold in golds)
    )


def best_threshold(judged: Sequence[Judged]) -> tuple[float, float]:
    """Returns the best mean F1 that a threshold can reach, and the threshold: no answer above, an answer up to it.

    The threshold is 0 if giving no answer at all is best. Questions with equal no-answer scores are taken one by one in
    their order, though no threshold can part them; so do the official rules.
    """
    right = best = float(sum(not one.has_answer for one in judged))
    threshold = 0.0
    for one in sorted(judged, key=lambda one: one.no_answer_score):
        if one.has_answer:
            right += one.f1
        elif one.is_answered:
            right -= 1
        if right > best:
            best, threshold = right, one.no_answer_score
    return best / len(judged), threshold


def _exact(prediction: str, gold: str) -> float:
    return float(normalize(prediction) == normalize(gold))


def _f1_v2(prediction: str, gold: str) -> float:
    predicted, wanted = normalize(prediction).split(), normalize(gold).split()
    return _overlap(predicted, wanted) if predicted and wanted else float(predicted == wanted)


def _overlap(predicted: list[str], wanted: list[str]) -> float:
    """Returns the F1 of two token multisets; 0 if they share nothing, which two empty ones do not either."""
    shared = (Counter(predicted) & Counter(wanted)).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


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
    """The calibration of the probabilities in a run of questions."""

    ece: float
    """Expected calibration error, in [0, 1]."""
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns it as a JSON object."""
        return {"ece": round(self.ece, 4), "bins": [one.to_json() for one in self.bins]}


def reliability(judged: Sequence[tuple[float, bool]]) -> Reliability:
    """Measures how reliable probabilities are, from pairs of a probability and whether its answer was right."""
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
