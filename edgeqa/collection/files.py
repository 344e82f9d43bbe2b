"""Files written whole or not at all, so that they outlast a power cut; and those of JSON that end in a checksum.

    {"format": 2, ..., "check": "<XXH3-128 in hex>"}

In: bytes, or facts. Out: files, or facts. The checksum is of all bytes that stand before it as they are, white space
too, so that no changed bit passes. On macOS `fsync` hands data to the drive, which may keep it in its memory;
F_FULLFSYNC has the drive write it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from pathlib import Path


_CHECK = b', "check": "'
_END = b'"}\n'
_FULL: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def pack_checked(facts: dict[str, Any]) -> bytes:
    """Returns the bytes of a file with these facts; there must be one."""
    return _ended(json.dumps(facts).encode()[:-1])


def unpack_checked(raw: bytes) -> dict[str, Any]:
    """Returns the facts in the bytes of a file.

    Raises:
        ValueError: if it is not what was written.
    """
    body = raw.rpartition(_CHECK)[0]
    if not body or _ended(body) != raw:
        message = "wrong checksum"
        raise ValueError(message)
    facts: dict[str, Any] = json.loads(body + b"}")
    return facts


def _ended(body: bytes) -> bytes:
    return body + _CHECK + xxhash.xxh3_128_hexdigest(body).encode() + _END


def sync(descriptor: int) -> None:
    """Waits until what was written to a file is on disk."""
    if _FULL is not None:
        with contextlib.suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, _FULL)
            return
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Waits until the names in a directory are on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(file: Path, content: bytes) -> None:
    """Puts a file in the place of what is there, whole or not at all."""
    partial = file.with_name(f"{file.name}.partial")
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        sync(stream.fileno())
    partial.replace(file)
