"""The memory-mapped store: records in the order they were stored, found by their addresses. LMDB inside.

In: addresses (16 bytes that begin with a 0 bit). Out: records, or a `StoreFault`. Of a record's bytes, only the address
and the soundness are looked at. `commits` writes to the store, and `guard` decides before whether LMDB may be given the
file at all. The store knows nothing of keys, values or times.

There is one table with two kinds of keys. Addresses come first and lead to sequence numbers. Sequence numbers (8 bytes
that begin with a 1 bit) come after them and lead to records. New records are therefore appended at the end of the tree,
where its pages are full, and old ones are evicted from one end. A second table would cost as much as the read itself,
because LMDB looks it up by its name in each transaction. `writemap` stays off: with it, a full disk is a fatal signal
instead of an error.

How threads, closing and forks get along:

- Any thread may read; reading writes nothing and takes no lock. But nobody may close LMDB while a thread is inside, and
  a forked child cannot close an environment that another thread of its parent was in.
- So each reader counts itself: it appends to `inside` before it looks whether the store is open, and takes the entry
  off when its transaction is gone. Both are one step of the interpreter.
- A thread that closes or forks shuts the door first and then waits until `inside` is empty. The reader counts before it
  looks, the other one shuts before it looks: so at least one of the two sees the other.
- The wait takes a second at most. An interrupt between two steps may leave a count behind, and a fork or a close must
  not hang for that.

Three ways were not chosen: a lock around each read, which takes half as long as the read; the interpreter's count of
references, which an error or a debugger may hold as well; LMDB's own list of readers, which does not know threads that
are about to begin.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import lmdb

from edgeqa import files, forking
from edgeqa.cache import records
from edgeqa.cache.ledger import Mapped
from edgeqa.errors import FilesLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCK_FILE, DATA_FILE = "lock.mdb", "data.mdb"
FIRST_SEQUENCE_NUMBER = 1 << 63
LAST_SEQUENCE_NUMBER = FIRST_SEQUENCE_NUMBER + (1 << 62)  # nobody gets so far by counting
_LOOK_EVERY_S = 0.000_200  # a cut takes longer than this to do harm; with 50 us, reads take 2 % longer
_WAIT_S = 1.0  # the longest wait for threads that are inside
_MAX_READERS = 512
_LOCK_FILE_BYTES = 64 * (_MAX_READERS + 4)
_OPEN_ATTEMPTS = 6
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # EIO: LMDB's word for a write that was cut short
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class StoreFault(Exception):
    """The store cannot do it; `kind` is one of `ledger.FAULTS`."""

    def __init__(self, kind: str, reason: object = "") -> None:
        super().__init__(f"{kind}: {reason}" if reason else kind)
        self.kind = kind
        self.reason = str(reason)


class StoreBusy(StoreFault):
    """Others keep the store from being opened for now; the next question tries again."""

    def __init__(self, reason: object) -> None:
        super().__init__("unavailable", reason)


class Usage(NamedTuple):
    """How full the store is."""

    entries: int
    used_bytes: int
    map_bytes: int


class Store:
    """One LMDB environment: not open yet, open, closed."""

    def __init__(self) -> None:
        self._env: lmdb.Environment | None = None
        self._lock = threading.Lock()
        self._passable = threading.Event()
        self._passable.set()
        self.inside: deque[None] = deque()  # a list would allocate memory whenever it was empty
        """One item for each thread that reads or writes, or is about to look whether it may."""
        self.begin: Callable[[], Any] = _not_now
        """Starts a read, for who counts itself: `get` of an address, then `get` of what that gives, on the result."""
        self.mapped = Mapped(_LOOK_EVERY_S)
        self.map_bytes = self.page_bytes = 0
        self.syncs_each_commit = False
        """Whether a commit waits for the disk by our doing; LMDB does it by itself where it was opened so."""
        self._opened_durable = False
        self._watched: list[int] = []

    @property
    def is_open(self) -> bool:
        """Whether there is an environment."""
        return self._env is not None

    def open(self, directory: Path, map_bytes: int, *, durable: bool) -> None:
        """Opens the environment in a directory.

        Raises:
            StoreFault: it does not open.
        """
        env = _open_environment(directory, map_bytes, durable=durable)
        try:
            with faults():
                self.page_bytes = env.stat()["psize"]
                for name in (LOCK_FILE, DATA_FILE):
                    # It stays open until LMDB is closed: to close any handle of the lock file drops the locks that LMDB
                    # has on it.
                    self._watched.append(files.opened(directory / name))
                    self.mapped.watch(self._watched[-1], name)
        except BaseException:
            self.mapped.forget()
            env.close()
            self._let_go()
            raise
        self.map_bytes, self._opened_durable, self.syncs_each_commit = map_bytes, durable, False
        self._env, self.begin = env, env.begin

    @contextlib.contextmanager
    def environment(self) -> Iterator[lmdb.Environment]:
        """Gives the environment, for as long as the caller is counted as inside; nobody may keep it.

        Raises:
            StoreFault: it is closed, or LMDB refused what was done with it.
        """
        self.inside.append(None)
        try:
            while not self._passable.is_set():  # the process forks
                self._leave()
                if not forking.wait_for_fork(lambda: not self._passable.is_set()):
                    self.after_fork()
                self.inside.append(None)
            env = self._env
            if env is None:
                raise StoreFault(kind="unavailable", reason="closed")
            if name := self.mapped.look():
                raise cut_short(name)
            with faults():
                yield env
        finally:
            self._leave()

    def _leave(self) -> None:
        if self.inside:  # else this is a forked child, where counting began anew
            self.inside.pop()

    def read(self, digest: bytes) -> bytes | None:
        """Returns the record at an address.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        if time.monotonic() >= self.mapped.until_s and (name := self.mapped.look()):
            raise cut_short(name)
        self.inside.append(None)
        try:
            txn = self.begin()
            sequence = txn.get(digest)
            found: bytes | None = None if sequence is None else txn.get(sequence)
            return found  # noqa: TRY300 - nothing of this may fail unseen
        except Exception:  # noqa: S110 - it is closed, or forks, or LMDB refuses: the careful way finds out
            pass
        finally:
            txn = None  # it ends here, while it is counted
            self._leave()
        with self.environment() as env:
            try:
                return _read(env, digest)
            except lmdb.ReadersFullError:
                env.reader_check()
                return _read(env, digest)

    def make_durable(self) -> None:
        """Makes every commit from now on wait for the disk; LMDB's own flag cannot be set while it is open."""
        self.syncs_each_commit = not self._opened_durable

    def usage(self) -> Usage:
        """Returns the store's usage.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        with self.environment() as env, env.begin() as txn:
            return Usage(txn.stat()["entries"] // 2, used_bytes(txn, self.page_bytes), self.map_bytes)

    def problems(self) -> list[str]:
        """Checks that each address has a whole record, and each record its address; returns a line for each fault.

        Raises:
            StoreFault: LMDB refused, or the store is closed.
        """
        found: list[str] = []
        addresses = stored = 0
        with self.environment() as env, env.begin() as txn:
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

    def shut(self) -> None:
        """Lets `begin` find nothing until the store is opened anew; LMDB stays open, since threads may be inside."""
        self.begin = dict

    def close(self) -> None:
        """Closes the environment, once those who are inside are out of it. Harmless when repeated."""
        self.begin = _not_now
        with self._lock:
            env, self._env = self._env, None
        if env is not None:
            try:
                self._wait_until_empty()
            except BaseException:  # an interrupt: the next attempt closes it
                self._env = env
                raise
            self.mapped.forget()
            env.close()
            self._let_go()

    def _let_go(self) -> None:
        """Closes the handles by which the size of files was seen."""
        while self._watched:
            os.close(self._watched.pop())

    def abandon(self) -> None:
        """Leaves what is open to the end of the process: to close it would touch what was cut off."""
        self.begin = _not_now
        with self._lock:
            env, self._env = self._env, None
        if env is not None:
            import ctypes  # imported here, because this hardly ever happens

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(env))  # the interpreter must not free it at its end, either

    def _wait_until_empty(self) -> None:
        give_up_at_s = time.monotonic() + _WAIT_S
        while self.inside and time.monotonic() < give_up_at_s:
            time.sleep(0.0005)

    def before_fork(self) -> None:
        """Lets nobody in, and waits until all are out."""
        self._passable.clear()
        if self._env is not None and self.begin is not dict:  # else it is shut, and stays shut
            self.begin = _not_now
        self._wait_until_empty()

    def after_fork(self) -> None:
        """Lets readers and writers of the parent in again."""
        env = self._env
        if env is not None and self.begin is _not_now:
            self.begin = env.begin
        self._passable.set()

    def forked(self) -> None:
        """Lets go of the parent's environment in a forked child; the binding sees whose it is, and touches nothing."""
        self._lock = threading.Lock()  # the old one may be held by a thread that exists only in the parent
        self._passable = threading.Event()
        self._passable.set()
        env, self._env, self.begin = self._env, None, _not_now
        self.mapped.forget()
        self.inside.clear()  # the parent's other threads never come out here
        if env is not None:
            env.close()
        self._let_go()  # which are this process's own


