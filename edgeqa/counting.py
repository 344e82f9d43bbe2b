"""What a runtime has done since it was opened: answers that were read or looked up in, counts and times out.

For watching a process that runs long. Whoever finds an answer at hand is counted by the table that it was found in, so
that nothing here is in the way of a hit. It keeps no question, and nothing of what was asked. Values are named tuples:
a dataclass would take 0.5 ms of each start.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.answer import Answer


class Counters(NamedTuple):
    """What a runtime has done since it was opened."""

    read: int
    """Answers that were read."""
    looked_up: int
    """Answers that were remembered, and came from the store."""
    at_hand: int
    """Answers, and steps to them, that were in this process's memory; of all runtimes that share an answer cache."""
    without_answer: int
    """How many of those that were read or looked up say that there is no answer."""
    model_loaded: bool
    """Whether the model is in memory now."""
    read_s: Mapping[str, float]
    """Seconds that reading has taken, by step, and `total`."""


class Counts:
    """The counts as they grow. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = self._looked_up = self._without_answer = 0
        self._read_s: dict[str, float] = {}

    def note(self, answer: Answer) -> None:
        """Counts an answer that was not at hand."""
        with self._lock:
            self._without_answer += answer.text is None
            if answer.cached:
                self._looked_up += 1
                return
            self._read += 1
            for step, ms in answer.timings_ms.items():
                self._read_s[step] = self._read_s.get(step, 0.0) + ms / 1000

    def counters(self, *, model_loaded: bool, at_hand: int) -> Counters:
        """Returns the counts of this moment."""
        with self._lock:
            return Counters(
                self._read, self._looked_up, at_hand, self._without_answer, model_loaded, dict(self._read_s)
            )
