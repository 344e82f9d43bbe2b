"""`run`: an event loop that looks for what has come in only after it has done what it has to do.

asyncio asks the system at each turn, also where a next step is due already, and a request takes three turns. Each such
question lets a reader have the interpreter, which the loop then has to win back: a millisecond, or several, of the hits
beside it. Here up to `MAX_TURNS` turns go by without one, so that no request waits for long to be seen.
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
    """The system's selector, which is not asked while there is something to do."""

    _turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns what is ready; nothing, without looking, where the loop would not wait and has looked lately."""
        if timeout is not None and timeout <= 0 and self._turns < MAX_TURNS:
            self._turns += 1
            return []
        self._turns = 0
        return super().select(timeout)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Returns what a coroutine does, as `asyncio.run`; on Python 3.10, whose loops are not to be chosen, by that."""
    if sys.version_info < (3, 11):
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Polling())) as runner:
        return runner.run(work)
