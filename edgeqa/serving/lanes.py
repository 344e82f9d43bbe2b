"""Lanes: looking up, reading and writing have threads of their own, so that none waits for another.

In: work, as functions. Out: their results, or the reason why the work was not done. Readings wait in a bounded queue,
in which owners take turns; a reading serves all callers who wait for the same. Work that cannot be done in time is
refused before it begins, and work that nobody waits for any more is dropped. The writing thread comes after all others.
The lanes belong to one event loop, and know no question.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from edgeqa.serving.errors import DeadlinePassed, Draining, Refused
from edgeqa.serving.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from edgeqa import Answer

T = TypeVar("T")

WAITING_PER_READER = 16
DRAINING_LIMIT_S = 20.0
LOOKERS, WAITING_LOOKS = 2, 256  # the threads that look up answers, and how many looks may wait for them
OTHERS = 4  # threads for other work without reading: lists, searches, watched folders
FIRST_READING_S = 0.2  # the estimate for a reading before there was one
RECENT = 0.2  # the weight of the last reading in the estimate
SPARE_READERS, HIT_LATELY_S = 2, 1.0
"""While remembered answers are asked for, two readers fewer work. The plan has more readers than cores, so that one can
take over while another works in Python; but a hit would wait where one of them holds the interpreter without a core."""
READER_NICENESS, WRITER_NICENESS = 5, 10
"""How far behind the loop: a hit does not wait for a core, either. Not further: what a reader holds, the loop waits for
while another program has the core. Where others want all cores (a load of 20 on two), that costs more than it gains: at
5, 2 and 0, hits' 99th percentile was 193, 134 and 96 ms, and 4, 7 and 13 questions a second were read."""
YIELDING_S = 0.05  # at most so long the writer waits, at each step, for readings to end


