"""What is written through one backend: what the writer is given, and what its commits and its faults mean.

In: records and addresses. Out: nothing that fails: what cannot be written is counted, and after a full disk nothing is
tried for a while. Imported at the first change, so that a process that hits need not import it, nor what it needs.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from edgeqa.cache.eviction import Hits
from edgeqa.cache.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.cache.commits import Committed
    from edgeqa.cache.environment import StoreFault
    from edgeqa.cache.guard import Guard
    from edgeqa.cache.store import Store
    from edgeqa.cache.tally import Tally
    from edgeqa.cache.writer import Change

_PAUSE_S = 30.0
_SAVE_EVERY_S = 1.0


class Writing:
    """The way into one store."""

    def __init__(
        self,
        store: Store,
        guard: Guard,
        tally: Tally,
        queued: dict[bytes, Change],
        *,
        on_change: Callable[[Committed], None],
        on_fault: Callable[[StoreFault], None],
        at_exit: Callable[[], None],
    ) -> None:
        self._guard, self._tally, self._on_change, self._on_fault = guard, tally, on_change, on_fault
        self._writes_from_s = self._save_at_s = 0.0
        tally.remember_hits(Hits(store.map_bytes))
        self._writer = Writer(
            store,
            queued=queued,
            take_hit=tally.take_hit,
            on_commit=self._committed,
            on_fault=self._failed,
            on_wait=lambda: tally.count("map_busy"),
            before_write=guard.before_first_write,
            around_commit=guard.around_commit,
        )
        # A child of `multiprocessing` ends without `atexit`; what is queued is to be written there, too.
        util: Any = sys.modules.get("multiprocessing.util")
        self._finalizer = None if util is None else util.Finalize(None, at_exit, exitpriority=0)

    def write(self, digest: bytes, record: bytes | None, done: Callable[[], None] | None) -> None:
        """Queues a record or a deletion; `done` is called when it is settled, stored or not."""
        if record is not None and len(record) > self._writer.commits.limits.record_bytes:
            self._tally.count("too_large")
            record = None  # what it was to take the place of is over all the same
        if time.monotonic() >= self._writes_from_s:
            if not self._writer.submit(digest, record, done):
                self._tally.count("dropped")
            return
        self._tally.count("dropped")
        if done is not None:
            done()

    @property
    def has_room(self) -> bool:
        """Whether the queue takes another record at once."""
        return self._writer.has_room()

    def flush(self) -> None:
        """Waits until all that was queued is settled."""
        if not self._writer.flush():
            self._tally.count("unavailable")

    def clear(self) -> bool:
        """Deletes every record; returns whether that is settled."""
        settled = self._writer.clear()
        if not settled:
            self._tally.count("unavailable")
        return settled

    def stop(self) -> bool:
        """Writes what is queued, and ends. Harmless when repeated.

        Returns:
            whether it has; not so where another process that does not go on keeps this one from writing.
        """
        finalizer, self._finalizer = self._finalizer, None
        if finalizer is not None:
            finalizer.cancel()  # its table would keep all of this for ever
        return self._writer.stop()

    def _committed(self, changes: int, committed: Committed) -> None:
        if committed.replaced or committed.gone:
            self._on_change(committed)
        self._tally.count("puts", changes)
        if committed.evicted or committed.kept:
            self._tally.count("evictions", committed.evicted)
            self._tally.count("second_chances", committed.kept)
        if time.monotonic() >= self._save_at_s:  # seldom: it takes a lock that all processes share
            self._save_at_s = time.monotonic() + _SAVE_EVERY_S
            self._tally.save(self._guard.ledger)

    def _failed(self, fault: StoreFault) -> None:
        if fault.kind in ("disk_full", "read_only"):
            self._writes_from_s = time.monotonic() + _PAUSE_S  # trying each time would cost every caller
            self._guard.distrust()  # what is on the disk need not be what was synced
        self._on_fault(fault)
