"""Timing: a stopwatch measures the steps of one question; `Progress` reports on work that takes long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""A function that is called with a name of the work ("reading"), how much of it is done, and how much it is in all."""


class Stopwatch:
    """A clock for one thread, which adds up the time of each step.

    The caller names a step when it is over. So every moment belongs to a step, and a step costs one look at the clock.
    """

    __slots__ = ("_began_s", "_ends")

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._ends: list[tuple[str, float]] = []  # added up at the end, so that a step costs little more than the clock

    def over(self, step: str) -> None:
        """Adds the time since the end of the last step to this one."""
        self._ends.append((step, time.perf_counter()))

    def timings_ms(self) -> dict[str, float]:
        """Returns the milliseconds of each step, and `total`, the time since the stopwatch was made."""
        total_ms = 1e3 * (time.perf_counter() - self._began_s)
        steps_ms: dict[str, float] = {}
        began_s = self._began_s
        for step, over_s in self._ends:
            steps_ms[step] = steps_ms.get(step, 0.0) + 1e3 * (over_s - began_s)
            began_s = over_s
        steps_ms["total"] = total_ms
        return steps_ms
