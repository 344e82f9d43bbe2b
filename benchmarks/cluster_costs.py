"""Measures what each level of a cluster's cache costs.

    python benchmarks/cluster_costs.py

Three masters and three workers on this machine. A hit in memory, in LMDB, in Valkey, and a reading by a worker, beside
a GET of redis-py alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from local_cluster import LocalCluster, LocalWorker, until

from edgeqa import runtime
from edgeqa.cluster import keys
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.runtime import ClusterQA

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = 40


def main() -> None:
    """Measures, and prints a line each."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="edgeqa-costs-") as name, LocalCluster(Path(name, "servers")) as cluster:
        folder = Path(name)
        os.environ["EDGEQA_HOME"] = str(folder / "home")
        workers = [LocalWorker(folder / f"worker{n}", cluster.url, node) for n, node in enumerate(cluster.nodes[:3])]
        try:
            for worker in workers:
                worker.start()
            with runtime.open(cluster=cluster.url, persist="off") as qa:
                (folder / "text.txt").write_text("x", encoding="utf-8")
                for number in range(PLACES):
                    text = f"The keeper of the lighthouse of Place{number} is Ann Number{number}."
                    (folder / "text.txt").write_text(text, encoding="utf-8")
                    qa.add(folder / "text.txt", name=f"coast{number % 12}/place{number}.txt", copied=True)
                until(lambda: is_settled(qa), "all is indexed", 120)  # type: ignore[arg-type]  # a ClusterQA
            levels(cluster, folder)
        finally:
            for worker in workers:
                worker.kill()


def contexts(qa: ClusterQA) -> int:
    """Returns how many passages the workers have."""
    return sum(one.contexts for one in qa.membership.members())


def is_settled(qa: ClusterQA) -> bool:
    """Tells whether three workers share what there is."""
    members = qa.membership.members()  # the first worker had all of it until the others came
    return len(members) == 3 and all(one.contexts for one in members) and contexts(qa) == PLACES


def asked(number: int) -> str:
    """Returns a question."""
    return f"Who is the keeper of the lighthouse of Place{number}?"


def timed(what: str, work: Callable[[int], object], count: int = PLACES - 1) -> None:
    """Prints how long something takes."""
    work(0)
    found = []
    for number in range(1, count + 1):
        began = time.perf_counter()
        work(number)
        found.append(1e3 * (time.perf_counter() - began))
    found.sort()
    print(f"{what}: {statistics.median(found):.3f} ms, p90 {found[len(found) * 9 // 10]:.3f} ms", flush=True)


def levels(cluster: LocalCluster, folder: Path) -> None:
    """Prints what each level costs."""

    def client(home: str) -> ClusterQA:
        os.environ["EDGEQA_HOME"] = str(folder / home)
        made = runtime.open(cluster=cluster.url)
        return ClusterQA(made.bundle, made.equipment.overrides, ClusterAddress.parse(cluster.url), members_s=1.0)

    first = client("first")
    timed("read by workers", lambda number: first.ask(asked(number), refresh=True))
    timed("at hand, as a worker has it", lambda number: first.ask(asked(number)))
    first.close()
    again = client("first")
    timed("LMDB, and its passages from Valkey", lambda number: again.ask(asked(number)))
    again.close()
    other = client("other")
    timed("Valkey, and its passages from there", lambda number: other.ask(asked(number)))
    print(f"  of these, {other.shelf.hits} from Valkey", flush=True)
    key = "edgeqa:{cost}:record"
    other.valkey.do(key, "SET", key, bytes(1500))
    plain = other.valkey.client(other.valkey.master_of(keys.slot_of(key)) or ("", 0))
    timed("redis-py alone, a GET of 1,500 bytes", lambda _: plain.get(key))
    other.close()


if __name__ == "__main__":
    main()
