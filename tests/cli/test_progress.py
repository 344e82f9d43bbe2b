"""Tests the progress bar: it appears for long work alone, and never stops the work."""

from __future__ import annotations

import io
import sys
import time

import pytest

from edgeqa.streams import SHOWN_AFTER_S, ProgressBar


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def work(clock: Clock, step_s: float) -> None:
    with ProgressBar() as progress:
        for doing in ("skimming", "reading"):
            for done in range(1, 5):
                clock.now_s += step_s
                progress(doing, done, 4)


def test_long_work_shows_what_is_being_done_on_standard_error(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    assert SHOWN_AFTER_S <= 2
    work(clock, 1.0)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.split("\n") == ["edgeqa: skimming", "edgeqa: reading", ""]


def test_the_time_left_counts_what_was_done_before_the_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0 + clock.now_s)
    with ProgressBar() as progress:
        for done in range(1, 5):
            clock.now_s += 0.6
            progress("adding", done, 100)
            assert (progress._bar is not None) == (done > 1)
        assert progress._bar.eta == pytest.approx(96 * 0.6)
        clock.now_s += 3.0
        progress("indexing", 1, 100)
        clock.now_s += 2.0
        progress("indexing", 2, 100)
        assert progress._bar.eta == pytest.approx(98 * 1.0, rel=0.6)


def test_short_work_shows_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, 0.1)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_a_full_standard_error_does_not_stop_the_work(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError

    monkeypatch.setattr(sys, "stderr", Full())
    work(clock, 1.0)
    assert clock.now_s == 8
