"""What all caches on one directory in one process share: the store, its writer, the table in front, and the counts.

In: records and addresses. Out: records, and never an exception: every fault is counted, and what cannot go on is left
out, first the writing, then the store. The store is opened at the first use, and again by a forked child, which lets go
of its parent's handles: LMDB allows no environment across a fork. What writes is imported at the first change, so that
a process that hits need not. Who shares which backend is told by `sharing`.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from edgeqa.cache.environment import StoreFault
from edgeqa.cache.front import Front
from edgeqa.cache.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.cache.commits import Committed
    from edgeqa.cache.eviction import Hits
    from edgeqa.cache.flight import Flights
    from edgeqa.cache.store import Store, Usage
    from edgeqa.cache.writer import Change, Writer

_NOTED_HITS_LIMIT = 1 << 14
_PASSING_FAULTS = frozenset({"disk_full", "read_only", "map_full", "readers_full"})
_WRITE_PAUSE_S = 30.0
_SAVE_EVERY_S = 1.0


class Backend:
    """One cache directory as this process sees it; without a directory, the table in front alone."""

    def __init__(self, directory: Path | None, map_bytes: int, *, durable: bool, front_entries: int) -> None:
        self.directory = directory
        self.remove_when_left: Path | None = None
        self.users = 0
        self.note = ""
        self.remembers = True
        self.front = Front(front_entries)
        self.counts: dict[str, int] = {}
        self.hits = self.misses = 0  # like the front's hits: approximate, but for one thread exact
        self._map_bytes, self._durable = map_bytes, durable
        self.queued: dict[bytes, Change] = {}
        self.noted: list[bytes] = []  # addresses of hits; `settle_hits` takes them from time to time
        self._noted_hits: deque[bytes] = deque(maxlen=_NOTED_HITS_LIMIT)
        self._hits: Hits | None = None
        self._reset()

    def _reset(self) -> None:
        """Starts without handles and locks; also in a forked child, where the parent's are of no use."""
        self._lock = threading.Lock()
        self._counts_lock = threading.Lock()
        self._guard: Guard | None = None
        self._store: Store | None = None
        self._writer: Writer | None = None
        self.queued.clear()
        # Starts a read of the store: its `get` of an address gives what its `get` gives the record for. Without a store
        # that is a dict, in which nothing is found.
        self.begin: Callable[[], Any] = self._enter_and_begin
        self._entered = False
        self._writes_from_s = self._save_at_s = 0.0
        self._flights: Flights | None = None
        self._broken = self._exit_noted = False

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
        """Opens the store at the first use, and again after a fork."""
        if self._entered:
            return None if self._broken else self._store
        with self._lock:
            if not self._entered and self.directory is not None:
                self._guard = guard = Guard(self.directory)
                try:
                    store = guard.enter(self._map_bytes, durable=self._durable)
                except StoreFault as fault:
                    self.note = str(fault)
                    self.count(fault.kind)
                else:
                    self._use(guard, store)
                for kind in guard.premises.quarantined:
                    self.count(kind)
            if not self._entered:
                self.begin = dict if self._store is None else self._store.begin
            self._entered = True
        return None if self._broken else self._store

    def _enter_and_begin(self) -> Any:  # noqa: ANN401 - a transaction, or what stands for none
        self._enter()
        return self.begin()

    def _use(self, guard: Guard, store: Store) -> None:
        if guard.ledger is not None:
            self.front.watch(guard.ledger)
        self._store = store

    def _writer_of(self, store: Store) -> Writer | None:
        """Returns the writer, made at the first change; none when the cache is closed meanwhile."""
        if self._writer is None:
            from edgeqa.cache.eviction import Hits
            from edgeqa.cache.writer import Writer

            with self._lock:
                guard = self._guard
                if self._writer is None and guard is not None and self._store is store:
                    self._hits = Hits(self._map_bytes)
                    self._writer = Writer(
                        store,
                        queued=self.queued,
                        take_hit=self._take_hit,
                        on_commit=self._committed,
                        on_fault=self._write_failed,
                        on_wait=lambda: self.count("map_busy"),
                        before_write=guard.before_first_write,
                        around_commit=guard.around_commit,
                    )
        return self._writer

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
        store = self._enter()
        writer = self._writer_of(store) if store is not None else None
        if writer is not None:
            fits = record is None or len(record) <= writer.commits.limits.record_bytes
            if fits and time.monotonic() >= self._writes_from_s:
                if not self._exit_noted:
                    self._close_at_exit()
                if not writer.submit(digest, record, done):
                    self.count("dropped")
                return
            self.count("dropped" if fits else "too_large")
        if done is not None:
            done()

    def flush(self) -> None:
        """Waits until all that was queued is settled."""
        if self._writer is not None:
            self._writer.flush()

    def clear(self) -> None:
        """Deletes everything."""
        store = self._enter()
        self.front.clear()
        writer = self._writer_of(store) if store is not None else None
        if writer is not None:
            writer.flush()
            try:
                if self._guard is not None:
                    self._guard.before_first_write()
                writer.commits.clear()
                writer.commits.sync()  # the file will be sealed
            except StoreFault as fault:
                self._write_failed(fault)
        self.announce()

    def announce(self) -> None:
        """Tells every process to drop its table in front."""
        if self._guard is not None and self._guard.ledger is not None:
            self._guard.ledger.add({"epoch": 1})

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

    def count(self, name: str, increment: int = 1) -> None:
        """Counts an event; the counts reach the shared ledger with the next commit or at the end."""
        with self._counts_lock:
            self.counts[name] = self.counts.get(name, 0) + increment

    def settle_hits(self) -> None:
        """Counts the hits of the store that were noted, and has them considered at the next eviction."""
        with self._counts_lock:
            noted = self.noted[:]
            del self.noted[: len(noted)]
            self.hits += len(noted)
            self._noted_hits.extend(noted)

    def note_use(self, digest: bytes) -> None:
        """Has a record that was found, but is not counted as a hit, considered as one at the next eviction."""
        self._noted_hits.append(digest)

    def totals(self) -> dict[str, int]:
        """Returns the counts of all processes so far, this one's included."""
        self._enter()
        self.save_counts()
        ledger = self._guard.ledger if self._guard is not None and self._store is not None else None
        if ledger is None:
            return dict(self.counts)
        return ledger.totals()

    def save_counts(self) -> None:
        """Moves this process's counts to the ledger."""
        self.settle_hits()
        for name, owner, attribute in (
            ("hits_front", self.front, "hits"),
            ("hits_store", self, "hits"),
            ("misses", self, "misses"),
        ):
            value = getattr(owner, attribute)
            if value:
                setattr(owner, attribute, 0)
                self.count(name, value)
        if self._guard is not None and self._guard.ledger is not None:
            with self._counts_lock:
                counts, self.counts = self.counts, {}
            if counts:
                self._guard.ledger.add(counts)

    def close(self) -> None:
        """Commits, syncs, leaves. Harmless when repeated; what comes after finds nothing and stores nothing."""
        with self._lock:
            self._entered = True
            self.begin = dict
            store, guard, writer = self._store, self._guard, self._writer
        if writer is not None:
            writer.stop()
        self.save_counts()
        self.front.unwatch()
        if self._flights is not None:
            self._flights.close()
        self._store = None
        last = guard.leave(store) if guard is not None and store is not None else True
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
            self._guard.abandon()
        if self._flights is not None:
            self._flights.close()
        if self._store is not None:
            self._store.forked()
        was_closed = self._entered and self._store is None
        self.front.unwatch()
        self.front.forked()
        self._reset()
        if was_closed:
            self._entered, self.begin = True, dict

    def _close_at_exit(self) -> None:
        """Has what is queued written at the end of a child of `multiprocessing`, too; it has an `atexit` of its own."""
        self._exit_noted = True
        util: Any = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.Finalize(None, self.close, exitpriority=0)

    def _take_hit(self, digest: bytes) -> bool:
        hits, noted = self._hits, self._noted_hits
        if hits is None:
            return False
        if self.noted:
            self.settle_hits()
        while noted:
            hits.note(noted.popleft())
        hot = hits.take(digest)
        return self.front.take_hit(digest) or hot

    def _committed(self, changes: int, committed: Committed) -> None:
        self.count("puts", changes)
        if committed.evicted or committed.kept:
            self.count("evictions", committed.evicted)
            self.count("second_chances", committed.kept)
        if time.monotonic() >= self._save_at_s:  # seldom: it takes a lock that all processes share
            self._save_at_s = time.monotonic() + _SAVE_EVERY_S
            self.save_counts()

    def _write_failed(self, fault: StoreFault) -> None:
        if fault.kind in ("disk_full", "read_only"):
            self._writes_from_s = time.monotonic() + _WRITE_PAUSE_S  # trying each time would cost every caller
            if self._guard is not None:
                self._guard.distrust()  # what is on the disk need not be what was synced
        self._fail(fault)

    def _fail(self, fault: StoreFault) -> None:
        self.count(fault.kind)
        self.note = str(fault)
        if fault.kind not in _PASSING_FAULTS and self._guard is not None:
            self._guard.distrust()
            self._broken = True  # left open until the end: other threads may be inside LMDB now
            self.begin = dict


def _not_now() -> None:
    """Stands for `begin` while the process forks: whoever meets it goes the careful way, which waits."""
    raise StoreFault(kind="unavailable", reason="the process forks")
