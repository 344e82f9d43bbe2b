"""Directories for what is being made or deleted, beside its place: no collection is called so.

In: the directory that the place is in, so that a rename suffices. A process that was killed leaves its own behind,
which the next one deletes: who is alive holds a lock on it that the kernel drops with its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = ".edgeqa-"
_NAME = re.compile(r"\.edgeqa-[0-9a-f]{16}")


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
