"""Time: the milliseconds of one question by step, and the progress of work that takes long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done ("reading"), how much of it is done, and how much it is in all."""


class Stopwatch:
    """Adds up the time of each step. For one thread.

    Steps are told when they are over, so that every moment is one's, and none costs more than a look at the clock.
    """

    __slots__ = ("_began_s", "_over_s", "_steps_ms")

    def __init__(self) -> None:
        self._began_s = self._over_s = time.perf_counter()
        self._steps_ms: dict[str, float] = {}

    def over(self, step: str) -> None:
        """Counts the time since the last step was over as this one's."""
        now_s = time.perf_counter()
        self._steps_ms[step] = self._steps_ms.get(step, 0.0) + 1e3 * (now_s - self._over_s)
        self._over_s = now_s

    def timings_ms(self) -> dict[str, float]:
        """Returns milliseconds by step, and `total` since the creation."""
        return {**self._steps_ms, "total": 1e3 * (time.perf_counter() - self._began_s)}
