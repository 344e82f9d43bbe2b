"""Runs README.md and the pages of docs/ from top to bottom: each command and snippet must print what they show."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from error_page import page as messages
from families import Made
from pages import PAGES, ROOT, TAG, Step, alike, blocks, steps, text_of

from edgeqa import cli
from edgeqa.models.exports.errors import INSTALL_EXPORTER, export_command

DEADLINE_S = 300
EXPORT = "roberta-squad2"
PROGRAMS = Path(sys.executable).parent
# Labels of progress bars, which stand alone where there is no terminal, and that a text came through a pipe.
PROGRESS = re.compile(
    r"^edgeqa: (adding|asking|copying|loading|making|measuring|re-encoding|reading|the text is what came).*\n",
    re.MULTILINE,
)
# What stands in `sh` blocks takes the network, a server, or another machine, and is run by these.
ELSEWHERE = {
    "README.md": (".ci/smoke", "tests/serving/test_server.py"),
    "device.md": ("tests/models/test_providers.py",),
    "index.md": (".ci/smoke",),
    "server.md": ("tests/serving/test_server.py", "tests/serving/test_redis.py", "tests/serving/test_http.py"),
    "cluster.md": ("tests/cluster/test_local.py", "tests/cluster/test_answers.py"),
    "own-model.md": ("reference/exports.py",),
    "termux.md": (),  # the page says what was tried
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a page is read: beside the examples, files of questions, and what an exporter has written."""
    path = tmp_path / "reader"
    shutil.copytree(ROOT / "examples", path / "examples")
    (path / "tests").mkdir()
    (path / "tests" / "data").symlink_to(ROOT / "tests" / "data")
    return path


def run(step: Step, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c"] if step.language == "python" else ["/bin/sh", "-c"]
    return subprocess.run(
        [*command, step.code],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        # The program of this environment, under its own name.
        env={**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"},
        check=False,
    )


def check(step: Step, done: subprocess.CompletedProcess[str], home: Path) -> None:
    """Compares what a command printed with what the page shows: what is said beside an answer, or an error."""
    said = PROGRESS.sub("", done.stderr)
    if step.printed.startswith("edgeqa: "):
        assert done.returncode in {2, 3}
        assert alike(said, home) == alike(step.printed, home)
        return
    assert done.returncode == (1 if step.printed.startswith(("No answer", "Not sure")) else 0), done.stderr
    assert said == ""
    if step.printed or step.language == "python":
        assert alike(done.stdout, home) == alike(step.printed, home)
    else:
        assert done.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page.read_text("utf-8"))], ids=lambda page: page.name)
def test_a_page_is_typed_from_top_to_bottom(page: Path, folder: Path, home: Path) -> None:
    if page.name == "own-model.md":
        Made("roberta").write(folder / EXPORT)
    tags: dict[str, str] = {}  # drawn when a document is added
    for step in steps(page.read_text("utf-8")):
        if step.code.startswith("make "):
            # These install from the network, and one of them runs this very test: CI calls them; here they must exist.
            subprocess.run(["/usr/bin/env", "make", "--dry-run", *step.code.split()[1:]], cwd=ROOT, check=True)
            continue
        typed = step._replace(code=TAG.sub(lambda tag: tags.get(tag[0], tag[0]), step.code))
        done = run(typed, folder)
        try:
            check(step, done, home)
        except AssertionError as wrong:
            wrong.args = (f"{page.name}: {step.code}\n{done.stdout}{done.stderr}\n{wrong}",)
            raise
        tags.update(zip(TAG.findall(step.printed), TAG.findall(done.stdout), strict=False))


def test_what_a_page_shows_and_this_does_not_run_is_run_elsewhere() -> None:
    assert {page.name for page in PAGES if blocks(page.read_text("utf-8"), "sh")} == set(ELSEWHERE)
    for runners in ELSEWHERE.values():
        for runner in runners:
            assert (ROOT / runner).exists(), runner


@pytest.mark.parametrize(
    ("page", "typed"),
    [
        (page.name, line)
        for page in PAGES
        for block in blocks(page.read_text("utf-8"), "sh")
        for line in block.splitlines()
        if line.startswith("edgeqa ")
    ],
)
def test_a_command_that_is_not_run_here_has_the_options_that_it_is_shown_with(page: str, typed: str) -> None:
    _, *words = shlex.split(typed, comments=True)
    command: click.Command | None = cli.commands
    context = click.Context(cli.commands)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.get_command(context, words[0])
        if command is None:
            break
        words, context = words[1:], click.Context(command, parent=context)
    assert command is not None, (page, typed)
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, (page, typed)


def test_a_fence_is_closed_and_says_its_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0, page
        assert all(fences[::2]), page
        assert not any(fences[1::2]), page


def test_readme_has_the_commands_that_set_up_and_test() -> None:
    assert [step.code for step in steps(text_of("README.md"))][:2] == ["make demo", "make test"]
    assert "\nmake test\n" in text_of(".ci/run")


def test_extras_that_a_page_names_are_there() -> None:
    extras = re.search(r"optional-dependencies\]\n(.*?)\n\n", text_of("pyproject.toml"), re.DOTALL)
    assert extras is not None
    known = set(re.findall(r"^(\w+) = ", extras[1], re.MULTILINE))
    for page in PAGES:
        for named in re.findall(r"(?:edgeqa|\.|whl\)?)\[([\w,]+)\]", page.read_text("utf-8")):
            assert set(named.split(",")) <= known, page


def test_the_two_commands_that_make_an_export_are_those_of_the_error() -> None:
    (block,) = [block for block in blocks(text_of("docs/own-model.md"), "sh") if "optimum" in block]
    assert block.splitlines() == [INSTALL_EXPORTER, export_command("deepset/roberta-base-squad2", EXPORT)]


def test_the_json_fields_are_those_of_an_answer() -> None:
    rows = re.findall(r"^\| (`.*?) \|", text_of("docs/asking.md"), re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", "".join(rows)))
    command = [sys.executable, "-m", "edgeqa", "ask", "--json", "--top", "2", "Who?", "--text", "A man and a dog."]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert set(json.loads(done.stdout)) == documented


def test_every_message_of_an_error_is_on_its_page() -> None:
    assert text_of("docs/errors.md").splitlines() == list(messages()), "make man"


def test_a_citation_names_the_version_that_is_built() -> None:
    built = re.search(r'^version = "(.+)"$', text_of("pyproject.toml"), re.MULTILINE)
    cited = re.search(r"^version: (.+)$", text_of("CITATION.cff"), re.MULTILINE)
    assert built is not None
    assert cited is not None
    assert cited[1] == built[1]
