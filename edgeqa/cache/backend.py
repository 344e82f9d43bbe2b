"""The backend: store, writer, table in front and counts, shared by all caches of a process on one directory.

In: records and addresses. Out: records, and never an exception. Every fault is counted, and the backend goes on with
less: first without writing, then without the store. The store is opened at its first use. A forked child opens it again
and lets go of its parent's handles: LMDB allows no environment across a fork. The writer is imported at the first
change, so that a process with nothing but hits does not load it.

LMDB allows one environment for each file and process. So there is one backend for each directory and process; all who
open the directory get it (`share`), and the last of them closes it (`release`), or the end of the process does.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeqa import files, forking
from edgeqa.cache.front import Front, Tally
from edgeqa.cache.guard import ENTER_WAIT_S, Guard, verify_beside
from edgeqa.cache.premises import CHECKED_AT_ONCE_BYTES, CheckDue, make_directory_in_ram, remove_unless_used
from edgeqa.cache.store import Store, StoreBusy, StoreFault, cut_short

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.cache.commits import Committed
    from edgeqa.cache.flight import Flights
    from edgeqa.cache.ledger import Ledger
    from edgeqa.cache.store import Usage
    from edgeqa.cache.writer import Change, Writer

CLOSING_WAIT_S = 2.0
_TRY_AGAIN_AFTER_S = 0.010  # so that the parts of one question do not all try
_PASSING_FAULTS = frozenset({"disk_full", "read_only", "map_full", "readers_full"})


class Backend:
    """One cache directory as this process sees it; without a directory, the table in front alone."""

    def __init__(self, directory: Path | None, map_bytes: int, *, durable: bool, front_entries: int) -> None:
        self.directory = directory
        self.remove_when_left: Path | None = None
        self.users: set[object] = set()
        """The users of this backend; it is a set, so that a user who was interrupted may leave a second time."""
        self.note = ""
        self.remembers = True
        self.store = Store()
        self.store.mapped.on_cut = self._cut
        self.front = Front(front_entries, enter=self.enter)
        self.tally = Tally(self.front)
        self.queued: dict[bytes, Change] = {}
        self._map_bytes, self._durable = map_bytes, durable
        self._reset()
        forking.tell(self)

    def _reset(self) -> None:
        """Starts without handles and locks; also in a forked child, where the parent's are of no use."""
        self._lock = threading.RLock()  # a thread that is interrupted while it holds the lock may enter again
        self._guard: Guard | None = None
        self._writer: Writer | None = None
        self._flights: Flights | None = None
        self.entered = self._was_busy = self._is_broken = self._is_closed = False
        self._not_before_s = 0.0
        self.queued.clear()

    @property
    def flights(self) -> Flights:
        """The computations under way; made at the first miss, so that a process that hits does not import so much."""
        if self._flights is None:
            from edgeqa.cache.flight import Flights

            directory = self.directory if self.enter() else None
            with self._lock:
                self._flights = self._flights or Flights(directory)
        return self._flights

    def enter(self) -> bool:
        """Opens the store at the first use, and again after a fork, or where others have kept it from being opened.

        Returns:
            whether there is a store.
        """
        if not self.entered and time.monotonic() >= self._not_before_s:
            with self._lock:
                if not self.entered:
                    self.entered = self.directory is None or self._try(self.directory)
                    if not self.entered:
                        self._not_before_s = time.monotonic() + _TRY_AGAIN_AFTER_S
                    elif not self.store.is_open:
                        self.store.shut()
        return self.store.is_open and not self._is_broken and not self._is_closed

    def _try(self, directory: Path) -> bool:
        """Opens the store, or notes why there is none; returns whether that is settled."""
        self._guard = guard = Guard(directory)
        try:
            ledger = self._pass(guard, directory)
        except StoreFault as fault:
            self._guard = None
            self.note = str(fault)
            self.tally.count(fault.kind)
            self._was_busy = isinstance(fault, StoreBusy)
            return not self._was_busy
        except BaseException:  # an interrupt: the next use tries again
            self._guard = None
            raise
        finally:
            for kind in guard.premises.quarantined:
                self.tally.count(kind)
        ledger.mapped.on_cut = self._cut
        self.front.watch(ledger)
        self._was_busy, self.note = False, ""
        self._flights = None  # flights made without the store have no leases
        return True

    def _pass(self, guard: Guard, directory: Path) -> Ledger:
        wait_s = 0.0 if self._was_busy else ENTER_WAIT_S  # after one wait, later questions do not wait again

        def enter(max_check_bytes: int | None) -> Ledger:
            return guard.enter(
                self.store, self._map_bytes, durable=self._durable, wait_s=wait_s, max_check_bytes=max_check_bytes
            )

        try:
            return enter(CHECKED_AT_ONCE_BYTES)
        except CheckDue:
            if verify_beside(directory, self._map_bytes):
                raise
            return enter(None)  # no process can be started here

    @property
    def has_room(self) -> bool:
        """Whether what is written now does not wait for others to be written first."""
        return self._writer is None or self._writer.has_room()

    @property
    def writer(self) -> Writer | None:
        """The writer of the store, made at the first change; None where there is no store."""
        if self.enter() and self._writer is None:
            from edgeqa.cache.writer import Writer

            with self._lock:
                guard = self._guard
                if self._writer is None and guard is not None and not self._is_closed:
                    _close_at_exit_of_a_child()
                    self._writer = Writer(
                        self.store, guard, self.tally, self.queued, on_change=self._tell, on_fault=self._fail
                    )
        return self._writer

    def read(self, digest: bytes) -> bytes | None:
        """Returns the record at an address, written or still queued."""
        if not self.enter():
            return None
        change = self.queued.get(digest)
        if change is not None:
            return change.record
        try:
            return self.store.read(digest)
        except StoreFault as fault:
            self._fail(fault)
            return None

    def write(self, digest: bytes, record: bytes | None, done: Callable[[], None] | None = None) -> None:
        """Queues a record or a deletion; `done` is called when it is settled, stored or not."""
        writer = self.writer
        if writer is not None:
            writer.write(digest, record, done)
        elif done is not None:
            done()

    def flush(self) -> bool:
        """Waits until all that was queued is settled; returns whether that is so, and no other process keeps it."""
        return self._writer is None or self._is_let(self._writer.flush())

    def clear(self) -> bool:
        """Deletes everything; returns whether that is done, and not kept from it by another process."""
        writer = self.writer
        cleared = self._is_let(writer.clear()) if writer is not None else self.directory is None
        self.front.clear()
        if (ledger := self._ledger) is not None:
            ledger.add({"epoch": 1})
        return cleared

    def _is_let(self, done: bool) -> bool:  # noqa: FBT001 - handed on
        """Notes who keeps the writer from writing, where it was not done for that."""
        if not done and self._writer is not None and self._writer.is_kept_out():
            process = self._guard.writing_process() if self._guard is not None else 0
            who = f"process {process}" if process else "another process"
            self.note = f"unavailable: {who} is in the middle of writing and does not go on"
        return done

    def _tell(self, committed: Committed) -> None:
        """Makes every process drop replaced records from its table, and this process also the evicted ones."""
        for digest in committed.evicted:
            self.front.change(digest)
        ledger = self._ledger
        mark = ledger.mark(committed.replaced + committed.evicted) if ledger is not None else None
        if mark is not None:
            self.front.take_moved(mark)

    def usage(self) -> Usage | None:
        """Returns the store's usage, or None without a store."""
        with contextlib.suppress(StoreFault):
            return self.store.usage() if self.enter() else None
        return None

    def problems(self) -> list[str]:
        """Returns the invariants of the store that do not hold, a line each."""
        self.flush()
        try:
            return self.store.problems() if self.enter() else []
        except StoreFault as fault:
            return [str(fault)]

    def totals(self) -> dict[str, int]:
        """Returns the counts of all processes so far, this one's included."""
        self.enter()
        ledger = self._ledger
        self.tally.save(ledger)
        return dict(self.tally.counts) if ledger is None else ledger.totals()

    @property
    def _ledger(self) -> Ledger | None:
        return self._guard.ledger if self._guard is not None else None

    def make_durable(self) -> None:
        """Makes every commit from now on wait for the disk, because another user of this backend wants it."""
        self._durable = True
        self.store.make_durable()

    def close(self) -> None:
        """Commits, syncs, leaves. Harmless when repeated; what comes after finds nothing and stores nothing.

        Where the writer does not come to an end, as behind a process that was stopped while it writes, the store is
        left open until this process ends.
        """
        with self._lock:
            self.entered = True
            self.store.shut()
            guard, writer = self._guard, self._writer
        interrupted: BaseException | None = None
        ended = True
        if writer is not None:
            try:
                ended = writer.stop()
            except BaseException as error:  # the work inside LMDB must end, and is nearly done
                interrupted = error
                ended = writer.stop()
        if not ended:
            self.tally.count("unavailable")
        self.tally.save(self._ledger)
        self.front.unwatch()
        flights, self._flights = self._flights, None
        if flights is not None:
            flights.close()
        self._is_closed = True
        if guard is not None:  # the next attempt does what an interrupted one has left
            if not ended:
                guard.distrust()
                _left_open.append(self)  # its writer may still be inside
            elif interrupted is not None:
                self.store.close()
                guard.abandon()  # sealing takes a while and is left out: the next start verifies the file
            else:
                guard.leave(self.store)
            self._guard = None
        self.store.shut()
        if interrupted is not None:
            raise interrupted
        if self.remove_when_left is not None:
            remove_unless_used(self.remove_when_left)

    def before_fork(self) -> None:
        """Waits until no thread is inside the store; new threads wait outside."""
        self.store.before_fork()

    def after_fork(self) -> None:
        """Goes on in the parent."""
        self.store.after_fork()

    def forked(self) -> None:
        """Lets go of what belongs to the parent; the first use enters anew."""
        if self._guard is not None:
            self._guard.forked()
        if self._flights is not None:
            self._flights.close()
        is_closed = self._is_closed or (self.entered and not self.store.is_open)
        self.store.forked()
        self.front.forked()
        self.tally.forked()
        self._reset()
        if is_closed:
            self.entered = True
            self.store.shut()

    def _cut(self, name: str) -> None:
        """Goes on without the store, of which somebody has cut a mapped file short."""
        self._fail(cut_short(name))
        self.store.abandon()
        self.front.unwatch()
        if self._guard is not None:
            self._guard.abandon()  # so that the next process finds nobody inside, and verifies the file

    def _fail(self, fault: StoreFault) -> None:
        if self._is_broken:  # the first fault was counted and noted already
            return
        self.tally.count(fault.kind)
        self.note = str(fault)
        if fault.kind not in _PASSING_FAULTS and self._guard is not None:
            self._guard.distrust()
            self._is_broken = True  # it stays open until the end, since other threads may be inside LMDB
            self.store.shut()


