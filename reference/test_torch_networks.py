"""Tests networks of each family, exported and added: token ids, logits and answers must be those of transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from comparison import compared
from exports import export
from texts import asked
from torch_networks import FAMILIES

import edgeqa
from edgeqa.models.exports.adding import add_model as add

if TYPE_CHECKING:
    from pathlib import Path

    from torch_networks import Family

    from edgeqa.compat import QuestionAnsweringPipeline

QUESTIONS = 240
LOGIT = 1e-4


@dataclass(frozen=True, slots=True)
class Pair:
    """The same network twice."""

    name: str
    theirs: Any
    ours: QuestionAnsweringPipeline
    directory: Path


@pytest.fixture(scope="module", params=FAMILIES, ids=str)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    family: Family = request.param
    model, tokenizer = family.build()
    directory = tmp_path_factory.mktemp(family.name)
    export(model, tokenizer, directory)
    add(str(directory), name=family.name)
    theirs = transformers.pipeline("question-answering", model=model, tokenizer=tokenizer)
    return Pair(family.name, theirs, edgeqa.pipeline("question-answering", model=family.name, threads=1), directory)


def test_answers_are_the_same(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = compared(pair.ours, pair.theirs, asked(QUESTIONS))
    with capsys.disabled():
        print(f"\n{pair.name}: {outcome.line()}")
    assert not outcome.different, "\n".join(outcome.different[:5])
    assert outcome.answers > QUESTIONS


@pytest.mark.parametrize(("max_seq_len", "doc_stride"), [(384, 128), (160, 48)])
def test_token_ids_and_logits_are_the_same(
    pair: Pair, max_seq_len: int, doc_stride: int, capsys: pytest.CaptureFixture[str]
) -> None:
    windows, largest = 0, 0.0
    for one in asked(QUESTIONS)[::4]:
        lengths = {"max_seq_len": max_seq_len, "doc_stride": doc_stride}
        features = list(pair.theirs.preprocess({"question": one.question, "context": one.context}, **lengths))
        model = pair.ours._model
        found = pair.ours._windows.of(one.question, one.context, most_context_tokens=512, **lengths)
        assert [feature["input_ids"][0].tolist() for feature in features] == [window.ids for window in found]
        for feature, window in zip(features, found, strict=True):
            with torch.no_grad():
                expected = pair.theirs._forward(feature)
            for name, logits in zip(("start", "end"), model.logits(window), strict=True):
                largest = max(largest, float(np.abs(expected[name][0].numpy() - logits).max()))
            windows += 1
    with capsys.disabled():
        print(f"\n{pair.name}: {windows} windows, logits within {largest:.1e}")
    assert largest < LOGIT
    assert windows > QUESTIONS // 4


def test_an_export_answers_as_it_is(pair: Pair) -> None:
    outcome = compared(edgeqa.pipeline(model=pair.directory, threads=1), pair.ours, asked(24))
    assert not outcome.different
    assert outcome.largest_score_error == 0
