"""Tests `edgeqa ask` as a person uses it: arguments, files and pipes go in; screen, JSON and exit codes come out."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from program import DEADLINE_S, EDGEQA, edgeqa

from edgeqa.commands.ask import command

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
BEAGLE = EXAMPLES / "voyage-of-the-beagle.txt"
PUMP = EXAMPLES / "pump-manual.txt"
CAPTAIN = "Under whose command did the Beagle sail?"


def test_the_screen_shows_answer_sentence_place_confidence_and_time() -> None:
    done = edgeqa("ask", "From where did the Beagle sail?", BEAGLE)
    assert (done.returncode, done.stderr) == (0, "")
    first, _, *passage, place, _, work = done.stdout.splitlines()
    assert first == "Devonport"
    assert "sailed from [Devonport] on the 27th of December, 1831." in " ".join(map(str.strip, passage))
    start = BEAGLE.read_text(encoding="utf-8").index("Devonport")
    assert place.startswith(f"  {BEAGLE}, characters {start}-{start + 9}, ")
    assert place.endswith(" % likely")
    assert " ms, edgeqa-mini 4" in work


def test_quiet_prints_the_bare_answer() -> None:
    done = edgeqa("ask", "-q", "To what depth may the pump be submerged?", PUMP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")


def test_json_has_the_documented_fields() -> None:
    done = edgeqa("ask", "--json", "To what depth may the pump be submerged?", PUMP)
    answer = json.loads(done.stdout)
    assert {"question", "answer", "probability", "score", "start", "end", "source", "context", "cached", "model"} < set(
        answer
    )
    assert answer["answer"] == "12 metres" == answer["context"][answer["start"] : answer["end"]]
    assert PUMP.read_text(encoding="utf-8")[answer["source_start"] : answer["source_end"]] == "12 metres"
    assert answer["timings_ms"]["total"] > 0
    assert "candidates" not in answer


def test_top_gives_distinct_candidates() -> None:
    done = edgeqa("ask", "--json", "--top", "3", "What is the pump not made for?", PUMP)
    candidates = json.loads(done.stdout)["candidates"]
    assert len({(c["source_start"], c["source_end"]) for c in candidates}) == 3
    shown = edgeqa("ask", "--top", "3", "What is the pump not made for?", PUMP).stdout
    assert all(f"  {number}. " in shown for number in (1, 2, 3))


def test_no_answer_is_a_result_with_its_own_exit_code() -> None:
    question = "Who won the football world cup?"
    done = edgeqa("ask", question, PUMP)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Not sure. The closest passages:\n")
    answer = json.loads(edgeqa("ask", question, PUMP, "--json").stdout)
    assert (answer["answer"], answer["start"], answer["context"]) == (None, None, None)
    assert edgeqa("ask", question, PUMP, "-q").stdout == ""
    forced = edgeqa("ask", question, PUMP, "--force", "-q")
    assert forced.returncode == 0
    assert forced.stdout.strip() in " ".join(PUMP.read_text(encoding="utf-8").split())


def test_the_text_comes_from_an_argument_or_a_pipe() -> None:
    text = "The bridge was built in 1932 by Dorman Long."
    question = "Who built the bridge?"
    assert edgeqa("ask", "-q", question, "--text", text).stdout == "Dorman Long\n"
    assert edgeqa("ask", "-q", question, stdin=text.encode()).stdout == "Dorman Long\n"
    assert edgeqa("ask", "-q", question, "-", stdin=text.encode()).stdout == "Dorman Long\n"
    piped = json.loads(edgeqa("ask", "--json", question, PUMP, "-", stdin=text.encode()).stdout)
    assert (piped["answer"], piped["source"]) == ("Dorman Long", "standard input")
    several = json.loads(edgeqa("ask", "--json", question, "--text", "Nothing.", "--text", text).stdout)
    assert several["source"] == "text 2"


def test_a_file_named_like_standard_input_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "-").write_text("The bridge was built by Dorman Long.")
    done = edgeqa("ask", "-q", "Who built the bridge?", "./-", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Dorman Long\n")


def test_quiet_prints_each_answer_on_one_line_without_controls() -> None:
    text = "The bridge was built by Dorman\nLong\x1b[31m of Middlesbrough."
    done = edgeqa("ask", "-q", "Who built the bridge?", "--text", text)
    assert done.stdout.startswith("Dorman Long")
    assert done.stdout.count("\n") == 1
    assert "\x1b" not in done.stdout
    several = edgeqa("ask", "-q", "--top", "3", "What is the pump not made for?", PUMP).stdout.splitlines()
    assert len(set(several)) == 3
    assert several[0] == edgeqa("ask", "-q", "What is the pump not made for?", PUMP).stdout.strip()


def test_what_may_not_be_read_is_for_our_own_errors_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may read anything
    arguments = ["Who?", str(tmp_path), "--bundle", str(tmp_path)]
    parsed = command.make_context("ask", arguments).params
    assert (parsed["files"], parsed["bundle"]) == ((str(tmp_path),), str(tmp_path))


def test_a_long_question_is_cut_with_a_note() -> None:
    done = edgeqa("ask", CAPTAIN + " really" * 80, BEAGLE)
    assert "only its beginning was asked" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message", "hint"),
    [
        (("Who?", "missing.txt"), b"", 2, "no such file: missing.txt", "check the path"),
        (("Who?", "."), b"", 2, "is a directory, not a text file: .", "add the folder once"),
        (("Who?", "-"), b"abc\0def", 2, "not a text file: standard input has a NUL byte at offset 3", "convert it"),
        (("Who?", "-"), b"caf\xe9 noir", 2, "not UTF-8: standard input has the byte 0xe9 at offset 3", "iconv"),
        (("Who?",), b"", 2, "no text to answer from", "edgeqa add"),
        (("Who?", "--text", " \n"), b"", 2, "no text in text", "give a file"),
        ((" \t ", "--text", "abc"), b"", 2, "the question is empty", "ask something"),
        (("Who?", "--text", "abc", "--bundle", "nowhere"), b"", 3, "no model called nowhere", "edgeqa models add"),
        (("Who?", "--text", "abc", "--budget", "1M"), b"", 3, "with budget_bytes=1048576: ", "budget"),
        (("Who?", "--text", "abc", "--budget", "much"), b"", 2, "'much'", "256M"),
    ],
)
def test_bad_input_gets_one_line_a_hint_and_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], stdin: bytes, code: int, message: str, hint: str
) -> None:
    done = edgeqa("ask", *arguments, stdin=stdin, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    error, remedy = done.stderr.splitlines()
    assert error.startswith("edgeqa: ")
    assert message in error
    assert remedy.startswith("  hint: ")
    assert hint in remedy


@pytest.mark.parametrize("arguments", [(), ("Who?", "--top", "0"), ("Who?", "--nonsense")])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    done = edgeqa("ask", *arguments)
    assert done.returncode == 2
    assert "Usage: edgeqa ask" in done.stderr


def test_standard_input_closed() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m edgeqa ask Who? <&-"],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 2
    assert b"no text to answer from" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_terminal_as_standard_input_is_not_waited_for() -> None:
    _, terminal = pty.openpty()
    done = subprocess.run(
        [*EDGEQA, "ask", "Who?"], stdin=terminal, capture_output=True, timeout=DEADLINE_S, check=False
    )
    os.close(terminal)
    assert done.returncode == 2
    assert b"no text to answer from" in done.stderr


def test_an_interrupt_exits_with_130() -> None:
    with subprocess.Popen(
        [*EDGEQA, "ask", "Who?", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        # More than a pipe holds, so that this returns once the program reads; it goes on, as the pipe stays open.
        process.stdin.write(b"x" * (1 << 20))
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.returncode, process.stdout.read()) == (130, b"")
        assert process.stderr.read().split(b"\n") == [b"", b"edgeqa: interrupted", b""]


def test_an_interrupt_while_the_program_starts_exits_with_130(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = edgeqa("ask", "--help", env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "edgeqa: interrupted\n")


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    command = f"'{sys.executable}' -m edgeqa ask --json Who? --text abc | true"
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


def test_interrupts_on_the_way_out_change_nothing(tmp_path: Path) -> None:
    program = """
