"""Where the time of one question goes: named steps in, milliseconds by step out."""

from __future__ import annotations

import time


class Stopwatch:
    """Adds up the time of each step from its creation on. For one thread."""

    __slots__ = ("_began", "_steps_ms")

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._steps_ms: dict[str, float] = {}

    def step(self, name: str) -> _Step:
        """Counts the time spent inside the `with` block as the step's."""
        return _Step(self._steps_ms, name)

    def timings_ms(self) -> dict[str, float]:
        """Returns milliseconds by step, and `total` since the creation."""
        return {**self._steps_ms, "total": (time.perf_counter() - self._began) * 1e3}


class _Step:
    """A class, because a generator with `contextmanager` takes three times as long."""

    __slots__ = ("_began", "_name", "_steps_ms")

    def __init__(self, steps_ms: dict[str, float], name: str) -> None:
        self._steps_ms, self._name = steps_ms, name

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        taken_ms = (time.perf_counter() - self._began) * 1e3
        self._steps_ms[self._name] = self._steps_ms.get(self._name, 0.0) + taken_ms
