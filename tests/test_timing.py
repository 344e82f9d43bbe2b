"""Tests the stopwatch, on a clock that a test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    import pytest


def test_every_moment_belongs_to_one_step_and_steps_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5, 12.0, 12.25, 12.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    watch = Stopwatch()
    watch.over("read")
    watch.over("decode")
    watch.over("read")
    assert watch.timings_ms() == {"read": 750.0, "decode": 1500.0, "total": 2500.0}