def cut_short(name: str) -> StoreFault:
    """Returns the fault that a file is which somebody has cut short while it was mapped."""
    return StoreFault("damaged", f"{name} was cut short while it was in use")


def _not_now() -> None:
    """Stands for `begin` while the store is not open, or the process forks: the careful way opens it, or waits."""
    raise StoreFault(kind="unavailable", reason="not open")


def used_bytes(txn: lmdb.Transaction[bytes], page_bytes: int) -> int:
    """Returns the bytes of the map that are in use, as a transaction sees it."""
    stat = txn.stat()
    pages = 3  # the two meta pages, the list of free pages
    return page_bytes * (pages + stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])


def _read(env: lmdb.Environment, digest: bytes) -> bytes | None:
    with env.begin() as txn:
        sequence = txn.get(digest)
        return None if sequence is None else txn.get(sequence)


def _open_environment(directory: Path, map_bytes: int, *, durable: bool) -> lmdb.Environment:
    """Opens LMDB; an open that races another process's open or close can fail for a moment, and is tried again."""
    _allocate_lock_file(directory)
    fault = StoreFault("engine")
    for attempt in range(_OPEN_ATTEMPTS):
        if attempt:
            time.sleep((0.5 + os.urandom(1)[0] / 256) * 0.002 * 2**attempt)  # jitter, so that two do not race again
        try:
            env = lmdb.Environment(
                os.fsencode(directory),  # a path need not be UTF-8
                map_size=map_bytes,
                max_readers=_MAX_READERS,
                max_spare_txns=0,  # a spare one keeps a reader's slot, which a forked child would free under its parent
                sync=durable,
                metasync=durable,
                mode=0o600,
            )
            env.reader_check()
        except (lmdb.InvalidParameterError, lmdb.LockError) as error:
            fault = as_fault(error)
        except Exception as error:  # of any type, as in `faults`
            raise as_fault(error) from error
        else:
            return env
    raise fault


