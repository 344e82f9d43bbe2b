"""Measures how a cluster's costs grow with its documents: a question, bytes, and the time until a new worker serves.

    python benchmarks/cluster_growth.py --workers 3 --sizes 1000,3000,10000
    python benchmarks/cluster_growth.py --workers 3 --sizes 300,1000,3000 --encodings

The texts are those of `collection_growth`, a document each, of one passage, 50 to a folder; they arrive raw (XADD). At
each size questions are asked, then a worker is ended, and begun with an empty disk. Without `--encodings`, passages are
read from tokens. All is on this machine: the workers share its cores, so what more machines would gain does not show.
Beside clock time stands the processor time of all processes together, which others on this machine change far less; for
a question without what they take at rest. In the end lines are fitted to what grows with the documents whatever else
the machine does, by least squares; what they say of larger sizes is not measured.
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
from local_cluster import LocalCluster, LocalWorker, processor_s, until

from edgeqa import runtime, state
from edgeqa.cluster import keys
from edgeqa.cluster.runtime import ClusterQA
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

A_FOLDER = 50
WITHIN_S = 3600.0
LARGER = (10_000, 100_000, 1_000_000)
FITTED = ("in Valkey, MB", "on workers' disks, MB", "a new worker serves, processor s")
REST_S = 10.0


def main() -> None:
    """Measures a cluster as it grows, and prints a line for each size, then the fitted ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,3000,10000", help="numbers of documents, rising")
    parser.add_argument("--workers", type=int, default=3, help="each beside a master")
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--encodings", action="store_true", help="wait until all passages are encoded, too")
    given = parser.parse_args()
    sizes = [int(one) for one in given.sizes.split(",")]
    how = "with encodings" if given.encodings else "tokens only"
    print(f"{given.workers} workers, {how}, load {os.getloadavg()[0]:.1f} before it began", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="edgeqa-growth-") as name,
        LocalCluster(Path(name, "servers"), masters=given.workers, replicas=0) as cluster,
    ):
        os.environ[state.HOME_VARIABLE] = f"{name}/home"
        os.chdir(name)
        arguments = () if given.encodings else ("--encodings", "0")
        workers = [
            LocalWorker(Path(name, f"worker{n}"), cluster.url, node, *arguments) for n, node in enumerate(cluster.nodes)
        ]
        try:
            for worker in workers:
                worker.start()
            with runtime.open(cluster=cluster.url, persist="off") as qa:
                assert isinstance(qa, ClusterQA)  # noqa: S101 - for mypy
                until(lambda: len(qa.membership.members()) == given.workers, "all workers are there", 300)
                grown = Grown(qa, cluster, workers, is_encoded=given.encodings)
                rows = [grown.measured(size, given.questions) for size in sizes]
            fitted(sizes, rows)
        finally:
            for worker in workers:
                worker.kill()


