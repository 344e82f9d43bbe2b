"""Tests that answers, scores and errors are those of transformers 4.57.1, as `reference/record.py` recorded them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from calls import CALLS
from lookup_pipelines import DATA, lookup_pipeline

from edgeqa.errors import EdgeQAError

GOLDEN = json.loads((DATA / "answers.json").read_text(encoding="utf-8"))
BUILTIN = {"ValueError": ValueError, "KeyError": KeyError, "TypeError": TypeError}
ANSWERED_HERE = {"an example"}  # what transformers refuses, though nothing is wrong with it


class SquadExample(NamedTuple):
    question_text: str
    context_text: str


def close(answers: Any) -> Any:  # noqa: ANN401 - one answer, a list of them, or a list of lists
    if isinstance(answers, list):
        return [close(answer) for answer in answers]
    return {**answers, "score": pytest.approx(answers["score"], rel=1e-5, abs=1e-12)}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=[str(n) for n, _ in enumerate(GOLDEN["cases"])])
def test_an_answer_is_the_one_that_was_recorded(case: dict[str, Any]) -> None:
    context = "\n".join(GOLDEN["texts"][n] for n in case["texts"])
    pipeline = lookup_pipeline(case["tokenizer"], case["seed"])
    answers = pipeline(question=GOLDEN["questions"][case["question"]], context=context, **case["settings"])
    assert answers == close(case["answers"])


def test_every_form_of_a_call_was_recorded() -> None:
    assert GOLDEN["calls"].keys() == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_or_raises_what_was_recorded(name: str) -> None:
    recorded = GOLDEN["calls"][name]
    pipeline = lookup_pipeline("wordpiece", GOLDEN["calls_seed"])
    if "gives" in recorded or name in ANSWERED_HERE:
        given = CALLS[name](pipeline, SquadExample)
        assert given == close(recorded.get("gives", given))
    else:
        with pytest.raises(EdgeQAError) as caught:
            CALLS[name](pipeline, SquadExample)
        assert isinstance(caught.value, BUILTIN.get(recorded["raises"], EdgeQAError))
        assert str(caught.value)
        assert caught.value.hint
