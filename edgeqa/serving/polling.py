"""`run`: an event loop that asks the system for new input only after it has done its waiting work.

asyncio asks the system at each turn, even if the next step is due already, and a request takes three turns. Each time
it asks, a reader may take the interpreter, and the loop must win it back, which costs the hits beside it a millisecond
or more. This loop asks at least once in `MAX_TURNS` turns, so that no request waits long to be seen.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

MAX_TURNS = 4


class Polling(selectors.DefaultSelector):
    """The system's selector, which is not asked while there is work to do."""

    _turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns the events that are ready; none, without a look, if the loop would not wait and has looked lately."""
        if timeout is not None and timeout <= 0 and self._turns < MAX_TURNS:
            self._turns += 1
            return []
        self._turns = 0
        return super().select(timeout)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine, as `asyncio.run` does, which Python 3.10 uses, since its loop cannot be chosen."""
    if sys.version_info < (3, 11):
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Polling())) as runner:
        return runner.run(work)
