"""Runs the stress scripts of the cache for seconds: the same code, with few rounds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

STRESS = Path(__file__).parents[2] / "stress"


def script(name: str) -> Any:  # noqa: ANN401 - a module that is not on the path
    path = STRESS / f"{name}.py"
    if not path.exists():
        pytest.skip("the stress scripts are not here")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_killed_processes_leave_nothing_wrong(tmp_path: Path) -> None:
    tally = script("cache_kill").run(tmp_path, rounds=15, processes=2, seed=7)
    assert tally["fine"] + tally["off after two deaths"] == 15
    assert [name for name in tally if name.startswith("WRONG")] == []


def test_damaged_files_work_or_are_put_aside(tmp_path: Path) -> None:
    tally = script("cache_mutate").run(tmp_path, files=80, seed=7)
    assert tally["works"] + tally["put aside or counted"] == 80


def test_mixed_operations_get_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STRESS))
    module = importlib.import_module("cache_mixed")
    wrong, line = module.run(tmp_path, operations=1500, processes=3, seed=7)
    assert wrong == [], line
