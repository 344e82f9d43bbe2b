"""Counters of a runtime, with which a long-running process can be watched.

In: answers that were read or looked up. Out: counts and times since the runtime was opened. The table of answers in
memory counts its own hits, so that a hit does not wait for this module. No question and no text is kept. The values are
named tuples, because a dataclass would take 0.5 ms of each start.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from edgeqa import forking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.answer import Answer


class Counters(NamedTuple):
    """The counters of a runtime, since it was opened.

    Examples:
        >>> answer = qa.ask("Who won the cup?", "The bridge was built by Dorman Long.")
        >>> qa.counters().read, qa.counters().without_answer
        (1, 1)
    """

    read: int
    """The number of answers that were read."""
    looked_up: int
    """The number of answers that were remembered in the store."""
    at_hand: int
    """Hits in this process's memory: answers, and steps to them, for all runtimes that share an answer cache."""
    without_answer: int
    """How many of the answers that were read or came from the store say that the text has no answer."""
    model_loaded: bool
    """Whether the model is in memory now."""
    read_s: Mapping[str, float]
    """The seconds that reading has taken, by step, and the `total`."""


class Counts:
    """The counts as they grow. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = self._looked_up = self._without_answer = 0
        self._read_s: dict[str, float] = {}
        forking.tell(self)

    def forked(self) -> None:
        """Takes a new lock in a forked child: that of the parent may be held by a thread that is not here."""
        self._lock = threading.Lock()

    def note(self, answer: Answer) -> None:
        """Counts an answer that was read or came from the store."""
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
