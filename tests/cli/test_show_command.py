"""Tests `edgeqa closest` and `edgeqa show`: what was found, and where it stands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from program import edgeqa

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
DEPTH = "To what depth may the pump be submerged?"


@pytest.fixture
def added() -> None:
    assert edgeqa("add", "pump-manual.txt", "voyage-of-the-beagle.txt", cwd=EXAMPLES).returncode == 0


def test_a_place_that_an_answer_names_is_shown(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<h1>Pump</h1><h2>Limits</h2><p>It may be 12 metres deep.</p><h2>Care</h2><p>Wipe.</p>")
    answer = json.loads(edgeqa("ask", "--json", "--force", "How deep may it be?", page).stdout)
    place = f"{answer['source_start']}-{answer['source_end']}"
    done = edgeqa("show", answer["document"], place)
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, last = done.stdout.splitlines()
    assert first == "Pump > Limits"
    assert f"[{answer['answer']}]" in done.stdout
    assert "Wipe." in done.stdout
    assert last == f"{page}, characters {place}"
    shown = json.loads(edgeqa("show", answer["document"], place, "--json").stdout)
    assert shown["text"][slice(*shown["marked"])] == answer["answer"]
    text = edgeqa("show", str(page), "--text").stdout
    assert text[answer["source_start"] : answer["source_end"]] == answer["answer"]


def test_a_file_is_shown_also_where_the_cluster_of_the_environment_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As such a file is asked; that the cluster was not is said."""
    text = tmp_path / "pump.txt"
    text.write_text("It may be 12 metres deep.", "utf-8")
    monkeypatch.setenv("EDGEQA_CLUSTER", "valkey://127.0.0.1:1")
    done = edgeqa("show", text, "10-19")
    assert (done.returncode, "[12 metres]" in done.stdout) == (0, True)
    assert done.stderr.startswith("edgeqa: ")
    assert done.stderr.count("\n") == 2
    for told in (("pump.txt:{8YG}:2",), (text, "10-19", "--cluster", "valkey://127.0.0.1:1")):
        assert edgeqa("show", *told).returncode == 3


@pytest.mark.usefixtures("added")
def test_a_passage_is_shown_by_its_address() -> None:
    found = json.loads(edgeqa("closest", DEPTH, "--json").stdout)["closest"]
    first = found[0]
    assert set(first) == {
        "text",
        "heading",
        "document",
        "address",
        "source",
        "path",
        "source_start",
        "source_end",
        "score",
        "marked",
    }
    assert "12 metres" in first["text"]
    assert found == sorted(found, key=lambda one: -one["score"])
    shown = json.loads(edgeqa("show", first["address"], "--json").stdout)
    assert shown["text"][slice(*shown["marked"])] == first["text"]
    text = edgeqa("show", first["document"], "--text").stdout
    assert text[first["source_start"] : first["source_end"]] == first["text"]
    lines = edgeqa("closest", DEPTH, "--top", "1").stdout.splitlines()
    assert lines[-1] == f"     {first['document']}, characters {first['source_start']}-{first['source_end']}"


@pytest.mark.usefixtures("added")
def test_what_is_gone_ends_with_1() -> None:
    address = json.loads(edgeqa("closest", DEPTH, "--json").stdout)["closest"][0]["address"]
    assert edgeqa("remove", "pump-manual.txt", cwd=EXAMPLES).returncode == 0
    for arguments in ((address,), ("pump-manual.txt", "1-5"), ("nowhere.pdf#3", "1-5"), ("nowhere", "--text")):
        done = edgeqa("show", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("edgeqa: not in the collection: ")


def test_a_place_beyond_the_end_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("short")
    assert edgeqa("show", file, "0-5").returncode == 0
    for place in ("3-6", "9990-9999"):
        done = edgeqa("show", file, place)
        assert done.returncode == 1
        said = f"edgeqa: not in {file}: characters {place}\n  hint: all of it: edgeqa show {file} --text\n"
        assert done.stderr == said


@pytest.mark.parametrize("place", ["5", "5-5", "9-2", "a-b", ""])
def test_a_place_is_two_numbers(place: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("a text that is long enough")
    done = edgeqa("show", file, place)
    assert (done.returncode, done.stdout) == (2, "")
    assert "two numbers" in done.stderr


@pytest.mark.usefixtures("added")
def test_nothing_close_ends_with_1() -> None:
    done = edgeqa("closest", "xyzzy qwvbnmq")
    assert (done.returncode, done.stdout) == (1, "No passage shares a word with the question.\n")
    assert json.loads(edgeqa("closest", "xyzzy qwvbnmq", "--json").stdout)["closest"] == []


def test_a_collection_that_is_not_there_is_wrong_usage() -> None:
    for arguments in (("closest", DEPTH), ("show", "pump-manual.txt:{8YG}:2"), ("verify",)):
        done = edgeqa(*arguments, "--collection", "none")
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, "edgeqa: no collection called none")


def viewing(tmp_path: Path, source: Path) -> tuple[int, str]:
    """Returns exit code and errors of asking with --view, where a program of ours stands for the system's opener."""
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir(exist_ok=True)
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {tmp_path}/partial; mv {tmp_path}/partial {tmp_path}/opened\n')
    opener.chmod(0o755)
    environment = {**os.environ, "PATH": f"{opener.parent}:{os.environ['PATH']}"}
    done = edgeqa("ask", "--view", "Who built the bridge?", source, env=environment)
    return done.returncode, done.stderr


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="another opener")
def test_the_document_of_an_answer_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The bridge was built by Dorman Long.")
    assert viewing(tmp_path, file) == (0, "")
    while not (tmp_path / "opened").exists():  # it is not waited for
        os.sched_yield()
    assert (tmp_path / "opened").read_text() == str(file)


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="another opener")
def test_neither_links_nor_programs_nor_unknown_endings_are_opened(tmp_path: Path) -> None:
    text = "The bridge was built by Dorman Long."
    plain, program, unknown = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.desktop"
    for file in (plain, program, unknown):
        file.write_text(text)
    program.chmod(0o755)
    link = tmp_path / "d.txt"
    link.symlink_to(plain)
    for source in (program, unknown, link):
        code, errors = viewing(tmp_path, source)
        assert code == 2
        assert "no links or programs" in errors
    assert not (tmp_path / "opened").exists()