class _Table:
    """This process's backends by their directories: the one state of the cache that all of a process share."""

    def __init__(self) -> None:
        self.open: dict[Path, Backend] = {}
        self.closing: dict[Path, Backend] = {}
        """The backends that a thread is closing: LMDB opens a directory only once in a process."""
        self.forked()
        forking.tell(self)

    def forked(self) -> None:
        """Goes on in a forked child, where a thread of the parent may hold the old lock, and closes nothing."""
        self.lock = threading.RLock()  # an interrupt may keep `Condition.__exit__` from releasing it
        self.changed = threading.Condition(self.lock)
        self.closing.clear()


_table = _Table()
_left_open: list[Backend] = []


def share(root: Path, name: str, user: object, map_bytes: int, *, durable: bool, front_entries: int) -> Backend:
    """Returns this process's backend of the directory `name`, until the user releases it.

    Args:
        root: a folder that may be reached by links; what is beneath it may not.
        name: of the directory beneath it.
        user: who wants it.
        map_bytes: as `Backend` takes it, and so are the others.
        durable: whether each commit waits for the disk.
        front_entries: how many values are kept at hand.
    """
    directory = files.own(Path(os.path.realpath(root))) / name
    with _table.lock:
        _table.changed.wait_for(lambda: directory not in _table.closing, CLOSING_WAIT_S)
        backend = _table.open.get(directory)
        if backend is None:
            backend = Backend(directory, map_bytes, durable=durable, front_entries=front_entries)
            _table.open[directory] = backend
        elif durable:
            backend.make_durable()
        backend.users.add(user)
        return backend


