"""Whose a collection is while it is changed, and what is made beside it, by locks that go with their holder.

`Lock`: one writer at a time, of a collection's directory. `scratch`: a directory for what is being made or deleted,
beside its place, so that a rename suffices; no collection is called so. A process that was killed leaves its own
behind, which the next one deletes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING

from edgeqa import forking
from edgeqa.collection.errors import CollectionBusy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FILE = "writer.lock"
PREFIX = ".edgeqa-"
_NAME = re.compile(r"\.edgeqa-[0-9a-f]{16}")


class Lock:
    """Held from its making to `release`."""

    def __init__(self, directory: Path) -> None:
        """Takes the lock.

        Raises:
            CollectionBusy: if another process, or another writer of this one, holds it.
            OSError: if the file cannot be made.
        """
        self._descriptor = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            forking.tell(self)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(OSError):  # the disk may be full; the lock holds all the same
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            self.forked()  # not released: it is another's
            raise CollectionBusy(directory, f"process {holder}" if holder else "") from error
        except BaseException:  # an interrupt must not leave a lock that nobody knows of
            self.release()
            raise

    def release(self) -> None:
        """Lets others write. Harmless when repeated."""
        if self._descriptor >= 0:
            # By its name: to close it would leave it with a child that was forked meanwhile.
            with contextlib.suppress(OSError):  # whom it names is nobody's writer any more
                os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

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
    made = root / f"{PREFIX}{secrets.token_hex(8)}"
    made.mkdir()
    descriptor = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nothing of others is swept there, either
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)  # it follows no link
        os.close(descriptor)


def _sweep(root: Path) -> None:
    """Deletes the directories of processes that have died."""
    for found in root.glob(f"{PREFIX}*"):
        if not _NAME.fullmatch(found.name):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(found, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found, ignore_errors=True)
            finally:
                os.close(descriptor)
