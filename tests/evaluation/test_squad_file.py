"""Tests reading SQuAD files, right and wrong ones, and drawing samples."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.errors import ContextEncoding, ContextNotFound, EvaluationFileError
from edgeqa.evaluation import squad
from edgeqa.evaluation.squad import SquadQuestion, read_squad, sample
from edgeqa.formats import nfc

if TYPE_CHECKING:
    from edgeqa.models.tokenizer import Tokenizer

DATA = Path(__file__).parent.parent / "data"
QA: dict[str, Any] = {"id": "1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]}


def in_file(qa: dict[str, Any], *, context: object = "Ada was.") -> dict[str, Any]:
    return {"data": [{"paragraphs": [{"context": context, "qas": [QA, qa]}]}]}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in QA.items() if name != key}


def written(folder: Path, value: object) -> Path:
    path = folder / "questions.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_squad_1_file() -> None:
    squad = read_squad(DATA / "squad-v1.1.json")
    assert not squad.is_v2
    assert len(squad.questions) == len({question.id for question in squad.questions}) == 30
    assert squad.questions[0].question == "In what country is Normandy located?"
    assert squad.questions[0].answers == ("France", "France", "France", "France")
    assert squad.questions[0].context.startswith("The Normans (Norman: Nourmands;")
    for question in squad.questions:
        assert not question.is_impossible
        assert all(answer in question.context for answer in question.answers)


def test_a_squad_2_file() -> None:
    squad = read_squad(DATA / "squad-v2.0.json")
    assert squad.is_v2
    assert len(squad.questions) == 30
    assert sum(question.is_impossible for question in squad.questions) == 14
    assert all(question.is_impossible == (not question.answers) for question in squad.questions)


@pytest.mark.parametrize(
    ("extra", "qa", "is_v2"),
    [
        ({}, QA, False),
        ({"version": "1.1"}, QA, False),
        ({"version": "v2.0"}, QA, True),
        ({"version": "2.0"}, QA, True),
        ({"version": 2.0}, QA, True),
        ({"version": None}, QA | {"is_impossible": False}, False),
        ({}, {"id": "2", "question": "Who?", "answers": [], "is_impossible": True}, True),
    ],
)
def test_which_version_a_file_is(extra: dict[str, Any], qa: dict[str, Any], *, is_v2: bool, tmp_path: Path) -> None:
    assert read_squad(written(tmp_path, in_file(qa) | extra)).is_v2 == is_v2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "the whole: not an object"),
        ({}, "the whole: has no 'data'"),
        ({"data": {}}, "data: not a list"),
        ({"data": []}, "data: there is no question in it"),
        ({"data": [{"paragraphs": []}]}, "data: there is no question in it"),
        ({"data": [{"paragraphs": []}, 3]}, "data[1]: not an object"),
        ({"data": [{"title": "x"}]}, "data[0]: has no 'paragraphs'"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "data[0].paragraphs[0]: has no 'context'"),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, "data[0].paragraphs[0]: has no 'qas'"),
        (in_file(QA, context=["Ada"]), "data[0].paragraphs[0].context: not a string"),
        (in_file(QA, context=" \n"), "data[0].paragraphs[0].context: there is no text in it"),
        (in_file(QA, context="\u200b"), "data[0].paragraphs[0].context: there is no text in it"),
        (in_file(QA, context="\ufffd\u0301\0"), "data[0].paragraphs[0].context: there is no text in it"),
        (in_file(without("id")), "data[0].paragraphs[0].qas[1]: has no 'id'"),
        (in_file(without("question")), "data[0].paragraphs[0].qas[1]: has no 'question'"),
        (in_file(without("answers")), "data[0].paragraphs[0].qas[1]: has no 'answers'"),
        (in_file(QA | {"id": 7}), "data[0].paragraphs[0].qas[1].id: not a string"),
        (in_file(QA | {"question": "\u00a0"}), "data[0].paragraphs[0].qas[1].question: there is no text in it"),
        (in_file(QA | {"question": "\u200b "}), "data[0].paragraphs[0].qas[1].question: there is no text in it"),
        (in_file(QA | {"answers": "Ada"}), "data[0].paragraphs[0].qas[1].answers: not a list"),
        (in_file(QA | {"answers": ["Ada"]}), "data[0].paragraphs[0].qas[1].answers[0]: not an object"),
        (in_file(QA | {"answers": [{"text": None}]}), "data[0].paragraphs[0].qas[1].answers[0].text: not a string"),
        (in_file(QA | {"is_impossible": 0}), "data[0].paragraphs[0].qas[1].is_impossible: not true or false"),
        (
            in_file(QA | {"answers": []}),
            "data[0].paragraphs[0].qas[1].answers: no answer, and is_impossible is not true",
        ),
        (
            in_file(QA | {"is_impossible": True}),
            "data[0].paragraphs[0].qas[1].answers: an answer, and is_impossible is true",
        ),
    ],
)
def test_the_place_of_a_fault_is_named(value: object, reason: str, tmp_path: Path) -> None:
    path = written(tmp_path, value)
    with pytest.raises(EvaluationFileError) as caught:
        read_squad(path)
    assert str(caught.value) == f"not a SQuAD file: {path}: {reason}"


@pytest.mark.parametrize("text", ["", "{", "not JSON at all", '{"data": [}', "[" * 200_000])
def test_what_is_not_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(EvaluationFileError, match="not JSON: "):
        read_squad(path)


@given(st.text(st.characters(exclude_categories=["L", "N"]), min_size=1))
def test_whatever_passes_as_text_is_text_to_the_reader(tokenizer: Tokenizer, text: str) -> None:
    try:
        squad._text({"question": text}, "question", "")
    except squad._WrongPlace:
        return
    assert len(tokenizer.tokenize(nfc(text)))


def test_what_cannot_be_read_is_the_same_fault_as_for_any_text(tmp_path: Path) -> None:
    with pytest.raises(ContextNotFound):
        read_squad(tmp_path / "none.json")
    (tmp_path / "latin-1.json").write_bytes(b'{"data": "\xe9"}')
    with pytest.raises(ContextEncoding):
        read_squad(tmp_path / "latin-1.json")


def numbered(count: int) -> list[SquadQuestion]:
    return [SquadQuestion(f"\ud800{i}", "Who?", "Ada was.", ("Ada",), is_impossible=False) for i in range(count)]


def test_a_sample_keeps_the_order_and_holds_the_smaller_ones() -> None:
    questions = numbered(50)
    samples = [sample(questions, limit, 3) for limit in range(1, 51)]
    assert [len(drawn) for drawn in samples] == list(range(1, 51))
    for smaller, larger in pairwise(samples):
        assert set(smaller) < set(larger)
    for drawn in samples:
        assert list(drawn) == [question for question in questions if question in drawn]
    assert sample(questions, 51, 3) == samples[-1] == tuple(questions)


def test_a_sample_depends_on_the_seed_and_the_ids_alone() -> None:
    questions = numbered(50)
    assert sample(questions, 10, 3) == sample(numbered(50), 10, 3)
    assert sample(questions, 10, 3) != sample(questions, 10, 4)
    assert set(sample(questions, 10, 3)) == set(sample(questions[::-1], 10, 3))


def test_a_sample_is_the_same_on_every_device() -> None:
    drawn = sample(read_squad(DATA / "squad-v1.1.json").questions, 3, 0)
    assert [question.id for question in drawn] == [
        "572fe4a304bcaa1900d76e59",
        "5733a5f54776f41900660f45",
        "57339a554776f41900660e75",
    ]
