"""Commits: what is written to a store, each all or nothing, with the eviction that keeps the map from filling.

In: records and addresses. Out: a `Committed` that says what was done besides. Only one thread of a process may use it.
Eviction goes in the order of storing; a record that was hit since goes to the end instead, once a round.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.cache import eviction, records
from edgeqa.cache.environment import StoreFault, faults
from edgeqa.cache.store import FIRST_SEQUENCE_NUMBER, LAST_SEQUENCE_NUMBER, used_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import lmdb

    from edgeqa.cache.store import Store

_COMMITS_UNTIL_FREE = 2
_ROOM_RECORDS, _ROOM_ROUNDS = 4, 1024
_FIRST_SEQUENCE = FIRST_SEQUENCE_NUMBER.to_bytes(8, "big")


class Committed(NamedTuple):
    """What a commit did besides storing."""

    evicted: int = 0
    kept: int = 0
    over_bytes: int = 0
    replaced: tuple[bytes, ...] = ()
    """Addresses whose records are others now, or gone as it was asked for."""
    gone: tuple[bytes, ...] = ()
    """Addresses whose records were evicted."""


class Commits:
    """What changes one store."""

    def __init__(
        self,
        store: Store,
        is_hot: Callable[[bytes], bool],
        around: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """Changes nothing yet.

        Args:
            store: what is to be changed.
            is_hot: whether a record is kept at an eviction.
            around: entered while this process is the one that writes.
        """
        self._store = store
        self._is_hot = is_hot
        self._around = around
        self.waits_since_s: float | None = None
        """Since when it waits for another process to let it write; None while it does not."""
        self.limits = eviction.limits(store.map_bytes, store.page_bytes)

    def commit(self, changes: Mapping[bytes, bytes | None], *, evict_records: int | None = None) -> Committed:
        """Stores records, deletes those that are None, and evicts if the map fills; all of it or nothing.

        Raises:
            StoreFault: nothing was changed.
        """
        with self._transaction() as txn:
            cursor = txn.cursor()
            former = cursor.getmulti(list(changes))
            for digest, sequence in former:
                txn.delete(sequence)
                if changes[digest] is None:
                    txn.delete(digest)
            last = int.from_bytes(cursor.key(), "big") if cursor.last() and len(cursor.key()) == 8 else 0
            last = max(last, FIRST_SEQUENCE_NUMBER)
            if last > LAST_SEQUENCE_NUMBER:
                raise StoreFault(kind="damaged", reason=f"sequence number {last}")
            stored = [(digest, record) for digest, record in changes.items() if record is not None]
            sequences = [(last + n).to_bytes(8, "big") for n in range(1, len(stored) + 1)]
            cursor.putmulti([(s, record) for s, (_, record) in zip(sequences, stored, strict=True)], append=True)
            cursor.putmulti([(digest, s) for s, (digest, _) in zip(sequences, stored, strict=True)])
            limit = self.limits.evict_records if evict_records is None else evict_records
            done = self._evict(txn, last + len(stored), limit)
        if self._store.syncs_each_commit:
            self.sync()
        return done._replace(replaced=tuple(digest for digest, _ in former))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[lmdb.Transaction[bytes]]:
        """Gives a transaction that writes, once no other process has one."""
        with faults():
            env = self._store.env
            self.waits_since_s = time.monotonic()
            try:
                txn = env.begin(write=True)
            finally:
                self.waits_since_s = None
            with self._around(), txn:
                yield txn

    def _evict(self, txn: lmdb.Transaction[bytes], last: int, limit: int) -> Committed:
        evicted = kept = kept_bytes = 0
        gone: list[bytes] = []
        used = self._used_bytes(txn)
        if used > self.limits.high_bytes:
            oldest = txn.cursor()
            while evicted + kept < limit and kept_bytes < self.limits.batch_bytes and oldest.set_range(_FIRST_SEQUENCE):
                sequence, record = oldest.item()
                digest = records.digest_of(record)
                oldest.delete()
                if txn.get(digest) == sequence:
                    if self._is_hot(digest):
                        last, kept, kept_bytes = last + 1, kept + 1, kept_bytes + len(record)
                        txn.put(last.to_bytes(8, "big"), record, append=True)
                        txn.put(digest, last.to_bytes(8, "big"))
                        continue
                    txn.delete(digest)
                    gone.append(digest)
                evicted += 1
                if evicted % 16 == 0:
                    used = self._used_bytes(txn)
                    if used <= self.limits.low_bytes:
                        break
            used = self._used_bytes(txn)
        return Committed(evicted, kept, max(0, used - self.limits.high_bytes), gone=tuple(gone))

    def make_room(self) -> Committed:
        """Evicts what is over the limit, little by little, and lets LMDB use the pages again that it has freed.

        Raises:
            StoreFault: nothing more can be done, for example while a reader that does not end holds the pages.
        """
        evicted = kept = 0
        gone: list[bytes] = []
        for _ in range(_ROOM_ROUNDS):
            for _ in range(_COMMITS_UNTIL_FREE):
                with self._transaction() as txn:
                    txn.put(b"tick", b"", dupdata=False)
                    txn.delete(b"tick")
            done = self.commit({}, evict_records=_ROOM_RECORDS)
            evicted, kept = evicted + done.evicted, kept + done.kept
            gone += done.gone
            if not done.over_bytes:
                break
        return Committed(evicted, kept, done.over_bytes, gone=tuple(gone))

    def clear(self) -> None:
        """Deletes every record.

        Raises:
            StoreFault: nothing was changed.
        """
        with faults():
            table = self._store.env.open_db()
        with self._transaction() as txn:
            txn.drop(table, delete=False)

    def sync(self) -> None:
        """Waits until all commits are on the disk.

        Raises:
            StoreFault: they are not.
        """
        with faults():
            self._store.env.sync(True)  # noqa: FBT003 - LMDB's own signature

    def _used_bytes(self, txn: lmdb.Transaction[bytes]) -> int:
        return used_bytes(txn, self._store.page_bytes)
