"""Directories on a RAM file system, each owned by the processes inside it, removed when the last of them has left.

In: nothing. Out: a new private directory, or None where there is no RAM file system that this user may write to.
Making one also removes what crashed processes left behind. Whether a directory is still in use is told by the lock on
its `users` file (see `guard`), which the kernel drops with its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from edgeqa.cache.guard import GUARD_FILE, USERS_FILE

_RAM_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
_MAKING_S = 60


def make_directory(mounts: Path = Path("/proc/self/mounts")) -> Path | None:
    """Returns a new directory in RAM, or None."""
    for parent in _candidates(mounts):
        remove_leftovers(parent)
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=_prefix(), dir=parent))
    return None


def remove_leftovers(parent: Path) -> int:
    """Removes this user's directories that no process is in; returns how many."""
    removed = 0
    for directory in parent.glob(_prefix() + "*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid == os.getuid() and not directory.is_symlink() and not _in_use(directory):
                shutil.rmtree(directory)
                removed += 1
    return removed


def _prefix() -> str:
    return f"edgeqa-cache-{os.getuid()}-"


def _in_use(directory: Path) -> bool:
    locks = [*directory.glob(f"*/{GUARD_FILE}"), *directory.glob(f"*/{USERS_FILE}")]
    if (
        len(locks) < 2
    ):  # it is just being made, or its maker died at once: kept for a while, an empty directory is cheap
        return time.time() - directory.lstat().st_mtime < _MAKING_S
    for path in locks:
        with path.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def _candidates(mounts: Path) -> list[Path]:
    """Returns the usual RAM-backed places, as far as the table of mounts says that they are that."""
    try:
        table = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []
    in_ram = {Path(fields[1]) for fields in table if len(fields) > 2 and fields[2] in _RAM_FILE_SYSTEMS}
    named = [Path("/dev/shm"), *map(Path, filter(None, [os.environ.get("XDG_RUNTIME_DIR")]))]  # noqa: S108 - mkdtemp inside
    return [path for path in named if path in in_ram and os.access(path, os.W_OK | os.X_OK)]