def _allocate_lock_file(directory: Path) -> None:
    """Gives LMDB's lock file its blocks: LMDB makes it sparse, and touching a hole on a full disk is a fatal signal."""
    path = directory / LOCK_FILE
    with faults():
        files.check_plain(path, directory / DATA_FILE, written=True)
        if path.exists() and path.stat().st_size >= _LOCK_FILE_BYTES:
            return
        fd = files.opened(path, os.O_RDWR | os.O_CREAT)
        try:
            size_bytes = os.fstat(fd).st_size
            os.pwrite(fd, b"\0" * (_LOCK_FILE_BYTES - size_bytes), size_bytes)
        finally:
            os.close(fd)


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """Turns every error into a `StoreFault`: a damaged file can surprise the binding, and us, with one of any type."""
    try:
        yield
    except StoreFault:
        raise
    except Exception as error:
        raise as_fault(error) from error


def as_fault(error: Exception) -> StoreFault:
    """Returns the fault that an error is."""
    if isinstance(error, lmdb.MapFullError):
        return StoreFault("map_full", error)
    if isinstance(error, TimeoutError) or "already open" in str(error):  # or another thread is just closing it
        return StoreBusy(error)
    if isinstance(error, lmdb.ReadersFullError):
        return StoreFault("readers_full", error)
    if isinstance(error, (lmdb.MemoryError, MemoryError)):
        return StoreFault("unavailable", error)
    code = getattr(error, "errno", None)
    text = str(error)
    if isinstance(error, FilesLimited) or code in files.TOO_MANY or os.strerror(errno.EMFILE) in text:
        return StoreBusy(error)  # nothing is wrong with the files
    if isinstance(error, lmdb.DiskError) or code in _DISK_FULL or any(os.strerror(e) in text for e in _DISK_FULL):
        return StoreFault("disk_full", error)
    if isinstance(error, lmdb.ReadonlyError) or code in _READ_ONLY or any(os.strerror(e) in text for e in _READ_ONLY):
        return StoreFault("read_only", error)
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError)):
        return StoreFault("damaged", error)
    return StoreFault("engine", f"{type(error).__name__}: {error}")
