"""Many callers at once: how many of them read at a time, and whether one has all threads or each has one.

In: callers, each for the time of one step of reading. Out: leave to go on, and whether others are there, too. A caller
who is alone takes all threads of the plan. Of several, each takes one: the threads of one product wait for each other,
those of different questions do not. A few more than there are cores may be at it, so that one is ready while another
works in Python; the others wait, for each that reads needs memory of its own, and pushes the others' numbers out of the
processor's caches. It knows no session and no question.

A fork waits until nobody is at it: onnxruntime's memory has locks of its own, which a child would find held. The child
begins with all turns.
"""

from __future__ import annotations

import contextlib
import threading
import time
from queue import Empty, SimpleQueue

from edgeqa import forking

FORKING_LIMIT_S = 1.0  # a step takes milliseconds
CROWDED_FOR_S = 0.05  # callers who ask again and again are between two questions for a moment


class Callers:
    """Those who read, and those who wait for it; a context manager around a step. No step may hold another."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._held = 0  # while the process forks
        self.forked()
        forking.tell(self)

    def before_fork(self) -> None:
        """Takes all turns, as far as they come back in time."""
        give_up_at_s = time.monotonic() + FORKING_LIMIT_S
        with contextlib.suppress(Empty):
            while self._held < self._at_once:
                self._turns.get(timeout=max(0.0, give_up_at_s - time.monotonic()))
                self._held += 1

    def after_fork(self) -> None:
        """Gives them back."""
        held, self._held = self._held, 0
        for _ in range(held):
            self._turns.put(None)

    def forked(self) -> None:
        """Begins anew: those who had turns do not exist here."""
        self._turns: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._at_once):
            self._turns.put(None)
        self._held = 0
        self._lock = threading.Lock()
        self._present = 0
        self._crowded_until_s = 0.0

    @property
    def crowded(self) -> bool:
        """Whether several are here, or were a moment ago."""
        return time.monotonic() < self._crowded_until_s

    def __enter__(self) -> None:
        with self._lock:
            self._present += 1
            if self._present > 1:
                self._crowded_until_s = time.monotonic() + CROWDED_FOR_S
        try:
            self._turns.get()
        except BaseException:  # who waits may be interrupted
            self._leave()
            raise

    def __exit__(self, *error: object) -> None:
        self._turns.put(None)
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._present -= 1
