"""Tests that files of the same name from two folders are told apart by their full paths, and by nothing less."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from edgeqa import collection, runtime
from edgeqa.asking import surroundings
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.errors import ContextGone, NameAmbiguous

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.runtime import EdgeQA

DEPTH = "How deep may the pump be submerged?"


@pytest.fixture
def alike(writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two folders with files called alike, which were added from within each."""
    folders = []
    for name, depth in (("a", 12), ("b", 40)):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        (folders[-1] / "notes.txt").write_text(f"The pump of house {name} may be submerged to {depth} metres.")
        (folders[-1] / "parts.csv").write_text(f"title,text\nRotor,The rotor of house {name} costs {depth} euros.\n")
        monkeypatch.chdir(folders[-1])
        writing.add(["notes.txt", "parts.csv"])
    monkeypatch.chdir(tmp_path)
    return folders


def names() -> list[str]:
    with Catalogue.read(collection.directory()) as catalogue:
        return [row.name for row in catalogue.documents()]


@pytest.mark.parametrize("name", ["notes.txt", "parts.csv", "parts.csv#2"])
def test_a_name_of_two_is_refused_with_both_paths_and_a_path_is_taken(
    writing: EdgeQA, alike: list[Path], name: str
) -> None:
    before = names()
    with pytest.raises(NameAmbiguous, match="means 2 texts") as refused:
        writing.remove(name)
    assert names() == before
    assert refused.value.hint == f"give its full path: {alike[0] / name} or {alike[1] / name}"
    assert writing.remove(alike[1] / name) == [name if name == "notes.txt" else "parts.csv#2"]
    assert len(writing.remove(name)) == 1
    assert len(names()) == len(before) - 2
    with pytest.raises(ContextGone):
        writing.remove(alike[1] / name)


@pytest.mark.parametrize("name", ["notes.txt", "parts.csv#2"])
def test_what_is_shown_is_named_by_a_path_too(writing: EdgeQA, alike: list[Path], name: str) -> None:
    assert writing is not None
    place = collection.directory()
    with pytest.raises(NameAmbiguous) as refused:
        surroundings.in_document(place, name, 0, 5)
    assert str(alike[1] / name) in refused.value.hint
    for file in [file for folder in alike for file in folder.iterdir()]:
        file.unlink()
    assert "house b" in surroundings.in_document(place, str(alike[1] / name), 0, 5).text


def test_answers_and_passages_have_the_full_path(alike: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with runtime.open(persist="memory") as qa:  # of this test's own home
        asked_for_paths(qa, alike, monkeypatch)


def asked_for_paths(qa: EdgeQA, alike: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, depth in zip(alike, (12, 40), strict=True):
        question = f"How deep may the pump of house {folder.name} be submerged?"
        for _ in range(2):  # the second is remembered
            answer = qa.ask(question)
            assert answer.text is not None
            assert str(depth) in answer.text
            assert (answer.source, answer.path) == ("notes.txt", str(folder / "notes.txt"))
            assert json.loads(json.dumps(answer.to_json()))["path"] == answer.path
            assert answer.closest[0].path == answer.path
        assert qa.closest(question)[0].to_json()["path"] == answer.path
        assert qa.get(f"bertqa{{A}}_{answer.address}_{DEPTH}".replace("{A}", _tag(answer.address))).path == (
            answer.path
        )
    page = qa.ask("What does the rotor of house b cost?")
    assert (page.document, page.path) == ("parts.csv#2", str(alike[1] / "parts.csv"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The crane of the harbour lifts 9 tons.")))
    qa.add("-", name="crane")
    lifted = qa.ask("How much does the crane of the harbour lift?")
    assert (lifted.source, lifted.path) == ("crane", None)
    assert qa.ask(DEPTH, "The pump may be submerged to 3 metres.").path is None


def test_paths_are_those_of_now(writing: EdgeQA, alike: list[Path]) -> None:
    question = "How deep may the pump of house b be submerged?"
    with runtime.open(persist="off") as qa:
        assert qa.ask(question).path == str(alike[1] / "notes.txt")
        writing.remove(alike[1] / "notes.txt")
        assert qa.ask(question).path in {str(alike[0] / "notes.txt"), None}
        scope = qa._equipment.scope
    assert scope.paths([10_000]) == {10_000: None}
    with Catalogue.read(collection.directory()) as catalogue:
        first = next(iter(catalogue.documents())).first
    assert scope.paths([first, 10_000]) == {first: str(alike[0] / "notes.txt"), 10_000: None}


def _tag(address: str | None) -> str:
    assert address is not None
    return address[address.rindex("{") : address.rindex("}") + 1]
