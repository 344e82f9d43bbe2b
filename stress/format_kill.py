"""Kills the upgrade of a collection to this format, or the repair of its catalogue, at each step.

    python stress/format_kill.py upgrade collection-0.3.0/c03
    python stress/format_kill.py repair my-collection

A copy of the collection is opened for writing in a process that is killed with SIGKILL before its first step, another
before its second, and so on, until one comes through. A step is a statement of SQLite, a commit of the index, or what
puts, links, syncs or deletes a file. After each kill the collection must hold what it held (or, while its catalogue is
repaired, say that it is damaged), be of one format or the other, and come out whole when it is opened once more.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeqa.collection import verifying
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import CatalogueDamaged
from edgeqa.collection.index import IndexWriter, check_index
from edgeqa.collection.snapshot import CATALOGUE, ROUTE, SHARDS
from edgeqa.collection.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

OF_THE_SYSTEM = ("fsync", "link", "rename", "replace", "unlink", "mkdir", "rmdir")


class Killing:
    """Ends this process before a step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def install(self) -> None:
        """Counts the steps from now on."""
        for name in OF_THE_SYSTEM:
            setattr(os, name, self._counted(getattr(os, name)))
        run = self._counted(Catalogue._run)  # noqa: SLF001 - each statement is a step
        Catalogue._run = run  # type: ignore[method-assign] # noqa: SLF001
        IndexWriter.commit = self._counted(IndexWriter.commit)  # type: ignore[method-assign]

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function takes
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted


def _assure(holds: object, otherwise: object) -> None:
    if not holds:
        raise AssertionError(otherwise)


def held(place: Path) -> dict[str, list[str]]:
    """Returns the documents, each with its contexts."""
    with Catalogue.read(place) as catalogue:
        rows = list(catalogue.documents())
    opened = Collection(place)
    _assure(not opened.damaged, opened.damaged)
    _assure(opened.contexts == sum(row.contexts for row in rows), "contexts are miscounted")
    return {row.name: [opened.context(n).text for n in range(row.first, row.after)] for row in rows}


def opened_and_killed(place: Path, step: int) -> bool:
    """Opens the collection for writing in another process; returns whether it was killed at that step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads: none of them works
        pid = os.fork()
    if not pid:
        code = 1
        try:
            Killing(step).install()
            with Writer(place) as writer:
                writer.commit()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if status not in {0, signal.SIGKILL}:
        message = f"it ended with {status}"
        raise AssertionError(message)
    return bool(status)


def look(place: Path, expected: dict[str, list[str]], work: str) -> None:
    """Raises AssertionError if the collection, as a killed process has left it, does not hold what it held."""
    try:
        _assure(held(place) == expected, "not what was there")
        _assure(load_snapshot(place).format in {1, 2}, "of no format")
    except CatalogueDamaged:
        _assure(work == "repair", "the catalogue is damaged")
    if work == "upgrade":
        damages = verifying.verify(place)
        _assure(not damages, damages)


def whole(place: Path, expected: dict[str, list[str]]) -> None:
    """Raises AssertionError if the collection is not of this format, sound, and what it was."""
    _assure(held(place) == expected, "not what was there")
    _assure(load_snapshot(place).format == 2, "of another format")
    damages, route = verifying.verify(place), verifying.verify_route(place)
    _assure(not damages and route is None, (damages, route))
    _assure(check_index(place / ROUTE) == sum(map(len, expected.values())), "the index has other contexts")
    with Catalogue.read(place) as catalogue:
        tags = {shard.tag for shard in catalogue.shards()}
    _assure({found.name for found in (place / SHARDS).iterdir()} == tags, "shards were left over")


def steps(place: Path, scratch: Path, work: str, every: int = 1) -> int:
    """Kills at each step, or at one of `every`; returns how many there were.

    Raises:
        AssertionError: if what is left is not what was there.
    """
    expected = held(place)
    step = 1
    while True:
        copy = scratch / f"step-{step}" / place.name
        shutil.copytree(place, copy)
        if work == "repair":
            raw = bytearray((copy / CATALOGUE).read_bytes())
            raw[len(raw) // 2] ^= 4
            (copy / CATALOGUE).write_bytes(raw)
        killed = opened_and_killed(copy, step)
        if killed:
            look(copy, expected, work)
            opened_and_killed(copy, sys.maxsize)
        whole(copy, expected)
        shutil.rmtree(copy.parent, ignore_errors=True)  # the index may still be looked at, by a thread of its library
        if not killed:
            return step - 1
        step += every


def main() -> int:
    """Kills at all steps; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("upgrade", "repair"))
    parser.add_argument("collection", type=Path, help="directory of a collection; it stays as it is")
    parser.add_argument("--every", type=int, default=1, help="kill at one of so many steps")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        count = steps(asked.collection, Path(scratch), asked.work, asked.every)
    print(f"{asked.work}: killed at steps 1 to {count}, 0 wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
