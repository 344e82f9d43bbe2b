"""What a cache directory says about itself beside LMDB's file: the header and the seal, both small texts.

The header is written once, when a cache is made, and says for what machine and with what map size; it can be read
without LMDB, which may be killed by a file of another kind. The seal is written by the last process that leaves and
names the size and the time of the data file: a data file that fits its seal was closed cleanly and not touched since.
"""

from __future__ import annotations

import mmap
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os

STORE_FORMAT = 1
_LMDB_MAGIC, _LMDB_VERSION = 0xBEEFC0DE, 1
_META_PROBE = struct.Struct("=16xII16xI")  # page header; magic, version; address, map size; page size
META_PROBE_BYTES = _META_PROBE.size


class Header(NamedTuple):
    """For what machine a cache was made, and how large. A tuple, for it is made by each process that hits."""

    map_bytes: int
    page_bytes: int = mmap.PAGESIZE
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


def seal_of(data_file: os.stat_result) -> bytes:
    """Returns the seal of a data file."""
    return f"edgeqa seal 1\nsize_bytes {data_file.st_size}\nmtime_ns {data_file.st_mtime_ns}\n".encode("ascii")


def is_lmdb_file(start: bytes, page_bytes: int) -> bool:
    """Returns whether a file that starts so is of LMDB's format 1 with pages of this size."""
    return len(start) >= META_PROBE_BYTES and _META_PROBE.unpack_from(start) == (_LMDB_MAGIC, _LMDB_VERSION, page_bytes)


def round_map(map_bytes: int) -> int:
    """Returns a map size that LMDB can use: whole pages, not absurdly few, and not more than a word can address."""
    ceiling = (256 << 20) if sys.maxsize < 2**32 else 1 << 40
    wanted = min(ceiling, max(map_bytes, 1 << 20, 256 * mmap.PAGESIZE))
    return -(-wanted // mmap.PAGESIZE) * mmap.PAGESIZE
