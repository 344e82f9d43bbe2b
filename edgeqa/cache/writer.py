"""The one thread of a process that writes: it gathers changes and commits them in batches.

In: records to store and addresses to delete, from any thread. Out: commits, and a call back for each change when it is
committed (or given up). The writer raises nothing: a failed write is counted, and after a full disk nothing is tried
for a while. A batch is committed at 32 records, or 50 ms after its first, so that flash is spared and no caller waits.
Queued records can be read at once (`queued`). The queue is bounded; a caller that finds it full waits a short while for
room, and then drops its record. While readers keep the pages that a full map needs, a batch is tried again for a while;
if that was in vain, later batches are tried once only, until one succeeds. The thread starts with the first change, and
this module is imported then: a process with nothing but hits needs neither.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edgeqa.cache.commits import Commits, Hits
from edgeqa.cache.store import StoreFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.cache.commits import Committed
    from edgeqa.cache.front import Tally
    from edgeqa.cache.guard import Guard
    from edgeqa.cache.store import Store

    Done = Callable[[], None]

BATCH_RECORDS = 32
BATCH_DELAY_S = 0.050
IDLE_SYNC_S = 5.0
QUEUE_LIMIT_RECORDS = 8192
QUEUE_LIMIT_BYTES = 32 << 20
FULL_WAIT_S = 2.0
TURN_WAIT_S = 2.0  # for another process that writes; a commit takes milliseconds
_LOOK_S = 0.25
_EVICTION_ROUNDS = 256
_DISK_PAUSE_S = 30.0
_SAVE_EVERY_S = 1.0
_ROOM_PAUSES_S = (0.0, 0.005, 0.010, 0.020, 0.040, 0.080, 0.160, 0.320)


class Change:
    """A change on its way: a record to store, or None to delete."""

    __slots__ = ("done", "record", "ticket")

    def __init__(self, record: bytes | None, ticket: int, done: list[Done]) -> None:
        self.record = record
        self.ticket = ticket
        self.done = done


class Writer:
    """The write-behind queue of one store, and its thread."""

    def __init__(
        self,
        store: Store,
        guard: Guard,
        tally: Tally,
        queued: dict[bytes, Change],
        *,
        on_change: Callable[[Committed], None],
        on_fault: Callable[[StoreFault], None],
    ) -> None:
        """Writes nothing yet.

        Args:
            store: what is written to.
            guard: knows whether it may be trusted.
            tally: counts.
            queued: all that is not settled yet; read by others.
            on_change: called with what a commit has replaced or evicted.
            on_fault: called with what has kept a commit from being made.
        """
        tally.remember_hits(Hits(store.map_bytes))
        self.commits = Commits(store, tally.take_hit, guard.around_commit)
        self._guard, self._tally, self._queued = guard, tally, queued
        self._on_change, self._on_fault = on_change, on_fault
        self._writes_from_s = self._save_at_s = 0.0
        self._waiting: dict[bytes, Change] = {}  # in the order of their tickets
        self._writing: dict[bytes, Change] = {}
        self._waiting_bytes = self._last_ticket = self._settled_ticket = self._hurry_ticket = 0
        # It is entered as a lock, since an interrupt may keep a condition's own `__exit__` from releasing it.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._stopping = self._unsynced = self._in_vain = self._to_clear = self._is_cleared = False

    def write(self, digest: bytes, record: bytes | None, done: Done | None = None) -> None:
        """Queues a record, or a deletion; `done` is called once it is settled, stored or not."""
        if record is not None and len(record) > self.commits.limits.record_bytes:
            self._tally.count("too_large")
            record = None  # the old record is gone all the same
        if time.monotonic() >= self._writes_from_s and self._submit(digest, record, done):
            return
        self._tally.count("dropped")
        if done is not None:
            done()

    def _submit(self, digest: bytes, record: bytes | None, done: Done | None) -> bool:
        """Queues a change; returns whether there was room."""
        with self._lock:
            # Behind a process that hangs there will be no room: one caller has waited, and no other does so again.
            room = self._stopping or self._changed.wait_for(self.has_room, 0 if self.is_kept_out() else FULL_WAIT_S)
            if not room or self._stopping or not self._start():
                return False
            self._enqueue(digest, record, done)
            return True

    def _enqueue(self, digest: bytes, record: bytes | None, done: Done | None) -> None:
        former = self._waiting.pop(digest, None)
        self._last_ticket += 1
        change = Change(record, self._last_ticket, former.done if former else [])
        if done is not None:
            change.done.append(done)
        self._waiting[digest] = self._queued[digest] = change
        self._waiting_bytes += len(record or b"") - len((former and former.record) or b"")
        if len(self._waiting) in (1, BATCH_RECORDS):
            self._changed.notify_all()

    def _start(self) -> bool:
        """Starts the thread if needed; returns whether it runs, since the system may let this process start none."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="edgeqa-cache-writer", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def clear(self) -> bool:
        """Deletes every record, once what was queued before is settled; by the one thread that waits to be let write.

        Returns:
            whether that is done; not so where another process that does not go on keeps this one from writing, or the
            disk does.
        """
        if not self.flush():
            return False
        with self._lock:
            if self._stopping or not self._start():
                self._tally.count("unavailable")
                return False
            self._to_clear, self._is_cleared = True, False
            self._changed.notify_all()
            return self._wait_until(lambda: not self._to_clear) and self._is_cleared

    def flush(self) -> bool:
        """Waits until everything queued so far is committed or given up.

        Returns:
            whether it is; not so where another process that does not go on keeps this one from writing.
        """
        with self._lock:
            ticket = self._last_ticket
            self._hurry_ticket = ticket  # an interrupt may come at any moment, and needs nothing undone
            self._changed.notify_all()
            return self._wait_until(lambda: self._settled_ticket >= ticket)

    def _wait_until(self, holds: Callable[[], bool]) -> bool:
        """Waits for the thread; returns False, and counts it, where another process keeps it from writing."""
        while not self._changed.wait_for(holds, _LOOK_S):
            if self.is_kept_out():
                self._tally.count("unavailable")
                return False
        return True

    def stop(self) -> bool:
        """Commits what is queued, syncs, and ends the thread. Harmless when repeated.

        Returns:
            whether it has ended; not so where another process that does not go on keeps this one from writing.
        """
        with self._lock:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            while thread.is_alive():
                thread.join(_LOOK_S)
                if self.is_kept_out():
                    return False
        return True

    def is_kept_out(self) -> bool:
        """Returns whether another process keeps this one from writing for longer than a commit takes."""
        since_s = self.commits.waits_since_s
        return since_s is not None and time.monotonic() - since_s > TURN_WAIT_S

    def has_room(self) -> bool:
        """Returns whether the queue takes another record at once."""
        full = len(self._waiting) >= QUEUE_LIMIT_RECORDS or self._waiting_bytes >= QUEUE_LIMIT_BYTES
        return self._stopping or not full

    def _run(self) -> None:
        with self._lock:
            if self._thread not in (None, threading.current_thread()):
                return  # the thread that started this one was interrupted, and another was started since
            self._thread = threading.current_thread()
        try:
            self._guard.before_first_write()
            while self._take_batch():
                if self._to_clear:
                    self._clear()
                elif self._writing:
                    self._write(self._writing)
                else:
                    self._sync()
            self._sync()
        finally:
            self._give_up()

    def _is_due(self) -> bool:
        """Returns whether a batch does not wait for more to come."""
        hurry = self._hurry_ticket > self._settled_ticket
        return len(self._waiting) >= BATCH_RECORDS or hurry or self._stopping or self._to_clear

    def _take_batch(self) -> bool:
        """Moves a batch from waiting to writing; an empty one means idle. Returns False at the end."""
        with self._lock:
            started = self._changed.wait_for(
                lambda: self._waiting or self._stopping or self._to_clear, IDLE_SYNC_S if self._unsynced else None
            )
            if self._to_clear:
                return True
            if started and not self._stopping:
                self._changed.wait_for(self._is_due, BATCH_DELAY_S)
            limits, size_bytes, batch = self.commits.limits, 0, self._writing
            for digest, change in self._waiting.items():
                size_bytes += len(change.record or b"")
                if batch and (len(batch) >= limits.batch_records or size_bytes > limits.batch_bytes):
                    break
                batch[digest] = change
            for digest in batch:
                self._waiting_bytes -= len(self._waiting.pop(digest).record or b"")
            return bool(batch) or not self._stopping

    def _clear(self) -> None:
        try:
            self.commits.clear()
            self.commits.sync()  # the file will be sealed
            self._is_cleared = True
        except StoreFault as fault:
            self._fail(fault)
        with self._lock:
            self._to_clear = False
            self._changed.notify_all()

    def _write(self, batch: dict[bytes, Change]) -> None:
        try:
            self._commit({digest: change.record for digest, change in batch.items()})
        except StoreFault as fault:
            self._fail(fault)
        with self._lock:
            self._writing = {}
            self._unqueue(batch)
            oldest = next(iter(self._waiting.values()), None)
            self._settled_ticket = oldest.ticket - 1 if oldest else self._last_ticket
            self._changed.notify_all()
        _call_done(batch)

    def _commit(self, batch: dict[bytes, bytes | None]) -> None:
        try:
            committed = self.commits.commit(batch)
        except StoreFault as fault:
            if fault.kind != "map_full":
                raise
            committed = self._commit_with_room(batch)
        self._unsynced = True
        self._account(len(batch), committed)
        self._evict(committed.over_bytes)

    def _commit_with_room(self, batch: dict[bytes, bytes | None]) -> Committed:
        """Commits when a reader somewhere has kept pages from being used again; it may be about to end."""
        fault = None
        for pause_s in _ROOM_PAUSES_S[:1] if self._in_vain else _ROOM_PAUSES_S:
            time.sleep(pause_s)
            try:
                self.commits.free_dead_readers()
                self._account(0, self.commits.make_room())
                committed = self.commits.commit(batch)
            except StoreFault as error:
                if error.kind != "map_full":
                    raise
                fault = error
            else:
                self._in_vain = False
                if pause_s:
                    self._tally.count("map_busy")
                return committed
        self._in_vain = True
        raise fault or StoreFault(kind="map_full")

    def _evict(self, over_bytes: int) -> None:
        for _ in range(_EVICTION_ROUNDS):
            if not over_bytes:
                return
            committed = self.commits.commit({})
            self._account(0, committed)
            if not committed.evictions + committed.second_chances:
                return
            over_bytes = committed.over_bytes

    def _sync(self) -> None:
        if self._unsynced:
            self._unsynced = False
            try:
                self.commits.sync()
            except StoreFault as fault:
                self._fail(fault)

    def _account(self, changes: int, committed: Committed) -> None:
        """Counts what a commit has done, and tells what it has changed."""
        if committed.replaced or committed.evicted:
            self._on_change(committed)
        for name, count in (
            ("puts", changes),
            ("evictions", committed.evictions),
            ("second_chances", committed.second_chances),
        ):
            self._tally.count(name, count)
        if time.monotonic() >= self._save_at_s:  # seldom: it takes a lock that all processes share
            self._save_at_s = time.monotonic() + _SAVE_EVERY_S
            self._tally.save(self._guard.ledger)

    def _fail(self, fault: StoreFault) -> None:
        if fault.kind in ("disk_full", "read_only"):
            self._writes_from_s = time.monotonic() + _DISK_PAUSE_S  # to try each time would cost every caller
            self._guard.distrust()  # the disk may not hold the synced data
        self._on_fault(fault)

    def _unqueue(self, settled: dict[bytes, Change]) -> None:
        for digest, change in settled.items():
            if self._queued.get(digest) is change:  # else another one for the same address has come since
                del self._queued[digest]

    def _give_up(self) -> None:
        """Lets nobody wait for a thread that has ended, whatever ended it."""
        with self._lock:
            self._stopping, self._to_clear = True, False
            left = self._writing | self._waiting
            self._waiting, self._writing = {}, {}
            self._unqueue(left)
            self._settled_ticket = self._last_ticket
            self._changed.notify_all()
        _call_done(left)


def _call_done(changes: dict[bytes, Change]) -> None:
    for change in changes.values():
        for call in change.done:
            call()
