"""Opening LMDB, and what its errors mean.

In: a directory and a map size. Out: an open `lmdb.Environment`, or a `StoreFault` that says what is wrong in one of the
words of `ledger.FAULTS`. `writemap` stays off: with it, a full disk is a fatal signal instead of an error. Whether the
file may be given to LMDB at all is decided before, by `guard`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

import lmdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA_FILE, LOCK_FILE = "data.mdb", "lock.mdb"
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


def open_environment(directory: Path, map_bytes: int, *, durable: bool) -> lmdb.Environment:
    """Opens LMDB; an open that races another process's open or close can fail for a moment, and is tried again.

    Raises:
        StoreFault: it does not open.
    """
    _allocate_lock_file(directory)
    fault = StoreFault("engine")
    for attempt in range(_OPEN_ATTEMPTS):
        if attempt:
            time.sleep((0.5 + os.urandom(1)[0] / 256) * 0.002 * 2**attempt)  # jitter, so that two do not race again
        try:
            return _open(directory, map_bytes, durable=durable)
        except (lmdb.InvalidParameterError, lmdb.LockError) as error:
            fault = as_fault(error)
        except Exception as error:  # of any type, as in `faults`
            raise as_fault(error) from error
    raise fault


def _open(directory: Path, map_bytes: int, *, durable: bool) -> lmdb.Environment:
    env = lmdb.Environment(
        str(directory),
        map_size=map_bytes,
        max_readers=_MAX_READERS,
        max_spare_txns=0,  # a spare one keeps a reader's slot, which a forked child would free under its parent
        sync=durable,
        metasync=durable,
        mode=0o600,
    )
    env.reader_check()
    return env


def _allocate_lock_file(directory: Path) -> None:
    """Gives LMDB's lock file its blocks: LMDB makes it sparse, and touching a hole on a full disk is a fatal signal."""
    path = directory / LOCK_FILE
    try:
        if path.exists() and path.stat().st_size >= _LOCK_FILE_BYTES:
            return
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size_bytes = os.fstat(fd).st_size
            os.pwrite(fd, b"\0" * (_LOCK_FILE_BYTES - size_bytes), size_bytes)
        finally:
            os.close(fd)
    except OSError as error:
        raise as_fault(error) from error


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
    if isinstance(error, lmdb.DiskError) or code in _DISK_FULL or any(os.strerror(e) in text for e in _DISK_FULL):
        return StoreFault("disk_full", error)
    if isinstance(error, lmdb.ReadonlyError) or code in _READ_ONLY or any(os.strerror(e) in text for e in _READ_ONLY):
        return StoreFault("read_only", error)
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError)):
        return StoreFault("damaged", error)
    return StoreFault("engine", f"{type(error).__name__}: {error}")
