"""Kills workers, masters and replicas of a cluster in the middle of adding and asking, with a seed; a line a round.

    python stress/cluster_kill.py -n 20 --seed 1

Three masters with a replica each, and a worker beside each master, all real processes. In each round one is killed
while documents are added and questions asked; a "machine" is a server and the worker beside it. It fails (exit code 1)
where

- an answer that says that it is whole is not what it was before;
- a document whose adding was acknowledged is not listed, or not whole (`verify`);
- ten seconds after the kill (`--within`), not all is answered again, whole.

An answer that names who did not answer may be another: it says so. Then what was killed is started again.

The ten seconds are those of a machine with nothing else to do. How busy it is, the same questions tell, which are asked
before the kill and once more after it, while documents are added: where one takes longer than 0.1 s, half of the ten
seconds grow in proportion; the other half is that of timers, which run as fast everywhere. Each line has both figures.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from local_cluster import LocalCluster, LocalWorker, Node, until

import edgeqa
from edgeqa import runtime
from edgeqa.cluster.runtime import ClusterQA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOLDERS = 24
SAMPLE = 8
QUICK_S = 0.1
"""What a question takes at most where nothing else runs: it was 0.04 to 0.09 s at a load of 5 on two cores."""
PAUSE_S = 0.1  # between two of one thread: the machine is also that of three servers and three workers
KINDS = ("worker", "master", "replica", "machine")
PLACES = ("Arbor", "Birch", "Cedar", "Dover", "Fjord", "Garnet", "Hollow", "Juniper", "Linden", "Marble", "Orchid")
FIRST = ("Alice", "Bruno", "Clara", "David", "Edith", "Frank", "Greta", "Henry", "Irene", "James", "Karen", "Louis")
LAST = ("Abbott", "Barker", "Carver", "Dalton", "Easton", "Fuller", "Garner", "Harper", "Ingram", "Jensen", "Keller")


class Told:
    """Documents that were acknowledged, and what is asked of each."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._used: set[str] = set()
        self.documents: dict[str, tuple[str, str]] = {}
        """The question and its answer, by the name of the document."""
        self.lock = threading.Lock()

    def new(self) -> tuple[str, str, str, str]:
        """Returns a document that there was not yet: its name, its text, a question, the answer."""
        while True:
            place = f"{self._random.choice(PLACES)}{self._random.choice(PLACES).lower()}{self._random.randrange(1000)}"
            if place not in self._used:
                break
        self._used.add(place)
        keeper = f"{self._random.choice(FIRST)} {self._random.choice(LAST)}"
        name = f"coast{self._random.randrange(FOLDERS)}/{place}.txt"
        text = f"The lighthouse of {place} stands on a cliff. The keeper of the lighthouse of {place} is {keeper}."
        return name, text, f"Who is the keeper of the lighthouse of {place}?", keeper


class Faults(Exception):
    """Something that must not be."""


def add(qa: ClusterQA, told: Told, folder: Path) -> bool:
    """Adds a document; tells whether it was acknowledged."""
    name, text, question, answer = told.new()
    file = folder / "text.txt"
    file.write_text(text, encoding="utf-8")
    try:
        qa.add(file, name=name, copied=True)
    except edgeqa.ClusterError:
        return False
    with told.lock:
        told.documents[name] = question, answer
    return True


def check(qa: ClusterQA, question: str, expected: str, *, refresh: bool) -> bool:
    """Asks; tells whether the answer is whole. Raises Faults for a whole answer that is wrong."""
    try:
        answer = qa.ask(question, refresh=refresh)
    except edgeqa.ClusterError:
        return False
    if answer.damaged or answer.nodes_silent:
        return False
    if answer.text != expected:
        found = ", ".join(str(one.address) for one in answer.closest)
        message = f"{question} -> {answer.text!r}, not {expected!r}; asked {answer.nodes_asked}, closest {found}"
        raise Faults(message)
    return True


