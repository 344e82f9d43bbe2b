"""Files for their owner alone, written whole or not at all, to outlast a power cut; those of JSON end in a checksum.

    {"format": 2, ..., "check": "<XXH3-128 in hex>"}

In: bytes, or facts. Out: files, or facts. The checksum is of all bytes that stand before it as they are, white space
too, so that no changed bit passes. On macOS `fsync` hands data to the drive, which may keep it in its memory;
F_FULLFSYNC has the drive write it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import xxhash

if TYPE_CHECKING:
    from pathlib import Path


PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
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


def create(file: Path, *, replacing: bool = False) -> BinaryIO:
    """Opens a file to be written from its beginning, which is its owner's alone, whatever the umask.

    Args:
        file: that must not be there.
        replacing: it may be there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replacing else os.O_EXCL)
    descriptor = os.open(file, flags, PRIVATE_FILE)
    with contextlib.suppress(OSError):  # a file system that knows no modes
        os.fchmod(descriptor, PRIVATE_FILE)
    return os.fdopen(descriptor, "wb", buffering=1 << 18)


def make_folder(folder: Path) -> None:
    """Makes a folder in one that is there, for its owner alone, whatever the umask.

    Raises:
        OSError: if it is there, or cannot be made.
    """
    folder.mkdir(PRIVATE_FOLDER)
    make_private(folder, PRIVATE_FOLDER)


def make_folders(folder: Path) -> None:
    """Makes a folder, and those that it is in, as `make_folder` does; one that is there stays as it is.

    Raises:
        OSError: if it cannot be made.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):  # somebody else was faster
        make_folder(folder)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def make_private(path: Path, mode: int = PRIVATE_FILE) -> None:
    """Has a file, or with PRIVATE_FOLDER a folder, be its owner's alone, where the file system knows modes."""
    with contextlib.suppress(OSError):
        path.chmod(mode)


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
    with create(partial, replacing=True) as stream:
        stream.write(content)
        stream.flush()
        sync(stream.fileno())
    partial.replace(file)
