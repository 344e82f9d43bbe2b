"""Tests that where the program cannot print, its exit code is the same, or says so where that is the failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from program import DEADLINE_S

PUMP = Path(__file__).parent.parent.parent / "examples" / "pump-manual.txt"
ANSWERED = f"ask -q 'To what depth may the pump be submerged?' '{PUMP}'"
needs_a_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


def shell(arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", f"'{sys.executable}' -m edgeqa {arguments}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding=encoding,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=DEADLINE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize("arguments", [ANSWERED, "--help", "--version", "ask --help"])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_like_the_null_device(arguments: str, closed: str) -> None:
    done = shell(f"{arguments} {closed}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_a_full_device
@pytest.mark.parametrize("arguments", [ANSWERED, "--help", "--version", "capabilities --json"])
def test_a_full_standard_output_is_one_line_and_a_hint(arguments: str) -> None:
    done = shell(f"{arguments} >/dev/full")
    assert done.returncode == 3
    error, hint = done.stderr.splitlines()
    assert error == "edgeqa: cannot write to standard output: No space left on device"
    assert hint.startswith("  hint: ")


@needs_a_full_device
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(ANSWERED, 0), ("ask Who? nope", 2), ("ask", 2), ("ask Who? --text abc --bundle nope", 3), (ANSWERED + " >&2", 3)],
)
def test_a_full_standard_error_does_not_change_the_exit_code(arguments: str, code: int) -> None:
    assert shell(f"2>/dev/full {arguments}").returncode == code


@pytest.mark.parametrize("arguments", [ANSWERED, "--help"])
def test_a_reader_that_has_gone_is_no_missing_answer(arguments: str) -> None:
    # The reader has gone before anything is printed: it is waited for.
    done = shell(f"--version >&- && exec 3> >(true) && wait $! ; '{sys.executable}' -m edgeqa {arguments} >&3")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_any_answer_can_be_printed_in_any_encoding(encoding: str) -> None:
    arguments = "ask 'Who wrote it?' --text 'It was written by Łukasz Noé.'"
    done = shell(f"{arguments} -q", encoding)
    expected = "Łukasz Noé".encode(encoding, "backslashreplace").decode(encoding)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected + "\n", "")
    assert json.loads(shell(f"{arguments} --json", encoding).stdout)["answer"] == "Łukasz Noé"


@pytest.mark.parametrize(
    "arguments",
    [
        "ask 'Wer baute die Brücke — wann?' --text '€uro' --json",
        "cache explain 'Wer baute die Brücke — wann?' --text '€uro' --json",
        "cache forget 'Wer — wann?' --text '€uro' --json",
        "cache path --json",
        "cache stats --json",
        "add '{}' --json",
        "list --json",
        "closest 'bridge' --json",
        "verify --json",
        "models list --json",
        "models show edgeqa-mini --json",
        "capabilities --json --device pi-4",
        "remove '{}' --json",
    ],
)
def test_json_is_json_in_any_encoding(arguments: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("Brücke € 橋") / "橋.txt"
    file.write_text("The bridge was built in 1932.", encoding="utf-8")
    for encoding in ("latin-1", "ascii", "utf-8"):
        assert shell(f"add '{file}'").returncode == 0
        done = shell(arguments.format(file), encoding)
        assert done.returncode in (0, 1), done.stderr
        json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        "ask Who?",
        "get 'bertqa{8YG}_a:{8YG}:1_Who?'",
        "closest Who?",
        "add .",
        "sync .",
        "list",
        "remove a",
        "verify",
        "cache explain Who?",
        "cache forget Who?",
        "show 'a:{8YG}:1'",
    ],
)
def test_an_empty_name_is_no_collections_name(arguments: str) -> None:
    done = shell(f"{arguments} --collection ''")
    assert (done.returncode, done.stdout) == (2, "")
    assert "''" in done.stderr


def test_a_name_that_is_no_utf_8_is_json_that_every_parser_takes(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9 ü.txt").write_text(PUMP.read_text())
    for encoding in ("utf-8", "ascii"):
        done = shell(f"ask --json --no-cache 'How deep may the pump be submerged?' '{tmp_path}'/caf*.txt", encoding)
        assert msgspec.json.decode(done.stdout.encode())["source"].endswith("caf\\xe9 ü.txt")


def test_arguments_are_utf_8_where_the_locale_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")):
        monkeypatch.setenv(name, value)
    text = "The café was built by Müller in 1932."
    done = shell(f"ask --force --no-cache --json 'Who built the café?' --text '{text}'")
    found = json.loads(done.stdout)
    assert (found["question"], found["answer"]) == ("Who built the café?", "Müller")


def test_names_and_fields_are_utf_8_where_the_locale_is_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")):
        monkeypatch.setenv(name, value)
    table = tmp_path / "café.csv"
    table.write_text("name,täxt\na,The café was built by Müller.\n", encoding="utf-8")
    assert shell(f"add '{table}' --text-field täxt").returncode == 0
    assert "'übung'" in shell("list --collection übung").stderr
    assert "'käse'" in shell("get käse").stderr
    done = shell(f"ask --force --no-cache --json 'Who built the café?' '{table}'")
    assert json.loads(done.stdout)["source"].endswith("café.csv")


def test_json_steers_no_terminal_and_turns_no_writing(tmp_path: Path) -> None:
    text = "The key\x9b31m hangs \u202ebehind the blue door\u202c.\x7f"
    (tmp_path / "shed.txt").write_text(text, encoding="utf-8")
    done = shell(f"ask --json --no-cache 'Where does the key hang?' '{tmp_path}/shed.txt'")
    assert not set(done.stdout) & set("\x9b\u202e\u202c\x7f")
    assert json.loads(done.stdout)["context"] == text
