"""The memory-mapped store: records in the order they were stored, and an index from addresses to them. LMDB inside.

In: addresses (16 bytes) and records (bytes, not looked into but for their address). Out: records. Two tables: `log`,
sequence number -> record, only ever appended to, so that its pages are full and evicted from one end; and `index`,
address -> sequence number. Reading writes nothing. Only one thread may call `commit`, `clear` and `sync`; `read` may be
called by any. This knows nothing of keys, values, times or of damaged files: that is `records` and `guard`.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

import lmdb

from edgeqa.cache import eviction, records
from edgeqa.cache.environment import StoreFault, as_fault, faults, open_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_COMMITS_UNTIL_FREE = 2
_LAST_SEQUENCE_NUMBER = 1 << 62
_ROOM_RECORDS, _ROOM_ROUNDS = 4, 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """How full the store is."""

    entries: int
    used_bytes: int
    map_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did besides storing."""

    evicted: int = 0
    kept: int = 0
    over_bytes: int = 0


class Store:
    """One LMDB environment, open."""

    def __init__(self, directory: Path, map_bytes: int, *, durable: bool) -> None:
        self._env = open_environment(directory, map_bytes, durable=durable)
        self._lock = threading.Lock()  # a reader must not be inside LMDB while the environment is closed
        self._closed = False
        try:
            self._log = self._env.open_db(b"log")
            self._index = self._env.open_db(b"index")
            self._page_bytes: int = self._env.stat()["psize"]
        except lmdb.Error as error:
            self.close()
            raise as_fault(error) from error
        self.map_bytes = map_bytes
        self.limits = eviction.limits(map_bytes, self._page_bytes)

    def read(self, digest: bytes) -> bytes | None:
        """Returns the record at an address.

        Raises:
            StoreFault: LMDB refused.
        """
        with self._lock:
            if self._closed:
                return None
            try:
                with self._env.begin() as txn:
                    sequence = txn.get(digest, None, self._index)
                    return None if sequence is None else txn.get(sequence, None, self._log)
            except lmdb.ReadersFullError:
                with faults():
                    self._env.reader_check()
                    with self._env.begin() as txn:
                        sequence = txn.get(digest, None, self._index)
                        return None if sequence is None else txn.get(sequence, None, self._log)
            except (lmdb.Error, SystemError) as error:
                raise as_fault(error) from error

    def commit(
        self,
        changes: Mapping[bytes, bytes | None],
        is_hot: Callable[[bytes], bool],
        *,
        evict_records: int | None = None,
    ) -> Committed:
        """Stores records, deletes those that are None, and evicts if the map fills; all of it or nothing.

        Raises:
            StoreFault: nothing was changed.
        """
        with faults(), self._env.begin(write=True) as txn:
            log, index = txn.cursor(self._log), txn.cursor(self._index)
            for digest, sequence in index.getmulti(list(changes)):
                txn.delete(sequence, db=self._log)
                if changes[digest] is None:
                    txn.delete(digest, db=self._index)
            sequence_number = int.from_bytes(log.key(), "big") if log.last() else 0
            if sequence_number > _LAST_SEQUENCE_NUMBER:  # nobody gets so far by counting
                raise StoreFault(kind="damaged", reason=f"sequence number {sequence_number}")
            stored = [(digest, record) for digest, record in changes.items() if record is not None]
            sequences = [(sequence_number + n).to_bytes(8, "big") for n in range(1, len(stored) + 1)]
            log.putmulti([(s, record) for s, (_, record) in zip(sequences, stored, strict=True)], append=True)
            index.putmulti([(digest, s) for s, (digest, _) in zip(sequences, stored, strict=True)])
            limit = self.limits.evict_records if evict_records is None else evict_records
            return self._evict(txn, sequence_number + len(stored), is_hot, limit)

    def make_room(self, is_hot: Callable[[bytes], bool]) -> Committed:
        """Evicts what is over the limit, little by little, and lets LMDB use the pages again that it has freed.

        Raises:
            StoreFault: nothing more can be done, for example while a reader that does not end holds the pages.
        """
        evicted = kept = 0
        for _ in range(_ROOM_ROUNDS):
            for _ in range(_COMMITS_UNTIL_FREE):
                with faults(), self._env.begin(write=True) as txn:
                    txn.put(b"tick", b"", dupdata=False)
                    txn.delete(b"tick")
            done = self.commit({}, is_hot, evict_records=_ROOM_RECORDS)
            evicted, kept = evicted + done.evicted, kept + done.kept
            if not done.over_bytes:
                break
        return Committed(evicted, kept, done.over_bytes)

    def _evict(self, txn: lmdb.Transaction[bytes], last: int, is_hot: Callable[[bytes], bool], limit: int) -> Committed:
        evicted = kept = kept_bytes = 0
        used_bytes = self._used_bytes(txn)
        if used_bytes > self.limits.high_bytes:
            log = txn.cursor(self._log)
            while evicted + kept < limit and kept_bytes < self.limits.batch_bytes and log.first():
                sequence, record = log.item()
                digest = records.digest_of(record)
                log.delete()
                if txn.get(digest, None, self._index) == sequence:
                    if is_hot(digest):
                        last, kept, kept_bytes = last + 1, kept + 1, kept_bytes + len(record)
                        txn.put(last.to_bytes(8, "big"), record, append=True, db=self._log)
                        txn.put(digest, last.to_bytes(8, "big"), db=self._index)
                        continue
                    txn.delete(digest, db=self._index)
                evicted += 1
                if evicted % 16 == 0:
                    used_bytes = self._used_bytes(txn)
                    if used_bytes <= self.limits.low_bytes:
                        break
            used_bytes = self._used_bytes(txn)
        return Committed(evicted, kept, max(0, used_bytes - self.limits.high_bytes))

    def clear(self) -> None:
        """Deletes every record.

        Raises:
            StoreFault: nothing was changed.
        """
        with faults(), self._env.begin(write=True) as txn:
            txn.drop(self._index, delete=False)
            txn.drop(self._log, delete=False)

    def sync(self) -> None:
        """Waits until all commits are on the disk.

        Raises:
            StoreFault: they are not.
        """
        with faults():
            self._env.sync(True)  # noqa: FBT003 - LMDB's own signature

    def usage(self) -> Usage:
        """Returns how full the store is.

        Raises:
            StoreFault: LMDB refused.
        """
        with self._lock, faults():
            if self._closed:
                return Usage(0, 0, self.map_bytes)
            with self._env.begin() as txn:
                return Usage(txn.stat(self._index)["entries"], self._used_bytes(txn), self.map_bytes)

    def problems(self) -> list[str]:
        """Returns what is wrong with the invariants: index and log name each other, and every record is whole."""
        found: list[str] = []
        with self._lock, faults(), self._env.begin() as txn:
            entries = txn.stat(self._index)["entries"]
            if entries != txn.stat(self._log)["entries"]:
                found.append(f"{entries} addresses, but {txn.stat(self._log)['entries']} records")
            for sequence, record in txn.cursor(self._log):
                number = int.from_bytes(sequence, "big")
                if len(sequence) != 8 or number > _LAST_SEQUENCE_NUMBER:
                    found.append(f"{number} is no sequence number")
                elif not records.is_sound(record):
                    found.append(f"record {number} is torn")
                elif txn.get(records.digest_of(record), None, self._index) != sequence:
                    found.append(f"record {number} is not at its address")
            used_bytes = self._used_bytes(txn)
            if used_bytes > self.map_bytes:
                found.append(f"{used_bytes} bytes used of {self.map_bytes}")
        return found

    def close(self) -> None:
        """Closes the environment; further reads find nothing. Harmless when repeated."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._env.close()

    def forked(self) -> None:
        """Lets go of the parent's environment in a forked child; the binding sees whose it is, and touches nothing."""
        self._lock = threading.Lock()  # the old one may be held by a thread that exists only in the parent
        self.close()

    def _used_bytes(self, txn: lmdb.Transaction[bytes]) -> int:
        pages = 4  # the two meta pages, the table of tables, the list of free pages
        for table in (self._index, self._log):
            stat = txn.stat(table)
            pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages * self._page_bytes
