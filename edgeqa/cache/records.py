"""A record: the bytes that are stored for one key, and what they must be to be believed.

In: a key, a payload, a time, a time to live, a provenance. Out: bytes; and from bytes and a key, a `Record`, or why it
is none (`Fault`). Layout: checksum (XXH3-64 of all that follows, big-endian) 8; then, little-endian: magic and format
4, provenance length 4, stored-at (Unix, ms) 8, time to live (ms; 0 is for ever) 8, digest 16, check 16; provenance;
payload. Golden bytes in the tests pin it. Pure: the caller brings the clock.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from xxhash import xxh3_64_digest

if TYPE_CHECKING:
    from edgeqa.cache.keys import Key

MAGIC = b"eqr\x01"
_BODY = struct.Struct("<4sIqq16s16s")
_BODY_AT = 8
_TTL_AT, _DIGEST_AT, _CHECK_AT, _HEAD_BYTES = 24, 32, 48, 64
_FOR_EVER = bytes(8)
CLOCK_SKEW_MS = 60_000
PROVENANCE_LIMIT_BYTES = 255


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


def encode(key: Key, payload: bytes, *, now_ms: int, ttl_ms: int = 0, provenance: bytes = b"") -> bytes:
    """Returns the bytes to store."""
    body = _BODY.pack(MAGIC, len(provenance), now_ms, ttl_ms, key.digest, key.check) + provenance + payload
    return xxh3_64_digest(body) + body


def decode(stored: bytes, key: Key) -> Record | Fault:
    """Returns the record, or why these bytes are not one of this key."""
    fault = find_fault(stored, key)
    if fault is not None:
        return fault
    _, provenance_bytes, stored_at_ms, ttl_ms, _, _ = _BODY.unpack_from(stored, _BODY_AT)
    payload_at = _HEAD_BYTES + provenance_bytes
    return Record(stored_at_ms, ttl_ms, stored[_HEAD_BYTES:payload_at], stored[payload_at:])


def find_fault(stored: bytes, key: Key) -> Fault | None:
    """Returns why these bytes are not a record of this key, or None: they are."""
    if stored[:_BODY_AT] != xxh3_64_digest(stored[_BODY_AT:]) or len(stored) < _HEAD_BYTES:
        return Fault.CHECKSUM
    if stored[_CHECK_AT:_HEAD_BYTES] != key.check:
        return Fault.COLLISION
    return None if stored[_BODY_AT:12] == MAGIC else Fault.FORMAT


def payload_for_ever(stored: bytes) -> bytes | None:
    """Returns the payload of a sound record that does not expire; the quick way, for most first reads."""
    if stored[_TTL_AT:_DIGEST_AT] != _FOR_EVER:
        return None
    return stored[_HEAD_BYTES + int.from_bytes(stored[12:16], "little") :]


def digest_of(stored: bytes) -> bytes:
    """Returns the address of a stored record without looking at the rest; what eviction needs."""
    return stored[_DIGEST_AT:_CHECK_AT]


def is_sound(stored: bytes) -> bool:
    """Returns whether the bytes are a whole record of this format, of any key."""
    whole = len(stored) >= _HEAD_BYTES and stored[:_BODY_AT] == xxh3_64_digest(stored[_BODY_AT:])
    return whole and stored[_BODY_AT:12] == MAGIC


def clip_provenance(provenance: str) -> bytes:
    """Returns a provenance as bytes, cut to what a record has room for."""
    return provenance.encode("utf-8", "replace")[:PROVENANCE_LIMIT_BYTES]
