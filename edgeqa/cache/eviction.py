"""How full the map may get and how much goes at once; and which records were hit lately. Pure.

In: sizes; addresses that were hit. Out: `Limits`; whether an address was hit since it was last asked about. Deleting
from a copy-on-write tree takes pages itself, and pages freed by one commit are usable only two commits later: so the
pages that one commit can touch, times three, are kept free.
"""

from __future__ import annotations

from typing import NamedTuple

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
    """Which addresses were hit since they were last considered for eviction: one byte for each, a hash apart.

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
