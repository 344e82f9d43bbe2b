"""A record: the bytes that are stored for one key, and what they must be to be believed.

In: a key, a payload, a time, a time to live, a provenance. Out: bytes; and from bytes and a key, a `Record`, or why it
is none (`Fault`). Layout: checksum of the head (XXH3-64 of all that follows up to the payload) 8; checksum of the
payload (XXH3-64, seeded with the kind of record) 8; check 16; magic and format 4; where the payload begins 1; zeros 3;
stored-at (Unix, ms) 8; time to live (ms; 0 is for ever) 8; digest 16; provenance; payload. Checksums are big-endian,
numbers little-endian. Golden bytes in the tests pin it. Pure: the caller brings the clock.

A record for ever is believed at one look (`WHOLE`): its payload's checksum and its check, side by side, are those of
the key. That covers all that is used then; a record with a time to live has another seed, and never passes.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from xxhash import xxh3_64_digest

if TYPE_CHECKING:
    from edgeqa.cache.keys import Key

MAGIC = b"eqr\x01"
WHOLE = slice(8, 32)
PAYLOAD_AT = 36
CLOCK_SKEW_MS = 60_000
PROVENANCE_LIMIT_BYTES = 183  # so that the payload begins where one byte can say
_HEAD = struct.Struct("<8s16s4sB3xqq16s")
_HEAD_AT, _HEAD_BYTES = 8, 72


class Fault(Enum):
    """Why stored bytes are not the record that was asked for."""

    CHECKSUM = "checksum"
    FORMAT = "format"
    COLLISION = "collision"


class Record(NamedTuple):
    """What is stored under a key. A tuple: one is made on every read, and a frozen dataclass costs five times that."""

    stored_at_ms: int
    ttl_ms: int
    provenance: bytes
    payload: bytes

    def remaining_ms(self, now_ms: int) -> int | None:
        """Returns for how long the record is still good (0: no longer), or None for ever.

        A record from the future was stored before the clock was set back. Its age is unknown: within a small skew it
        counts as new, beyond that as expired, since a miss costs time and a stale value would be wrong.
        """
        if not self.ttl_ms:
            return None
        age_ms = now_ms - self.stored_at_ms
        if age_ms < -CLOCK_SKEW_MS:
            return 0
        return max(0, self.ttl_ms - max(0, age_ms))


def seed(*, expires: bool) -> int:
    """Returns what the checksum of a payload starts from, in records that expire and in those that do not."""
    return int.from_bytes(MAGIC + (b"till" if expires else b"ever"), "little")


def encode(key: Key, payload: bytes, *, now_ms: int, ttl_ms: int = 0, provenance: bytes = b"") -> bytes:
    """Returns the bytes to store."""
    checksum = xxh3_64_digest(payload, seed(expires=ttl_ms != 0))
    payload_at = _HEAD_BYTES + len(provenance)
    head = _HEAD.pack(checksum, key.check, MAGIC, payload_at, now_ms, ttl_ms, key.digest) + provenance
    return xxh3_64_digest(head) + head + payload


def decode(stored: bytes, key: Key) -> Record | Fault:
    """Returns the record, or why these bytes are not one of this key."""
    if not _is_whole(stored):
        return Fault.CHECKSUM
    _, check, magic, payload_at, stored_at_ms, ttl_ms, _ = _HEAD.unpack_from(stored, _HEAD_AT)
    if check != key.check:
        return Fault.COLLISION
    if magic != MAGIC:
        return Fault.FORMAT
    return Record(stored_at_ms, ttl_ms, stored[_HEAD_BYTES:payload_at], stored[payload_at:])


def digest_of(stored: bytes) -> bytes:
    """Returns the address of a stored record without looking at the rest; what eviction needs."""
    return stored[_HEAD_BYTES - 16 : _HEAD_BYTES]


def is_sound(stored: bytes) -> bool:
    """Returns whether the bytes are a whole record of this format, of any key."""
    return _is_whole(stored) and stored[PAYLOAD_AT - 4 : PAYLOAD_AT] == MAGIC


def clip_provenance(provenance: str) -> bytes:
    """Returns a provenance as bytes, cut to what a record has room for."""
    return provenance.encode("utf-8", "replace")[:PROVENANCE_LIMIT_BYTES]


def _is_whole(stored: bytes) -> bool:
    if len(stored) < _HEAD_BYTES:
        return False
    checksum, _, magic, payload_at, _, ttl_ms, _ = _HEAD.unpack_from(stored, _HEAD_AT)
    if stored[:_HEAD_AT] != xxh3_64_digest(stored[_HEAD_AT:payload_at]):
        return False
    # What another format seeds its checksums with is not known here; its head is enough to tell that it is one.
    return magic != MAGIC or bool(checksum == xxh3_64_digest(stored[payload_at:], seed(expires=ttl_ms != 0)))
