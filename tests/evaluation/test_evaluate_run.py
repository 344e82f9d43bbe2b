"""Tests the scores of a whole run, from a stand-in that answers as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeqa.answer import Answer
from edgeqa.evaluation.squad import NoAnswerScores, Scores, SquadQuestion, evaluate, read_squad
from edgeqa.models.metrics import reliability

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from edgeqa.timing import Progress

DATA = Path(__file__).parent.parent / "data"


@dataclass
class Told:
    """Answers each question with the text and the score that it was told for it; its probability is the score / 10."""

    answers: Mapping[str, tuple[str | None, float]]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def ask_many(self, pairs: Iterable[tuple[str, str]], *, force: bool, progress: Progress | None) -> Iterator[Answer]:
        assert force
        for asked, context in pairs:
            self.asked.append((asked, context))
            text, score = self.answers[asked]
            if progress:
                progress("asking", len(self.asked), 4)
            yield Answer(asked, text, None, None, None, None, None, score, score / 10, "told 1", ())


def without_reliability(scores: Scores) -> dict[str, object]:
    return {name: value for name, value in scores.to_json().items() if name not in ("ece", "bins")}


def question(text: str, *golds: str) -> SquadQuestion:
    return SquadQuestion(text, text, f"The context of {text}.", golds, is_impossible=not golds)


ANSWERABLE = [
    question("q1", "Ada"),
    question("q2", "Charles Babbage"),
    question("q3", "1843"),
    question("q4", "x", "y"),
]
TOLD_V1: Mapping[str, tuple[str | None, float]] = {
    "q1": ("ada.", 9.0),
    "q2": ("Babbage", 1.0),
    "q3": ("1834", 8.0),
    "q4": (None, 0.0),
}


def test_squad_1_takes_every_answer_whatever_its_probability() -> None:
    qa = Told(TOLD_V1)
    done: list[int] = []
    scores = evaluate(
        qa, ANSWERABLE, is_v2=False, no_answer_below=0.5, progress=lambda _doing, number, _total: done.append(number)
    )
    found = scores.to_json()
    assert {name: found[name] for name in ("em", "f1", "questions")} == {"em": 25.0, "f1": 41.67, "questions": 4}
    # Believed 0.9, 0.1, 0.8 and 0; right is the first alone.
    assert found["ece"] == pytest.approx((0.1 + 0.1 + 0.8 + 0) / 4)
    assert [(one["from"], one["share_right"]) for one in found["bins"] if one["questions"]] == [
        (0.0, 0.0),
        (0.1, 0.0),
        (0.8, 0.0),
        (0.9, 1.0),
    ]
    assert qa.asked == [(q.question, q.context) for q in ANSWERABLE]
    assert done == [1, 2, 3, 4]


UNANSWERABLE = [question("n1"), question("n2"), question("n3")]
TOLD_V2: Mapping[str, tuple[str | None, float]] = {
    **TOLD_V1,
    "q4": ("y", 6.0),
    "n1": ("Ada", 7.0),
    "n2": ("Ada", 2.0),
    "n3": ("Ada", 4.0),
}


def test_squad_2_by_the_runtimes_decision_and_at_the_best_threshold() -> None:
    mixed = [q for pair in zip(ANSWERABLE, UNANSWERABLE, strict=False) for q in pair] + ANSWERABLE[3:]
    scores = evaluate(Told(TOLD_V2), mixed, is_v2=True, no_answer_below=0.5)
    # Given: q1 (right), q3 (wrong), q4 (right), n1 (wrong). Not given: q2 (wrong), n2 and n3 (right).
    # The best threshold gives q1 alone its answer: 1 + 3 unanswerable ones. q4 would only make up for n1.
    assert without_reliability(scores) == {
        "em": 57.14,
        "f1": 57.14,
        "questions": 7,
        "has_answer_f1": 50.0,
        "no_answer_accuracy": 66.67,
        "best_f1": 57.14,
        "best_threshold": -9.0,
    }
    # Nothing is right where nothing answers: of the three at 0.6 and 0.7, q4 alone.
    bins = scores.to_json()["bins"]
    assert [one["share_right"] for one in bins[6:8]] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("below", "accuracy"), [(0.0, 0.0), (0.2, 0.0), (0.2001, 100 / 3), (0.4001, 200 / 3), (0.71, 100.0)]
)
def test_the_runtime_gives_an_answer_from_its_threshold_on(below: float, accuracy: float) -> None:
    scores = evaluate(Told(TOLD_V2), UNANSWERABLE, is_v2=True, no_answer_below=below)
    assert scores.no_answer is not None
    assert scores.no_answer.no_answer_accuracy == pytest.approx(accuracy)
    assert scores.em == scores.f1 == pytest.approx(accuracy)
    assert scores.no_answer.has_answer_f1 is None
    assert (scores.no_answer.best_f1, scores.no_answer.best_threshold) == (100.0, 0.0)


def test_the_best_threshold_is_sought_among_the_best_spans_whatever_the_runtime_decides() -> None:
    told: Mapping[str, tuple[str | None, float]] = {"n1": (None, 9.0), "q1": ("Ada", 1.0)}
    mixed = [UNANSWERABLE[0], ANSWERABLE[0]]
    scores = evaluate(Told(told), mixed, is_v2=True, no_answer_below=0.5)
    # The runtime withholds "Ada"; n1 has no span at all, so that a threshold which lets q1 pass costs nothing.
    assert (scores.em, scores.f1, scores.questions) == (50.0, 50.0, 2)
    assert scores.no_answer == NoAnswerScores(0.0, 100.0, best_f1=100.0, best_threshold=-1.0)


def test_too_few_answers_are_not_taken_for_a_score() -> None:
    class Silent:
        def ask_many(self, pairs: Iterable[tuple[str, str]], *, force: bool, progress: Progress | None) -> list[Answer]:
            del pairs, force, progress
            return []

    with pytest.raises(ValueError, match="shorter"):
        evaluate(Silent(), ANSWERABLE, is_v2=False, no_answer_below=0.5)


@pytest.mark.parametrize("name", ["squad-v1.1.json", "squad-v2.0.json"])
def test_the_gold_answers_score_full_marks(name: str) -> None:
    squad = read_squad(DATA / name)
    told = {
        q.question: (q.answers[-1] if q.answers else "anything", 9.0 if q.answers else 1.0) for q in squad.questions
    }
    scores = evaluate(Told(told), squad.questions, is_v2=squad.is_v2, no_answer_below=0.5)
    full = {"em": 100.0, "f1": 100.0, "questions": 30}
    v2 = {"has_answer_f1": 100.0, "no_answer_accuracy": 100.0, "best_f1": 100.0, "best_threshold": -9.0}
    assert without_reliability(scores) == full | (v2 if squad.is_v2 else {})


def test_json_is_rounded_and_says_what_cannot_be_known() -> None:
    no_answer = NoAnswerScores(None, 200 / 3, 200 / 3, -1.234567)
    scores = Scores(200 / 3, 100 / 3, 7, reliability([(1 / 3, True)]), no_answer)
    assert scores.to_json()["ece"] == 0.6667
    assert scores.to_json()["bins"][3] == {
        "from": 0.3,
        "to": 0.4,
        "questions": 1,
        "mean_probability": 0.3333,
        "share_right": 1,
    }
    assert without_reliability(scores) == {
        "em": 66.67,
        "f1": 33.33,
        "questions": 7,
        "has_answer_f1": None,
        "no_answer_accuracy": 66.67,
        "best_f1": 66.67,
        "best_threshold": -1.2346,
    }
