"""Tests the counts of a run of questions on documents, from answers that are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeqa.answer import Answer, Candidate
from edgeqa.evaluation.documents import Counts, DocumentQuestion, Documents, Judge, ask_all, scores

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.evaluation.documents import Outcome

TEXT = "Height: 312 mm\nDiameter: 168 mm\n"
# Question, accepted, best span, probability, whether it is given, what the screen shows.
ASKED = [
    ("height", "312 mm", "312 mm", 0.95, True, "[312 mm]", "table"),
    ("diameter", "168 mm", "312 mm", 0.85, True, "[312 mm]\nDiameter: 168 [mm]", "table"),
    ("diameter again", "168 mm", "168 mm", 0.15, False, "No answer", "prose"),
    ("weight", "", "168 mm", 0.65, True, "168 mm", "unanswerable"),
    ("price", "", "168 mm", 0.05, False, "No answer", "unanswerable"),
]


@pytest.fixture
def outcomes(tmp_path: Path) -> list[Outcome]:
    (tmp_path / "pump.txt").write_text(TEXT, "utf-8")
    told, screens, questions = {}, {}, []
    for line, (asked, accepted, best, probability, is_given, shown, kind) in enumerate(ASKED, 1):
        start = TEXT.index(best)
        span = Candidate(
            best, start, start + len(best), TEXT, 0, str(tmp_path / "pump.txt"), 0, probability, probability
        )
        text = best if is_given else None
        answer = Answer(asked, text, None, None, None, None, None, 1.0, probability, "m", (span,), contexts=line)
        told[asked], screens[asked] = answer, shown
        quotations = (("pump.txt", accepted),) if accepted else ()
        answers = (accepted,) if accepted else ()
        questions.append(DocumentQuestion(line, "pump.txt", asked, answers, quotations, (), {"kind": kind}))
    done: list[tuple[str, int, int]] = []
    found = ask_all(
        questions,
        lambda question: told[question.question],
        Judge(Documents(tmp_path), questions, tmp_path / "questions.jsonl"),
        lambda answer: screens[answer.question],
        progress=lambda *reported: done.append(reported),
        doing="asking",
    )
    assert done == [("asking", number, 5) for number in (1, 2, 3, 4, 5)]
    return found


def test_counts_what_was_given_and_what_was_shown(outcomes: list[Outcome]) -> None:
    found = scores(outcomes)
    assert found.counts == Counts(
        questions=3, right=1, wrong=1, refused=1, screen_holds=2, near_misses=2, near_misses_answered=1
    )
    assert found.passages == 3
    assert found.ask_ms >= 0
    assert found.groups == {
        "kind": {
            "prose": Counts(1, 0, 0, 1, 0, 0, 0),
            "table": Counts(2, 1, 1, 0, 2, 0, 0),
            "unanswerable": Counts(0, 0, 0, 0, 0, 2, 1),
        }
    }


def test_believes_spans_that_were_not_given_too(outcomes: list[Outcome]) -> None:
    bins = {one.start: one for one in scores(outcomes).reliability.bins if one.questions}
    assert {start: (one.questions, one.share_right) for start, one in bins.items()} == {
        0.0: (1, 0.0),
        0.1: (1, 1.0),
        0.6: (1, 0.0),
        0.8: (1, 0.0),
        0.9: (1, 1.0),
    }
    assert scores(outcomes).reliability.ece == pytest.approx((0.05 + 0.85 + 0.65 + 0.85 + 0.05) / 5)


def test_outcomes_say_what_came_of_each_question(outcomes: list[Outcome]) -> None:
    first, *_, last = (one.to_json() for one in outcomes)
    assert first.pop("ask_ms") >= 0
    assert first == {
        "line": 1,
        "doc": "pump.txt",
        "question": "height",
        "kind": "table",
        "near_miss": False,
        "answer": "312 mm",
        "best": "312 mm",
        "right": True,
        "probability": 0.95,
        "score": 1.0,
        "screen_holds": True,
        "passages": 1,
    }
    assert (last["near_miss"], last["answer"], last["best"], last["right"]) == (True, None, "168 mm", False)
