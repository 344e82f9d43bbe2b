"""Ownership of a collection: who may change it, which files in it are edgeqa's own, and scratch folders beside it.

`Lock`: one writer at a time, of a collection's directory, by a lock that the kernel drops with its holder. `scratch`: a
directory for what is being made or deleted, beside its place, so that a rename suffices; no collection is called so. A
process that was killed leaves its own behind, which the next one deletes.

Only files with edgeqa's own names, in edgeqa's own places, are deleted, and no link is followed. A folder that holds
other things and no collection is refused (`check_own`). All files belong to their owner alone (`narrow`).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from edgeqa import files, forking, state
from edgeqa.collection.damage import NOTES, ROUTE_NOTE
from edgeqa.collection.errors import CollectionBusy, FolderTaken
from edgeqa.collection.seals import FILE as SEALS
from edgeqa.collection.shard import FILES, FORMER_FILES, MANIFEST, PARTIAL
from edgeqa.collection.shard_format import GONE, GONE_AGAIN, LATER
from edgeqa.collection.snapshot import CATALOGUE, ROUTE, SHARDS
from edgeqa.collection.snapshot import FILE as SNAPSHOT
from edgeqa.files import PRIVATE_FILE, PRIVATE_FOLDER, make_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


LOCK = "writer.lock"
PREFIX = ".edgeqa-"
_NAME = re.compile(r"\.edgeqa-[0-9a-f]{16}")
_SHARD_FILES = (*FILES, MANIFEST, GONE, GONE_AGAIN, LATER)
_TAG = "[0-9A-Z]{3,16}"
_JSON_FILES = "|".join(map(re.escape, (SNAPSHOT, SEALS)))
# By the kind of a folder: the names of its files, and of its folders with their kinds.
_OWN: Mapping[str, tuple[re.Pattern[str], Mapping[str, re.Pattern[str]]]] = {
    "collection": (
        re.compile(
            rf"{re.escape(CATALOGUE)}(\.partial)?(-wal|-shm|-journal)?|({_JSON_FILES})(\.partial)?|{re.escape(LOCK)}"
        ),
        {kind: re.compile(kind) for kind in (SHARDS, ROUTE, NOTES)},
    ),
    SHARDS: (re.compile("(?!)"), {"shard": re.compile(f"({PARTIAL})?{_TAG}")}),
    "shard": (re.compile(rf"({'|'.join(map(re.escape, _SHARD_FILES))})(\.partial)?"), {}),
    # These files belong to the library: its list, its locks, its segments, and new files before they are renamed.
    ROUTE: (
        re.compile(r"\.?(meta|managed)\.json|\.tantivy-[a-z]+\.lock|[0-9a-f]{32}\.(\d+\.)?[a-z]+(\.temp)?|\.tmp\w{6}"),
        {},
    ),
    NOTES: (re.compile(f"{_TAG}|{ROUTE_NOTE}"), {}),
}


class Lock:
    """Held from its making to `release`."""

    _descriptor = -1

    def __init__(self, directory: Path) -> None:
        """Takes the lock.

        Raises:
            CollectionBusy: if another process, or another writer of this one, holds it.
            OSError: if the file cannot be made.
        """
        self._descriptor = files.opened(directory / LOCK, os.O_RDWR | os.O_CREAT)
        try:
            forking.tell(self)
            self._take(directory)
        except BaseException:  # an interrupt must not leave a lock that nobody knows of
            self.release()
            raise

    def _take(self, directory: Path) -> None:
        is_taken = files.try_lock(self._descriptor, fcntl.LOCK_EX)
        if not is_taken and gc.collect():  # an interrupt may have left a writer of this process without an owner
            is_taken = files.try_lock(self._descriptor, fcntl.LOCK_EX)
        if not is_taken:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            self.forked()  # the lock belongs to another process, and is not released
            raise CollectionBusy(directory, f"process {holder}" if holder else "")
        with contextlib.suppress(OSError):  # the disk may be full; the lock holds all the same
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Lets others write. Harmless when repeated."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # the named process writes no more
                os.ftruncate(self._descriptor, 0)
            files.unlock(self._descriptor)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        """Releases what an interrupt has kept from being released, at whatever moment it came."""
        self.release()

    def forked(self) -> None:
        """Leaves the lock to the parent: a child that kept the handle would keep others out when that has died."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Gives an empty directory in `root`, and deletes it with all that is in it.

    Raises:
        OSError: if none can be made.
    """
    _sweep(root)
    made = files.new_folder(root, PREFIX)
    descriptor = files.lock_folder(made)  # None on a file system without locks: nothing is swept there, either
    try:
        yield made
    finally:
        files.delete_folder(made)
        if descriptor is not None:
            os.close(descriptor)


def _sweep(root: Path) -> None:
    """Deletes the directories of processes that have died."""
    for found in root.glob(f"{PREFIX}*"):
        if not _NAME.fullmatch(found.name):
            continue
        if (descriptor := files.lock_folder(found)) is not None:
            files.delete_folder(found)
            os.close(descriptor)


# --- what in a collection's directory is edgeqa's own -----------------------------------------------------------------
class _Entry(NamedTuple):
    """Something that lies in a folder of a collection."""

    path: Path
    mode: int
    is_own: bool

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)


def _entries(folder: Path, kind: str) -> Iterator[_Entry]:
    """Yields all that lies in a folder of this kind; what is in a folder in it comes before that. Follows no link."""
    files, folders = _OWN[kind]
    for found in sorted(folder.iterdir()):
        try:
            mode = found.lstat().st_mode
        except FileNotFoundError:  # somebody is at work
            continue
        if stat.S_ISDIR(mode):
            known = next((one for one, names in folders.items() if names.fullmatch(found.name)), "")
            if known:
                yield from _entries(found, known)
            yield _Entry(found, mode, bool(known))
        else:
            yield _Entry(found, mode, stat.S_ISREG(mode) and files.fullmatch(found.name) is not None)


def is_shard_name(name: str) -> bool:
    """Tells whether a folder is called like a shard, or one in the making."""
    return _OWN[SHARDS][1]["shard"].fullmatch(name) is not None


def foreign(place: Path) -> Path | None:
    """Returns the first thing in a collection's directory that edgeqa does not put there; None if there is none."""
    return next((entry.path for entry in _entries(place, "collection") if not entry.is_own), None)


