"""README.md is run: every command, and every Python snippet, with what it says they print."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from families import Made

from edgeqa.models.exports.errors import INSTALL_EXPORTER, export_command

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEADLINE_S = 300
EXPORT = "roberta-squad2"
MEASURED = re.compile(r"\d+(?= ms| % likely)")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Returns the commands of the console blocks, each with the output that is shown below it."""
    found: list[tuple[str, str]] = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def beside_an_export(directory: Path) -> Path:
    """Returns the directory, in which there is now a small export, as the two commands of the README would write it."""
    Made("roberta").write(directory / EXPORT)
    return directory


def where(command: str, directory: Path) -> Path:
    """Returns the directory to run a command in: what writes a file runs beside a copy of the examples."""
    if f"models add {EXPORT}" in command:
        return beside_an_export(directory)
    if "collections export" in command:
        shutil.copytree(ROOT / "examples", directory / "examples")
        return directory
    return ROOT


def test_the_two_commands_that_make_an_export_are_those_of_the_error() -> None:
    (block,) = [block for block in blocks("sh") if "optimum" in block]
    assert block.splitlines() == [INSTALL_EXPORTER, export_command("deepset/roberta-base-squad2", EXPORT)]


@pytest.mark.parametrize(("command", "output"), commands(), ids=[c for c, _ in commands()])
def test_a_command_prints_what_is_shown(command: str, output: str, tmp_path: Path) -> None:
    if command.startswith("make "):
        # These install from the network, and one of them runs this very test: CI calls them; here they must exist.
        subprocess.run(["/usr/bin/env", "make", "--dry-run", *command.split()[1:]], cwd=ROOT, check=True)
        return
    # The program of this environment, under its own name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=where(command, tmp_path),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "PATH": path},
        check=False,
    )
    # Labels of progress bars, which stand alone where there is no terminal, and that a text came through a pipe.
    assert re.fullmatch(
        r"(edgeqa: (adding|asking|copying|loading|measuring|reading|the text is what came).*\n)*", done.stderr
    )
    assert done.returncode == (1 if output.startswith(("No answer", "Not sure")) else 0)
    if output:
        assert MEASURED.sub("N", done.stdout) == MEASURED.sub("N", output)
    else:
        assert done.stdout


@pytest.mark.parametrize("snippet", blocks("python"))
def test_a_snippet_runs(snippet: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = re.search(r"prints:\n\n```text\n(.*?)```", README[README.index(snippet) :], re.DOTALL)
    assert expected is not None
    assert done.stdout == expected[1]


def test_the_json_fields_are_those_of_an_answer() -> None:
    documented = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", README, re.MULTILINE))))
    command = [sys.executable, "-m", "edgeqa", "ask", "--json", "--top", "2", "Who?", "--text", "A man and a dog."]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert set(json.loads(done.stdout)) == documented
