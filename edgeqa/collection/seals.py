"""Checksums of the files of a collection that have none of their own: the catalogue (SQLite) and the route index.

    seals.json    {"format": 2, "files": {"catalogue.sqlite": [bytes, XXH3-128, modified, changed, inode], ...}}

In: a collection's directory. Out: which of these files differs from the state in which its last writer left it; this is
found before the file is believed. A writer removes seals.json before it changes anything. It writes the seal of the
catalogue anew after each commit, since SQLite leaves that file alone until the next one, and the seal of the index when
it is done. After a writer was killed, nothing is known of the index, nor of the catalogue if the kill came in the
middle of a commit. A large file is not read again as long as the system says that nobody wrote to it since; `verify`
reads all.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from edgeqa import forking
from edgeqa.collection.snapshot import CATALOGUE, ROUTE
from edgeqa.files import delete, opened, pack_checked, read, replace_file, unpack_checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FORMAT = 2
FILE = "seals.json"
ALWAYS_READ_BYTES = 4 << 20  # a file up to this size is read whenever it is opened, which takes a millisecond
_BLOCK_BYTES = 1 << 20


class Seal(NamedTuple):
    """The state in which a writer left a file."""

    size_bytes: int
    digest: str
    """XXH3-128 of its content, in hex."""
    modified_ns: int
    changed_ns: int
    inode: int

    def is_untouched(self, found: os.stat_result) -> bool:
        """Tells whether the system says that nobody wrote to the file since."""
        return self[2:] == (found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class Mismatch(NamedTuple):
    """A file that is not what was written."""

    name: str
    what: str


def load(directory: Path) -> Mapping[str, Seal] | None:
    """Returns the seals by file names; None where there are none, or none that can be believed."""
    try:
        return _parsed(read(directory / FILE))
    except (OSError, ValueError):
        return None


def own_fault(directory: Path) -> str:
    """Returns the fault of the file of seals itself; "" if it is sound, or if there is none."""
    try:
        _parsed(read(directory / FILE))
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return ""


def _parsed(raw: bytes) -> Mapping[str, Seal]:
    facts = unpack_checked(raw)
    if facts["format"] != FORMAT:
        return {}
    return {name: Seal(*fields) for name, fields in facts["files"].items()}


def find_mismatch(directory: Path, of: str, *, thorough: bool = False) -> Mismatch | None:
    """Returns the first sealed file that is not what was written; None if all are, or nothing is known of them.

    Args:
        directory: of the collection.
        of: CATALOGUE for the catalogue, ROUTE for the files of the route index.
        thorough: whether large files are read, too, that nobody wrote to.
    """
    seals = load(directory)
    for name, seal in sorted((seals or {}).items()):
        if name.partition("/")[0] != of or not (what := _mismatch(directory / name, seal, thorough=thorough)):
            continue
        # A writer deletes the seals before it touches anything: if they are still there, nobody has written.
        return Mismatch(name, what) if load(directory) == seals else None
    return None


def _mismatch(file: Path, seal: Seal, *, thorough: bool) -> str:
    try:
        found = file.stat()
        if found.st_size != seal.size_bytes:
            return f"{found.st_size} bytes instead of {seal.size_bytes}"
        if not thorough and seal.size_bytes > ALWAYS_READ_BYTES and seal.is_untouched(found):
            return ""
        return "" if _digest(file) == seal.digest else "wrong checksum"
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return error.strerror or str(error)


def withdraw(directory: Path) -> None:
    """Says that the files are about to change."""
    delete(directory / FILE)


def store(directory: Path, route: Iterable[str], former: Mapping[str, Seal] | None) -> None:
    """Seals the files as they are now.

    Args:
        directory: of the collection.
        route: names of the files that make up the route index; what else is there may come and go.
        former: seals that were there before; what of them still holds is not computed again.

    Raises:
        OSError: if a file cannot be read, or the seals cannot be written.
    """
    seals: dict[str, Seal] = {}
    for name in (CATALOGUE, *(f"{ROUTE}/{one}" for one in sorted(route))):
        file = directory / name
        found = file.stat()
        known = (former or {}).get(name)
        if known is not None and known.is_untouched(found):
            seals[name] = known
        else:
            times = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
            seals[name] = Seal(found.st_size, _digest(file), *times)
    replace_file(directory / FILE, pack_checked({"format": FORMAT, "files": seals}))


# --- reading what SQLite has open ------------------------------------------------------------------------------------


class _SharedDescriptor:
    """A descriptor of a file, and how many need it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.users = descriptor, 0


class _Turn:
    """The turn to open and close descriptors."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        forking.tell(self)

    def forked(self) -> None:
        """Takes a new lock: that of the parent may be held by a thread that is not here."""
        self.lock = threading.Lock()


_descriptors: dict[tuple[int, int], _SharedDescriptor] = {}
_turn = _Turn()


@contextlib.contextmanager
def shared_descriptor(file: Path) -> Iterator[int]:
    """Gives a descriptor of the file, which is closed when nobody in this process needs one any more.

    Closing any descriptor of a file drops the locks that SQLite has on it in this process (POSIX says so). So each of
    its connections holds the file by this, and whoever else reads it does, too.
    """
    with _turn.lock:
        found = file.stat()
        kept = _descriptors.get((found.st_dev, found.st_ino))
        if kept is None:
            kept = _SharedDescriptor(opened(file))
            found = os.fstat(kept.descriptor)
            _descriptors[found.st_dev, found.st_ino] = kept
        kept.users += 1
    try:
        yield kept.descriptor
    finally:
        with _turn.lock:
            kept.users -= 1
            if not kept.users:
                del _descriptors[found.st_dev, found.st_ino]
                os.close(kept.descriptor)


def _digest(file: Path) -> str:
    hashed = xxhash.xxh3_128()
    with shared_descriptor(file) as descriptor:
        place = 0
        while block := os.pread(descriptor, _BLOCK_BYTES, place):
            hashed.update(block)
            place += len(block)
    return hashed.hexdigest()
