"""Tests that a remembered answer is printed without the command line's library, and the same as with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from program import DEADLINE_S, edgeqa

from edgeqa.__main__ import EXIT_INTERRUPTED, answered

PUMP = Path(__file__).parent.parent.parent / "examples" / "pump-manual.txt"
QUESTION = "To what depth may the pump be submerged?"


def imported(*arguments: str) -> tuple[str, set[str]]:
    """Returns what the program prints, and the modules that it imports."""
    command = [sys.executable, "-X", "importtime", "-m", "edgeqa", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    lines = (line.rpartition("|") for line in done.stderr.splitlines() if line.startswith("import time:"))
    return done.stdout, {name.strip() for _, _, name in lines}


def test_a_remembered_answer_is_printed_without_click_and_anything_else_with_it() -> None:
    asked = ("ask", "-q", QUESTION, str(PUMP))
    first, with_click = imported(*asked)
    again, without = imported(*asked)
    assert first == again == "12 metres\n"
    assert "click" in with_click
    assert "edgeqa.runtime" in without
    assert not without & {"click", "edgeqa.cli", "onnxruntime"}


def test_it_prints_what_the_command_line_does(tmp_path: Path) -> None:
    steered = tmp_path / "steered.txt"
    steered.write_text("The password of the\nbridge \N{RIGHT-TO-LEFT OVERRIDE}is 1932, said Dorman Long.\n", "utf-8")
    for question, files in (
        (QUESTION, [steered, PUMP]),
        ("What is the password of the bridge?", [steered]),
        ("Who painted the ceiling of the chapel?", [PUMP]),
        (QUESTION, [tmp_path / "missing.txt"]),
        ("", [PUMP]),
    ):
        long = edgeqa("ask", question, *files, "-q")  # with the flag behind
        short = edgeqa("ask", "-q", question, *files)
        assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr), question


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["ask", "-q", QUESTION],
        ["ask", QUESTION, str(PUMP)],
        ["ask", "-q", QUESTION, str(PUMP), "--refresh"],
        ["ask", "-q", QUESTION, "-"],
        ["ask", "-q", "--help", str(PUMP)],
        ["closest", "-q", QUESTION, str(PUMP)],
    ],
)
def test_what_asks_for_anything_else_is_for_the_command_line(arguments: list[str], home: Path) -> None:
    assert answered(arguments) is None
    assert not home.exists()


def test_a_cluster_of_the_environment_is_not_asked_where_a_text_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_CLUSTER", "valkey://127.0.0.1:1")
    for refresh in ((), ("--refresh",), ()):  # it is read, and then it is remembered
        done = edgeqa("ask", "-q", QUESTION, str(PUMP), *refresh)
        assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")
    assert edgeqa("ask", "-q", QUESTION, stdin=PUMP.read_bytes()).stdout == "12 metres\n"


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


def test_what_a_long_text_holds_is_left_to_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("ask", "-q", QUESTION, str(PUMP))
    edgeqa(*asked)
    size_bytes = PUMP.stat().st_size
    monkeypatch.setattr("edgeqa.__main__._MOST_BYTES", size_bytes - 1)
    assert answered(asked) is None
    monkeypatch.setattr("edgeqa.__main__._MOST_BYTES", size_bytes)
    assert answered(asked) == 0
    assert capsys.readouterr().out == "12 metres\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nothing_is_opened_in_the_place_of_a_closed_stream(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("ask", "-q", QUESTION, str(PUMP))
    edgeqa(*asked)
    monkeypatch.setattr(sys, stream, None)
    monkeypatch.setattr("edgeqa.runtime.open", lambda **_: pytest.fail("it was opened"))
    assert answered(asked) is None


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
    assert done.stderr == edgeqa("ask", QUESTION, PUMP, "-q").stderr


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
