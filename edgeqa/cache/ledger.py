"""A page of numbers that all processes on one cache share, and that outlives them: totals, and notes on who died where.

In: a path. Out: `Ledger`, 64-bit slots by name; and marks, which move when a record at one of many addresses has
changed, so that other processes drop what they have of these addresses, and nothing else. The file is one page, written
out in full when it is made, changed by `pwrite` under `flock` and read through a memory map: a full disk is then an
error and not a signal, and looking at the epoch on every hit costs no system call. Nothing here is needed for a right
answer; a page of nonsense is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from edgeqa import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_MAGIC = 0x31_6D_75_6E_61_71_65  # "eqanum1", little-endian
_FILE_BYTES = 4096
LOCK_WAIT_S = 2.0
IN_VAIN_S = 10.0
_SLOT = struct.Struct("<Q")

GUARD_SLOTS = ("epoch", "opening", "writing", "deaths", "died_at_s", "inside")
TOTALS = ("hits_front", "hits_store", "misses", "puts", "evictions", "second_chances")
FAULTS = (
    "checksum",
    "format",
    "collision",
    "shape",
    "map_full",
    "disk_full",
    "read_only",
    "too_large",
    "dropped",
    "readers_full",
    "damaged",
    "foreign",
    "unavailable",
    "engine",
    "off_after_deaths",
    "map_busy",
)
SLOTS = ("magic", *GUARD_SLOTS, *TOTALS, *FAULTS, "hashed")  # the order is the file's format: new names go to the end
_OFFSETS = {name: 8 * index for index, name in enumerate(SLOTS)}
# The words up to here are for the slots. Then comes how often marks were moved, then the marks.
_MARKED_WORD = 128
_MARKS = _FILE_BYTES // 8 - _MARKED_WORD - 1


class Marked(NamedTuple):
    """That a process has moved marks: the epoch just before and just after, and all marks."""

    epoch_before: int
    epoch_after: int
    marks: list[int]


def marks_in(words: memoryview) -> list[int]:
    """Returns how often marks were moved, and all marks."""
    return words[_MARKED_WORD:].tolist()


def mark_of(digest: bytes) -> int:
    """Returns which item of `marks_in` is the mark of an address."""
    return 1 + int.from_bytes(digest[-4:], "big") % _MARKS


class Ledger:
    """The shared numbers of one cache directory."""

    def __init__(self, path: Path) -> None:
        self._fd = files.opened(path, os.O_RDWR | os.O_CREAT)
        self._in_vain_until_s = 0.0
        self._lock = threading.RLock()  # `flock` keeps processes apart, but not two threads with one handle
        try:
            with self._locked():
                if os.pread(self._fd, 8, 0) != _SLOT.pack(_MAGIC) or os.fstat(self._fd).st_size != _FILE_BYTES:
                    os.pwrite(self._fd, _SLOT.pack(_MAGIC).ljust(_FILE_BYTES, b"\0"), 0)
                    os.ftruncate(self._fd, _FILE_BYTES)
            self._map = mmap.mmap(self._fd, _FILE_BYTES, prot=mmap.PROT_READ)
        except BaseException:
            os.close(self._fd)
            raise
        self.words = memoryview(self._map).cast("Q")  # words[EPOCH_WORD] is read on every hit

    def get(self, name: str) -> int:
        """Returns a number."""
        value: int = _SLOT.unpack_from(self._map, _OFFSETS[name])[0]
        return value

    def totals(self) -> dict[str, int]:
        """Returns all totals and all faults."""
        return {name: self.get(name) for name in (*TOTALS, *FAULTS)}

    def set(self, name: str, value: int) -> None:
        """Writes a number; an error of the disk is ignored."""
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, _SLOT.pack(value), _OFFSETS[name])

    def add(self, increments: Mapping[str, int]) -> None:
        """Adds to numbers, not losing what other processes add at the same time; negative numbers stop at zero."""
        with contextlib.suppress(OSError), self._locked():
            for name, increment in increments.items():
                value = max(0, self.get(name) + increment)
                os.pwrite(self._fd, _SLOT.pack(value & (2**64 - 1)), _OFFSETS[name])

    def mark(self, digests: Iterable[bytes]) -> Marked | None:
        """Tells all processes that the records at these addresses have changed; None if that cannot be told."""
        with contextlib.suppress(OSError), self._locked():
            marks = marks_in(self.words)
            for moved in {0, *map(mark_of, digests)}:
                marks[moved] += 1
            before = self.get("epoch")
            os.pwrite(self._fd, struct.pack(f"<{len(marks)}Q", *marks), 8 * _MARKED_WORD)
            os.pwrite(self._fd, _SLOT.pack(before + 1), _OFFSETS["epoch"])  # last: who sees it sees the marks, too
            return Marked(before, before + 1, marks)
        return None

    def reset(self) -> None:
        """Sets everything to zero but the epoch, which moves, so that nobody's table in front outlives this."""
        with contextlib.suppress(OSError), self._locked():
            epoch = self.get("epoch")
            os.pwrite(self._fd, _SLOT.pack(_MAGIC) + _SLOT.pack(epoch + 1) + bytes(_FILE_BYTES - 16), 0)

    def close(self) -> None:
        """Gives the file handle back; the map goes when nobody looks at `words` any more. Harmless when repeated."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps others out; raises TimeoutError where one that does not go on keeps us out."""
        with self._lock:
            try:
                files.lock_within(
                    self._fd, fcntl.LOCK_EX, 0.0 if time.monotonic() < self._in_vain_until_s else LOCK_WAIT_S
                )
            except TimeoutError:  # a process that was stopped holds it: nobody waits for it again and again
                self._in_vain_until_s = time.monotonic() + IN_VAIN_S
                raise
            try:
                yield
            finally:
                files.unlock(self._fd)


EPOCH_WORD = SLOTS.index("epoch")
