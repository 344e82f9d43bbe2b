"""`--watch`: it watches folders, so that their files can be asked within seconds of a change.

In: paths. Out: calls of the engine's `sync`, once something has changed. It looks at names, sizes and times again and
again, which also works on network mounts, where the system reports no changes; `sync` decides what to read. If a path
is gone, as on a disk that is not mounted, nothing is changed.
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
MIN_REST = 20  # between two looks at a folder, at least so many times the time of a look goes by


class Watcher:
    """Watches one path."""

    def __init__(self, engine: Engine, caller: Caller, path: Path, say: Callable[[str], None]) -> None:
        """Watches a path for the default collection.

        Args:
            engine: the engine that syncs the path.
            caller: the caller in whose name it does.
            path: a file or a folder.
            say: a function that gets reports and errors.
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
                if await self._look() == seen and await self._sync():  # two equal looks: nobody writes any more
                    self._synced = seen
            await asyncio.sleep(rest_s)

    async def _sync(self) -> bool:
        """Syncs; tells whether the collection is now as the path is."""
        try:
            report = await self._engine.sync(self._caller, self._path)
        except edgeqa.EdgeQAError as error:
            self._say_once(f"{self._path}: {error}" + (f"\n  hint: {error.hint}" if error.hint else ""))
            return type(error).__name__ != "CollectionBusy"  # any other error stays until something there changes
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
        with contextlib.suppress(edgeqa.EdgeQAError):  # too much work waits, so the next look does it
            return await self._engine.look(lambda: fingerprint(self._path))
        return None


def fingerprint(path: Path) -> bytes | None:
    """Returns a value that changes with the files at or below a path; None if there is nothing there."""
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
