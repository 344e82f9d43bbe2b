"""What a value is remembered under: a `Key`, made of a canonical byte string.

In: a keyspace and fields, or the arguments of a call. Out: a `Key`. Every field is preceded by its length, so that no
delimiter inside a field can make two different inputs alike. The digest (127 bits of XXH3-128) is the address in the
store, and its first bit is 0: what begins with 1 is the store's. The check (BLAKE2b-128) is the identity, compared on
every read, because two inputs with one XXH3 digest can be made at will. Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xxhash import xxh3_128_intdigest

from edgeqa.digests import blake2b
from edgeqa.errors import CacheKeyInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY_FORMAT = b"edgeqa-key-1"
NESTING_LIMIT = 64


class Key:
    """What a value is remembered under: its address, its identity, and the bytes that both are made of.

    Not a dataclass: making one takes three times as long, and every question is made a key of.
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
        import struct

        return b"f" + struct.pack("<d", value)
    raise CacheKeyInvalid(value)


def _join(tag: bytes, parts: list[bytes]) -> bytes:
    return tag + b"".join([len(part).to_bytes(4, "little") + part for part in parts])


def utf8(text: str) -> bytes:
    """Returns the bytes of a text, whatever is in it."""
    return text.encode("utf-8", "surrogatepass")  # file names and bad input may hold lone surrogates; they are distinct
