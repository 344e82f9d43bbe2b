"""Values as bytes and back: MessagePack, never pickle.

In: `str`, `bytes`, `int` of any size, `float`, `bool`, `None`, and lists, tuples, dicts and dataclasses of these.
Out: bytes, and from them an equal value. A tuple comes back as a list and a dataclass as a dict, unless the caller
names the type. Anything else is refused, subclasses too: an enumeration that came back as a string would be a lie.

msgspec does the work, except for the first few values that are read: importing it takes 15 to 18 ms, and in that time
a command could read one value 15 times with `unpack`, the import of this module included. Where msgspec is not
installed, `unpack` and `pack` do all of the work, slower, with the same bytes. Only a value of a named type needs it.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from edgeqa.errors import CacheValueInvalid, LibraryMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BIG_INT = 1  # MessagePack extension: an integer of more than 64 bits, two's complement, big-endian
_NESTING_LIMIT = 64

_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCB: struct.Struct(">d"), 0xCC: struct.Struct(">B"), 0xCD: struct.Struct(">H"), 0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"), 0xD0: struct.Struct(">b"), 0xD1: struct.Struct(">h"), 0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}  # fmt: skip
_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
# By tag: the kind of data that follows, and the number of bytes of its length.
_SIZED = {
    0xC4: ("bytes", 1), 0xC5: ("bytes", 2), 0xC6: ("bytes", 4), 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
    0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4), 0xDC: ("list", 2), 0xDD: ("list", 4),
    0xDE: ("dict", 2), 0xDF: ("dict", 4),
}  # fmt: skip

_DECODERS_LIMIT = 64
_READ_WITHOUT_MSGSPEC = 8  # to import it takes as long as to read some thousand values without it
_ATOMS = frozenset({str, bytes, int, float, bool, type(None)})
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**64 - 1  # what MessagePack has


class ValueShape(ValueError):
    """Stored bytes do not fit the type that the caller named: the type has changed since."""


def encode(value: object) -> bytes:
    """Returns the value's bytes.

    Raises:
        CacheValueInvalid: the value or something inside it is of a type that cannot be kept.
    """
    try:
        if type(value) not in _ATOMS:
            _require_plain(value)
        try:
            return _encoder()(value)
        except OverflowError:
            return _encoder()(_with_big_ints(value))
    except RecursionError:
        raise CacheValueInvalid(value, "nested too deeply") from None
    except UnicodeEncodeError:
        raise CacheValueInvalid(value, "a string with a lone surrogate") from None


def decode(payload: bytes, as_type: type | None = None) -> Any:  # noqa: ANN401 - any value that `encode` takes
    """Returns the value of some bytes, as `as_type` if one is named.

    Raises:
        ValueShape: the bytes are not a value, or not one of that type.
    """
    if as_type is None and next(_reads, None) is not None:
        with contextlib.suppress(ValueError):
            return unpack(payload)
    try:
        return (decoders.get(as_type) or _decoder(as_type))(payload)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ValueShape(str(error)) from error


def are_bytes_of(payload: bytes, decoded: object) -> bool:
    """Returns whether a value that `decode` gave came from these bytes; no for some numbers that it did come from."""
    if "msgspec" not in sys.modules:  # it is not imported for this alone
        return bool(decode(payload) == decoded)
    try:
        return _encoder()(decoded) == payload
    except OverflowError:  # of integers of more than 64 bits, which are told apart by more than this does
        return False


def is_immutable(value: object) -> bool:
    """Returns whether one object may be handed to many callers: nothing in it can be changed."""
    kind = type(value)
    if kind in _ATOMS or kind is dict or kind is list:
        return kind in _ATOMS
    if isinstance(value, tuple):
        return all(map(is_immutable, value))
    names = _field_names(value)
    if names is None:
        return False
    params: Any = getattr(value, "__dataclass_params__", None)
    return params.frozen and all(is_immutable(getattr(value, name)) for name in names)


_reads: Iterator[int] = iter(range(_READ_WITHOUT_MSGSPEC))
decoders: dict[type | None, Callable[[bytes], Any]] = {}  # those that `decode` has made; they raise what they like


def _decoder(as_type: type | None) -> Callable[[bytes], Any]:
    try:
        import msgspec
    except ModuleNotFoundError as error:
        if as_type is not None:
            raise LibraryMissing(library="msgspec", what="a value of a named type") from error
        decoders[None] = unpack
        return unpack
    if len(decoders) >= _DECODERS_LIMIT:
        decoders.clear()
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(
        Any if as_type is None else as_type, ext_hook=_extension
    ).decode
    decoders[as_type] = decode
    return decode


@lru_cache(maxsize=1)
def _encoder() -> Callable[[object], bytes]:
    try:
        import msgspec
    except ModuleNotFoundError:
        return pack
    return msgspec.msgpack.Encoder().encode


def _extension(code: int, data: memoryview) -> int:
    if code != BIG_INT:
        message = f"unknown extension {code}"
        raise ValueShape(message)
    return int.from_bytes(data, "big", signed=True)


def _require_plain(value: Any) -> None:  # noqa: ANN401 - any value
    kind = type(value)
    items: Iterable[object] = value
    if kind is dict:
        for key in value:
            if type(key) not in _ATOMS or (type(key) is int and not _SMALLEST_INT <= key <= _LARGEST_INT):
                raise CacheValueInvalid(key, "as the key of a dict")
        items = value.values()
    elif kind is not list and kind is not tuple:
        names = _field_names(value)
        if names is None:
            raise CacheValueInvalid(value)
        items = [getattr(value, name) for name in names]
    for item in items:
        if type(item) not in _ATOMS:  # the test is repeated here, since a call for each would take twice as long
            _require_plain(item)


def _with_big_ints(value: object) -> object:
    import msgspec

    if isinstance(value, int) and not _SMALLEST_INT <= value <= _LARGEST_INT:
        size_bytes = value.bit_length() // 8 + 1
        return msgspec.msgpack.Ext(BIG_INT, value.to_bytes(size_bytes, "big", signed=True))
    if isinstance(value, (list, tuple)):
        return [_with_big_ints(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_big_ints(item) for key, item in value.items()}
    names = _field_names(value)
    if names is not None:
        return {name: _with_big_ints(getattr(value, name)) for name in names}
    return value


def _field_names(value: Any) -> list[str] | None:  # noqa: ANN401 - any value
    """Returns the names of a dataclass's fields, or None if the value is no instance of one."""
    if not hasattr(type(value), "__dataclass_fields__"):
        return None
    import dataclasses  # takes long to import; whoever gets here has done so before

    return [field.name for field in dataclasses.fields(value)]


