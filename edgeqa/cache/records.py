"""Keys and records: a value is remembered under a `Key`, and stored as the bytes of a `Record`. Pure.

A `Key` is made of a canonical byte string: a keyspace and fields, or the arguments of a call. Every field is preceded
by its length, so that no delimiter inside a field can make two different inputs alike. The digest (127 bits of
XXH3-128) is the address in the store, and its first bit is 0: what begins with 1 is the store's. The check
(BLAKE2b-128) is the identity, compared on every read, because two inputs with one XXH3 digest can be made at will.

A record is made of a key, a payload, a time, a time to live, a provenance; from its bytes and the key come a `Record`,
or why it is none (`Fault`). Layout: checksum of the head (XXH3-64 of all that follows up to the payload) 8; checksum of
the payload (XXH3-64, seeded with the kind of record) 8; check 16; magic and format 4; where the payload begins 1; zeros
3; stored-at (Unix, ms) 8; time to live (ms; 0 is for ever) 8; digest 16; provenance; payload. Checksums are big-endian,
numbers little-endian. Golden bytes in the tests pin it. The caller brings the clock.

A record that never expires is believed after one comparison (`WHOLE`): the checksum of its payload and its check stand
side by side, and must be those of the payload and the key. Nothing else of such a record is used. A record with a time
to live has another seed, and never passes this comparison.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from xxhash import xxh3_64_digest, xxh3_128_intdigest

from edgeqa.digests import blake2b
from edgeqa.errors import CacheKeyInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY_FORMAT = b"edgeqa-key-1"
NESTING_LIMIT = 64
MAGIC = b"eqr\x01"
WHOLE = slice(8, 32)
PAYLOAD_AT = 36
CLOCK_SKEW_MS = 60_000
PROVENANCE_LIMIT_BYTES = 183  # so that one byte can hold the place of the payload
_HEAD = struct.Struct("<8s16s4sB3xqq16s")
_HEAD_AT, _HEAD_BYTES = 8, 72


class Key:
    """The key of a value: its address, its identity, and the bytes that both are made of.

    It is no dataclass: making one takes three times as long, and every question makes a key.
    """

    __slots__ = ("canonical", "check", "digest", "keyspace")

    def __init__(self, keyspace: str, digest: bytes, check: bytes, canonical: bytes) -> None:
        self.keyspace: Final = keyspace
        self.digest: Final = digest
        self.check: Final = check
        self.canonical: Final = canonical

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and (self.check, self.canonical) == (other.check, other.canonical)

    def __hash__(self) -> int:
        return hash(self.check)

    def __repr__(self) -> str:
        return f"Key({self.keyspace!r}, {self.check.hex()})"

    @staticmethod
    def of(keyspace: str, *fields: bytes) -> Key:
        """Returns the key of some fields in a keyspace."""
        return Key.of_canonical(keyspace, join_fields((utf8(keyspace), *fields)))

    @staticmethod
    def of_canonical(keyspace: str, canonical: bytes) -> Key:
        """Returns the key of a canonical byte string, which begins with the keyspace's field."""
        digest = (xxh3_128_intdigest(canonical) >> 1).to_bytes(16, "big")
        return Key(keyspace, digest, blake2b(canonical, digest_size=16).digest(), canonical)


def join_fields(fields: Iterable[bytes]) -> bytes:
    """Returns the canonical byte string of some fields: the format, then each field's length and bytes."""
    parts = [KEY_FORMAT]
    for field in fields:
        parts.append(len(field).to_bytes(4, "little"))
        parts.append(field)
    return b"".join(parts)


def split_fields(canonical: bytes) -> list[bytes]:
    """Returns the fields that `join_fields` joined; what `explain` shows.

    Raises:
        ValueError: the bytes are not a canonical byte string.
    """
    at, fields = len(KEY_FORMAT), []
    sound = canonical.startswith(KEY_FORMAT)
    while sound and at < len(canonical):
        end = at + 4 + int.from_bytes(canonical[at : at + 4], "little")
        sound = at + 4 <= end <= len(canonical)
        fields.append(canonical[at + 4 : end])
        at = end
    if not sound:
        message = "not a canonical key"
        raise ValueError(message)
    return fields


