"""Tests that a plain line is answered without the command line's library, and as with it."""

from __future__ import annotations

import inspect
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from program import DEADLINE_S, EDGEQA, edgeqa

from edgeqa.__main__ import EXIT_INTERRUPTED, understood
from edgeqa.asked import ask
from edgeqa.commands.ask import command
from edgeqa.errors import EdgeQAError

PUMP = Path(__file__).parent.parent.parent / "examples" / "pump-manual.txt"
BEAGLE = PUMP.with_name("voyage-of-the-beagle.txt")
QUESTION = "To what depth may the pump be submerged?"


def imported(*arguments: str) -> tuple[str, set[str]]:
    """Returns what the program prints, and the modules that it imports."""
    command = [sys.executable, "-X", "importtime", "-m", "edgeqa", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    lines = (line.rpartition("|") for line in done.stderr.splitlines() if line.startswith("import time:"))
    return done.stdout, {name.strip() for _, _, name in lines}


@pytest.mark.parametrize("options", [("-q",), ("--json",), (), ("--top", "3", "--reader", "fast")])
def test_a_remembered_answer_is_printed_without_click(options: tuple[str, ...]) -> None:
    asked = ("ask", QUESTION, str(PUMP), *options)
    _, with_model = imported(*asked)
    again, without = imported(*asked)
    assert "12 metres" in again
    assert "onnxruntime" in with_model
    assert "edgeqa.runtime" in without
    assert not without & {"click", "edgeqa.cli", "onnxruntime", "numpy"}


def test_a_file_in_a_format_is_read_again_without_what_reads_archives(tmp_path: Path) -> None:
    text = tmp_path / "pump.md"
    text.write_text("# Pump\n\nIt may be submerged to 12 metres.\n", "utf-8")
    asked = ("ask", "-q", "To what depth may it be submerged?", str(text))
    imported(*asked)
    again, modules = imported(*asked)
    assert again == "12 metres\n"
    assert "pyromark" in modules
    assert not modules & {"click", "zipfile", "onnxruntime"}


# What is told apart by more than words, or asks for something else, is read by click alone.
LEFT = {"--questions", "--cluster", "--view", "--budget"}
OPTIONS = {name: option for option in command.params for name in option.opts if name.startswith("-")}


def by_click(words: list[str]) -> dict[str, Any] | None:
    """Returns what click reads in a line; None if it shows help, or refuses the line."""
    try:
        with command.make_context("ask", [*words]) as context:
            return context.params
    except (click.ClickException, click.exceptions.Exit, EdgeQAError):
        return None


SPELT = ["-h", "--help", "--", "-", "", "-qh", "-q=1", "--json=1", "--top=3", "--tex", "--no-json", "---text"]
VALUES = ["1", "100", "101", "0", "-1", "+3", " 3", "1_0", "03", "\u0663", "fast", "careful", "Fast", "256M", "much"]
NAMES = [QUESTION, "notes.txt", "./-", "caf\xe9", "caf\udce9", "-x.txt", "valkey://127.0.0.1:1"]
ANY = st.text().filter(lambda word: "\0" not in word)


PAIR = st.tuples(st.sampled_from([*OPTIONS]), st.sampled_from([*VALUES, *NAMES]))
WORD = st.tuples(st.sampled_from([*OPTIONS, *SPELT, *NAMES]) | ANY)


@given(st.lists(PAIR | WORD, max_size=4).map(lambda parts: [word for part in parts for word in part]))
@example(["--text", "--json", "--in", "-", "--in", "", "Who?", "--top", "3", "--top", "4"])
@example(["Who?", "--text"])
@example(["Who?", "--", "--json"])
@example(["Who?", "--top", "0"])
@example(["Who?", "--top", "101"])
@example(["Who?", "--threads", "0"])
@example(["Who?", "--reader", "Fast"])
@example(["Who?", "--collection", "caf\xe9"])
def test_a_line_that_is_understood_is_what_click_reads_in_it(words: list[str]) -> None:
    if (asked := understood(["ask", *words])) is not None:
        assert {**(by_click(["?"]) or {}), **asked} == by_click(words)


def test_what_a_line_does_not_say_is_the_same_by_click() -> None:
    read = by_click(["?"])
    assert read is not None
    for name, parameter in inspect.signature(ask).parameters.items():
        assert name in ("question", "view", "is_cluster_told") or read.pop(name) == parameter.default, name
    assert read == {"question": "?", "viewed": False}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_is_understood_or_left_to_click(name: str) -> None:
    lines = ["Who?", name], ["Who?", name, "3"], ["Who?", name, "fast"]
    assert any(understood(["ask", *line]) for line in lines) == (name not in LEFT)


BRIDGE = ("Who built the bridge?", "--text", "The bridge was built by Zo\xeb Nov\xe1k.")
LINES: list[tuple[tuple[str | Path, ...], bytes]] = [
    ((QUESTION, PUMP), b""),
    (("-q", QUESTION, PUMP), b""),
    ((QUESTION, PUMP, "--json"), b""),
    ((QUESTION, PUMP, "--top", "3"), b""),
    ((QUESTION, PUMP, "--top", "2", "-q"), b""),
    ((QUESTION, PUMP, "--json", "--top", "3", "--contexts", "2", "--threads", "1", "--reader", "fast"), b""),
    ((QUESTION, PUMP, BEAGLE, "--quiet"), b""),
    (("--quiet", "Who built the bridge?", "--text", "The bridge was built in 1932 by Dorman Long."), b""),
    (("Who built the bridge?", "--text", "Nobody.", "--text", "The bridge was built by Zo\xeb.", "--force"), b""),
    (("Who painted the ceiling of the chapel?", PUMP), b""),
    (("Who painted the ceiling of the chapel?", PUMP, "-q"), b""),
    ((QUESTION,), PUMP.read_bytes()),
    ((QUESTION, "-", "--json"), PUMP.read_bytes()),
    (("-q", QUESTION, "/dev/stdin"), PUMP.read_bytes()),
    ((QUESTION,), b""),
    ((QUESTION,), b"caf\xe9"),
    ((QUESTION, "missing.txt"), b""),
    ((str(PUMP),), b""),
    (("", PUMP), b""),
    ((QUESTION, PUMP, "--collection", "c", "--json"), b""),
    ((QUESTION, PUMP, "--in", "a"), b""),
    ((QUESTION, PUMP, "--bundle", "nowhere"), b""),
    (("Who?", "--collection", "c"), b""),
]


def outcome(arguments: tuple[str | Path, ...], stdin: bytes, *, is_terminal: bool = False) -> tuple[int, bytes, bytes]:
    """Returns the exit code and what is printed, without times; in a terminal if that is wanted."""
    command = [*EDGEQA, "ask", *map(str, arguments)]
    if not is_terminal:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=DEADLINE_S, check=False)
        return done.returncode, untimed(done.stdout), done.stderr
    ours, terminal = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=terminal, stderr=subprocess.PIPE) as process:
        os.close(terminal)
        _, errors = process.communicate(stdin, DEADLINE_S)
    printed = b""
    try:
        while block := os.read(ours, 1 << 16):
            printed += block
    except OSError:  # how Linux says that nobody writes to it any more
        pass
    os.close(ours)
    return process.returncode, untimed(printed), errors


