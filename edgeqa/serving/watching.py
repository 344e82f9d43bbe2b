"""`--watch`: folders whose files are answers within seconds. Paths in, `sync`s of the engine out, when something moved.

It looks at names, sizes and times again and again, which works on network mounts, where nothing says that something has
changed; what is read is decided by `sync`. A path that is gone, as of a disk that is not mounted, changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from hashlib import blake2b
from typing import TYPE_CHECKING

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine

EVERY_S, SETTLED_S = 2.0, 1.0
MIN_REST = 20  # a look at a large folder comes so many times its own time after the last


class Watcher:
    """Watches one path."""

    def __init__(self, engine: Engine, caller: Caller, path: Path, say: Callable[[str], None]) -> None:
        """Watches a path for the default collection.

        Args:
            engine: that it is synced by.
            caller: in whose name.
            path: a file or a folder.
            say: is told what was done, and what is wrong.
        """
        self._engine, self._caller, self._path, self._say = engine, caller, path, say
        self._synced: bytes | None = None
        self._said = ""

    async def run(self) -> None:
        """Watches, until it is cancelled."""
        while True:
            began_s = time.monotonic()
            seen = await self._look()
            rest_s = max(EVERY_S, MIN_REST * (time.monotonic() - began_s))
            if seen is not None and seen != self._synced:
                await asyncio.sleep(SETTLED_S)
                if await self._look() == seen and await self._sync():  # nobody is writing any more
                    self._synced = seen
            await asyncio.sleep(rest_s)

    async def _sync(self) -> bool:
        """Tells whether the collection is now as the path is."""
        try:
            report = await self._engine.sync(self._caller, self._path)
        except edgeqa.EdgeQAError as error:
            self._say_once(f"{self._path}: {error}" + (f"\n  hint: {error.hint}" if error.hint else ""))
            return type(error).__name__ != "CollectionBusy"  # all else is as it is, until something there changes
        changed = report.files_added + report.files_changed + report.files_reread
        if changed or report.files_removed:
            self._say(f"{self._path}: {changed} files read, {report.files_removed} removed")
        for name, failure in report.failed:
            self._say_once(f"{name}: {failure}")
        return True

    def _say_once(self, what: str) -> None:
        if what != self._said:
            self._said = what
            self._say(what)

    async def _look(self) -> bytes | None:
        with contextlib.suppress(edgeqa.EdgeQAError):  # too much is being looked at: the next time, then
            return await self._engine.look(lambda: fingerprint(self._path))
        return None


def fingerprint(path: Path) -> bytes | None:
    """Returns what changes when a file at or below a path does; None if there is nothing there."""
    digest = blake2b(digest_size=16)
    waiting = [os.fspath(path)]
    try:
        if not path.is_dir():
            _note(digest, waiting.pop(), path.stat())
    except OSError:
        return None
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in listed:
            if entry.name.startswith("."):
                continue
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                _note(digest, entry.path, entry.stat())
    return digest.digest()


def _note(digest: blake2b, path: str, found: os.stat_result) -> None:
    digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ino}\n".encode("utf-8", "surrogateescape"))