class Round:
    """One is killed while documents are added and questions asked."""

    def __init__(self, qa: ClusterQA, told: Told, rng: random.Random, folder: Path) -> None:
        self._qa, self._told, self._folder = qa, told, folder
        self._random = random.Random(rng.random())
        self._known = dict(rng.sample(sorted(told.documents.items()), min(SAMPLE, len(told.documents))))
        self._stop = threading.Event()
        self.counts = {"added": 0, "refused": 0, "asked": 0, "partial": 0}
        self._wrong: list[Faults] = []

    def run(self, kill: Callable[[], None], within_s: float) -> dict[str, object]:
        """Kills, waits until all is answered again, and returns what happened.

        Args:
            kill: what does it.
            within_s: how long it may take on a machine with nothing else to do.

        Raises:
            Faults: for an answer that is wrong, or if it takes too long.
        """
        threads = [threading.Thread(target=self._adds), threading.Thread(target=self._asks)]
        for thread in threads:
            thread.start()
        try:
            before_s = self._answered_s(most_s=6 * within_s)
            time.sleep(self._random.uniform(0.1, 1.0))
            kill()
            again_s = self._answered_s(most_s=6 * within_s)
            after_s = self._answered_s(most_s=6 * within_s)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        for fault in self._wrong:
            raise fault
        question_s = max(before_s, after_s) / len(self._known)
        limit_s = within_s / 2 * (1 + max(1.0, question_s / QUICK_S))
        if again_s > limit_s:
            message = (
                f"all is answered again after {again_s:.1f} s, and not within {limit_s:.1f} s, "
                f"where a question takes {question_s * 1e3:.0f} ms"
            )
            raise Faults(message)
        figures = {"again_s": f"{again_s:.1f}", "limit_s": f"{limit_s:.1f}", "question_ms": f"{question_s * 1e3:.0f}"}
        return {**self.counts, **figures}

    def _answered_s(self, *, most_s: float) -> float:
        """Returns how long it takes until all is answered, each once, whole; it gives up after a while."""
        began = time.monotonic()
        left = self._known
        while left and not self._wrong and time.monotonic() - began < most_s:
            left = {name: asked for name, asked in left.items() if not self._is_whole(*asked, refresh=True)}
        return time.monotonic() - began

    def _adds(self) -> None:
        while not self._stop.wait(PAUSE_S):
            self.counts["added" if add(self._qa, self._told, self._folder) else "refused"] += 1

    def _asks(self) -> None:
        every = list(self._known.values())
        while not self._stop.wait(PAUSE_S) and not self._wrong:
            question, expected = self._random.choice(every)
            is_whole = self._is_whole(question, expected, refresh=self._random.random() < 0.5)
            self.counts["asked" if is_whole else "partial"] += 1

    def _is_whole(self, question: str, expected: str, *, refresh: bool) -> bool:
        try:
            return check(self._qa, question, expected, refresh=refresh)
        except Faults as fault:
            self._wrong.append(fault)
            return False


def kill(killed: Iterable[Node | LocalWorker]) -> None:
    """Kills some, one after the other."""
    for one in killed:
        one.kill()


def one_round(
    qa: ClusterQA,
    cluster: LocalCluster,
    workers: list[LocalWorker],
    told: Told,
    kind: str,
    rng: random.Random,
    folder: Path,
    within_s: float,
) -> dict[str, object]:
    """Kills one, and starts it again; returns what happened."""
    number = rng.randrange(3)
    masters = [node for node in cluster.nodes if role(node) == "master"]
    replicas = [node for node in cluster.nodes if role(node) != "master"]
    servers = {"master": masters, "replica": replicas, "machine": cluster.nodes[number : number + 1]}.get(kind)
    killed: list[Node | LocalWorker] = [] if servers is None else [rng.choice(servers)]
    killed += [workers[number]] if kind in {"worker", "machine"} else []
    made = Round(qa, told, rng, folder)
    said = made.run(partial(kill, killed), within_s)
    until(lambda: all_served(cluster), "another server takes the place of a master", 60)
    for one in killed:  # now: a master that comes back empty too early would take its replica's documents along
        one.start()
    until(cluster.is_settled, "all servers are well again", 60)
    lost(qa, told)
    until(lambda: settled(qa), "all workers are well again", 60)
    for question, expected in [asked for _, asked in rng.sample(sorted(told.documents.items()), SAMPLE)]:
        until(partial(right, qa, question, expected), f"{question} is answered", 60)
    return {"kind": kind, **said, "documents": len(told.documents)}