def share_in_ram(name: str, user: object, map_bytes: int, *, front_entries: int) -> Backend:
    """Returns a backend on a RAM file system, private to this process and its children, or one without a store."""
    parent = make_directory_in_ram()
    directory = Path(os.path.realpath(parent / name)) if parent is not None else None
    backend = Backend(directory, map_bytes, durable=False, front_entries=front_entries)
    backend.remove_when_left = parent
    backend.users.add(user)
    if directory is not None:
        with _table.lock:
            _table.open[directory] = backend
    return backend


def without_store() -> Backend:
    """Returns a backend that remembers nothing."""
    backend = Backend(None, 1, durable=False, front_entries=1)
    backend.remembers = False
    return backend


def release(backend: Backend, user: object) -> None:
    """Takes a backend back; with the last user it is closed. Harmless when repeated."""
    try:
        _release(backend, user)
    except BaseException:  # after an interrupt, the rest is done; else this process could not open it again
        _release(backend, user)
        raise


def _release(backend: Backend, user: object) -> None:
    try:
        with _table.lock:
            backend.users.discard(user)
            if backend.users:
                return
            for directory in [place for place, known in _table.open.items() if known is backend]:
                _table.closing[directory] = _table.open.pop(directory)
        backend.close()
    finally:
        with _table.lock:
            for directory in [place for place, known in _table.closing.items() if known is backend]:
                del _table.closing[directory]
            _table.changed.notify_all()


def _close_all() -> None:
    for backend in list(_table.open.values()):
        backend.close()


atexit.register(_close_all)
_finalizer: Any = None


def _close_at_exit_of_a_child() -> None:
    """Makes a child of `multiprocessing`, which ends without `atexit`, write its queue, too."""
    global _finalizer
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None and (_finalizer is None or not _finalizer.still_active()):  # as in a child that was forked
        _finalizer = util.Finalize(None, _close_all, exitpriority=0)
