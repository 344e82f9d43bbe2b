"""Tests `edgeqa ask --questions`: many questions in one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import edgeqa

PUMP = Path(__file__).parent.parent.parent / "examples" / "pump-manual.txt"
DEPTH = "To what depth may the pump be submerged?"


def test_each_line_is_asked_and_answered_by_an_object(tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_text(f"\ufeff{DEPTH}\r\n\n  Who won the football world cup?\n", encoding="utf-8")
    done = edgeqa("ask", "--questions", file, PUMP)
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0
    assert (first["question"], first["answer"]) == (DEPTH, "12 metres")
    assert (second["question"], second["answer"]) == ("Who won the football world cup?", None)
    alone = json.loads(edgeqa("ask", "--json", DEPTH, PUMP).stdout)
    assert set(first) == set(alone)


def test_questions_from_a_pipe_are_no_text(tmp_path: Path) -> None:
    done = edgeqa("ask", "--questions", "-", "--text", "It was built in 1932.", stdin=b"When was it built?\n")
    assert json.loads(done.stdout)["answer"] == "1932"
    assert "standard input" not in done.stderr
    (tmp_path / "notes.txt").write_text("The bridge was built in 1932.")
    assert edgeqa("add", tmp_path / "notes.txt", "--collection", "asked").returncode == 0
    done = edgeqa("ask", "--questions", "-", "--collection", "asked", stdin=b"When was the bridge built?\n")
    assert json.loads(done.stdout)["answer"] == "1932"


def test_a_question_that_fails_leaves_the_others(tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_text(f"\u00ad\n{DEPTH}\n", encoding="utf-8")
    text = tmp_path / "text.txt"
    text.write_bytes(b"caf\xe9")
    done = edgeqa("ask", "--questions", file, text)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert [set(line) for line in lines] == [{"question", "error", "hint"}] * 2
    assert "not UTF-8" in lines[1]["error"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("--questions", "-", "-"), b"x", "standard input cannot be both the questions and a text"),
        (("--questions", "-"), b" \n", "no question in standard input"),
        (("--questions", "nope.txt"), b"", "no such file: nope.txt"),
        (("--questions", "-"), b"caf\xe9", "not UTF-8: standard input has the byte 0xe9"),
    ],
)
def test_bad_questions_are_an_error(arguments: tuple[str, ...], stdin: bytes, message: str, tmp_path: Path) -> None:
    done = edgeqa("ask", *arguments, stdin=stdin, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"edgeqa: {message}")
