"""Tests what `stress/mutants.py` changes: what a hand would, and nothing that no test should pin."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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


def changes(source: str, monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, str]]:
    """Returns each change's line, and what became of that line."""
    if not STRESS.exists():
        pytest.skip("the stress scripts are not here")
    monkeypatch.syspath_prepend(str(STRESS))
    mutating = __import__("mutating")
    monkeypatch.delitem(sys.modules, "mutating")
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
