"""The memory-mapped store: records in the order they were stored, found by their addresses. LMDB inside.

In: addresses (16 bytes that begin with a 0 bit). Out: records (bytes, not looked into but for their address and their
soundness). One table with two kinds of keys. Addresses come first and lead to sequence numbers. Sequence numbers (8
bytes that begin with a 1 bit) come after them and lead to records: so they are only ever appended to, at the end of the
tree, and its pages there are full, and evicted from one end. One table, because LMDB looks a second one up by its name
in each transaction, which costs as much as the read itself. Reading writes nothing and takes no lock; any thread may.
What is written is in `commits`. This knows nothing of keys, values, times or of damaged files.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

import lmdb

from edgeqa.cache import records
from edgeqa.cache.environment import StoreFault, as_fault, faults, open_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST_SEQUENCE_NUMBER = 1 << 63
LAST_SEQUENCE_NUMBER = FIRST_SEQUENCE_NUMBER + (1 << 62)  # nobody gets so far by counting
_CLOSING_LIMIT_S = 1.0
_FORKING_LIMIT_S = 1.0


class Usage(NamedTuple):
    """How full the store is."""

    entries: int
    used_bytes: int
    map_bytes: int


class Store:
    """One LMDB environment, open."""

    def __init__(self, directory: Path, map_bytes: int, *, durable: bool) -> None:
        self._env: lmdb.Environment | None = open_environment(directory, map_bytes, durable=durable)
        self._lock = threading.Lock()
        self._passable = threading.Event()
        self._passable.set()
        self.map_bytes = map_bytes
        with faults():
            self.page_bytes: int = self._env.stat()["psize"]
        self._references = sys.getrefcount(self._env)  # while nobody is inside
        self.syncs_each_commit = False
        """Whether a commit waits for the disk by our doing; LMDB does it by itself where it was opened so."""
        self._opened_durable = durable

    @property
    def env(self) -> lmdb.Environment:
        """The environment; it is closed when nobody refers to it any more, so nobody may keep it.

        Raises:
            StoreFault: it is closed.
        """
        self._passable.wait()
        env = self._env
        if env is None:
            raise StoreFault(kind="unavailable", reason="closed")
        return env

    @property
    def begin(self) -> Callable[[], lmdb.Transaction[bytes]]:
        """What starts a read, for those that read much: `get` of an address, then `get` of what it gives."""
        begin: Callable[[], lmdb.Transaction[bytes]] = self.env.begin
        return begin

    def read(self, digest: bytes) -> bytes | None:
        """Returns the record at an address.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        try:
            return _read(self.env, digest)
        except lmdb.ReadersFullError:
            with faults():
                self.env.reader_check()
                return _read(self.env, digest)
        except StoreFault:
            raise
        except Exception as error:  # of any type, as in `faults`, which would take longer than the read
            raise as_fault(error) from error

    def make_durable(self) -> None:
        """Has every commit from now on wait for the disk; LMDB's own flag cannot be set while it is open."""
        self.syncs_each_commit = not self._opened_durable

    def free_dead_readers(self) -> None:
        """Lets go of what killed processes were reading: their places keep pages from being used again.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        with faults():
            self.env.reader_check()

    def usage(self) -> Usage:
        """Returns how full the store is.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        with faults(), self.env.begin() as txn:
            return Usage(txn.stat()["entries"] // 2, used_bytes(txn, self.page_bytes), self.map_bytes)

    def problems(self) -> list[str]:
        """Returns what is wrong with the invariants: each address has a record, each record its address, all whole.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        found: list[str] = []
        addresses = stored = 0
        with faults(), self.env.begin() as txn:
            for key, value in txn.cursor():
                if len(key) == 16:
                    addresses += 1
                    continue
                stored += 1
                number = int.from_bytes(key, "big")
                if len(key) != 8 or not FIRST_SEQUENCE_NUMBER <= number <= LAST_SEQUENCE_NUMBER:
                    found.append(f"{key.hex()} is neither an address nor a sequence number")
                elif not records.is_sound(value):
                    found.append(f"record {number} is torn")
                elif txn.get(records.digest_of(value)) != key:
                    found.append(f"record {number} is not at its address")
            if addresses != stored:
                found.append(f"{addresses} addresses, but {stored} records")
            used = used_bytes(txn, self.page_bytes)
            if used > self.map_bytes:
                found.append(f"{used} bytes used of {self.map_bytes}")
        return found

    def close(self) -> None:
        """Closes the environment, once the last reader is out of it. Harmless when repeated."""
        with self._lock:
            env, self._env = self._env, None
        if env is None:
            return
        # Closing it under a reader in another thread would be the end of the process. Each reader refers to it, so that
        # it closes by itself with the last of them. What still refers to it after a while does not read any more.
        gone, give_up_at_s = weakref.ref(env), time.monotonic() + _CLOSING_LIMIT_S
        del env
        while (left := gone()) is not None:
            if time.monotonic() > give_up_at_s:
                left.close()
                return
            del left
            gc.collect()  # an error that was raised in there may be part of a cycle
            time.sleep(0.001)

    def before_fork(self) -> None:
        """Lets nobody in, and waits until all are out: a child cannot close what another thread of its parent is in."""
        self._passable.clear()
        give_up_at_s = time.monotonic() + _FORKING_LIMIT_S
        while sys.getrefcount(self._env) > self._references and time.monotonic() < give_up_at_s:
            time.sleep(0.0005)

    def after_fork(self) -> None:
        """Lets readers and writers of the parent in again."""
        self._passable.set()

    def forked(self) -> None:
        """Lets go of the parent's environment in a forked child; the binding sees whose it is, and touches nothing."""
        self._lock = threading.Lock()  # the old one may be held by a thread that exists only in the parent
        env, self._env = self._env, None
        if env is not None:
            env.close()  # at once: the readers of the parent's other threads never come back here


def used_bytes(txn: lmdb.Transaction[bytes], page_bytes: int) -> int:
    """Returns how much of the map is in use, as a transaction sees it."""
    stat = txn.stat()
    pages = 3  # the two meta pages, the list of free pages
    return page_bytes * (pages + stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])


def _read(env: lmdb.Environment, digest: bytes) -> bytes | None:
    with env.begin() as txn:
        sequence = txn.get(digest)
        return None if sequence is None else txn.get(sequence)