import os, signal, sys
import edgeqa.__main__, edgeqa.cli

class Impatient:
    def __init__(self, stream): self._stream = stream
    def write(self, text):
        os.kill(os.getpid(), signal.SIGINT)
        return self._stream.write(text)
    def __getattr__(self, name): return getattr(self._stream, name)

sys.stderr = Impatient(sys.stderr)
edgeqa.cli.run = lambda: os.kill(os.getpid(), signal.SIGINT)
edgeqa.__main__.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=DEADLINE_S, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"edgeqa: interrupted\n")


def test_an_interrupt_is_ignored_where_that_was_asked_for() -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh", *EDGEQA, "ask", "-q", "Who built the bridge?", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"The bridge was built by Dorman Long." + b"\n" * (1 << 20))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, output, errors) == (0, b"Dorman Long\n", b"")


def test_a_read_only_home_works_and_remembers_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    environment = {**os.environ, "EDGEQA_HOME": str(blocked / "home")}
    done = edgeqa("ask", "-q", "To what depth may the pump be submerged?", PUMP, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")


def test_an_unforeseen_error_is_one_line_too(tmp_path: Path) -> None:
    program = "import edgeqa.runtime as r, edgeqa.__main__ as m\nr.open = lambda **_: 1 / 0\nm.main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "ask", "Who?", "--text", "abc"],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 3
    assert b"edgeqa: internal error: ZeroDivisionError: division by zero" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_name_in_an_error_cannot_steer_the_terminal(tmp_path: Path) -> None:
    done = edgeqa("ask", "Who?", tmp_path / "a\n\x1b[31mred.txt")
    assert done.returncode == 2
    assert done.stderr.startswith(f"edgeqa: no such file: {tmp_path}/a \ufffd[31mred.txt\n")