class Grown:
    """A cluster that grows."""

    def __init__(
        self, qa: ClusterQA, cluster: LocalCluster, workers: Sequence[LocalWorker], *, is_encoded: bool
    ) -> None:
        self._qa, self._cluster, self._workers, self._is_encoded = qa, cluster, workers, is_encoded
        self._empty_bytes = self._valkey_bytes()
        self._documents = 0

    def measured(self, size: int, questions: int) -> dict[str, float]:
        """Adds documents up to a size; returns what is measured then."""
        workers_s = self._workers_s()
        for first in range(self._documents, size, A_FOLDER):
            arrive(self._qa, first, min(first + A_FOLDER, size))
        new, self._documents = size - self._documents, size
        until(self._is_indexed, "all is indexed", WITHIN_S)
        if self._is_encoded:
            until(_Rest(self._qa).is_reached, "all is encoded", WITHIN_S)
        row = {"workers, processor ms a new document": 1e3 * (self._workers_s() - workers_s) / new}
        rest = self._at_rest()
        row["at rest, processor ms a second"] = 1e3 * rest
        row |= self._asked(questions, rest)
        row["in Valkey, MB"] = (self._valkey_bytes() - self._empty_bytes) / 1e6
        row["on workers' disks, MB"] = sum(on_disk(one.log.parent / "store") for one in self._workers) / 1e6
        row["of workers' memory, MB"] = sum(map(resident_mb, self._workers)) / len(self._workers)
        row |= self._begun_anew()
        print(f"{size} documents, load {os.getloadavg()[0]:.1f}", flush=True)
        for what, value in row.items():
            print(f"  {what}: {value:.1f}", flush=True)
        return row

    def _at_rest(self) -> float:
        """Returns how much processor time all processes take while nothing happens, as a share of one processor."""
        began, before_s = time.monotonic(), self._all_s()
        time.sleep(REST_S)
        return (self._all_s() - before_s) / (time.monotonic() - began)

    def _asked(self, count: int, rest: float) -> dict[str, float]:
        chance = random.Random(self._documents)
        asked = [fact(chance.randrange(self._documents)) for _ in range(count + 1)]
        self._qa.ask(asked.pop()[1], refresh=True)
        found, right, before_s, since = [], 0, self._all_s(), time.monotonic()
        for said, question in asked:
            began = time.perf_counter()
            answer = self._qa.ask(question, refresh=True)
            found.append(1e3 * (time.perf_counter() - began))
            right += bool(answer.text) and str(answer.text) in said
        spent_s = self._all_s() - before_s - rest * (time.monotonic() - since)
        return {
            "a question, processor ms": 1e3 * spent_s / count,
            "a question, clock ms (median)": statistics.median(found),
            f"right answers of {count}": right,
        }

    def _begun_anew(self) -> dict[str, float]:
        """Ends the first worker, and begins it with an empty disk; returns what it takes until all is served."""
        first, count = self._workers[0], len(self._workers)
        first.stop()
        shutil.rmtree(first.log.parent / "store")
        began = time.monotonic()
        first.start()

        def is_served() -> bool:
            members = self._qa.membership.members()
            return len(members) == count and all(one.contexts for one in members) and self._is_indexed()

        until(is_served, "a new worker serves", WITHIN_S)
        return {
            "a new worker serves, processor s": processor_s(first.process),
            "a new worker serves, clock s": time.monotonic() - began,
        }

    def _is_indexed(self) -> bool:
        return sum(one.contexts for one in self._qa.membership.members()) == self._documents

    def _valkey_bytes(self) -> int:
        total = 0
        for node in self._cluster.nodes:
            with node.client() as client:
                total += int(client.info("memory")["used_memory"])
        return total

    def _workers_s(self) -> float:
        return sum(processor_s(worker.process) for worker in self._workers)

    def _all_s(self) -> float:
        return time.process_time() + self._workers_s() + sum(processor_s(node.process) for node in self._cluster.nodes)


def arrive(qa: ClusterQA, first: int, after: int) -> None:
    """Has the documents of a folder arrive, raw, in its tag."""
    folder = f"f{first // A_FOLDER}"
    tag = keys.tag_of(folder, 0)
    key = keys.of_tag(tag, "arrivals")
    qa.documents.note_tag(tag)
    entries = enumerate(texts(first, after), first)
    sent = [(key, ("XADD", key, "*", "name", f"{folder}/{number}.txt", "text", text)) for number, text in entries]
    for reply in qa.valkey.many(sent):
        if isinstance(reply, ClusterError):
            raise reply


class _Rest:
    """Whether workers make encodings, which the room that they say is left tells."""

    def __init__(self, qa: ClusterQA) -> None:
        self._qa = qa
        self._rooms: tuple[int, ...] = ()
        self._since = time.monotonic()

    def is_reached(self) -> bool:
        """Tells whether no worker has made an encoding for half a minute."""
        rooms = tuple(one.room_bytes for one in self._qa.membership.members())
        if rooms != self._rooms:
            self._rooms, self._since = rooms, time.monotonic()
        return time.monotonic() - self._since > 30


def fitted(sizes: Sequence[int], rows: Sequence[Mapping[str, float]]) -> None:
    """Prints the line that fits a figure best, and what it says of larger sizes."""
    if len(sizes) < 2:
        return
    print("by the line through these, not measured:")
    for what in FITTED:
        slope, start = statistics.linear_regression(sizes, [row[what] for row in rows])
        larger = ", ".join(f"{start + slope * size:.0f} at {size}" for size in LARGER if size > sizes[-1])
        print(f"  {what}: {start:.1f} + {1000 * slope:.3f} a thousand documents; {larger}")


def on_disk(folder: Path) -> int:
    """Returns the size of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def resident_mb(worker: LocalWorker) -> float:
    """Returns how much memory a worker has, without what it maps from files."""
    if worker.process is None:
        return 0.0
    status = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1e3


if __name__ == "__main__":
    main()
