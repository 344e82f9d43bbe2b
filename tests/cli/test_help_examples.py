"""Runs every example of `--help`, in a folder that holds the files which it names."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from families import Made
from office import pdf

from edgeqa import state
from edgeqa.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DEADLINE_S = 300
PUMP = "The pump may be submerged to a depth of 12 metres. The limit is 40 degrees. It was built in 1932."
MACHINE = "The machine was designed by Charles Babbage."
FILES = {
    "notes.txt": MACHINE,
    "notes/one.txt": MACHINE,
    "manuals/pump.txt": PUMP,
    "manuals/pump.md": f"# Pump\n\n{PUMP}\n\n## Depth\n\nSubmersion depth: 12 metres.\n",
    "faq.jsonl": "".join(json.dumps({"answer": f"{PUMP} It is number {n}."}) + "\n" for n in range(12)),
    "page.html": f"<p>{PUMP}</p>",
    "project/readme.txt": PUMP,
    "questions.txt": "What is the limit?\nWho built it?\n",
    "questions.jsonl": json.dumps(
        {"doc": "pump.txt", "question": "What is the limit?", "answers": ["40 degrees"], "kind": "table"}
        | {"anchors": [["pump.txt", "The limit is 40 degrees."]]}
    ),
}
# Programs that are not everywhere, or that ask the network; and what they print.
OTHERS = {
    "curl": f"<p>{PUMP}</p>",
    "man": "-t, --list: list the contents of an archive",
    "jq": "1",
    "optimum-cli": "done",
}
TAG = "{8YG}"  # stands for one that is drawn when a document is added


def examples() -> Iterator[str]:
    """Yields the lines of all help pages that are commands, each once."""
    found: dict[str, None] = {"edgeqa add manuals/": None}
    pages: list[click.Command] = [commands]
    while pages:
        command = pages.pop(0)
        context = click.Context(command)
        if isinstance(command, click.Group):
            known = [command.get_command(context, name) for name in command.list_commands(context)]
            pages += [one for one in known if one is not None]
        for block in inspect.cleandoc(command.help or "").split("\n\n"):
            if block.startswith("\b\n"):
                # Not what installs or exports: that takes the network. Nor a worker, which needs a cluster to be there,
                # what adds a wheel, and what needs an accelerator: tests of their own have these.
                lines = (line.strip() for line in block.splitlines()[1:])
                found |= dict.fromkeys(
                    line
                    for line in lines
                    if "edgeqa " in line and not re.search(r"edgeqa worker|\.whl|--provider (openvino|cuda)", line)
                )
    return iter(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples are run, one after the other, with one home."""
    path = tmp_path_factory.mktemp("help")
    for name, text in FILES.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    (path / "manual.pdf").write_bytes(pdf([[f"{PUMP} Page {page}."] for page in range(1, 13)]))
    for version in ("1.1", "2.0"):
        shutil.copy(ROOT / "data" / f"squad-v{version}.json", path / f"dev-v{version}.json")
    for name in ("roberta-base-squad2", "distilbert-squad"):
        Made("roberta").write(path / name)
    Made("roberta").write(path / "export")
    (path / "export" / "onnx").mkdir()
    shutil.copy(path / "export" / "model.onnx", path / "export" / "onnx" / "model_fp16.onnx")
    (path / "bin").mkdir()
    for name, text in OTHERS.items():
        (path / "bin" / name).write_text(f"#!/bin/sh\necho '{text}'\n", encoding="utf-8")
        (path / "bin" / name).chmod(0o755)
    return path


def run(example: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", example],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "PATH": path, "HOME": str(folder), state.HOME_VARIABLE: str(folder / "home")},
        check=False,
    )


def quicker(example: str) -> str:
    """Returns the example as it takes less time, and no person: what it does beyond that has tests of its own."""
    line = re.sub(r"\s+#.*", "", example)
    line = re.sub(r"^edgeqa chat", "echo 'To what depth may the pump be submerged?' | edgeqa chat", line)
    line = re.sub(r"^edgeqa mcp", """echo '{"jsonrpc": "2.0", "id": 1, "method": "ping"}' | edgeqa mcp""", line)
    line = re.sub(r"^edgeqa serve(?! token)(?!.*--get)", "edgeqa serve --get /healthz", line)
    line = re.sub(r"edgeqa bench( --quick --threads 1)?", "edgeqa bench --quick --threads 1", line)
    if line.startswith("edgeqa eval"):
        line = line.replace(" --limit 500", "").replace("edgeqa eval", "edgeqa eval --limit 2")
    return f"echo y | {line}" if line == "edgeqa cache clear" else line  # it asks


def turn(line: str) -> tuple[bool, bool, bool]:
    """Returns what puts the lines into an order in which they can be run: models later, what removes last of all."""
    return " delete " in line, "edgeqa models" in line or "--bundle" in line, " remove " in line


def test_every_example_of_the_help_can_be_run(folder: Path) -> None:
    lines = sorted(dict.fromkeys(map(quicker, examples())), key=turn)
    assert len(lines) > 50
    for example in lines:
        line = example
        if TAG in line:
            listed = run("edgeqa list --json", folder).stdout.splitlines()
            (tag,) = [row["tag"] for row in map(json.loads, listed) if row["document"] == "manuals/pump.md"]
            line = line.replace(TAG, f"{{{tag}}}").replace(":2", ":1")
        done = run(line, folder)
        assert done.returncode in (0, 1), f"{line}: {done.returncode}\n{done.stderr}"
        assert done.stdout or ">" in line, line


def test_no_line_of_a_list_of_commands_is_cut() -> None:
    groups: list[click.Command] = [commands]
    for group in groups:
        assert isinstance(group, click.Group)
        context = click.Context(group, terminal_width=80)
        cut = [line for line in group.get_help(context).splitlines() if line.endswith("...") and "Usage:" not in line]
        assert cut == [], group.name
        under = (group.get_command(context, name) for name in group.list_commands(context))
        groups += [one for one in under if isinstance(one, click.Group)]
    assert len(groups) > 4
