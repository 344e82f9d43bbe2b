"""Tests `edgeqa chat`: many questions in one session, at a terminal and through a pipe."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from program import DEADLINE_S, EDGEQA, edgeqa
from second import Bases

if TYPE_CHECKING:
    import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PUMP = EXAMPLES / "pump-manual.txt"
DEPTH = "To what depth may the pump be submerged?"


def test_questions_are_answered_one_after_the_other(tmp_path: Path) -> None:
    other = tmp_path / "bridge.txt"
    other.write_text("The bridge was built by Dorman Long.")
    lines = f"{DEPTH}\n\n:more\n:in {other}\nWho built the bridge?\n:quit\nnever asked\n"
    done = edgeqa("chat", PUMP, stdin=lines.encode())
    assert done.returncode == 0
    assert done.stdout.startswith("12 metres\n")
    assert "  1. " in done.stdout
    assert "\nDorman Long\n" in done.stdout
    assert f"asking {other} from now on" in done.stderr
    assert "never asked" not in done.stdout


def test_plain_words_of_other_programs_are_understood() -> None:
    done = edgeqa("chat", PUMP, stdin=b"help\nExit\nnever asked\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert "  :more " in done.stderr


def test_what_fails_is_told_and_the_session_goes_on() -> None:
    lines = f":more\n:in nope.txt\n:nonsense\n:view 3\n{DEPTH}\n"
    done = edgeqa("chat", PUMP, "--json", stdin=lines.encode())
    assert done.returncode == 0
    assert json.loads(done.stdout)["answer"] == "12 metres"
    for told in ("nothing was asked yet", "no such file: nope.txt", "  :view ", "there is no such passage"):
        assert told in done.stderr


def test_a_collection_is_asked_where_no_file_is_named() -> None:
    assert edgeqa("add", "pump-manual.txt", cwd=EXAMPLES).returncode == 0
    done = edgeqa("chat", stdin=f"{DEPTH}\n:more\n".encode())
    assert done.stdout.startswith("12 metres\n")
    assert "  1. " in done.stdout
    empty = edgeqa("chat", "--collection", "none", stdin=f"{DEPTH}\n".encode())
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "edgeqa: " in empty.stderr


def test_a_terminal_is_prompted_and_has_a_history(home: Path) -> None:
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        [*EDGEQA, "chat", str(PUMP)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "dumb"},
    ) as process:
        os.close(terminal)
        os.write(ours, f"{DEPTH}\n:quit\n".encode())
        shown = b""
        while True:
            try:
                block = os.read(ours, 4096)
            except OSError:  # how a terminal ends that nobody is at any more
                break
            shown += block
        assert process.wait(DEADLINE_S) == 0
    os.close(ours)
    assert b"12 metres" in shown
    assert b":help lists the commands" in shown
    assert DEPTH in (home / "chat-history").read_text()
    assert (home / "chat-history").stat().st_mode & 0o077 == 0


def test_a_part_of_the_collection_is_asked_alone_until_all_is_asked_again() -> None:
    assert edgeqa("add", "pump-manual.txt", "voyage-of-the-beagle.txt", cwd=EXAMPLES).returncode == 0
    ship = "From where did the Beagle sail?"
    lines = f":in pump-manual.txt\n{ship}\n{DEPTH}\n:in\n{ship}\n"
    done = edgeqa("chat", "--json", stdin=lines.encode())
    assert [json.loads(line)["answer"] for line in done.stdout.splitlines()] == [None, "12 metres", "Devonport"]
    assert "asking pump-manual.txt from now on" in done.stderr
    assert "asking the collection from now on" in done.stderr


def test_what_the_fast_reader_says_is_shown_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_READER", "auto")
    Bases(tmp_path).add("London")
    text = tmp_path / "engine.txt"
    text.write_text("The engine was designed by Charles Babbage, who lived in London, from 1837 on.")
    lines = b"Who designed the engine?\nWhere did Babbage live?\nWho designed the engine?\n"
    done = edgeqa("chat", text, stdin=lines)
    shown = [line for line in done.stdout.splitlines() if line and not line.startswith("  ")]
    assert shown == ["Charles Babbage", "London", "London", "London"]  # the third time, it is remembered
    assert done.stdout.count("The same, looked at again: ") == 1
    assert done.stderr.count("looking again, more carefully") == 2
    asked = edgeqa("chat", text, "--json", stdin=lines)
    assert [json.loads(line)["reader"] for line in asked.stdout.splitlines()] == ["careful"] * 3
    fast = edgeqa("chat", text, "--reader", "fast", stdin=lines)
    assert "looking again" not in fast.stderr
