"""Commits: they write to a store, each all or nothing, and evict records so that the map does not fill.

In: records and addresses. Out: a `Committed` that says what else the commit did. Only one thread of a process may use
it.

Eviction goes in the order of storing; a record that was hit since (`Hits`) goes to the end instead, once a round.
Deleting from a copy-on-write tree takes pages itself, and pages freed by one commit are usable only two commits later:
so the pages that one commit can touch, times three, are kept free (`Limits`).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.cache import records
from edgeqa.cache.store import FIRST_SEQUENCE_NUMBER, LAST_SEQUENCE_NUMBER, StoreFault, used_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import lmdb

    from edgeqa.cache.store import Store

_COMMITS_UNTIL_FREE = 2
_ROOM_RECORDS, _ROOM_ROUNDS = 4, 1024
_FIRST_SEQUENCE = FIRST_SEQUENCE_NUMBER.to_bytes(8, "big")
_RESERVED = 5  # a fifth of the map
_RESERVE_FLOOR_PAGES = 96
_BATCH_CEILING = 1024
_TYPICAL_RECORD_BYTES = 512
_HOT_LIMIT = 1 << 20


class Limits(NamedTuple):
    """The limits of one store."""

    high_bytes: int
    low_bytes: int
    batch_records: int
    batch_bytes: int
    evict_records: int
    record_bytes: int


def limits(map_bytes: int, page_bytes: int) -> Limits:
    """Returns the limits for a map of this size.

    One commit touches a page of addresses for each record that it stores and each that it evicts, twice as many; and
    about eight more, of the records, of the inner nodes and of the list of free pages.
    """
    pages = map_bytes // page_bytes
    reserve_pages = max(pages // _RESERVED, min(pages // 3, _RESERVE_FLOOR_PAGES))
    batch_records = min(_BATCH_CEILING, max(2, (reserve_pages // 3 - 8) // 3))
    return Limits(
        high_bytes=(pages - reserve_pages) * page_bytes,
        low_bytes=(pages - reserve_pages) * page_bytes - map_bytes // 64,
        batch_records=batch_records,
        batch_bytes=map_bytes // 64,
        evict_records=2 * batch_records,
        record_bytes=map_bytes // 64,
    )


class Hits:
    """The addresses that were hit since they were last considered for eviction: one byte for each, by a hash.

    So the memory is fixed, and nothing is written to the disk. Two addresses may share a byte: then one may be kept a
    round longer than it has earned, or go a round sooner, because the other took the second chance of both.
    """

    def __init__(self, map_bytes: int) -> None:
        expected = max(1024, map_bytes // _TYPICAL_RECORD_BYTES)
        slots = min(_HOT_LIMIT, 1 << (2 * expected - 1).bit_length())
        self._mask = slots - 1
        self._slots = bytearray(slots)

    def note(self, digest: bytes) -> None:
        """Notes a hit."""
        self._slots[hash(digest) & self._mask] = 1

    def take(self, digest: bytes) -> bool:
        """Returns whether the address was hit since this was last asked."""
        slot = hash(digest) & self._mask
        hot = self._slots[slot] == 1
        self._slots[slot] = 0
        return hot


class Committed(NamedTuple):
    """The effects of a commit besides storing."""

    evictions: int = 0
    second_chances: int = 0
    over_bytes: int = 0
    """How much more than the limit is in use."""
    replaced: tuple[bytes, ...] = ()
    """Addresses whose records were replaced, or deleted by request."""
    evicted: tuple[bytes, ...] = ()
    """Addresses whose records were evicted."""


class Commits:
    """The one place that changes a store."""

    def __init__(
        self,
        store: Store,
        is_hot: Callable[[bytes], bool],
        around: Callable[[int], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        """Changes nothing yet.

        Args:
            store: what is to be changed.
            is_hot: whether a record is kept at an eviction.
            around: entered while this process is the one that writes, with the number of its transaction.
        """
        self._store = store
        self._is_hot = is_hot
        self._around = around
        self.waits_since_s: float | None = None
        """Since when it waits for another process to let it write; None while it does not."""
        self.limits = limits(store.map_bytes, store.page_bytes)

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
        with self._store.environment() as env:
            self.waits_since_s = time.monotonic()
            try:
                txn = env.begin(write=True)
            finally:
                self.waits_since_s = None
            with self._around(txn.id()), txn:
                yield txn

    def _evict(self, txn: lmdb.Transaction[bytes], last: int, limit: int) -> Committed:
        passed = chances = chance_bytes = 0
        evicted: list[bytes] = []
        used = self._used_bytes(txn)
        if used > self.limits.high_bytes:
            oldest = txn.cursor()
            batch_bytes = self.limits.batch_bytes
            while passed + chances < limit and chance_bytes < batch_bytes and oldest.set_range(_FIRST_SEQUENCE):
                sequence, record = oldest.item()
                digest = records.digest_of(record)
                oldest.delete()
                if txn.get(digest) == sequence:
                    if self._is_hot(digest):
                        last, chances, chance_bytes = last + 1, chances + 1, chance_bytes + len(record)
                        txn.put(last.to_bytes(8, "big"), record, append=True)
                        txn.put(digest, last.to_bytes(8, "big"))
                        continue
                    txn.delete(digest)
                    evicted.append(digest)
                passed += 1
                if passed % 16 == 0:
                    used = self._used_bytes(txn)
                    if used <= self.limits.low_bytes:
                        break
            used = self._used_bytes(txn)
        return Committed(passed, chances, max(0, used - self.limits.high_bytes), evicted=tuple(evicted))

    def make_room(self) -> Committed:
        """Evicts what is over the limit, little by little, and lets LMDB use the pages again that it has freed.

        Raises:
            StoreFault: nothing more can be done, for example while a reader that does not end holds the pages.
        """
        total = Committed()
        for _ in range(_ROOM_ROUNDS):
            for _ in range(_COMMITS_UNTIL_FREE):
                with self._transaction() as txn:
                    txn.put(b"tick", b"", dupdata=False)
                    txn.delete(b"tick")
            done = self.commit({}, evict_records=_ROOM_RECORDS)
            total = Committed(
                total.evictions + done.evictions,
                total.second_chances + done.second_chances,
                done.over_bytes,
                evicted=total.evicted + done.evicted,
            )
            if not done.over_bytes:
                break
        return total

    def clear(self) -> None:
        """Deletes every record.

        Raises:
            StoreFault: nothing was changed.
        """
        with self._store.environment() as env, self._transaction() as txn:
            txn.drop(env.open_db(txn=txn), delete=False)

    def sync(self) -> None:
        """Waits until all commits are on the disk.

        Raises:
            StoreFault: they are not.
        """
        with self._store.environment() as env:
            env.sync(True)  # noqa: FBT003 - LMDB's own signature

    def free_dead_readers(self) -> None:
        """Lets go of what killed processes were reading: their places keep pages from being used again.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        with self._store.environment() as env:
            env.reader_check()

    def _used_bytes(self, txn: lmdb.Transaction[bytes]) -> int:
        return used_bytes(txn, self._store.page_bytes)
