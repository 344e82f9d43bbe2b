"""One writer at a time: a lock on a collection's directory that the kernel drops with its holder, however that dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from edgeqa.collection.errors import CollectionBusy

if TYPE_CHECKING:
    from pathlib import Path

FILE = "writer.lock"


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
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise CollectionBusy(directory, f"process {holder}" if holder else "") from error
        with contextlib.suppress(OSError):  # the disk may be full; the lock holds all the same
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Lets others write."""
        with contextlib.suppress(OSError):  # whom it names is nobody's writer any more
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
