"""Single flight: callers that want one missing value at once cause one call, across threads, tasks and processes.

In: a key, how to look, how to compute, how to store. Out: the value. The first caller leads: it takes the process's
lease, looks again (another process may have been quicker), computes and stores; the lease is given back when the value
is committed. The others of its process wait for it and get its value or its error. A leader that is cancelled or killed
hands over: a waiter leads next. A leader that takes longer than the lease is not waited for any more.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from edgeqa.cache.front import ABSENT
from edgeqa.cache.leases import Leases
from edgeqa.errors import ComputationFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from edgeqa.cache.keys import Key

    Find = Callable[[], Any]
    Settle = Callable[[Any, Callable[[], None]], Any]

LEASE_S = 60.0

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.020


class _HandedOver(Exception):
    """The leader gave up without an outcome."""


class Flights:
    """The computations under way in this process, and the leases that this process has among others."""

    def __init__(self, directory: Path | None) -> None:
        self._lock = threading.Lock()
        self._table: dict[bytes, _Flight] = {}
        self.leases = Leases(directory / "leases") if directory is not None else None

    def run(self, key: Key, find: Find, compute: Callable[[], Any], settle: Settle) -> Any:  # noqa: ANN401 - any value
        """Returns what `find` finds, or else what `settle` makes of what `compute` returns, computed once.

        Raises:
            ComputationFailed: another process computed it, and failed.
            Exception: what `compute` raised, here or in the thread that led.
        """
        me = threading.get_ident()
        while True:
            flight, outcome = self._join(key, me)
            if flight is not None:
                with flight:
                    for pause_s in flight.pauses():
                        time.sleep(pause_s)
                    found = flight.look(find)
                    return flight.land(settle, compute() if found is ABSENT else ABSENT, found)
            if outcome is None:
                return settle(compute(), _nothing)
            try:
                return outcome.result()
            except _HandedOver:
                continue

    async def run_async(self, key: Key, find: Find, compute: Callable[[], Awaitable[Any]], settle: Settle) -> Any:  # noqa: ANN401
        """Does what `run` does, for a function that is awaited; the event loop goes on meanwhile.

        Raises:
            ComputationFailed: another process computed it, and failed.
            Exception: what `compute` raised, here or in the task that led.
        """
        import asyncio

        me = asyncio.current_task()
        while True:
            flight, outcome = self._join(key, me)
            if flight is not None:
                with flight:
                    for pause_s in flight.pauses():
                        await asyncio.sleep(pause_s)
                    found = flight.look(find)
                    return flight.land(settle, await compute() if found is ABSENT else ABSENT, found)
            if outcome is None:
                return settle(await compute(), _nothing)
            try:
                return await asyncio.wrap_future(outcome)
            except _HandedOver:
                continue

    def _join(self, key: Key, me: object) -> tuple[_Flight | None, Future[Any] | None]:
        """Returns the flight that the caller leads, or else what it waits for; neither if it would wait for itself."""
        with self._lock:
            flight = self._table.get(key.check)
            if flight is None:
                flight = self._table[key.check] = _Flight(self, key, me)
                return flight, None
            return None, None if flight.leader == me else flight.outcome_for_others()

    def leave(self, key: Key) -> None:
        """Ends the flight of a key: from now on nobody begins to wait for it."""
        with self._lock:
            self._table.pop(key.check, None)

    def close(self) -> None:
        """Gives all leases back."""
        if self.leases is not None:
            self.leases.close()


class _Flight:
    """A computation under way: its leader's part, from the lease to the outcome; the same for threads and tasks.

    What the others wait for is made when there is another. Mostly there is none, and it takes longer than all the rest.
    """

    _outcome: Future[Any] | None = None
    _landed: Any = ABSENT
    _leased = _kept_until_stored = False
    _waited_since_ns: int | None = None

    def __init__(self, flights: Flights, key: Key, leader: object) -> None:
        self._flights, self._key, self.leader = flights, key, leader
        self._leases = flights.leases

    def outcome_for_others(self) -> Future[Any]:
        """Returns what those wait for who do not lead. Only for who has seen the flight in the table, and locked it."""
        if self._outcome is None:
            from concurrent.futures import Future

            self._outcome = Future()
            self._outcome.set_running_or_notify_cancel()  # so that one waiter's cancellation cannot cancel it for all
        return self._outcome

    def pauses(self) -> Iterator[float]:
        """Yields how long to pause between attempts to get the lease, until there is it or its time is over."""
        if self._leases is None:
            return
        pause_s, began_ns = _FIRST_PAUSE_S, time.monotonic_ns()
        while not self._leases.take(self._key):
            self._waited_since_ns = began_ns
            if time.monotonic_ns() - began_ns > LEASE_S * 1e9:
                return
            yield pause_s
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        self._leased = True

    def look(self, find: Find) -> Any:  # noqa: ANN401 - any value
        """Returns what is stored by now, or ABSENT; raises if the one who computed meanwhile failed."""
        found = find()
        if found is ABSENT and self._leases is not None and self._waited_since_ns is not None:
            failure = self._leases.failure_since(self._key, self._waited_since_ns)
            if failure is not None:
                raise failure
        return found

    def land(self, settle: Settle, computed: Any, found: Any) -> Any:  # noqa: ANN401 - any value
        """Stores a computed value, and returns it or the one that was found."""
        if found is ABSENT:
            self._kept_until_stored = self._leased
            found = settle(computed, self._give_back)
        self._landed = found
        return found

    def _give_back(self) -> None:
        if self._leased and self._leases is not None:
            self._leases.give_back(self._key)

    def __enter__(self) -> None:
        """Leads."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._flights.leave(self._key)
        if error is None:
            if self._outcome is not None:
                self._outcome.set_result(self._landed)
        else:
            news = isinstance(error, Exception) and not isinstance(error, ComputationFailed)
            if news and self._leases is not None and self._leased:
                self._leases.note_failure(self._key, type(error).__name__, str(error))
            if self._outcome is not None:
                self._outcome.set_exception(error if isinstance(error, Exception) else _HandedOver())
        if error is not None or not self._kept_until_stored:
            self._give_back()


def _nothing() -> None:
    """Does nothing: there is no lease to give back."""
