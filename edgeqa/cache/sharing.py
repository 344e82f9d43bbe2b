"""Which backend is whose: one for each directory and process, given to all who open it, closed by the last.

In: a directory, or the wish for one in RAM. Out: a `Backend`. LMDB allows one environment for each file and process, so
that this table of a process's backends is the one module-level state of the cache. It closes them at exit, and tells
them of a fork.
"""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from edgeqa.cache.backend import Backend

CLOSING_WAIT_S = 2.0

_shared: dict[Path, Backend] = {}
_closing: dict[Path, Backend] = {}
"""Those that are being closed by a thread: LMDB opens a directory once in a process."""
_changed = threading.Condition()


def share(directory: Path, map_bytes: int, *, durable: bool, front_entries: int) -> Backend:
    """Returns this process's backend of a directory."""
    directory = Path(os.path.realpath(directory))
    with _changed:
        _changed.wait_for(lambda: directory not in _closing, CLOSING_WAIT_S)
        backend = _shared.get(directory)
        if backend is None:
            backend = _shared[directory] = Backend(directory, map_bytes, durable=durable, front_entries=front_entries)
        elif durable:
            backend.make_durable()
        backend.users += 1
        return backend


def share_in_ram(name: str, map_bytes: int, *, front_entries: int) -> Backend:
    """Returns a backend on a RAM file system, private to this process and its children, or one without a store."""
    from edgeqa.cache import ramdisk

    parent = ramdisk.make_directory()
    directory = Path(os.path.realpath(parent / name)) if parent is not None else None
    backend = Backend(directory, map_bytes, durable=False, front_entries=front_entries)
    backend.remove_when_left = parent
    backend.users = 1
    if directory is not None:
        with _changed:
            _shared[directory] = backend
    return backend


def without_store() -> Backend:
    """Returns a backend that remembers nothing."""
    backend = Backend(None, 1, durable=False, front_entries=1)
    backend.remembers = False
    backend.users = 1
    return backend


def release(backend: Backend) -> None:
    """Gives a backend back; the last one closes it."""
    with _changed:
        backend.users -= 1
        if backend.users:
            return
        directories = [directory for directory, known in _shared.items() if known is backend]
        for directory in directories:
            _closing[directory] = _shared.pop(directory)
    try:
        try:
            backend.close()
        except BaseException:  # an interrupt: the rest is done all the same, or this process could not open it again
            backend.close()
            raise
    finally:
        with _changed:
            for directory in directories:
                _closing.pop(directory, None)
            _changed.notify_all()


def _close_all() -> None:
    for backend in list(_shared.values()):
        backend.close()


def _before_fork() -> None:
    for backend in _shared.values():
        backend.before_fork()


def _after_fork() -> None:
    for backend in _shared.values():
        backend.after_fork()


def _forked() -> None:
    global _changed  # the parent's may be held by a thread that the child does not have
    _changed = threading.Condition()
    for backend in (*_shared.values(), *_closing.values()):
        backend.forked()
    _closing.clear()


atexit.register(_close_all)
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forked)