def _is_own_shard(place: Path) -> bool:
    """Tells whether a folder is a shard, by its files: a manifest alone may be of others."""
    return is_shard_name(place.name) and all((place / name).is_file() for name in FORMER_FILES)


def _is_collection(place: Path) -> bool:
    has_both = (place / LOCK).exists() and (place / CATALOGUE).exists()
    return has_both or any(map(_is_own_shard, (place / SHARDS).glob("*")))


def check_own(place: Path) -> None:
    """Does nothing.

    Raises:
        FolderTaken: if other things lie in the directory, and no collection; or if a part of it is a link elsewhere.
        OSError: if it cannot be looked at.
    """
    for name in (SHARDS, ROUTE, NOTES, CATALOGUE):
        if (place / name).is_symlink():
            raise FolderTaken(place, f"{name} in it is a link to another place")
    if not place.exists() or _is_collection(place):
        return
    shards = place / SHARDS
    if (place / LOCK).exists():
        taken = foreign(place)
    else:  # a writer that was killed at once leaves no more than this
        taken = next((entry.path for entry in _entries(place, "collection") if entry.path != shards), None)
    if taken is not None:
        raise FolderTaken(place, f"it holds {taken.relative_to(place)}, and no collection")


def delete_own(folder: Path, kind: str) -> None:
    """Deletes a folder of a collection, with all in it that is edgeqa's own; what cannot be deleted stays.

    Args:
        folder: in the collection's directory, or deeper.
        kind: ROUTE, or "shard".
    """
    with contextlib.suppress(OSError):
        if folder.is_symlink():
            return
        for entry in _entries(folder, kind):
            if entry.is_own:
                files.delete(entry.path)
        files.delete_empty(folder)


def narrow(folder: Path, kind: str = "collection") -> None:
    """Makes a folder of a collection, and all of edgeqa's files in it, its owner's alone.

    Older versions left that to the umask; so do the libraries that write the route index. It is done by whoever opens
    the collection next, to read or to write. The folder of the user's collections, which lists their names, is narrowed
    with any of them.

    Args:
        folder: the collection's directory, or deeper.
        kind: "collection", or ROUTE.
    """
    above = folder.parent
    if kind == "collection" and above == state.data_home() / "collections" and above.stat().st_mode & 0o077:
        make_private(above, PRIVATE_FOLDER)
    for entry in (_Entry(folder, folder.stat().st_mode, is_own=True), *_entries(folder, kind)):
        wanted = PRIVATE_FOLDER if entry.is_folder else PRIVATE_FILE
        if entry.is_own and stat.S_IMODE(entry.mode) != wanted:
            make_private(entry.path, wanted)


def narrow_exposed(directory: Path) -> None:
    """Does the same, as far as it can, for who only reads; to no folder that holds no collection, nor to another's."""
    with contextlib.suppress(OSError):
        if files.is_exposed(directory) and _is_collection(directory):
            narrow(directory)
