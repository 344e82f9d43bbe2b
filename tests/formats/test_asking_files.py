"""A question about a file in a format of its own, in the process and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from office import docx, epub, paragraph, pdf

from edgeqa import errors, runtime
from edgeqa.contexts.documents import FORMATTED, documents, from_file
from edgeqa.formats import kinds

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


def test_the_endings_are_those_of_the_formats_and_plain_text_is_as_it_stands(tmp_path: Path) -> None:
    prose = (kinds.MARKDOWN, kinds.HTML, kinds.PDF, kinds.DOCX, kinds.EPUB)
    assert set(FORMATTED) == {suffix for kind in prose for suffix in kind.suffixes}
    path = tmp_path / "a.txt"
    path.write_bytes(b"# *as* it stands")
    assert "".join(documents(path)[0].blocks()) == "".join(from_file(path).blocks()) == "# *as* it stands"


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


def test_a_remembered_answer_on_plain_text_imports_no_format(tmp_path: Path) -> None:
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
    assert formats == "[]"
