"""Where the time of one question goes: named steps in, milliseconds by step out."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopwatch:
    """Adds up the time of each step from its creation on. For one thread."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._steps_ms: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Counts the time spent inside the `with` block as the step's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._steps_ms[name] = self._steps_ms.get(name, 0.0) + (time.perf_counter() - began) * 1e3

    def timings_ms(self) -> dict[str, float]:
        """Returns milliseconds by step, and `total` since the creation."""
        return {**self._steps_ms, "total": (time.perf_counter() - self._began) * 1e3}
