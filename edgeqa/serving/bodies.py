"""Requests as they come: a body within its limits, and who has hung up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import ClientDisconnect

from edgeqa.serving.errors import TooLarge, TooSlow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from starlette.requests import Request
    from starlette.types import Receive

T = TypeVar("T")

BODY_WITHIN_S = 60.0


async def until_gone(request: Request, awaited: Awaitable[T]) -> T:
    """Returns what is awaited, unless who made the request hangs up first: then it is given up.

    Raises:
        ClientDisconnect: if nobody is there any more.
    """
    task = asyncio.ensure_future(awaited)
    gone = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        gone.cancel()
        task.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def body_of(request: Request, most_bytes: int) -> AsyncIterator[bytes]:
    """Yields a body.

    Raises:
        TooLarge: if it is more than it may be, before it is read where it says so.
        TooSlow: if it is not there in time.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most_bytes:
        raise TooLarge(most_bytes)
    loop = asyncio.get_running_loop()
    deadline_s, size_bytes = loop.time() + BODY_WITHIN_S, 0
    blocks = request.stream().__aiter__()
    while True:
        try:
            block = await asyncio.wait_for(blocks.__anext__(), deadline_s - loop.time())
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise TooSlow(BODY_WITHIN_S) from None
        size_bytes += len(block)
        if size_bytes > most_bytes:
            raise TooLarge(most_bytes)
        yield block