def pack(value: object) -> bytes:
    """Returns the bytes that msgspec makes of a value, without msgspec."""
    parts: list[bytes] = []
    _write(value, parts, 0)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes], depth: int) -> None:  # noqa: ANN401 - any value that `encode` takes
    kind = type(value)
    if depth > _NESTING_LIMIT:  # `unpack` would not read it
        raise RecursionError
    if value is None or kind is bool:
        parts.append({None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value])
    elif kind is int:
        parts.append(_int_bytes(value))
    elif kind is float:
        parts.append(b"\xcb" + struct.pack(">d", value))
    elif kind is str:
        data = value.encode()
        parts += (_start(len(data), 0xA0, 32, (0xD9, 0xDA, 0xDB)), data)
    elif kind is bytes:
        parts += (_start(len(value), 0, 0, (0xC4, 0xC5, 0xC6)), value)
    elif kind is list or kind is tuple:
        parts.append(_start(len(value), 0x90, 16, (None, 0xDC, 0xDD)))
        for item in value:
            _write(item, parts, depth + 1)
    else:
        items = value if kind is dict else {name: getattr(value, name) for name in _field_names(value) or ()}
        parts.append(_start(len(items), 0x80, 16, (None, 0xDE, 0xDF)))
        for key, item in items.items():
            _write(key, parts, depth + 1)
            _write(item, parts, depth + 1)


