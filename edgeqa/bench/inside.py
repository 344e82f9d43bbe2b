"""How much of a question's time onnxruntime itself takes, told by a clock around its `run`.

The clock is put around the method of the library's class, for the time of a measurement: the runtime that is measured
is the one that users run, and knows nothing of it.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Inside(threading.local):
    """Time spent inside onnxruntime by the thread that looks."""

    def __init__(self) -> None:
        self._ms = 0.0

    def add(self, ms: float) -> None:
        """Counts a run."""
        self._ms += ms

    def take_ms(self) -> float:
        """Returns the milliseconds since this was last asked."""
        taken, self._ms = self._ms, 0.0
        return taken


@contextmanager
def watched() -> Iterator[Inside]:
    """Gives the clock, which runs as long as the context manager lives."""
    import onnxruntime

    inside = Inside()
    kind = onnxruntime.InferenceSession
    run = kind.run

    def timed(session: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the library's own signature
        began = time.perf_counter()
        try:
            return run(session, *arguments, **named)
        finally:
            inside.add((time.perf_counter() - began) * 1e3)

    kind.run = timed
    try:
        yield inside
    finally:
        kind.run = run
