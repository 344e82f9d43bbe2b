"""Tests the project's own questions on documents: every place is found in what is read now, and halves stay apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from edgeqa.evaluation.documents import Documents, Judge, read_questions

SET = Path(__file__).parents[2] / "benchmarks" / "documents"
FILE = SET / "questions.jsonl"


def test_every_place_is_found_in_the_text_that_is_read() -> None:
    Judge(Documents(SET / "docs"), read_questions(FILE), FILE)


def test_the_halves_share_no_document_and_every_document_is_asked_about() -> None:
    halves = {half: {one.document for one in read_questions(FILE, {"half": half})} for half in ("fit", "report")}
    asked = {one.document for one in read_questions(FILE)}
    assert sum(map(len, halves.values())) == len(asked) == len(set().union(*halves.values()))
    assert asked == {path.name for path in (SET / "docs").iterdir()}


def test_no_question_is_asked_twice() -> None:
    questions = Counter((one.document, one.question.casefold()) for one in read_questions(FILE))
    assert [question for question, times in questions.items() if times > 1] == []


def test_the_table_of_sources_names_every_document_and_its_half() -> None:
    halves = {one.document: one.groups["half"] for one in read_questions(FILE)}
    rows = [line.split("|") for line in (SET / "README.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    named = {cells[1].strip(" `"): cells[3].strip() for cells in rows if len(cells) == 7}
    assert named == halves
