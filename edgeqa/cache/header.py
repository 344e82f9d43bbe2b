"""What a cache directory says about itself beside LMDB's file: the header and the seal, both small texts.

The header is written once, when a cache is made, and says for what machine and with what map size; it can be read
without LMDB, which may be killed by a file of another kind. The seal is written by the last process that leaves and
names the size, the time and the XXH3-64 of the data file: one that fits its seal was closed cleanly, not written since,
and holds what it held. The hash is for damage, not for forgery: who may write the file may write the seal too.
"""

from __future__ import annotations

import mmap
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os

STORE_FORMAT = 1
PAGE_BYTES = min(mmap.PAGESIZE, 0x8000)  # of the files that LMDB makes here: the machine's, but never more than this
_SEAL = "edgeqa seal 2"
_LMDB_MAGIC, _LMDB_VERSION = 0xBEEFC0DE, 1
_META_PROBE = struct.Struct("=16xII16xI")  # page header; magic, version; address, map size; page size
META_PROBE_BYTES = _META_PROBE.size


class Header(NamedTuple):
    """For what machine a cache was made, and how large. A tuple, for it is made by each process that hits."""

    map_bytes: int
    page_bytes: int = PAGE_BYTES
    word_bits: int = sys.maxsize.bit_length() + 1
    byte_order: str = sys.byteorder
    format: int = STORE_FORMAT

    def encode(self) -> bytes:
        """Returns the header file's bytes."""
        return (
            f"edgeqa cache {self.format}\nword_bits {self.word_bits}\nbyte_order {self.byte_order}\n"
            f"page_bytes {self.page_bytes}\nmap_bytes {self.map_bytes}\n"
        ).encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> Header | None:
        """Returns the header, or None if these bytes are not one."""
        try:
            found = [line.rpartition(" ")[2] for line in data.decode("ascii").splitlines()]
            header = cls(int(found[4]), int(found[3]), int(found[1]), found[2], int(found[0]))
        except (ValueError, IndexError):
            return None
        return header if header.encode() == data else None

    def fits_this_machine(self) -> bool:
        """Returns whether a process like this one may map the data file."""
        return self == Header(self.map_bytes) and self.map_bytes > 0


class Seal(NamedTuple):
    """What a data file was when it was closed."""

    size_bytes: int
    mtime_ns: int
    content: str  # XXH3-64 of the whole file, in hexadecimal digits

    def encode(self) -> bytes:
        """Returns the seal file's bytes."""
        return f"{_SEAL}\nsize_bytes {self.size_bytes}\nmtime_ns {self.mtime_ns}\nxxh3_64 {self.content}\n".encode(
            "ascii"
        )

    @classmethod
    def decode(cls, data: bytes) -> Seal | None:
        """Returns the seal, or None if these bytes are not one."""
        try:
            found = [line.rpartition(" ")[2] for line in data.decode("ascii").splitlines()]
            seal = cls(int(found[1]), int(found[2]), found[3])
        except (ValueError, IndexError):
            return None
        return seal if seal.encode() == data else None

    def fits_outside(self, data_file: os.stat_result) -> bool:
        """Returns whether the file has the size and the time of the seal; what it holds is not looked at."""
        return (self.size_bytes, self.mtime_ns) == (data_file.st_size, data_file.st_mtime_ns)


def is_lmdb_file(start: bytes, page_bytes: int) -> bool:
    """Returns whether a file that starts so is of LMDB's format 1 with pages of this size."""
    return len(start) >= META_PROBE_BYTES and _META_PROBE.unpack_from(start) == (_LMDB_MAGIC, _LMDB_VERSION, page_bytes)


def round_map(map_bytes: int) -> int:
    """Returns a map size that LMDB can use: whole pages, not absurdly few, and not more than a word can address."""
    ceiling = (256 << 20) if sys.maxsize < 2**32 else 1 << 40
    wanted = min(ceiling, max(map_bytes, 1 << 20, 256 * mmap.PAGESIZE))
    return -(-wanted // mmap.PAGESIZE) * mmap.PAGESIZE