def untimed(printed: bytes) -> bytes:
    return re.sub(rb'\d+ ms|"timings_ms": {.*?}', b"", printed)


@pytest.mark.parametrize(("arguments", "stdin"), LINES)
def test_it_prints_byte_for_byte_what_the_command_line_does(arguments: tuple[str | Path, ...], stdin: bytes) -> None:
    assert understood(["ask", *map(str, arguments)]) is not None
    assert understood(["ask", *map(str, arguments), "--"]) is None  # which says nothing more, and is for click
    outcome((*arguments, "--"), stdin)
    assert outcome(arguments, stdin) == outcome((*arguments, "--"), stdin)


@pytest.mark.parametrize(
    "variables",
    [
        {"TERM": "xterm"},
        {"TERM": "dumb"},
        {"NO_COLOR": "1"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"},
        {"LC_ALL": "C"},
    ],
)
def test_a_terminal_and_the_environment_change_both_alike(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    has_styles = "NO_COLOR" not in variables and variables.get("TERM") != "dumb"
    outcome(BRIDGE, b"", is_terminal=True)
    for options in ((), ("-q",), ("--json",)):
        by_click = outcome((*BRIDGE, *options, "--"), b"", is_terminal=True)
        assert outcome((*BRIDGE, *options), b"", is_terminal=True) == by_click
        assert (b"\x1b[" in by_click[1]) == (has_styles and not options)


def test_a_reader_that_has_gone_changes_both_alike() -> None:
    outcome(BRIDGE, b"")
    for arguments in (BRIDGE, (*BRIDGE, "--")):
        reading, writing = os.pipe()
        os.close(reading)
        command = [*EDGEQA, "ask", *arguments]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["ask"],
        ["ask", "-q"],
        ["ask", "-q", QUESTION, str(PUMP), "--help"],
        ["ask", QUESTION, "--", str(PUMP)],
        ["closest", "-q", QUESTION, str(PUMP)],
    ],
)
def test_what_asks_for_anything_else_is_for_the_command_line(arguments: list[str]) -> None:
    assert understood(arguments) is None


