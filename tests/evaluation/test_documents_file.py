"""Tests files of questions on documents: what is read of a line, and what is said of one that is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgeqa.errors import ContextError
from edgeqa.evaluation.documents import DocumentQuestion, QuestionsFileError, QuestionsNotFound, read_questions

if TYPE_CHECKING:
    from pathlib import Path

LINE: dict[str, Any] = {
    "doc": "pump.txt",
    "question": "how deep",
    "answers": ["7 m", "seven metres"],
    "kind": "table",
    "style": "noqm",
    "heading": None,
    "half": "fit",
    "anchors": [["pump.txt", "Depth: 7 m"]],
    "gold": [["pump.txt", 10, 20]],
    "why": "something else",
}


def written(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in lines), "utf-8")
    return path


def test_reads_all_that_is_needed_of_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, LINE, "\n", {"doc": "a", "question": "b", "answers": [], "half": "report"})
    assert read_questions(path) == (
        DocumentQuestion(
            line=1,
            document="pump.txt",
            question="how deep",
            answers=("7 m", "seven metres"),
            quotations=(("pump.txt", "Depth: 7 m"),),
            places=(("pump.txt", 10, 20),),
            groups={"kind": "table", "style": "noqm", "half": "fit"},
        ),
        DocumentQuestion(3, "a", "b", (), (), (), {"half": "report"}),
    )
    assert [question.is_near_miss for question in read_questions(path)] == [False, True]


def test_reads_only_what_is_chosen_by_any_field(tmp_path: Path) -> None:
    path = written(tmp_path, LINE, LINE | {"half": "report"}, LINE | {"doc": "other.txt"})
    assert [one.line for one in read_questions(path, {"half": "fit"})] == [1, 3]
    assert [one.line for one in read_questions(path, {"half": "fit", "doc": "other.txt"})] == [3]
    with pytest.raises(QuestionsNotFound, match="no question in it with half=none"):
        read_questions(path, {"half": "none"})


def test_a_line_may_hold_a_line_separator(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(LINE | {"question": "a\u2028b"}, ensure_ascii=False))
    assert read_questions(path)[0].question == "a\u2028b"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("{", "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ("[]\n", "not a JSON object"),
        ({"doc": None}, "'doc': missing"),
        ({"question": " "}, "'question': not a text with something in it"),
        ({"question": 5}, "'question': not a text"),
        ({"answers": None}, "'answers': missing"),
        ({"answers": "7 m"}, "'answers': not a list"),
        ({"answers": [7]}, "'answers': not a text"),
        ({"anchors": [["pump.txt"]]}, "'anchors': not a list of"),
        ({"anchors": [["pump.txt", " "]]}, "'anchors': not a list of"),
        ({"gold": [["pump.txt", 5, 4]]}, "'gold': not a list of"),
        ({"anchors": [], "gold": []}, "neither 'anchors' nor 'gold'"),
    ],
)
def test_says_which_line_is_wrong(tmp_path: Path, changed: str | dict[str, Any], said: str) -> None:
    path = written(tmp_path, LINE, changed if isinstance(changed, str) else LINE | changed)
    with pytest.raises(QuestionsFileError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert said in str(caught.value)
    assert caught.value.hint


def test_an_empty_file_and_none_are_errors(tmp_path: Path) -> None:
    with pytest.raises(QuestionsNotFound, match=r"there is no question in it$"):
        read_questions(written(tmp_path, "\n"))
    with pytest.raises(ContextError, match="no such file"):
        read_questions(tmp_path / "none.jsonl")
