"""Measures how a cluster's costs grow with its documents, beside those of one machine with the same ones.

    python benchmarks/cluster_growth.py --documents 10000 --workers 1,3

The texts are those of `collection_growth`, a file each, 50 to a folder. All is on this machine: the workers share its
cores, so what more machines would gain does not show, and what a cluster costs does. Without `--encodings`, passages
are read from tokens, here and there. Times of questions are medians; nothing is remembered.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from collection_growth import fact, texts
from local_cluster import LocalCluster, LocalWorker, until

from edgeqa import runtime, state
from edgeqa.cluster.runtime import ClusterQA

if TYPE_CHECKING:
    from edgeqa import EdgeQA

A_FOLDER = 50
WITHIN_S = 1800.0


def main() -> None:
    """Measures one machine, then clusters, and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--workers", default="3", help="how many, each beside a master: 1,3 for one after the other")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--encodings", action="store_true", help="wait until all passages are encoded, too")
    given = parser.parse_args()
    print(f"{given.documents} documents, load {os.getloadavg()[0]:.1f} before it began", flush=True)
    with tempfile.TemporaryDirectory(prefix="edgeqa-growth-") as name:
        os.environ[state.HOME_VARIABLE] = f"{name}/home"
        os.chdir(name)
        for number, text in enumerate(texts(0, given.documents)):
            file = Path("texts", f"f{number // A_FOLDER}", f"{number}.txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        chance = random.Random(given.documents)
        asked = [fact(chance.randrange(given.documents))[1] for _ in range(given.questions)]
        with runtime.open(reader="fast", persist="off") as qa:
            began = time.monotonic()
            qa.add("texts", encodings_bytes=None if given.encodings else 0)
            added_s = time.monotonic() - began
            store = on_disk(Path(name, "home")) / given.documents
            print(f"one machine: added in {added_s:.0f} s; {store:.0f} bytes of disk a document; {times(qa, asked)}")
            alone = [qa.ask(question).text for question in asked]
        for count in map(int, given.workers.split(",")):
            measured(Path(name, f"of{count}"), count, given.documents, asked, alone, is_encoded=given.encodings)


def measured(
    folder: Path, count: int, documents: int, asked: list[str], alone: list[str | None], *, is_encoded: bool
) -> None:
    """Prints what a cluster of so many masters, each with a worker, makes of the texts."""
    with LocalCluster(folder / "servers", masters=count, replicas=0) as cluster:
        arguments = () if is_encoded else ("--encodings", "0")
        workers = [
            LocalWorker(folder / f"worker{number}", cluster.url, node, *arguments)
            for number, node in enumerate(cluster.nodes)
        ]
        try:
            for worker in workers:
                worker.start()
            with runtime.open(cluster=cluster.url, persist="off") as qa:
                assert isinstance(qa, ClusterQA)  # noqa: S101 - for mypy
                until(lambda: len(qa.membership.members()) == count, "all workers are there", 120)
                empty = used(cluster)
                began = time.monotonic()
                qa.add("texts")
                added_s = time.monotonic() - began
                until(lambda: indexed(qa) == documents, "all is indexed", WITHIN_S)
                indexed_s = time.monotonic() - began
                if is_encoded:
                    until(lambda: at_rest(qa), "all is encoded", WITHIN_S)
                    print(f"{count} workers: all is encoded after {time.monotonic() - began:.0f} s", flush=True)
                stores = sum(on_disk(folder / f"worker{number}" / "store") for number in range(count)) / documents
                said = f"added in {added_s:.0f} s, indexed after {indexed_s:.0f} s; {times(qa, asked)}"
                same = sum(qa.ask(one).text == text for one, text in zip(asked, alone, strict=True))
                held = (used(cluster) - empty) / documents
                print(f"{count} workers: {said}; {held:.0f} bytes in Valkey and {stores:.0f} on workers a document")
                print(f"{count} workers: {same} of {len(asked)} answers are those of one machine", flush=True)
                workers[0].kill()
                shutil.rmtree(folder / "worker0" / "store")
                began = time.monotonic()
                until(lambda: len(qa.membership.members()) == count - 1, "it is seen to be gone", 30)
                if count > 1:
                    until(lambda: indexed(qa) == documents, "others have taken over", WITHIN_S)
                    print(f"{count} workers: one killed, all is served again after {time.monotonic() - began:.1f} s")
                began = time.monotonic()
                workers[0].start()
                until(lambda: is_shared(qa, count) and indexed(qa) == documents, "it serves", WITHIN_S)
                print(f"{count} workers: with an empty disk, it serves its part after {time.monotonic() - began:.1f} s")
        finally:
            for worker in workers:
                worker.kill()


def indexed(qa: ClusterQA) -> int:
    """Returns how many passages workers have; what one takes over from another may be counted twice for a moment."""
    return sum(one.contexts for one in qa.membership.members())


def is_shared(qa: ClusterQA, count: int) -> bool:
    """Tells whether so many workers live, and each has something."""
    members = qa.membership.members()
    return len(members) == count and all(one.contexts for one in members)


_room: list[tuple[float, tuple[int, ...]]] = []


def at_rest(qa: ClusterQA) -> bool:
    """Tells whether no worker has made an encoding for ten seconds."""
    rooms = tuple(one.room_bytes for one in qa.membership.members())
    if not _room or _room[-1][1] != rooms:
        _room.append((time.monotonic(), rooms))
    return time.monotonic() - _room[-1][0] > 10


def used(cluster: LocalCluster) -> int:
    """Returns the memory that all servers use, in bytes."""
    total = 0
    for node in cluster.nodes:
        with node.client() as client:
            total += int(client.info("memory")["used_memory"])
    return total


def times(qa: EdgeQA, asked: list[str]) -> str:
    """Returns how long questions take."""
    qa.ask(asked[0], refresh=True)
    found = []
    for question in asked:
        began = time.perf_counter()
        qa.ask(question, refresh=True)
        found.append(1e3 * (time.perf_counter() - began))
    found.sort()
    return f"a question {statistics.median(found):.1f} ms, p90 {found[len(found) * 9 // 10]:.1f} ms"


def on_disk(folder: Path) -> int:
    """Returns the size of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
