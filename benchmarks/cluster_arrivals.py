"""Measures how soon documents that arrive in a cluster can be answered, and how many can a second.

    python benchmarks/cluster_arrivals.py --documents 300 --alone 40
    python benchmarks/cluster_arrivals.py --workers 1

Raw texts are put into the streams of a cluster of this machine (XADD), each with one fact of its own. A document can be
answered from when the entry of a worker says that it is indexed; then a question is asked for some, to see that it is
so. First they come one at a time, and the delay of each is measured; then all at once. Beside clock time stands the
processor time of workers, of servers, and of this process, which a loaded machine changes far less.
"""

from __future__ import annotations

import argparse
import os
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
    from collections.abc import Sequence

FOLDERS = 12
WITHIN_S = 1800.0
ASKED = 20


def main() -> None:
    """Measures, and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=300, help="that arrive at once")
    parser.add_argument("--alone", type=int, default=40, help="that arrive one at a time before")
    parser.add_argument("--workers", type=int, default=3, help="each beside a master")
    given = parser.parse_args()
    print(f"{given.workers} workers, load {os.getloadavg()[0]:.1f} before it began", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="edgeqa-arrivals-") as name,
        LocalCluster(Path(name, "servers"), masters=given.workers, replicas=0) as cluster,
    ):
        os.environ[state.HOME_VARIABLE] = f"{name}/home"
        workers = [LocalWorker(Path(name, f"worker{n}"), cluster.url, node) for n, node in enumerate(cluster.nodes)]
        try:
            for worker in workers:
                worker.start()
            with runtime.open(cluster=cluster.url, persist="off") as qa:
                assert isinstance(qa, ClusterQA)  # noqa: S101 - for mypy
                until(lambda: len(qa.membership.members()) == given.workers, "all workers are there", 120)
                Arrivals(qa, cluster, workers).measure(given.alone, given.documents)
        finally:
            for worker in workers:
                worker.kill()


class Arrivals:
    """Documents that arrive in a cluster."""

    def __init__(self, qa: ClusterQA, cluster: LocalCluster, workers: Sequence[LocalWorker]) -> None:
        self._qa = qa
        self._processes = {
            "workers": [one.process for one in workers],
            "servers": [one.process for one in cluster.nodes],
        }
        self._tags = [keys.tag_of(f"coast{number}", 0) for number in range(FOLDERS)]
        self._count = 0

    def measure(self, alone: int, at_once: int) -> None:
        """Has documents arrive one at a time, then many at once; prints what that takes."""
        self._qa.documents.everywhere(("tags", "SADD", *self._tags))
        self._arrive(FOLDERS)  # so that all that is made once is there
        self._until_indexed()
        before, delays = self._spent_ms(), []
        for _ in range(alone):
            began = time.perf_counter()
            self._arrive(1)
            self._until_indexed()
            delays.append(1e3 * (time.perf_counter() - began))
        delays.sort()
        said = f"p50 {delays[alone // 2]:.0f} ms, p99 {delays[-1 - alone // 100]:.0f} ms"
        print(f"one at a time, XADD to answerable: {said}; a document, {self._since(before, alone)}", flush=True)
        before, began = self._spent_ms(), time.perf_counter()
        self._arrive(at_once)
        self._until_indexed()
        said = f"{at_once / (time.perf_counter() - began):.1f} documents a second"
        print(f"{at_once} at once: {said}; a document, {self._since(before, at_once)}", flush=True)
        numbers = range(0, self._count, max(1, self._count // ASKED))
        right = sum(str(100 + number % 9000) in (self._qa.ask(fact(number)[1]).text or "") for number in numbers)
        print(f"asked for {len(numbers)} of them: {right} answers are right, load {os.getloadavg()[0]:.1f}", flush=True)

    def _arrive(self, count: int) -> None:
        commands = []
        for number, text in enumerate(texts(self._count, self._count + count), self._count):
            key = keys.of_tag(self._tags[number % FOLDERS], "arrivals")
            name = f"coast{number % FOLDERS}/{number}.txt"
            commands.append((key, ("XADD", key, "*", "name", name, "text", text)))
        for reply in self._qa.valkey.many(commands):
            if isinstance(reply, ClusterError):
                raise reply
        self._count += count

    def _until_indexed(self) -> None:
        end = time.monotonic() + WITHIN_S
        while sum(one.contexts for one in self._qa.membership.members()) < self._count:
            if time.monotonic() > end:
                message = f"not indexed within {WITHIN_S:g} s"
                raise RuntimeError(message)
            time.sleep(0.005)

    def _spent_ms(self) -> dict[str, float]:
        """Returns the processor time that each kind of process has taken by now."""
        spent = {what: 1e3 * sum(map(processor_s, some)) for what, some in self._processes.items()}
        return {**spent, "this process": 1e3 * time.process_time()}

    def _since(self, before: dict[str, float], count: int) -> str:
        spent = {what: (after - before[what]) / count for what, after in self._spent_ms().items()}
        return "processor ms of " + ", ".join(f"{what} {ms:.1f}" for what, ms in spent.items())


if __name__ == "__main__":
    main()
