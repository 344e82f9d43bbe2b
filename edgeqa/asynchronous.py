"""`AsyncEdgeQA`: the runtime for asyncio, made by `edgeqa.aopen`.

In: the arguments of `EdgeQA`. Out: awaitables of its results. A remembered answer is given without a thread; threads do
everything else. The plan says how many of them read, and one changes the collection. A task that is cancelled stops
waiting. Its work is dropped if no thread has begun it; a reading that has begun goes on to its end, is remembered, and
is given to all others who wait for it. This module decides nothing about answers and refuses no caller: `serving` does.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from edgeqa import runtime
from edgeqa.errors import Closed
from edgeqa.runtime import AT_HAND_CHARACTERS, EdgeQA

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from edgeqa.answer import Answer
    from edgeqa.asking.documents import Given
    from edgeqa.collection.naming import Within
    from edgeqa.counting import Counters
    from edgeqa.timing import Progress

P = ParamSpec("P")
T = TypeVar("T")


def _in_thread(
    method: Callable[Concatenate[EdgeQA, P], T],
) -> Callable[Concatenate[AsyncEdgeQA, P], Coroutine[Any, Any, T]]:
    """Returns an awaitable form of a method that needs no model."""

    @wraps(method)
    async def call(self: AsyncEdgeQA, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.qa, *args, **kwargs)

    return call


def _in_writer(
    method: Callable[Concatenate[EdgeQA, P], T],
) -> Callable[Concatenate[AsyncEdgeQA, P], Coroutine[Any, Any, T]]:
    """Returns an awaitable form of a method that changes the collection: one at a time."""

    @wraps(method)
    async def call(self: AsyncEdgeQA, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._write(partial(method, self.qa, *args, **kwargs))

    return call


class AsyncEdgeQA:
    """Answers questions from texts, for the tasks of one event loop. Made by `edgeqa.aopen`; a context manager.

    `closest`, `list`, `show`, `add`, `sync` and `remove` are those of `EdgeQA`, as awaitables. Their `progress` is
    called in another thread.

    Examples:
        >>> import asyncio
        >>> async def main() -> list[str | None]:
        ...     async with edgeqa.aopen() as qa:
        ...         questions = ("Who built it?", "When was it built?")
        ...         text = "The bridge was built in 1932 by Dorman Long."
        ...         return [answer.text for answer in await asyncio.gather(*(qa.ask(one, text) for one in questions))]
        >>> asyncio.run(main())
        ['Dorman Long', '1932']
    """

    def __init__(self, opened: Callable[[], EdgeQA]) -> None:
        self._open = opened
        self._qa: EdgeQA | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._writer: ThreadPoolExecutor | None = None

    @property
    def qa(self) -> EdgeQA:
        """The runtime itself; it exists only within the context manager."""
        if self._qa is None:
            raise Closed
        return self._qa

    async def ask(
        self,
        question: str,
        context: Given | None = None,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int | None = None,
        refresh: bool = False,
        within: Within | None = None,
        progress: Progress | None = None,
    ) -> Answer:
        """Returns the answer to a question; arguments and errors as for `EdgeQA.ask`."""
        qa = self.qa
        is_short = context is None or (type(context) is str and len(context) <= AT_HAND_CHARACTERS)
        if is_short and within is None and not refresh:
            found = qa.remembered(question, context, top=top, force=force, most_contexts=most_contexts)
            if found is not None:
                return found
        ask = partial(qa.ask, question, context, top=top, force=force, most_contexts=most_contexts, refresh=refresh)
        return await self._read(partial(ask, within=within, progress=progress))

    async def get(self, name: str, *, force: bool = False) -> Answer:
        """Returns the answer of a name; arguments and errors as for `EdgeQA.get`."""
        found = self.qa.remembered_name(name, force=force, at_hand=True)
        if found is not None:
            return found
        return await self._read(partial(self.qa.get, name, force=force))

    closest = _in_thread(EdgeQA.closest)
    list = _in_thread(EdgeQA.list)
    show = _in_thread(EdgeQA.show)
    add = _in_writer(EdgeQA.add)
    sync = _in_writer(EdgeQA.sync)
    remove = _in_writer(EdgeQA.remove)

    def unload(self) -> None:
        """Frees the model until it is needed, as `EdgeQA.unload` does."""
        self.qa.unload()

    def counters(self) -> Counters:
        """Returns the counters of the runtime, as `EdgeQA.counters` does."""
        return self.qa.counters()

    async def close(self) -> None:
        """Waits until running work is done, then frees the model and closes the cache. It may be called again."""
        qa, self._qa = self._qa, None
        pools, self._readers, self._writer = (self._readers, self._writer), None, None

        def close() -> None:
            for pool in pools:
                if pool is not None:
                    pool.shutdown(cancel_futures=True)
            if qa is not None:
                qa.close()

        await asyncio.to_thread(close)

    async def __aenter__(self) -> AsyncEdgeQA:
        self._qa = await asyncio.to_thread(self._made_ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _made_ready(self) -> EdgeQA:
        qa = self._open()
        qa.remembered("?", "?")  # this opens the answer cache, which may take long and must not block the event loop
        return qa

    async def _read(self, work: Callable[[], T]) -> T:
        if self._readers is None:
            readers = await asyncio.to_thread(lambda: self.qa.plan.callers.value)  # the first plan probes the device
            if self._readers is None:  # no other task has made them meanwhile
                self._readers = ThreadPoolExecutor(readers, "edgeqa-reader")
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def _write(self, work: Callable[[], T]) -> T:
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "edgeqa-writer")
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


def _asynchronous(opener: Callable[P, EdgeQA]) -> Callable[P, AsyncEdgeQA]:
    """Returns an opener for asyncio, with the arguments and errors of `opener`."""

    def aopen(*args: P.args, **kwargs: P.kwargs) -> AsyncEdgeQA:
        return AsyncEdgeQA(partial(opener, *args, **kwargs))

    aopen.__doc__ = """Returns an `AsyncEdgeQA`, to be entered by `async with`; arguments and errors as for `open`.

    Examples:
        >>> import asyncio
        >>> async def main() -> str | None:
        ...     async with edgeqa.aopen() as qa:
        ...         return (await qa.ask("Who built it?", "The bridge was built by Dorman Long.")).text
        >>> asyncio.run(main())
        'Dorman Long'
    """
    return aopen


aopen = _asynchronous(runtime.open)
"""Returns an `AsyncEdgeQA`, to be entered by `async with`; arguments and errors as for `open`."""
