"""Tests what counts as right: an accepted variant, at a place that answers the question, whatever offsets count in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from edgeqa.evaluation.documents import (
    DocumentMissing,
    DocumentQuestion,
    Documents,
    DocumentsNotFound,
    Judge,
    PlaceNotFound,
)

if TYPE_CHECKING:
    from pathlib import Path

FAR = "word " * 100
TEXT = f"Head: 8.5 m\n{FAR}\nFlow: 8.5 m\n{FAR}\nTemperature | 35 °C"


@dataclass(frozen=True)
class Told:
    """A span as an answer has it."""

    text: str
    start: int
    end: int
    context: str
    document: str
    source_start: int


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pump.txt").write_text(TEXT, "utf-8")
    (tmp_path / "sub#1").mkdir()
    (tmp_path / "sub#1" / "other.txt").write_text("Head: 8.5 m", "utf-8")
    return tmp_path


def told(folder: Path, answer: str, context: str, document: str = "pump.txt", source_start: int = 0) -> Told:
    start = context.index(answer)
    return Told(answer, start, start + len(answer), context, str(folder / document), source_start)


def question(*answers: str, quotation: str = "Head: 8.5 m", document: str = "pump.txt") -> DocumentQuestion:
    return DocumentQuestion(4, document, "?", answers, ((document, quotation),) if quotation else (), ())


def judged(folder: Path, asked: DocumentQuestion, span: Told) -> bool:
    return Judge(Documents(folder), [asked], folder / "questions.jsonl").is_right(asked, span)


def test_right_is_an_accepted_variant_at_its_place(folder: Path) -> None:
    asked = question("8.5 m", "8.5 metres")
    assert judged(folder, asked, told(folder, "8.5 m", "Head: 8.5 m"))
    assert judged(folder, asked, told(folder, "Head: 8.5 m", "Head: 8.5 m\nword"))
    assert not judged(folder, asked, told(folder, "8.5", "Head: 8.5 m"))
    assert not judged(folder, asked, told(folder, "8.5 m", "Flow: 8.5 m"))
    assert not judged(folder, asked, told(folder, "8.5 m", "Head: 8.5 m", "sub#1/other.txt"))
    assert not judged(folder, question(), told(folder, "8.5 m", "Head: 8.5 m"))


def test_of_equal_passages_the_one_is_meant_that_its_offset_says(folder: Path) -> None:
    asked = question("8.5 m")
    flow = TEXT.index("8.5 m", 20)
    assert judged(folder, asked, told(folder, "8.5 m", "8.5 m", source_start=6))
    assert not judged(folder, asked, told(folder, "8.5 m", "8.5 m", source_start=flow))


def test_a_passage_is_known_by_its_letters(folder: Path) -> None:
    asked = question("35 °C", quotation="Temperature 35 °C")
    assert judged(folder, asked, told(folder, "35 °C", "Temperature: 35 °C", source_start=99999))


def test_a_row_that_was_read_with_its_headers_is_known_by_the_quotation(folder: Path) -> None:
    asked = question("35 °C", quotation="Temperature 35 °C")
    row = "What: temperature; Value: 35 °C"
    assert judged(folder, asked, told(folder, "35 °C", row, source_start=99999))
    assert not judged(folder, asked, told(folder, "35 °C", "What: pressure; Value: 35 °C", source_start=99999))
    # The offset holds where it leads to the very answer.
    assert judged(folder, asked, told(folder, "35 °C", "Value: 35 °C", source_start=TEXT.index("35")))


def test_a_part_of_a_file_is_the_file(folder: Path) -> None:
    assert judged(folder, question("8.5 m"), told(folder, "8.5 m", "Head: 8.5 m", "pump.txt#12"))
    documents = Documents(folder)
    assert documents.name_of(str(folder / "sub#1" / "other.txt")) == "sub#1/other.txt"
    assert documents.name_of("elsewhere.txt#1") == "elsewhere.txt#1"
    assert [path.name for path in documents.paths()] == ["pump.txt", "other.txt"]


def test_a_place_is_taken_where_no_quotation_is_found(folder: Path) -> None:
    asked = DocumentQuestion(4, "pump.txt", "?", ("8.5 m",), (("pump.txt", "not in it"),), (("pump.txt", 0, 11),))
    assert judged(folder, asked, told(folder, "8.5 m", "Head: 8.5 m"))
    assert not judged(folder, asked, told(folder, "8.5 m", "Flow: 8.5 m"))


def test_quotations_of_documents_that_are_not_there_are_left_out(folder: Path) -> None:
    also = ("none.txt", "Head: 8.5 m")
    asked = DocumentQuestion(4, "pump.txt", "?", ("8.5 m",), (also, ("pump.txt", "Head: 8.5 m")), ())
    assert judged(folder, asked, told(folder, "8.5 m", "Head: 8.5 m"))


def test_says_which_line_cannot_be_judged(folder: Path) -> None:
    file = folder / "questions.jsonl"
    with pytest.raises(DocumentsNotFound, match=r"no such folder: .*/none$"):
        Documents(folder / "none")
    with pytest.raises(PlaceNotFound, match=r"questions.jsonl, line 4: in 'pump.txt' there is no 'Weight: 5 kg'"):
        Judge(Documents(folder), [question("5 kg", quotation="Weight: 5 kg")], file)
    with pytest.raises(DocumentMissing, match=r"line 4: the document 'none.txt' is not in"):
        Judge(Documents(folder), [question(document="none.txt", quotation="")], file)
