"""The ledger: a page of numbers that all processes on one cache share: totals, and notes on processes that died.

In: a path. Out: `Ledger`, 64-bit slots by name, and marks. A mark stands for many addresses and moves when a record at
one of them has changed, so that other processes drop their values of these addresses, and no others. The file is one
page. It is written out in full when it is made and changed by `pwrite` under `flock`, so that a full disk is an error
and not a signal. Every hit looks at the epoch, which is read through a memory map without a system call; the other
numbers are read by `pread`. No right answer depends on the ledger, and a page of nonsense is made anew.

`Mapped` knows whether mapped files still have their length: to touch a part that somebody cut off ends the process
(SIGBUS). It is asked before each use, and looks unless it has just done so.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import struct
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from edgeqa import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_MAGIC = 0x31_6D_75_6E_61_71_65  # "eqanum1", little-endian
_FILE_BYTES = 4096
LOCK_WAIT_S = 2.0
IN_VAIN_S = 10.0
_seek, _now_s = os.lseek, time.monotonic  # names of this module: half of what looking takes is to find them
# To cut a mapped file short, the system takes longer: of those that hit without pause as many outlive it with 4 us.
_LOOK_EVERY_S = 0.000_024
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


class Mapped:
    """Files of one cache that are mapped into memory."""

    def __init__(self, look_every_s: float = 0.0) -> None:
        """Knows of none yet; looks so often at most, which is the longest that a cut goes unseen."""
        self._look_every_s = look_every_s
        self.until_s = math.inf
        """`time.monotonic`, from when on they have to be looked at again before they are used."""
        self.on_cut: Callable[[str], object] = str
        """Told the name of one that was found cut short, once."""
        self._sizes: dict[int, tuple[str, int]] = {}

    def watch(self, descriptor: int, name: str) -> None:
        """Remembers how long a file is that is mapped from now on, and open until `forget`."""
        self._sizes[descriptor] = name, os.lseek(descriptor, 0, os.SEEK_END)
        self.until_s = 0.0

    def forget(self) -> None:
        """Looks at none any more."""
        self._sizes, self.until_s = {}, math.inf

    def look(self) -> str:
        """Returns the name of a file that was cut short since it was last looked at; "" where none was."""
        sizes = self._sizes
        if not sizes:
            return ""
        for descriptor, (name, size_bytes) in sizes.items():
            try:
                # A fifth of what `os.fstat` takes; nobody uses the offset.
                found_bytes = _seek(descriptor, 0, 2)
            except OSError:  # closed meanwhile by another thread, which closes what is mapped, too
                continue
            if found_bytes < size_bytes:
                self.forget()
                self.on_cut(name)
                return name
            if found_bytes > size_bytes:
                sizes[descriptor] = name, found_bytes
        if sizes is self._sizes:
            self.until_s = _now_s() + self._look_every_s
        return ""


class MovedMarks(NamedTuple):
    """The result of moving marks: the epoch just before and just after, and all marks."""

    epoch_before: int
    epoch_after: int
    marks: list[int]


def mark_of(digest: bytes) -> int:
    """Returns the index in `Ledger.marks` of an address's mark."""
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
        self.mapped = Mapped(_LOOK_EVERY_S)
        self.mapped.watch(self._fd, path.name)
        self.words = memoryview(self._map).cast("Q")  # words[EPOCH_WORD] is read on every hit

    def get(self, name: str) -> int:
        """Returns a number."""
        return self._numbers(_OFFSETS[name], 1)[0]

    def marks(self) -> list[int]:
        """Returns the number of times that marks were moved, followed by all marks."""
        return self._numbers(8 * _MARKED_WORD, _MARKS + 1)

    def totals(self) -> dict[str, int]:
        """Returns all totals and all faults."""
        numbers = dict(zip(SLOTS, self._numbers(0, len(SLOTS)), strict=True))
        return {name: numbers[name] for name in (*TOTALS, *FAULTS)}

    def _numbers(self, offset: int, count: int) -> list[int]:
        """Returns so many numbers; 0 for what was cut off, or cannot be read."""
        try:
            raw = os.pread(self._fd, 8 * count, offset) if self._fd >= 0 else b""
        except OSError:
            raw = b""
        return list(struct.unpack(f"<{count}Q", raw.ljust(8 * count, b"\0")))

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

    def mark(self, digests: Iterable[bytes]) -> MovedMarks | None:
        """Tells all processes that the records at these addresses have changed; None if that cannot be told."""
        with contextlib.suppress(OSError), self._locked():
            marks = self.marks()
            for moved in {0, *map(mark_of, digests)}:
                marks[moved] += 1
            before = self.get("epoch")
            os.pwrite(self._fd, struct.pack(f"<{len(marks)}Q", *marks), 8 * _MARKED_WORD)
            os.pwrite(self._fd, _SLOT.pack(before + 1), _OFFSETS["epoch"])  # last: who sees it sees the marks, too
            return MovedMarks(before, before + 1, marks)
        return None

    def reset(self) -> None:
        """Sets everything to zero but the epoch, which moves, so that nobody's table in front outlives this."""
        with contextlib.suppress(OSError), self._locked():
            epoch = self.get("epoch")
            os.pwrite(self._fd, _SLOT.pack(_MAGIC) + _SLOT.pack(epoch + 1) + bytes(_FILE_BYTES - 16), 0)

    def look(self) -> float:
        """Does what `mapped.look` does, in half the time; returns until when nobody need look again."""
        try:
            if _seek(self._fd, 0, 2) >= _FILE_BYTES:
                return _now_s() + _LOOK_EVERY_S
        except OSError:  # it was closed
            return math.inf
        self.mapped.look()
        return math.inf

    def close(self) -> None:
        """Gives the file handle back; the map goes when nobody looks at `words` any more. Harmless when repeated."""
        self.mapped.forget()
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