def name_key(name: str | bytes) -> Key:
    """Returns the key of a plain name; its keyspace is the name itself, for patterns such as `bertqa*` to match."""
    if isinstance(name, bytes):
        return Key.of("", b"b", name)
    if isinstance(name, str):
        return Key.of(name)
    raise CacheKeyInvalid(name)


def memo_key(
    keyspace: str, function: bytes, version: str, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Key:
    """Returns the key of a call: what the function is known by, its version, and its arguments.

    Raises:
        CacheKeyInvalid: an argument has no canonical form.
    """
    arguments = [encode_argument(value) for value in args]
    named = [part for name in sorted(kwargs) for part in (utf8(name), encode_argument(kwargs[name]))]
    count = len(arguments).to_bytes(4, "little")
    return Key.of(keyspace, function, utf8(version), count, *arguments, *named)


def encode_argument(value: object, depth: int = 0) -> bytes:
    """Returns the canonical bytes of an argument; equal bytes mean the same type and the same value.

    Raises:
        CacheKeyInvalid: there is no canonical form, for example of an open file, or it is nested too deeply.
    """
    kind = type(value)
    if depth > NESTING_LIMIT:
        raise CacheKeyInvalid(value, f"nested more than {NESTING_LIMIT} deep")
    if isinstance(value, (list, tuple)) and kind in (list, tuple):
        return _join(b"l" if kind is list else b"t", [encode_argument(item, depth + 1) for item in value])
    if isinstance(value, dict) and kind is dict:
        items = sorted(
            (encode_argument(name, depth + 1), encode_argument(item, depth + 1)) for name, item in value.items()
        )
        return _join(b"d", [part for item in items for part in item])
    if hasattr(kind, "__dataclass_fields__"):
        import dataclasses

        named = [utf8(f"{kind.__module__}.{kind.__qualname__}")]
        for field in dataclasses.fields(value):  # type: ignore[arg-type]  # a dataclass by the line above
            named += [utf8(field.name), encode_argument(getattr(value, field.name), depth + 1)]
        return _join(b"D", named)
    return _encode_atom(value)


def _encode_atom(value: object) -> bytes:
    kind = type(value)
    if isinstance(value, str) and kind is str:
        return b"s" + utf8(value)
    if value is None or kind is bool:
        return b"N" if value is None else b"T" if value else b"F"
    if isinstance(value, bytes) and kind is bytes:
        return b"b" + value
    if isinstance(value, int) and kind is int:
        return b"i" + hex(value).encode()  # not decimal: Python refuses to print integers of more than 4300 digits
    if isinstance(value, float) and kind is float:
        return b"f" + struct.pack("<d", value)
    raise CacheKeyInvalid(value)


def _join(tag: bytes, parts: list[bytes]) -> bytes:
    return tag + b"".join([len(part).to_bytes(4, "little") + part for part in parts])


def utf8(text: str) -> bytes:
    """Returns the bytes of a text, whatever is in it."""
    return text.encode("utf-8", "surrogatepass")  # file names and bad input may hold lone surrogates; they are distinct


class Fault(Enum):
    """Why stored bytes are not the record that was asked for."""

    CHECKSUM = "checksum"
    FORMAT = "format"
    COLLISION = "collision"


class Record(NamedTuple):
    """A stored value. It is a tuple because every read makes one, and a frozen dataclass costs five times as much."""

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
    """Returns the seed of a payload's checksum, which differs between records that expire and those that do not."""
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
    # The seed of another format's checksums is not known here; its head is enough to recognise it.
    return magic != MAGIC or bool(checksum == xxh3_64_digest(stored[payload_at:], seed(expires=ttl_ms != 0)))