class Lanes:
    """The lanes of a process."""

    def __init__(self, readers: Callable[[], int], idle: Callable[[], object], *, idle_after_s: float) -> None:
        """Makes lanes, and starts no thread yet.

        Args:
            readers: a function that returns how many may read at a time; it is called once, in another thread, before
                the first reading.
            idle: a function that is called in another thread once nothing was read or written for a while.
            idle_after_s: the length of that while.
        """
        self._count_readers, self._be_idle, self._idle_after_s = readers, idle, idle_after_s
        self._turns: Turns[_Flight] = Turns()
        self._flights: dict[Hashable, _Flight] = {}
        self._lookers = ThreadPoolExecutor(LOOKERS, "edgeqa-looker")
        self._others = ThreadPoolExecutor(OTHERS, "edgeqa-other")
        self._looks = 0
        self._readers: ThreadPoolExecutor | None = None
        self._planning: asyncio.Task[int] | None = None
        self._writer = ThreadPoolExecutor(1, "edgeqa-writer", partial(_be_nice, WRITER_NICENESS))
        self._writing = 0
        self._quiet = threading.Event()  # set while nothing is being read
        self._quiet.set()
        self._stopping = threading.Event()
        self._idle: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Future[Any]] = set()
        self._hit_s = float("-inf")  # when something was found at hand
        self.reading_s = FIRST_READING_S
        """The estimate of the time that a reading takes."""
        self.readers = 0
        """The number of readings at a time; 0 before the first one."""
        self.reading = 0
        """The number of readings that run now."""
        self.draining = False
        """Whether nothing new begins."""

    @property
    def waiting(self) -> int:
        """The number of readings that wait."""
        return len(self._turns)

    @property
    def is_busy(self) -> bool:
        """Whether any work runs; after `drain`, this is work that has not ended in time."""
        return bool(self._background or self.reading)

    @property
    def has_free_reader(self) -> bool:
        """Whether a new reading would begin at once."""
        return self.reading < self._most_now()

    def note_hit(self) -> None:
        """Notes that a remembered answer was asked for."""
        self._hit_s = time.monotonic()

    def _most_now(self) -> int:
        """Returns the number of readings at a time, as it is at this moment."""
        if self.readers > 1 and time.monotonic() < self._hit_s + HIT_LATELY_S:
            return max(1, self.readers - SPARE_READERS)
        return self.readers

    async def look_up(self, work: Callable[[], T]) -> T:
        """Returns the result of `work`, which looks up remembered answers.

        Raises:
            Draining: if the lanes are being stopped.
            Refused: if too many looks wait.
        """
        return await self._look(self._lookers, work)

    async def look(self, work: Callable[[], T]) -> T:
        """Returns the result of `work`, which may take long, but reads no question; raises as `look_up` does."""
        return await self._look(self._others, work)

    async def _look(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self.draining:
            raise Draining
        if self._looks >= WAITING_LOOKS:
            raise Refused(1, "too much is being looked up")
        future = asyncio.get_running_loop().run_in_executor(pool, work)
        self._looks += 1
        future.add_done_callback(self._looked)
        self._keep(future)
        return await future

    def _looked(self, _: asyncio.Future[Any]) -> None:
        self._looks -= 1

    async def read(self, owner: str, key: Hashable, work: Callable[[], Answer], timeout_s: float) -> Answer:
        """Returns the result of a reading, which runs in its owner's turn, once for all who wait for the same.

        Args:
            owner: the owner whose turn it takes.
            key: a key that equal readings share.
            work: the function that reads.
            timeout_s: how long the caller waits.

        Raises:
            Draining: if the lanes are being stopped.
            Refused: if it cannot be read in time.
            DeadlinePassed: if it was not read in time.
            Exception: the error of `work`.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        if self._readers is None:
            await self._planned()
        if self.draining:
            raise Draining
        flight = self._flights.get(key)
        if flight is None:
            self._make_room(owner, deadline_s - loop.time())
            flight = self._flights[key] = _Flight(key, work)
        if not flight.begun:
            self._turns.put(owner, flight)
        waiter: asyncio.Future[Answer] = loop.create_future()
        flight.waiters.append(waiter)
        self._begin()
        # A timer is used, since `asyncio.wait_for` would take a hundredth of the time of a question on a sentence.
        late = loop.call_at(deadline_s, _tell_late, waiter, timeout_s)
        try:
            return await waiter
        finally:
            late.cancel()
            if waiter in flight.waiters:
                flight.waiters.remove(waiter)
            if not flight.waiters and not flight.begun and self._flights.get(key) is flight:
                self._turns.drop(flight)  # nobody waits for it any more
                del self._flights[key]

    def _make_room(self, owner: str, left_s: float) -> None:
        """Raises Refused if a new question of an owner could not be read in time, or has no room in the queue."""
        if self.has_free_reader:
            return
        expected_s = (self._turns.ahead(owner) + self.reading) * self.reading_s / self._most_now()
        is_full = len(self._turns) >= WAITING_PER_READER * self.readers
        if is_full and (other := self._turns.to_give_way(owner)) is not None:
            self._turns.drop(other)
            self._land(other, error=Refused(expected_s))
        elif is_full or expected_s > left_s:
            raise Refused(expected_s)

    async def _planned(self) -> None:
        """Finds out how many may read at a time."""
        if self._planning is None:
            self._planning = asyncio.ensure_future(self.look(self._count_readers))
        try:
            readers = await asyncio.shield(self._planning)
        except Exception:
            self._planning = None  # the next time, there may be more memory
            raise
        if self._readers is None:
            self.readers, self._readers = (
                readers,
                ThreadPoolExecutor(readers, "edgeqa-reader", partial(_be_nice, READER_NICENESS)),
            )

    def _begin(self) -> None:
        """Begins the readings that may begin now."""
        while self._readers is not None and self.has_free_reader and not self.draining:
            flight = self._turns.take()
            if flight is None:
                return
            flight.begun = True
            self.reading += 1
            self._quiet.clear()
            done = partial(self._done, flight, time.monotonic())
            future = self._readers.submit(flight.work)
            future.add_done_callback(partial(_call_in, asyncio.get_running_loop(), done))

    def _done(self, flight: _Flight, began_s: float, future: Future[Answer]) -> None:
        self.reading -= 1
        if not self.reading:
            self._quiet.set()
        if future.cancelled():
            self._land(flight, error=Draining())
        elif (error := future.exception()) is not None:
            self._land(flight, error=error)
        else:
            answer = future.result()
            if not answer.cached:
                load_s = answer.timings_ms.get("load", 0.0) / 1000  # the time to load the model counts once
                self.reading_s += RECENT * (max(0.0, time.monotonic() - began_s - load_s) - self.reading_s)
            self._land(flight, answer=answer)
        self._begin()
        self._idle_later()

    def _land(self, flight: _Flight, *, answer: Answer | None = None, error: BaseException | None = None) -> None:
        """Gives the result of a reading to all who wait for it."""
        self._flights.pop(flight.key, None)
        for waiter in flight.waiters:
            if waiter.done():
                continue
            if error is not None:
                waiter.set_exception(error)
            elif answer is not None:
                waiter.set_result(answer)
        flight.waiters.clear()

    async def write(self, work: Callable[[], T]) -> T:
        """Returns the result of `work`, which changes a collection, and goes on even if the caller goes away.

        Raises:
            Draining: if the lanes are being stopped.
        """
        if self.draining:
            raise Draining
        self._writing += 1
        future = asyncio.get_running_loop().run_in_executor(self._writer, work)
        self._keep(future)
        future.add_done_callback(self._written)
        return await asyncio.shield(future)

    def _written(self, _: asyncio.Future[Any]) -> None:
        self._writing -= 1
        self._idle_later()

    def giving_way(self, progress: Callable[[str, int, int], None] | None) -> Callable[[str, int, int], None]:
        """Returns a progress callback, which waits a moment for readings, and ends the work when the lanes stop."""

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
        future.add_done_callback(_have_seen)

    def _idle_later(self) -> None:
        """Starts the timer that notices when nothing was read or written for a while."""
        if self._idle is not None:
            self._idle.cancel()
        if not (self.draining or self.reading or self._writing):
            self._idle = asyncio.get_running_loop().call_later(self._idle_after_s, self._idle_now)

    def _idle_now(self) -> None:
        if not (self.draining or self.reading or self._writing):
            self._keep(asyncio.get_running_loop().run_in_executor(self._others, self._be_idle))

    async def drain(self) -> bool:
        """Begins nothing more, and waits for running work; returns whether all of it has ended in time."""
        self.draining = True
        self._stopping.set()
        for flight in [flight for flight in self._flights.values() if not flight.begun]:
            self._turns.drop(flight)
            self._land(flight, error=Draining())
        if self._idle is not None:
            self._idle.cancel()
        for flight in self._flights.values():  # begun with; it waits for them as their callers do
            flight.waiters.append(ending := asyncio.get_running_loop().create_future())
            self._keep(ending)
        if self._background:
            await asyncio.wait(self._background, timeout=DRAINING_LIMIT_S)
        for pool in (self._lookers, self._others, self._readers, self._writer):
            if pool is not None:
                pool.shutdown(wait=not self.is_busy, cancel_futures=True)
        return not self.is_busy


@dataclass(eq=False, slots=True)
class _Flight:
    """A reading, and the callers who wait for it."""

    key: Hashable
    work: Callable[[], Answer]
    waiters: list[asyncio.Future[Answer]] = field(default_factory=list)
    begun: bool = False


def _have_seen(future: asyncio.Future[Any]) -> None:
    """Keeps asyncio from printing the traceback of a reading that nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def _tell_late(waiter: asyncio.Future[Answer], timeout_s: float) -> None:
    if not waiter.done():
        waiter.set_exception(DeadlinePassed(timeout_s))


def _call_in(loop: asyncio.AbstractEventLoop, done: Callable[[Future[Answer]], None], future: Future[Answer]) -> None:
    """Passes the result of a thread to the loop; asyncio's own way makes a second future, and calls twice."""
    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits for it
        loop.call_soon_threadsafe(done, future)


def _be_nice(niceness: int) -> None:
    """Makes this thread, and those that it starts, yield to others, if the system has a niceness for threads."""
    with contextlib.suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)
