"""Tests `edgeqa bench` as a real process, and what it measures with."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import onnxruntime
import pytest
from program import edgeqa

from edgeqa import bench
from edgeqa.bench import Times, show, watched

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.runtime import EdgeQA

NAMES = ["sentence", "paragraph", "long", "page", "repeat"]


def test_every_workload_is_measured_from_string_to_answer(home: Path) -> None:
    done = edgeqa("bench", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found["workloads"]) == NAMES
    for name, workload in found["workloads"].items():
        assert 0 < workload["median_ms"] <= workload["p99_ms"]
        assert workload["spread_ms"][0] <= workload["median_ms"] <= workload["spread_ms"][1]
        if name != "repeat":
            steps = workload["steps_ms"]
            assert {"key", "read", "decode", "onnxruntime"} <= steps.keys()
            assert steps["onnxruntime"] > 0
            assert workload["products_alone"]["median_ms"] > 0
            assert workload["plain_text"]["median_ms"] > 0
    assert found["many_callers"]["per_second"] > 0
    assert found["threads"] >= 1
    assert found["precision"].startswith("int8")
    assert {"edgeqa", "onnxruntime", "python"} <= found["versions"].keys()
    assert not (home / "cache").exists()  # nobody's answers are pushed out by it


def test_the_last_line_has_it_all() -> None:
    done = edgeqa("bench", "--quick", "--threads", "1")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert all(f"{name} " in line for name in NAMES)
    assert " 1 thread, int8" in line
    assert "questions/s" in line


def test_a_bundle_that_is_none_is_an_error_with_a_name(tmp_path: Path) -> None:
    done = edgeqa("bench", "--quick", "--bundle", tmp_path)
    assert done.returncode == 3
    assert str(tmp_path) in done.stderr


def test_an_onnxruntime_of_another_distribution_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version_of(name: str) -> str:
        if name == "onnxruntime":  # as where onnxruntime-openvino is installed
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(bench, "version", version_of)
    assert bench._versions()["onnxruntime"] == onnxruntime.__version__


def test_the_clock_around_onnxruntime_counts_runs_and_goes_away(qa: EdgeQA) -> None:
    run = onnxruntime.InferenceSession.run
    with watched() as inside:
        answer = qa.ask("Who built it?", "Ann built it.", refresh=True)
        ms = inside.take_ms()
        assert 0 < ms < answer.timings_ms["total"]
        assert inside.take_ms() == 0
    assert onnxruntime.InferenceSession.run is run


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(None, "-"), (0.000391, "391 ns"), (0.0456, "45.6 us"), (4.538, "4.54 ms"), (1234, "1.23 s"), (0, "0.00 ns")],
)
def test_times_are_shown_with_three_digits(ms: float | None, shown: str) -> None:
    assert show(ms) == shown


def test_times_are_summed_up() -> None:
    times = Times.of([float(ms) for ms in range(100, 0, -1)])
    assert (times.median_ms, times.p99_ms, times.spread_ms, times.calls) == (50.5, 100, (11, 91), 100)
