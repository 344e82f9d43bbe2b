"""Runs the stress script of exports for seconds: the same code, with few rounds."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from families import Made

STRESS = Path(__file__).parents[2] / "stress"


def test_damaged_exports_are_models_or_errors_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not STRESS.exists():
        pytest.skip("the stress scripts are not here")
    monkeypatch.syspath_prepend(str(STRESS))
    exports = [Made(family).write(tmp_path / family) for family in ("bert", "roberta", "albert")]
    tally = importlib.import_module("exports_mutate").run(tmp_path, exports, rounds=60, seed=7)
    assert sum(tally.values()) == 60
    assert [outcome for outcome in tally if outcome.startswith("WRONG")] == []
