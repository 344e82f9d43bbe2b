"""Compares a cluster's answers with those of one machine, and prints every difference with what explains it.

    python benchmarks/cluster_same.py squad-v1.1-dev-open.json --masters 3 --questions 400 --seed 1

The contexts of a SQuAD file, a folder an article and a file a paragraph, are added to a collection and to a cluster of
this machine; the same questions are asked of both. `--nodes N` asks the N likeliest workers only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from local_cluster import LocalCluster, LocalWorker, until

from edgeqa import runtime
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.runtime import ClusterQA
from edgeqa.models.metrics import score_v1

if TYPE_CHECKING:
    from edgeqa import Answer, EdgeQA

TIE = 0.05  # of scores, which are rounded by encodings


def main() -> None:
    """Asks both, and prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--masters", type=int, default=3)
    parser.add_argument(
        "--nodes", default="1000", help="how many workers are asked at most: 10,5 for one after the other"
    )
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    data = json.loads(given.file.read_text(encoding="utf-8"))["data"]
    with tempfile.TemporaryDirectory(prefix="edgeqa-same-") as name:
        folder = Path(name)
        os.environ["EDGEQA_HOME"] = str(folder / "home")
        questions: list[tuple[str, list[str]]] = []
        for number, article in enumerate(data):
            (folder / "articles" / f"a{number}").mkdir(parents=True)
            for place, paragraph in enumerate(article["paragraphs"]):
                file = folder / "articles" / f"a{number}" / f"p{place}.txt"
                file.write_text(paragraph["context"], encoding="utf-8")
                questions += [(qa["question"], [one["text"] for one in qa["answers"]]) for qa in paragraph["qas"]]
        asked = random.Random(given.seed).sample(questions, min(given.questions, len(questions)))
        os.chdir(folder)
        with LocalCluster(folder / "servers", masters=given.masters, replicas=0) as cluster:
            workers = [LocalWorker(folder / f"worker{n}", cluster.url, node) for n, node in enumerate(cluster.nodes)]
            try:
                for worker in workers:
                    worker.start()
                compare(cluster, asked, [int(most) for most in given.nodes.split(",")])
                stores = sum(on_disk(folder / f"worker{number}" / "store") for number in range(len(workers)))
                print(f"on workers, all passages take {stores / 2**20:.0f} MiB of disk")
            finally:
                for worker in workers:
                    worker.kill()


def compare(cluster: LocalCluster, asked: list[tuple[str, list[str]]], nodes: list[int]) -> None:
    """Adds to both, asks both."""
    alone = runtime.open(reader="fast", persist="off")  # as workers read
    began = time.monotonic()
    alone.add("articles")
    print(f"one machine: added in {time.monotonic() - began:.0f} s", flush=True)
    address, overrides = ClusterAddress.parse(cluster.url), alone.equipment.overrides
    clients = {most: ClusterQA(alone.bundle, overrides, address, most_nodes=most, members_s=1.0) for most in nodes}
    qa = next(iter(clients.values()))
    empty_bytes = used_bytes(cluster)
    began = time.monotonic()
    added = qa.add("articles")
    print(f"cluster: {added.contexts} passages added in {time.monotonic() - began:.0f} s", flush=True)
    until(lambda: sum(one.contexts for one in qa.membership.members()) == added.contexts, "all is indexed", 600)
    print(f"cluster: all indexed after {time.monotonic() - began:.0f} s", flush=True)
    in_valkey = (used_bytes(cluster) - empty_bytes) / added.contexts
    print(f"in Valkey, a passage takes {in_valkey:.0f} bytes of memory, its statistics of terms and all else included")
    here = ask(alone, asked)
    for most, client in clients.items():
        print(f"at most {most} workers asked, of {cluster.masters}:", flush=True)
        differences(asked, here, ask(client, asked))
        client.close()
    alone.close()


def used_bytes(cluster: LocalCluster) -> int:
    """Returns how much memory the servers use."""
    used = 0
    for node in cluster.nodes:
        with node.client() as client:
            used += int(client.info("memory")["used_memory"])
    return used


def on_disk(folder: Path) -> int:
    """Returns how many bytes the files below a folder have."""
    return sum(found.stat().st_size for found in folder.rglob("*") if found.is_file())


def ask(qa: EdgeQA, asked: list[tuple[str, list[str]]]) -> list[tuple[Answer, float]]:
    """Returns the answers, each with how long it took, in seconds."""
    found = []
    for question, _ in asked:
        began = time.perf_counter()
        answer = qa.ask(question, refresh=True)
        found.append((answer, time.perf_counter() - began))
    return found


def differences(
    asked: list[tuple[str, list[str]]], here: list[tuple[Answer, float]], there: list[tuple[Answer, float]]
) -> None:
    """Prints what differs."""
    same = explained = 0
    for (question, _), (one, _), (other, _) in zip(asked, here, there, strict=True):
        if (one.text, one.document, one.source_start) == (other.text, other.document, other.source_start):
            same += 1
            continue
        closest = [[(near.address or "").partition(":{")[0] for near in each.closest[:2]] for each in (one, other)]
        why = "tie" if abs(one.score - other.score) < TIE else "rank" if closest[0] != closest[1] else "?"
        explained += why != "?"
        print(f"  {why}: {question!r}: {one.text!r} ({one.score:.2f}) / {other.text!r} ({other.score:.2f})")
    count = len(asked)
    print(
        f"{count} questions: the same span for {100 * same / count:.2f} %, {count - same} differ, {explained} explained"
    )
    scores, times = [], []
    for answers in (here, there):
        judged = [score_v1(one.text, golds).f1 for (one, _), (_, golds) in zip(answers, asked, strict=True)]
        scores.append(100 * statistics.mean(judged))
        times.append(1e3 * statistics.median(taken for _, taken in answers))
    print(f"F1 {scores[0]:.2f} on one machine, {scores[1]:.2f} in the cluster")
    print(f"a question: {times[0]:.0f} ms / {times[1]:.0f} ms (median)", flush=True)


if __name__ == "__main__":
    main()
