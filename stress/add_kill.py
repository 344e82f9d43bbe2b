"""Kills adding at random moments while files change: the collection must hold whole documents, and adding must go on.

    python stress/add_kill.py -n 300 --seed 1

In each round files are written, changed and deleted, and a process syncs the folder and is killed with SIGKILL after a
time of its own. Then everything that the collection holds is looked at: each document must be one of the texts that its
file had, each context must be found by the index that has no others, every byte must fit its checksum. Every tenth
process is left alone, and must bring the collection to what the folder holds. In every third round the collection is
made again, beside, from its shards alone: it must hold whole documents, too, and what the folder holds where the
process was left alone.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import edgeqa
from edgeqa import collection, state
from edgeqa.collection import adding, managing, verifying
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import CollectionNotFound
from edgeqa.collection.index import check_index
from edgeqa.collection.shard import is_shard
from edgeqa.collection.snapshot import ROUTE, SHARDS

if TYPE_CHECKING:
    from edgeqa.runtime import EdgeQA

FILES = 60
MAX_LIFE_S = 0.5
LEFT_ALONE = 10  # every so many rounds
MADE_AGAIN = 3
WORDS = ["pump", "valve", "hose", "seal", "rotor", "shaft", "motor", "tank", "float", "cable", "filter", "nozzle"]


class Folder:
    """The files, and all texts that each has had."""

    def __init__(self, place: Path, chance: random.Random) -> None:
        self.place, self._chance = place, chance
        self.had: dict[str, set[str]] = {}
        place.mkdir()

    def change(self) -> None:
        """Writes, changes and deletes some files."""
        for _ in range(self._chance.randint(1, 12)):
            file = self.place / f"{self._chance.randrange(FILES):02}.txt"
            if self._chance.random() < 0.2:
                file.unlink(missing_ok=True)
                continue
            sentences = self._chance.choice((1, 3, 30, 200))
            text = " ".join(
                f"The {self._chance.choice(WORDS)} {n} is {self._chance.randrange(1000)} mm long."
                for n in range(sentences)
            )
            file.write_text(text)
            self.had.setdefault(str(file), set()).add(text)

    def now(self) -> dict[str, str]:
        """Returns what the folder holds."""
        return {str(file): file.read_text() for file in sorted(self.place.iterdir())}


def held(place: Path) -> dict[str, str]:
    """Returns the documents, every context looked at; raises AssertionError for what does not fit together."""
    try:
        Catalogue.read(place).close()
    except CollectionNotFound:  # killed before there was one
        return {}
    with Catalogue.read(place) as catalogue:
        rows, unindexed = list(catalogue.documents()), catalogue.unindexed()
        snapshot = catalogue.snapshot()
    _assure(load_snapshot(place) == snapshot, "the snapshot is not the catalogue's")
    opened = Collection(place)
    _assure(not opened.damaged, f"damaged: {opened.damaged}")
    _assure(opened.contexts == sum(row.contexts for row in rows), "contexts are miscounted")
    found: dict[str, str] = {}
    for row in rows:
        text = ""
        for number, context_id in enumerate(range(row.first, row.after), 1):
            context = opened.context(context_id)
            _assure(context.address == f"{row.name}:{{{row.tag}}}:{number}", f"address {context.address}")
            text = text[: context.start].ljust(context.start) + context.text
        _assure(row.name not in found, f"{row.name} is there twice")
        found[row.name] = spaced(text)
    if rows and not unindexed:
        indexed = check_index(place / ROUTE)
        _assure(indexed == opened.contexts, f"the index has {indexed} contexts of {opened.contexts}")
    return found


def spaced(text: str) -> str:
    """Returns the words of a text: passages leave out white space between them."""
    return " ".join(text.split())


def _assure(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - what is claimed
    if not holds:
        raise AssertionError(otherwise)


def forked(work: object, *arguments: object) -> int:
    """Returns the id of a process that does the work and ends with 0, or with 1 after a traceback."""
    with warnings.catch_warnings():
        # The parent has threads, of onnxruntime, and since Python 3.12 that is warned of. None of them works meanwhile.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work(*arguments)  # type: ignore[operator]
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def sync(qa: EdgeQA, folder: Path, encodings_bytes: int) -> None:
    """Syncs the folder; the process that does this is killed."""
    adding.COMMIT_S, adding.COMMIT_BYTES = 0.05, 1 << 16
    qa.sync(folder, encodings_bytes=encodings_bytes, drop_all=True)


def made_again(place: Path) -> dict[str, str]:
    """Returns the documents that a collection has whose catalogue is made again from the shards alone."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:  # an index may still be looked at
        copy = Path(scratch, place.name)
        if not (place / SHARDS).exists() or not any(map(is_shard, (place / SHARDS).iterdir())):
            return {}
        shutil.copytree(place / SHARDS, copy / SHARDS)
        managing.repair(copy)
        damages, route = verifying.verify(copy), verifying.verify_route(copy)
        _assure(not damages and route is None, f"damaged where it is made again: {damages}, {route}")
        return held(copy)


def rounds(qa: EdgeQA, folder: Folder, count: int, chance: random.Random) -> int:
    """Returns how many rounds went wrong."""
    place = collection.directory()
    wrong = killed = 0
    for number in range(1, count + 1):
        folder.change()
        alone = number % LEFT_ALONE == 0 or number == count
        pid = forked(sync, qa, folder.place, chance.choice((0, 200_000, 1 << 30)))
        if not alone:
            time.sleep(chance.random() * MAX_LIFE_S)
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        killed += status == signal.SIGKILL
        try:
            _assure(status in {0, signal.SIGKILL}, f"sync ended with {status}")
            documents = held(place)
            for name, text in documents.items():
                _assure(text in map(spaced, folder.had[name]), f"{name} is torn")
            if alone:
                _assure(
                    documents == {name: spaced(text) for name, text in folder.now().items()},
                    "not what the folder holds",
                )
                _assure(not verifying.verify(place) and verifying.verify_route(place) is None, "damaged")
                with Catalogue.read(place) as catalogue:
                    tags = {shard.tag for shard in catalogue.shards()}
                _assure({p.name for p in (place / SHARDS).iterdir()} == tags, "shards were left over")
            if alone or number % MADE_AGAIN == 0:
                again = made_again(place)
                for name, text in again.items():
                    _assure(text in folder.had[name], f"{name} is torn where it is made again")
                _assure(not alone or again == documents, "made again, it holds something else")
        except Exception:
            traceback.print_exc()
            print(f"round {number} went wrong", file=sys.stderr)
            wrong += 1
    print(f"{count} rounds, {killed} killed at work, {wrong} wrong")
    return wrong


def run(scratch: Path, count: int, seed: int) -> int:
    """Returns how many of so many rounds in an empty directory went wrong."""
    before = os.environ.get(state.HOME_VARIABLE)
    os.environ[state.HOME_VARIABLE] = f"{scratch}/home"
    try:
        # One thread: a child has no other than the one that forked.
        with edgeqa.open(reader="fast", threads=1, persist="off") as qa:
            qa.self_test()
            chance = random.Random(seed)
            return rounds(qa, Folder(scratch / "folder", chance), count, chance)
    finally:
        if before is not None:
            os.environ[state.HOME_VARIABLE] = before


def main() -> int:
    """Runs the rounds; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=300, help="rounds")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        return int(run(Path(scratch), asked.n, asked.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
