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

    __slots__ = ("_began_s", "_over_s", "_steps_ms")

    def __init__(self) -> None:
        self._began_s = self._over_s = time.perf_counter()
        self._steps_ms: dict[str, float] = {}

    def over(self, step: str) -> None:
        """Adds the time since the end of the last step to this one."""
        now_s = time.perf_counter()
        self._steps_ms[step] = self._steps_ms.get(step, 0.0) + 1e3 * (now_s - self._over_s)
        self._over_s = now_s

    def timings_ms(self) -> dict[str, float]:
        """Returns the milliseconds of each step, and `total`, the time since the stopwatch was made."""
        return {**self._steps_ms, "total": 1e3 * (time.perf_counter() - self._began_s)}
