"""Tests what `stress/mutants.py` changes: what a hand would, and nothing that no test should pin; what it counts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

STRESS = Path(__file__).parents[2] / "stress"
SOURCE = '''
"""A module."""

LIMIT = 5
MAGIC = b"eq"

if TYPE_CHECKING:
    from pathlib import Path


def cut(text: str, most: int = 3) -> tuple[str, int] | None:
    """Returns a piece."""
    if not text or most < 1:
        raise ValueError("no text", text)
    with lock:
        text = text.strip()
    return text[:most], min(len(text), 7)
'''


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Returns a module of the stress scripts."""
    if not STRESS.exists():
        pytest.skip("the stress scripts are not here")
    monkeypatch.syspath_prepend(str(STRESS))
    module = __import__(name)
    for loaded in ("mutating", "mutants"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    return module


def changes(source: str, monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, str]]:
    """Returns each change's line, and what became of that line."""
    mutating = script("mutating", monkeypatch)
    found = set()
    for mutant in mutating.mutants(source):
        changed = mutant.applied(source)
        if mutating.is_another(source, changed):
            assert "\n" not in mutant.shown(source)
            found.add((mutant.line, changed.splitlines()[mutant.line - 1].strip()))
    return found


def test_a_line_is_changed_in_every_way_that_a_hand_would(monkeypatch: pytest.MonkeyPatch) -> None:
    found = changes(SOURCE, monkeypatch)
    assert {line for number, line in found if number == 13} == {
        "if (not (not text or most < 1)):",
        "if not text and most < 1:",
        "if (most < 1):",
        "if (not text):",
        "if not text or most <= 1:",
        "if not text or most < 2:",
        "if not text or most < 0:",
    }
    assert {line for number, line in found if number == 17} == {
        "return None",
        "return (text[:most],)",
        "return (min(len(text), 7),)",
        "return text[:(most) + 1], min(len(text), 7)",
        "return text[:most], max(len(text), 7)",
        "return text[:most], (len(text))",
        "return text[:most], (7)",
        "return text[:most], min(len(text))",
        "return text[:most], min(len(text), 8)",
        "return text[:most], min(len(text), 6)",
    }
    assert (14, "pass") in found
    assert (16, "text = text") in found
    assert any(number == 15 and "nullcontext" in line for number, line in found)
    assert any(number == 11 and "most: int = 4" in line for number, line in found)


def test_words_for_people_types_and_named_limits_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dict(changes(SOURCE, monkeypatch))
    assert lines.keys() == {5, 11, 13, 14, 15, 16, 17}
    assert lines[5] == "MAGIC = b''"
    assert lines[14] == "pass"


def test_a_part_is_one_of_as_many_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    part = script("mutants", monkeypatch).part
    assert [part(text) for text in ("1/1", "1/2", "2/2")] == [(1, 1), (1, 2), (2, 2)]
    for text in ("0/2", "3/2", "-1/2", "1/0", "0/0", "1", "1/", "/2", "1/2/3", "a/b", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="1 <= K <= N"):
            part(text)


def test_it_says_how_many_were_not_tried_and_ends_with_0_once_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stress, file = script("mutants", monkeypatch), tmp_path / "log"
    ids = ("00000001", "00000002", "00000003")
    sites = [stress.Site(id_, "edgeqa/runtime.py", None, "constant") for id_ in ids]

    def ended(*lines: str) -> tuple[str, int]:
        file.write_text("\n".join(lines))
        log = stress.Log({}, set())
        (summary,) = stress.summed(file, 1, sites, log)
        return summary, stress.exit_code(sites, log, 5)

    first, second, lives = f"killed    0.1 s  {ids[0]}  ", f"killed    0.1 s  {ids[1]}  ", f"LIVES    0.1 s  {ids[2]}  "
    assert ended() == ("seed 1: 3 mutants, 0 killed, 0 live, of which 0 harmless; 3 not tried yet", 1)
    assert ended(first, second) == ("seed 1: 3 mutants, 2 killed, 0 live, of which 0 harmless; 1 not tried yet", 1)
    assert ended(first, second, lives) == ("seed 1: 3 mutants, 2 killed, 1 live, of which 0 harmless", 1)
    harmless = f"harmless  {ids[2]}  why"
    assert ended(first, second, lives, harmless) == ("seed 1: 3 mutants, 2 killed, 1 live, of which 1 harmless", 0)
