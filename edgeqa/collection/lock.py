"""One writer at a time: a lock on a collection's directory that the kernel drops with its holder, however that dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from edgeqa import forking
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
