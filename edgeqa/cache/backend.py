"""What all caches on one directory in one process share: the store, its writer, the table in front, and the counts.

In: records and addresses. Out: records, and never an exception: every fault is counted, and what cannot go on is left
out, first the writing, then the store. The store is opened at the first use, and again by a forked child, which lets go
of its parent's handles: LMDB allows no environment across a fork. What writes is imported at the first change, so that
a process that hits need not. Who shares which backend is told by `sharing`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from edgeqa.cache.environment import StoreBusy, StoreFault
from edgeqa.cache.front import Front
from edgeqa.cache.guard import ENTER_WAIT_S, Guard
from edgeqa.cache.premises import CHECKED_AT_ONCE_BYTES, CheckDue
from edgeqa.cache.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.cache.commits import Committed
    from edgeqa.cache.flight import Flights
    from edgeqa.cache.ledger import Ledger
    from edgeqa.cache.store import Store, Usage
    from edgeqa.cache.writer import Change
    from edgeqa.cache.writing import Writing

_TRY_AGAIN_AFTER_S = 0.010  # the parts of one question do not each try
_left_open: list[tuple[Guard, Store, Writing | None]] = []
_PASSING_FAULTS = frozenset({"disk_full", "read_only", "map_full", "readers_full"})


class Backend:
    """One cache directory as this process sees it; without a directory, the table in front alone."""

    def __init__(self, directory: Path | None, map_bytes: int, *, durable: bool, front_entries: int) -> None:
        self.directory = directory
        self.remove_when_left: Path | None = None
        self.users = 0
        self.note = ""
        self.remembers = True
        self.front = Front(front_entries, enter=self._enter)
        self.tally = Tally(self.front)
        self._map_bytes, self._durable = map_bytes, durable
        self.queued: dict[bytes, Change] = {}
        self._reset()

    def _reset(self) -> None:
        """Starts without handles and locks; also in a forked child, where the parent's are of no use."""
        self._lock = threading.RLock()  # who is interrupted while it is held may come again
        self._guard: Guard | None = None
        self._store: Store | None = None
        self._leaving: Store | None = None  # while it is being closed
        self._writing: Writing | None = None
        self.queued.clear()
        # Starts a read of the store: its `get` of an address gives what its `get` gives the record for. Without a store
        # that is a dict, in which nothing is found.
        self.begin: Callable[[], Any] = self._enter_and_begin
        self._entered = self._was_busy = False
        self._not_before_s = 0.0
        self._flights: Flights | None = None
        self._broken = False

    @property
    def flights(self) -> Flights:
        """The computations under way; made at the first miss, so that a process that hits does not import so much."""
        if self._flights is None:
            from edgeqa.cache.flight import Flights

            directory = self.directory if self.is_open else None
            with self._lock:
                self._flights = self._flights or Flights(directory)
        return self._flights

    def _enter(self) -> Store | None:
        """Opens the store at the first use, and again after a fork, or where others have kept it from being opened."""
        if self._entered or time.monotonic() < self._not_before_s:
            return None if self._broken else self._store
        with self._lock:
            if not self._entered:
                self._entered = self.directory is None or self._try(self.directory)
                if self._entered:
                    self.begin = dict if self._store is None else self._store.begin
                else:
                    self._not_before_s = time.monotonic() + _TRY_AGAIN_AFTER_S
        return None if self._broken else self._store

    def _try(self, directory: Path) -> bool:
        """Opens the store, or notes why there is none; returns whether that is settled."""
        self._guard = guard = Guard(directory)
        try:
            store = self._entering(guard, directory)
        except StoreFault as fault:
            self._guard = None
            self.note = str(fault)
            self.tally.count(fault.kind)
            self._was_busy = isinstance(fault, StoreBusy)
            return not self._was_busy
        except BaseException:  # an interrupt: the next use tries again
            self._guard = None
            raise
        else:
            self._use(guard, store)
            return True
        finally:
            for kind in guard.premises.quarantined:
                self.tally.count(kind)

    def _entering(self, guard: Guard, directory: Path) -> Store:
        wait_s = 0.0 if self._was_busy else ENTER_WAIT_S  # who has waited once does not wait at each question

        def enter(most_check_bytes: int | None) -> Store:
            return guard.enter(self._map_bytes, durable=self._durable, wait_s=wait_s, most_check_bytes=most_check_bytes)

        try:
            return enter(CHECKED_AT_ONCE_BYTES)
        except CheckDue:
            from edgeqa.cache import checking

            if checking.begin(directory, self._map_bytes):
                raise
            return enter(None)  # no process can be started here

    @property
    def entered(self) -> bool:
        """Whether the store has been opened, or been given up."""
        return self._entered

    def enter(self) -> None:
        """Opens the store, which the first use would do."""
        self._enter()

    @property
    def has_room(self) -> bool:
        """Whether what is written now does not wait for others to be written first."""
        return self._writing is None or self._writing.has_room

    def _enter_and_begin(self) -> Any:  # noqa: ANN401 - a transaction, or what stands for none
        self._enter()
        return self.begin() if self._entered else {}

    def _use(self, guard: Guard, store: Store) -> None:
        if guard.ledger is not None:
            self.front.watch(guard.ledger)
        self._store = store
        self._was_busy, self.note = False, ""
        self._flights = None  # what was made without the store has no leases

    def _writing_to(self, store: Store | None) -> Writing | None:
        """Returns the way into the store, made at the first change; none when the cache is closed meanwhile."""
        if self._writing is None and store is not None:
            from edgeqa.cache.writing import Writing

            with self._lock:
                guard = self._guard
                if self._writing is None and guard is not None and self._store is store:
                    self._writing = Writing(
                        store,
                        guard,
                        self.tally,
                        self.queued,
                        on_change=self._tell,
                        on_fault=self._fail,
                        at_exit=self.close,
                    )
        return self._writing

    @property
    def is_open(self) -> bool:
        """Whether there is a store."""
        return self._enter() is not None

    def read(self, digest: bytes) -> bytes | None:
        """Returns the record at an address, written or still queued."""
        store = self._enter()
        if store is None:
            return None
        change = self.queued.get(digest)
        if change is not None:
            return change.record
        try:
            return store.read(digest)
        except StoreFault as fault:
            self._fail(fault)
            return None

    def write(self, digest: bytes, record: bytes | None, done: Callable[[], None] | None = None) -> None:
        """Queues a record or a deletion; `done` is called when it is settled, stored or not."""
        writing = self._writing_to(self._enter())
        if writing is not None:
            writing.write(digest, record, done)
        elif done is not None:
            done()

    def flush(self) -> None:
        """Waits until all that was queued is settled."""
        if self._writing is not None:
            self._writing.flush()

    def clear(self) -> bool:
        """Deletes everything; returns whether that is done, and not kept from it by another process."""
        writing = self._writing_to(self._enter())
        cleared = writing.clear() if writing is not None else self.directory is None
        self.front.clear()
        if (ledger := self._ledger) is not None:
            ledger.add({"epoch": 1})
        return cleared

    def _tell(self, committed: Committed) -> None:
        """Has every process drop what it has at hand of records that are others now; and this one of those evicted."""
        for digest in committed.gone:
            self.front.change(digest)
        ledger = self._ledger
        mark = ledger.mark(committed.replaced + committed.gone) if ledger is not None else None
        if mark is not None:
            self.front.marked(mark)

    def usage(self) -> Usage | None:
        """Returns how full the store is, or None without one."""
        store = self._enter()
        with contextlib.suppress(StoreFault):
            return store.usage() if store is not None else None
        return None

    def problems(self) -> list[str]:
        """Returns what is wrong with the store's invariants."""
        self.flush()
        store = self._enter()
        try:
            return store.problems() if store is not None else []
        except StoreFault as fault:
            return [str(fault)]

    def totals(self) -> dict[str, int]:
        """Returns the counts of all processes so far, this one's included."""
        self._enter()
        ledger = self._ledger
        self.tally.save(ledger)
        return dict(self.tally.counts) if ledger is None else ledger.totals()

    @property
    def _ledger(self) -> Ledger | None:
        return self._guard.ledger if self._guard is not None else None

    def make_durable(self) -> None:
        """Has every commit from now on wait for the disk: another who shares this wants it."""
        self._durable = True
        if self._store is not None:
            self._store.make_durable()

    def close(self) -> None:
        """Commits, syncs, leaves. Harmless when repeated; what comes after finds nothing and stores nothing.

        Where the writer does not come to an end, as behind a process that was stopped while it writes, the store is
        left open until this process ends.
        """
        with self._lock:
            self._entered = True
            self.begin = dict
            # What an interrupted attempt has left to do is done by the next.
            store = self._leaving = self._store or self._leaving
            guard, writing = self._guard, self._writing
        interrupted: BaseException | None = None
        ended = True
        if writing is not None:
            try:
                ended = writing.stop()
            except BaseException as error:  # what is inside of LMDB must come out of it, and has not much left to do
                interrupted = error
                ended = writing.stop()
        if not ended:
            self.tally.count("unavailable")
        self.tally.save(self._ledger)
        self.front.unwatch()
        flights, self._flights = self._flights, None
        if flights is not None:
            flights.close()
        self._store = None
        last = False
        if guard is not None and store is not None and not ended:
            guard.distrust()
            _left_open.append((guard, store, writing))  # its writer may still be inside
        elif guard is not None and store is not None and interrupted is not None:
            store.close()
            guard.abandon()  # not sealed, which takes a while: the next start verifies the file
        else:
            last = guard.leave(store) if guard is not None and store is not None else True
        self._leaving = None
        if interrupted is not None:
            raise interrupted
        if last and self.remove_when_left is not None:
            import shutil

            shutil.rmtree(self.remove_when_left, ignore_errors=True)

    def before_fork(self) -> None:
        """Has the store empty of threads; those that come wait outside."""
        if self._store is not None:
            if self.begin is not dict:  # given up for dead, it stays so
                self.begin = _not_now  # and not kept: it refers to the environment
            self._store.before_fork()

    def after_fork(self) -> None:
        """Goes on in the parent."""
        if self._store is not None:
            self._store.after_fork()
            if self.begin is _not_now:
                self.begin = self._store.begin

    def forked(self) -> None:
        """Lets go of what belongs to the parent; the first use enters anew."""
        if self._guard is not None:
            self._guard.forked()
        if self._flights is not None:
            self._flights.close()
        if self._store is not None:
            self._store.forked()
        was_closed = self._entered and self._store is None
        self.front.forked()
        self.tally.forked()
        self._reset()
        if was_closed:
            self._entered, self.begin = True, dict

    def _fail(self, fault: StoreFault) -> None:
        self.tally.count(fault.kind)
        self.note = str(fault)
        if fault.kind not in _PASSING_FAULTS and self._guard is not None:
            self._guard.distrust()
            self._broken = True  # left open until the end: other threads may be inside LMDB now
            self.begin = dict


def _not_now() -> None:
    """Stands for `begin` while the process forks: whoever meets it goes the careful way, which waits."""
    raise StoreFault(kind="unavailable", reason="the process forks")
