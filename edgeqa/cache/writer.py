"""The one thread of a process that writes: it gathers changes and commits them in batches.

In: records to store and addresses to delete, from any thread. Out: commits, and a call back for each change when it is
committed (or given up). A batch goes out at 32 records or 50 ms after its first, so that flash is spared and no caller
waits. What is queued can be read at once (`queued`). The queue is bounded; a caller that finds it full waits for room,
for a limited time, and then drops its record. While readers keep the pages that a full map needs, a batch is tried
again for a while; when that was in vain, the next ones are not, until one gets through. The thread starts with the
first change: a process that hits has none.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edgeqa.cache.commits import Commits
from edgeqa.cache.environment import StoreFault

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from edgeqa.cache.commits import Committed
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
        *,
        queued: dict[bytes, Change],
        take_hit: Callable[[bytes], bool],
        on_commit: Callable[[int, Committed], None],
        on_fault: Callable[[StoreFault], None],
        on_wait: Callable[[], None],
        before_write: Callable[[], None],
        around_commit: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> None:
        self.commits = Commits(store, take_hit, around_commit)
        self._store = store
        self._queued = queued  # all that is not settled yet; read by others
        self._on_commit = on_commit
        self._on_fault = on_fault
        self._on_wait = on_wait
        self._before_write = before_write
        self._waiting: dict[bytes, Change] = {}  # in the order of their tickets
        self._writing: dict[bytes, Change] = {}
        self._waiting_bytes = self._last_ticket = self._settled_ticket = self._flushing = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = self._unsynced = self._in_vain = self._to_clear = False

    def submit(self, digest: bytes, record: bytes | None, done: Done | None = None) -> bool:
        """Queues a record, or a deletion; returns whether there was room. `done` is called once it is settled."""
        with self._changed:
            # Behind a process that does not go on there will be no room: one has waited, and nobody does so again.
            room = self._stopping or self._changed.wait_for(self.has_room, 0 if self._is_kept_out() else FULL_WAIT_S)
            if room and not self._stopping and self._start():
                self._enqueue(digest, record, done)
                return True
        if done is not None:
            done()
        return False

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
        """Has the thread run; returns whether it does: the system may let this process start none."""
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
            whether that is settled; not so where another process that does not go on keeps this one from writing.
        """
        if not self.flush():
            return False
        with self._changed:
            if self._stopping or not self._start():
                return False
            self._to_clear = True
            self._changed.notify_all()
            while not self._changed.wait_for(lambda: not self._to_clear, _LOOK_S):
                if self._is_kept_out():
                    return False
        return True

    def flush(self) -> bool:
        """Waits until everything queued so far is committed or given up.

        Returns:
            whether it is; not so where another process that does not go on keeps this one from writing.
        """
        with self._changed:
            ticket = self._last_ticket
            self._flushing += 1
            try:
                self._changed.notify_all()
                while not self._changed.wait_for(lambda: self._settled_ticket >= ticket, _LOOK_S):
                    if self._is_kept_out():
                        return False
            finally:
                self._flushing -= 1
        return True

    def stop(self) -> bool:
        """Commits what is queued, syncs, and ends the thread. Harmless when repeated.

        Returns:
            whether it has ended; not so where another process that does not go on keeps this one from writing.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            while thread.is_alive():
                thread.join(_LOOK_S)
                if self._is_kept_out():
                    return False
        return True

    def _is_kept_out(self) -> bool:
        since_s = self.commits.waits_since_s
        return since_s is not None and time.monotonic() - since_s > TURN_WAIT_S

    def has_room(self) -> bool:
        """Returns whether the queue takes another record at once."""
        full = len(self._waiting) >= QUEUE_LIMIT_RECORDS or self._waiting_bytes >= QUEUE_LIMIT_BYTES
        return self._stopping or not full

    def _run(self) -> None:
        try:
            self._before_write()
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

    def _take_batch(self) -> bool:
        """Moves a batch from waiting to writing; an empty one means idle. Returns False at the end."""
        with self._changed:
            started = self._changed.wait_for(
                lambda: self._waiting or self._stopping or self._to_clear, IDLE_SYNC_S if self._unsynced else None
            )
            if self._to_clear:
                return True
            if started and not self._stopping:
                self._changed.wait_for(
                    lambda: len(self._waiting) >= BATCH_RECORDS or self._flushing or self._stopping, BATCH_DELAY_S
                )
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
        except StoreFault as fault:
            self._on_fault(fault)
        with self._changed:
            self._to_clear = False
            self._changed.notify_all()

    def _write(self, batch: dict[bytes, Change]) -> None:
        try:
            self._commit({digest: change.record for digest, change in batch.items()})
        except StoreFault as fault:
            self._on_fault(fault)
        with self._changed:
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
        self._on_commit(len(batch), committed)
        self._evict(committed.over_bytes)

    def _commit_with_room(self, batch: dict[bytes, bytes | None]) -> Committed:
        """Commits when a reader somewhere has kept pages from being used again; it may be about to end."""
        fault = None
        for pause_s in _ROOM_PAUSES_S[:1] if self._in_vain else _ROOM_PAUSES_S:
            time.sleep(pause_s)
            try:
                self._store.free_dead_readers()
                self._on_commit(0, self.commits.make_room())
                committed = self.commits.commit(batch)
            except StoreFault as error:
                if error.kind != "map_full":
                    raise
                fault = error
            else:
                self._in_vain = False
                if pause_s:
                    self._on_wait()
                return committed
        self._in_vain = True
        raise fault or StoreFault(kind="map_full")

    def _evict(self, over_bytes: int) -> None:
        for _ in range(_EVICTION_ROUNDS):
            if not over_bytes:
                return
            committed = self.commits.commit({})
            self._on_commit(0, committed)
            if not committed.evicted + committed.kept:
                return
            over_bytes = committed.over_bytes

    def _sync(self) -> None:
        if self._unsynced:
            self._unsynced = False
            try:
                self.commits.sync()
            except StoreFault as fault:
                self._on_fault(fault)

    def _unqueue(self, settled: dict[bytes, Change]) -> None:
        for digest, change in settled.items():
            if self._queued.get(digest) is change:  # else another one for the same address has come since
                del self._queued[digest]

    def _give_up(self) -> None:
        """Lets nobody wait for a thread that has ended, whatever ended it."""
        with self._changed:
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
