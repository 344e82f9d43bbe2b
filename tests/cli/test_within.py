"""Tests `--in`, and `within` in Python: a part of a collection is asked alone, by whole names that others may share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from program import edgeqa

import edgeqa as library

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = "How deep may the pump be submerged?"


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    """A folder whose `notes` share little with the question, and `notes-old` much, in many passages."""
    assert not home.exists()
    for name in ("notes", "notes-old", "letters"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Since spring, the pump of the mill may be submerged by 2 metres.")
    (tmp_path / "notes" / "b.txt").write_text("The valve opens at 4 bar.")
    for number in range(60):
        text = f"How deep may the pump be submerged? The pump may be submerged {number + 10} metres deep."
        (tmp_path / "notes-old" / f"{number}.txt").write_text(text)
    (tmp_path / "letters" / "c.txt").write_text("Dear Ada, the weather is fine in the mountains.")
    assert edgeqa("add", "notes", "notes-old", "letters", "--encodings", "0", cwd=tmp_path).returncode == 0
    return tmp_path


def test_only_what_is_within_is_asked(folder: Path) -> None:
    everywhere = json.loads(edgeqa("ask", QUESTION, "--json").stdout)
    assert everywhere["document"].startswith("notes-old/")
    for name in ("notes", "notes/", "notes/a.txt", str(folder / "notes")):
        found = json.loads(edgeqa("ask", QUESTION, "--json", "--in", name).stdout)
        assert (found["document"], found["answer"]) == ("notes/a.txt", "2 metres"), name
    assert json.loads(edgeqa("ask", QUESTION, "--json").stdout)["answer"] == everywhere["answer"]
    closest = json.loads(edgeqa("closest", QUESTION, "--json", "--in", "notes", "--in", "letters").stdout)["closest"]
    assert closest[0]["document"] == "notes/a.txt"
    assert {passage["document"].split("/")[0] for passage in closest} <= {"notes", "letters"}
    assert edgeqa("closest", QUESTION, "--in", "letters/c.txt").returncode == 1


def test_it_is_part_of_what_an_answer_is_remembered_under(folder: Path) -> None:
    with library.open() as qa:
        for _ in range(2):
            assert str(qa.ask(QUESTION).source).startswith("notes-old/")
            assert qa.ask(QUESTION, within="notes").source == "notes/a.txt"
        again = qa.ask(QUESTION, within=[folder / "notes"])
        assert (again.cached, again.source) == (True, "notes/a.txt")
        assert not qa.ask(QUESTION, within="notes/b.txt", force=True).cached
        assert [found.source for found in qa.closest(QUESTION, within="notes/a.txt")] == ["notes/a.txt"]
        (folder / "notes" / "a.txt").write_text("The pump of the mill may be submerged by 7 metres.")
        qa.add([str(folder / "notes")])
        answers = qa.ask(QUESTION, within=str(folder / "notes"))
        assert (answers.text, answers.cached) == ("7 metres", False)
        with pytest.raises(library.ContextGone, match="not in the collection: note"):
            qa.ask(QUESTION, within="note")
        assert qa.ask(QUESTION).cached is qa.ask(QUESTION, within=["notes-old", "notes", "letters"]).cached is False
        assert qa.ask(QUESTION).cached  # at hand
        for wrong in ("", [], [""]):
            with pytest.raises(library.OptionError):
                qa.ask(QUESTION, within=wrong)
        with pytest.raises(library.OptionError):
            qa.ask(QUESTION, "The pump is deep.", within="notes")


def test_an_unknown_one_is_an_error_that_names_it(folder: Path) -> None:
    for command in ("ask", "closest"):
        done = edgeqa(command, QUESTION, "--in", "note", cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert "not in the collection: note\n" in done.stderr
    done = edgeqa("ask", QUESTION, folder / "notes" / "a.txt", "--in", "notes")
    assert done.returncode == 2
