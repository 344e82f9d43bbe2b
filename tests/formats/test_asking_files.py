"""Tests a question about a file in a format of its own, in the process and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from office import PICTURE, docx, epub, paragraph, pdf, xlsx
from reading import read

from edgeqa import errors, runtime
from edgeqa.asking import text_scope
from edgeqa.asking.documents import documents, from_file
from edgeqa.formats import kinds
from edgeqa.screen import describe

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.runtime import EdgeQA

SENTENCE = "The float switch starts the pump at 30 centimetres."
FILES = {
    "a.md": f"# The *manual*\n\n**{SENTENCE[:9]}**{SENTENCE[9:]}".encode(),
    "a.HTML": f"<title>Manual</title><script>x</script><p>{SENTENCE}".encode(),
    "a.docx": docx(paragraph("Manual", "Heading1") + paragraph(SENTENCE)),
    "a.epub": epub({"a.xhtml": "<p>Nothing here.", "b.xhtml": f"<p>{SENTENCE}"}),
    "a.pdf": pdf([["Nothing here."], [SENTENCE]]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_question_is_answered_from_the_text_of_the_file(qa: EdgeQA, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    answer = qa.ask("At how many centimetres does the pump start?", path)
    assert answer.text is not None
    assert "30" in answer.text
    assert answer.context is not None
    assert SENTENCE in answer.context
    assert answer.candidates[0].source == str(path)


def test_a_row_of_a_spreadsheet_is_said_where_a_place_is(tmp_path: Path) -> None:
    def cells(*texts: str) -> str:
        made = (f"<c t='inlineStr'><is><t>{text}</t></is></c>" for text in texts)
        return f"<row>{''.join(made)}</row>"

    path = tmp_path / "pumps.xlsx"
    rows = cells("Pump", "Depth", "Price") + cells("P12", "40 m", "310 EUR") + cells("P40", "7 m", "99 EUR")
    path.write_bytes(xlsx({"Prices": f"<sheetData>{rows}</sheetData>"}))
    with runtime.open(collection="rows") as opened:
        opened.add(path)
        for answer in (opened.ask("How much does the P40 cost?", path), opened.ask("How much does the P40 cost?")):
            assert (answer.text, answer.candidates[0].heading) == ("99 EUR", ("Prices", "row 3"))
            assert "Prices > row 3" in describe(answer, top=1)
        place = (answer.candidates[0].source_start, answer.candidates[0].source_end)
        assert opened.show(path, place).heading == ("Prices", "row 3")
        assert opened.closest("row 3") == []  # none is looked for by its number


def test_pages_without_text_are_noted_also_of_an_answer_that_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[PICTURE], [SENTENCE], *[[PICTURE]] * 9]))
    question = "At how many centimetres does the pump start?"
    for _ in range(2):
        with runtime.open() as opened:
            for asked in (question, "What starts the pump?", question):  # the second of passages that are at hand
                (note,) = opened.ask(asked, path).notes
                assert note.startswith("without text: #1, #3, #4, #5, #6, #7, #8, #9 and 2 more: a scanned page: ")
    with runtime.open() as opened:
        assert "Without text: #1, #3, " in describe(opened.ask(question, path), top=1)
        path.write_bytes(FILES["a.pdf"])
        assert opened.ask(question, path).notes == ()


def test_pages_of_a_file_that_is_not_held_are_noted_too(
    qa: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[PICTURE], [SENTENCE], ["Nothing here."]]))
    monkeypatch.setattr(text_scope, "HELD_BYTES", 10)
    (note,) = qa.ask("At how many centimetres does the pump start?", path, refresh=True).notes
    assert note.startswith("without text: #1: a scanned page")


def test_an_answer_is_remembered_under_the_files_content(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    with runtime.open() as opened:

        def ask() -> tuple[str, bool]:
            answer = opened.ask("At how many centimetres does the pump start?", path)
            return str(answer.text)[:2], answer.cached

        path.write_bytes(FILES["a.HTML"])
        assert [ask(), ask()] == [("30", False), ("30", True)]
        path.write_bytes(FILES["a.HTML"].replace(b"30", b"45"))
        assert [ask(), ask()] == [("45", False), ("45", True)]


def test_the_records_of_a_file_are_parted_by_a_blank_line(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    path.write_bytes(FILES["a.epub"])
    (document,) = documents(path)
    assert ["".join(document.blocks()) for _ in range(2)] == [f"Nothing here.\n\n{SENTENCE}"] * 2


PAGES = [["Nothing here."], [], [SENTENCE, "It is made in Leeds."], ["The valve opens at 4 bar."] * 40, [SENTENCE]]


@pytest.mark.parametrize("name", ["a.pdf", "a.epub", "a.docx"])
@pytest.mark.parametrize("most_contexts", [None, 2])
def test_an_answer_says_which_page_or_chapter_it_begins_in(
    tmp_path: Path, name: str, most_contexts: int | None
) -> None:
    path = tmp_path / name
    chapters = {f"{n}.xhtml": f"<p>{' '.join(lines)}</p>" for n, lines in enumerate(PAGES)}
    made = {"a.pdf": pdf(PAGES), "a.epub": epub(chapters), "a.docx": docx(paragraph(" ".join(chain(*PAGES))))}
    path.write_bytes(made[name])
    with runtime.open() as opened:
        asked = [
            opened.ask("At how many centimetres does the pump start?", path, top=3, most_contexts=most_contexts)
            for _ in range(2)
        ]
    assert [answer.cached for answer in asked] == [False, True]
    assert asked[0].candidates == asked[1].candidates
    parts = {part.name: part.text for part in read(path)}
    whole = "\n\n".join(parts.values())
    for c in asked[0].candidates:
        assert c.context[c.start : c.end] == c.text == whole[c.source_start : c.source_end]
        assert c.source == str(path)
        start = c.source_start - c.part_start
        assert parts[c.document][start : start + len(c.text)] == c.text
        assert c.to_json()["document"] == c.document
    assert asked[0].document == asked[0].candidates[0].document
    found = {c.document.removeprefix(str(path)) for c in asked[0].candidates if "30" in c.text}
    assert found == ({""} if name == "a.docx" else {"#3", "#5"})


def test_a_page_is_called_as_in_a_collection(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([["Nothing here."], ["", SENTENCE]]))
    question = "At how many centimetres does the pump start?"
    with runtime.open(persist="off") as opened:
        opened.add(path)
        answers = [opened.ask(question, path), opened.ask(question)]
    assert [answer.document for answer in answers] == [f"{path}#2"] * 2
    lines = [next(line for line in describe(a, top=1).splitlines() if "characters" in line) for a in answers]
    assert lines[0].rpartition(",")[0] == lines[1].rpartition(",")[0]


def test_no_answer_has_no_document_and_a_text_is_one(qa: EdgeQA) -> None:
    assert qa.ask("Who won the football world cup?", SENTENCE).document is None
    assert qa.ask("At how many centimetres does the pump start?", SENTENCE).to_json()["document"] == "text"


def test_the_endings_are_those_of_the_formats_and_plain_text_is_as_it_stands(tmp_path: Path) -> None:
    as_they_stand = {kind.name for kind in kinds.KINDS.values() if kind.is_asked_as_it_stands}
    assert as_they_stand == {"text", "code"}
    assert all(kinds.is_asked_as_it_stands(name) for name in ("a.txt", "A.PY", "a", "a.unknown"))
    assert not any(kinds.is_asked_as_it_stands(name) for name in ("a.txt.gz", "a.1", "a.DOCX", "a.md", "a.csv"))
    path = tmp_path / "a.txt"
    path.write_bytes(b"# *as* it stands")
    assert "".join(documents(path)[0].blocks()) == "".join(from_file(path).blocks()) == "# *as* it stands"


def test_a_file_of_an_unknown_ending_is_looked_at(tmp_path: Path) -> None:
    contents = {
        "book": FILES["a.epub"],
        "letter.dat": FILES["a.docx"],
        "page.unknown": b"<!doctype html><p>x",
        "note": b"<p>x",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    found = {name: "".join(documents(tmp_path / name)[0].blocks()) for name in contents}
    assert (found["page.unknown"].strip(), found["note"]) == ("x", "<p>x")
    assert SENTENCE in found["book"]
    assert SENTENCE in found["letter.dat"]
    (tmp_path / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(errors.FormatError, match="in a format that Office had before 2007"):
        documents(tmp_path / "old.doc")
    (tmp_path / "photo").write_bytes(b"\xff\xd8\0")
    with pytest.raises(errors.ContextBinary):
        documents(tmp_path / "photo")


def test_what_is_wrong_with_a_file_is_said(qa: EdgeQA, tmp_path: Path) -> None:
    folder, damaged = tmp_path / "a.md", tmp_path / "a.docx"
    folder.mkdir()
    damaged.write_bytes(FILES["a.docx"][:-30])
    with pytest.raises(errors.ContextNotFound):
        documents(tmp_path / "missing.pdf")
    with pytest.raises(errors.ContextIsDirectory):
        documents(folder)
    with pytest.raises(errors.FormatError, match="not a readable DOCX file"):
        qa.ask("Who?", damaged)


def test_a_remembered_answer_on_plain_text_imports_no_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(SENTENCE)
    program = (
        "import sys, edgeqa.cli as cli\n"
        "cli.commands.main(['ask', 'Who starts?', sys.argv[1], '--json', '--force'], standalone_mode=False)\n"
        "print(sorted(name for name in sys.modules if name.startswith('edgeqa.formats')))"
    )

    def ask() -> list[str]:
        command = [sys.executable, "-c", program, str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()

    ask()
    again, formats = ask()
    assert json.loads(again)["cached"] is True
    assert formats == "['edgeqa.formats', 'edgeqa.formats.source']"