def _int_bytes(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack("b" if value < 0 else "B", value)
    for tag in range(0xD0, 0xD4) if value < 0 else range(0xCC, 0xD0):
        with contextlib.suppress(struct.error):  # too large for so few bytes
            return bytes([tag]) + _NUMBERS[tag].pack(value)
    size_bytes = value.bit_length() // 8 + 1
    data = value.to_bytes(size_bytes, "big", signed=True)
    fixed = {size: tag for tag, size in _EXTENSIONS.items()}.get(size_bytes)
    start = _start(size_bytes, 0, 0, (0xC7, 0xC8, 0xC9)) if fixed is None else bytes([fixed])
    return start + bytes([BIG_INT]) + data


def _start(size: int, short_tag: int, short_sizes: int, tags: Iterable[int | None]) -> bytes:
    """Returns the tag and the length of what follows, as short as can be."""
    if size < short_sizes:
        return bytes([short_tag | size])
    for tag, layout in zip(tags, (">B", ">H", ">I"), strict=True):
        if tag is not None and size < 1 << 8 * struct.calcsize(layout):
            return bytes([tag]) + struct.pack(layout, size)
    raise CacheValueInvalid(size, "longer than 4 GiB")


def unpack(payload: bytes) -> Any:  # noqa: ANN401 - any value
    """Returns the value of some bytes that `encode` made, without msgspec, which judges what is refused here.

    It reads what is written there and no more: no timestamps, no extension but the one for large integers, no deep
    nesting.

    Raises:
        ValueError: they are not one value.
    """
    try:
        value, end = _read(payload, 0, 0)
    except (IndexError, TypeError, struct.error) as error:  # cut short, or a list as a key
        message = f"not a value: {error}"
        raise ValueError(message) from None
    if end != len(payload):
        message = "more than one value"
        raise ValueError(message)
    return value


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Returns the value at an offset, and the offset after it."""
    tag, at = data[at], at + 1
    if tag < 0x80:
        return tag, at
    if tag >= 0xE0:
        return tag - 0x100, at
    if tag in _CONSTANTS:
        return _CONSTANTS[tag], at
    number = _NUMBERS.get(tag)
    if number is not None:
        return number.unpack_from(data, at)[0], at + number.size
    if tag < 0xC0:
        kind, size = ("dict", tag & 0x0F) if tag < 0x90 else ("list", tag & 0x0F) if tag < 0xA0 else ("str", tag & 0x1F)
    elif tag in _EXTENSIONS:
        kind, size = "ext", _EXTENSIONS[tag]
    elif tag in _SIZED:
        kind, width = _SIZED[tag]
        size, at = int.from_bytes(data[at : at + width], "big"), at + width
    else:
        message = f"unknown tag {tag:#x}"
        raise ValueError(message)
    return _read_sized(kind, size, data, at, depth)


def _read_sized(kind: str, size: int, data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if kind in ("list", "dict"):
        if depth >= _NESTING_LIMIT:
            message = "nested too deeply"
            raise ValueError(message)
        items = []
        for _ in range(size if kind == "list" else 2 * size):
            item, at = _read(data, at, depth + 1)
            items.append(item)
        return (items if kind == "list" else dict(zip(items[::2], items[1::2], strict=True))), at
    if kind == "ext":
        if data[at] != BIG_INT:
            message = f"unknown extension {data[at]}"
            raise ValueError(message)
        at += 1
    chunk = data[at : at + size]
    if len(chunk) < size:
        message = "cut short"
        raise ValueError(message)
    if kind == "str":
        return chunk.decode("utf-8"), at + size
    return (chunk if kind == "bytes" else int.from_bytes(chunk, "big", signed=True)), at + size