def all_served(cluster: LocalCluster) -> bool:
    """Tells whether every slot is that of a server that runs."""
    running = {node.port: node for node in cluster.nodes if node.is_running}
    with next(iter(running.values())).client() as client:
        return all(master[1] in running for _, _, master, *_ in client.execute_command("CLUSTER SLOTS"))


def right(qa: ClusterQA, question: str, expected: str) -> bool:
    """Tells whether a question is answered rightly: what was added last may not be indexed yet."""
    with contextlib.suppress(edgeqa.ClusterError):
        return qa.ask(question, refresh=True).text == expected
    return False


def role(node: Node) -> str:
    """Returns what a server is: master or slave."""
    with node.client() as client:
        return str(client.info("replication")["role"])


def settled(qa: ClusterQA) -> bool:
    """Tells whether three workers serve all that there is."""
    with contextlib.suppress(edgeqa.ClusterError):
        members = qa.membership.members()
        served = {slot for one in members for first, last in one.slots for slot in range(first, last + 1)}
        return len(members) == 3 and len(served) == 16384
    return False


def lost(qa: ClusterQA, told: Told) -> None:
    """Raises Faults if a document that was acknowledged is not there, whole."""
    there = {one.document for one in qa.list()}
    with told.lock:
        gone = sorted(told.documents.keys() - there)
    if gone:
        message = f"{len(gone)} documents are lost that were acknowledged: {gone[:3]}"
        raise Faults(message)
    found = qa.verify()
    if not found.sound:
        raise Faults(found.damaged[0])


def main() -> int:
    """Runs the rounds; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=20, help="rounds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, default=10.0, metavar="S", help="answered again, on an idle machine")
    parser.add_argument("--documents", type=int, default=0, help="that there are before the first round")
    parser.add_argument("--kinds", default=",".join(KINDS), help="what is killed, by turns")
    given = parser.parse_args()
    rng, kinds = random.Random(given.seed), given.kinds.split(",")
    told = Told(given.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgeqa-stress-") as name, LocalCluster(Path(name)) as cluster:
        os.environ["EDGEQA_HOME"] = str(Path(name, "home"))
        folder = Path(name)
        workers = [LocalWorker(folder / f"worker{n}", cluster.url, node) for n, node in enumerate(cluster.nodes[:3])]
        try:
            for worker in workers:
                worker.start()
            with runtime.open(cluster=cluster.url, persist="off") as opened:
                qa = opened
                assert isinstance(qa, ClusterQA)  # noqa: S101 - for mypy
                while len(told.documents) < max(2 * SAMPLE, given.documents):
                    add(qa, told, folder)
                until(lambda: settled(qa), "three workers are there", 120)
                for question, expected in list(told.documents.values())[-2 * SAMPLE :]:
                    until(partial(right, qa, question, expected), f"{question} is answered", 60)
                for number in range(given.n):
                    kind = kinds[number] if number < len(kinds) else rng.choice(kinds)
                    try:
                        said = one_round(qa, cluster, workers, told, kind, rng, folder, given.within)
                    except (Faults, RuntimeError) as fault:
                        print(f"{number + 1} {kind} FAULT {fault}", flush=True)
                        for worker in workers:
                            print(worker.log.read_text(encoding="utf-8")[-2000:], file=sys.stderr)
                        return 1
                    print(number + 1, " ".join(f"{key}={value}" for key, value in said.items()), flush=True)
        finally:
            for worker in workers:
                worker.kill()
    print(f"{given.n} rounds, seed {given.seed}: no fault, {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
