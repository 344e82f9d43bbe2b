"""Values as bytes and back: MessagePack, never pickle.

In: `str`, `bytes`, `int` of any size, `float`, `bool`, `None`, and lists, tuples, dicts and dataclasses of these.
Out: bytes, and from them an equal value. A tuple comes back as a list and a dataclass as a dict, unless the caller
names the type. Anything else is refused, subclasses too: an enumeration that came back as a string would be a lie.
msgspec does the work, but for the first few values that are read: a command that reads one need not import it.
"""

from __future__ import annotations

import contextlib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from edgeqa.cache.msgpack import BIG_INT, unpack
from edgeqa.errors import CacheValueInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_DECODERS_LIMIT = 64
_READ_WITHOUT_MSGSPEC = 8  # importing it takes as long as some thousand values read without it
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
    if "msgspec" not in sys.modules:  # not for this alone
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
    import msgspec

    if len(decoders) >= _DECODERS_LIMIT:
        decoders.clear()
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(
        Any if as_type is None else as_type, ext_hook=_extension
    ).decode
    decoders[as_type] = decode
    return decode


@lru_cache(maxsize=1)
def _encoder() -> Callable[[object], bytes]:
    import msgspec

    return msgspec.msgpack.Encoder().encode


def _extension(code: int, data: memoryview) -> int:
    if code != BIG_INT:
        message = f"unknown extension {code}"
        raise ValueShape(message)
    return int.from_bytes(data, "big", signed=True)


def _require_plain(value: object) -> None:
    kind = type(value)
    if kind in _ATOMS:
        return
    if isinstance(value, (list, tuple)) and (kind is list or kind is tuple):
        items: Iterable[object] = value
    elif isinstance(value, dict) and kind is dict:
        for key in value:
            if type(key) not in _ATOMS or (type(key) is int and not _SMALLEST_INT <= key <= _LARGEST_INT):
                raise CacheValueInvalid(key, "as the key of a dict")
        items = value.values()
    else:
        names = _field_names(value)
        if names is None:
            raise CacheValueInvalid(value)
        items = [getattr(value, name) for name in names]
    for item in items:
        if type(item) not in _ATOMS:  # asked here, too: a call for each would take twice as long
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
