"""`Engine`: who may ask what, in which order, and until when. Every protocol asks here, and nowhere else.

In: callers, and what they ask. Out: what the Python API gives, or one of `serving.errors`. Of one event loop. What is
remembered is looked up at once, and never waits behind a reading; what has to be read waits in a bounded queue, where
callers take turns, and is read by as many threads as the plan says; equal questions are read once. What cannot be
answered in time is refused before it is begun with, and what nobody waits for any more is not read. One thread, niced,
changes collections. It knows no protocol, and keeps no question.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import edgeqa
from edgeqa.serving import allocator
from edgeqa.serving.callers import (
    ADD,
    ASK,
    DEFAULT_TIMEOUT_S,
    LONGEST_TIMEOUT_S,
    MOST_NAME_CHARACTERS,
    MOST_QUESTION_CHARACTERS,
)
from edgeqa.serving.errors import (
    CollectionNotServed,
    DeadlinePassed,
    Draining,
    NameInSeveral,
    Refused,
    ValueOutOfRange,
)
from edgeqa.serving.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgeqa import Added, Answer, ClosePassage, CollectionInfo, Counters, EdgeQA, ListedDocument, Shown

    Given = str | Path | Sequence[str | Path]
    from edgeqa.serving.callers import Caller

T = TypeVar("T")

WAITING_PER_READER = 16
DRAINING_LIMIT_S = 20.0
KEEP_MODEL_S = 600.0
LOOKERS, WAITING_LOOKS = 2, 256  # threads that look at files, and how much may wait for them
FIRST_READING_S = 0.2  # how long a reading is taken to be before there was one
RECENT = 0.2  # how much the last reading counts in what one is taken to be
WRITER_NICENESS = 10
YIELDING_S = 0.05  # at most so long the writer waits, at each step, for readings to end


class Engine:
    """The engine of a process. Made by `Engine.open`, to be used in one event loop, and closed there by `drain`."""

    def __init__(self, runtimes: Mapping[str, EdgeQA], *, keep_model_s: float = KEEP_MODEL_S) -> None:
        """Serves collections, each by its runtime; the first is the default. It closes them in the end."""
        self._runtimes, self._keep_model_s = dict(runtimes), keep_model_s
        self._first = next(iter(self._runtimes.values()))
        self._turns: Turns[_Flight] = Turns()
        self._flights: dict[Hashable, _Flight] = {}
        self._lookers = ThreadPoolExecutor(LOOKERS, "edgeqa-looker")
        self._looks = 0
        self._readers: ThreadPoolExecutor | None = None
        self._readers_count, self._reading = 0, 0
        self._planning: asyncio.Task[int] | None = None
        self._writer = ThreadPoolExecutor(1, "edgeqa-writer", _be_nice)
        self._writing = 0
        self._quiet = threading.Event()  # nothing is being read
        self._quiet.set()
        self._stopping = threading.Event()
        self._idle: asyncio.TimerHandle | None = None
        self._reading_s = FIRST_READING_S
        self._background: set[asyncio.Future[Any]] = set()
        self.draining = False
        """Whether it is being stopped: nothing new is begun with."""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How often each way (`Caller.way`) came to each outcome: remembered, read, no_answer, refused, error."""

    @classmethod
    def open(
        cls,
        collections: Sequence[str | Path] = ("default",),
        *,
        keep_model_s: float = KEEP_MODEL_S,
        bundle: str | None = None,
    ) -> Engine:
        """Returns an engine for collections, which need not be there yet; raises as `edgeqa.open` and `EdgeQA.key` do.

        Args:
            collections: names or directories; the first is asked where none is named.
            keep_model_s: for how long the model is kept when nothing has to be read.
            bundle: as for `edgeqa.open`.
        """
        first = edgeqa.open(collection=collections[0], bundle=bundle)
        others = {_name(other): first.with_collection(other) for other in collections[1:]}
        for qa in (first, *others.values()):
            with contextlib.suppress(LookupError):  # nothing was added to it yet
                qa.key("?")  # has it opened: what is wrong with it is said now, and not at each question
        return cls({_name(collections[0]): first, **others}, keep_model_s=keep_model_s)

    # --- asking --------------------------------------------------------------------------------------------------

    async def ask(
        self,
        caller: Caller,
        question: str,
        *,
        collection: str | None = None,
        context: Given | None = None,
        within: Sequence[str] | None = None,
        top: int = 1,
        force: bool = False,
        contexts: int | None = None,
        refresh: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Returns the answer to a question: the one remembered, or one read now.

        Args:
            caller: who asks.
            question: as for `EdgeQA.ask`.
            collection: which one is asked; by default the first.
            context: texts to ask instead: a str, a Path, or several. No path of a caller's own choice may be given.
            within: as for `EdgeQA.ask`.
            top: as for `EdgeQA.ask`.
            force: as for `EdgeQA.ask`.
            contexts: how many passages to read, as `most_contexts` of `EdgeQA.ask`.
            refresh: as for `EdgeQA.ask`.
            timeout_s: how long the caller waits, up to a minute.

        Raises:
            NotAllowed: if the caller may not ask.
            CollectionNotServed: if there is no such collection here.
            Refused: if the question cannot be read in time.
            DeadlinePassed: if it was not.
            EdgeQAError: as `EdgeQA.ask` does.
        """
        with self._counted(caller):
            caller.require(ASK)
            qa = self._runtime(collection)
            _check_length("question", question, MOST_QUESTION_CHARACTERS)
            timeout_s = _checked_timeout(timeout_s)
            names = None if within is None else tuple(within)
            look = partial(qa.remembered, question, context, top=top, force=force, most_contexts=contexts, within=names)
            if not refresh:
                found = look(at_hand=True) or await self.look(look)
                if found is not None:
                    return self._noted(caller, found)
            texts = context if context is None or isinstance(context, (str, os.PathLike)) else tuple(context)
            key = (id(qa), question, texts, names, top, force, contexts, refresh)
            ask = partial(qa.ask, question, context, top=top, force=force, most_contexts=contexts, within=names)
            work = partial(ask, refresh=refresh)
            return self._noted(caller, await self._read(caller, key, work, timeout_s))

    async def get(
        self,
        caller: Caller,
        name: str,
        *,
        collection: str | None = None,
        force: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Returns the answer of a name (`bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION`), remembered, or read now.

        Args:
            caller: who asks.
            name: of the answer.
            collection: where it is from; by default any that is served.
            force: as for `EdgeQA.get`.
            timeout_s: how long the caller waits, up to a minute.

        Raises:
            NotAllowed, CollectionNotServed, Refused, DeadlinePassed: as for `ask`.
            NameInSeveral: if more than one collection has a context of this name.
            EdgeQAError: as `EdgeQA.get` does: the name is none, or no collection has its context.
        """
        with self._counted(caller):
            caller.require(ASK)
            _check_length("name", name, MOST_NAME_CHARACTERS)
            timeout_s = _checked_timeout(timeout_s)
            only = self._only(collection)
            found = only.remembered_name(name, force=force, at_hand=True) if only is not None else None
            if found is not None:
                return self._noted(caller, found)
            qa, found = await self.look(partial(self._named, name, only, force=force))
            if found is not None:
                return self._noted(caller, found)
            key = (id(qa), "get", name, force)
            return self._noted(caller, await self._read(caller, key, partial(qa.get, name, force=force), timeout_s))

    def remembered(
        self,
        caller: Caller,
        question: str,
        *,
        collection: str | None = None,
        context: str | None = None,
        top: int = 1,
        force: bool = False,
        contexts: int | None = None,
    ) -> Answer | None:
        """Returns the answer if it is at hand in this process, at once, and counts it.

        None does not say that it is not remembered.

        Raises:
            NotAllowed, CollectionNotServed: as for `ask`.
        """
        caller.require(ASK)
        qa = self._runtime(collection)
        found = qa.remembered(question, context, top=top, force=force, most_contexts=contexts, at_hand=True)
        return None if found is None else self._noted(caller, found)

    def name_at_hand(self, caller: Caller, name: str) -> Answer | None:
        """Returns the answer of a name if it is at hand in this process, at once, and counts it.

        None does not say that it is not remembered; where several collections are served, it is always None.

        Raises:
            NotAllowed: as for `ask`.
        """
        caller.require(ASK)
        only = self._only(None)
        found = None if only is None else only.remembered_name(name, at_hand=True)
        return None if found is None else self._noted(caller, found)

    def remembered_name(
        self, caller: Caller, name: str, *, collection: str | None = None, force: bool = False
    ) -> Answer | None:
        """Returns the answer of a name if it is remembered, and None if it would have to be read; looks at files.

        Raises:
            NotAllowed, CollectionNotServed, NameInSeveral: as for `get`.
            EdgeQAError: as `EdgeQA.remembered_name` does.
        """
        caller.require(ASK)
        _check_length("name", name, MOST_NAME_CHARACTERS)
        only = self._only(collection)
        if only is not None:
            return only.remembered_name(name, force=force)
        return self._named(name, None, force=force)[1]

    async def look_up_name(self, caller: Caller, name: str) -> Answer | None:
        """Returns what `remembered_name` does, and raises as that does; files are looked at in another thread."""
        return await self.look(partial(self.remembered_name, caller, name))

    async def forget_name(self, caller: Caller, name: str, *, collection: str | None = None) -> bool:
        """Deletes the remembered answer of a name; returns whether it was there.

        Raises:
            NotAllowed: if the caller may not change the collection.
            CollectionNotServed, NameInSeveral, EdgeQAError: as for `get`.
        """
        caller.require(ADD)
        only = self._only(collection)

        def forget() -> bool:
            qa, found = self._named(name, only, force=False)
            return found is not None and qa.forget_name(name)

        return await self.look(forget)

    # --- looking -------------------------------------------------------------------------------------------------

    async def closest(
        self,
        caller: Caller,
        question: str,
        most: int = 5,
        *,
        collection: str | None = None,
        within: Sequence[str] | None = None,
    ) -> list[ClosePassage]:
        """Returns the passages (`ClosePassage`) that share most with the question, best first, without reading them."""
        caller.require(ASK)
        _check_length("question", question, MOST_QUESTION_CHARACTERS)
        return await self.look(partial(self._runtime(collection).closest, question, most, within=within))

    async def passage(self, caller: Caller, address: str, *, collection: str | None = None) -> Shown:
        """Returns the passage at an address with what stands around it (`Shown`); no file is read for it.

        Raises:
            ContextGone: if no collection has such a passage.
        """
        return await self._shown(caller, address, collection)

    async def text(self, caller: Caller, document: str, *, collection: str | None = None) -> Shown:
        """Returns the whole text of a document of a collection (`Shown`); no file is read for it.

        Raises:
            ContextGone: if no collection has such a document.
        """
        return await self._shown(caller, document, collection)

    async def documents(
        self, caller: Caller, *, collection: str | None = None, after: str = "", most: int = 1000
    ) -> list[ListedDocument]:
        """Returns documents (`ListedDocument`), by name: those whose names come after `after`, at most `most`."""
        caller.require(ASK)
        qa = self._runtime(collection)

        def listed() -> list[ListedDocument]:
            try:
                every = qa.list()
            except LookupError:  # nothing was added yet
                return []
            return sorted((one for one in every if one.document > after), key=lambda one: one.document)[:most]

        return await self.look(listed)

    async def collections(self, caller: Caller) -> list[CollectionInfo]:
        """Returns what is known of the collections that are served and are there, the default one first."""
        caller.require(ASK)
        known = {found.name: found for found in await self.look(edgeqa.collections)}
        return [known[name] for name in self._runtimes if name in known]

    @property
    def collection_names(self) -> tuple[str, ...]:
        """The names of the collections that are served; the first is the default."""
        return tuple(self._runtimes)

    # --- changing ------------------------------------------------------------------------------------------------

    async def add(
        self,
        caller: Caller,
        path: Path,
        name: str,
        *,
        collection: str | None = None,
        format: str | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Added:
        """Adds one file under a name of its own, by which it is known from then on; returns what was done.

        Args:
            caller: who adds.
            path: of the file, which need not stay.
            name: what it is called; another of that name takes its place.
            collection: where it is added; by default the first.
            format: of the file; by default told from its path's ending and its content.
            progress: called in another thread, as it goes on.

        Raises:
            NotAllowed: if the caller may not add.
            Refused: if the server is being stopped.
            EdgeQAError: as `EdgeQA.add` does.
        """
        caller.require(ADD)
        qa = self._runtime(collection)
        add = partial(qa.add, path, name=name, copied=True, format=format)
        return await self._write(lambda: add(progress=self._giving_way(progress)))

    async def sync(self, caller: Caller, path: Path, *, collection: str | None = None) -> Added:
        """Adds what is new at a path, and removes what is gone; returns what was done, and raises as `add` does."""
        caller.require(ADD)
        sync = partial(self._runtime(collection).sync, path)
        return await self._write(lambda: sync(progress=self._giving_way(None)))

    async def remove(self, caller: Caller, name: str, *, collection: str | None = None) -> list[str]:
        """Removes a file or document from a collection; returns the names of the documents that are gone.

        Raises:
            NotAllowed: if the caller may not change the collection.
            ContextGone: if there is none of this name.
            EdgeQAError: as `EdgeQA.remove` does.
        """
        caller.require(ADD)
        return await self._write(partial(self._runtime(collection).remove, name))

    # --- the engine itself ---------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many questions wait to be read."""
        return len(self._turns)

    @property
    def reading(self) -> int:
        """How many questions are being read."""
        return self._reading

    @property
    def is_busy(self) -> bool:
        """Whether something still runs in a thread of its; after `drain`, what has not ended in time."""
        return bool(self._background)

    def counters(self) -> dict[str, Counters]:
        """Returns what `EdgeQA.counters` says of each collection."""
        return {name: qa.counters() for name, qa in self._runtimes.items()}

    @property
    def model_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._first.counters().model_loaded

    @property
    def runtime(self) -> EdgeQA:
        """The runtime of the default collection, for what asks nothing of it: its model, its plan."""
        return self._first

    async def drain(self) -> None:
        """Begins nothing more, waits for what is being read and written, and closes. Harmless when repeated."""
        if self.draining:
            return
        self.draining = True
        self._stopping.set()
        for flight in [flight for flight in self._flights.values() if not flight.begun]:
            self._turns.drop(flight)
            self._land(flight, error=Draining())
        if self._idle is not None:
            self._idle.cancel()
        if self._background:
            await asyncio.wait(self._background, timeout=DRAINING_LIMIT_S)
        pools = [pool for pool in (self._lookers, self._readers, self._writer) if pool is not None]
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        if not self._background:
            await asyncio.to_thread(self._close, pools)

    def _close(self, pools: Sequence[ThreadPoolExecutor]) -> None:
        for pool in pools:
            pool.shutdown()
        for qa in reversed(self._runtimes.values()):  # the first holds what the others share
            qa.close()

    def _runtime(self, collection: str | None) -> EdgeQA:
        if collection is None:
            return self._first
        if collection not in self._runtimes:
            raise CollectionNotServed(collection, self._runtimes)
        return self._runtimes[collection]

    def _only(self, collection: str | None) -> EdgeQA | None:
        """Returns the one runtime that a name can be of; None where there are several."""
        return self._runtime(collection) if collection is not None or len(self._runtimes) == 1 else None

    def _named(self, name: str, only: EdgeQA | None, *, force: bool) -> tuple[EdgeQA, Answer | None]:
        """Returns the runtime that has the context of a name, and the answer if it is remembered."""
        if only is not None:
            return only, only.remembered_name(name, force=force)
        found = self._of_each(lambda qa: (qa, qa.remembered_name(name, force=force)))
        if len(found) > 1:
            raise NameInSeveral(name, found)
        return next(iter(found.values()))

    def _of_each(self, look: Callable[[EdgeQA], T]) -> dict[str, T]:
        """Returns what the collections give that have what is looked for; raises what the first does if none has."""
        found: dict[str, T] = {}
        gone: list[LookupError] = []
        for name, qa in self._runtimes.items():
            try:
                found[name] = look(qa)
            except LookupError as error:  # noqa: PERF203 - it has no such thing, or is not there
                gone.append(error)
        if not found:
            raise gone[0]
        return found

    async def _shown(self, caller: Caller, name: str, collection: str | None) -> Shown:
        caller.require(ASK)
        only = self._only(collection)
        if only is not None:
            return await self.look(partial(only.show, name, files=False))
        found = await self.look(lambda: self._of_each(lambda qa: qa.show(name, files=False)))
        return next(iter(found.values()))

    async def look(self, work: Callable[[], T]) -> T:
        """Returns what `work` does, which may look at files but reads nothing, in a thread that readings do not use.

        Raises:
            Draining: if the server is being stopped.
            Refused: if too much waits for it.
        """
        if self.draining:
            raise Draining
        if self._looks >= WAITING_LOOKS:
            raise Refused(1, "too much is being looked up")
        self._looks += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._lookers, work)
        finally:
            self._looks -= 1

    async def _read(self, caller: Caller, key: Hashable, work: Callable[[], Answer], timeout_s: float) -> Answer:
        """Has something read in turn, once for all who wait for the same."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        await self._planned()
        if self.draining:
            raise Draining
        flight = self._flights.get(key)
        if flight is None:
            self._make_room(caller.name, deadline_s - loop.time())
            flight = self._flights[key] = _Flight(key, work)
        if not flight.begun:
            self._turns.put(caller.name, flight)
        waiter: asyncio.Future[Answer] = loop.create_future()
        flight.waiters.append(waiter)
        self._begin()
        try:
            return await asyncio.wait_for(waiter, deadline_s - loop.time())
        except asyncio.TimeoutError:
            raise DeadlinePassed(timeout_s) from None
        finally:
            if waiter in flight.waiters:
                flight.waiters.remove(waiter)
            if not flight.waiters and not flight.begun:  # nobody waits for it any more
                self._turns.drop(flight)
                self._flights.pop(key, None)

    def _make_room(self, owner: str, left_s: float) -> None:
        """Raises Refused where a new question of an owner could not be read in time, or there is no room for it."""
        expected_s = (self._turns.ahead(owner) + self._reading) * self._reading_s / self._readers_count
        is_full = len(self._turns) >= WAITING_PER_READER * self._readers_count
        if is_full and (other := self._turns.to_give_way(owner)) is not None:
            self._turns.drop(other)
            self._land(other, error=Refused(expected_s))
        elif is_full or expected_s > left_s:
            raise Refused(expected_s)

    async def _planned(self) -> None:
        """Has it found out how many read at a time; the device is looked at for it, once."""
        if self._readers is not None:
            return
        if self._planning is None:
            self._planning = asyncio.ensure_future(self.look(lambda: self._first.plan.callers.value))
        try:
            self._readers_count = await asyncio.shield(self._planning)
        except edgeqa.EdgeQAError:
            self._planning = None  # there may be more memory the next time
            raise
        if self._readers is None:
            self._readers = ThreadPoolExecutor(self._readers_count, "edgeqa-reader")

    def _begin(self) -> None:
        """Begins to read what may be read now."""
        while self._readers is not None and self._reading < self._readers_count and not self.draining:
            flight = self._turns.take()
            if flight is None:
                return
            flight.begun = True
            self._reading += 1
            self._quiet.clear()
            began_s = time.monotonic()
            future = asyncio.get_running_loop().run_in_executor(self._readers, flight.work)
            self._keep(future)
            future.add_done_callback(partial(self._done, flight, began_s))

    def _done(self, flight: _Flight, began_s: float, future: asyncio.Future[Answer]) -> None:
        self._reading -= 1
        if not self._reading:
            self._quiet.set()
        if future.cancelled():
            self._land(flight, error=Draining())
        elif (error := future.exception()) is not None:
            self._land(flight, error=error)
        else:
            answer = future.result()
            load_s = answer.timings_ms.get("load", 0.0) / 1000  # of the model, once
            self._reading_s += RECENT * (max(0.0, time.monotonic() - began_s - load_s) - self._reading_s)
            self._land(flight, answer=answer)
        self._begin()
        self._unload_later()

    def _land(self, flight: _Flight, *, answer: Answer | None = None, error: BaseException | None = None) -> None:
        """Gives all who wait for a reading what has come of it."""
        self._flights.pop(flight.key, None)
        for waiter in flight.waiters:
            if waiter.done():
                continue
            if error is not None:
                waiter.set_exception(error)
            elif answer is not None:
                waiter.set_result(answer)
        flight.waiters.clear()

    async def _write(self, work: Callable[[], T]) -> T:
        """Does what changes a collection; a caller who goes away does not break it off."""
        if self.draining:
            raise Draining
        self._writing += 1
        future = asyncio.get_running_loop().run_in_executor(self._writer, work)
        self._keep(future)
        future.add_done_callback(self._written)
        return await asyncio.shield(future)

    def _written(self, _: asyncio.Future[Any]) -> None:
        self._writing -= 1
        self._unload_later()

    def _giving_way(self, progress: Callable[[str, int, int], None] | None) -> Callable[[str, int, int], None]:
        """Returns a progress callback, which waits a moment for what is being read, and ends all when it is stopped."""

        def step(doing: str, done: int, total: int) -> None:
            if self._stopping.is_set():
                raise Draining
            self._quiet.wait(YIELDING_S)
            if progress is not None:
                progress(doing, done, total)

        return step

    def _keep(self, future: asyncio.Future[Any]) -> None:
        self._background.add(future)
        future.add_done_callback(self._background.discard)

    def _unload_later(self) -> None:
        """Has the model go when nothing was read for as long as it is to be kept."""
        if self._idle is not None:
            self._idle.cancel()
        if not (self.draining or self._reading or self._writing):
            self._idle = asyncio.get_running_loop().call_later(self._keep_model_s, self._unload)

    def _unload(self) -> None:
        if not (self.draining or self._reading or self._writing):
            self._keep(asyncio.get_running_loop().run_in_executor(self._lookers, self._unload_now))

    def _unload_now(self) -> None:
        self._first.unload()
        allocator.give_back()

    @contextlib.contextmanager
    def _counted(self, caller: Caller) -> Iterator[None]:
        try:
            yield
        except (Refused, DeadlinePassed):
            self.outcomes[caller.way, "refused"] += 1
            raise
        except edgeqa.EdgeQAError:
            self.outcomes[caller.way, "error"] += 1
            raise

    def _noted(self, caller: Caller, answer: Answer) -> Answer:
        outcome = "remembered" if answer.cached else "read"
        self.outcomes[caller.way, "no_answer" if answer.text is None else outcome] += 1
        return answer


@dataclass(eq=False, slots=True)
class _Flight:
    """Something to be read, and who waits for it."""

    key: Hashable
    work: Callable[[], Answer]
    waiters: list[asyncio.Future[Answer]] = field(default_factory=list)
    begun: bool = False


def _name(collection: str | Path) -> str:
    return collection if isinstance(collection, str) else collection.name


def _checked_timeout(timeout_s: float) -> float:
    if isinstance(timeout_s, (int, float)) and 0 < timeout_s <= LONGEST_TIMEOUT_S:
        return float(timeout_s)
    raise ValueOutOfRange(
        name="timeout_s", value=timeout_s, expected=f"a number of seconds, up to {LONGEST_TIMEOUT_S:g}"
    )


def _check_length(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise ValueOutOfRange(name=what, value=f"{text[:40]}...", expected=f"at most {most} characters long")


def _be_nice() -> None:
    """Has the thread that writes come after all others, where threads have a niceness."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WRITER_NICENESS)
