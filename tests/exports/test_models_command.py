"""Tests `edgeqa models` as a real program: what it prints, its exit codes, its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from families import Made

from edgeqa.models.bundle import BUNDLED
from edgeqa.models.shelf import find_bundle, shipped_names

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 120


def edgeqa(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeqa", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert "Traceback" not in done.stderr
    return done


def as_json(*arguments: str) -> dict[str, Any]:
    done = edgeqa(*arguments, "--json")
    assert done.returncode == 0, done.stderr  # on which a slow machine shows what it is doing
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def export(tmp_path: Path) -> str:
    made = Made()
    made.graph = made.pointing_at("Babbage")
    return str(made.write(tmp_path / "tiny"))


def test_a_model_is_added_used_asked_and_removed(export: str) -> None:
    done = edgeqa("models", "add", export)
    assert done.returncode == 0
    assert "4 of 4 golden cases" in done.stdout
    assert "use it: edgeqa models use tiny, or --bundle tiny" in done.stdout
    question = ("ask", "-q", "Who?", "--text", "It was Charles Babbage.")
    assert edgeqa(*question, "--bundle", "tiny").stdout == "Babbage\n"
    assert edgeqa("models", "use", "tiny").stdout == "tiny is in use now\n"
    assert as_json("ask", "Who?", "--text", "It was Charles Babbage.")["model"] == "tiny 1"
    assert "* tiny" in edgeqa("models", "list").stdout
    assert edgeqa("models", "check", BUNDLED, "tiny").returncode == 0
    done = edgeqa("models", "remove", "tiny")
    assert done.stdout.startswith("tiny is removed, ")
    assert done.stdout.endswith(f"freed; {BUNDLED} is in use now\n")
    listed = as_json("models", "list")
    assert (listed["in_use"], [model["name"] for model in listed["models"]]) == (BUNDLED, shipped_names())


def test_every_subcommand_has_json(export: str) -> None:
    added = as_json("models", "add", export, "--name", "mine")
    assert (added["name"], added["kind"], added["precision"], added["max_tokens"]) == ("mine", "joint", "float32", 512)
    assert 0 <= added["built_in_f1"] <= 100
    assert [model["name"] for model in as_json("models", "list")["models"]] == [*shipped_names(), "mine"]
    shown = as_json("models", "show", "mine")
    assert shown["fits"] is True
    assert shown["needed_bytes"] > 64 << 20
    assert shown["digest"] == added["digest"]
    assert as_json("models", "use", "mine") == {"in_use": "mine"}
    checked = as_json("models", "check", BUNDLED, "mine")["models"]
    assert [(one["name"], one["passed"]) for one in checked] == [(BUNDLED, True), ("mine", True)]
    manifest_bytes = (find_bundle("mine") / "manifest.json").stat().st_size
    removed = as_json("models", "remove", "mine")
    assert (removed["removed"], removed["in_use"]) == ("mine", BUNDLED)
    assert removed["freed_bytes"] == added["size_bytes"] + manifest_bytes


def test_int8_shows_what_it_moved(tmp_path: Path) -> None:
    made = Made(width=64)
    made.graph = made.sure_of("Babbage", "metres", "ten")
    added = as_json("models", "add", str(made.write(tmp_path / "tiny")), "--quantize", "int8")
    assert added["precision"] == "int8"
    assert set(added["moved"]) == {"answers_percent", "questions", "logits"}


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (("add", "deepset/roberta-base-squad2"), 2, "no such directory", 'pip install "optimum-onnx[onnxruntime]"'),
        (("use", "nothing"), 3, "no model called nothing", "edgeqa models add"),
        (("show", "nothing"), 3, "no model called nothing", BUNDLED),
        (("remove", "nothing"), 3, "no model called nothing", BUNDLED),
        (("remove", BUNDLED), 2, "comes with edgeqa and stays", "another name"),
    ],
)
def test_a_mistake_gets_one_line_a_hint_and_an_exit_code(
    arguments: tuple[str, ...], code: int, message: str, hint: str
) -> None:
    done = edgeqa("models", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    error, *remedy = done.stderr.splitlines()
    assert error.startswith("edgeqa: ")
    assert message in error
    assert hint in "\n".join(remedy)


def test_a_model_that_does_not_fit_is_refused_with_the_missing_bytes(export: str) -> None:
    done = edgeqa("models", "add", export, "--budget", "64M")
    assert (done.returncode, done.stdout) == (3, "")
    assert "bytes missing" in done.stderr


def test_a_damaged_model_is_listed_checked_and_not_asked(export: str) -> None:
    edgeqa("models", "add", export)
    file = find_bundle("tiny") / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    done = edgeqa("models", "list")
    assert done.returncode == 0
    assert "BROKEN: bundle file damaged" in done.stdout
    done = edgeqa("models", "check", "--json")
    assert done.returncode == 3
    assert [one["passed"] for one in json.loads(done.stdout)["models"]] == [*(True for _ in shipped_names()), False]
    done = edgeqa("ask", "Who?", "--text", "Ada was.", "--bundle", "tiny")
    assert (done.returncode, done.stdout) == (3, "")
    assert "bundle file damaged" in done.stderr
    assert edgeqa("models", "remove", "tiny").returncode == 0


def test_a_model_in_use_that_is_gone_is_said(export: str) -> None:
    edgeqa("models", "add", export)
    edgeqa("models", "use", "tiny")
    (find_bundle("tiny") / "manifest.json").unlink()
    done = edgeqa("models", "list")
    assert f"hint: edgeqa models use {BUNDLED}" in done.stderr
    assert edgeqa("ask", "Who?", "--text", "Ada was.").returncode == 3
    assert edgeqa("models", "use", BUNDLED).returncode == 0
    assert edgeqa("ask", "-q", "Who was?", "--text", "Ada Lovelace was.").stdout == "Ada Lovelace\n"


@pytest.mark.parametrize("name", ["add", "list", "show", "use", "remove", "check"])
def test_every_subcommand_has_help_with_an_example(name: str) -> None:
    done = edgeqa("models", name, "--help")
    assert done.returncode == 0
    assert f"edgeqa models {name}" in done.stdout
    assert "--json" in done.stdout


def test_a_remembered_answer_of_an_added_model_imports_nothing_more(export: str) -> None:
    edgeqa("models", "add", export)
    edgeqa("models", "use", "tiny")
    program = (
        "import sys\nimport edgeqa.cli as cli\n"
        "arguments = ['ask', 'Who?', '--text', 'It was Babbage.']\n"
        "try: cli.commands.main(arguments, prog_name='edgeqa', standalone_mode=False)\n"
        "finally:\n"
        "    rooms = ('edgeqa.models', 'onnx', 'numpy')\n"
        "    print(sorted(name for name in sys.modules if name.startswith(rooms)))"
    )
    for cached in (False, True):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        imported = done.stdout.splitlines()[-1]
        assert ("edgeqa.models.readers" in imported) != cached
        assert "edgeqa.models.exports" not in imported
    assert imported == "['edgeqa.models', 'edgeqa.models.bundle', 'edgeqa.models.manifest', 'edgeqa.models.shelf']"
