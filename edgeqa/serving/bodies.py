"""Bodies of requests: this module reads a body within its limits, and notices clients that hang up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import ClientDisconnect

from edgeqa.serving.errors import TooLarge, TooSlow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

T = TypeVar("T")

BODY_WITHIN_S = 60.0
HANG_UP = "hang_up"
"""A key in `scope["state"]`: the `HangUp` of the request's connection."""


class HangUp:
    """The end of a client's connection, which those are told of who work for it."""

    def __init__(self, look: Callable[[], object]) -> None:
        """Makes it.

        Args:
            look: has the connection see to it that it would notice, which is called once somebody is to be told.
        """
        self._look = look
        self._has_come = False
        self._told: set[Callable[[], object]] = set()

    @property
    def is_awaited(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self._told)

    def tell(self, call: Callable[[], object]) -> None:
        """Has a function called once it comes; in the next turn of the loop, if it has come already."""
        if self._has_come:
            asyncio.get_running_loop().call_soon(call)
        self._told.add(call)
        self._look()

    def forget(self, call: Callable[[], object]) -> None:
        """Has the function not called any more."""
        self._told.discard(call)

    def come(self) -> None:
        """Tells all."""
        self._has_come = True
        for call in [*self._told]:
            call()


async def until_gone(request: Request, awaited: Awaitable[T]) -> T:
    """Returns the result of an awaitable, or gives it up if the client hangs up first.

    Raises:
        ClientDisconnect: if the client has hung up.
    """
    cut = _Cut()
    # A task that awaits `request.receive()` would take as long again as all else that is done here for a request.
    hang_up: HangUp | None = request.scope.get("state", {}).get(HANG_UP)
    if hang_up is not None:
        hang_up.tell(cut.now)
    try:
        return await awaited
    except asyncio.CancelledError:
        if not cut.is_made:
            raise
        cut.forgive()
        raise ClientDisconnect from None
    finally:
        cut.end()
        if hang_up is not None:
            hang_up.forget(cut.now)


async def body_of(request: Request, most_bytes: int) -> AsyncIterator[bytes]:
    """Yields a body.

    Raises:
        TooLarge: if it is larger than allowed; before it is read, if its header says so.
        TooSlow: if it does not come in time.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most_bytes:
        raise TooLarge(most_bytes)
    size_bytes = 0
    cut = _Cut()
    timer = asyncio.get_running_loop().call_later(BODY_WITHIN_S, cut.now)
    try:
        async for block in request.stream():
            size_bytes += len(block)
            if size_bytes > most_bytes:
                raise TooLarge(most_bytes)
            yield block
    except asyncio.CancelledError:
        if not cut.is_made:
            raise
        cut.forgive()
        raise TooSlow(BODY_WITHIN_S) from None
    finally:
        cut.end()
        timer.cancel()


class _Cut:
    """A switch that cancels the task which made it; `asyncio.wait` and `wait_for` would make tasks of their own."""

    def __init__(self) -> None:
        self.is_made = False
        self._task = asyncio.current_task()

    def now(self) -> None:
        """Cancels it, unless that has ended by now."""
        if self._task is not None:
            self.is_made = True
            self._task.cancel()

    def forgive(self) -> None:
        """Lets the task go on as if it had not been cancelled."""
        if self._task is not None and hasattr(self._task, "uncancel"):  # Python 3.11 counts
            self._task.uncancel()

    def end(self) -> None:
        """Switches it off."""
        self._task = None