def test_a_cluster_of_the_environment_is_not_asked_where_a_text_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_CLUSTER", "valkey://127.0.0.1:1")
    for refresh in ((), ("--refresh",), ()):  # it is read, and then it is remembered
        done = edgeqa("ask", "-q", QUESTION, str(PUMP), *refresh)
        assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")
    assert edgeqa("ask", "-q", QUESTION, stdin=PUMP.read_bytes()).stdout == "12 metres\n"


def test_a_cluster_of_the_environment_means_the_same_by_click(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "valkey://127.0.0.1:1"):
        monkeypatch.setenv("EDGEQA_CLUSTER", value)
        asked, read = understood(["ask", "?"]), by_click(["?"])
        assert asked is not None
        assert read is not None
        assert asked["cluster"] == read["cluster"] == (value or None)
    for line in (("Who?", "--collection", "c"), ("Who?", PUMP, "--collection", "c"), ("Who?",), ("Who?", "--in", "a")):
        assert outcome(line, b"") == outcome((*line, "--"), b"")


def test_a_cluster_and_texts_are_not_asked_together_and_no_password_is_shown() -> None:
    done = edgeqa("ask", QUESTION, str(PUMP), "--cluster", "valkey://who:secret@127.0.0.1:1")
    assert done.returncode == 2
    assert "both a cluster and texts are named\n  hint: leave out --cluster" in done.stderr
    assert "secret" not in done.stderr


def test_what_is_remembered_and_cannot_be_printed_is_said() -> None:
    asked = [sys.executable, "-m", "edgeqa", "ask", "-q", QUESTION, str(PUMP)]
    subprocess.run(asked, capture_output=True, timeout=DEADLINE_S, check=True)
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("edgeqa: cannot write to standard output: No space left on device\n")


def test_a_pipe_is_read_once() -> None:
    if not Path("/dev/stdin").exists():
        pytest.skip("no name for standard input")
    for _ in range(2):  # it is not remembered, and then it is
        done = edgeqa("ask", "-q", QUESTION, "/dev/stdin", stdin=PUMP.read_bytes())
        assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")


def test_what_a_narrow_stream_lacks_is_escaped_whatever_it_would_do_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The bridge was designed by Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}.\n", "utf-8")
    monkeypatch.setenv("PYTHONIOENCODING", "cp1251:replace")
    for _ in range(2):
        assert edgeqa("ask", "-q", "Who designed the bridge?", text).stdout == "Zo\\xeb\n"


@pytest.mark.parametrize("name", ["lmdb", "xxhash"])
@pytest.mark.parametrize("error", ["ImportError", "ModuleNotFoundError"])
def test_a_library_that_cannot_be_imported_is_said(
    name: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text(f"raise {error}('no such symbol', name={name!r})\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = edgeqa("ask", "-q", QUESTION, PUMP)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == edgeqa("ask", "-q", QUESTION, PUMP, "--").stderr


INTERRUPTED = """
import signal, sys
from edgeqa.__main__ import main

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "edgeqa.asking.pipe":
            sys.meta_path.remove(self)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as error:
                raise ImportError("initialization failed") from error  # as libraries do

sys.meta_path.insert(0, Interrupting())
main()
"""


def test_an_interrupt_that_became_another_error_ends_it() -> None:
    command = [sys.executable, "-c", INTERRUPTED, "ask", "-q", QUESTION, str(PUMP)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_INTERRUPTED, "", "edgeqa: interrupted\n")
