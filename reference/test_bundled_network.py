"""Tests that the bundled network, exported as one ordinary model, answers as transformers does on it.

It needs the float weights, given by EDGEQA_REFERENCE_WEIGHTS; with EDGEQA_REFERENCE_QUESTIONS, the path of a SQuAD
file, it is asked 400 questions of that, too. That the split bundle answers the same is a test of the ordinary suite,
`tests/compat/test_one_network.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import transformers
from bundled_network import BundledForQuestionAnswering
from comparison import compared
from exports import export
from texts import SETTINGS, Asked, asked, squad, squad_questions
from torch_networks import BUNDLED_TOKENIZER
from weights import load_weights

import edgeqa
from edgeqa.models.exports.adding import add_model as add

WEIGHTS, QUESTIONS = (os.environ.get(f"EDGEQA_REFERENCE_{name}") for name in ("WEIGHTS", "QUESTIONS"))


@pytest.mark.skipif(not WEIGHTS, reason="EDGEQA_REFERENCE_WEIGHTS is not set")
def test_its_answers_are_those_of_transformers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = BundledForQuestionAnswering(*load_weights(Path(WEIGHTS or "")))
    tokenizer = transformers.BertTokenizerFast(tokenizer_file=str(BUNDLED_TOKENIZER), model_max_length=512)
    export(model, tokenizer, tmp_path)
    added = add(str(tmp_path), name="bundled-in-one")
    assert (added.right_percent or 0) > 80
    theirs = transformers.pipeline("question-answering", model=model, tokenizer=tokenizer)
    questions = asked(120) + [
        Asked(question, context, SETTINGS[number % len(SETTINGS)]) for number, (question, context) in enumerate(_more())
    ]
    outcome = compared(edgeqa.pipeline(model="bundled-in-one", threads=1), theirs, questions)
    with capsys.disabled():
        print(f"\nthe bundled network in one: {outcome.line()}")
    assert not outcome.different, "\n".join(outcome.different[:5])
    assert outcome.ties < outcome.answers / 1000


def _more() -> list[tuple[str, str]]:
    return squad_questions(Path(QUESTIONS))[::14][:400] if QUESTIONS else squad()
