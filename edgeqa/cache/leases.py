"""Leases: which process computes the value of a key, told by byte-range locks on one file that never grows by them.

In: keys. Out: the right to compute, or the news that the one who had it failed. A lock on the byte at a key's digest
needs no file and writes nothing, and the kernel drops it when its holder dies, so that another takes over at once. The
file's first bytes hold notes of failure for those who waited. In one process these locks do not exclude each other:
that is `flight`'s part. Where the file system has no locks, every process computes for itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from edgeqa.errors import ComputationFailed

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.cache.keys import Key

_NOTE_BYTES, _NOTES = 512, 64
_NOTE = struct.Struct("<QQ16s")  # checksum of the rest, when (ns since the epoch), check
_LOCKS_FROM = 1 << 20
_TAKEN = (errno.EAGAIN, errno.EACCES)


class Leases:
    """The leases of one cache directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self, key: Key) -> bool:
        """Returns whether this process may compute now; False while another does."""
        try:
            fcntl.lockf(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(key))
        except OSError as error:
            return error.errno not in _TAKEN
        return True

    def give_back(self, key: Key) -> None:
        """Lets another process compute, or look at what was stored."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _offset(key))

    def note_failure(self, key: Key, type_name: str, message: str) -> None:
        """Leaves the news for those who wait for this key now."""
        text = f"{type_name}\0{message}".encode("utf-8", "replace")[: _NOTE_BYTES - _NOTE.size]
        body = struct.pack("<Q16s", time.time_ns(), key.check) + text.ljust(_NOTE_BYTES - _NOTE.size, b"\0")
        with contextlib.suppress(OSError):
            os.pwrite(self._open(), xxh3_64_intdigest(body).to_bytes(8, "little") + body, _note_offset(key))

    def failure_since(self, key: Key, since_ns: int) -> ComputationFailed | None:
        """Returns the failure of this key that was noted since then, in ns of the clock that goes on over a reboot."""
        try:
            note = os.pread(self._open(), _NOTE_BYTES, _note_offset(key))
        except OSError:
            return None
        if len(note) < _NOTE_BYTES or xxh3_64_intdigest(note[8:]) != int.from_bytes(note[:8], "little"):
            return None
        _, noted_ns, check = _NOTE.unpack_from(note)
        if check != key.check or not since_ns <= noted_ns <= time.time_ns():
            return None
        type_name, _, message = note[_NOTE.size :].rstrip(b"\0").decode("utf-8", "replace").partition("\0")
        return ComputationFailed(type_name, message)

    def close(self) -> None:
        """Gives the file back, and with it every lease. Harmless when repeated."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _open(self) -> int:
        # One handle for the whole life: closing any handle on the file would drop all of the process's locks on it.
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._fd


def _offset(key: Key) -> int:
    return _LOCKS_FROM + (int.from_bytes(key.digest[:8], "little") >> 2)


def _note_offset(key: Key) -> int:
    return key.digest[0] % _NOTES * _NOTE_BYTES
