"""A small reader of MessagePack: for a process that reads one value and ends, before msgspec would have been imported.

In: the bytes of a value that `values.encode` made. Out: the value, or a `ValueError`. It reads what is written there
and no more: no timestamps, no extension but the one for large integers, no deep nesting. What it refuses, msgspec
judges.
"""

from __future__ import annotations

import struct
from typing import Any

BIG_INT = 1  # MessagePack extension: an integer of more than 64 bits, two's complement, big-endian
_NESTING_LIMIT = 64

_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCB: struct.Struct(">d"), 0xCC: struct.Struct(">B"), 0xCD: struct.Struct(">H"), 0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"), 0xD0: struct.Struct(">b"), 0xD1: struct.Struct(">h"), 0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}  # fmt: skip
_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
# Tag -> what follows, and how many bytes its length takes.
_SIZED = {
    0xC4: ("bytes", 1), 0xC5: ("bytes", 2), 0xC6: ("bytes", 4), 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
    0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4), 0xDC: ("list", 2), 0xDD: ("list", 4),
    0xDE: ("dict", 2), 0xDF: ("dict", 4),
}  # fmt: skip


def unpack(payload: bytes) -> Any:  # noqa: ANN401 - any value
    """Returns the value of some bytes.

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
