"""Verifying a large data file after an unclean end: a process of its own, beside the questions.

In: a cache directory and a map size, on the command line. Out: the file verified and sealed, or put aside; who asks
meanwhile finds the entrance locked and goes without the cache. A process, because a command that answers one question
ends long before a large file is read, and because a damaged file can kill who opens it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from edgeqa.cache.environment import StoreFault
from edgeqa.cache.guard import Guard

AGAIN_AFTER_S = 60.0
_begun: dict[Path, tuple[float, int]] = {}  # when, and which process


def begin(directory: Path, map_bytes: int) -> bool:
    """Has a directory's data file verified; returns whether that goes on, or will be over soon.

    A file that could not be verified is tried again after a while.
    """
    now_s = time.monotonic()
    if (found := _begun.get(directory)) is not None:
        began_s, process = found
        if not _has_ended(process) or now_s - began_s < AGAIN_AFTER_S:
            return True
    if not sys.executable:
        return False
    package = str(Path(__file__).parent.parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    try:
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", __name__, os.fspath(directory), str(map_bytes)],
            {**os.environ, "PYTHONPATH": path},
            file_actions=nowhere,
            setpgroup=0,  # Ctrl-C is not meant for it
        )
    except (OSError, NotImplementedError):
        return False
    _begun[directory] = now_s, process
    return True


def _has_ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:  # it was waited for, or is a forked parent's
        return True


def main() -> None:
    """Verifies what the command line names."""
    directory, map_bytes = Path(sys.argv[1]), int(sys.argv[2])
    with contextlib.suppress(OSError):
        os.nice(10)
    guard = Guard(directory)
    with contextlib.suppress(StoreFault):
        guard.leave(guard.enter(map_bytes, durable=False))


if __name__ == "__main__":
    main()
