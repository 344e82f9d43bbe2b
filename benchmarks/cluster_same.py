"""Does a cluster answer as one machine does? Every difference is printed, with what explains it.

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

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from local_cluster import LocalCluster, LocalWorker, until

from edgeqa import runtime
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.runtime import ClusterQA
from edgeqa.models.metrics import score_v1

TIE = 0.05  # of scores, which are rounded by encodings


def main() -> None:
    """Asks both, and prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--masters", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=1000)
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
                compare(cluster, asked, given.nodes)
            finally:
                for worker in workers:
                    worker.kill()


def compare(cluster: LocalCluster, asked: list[tuple[str, list[str]]], most_nodes: int) -> None:
    """Adds to both, asks both."""
    alone = runtime.open(persist="off")
    began = time.monotonic()
    alone.add("articles")
    print(f"one machine: added in {time.monotonic() - began:.0f} s", flush=True)
    qa = ClusterQA(
        alone.bundle, alone.equipment.overrides, ClusterAddress.parse(cluster.url), most_nodes=most_nodes, members_s=1.0
    )
    began = time.monotonic()
    added = qa.add("articles")
    print(f"cluster: {added.contexts} passages added in {time.monotonic() - began:.0f} s", flush=True)
    has = lambda: sum(one.contexts for one in qa.membership.members()) == added.contexts  # noqa: E731
    until(has, "all is indexed", 600)
    print(f"cluster: all indexed after {time.monotonic() - began:.0f} s", flush=True)
    same, here_f1, there_f1, here_s, there_s, explained = 0, [], [], [], [], 0
    for question, expected in asked:
        start = time.perf_counter()
        here = alone.ask(question, refresh=True)
        middle = time.perf_counter()
        there = qa.ask(question, refresh=True)
        there_s.append(time.perf_counter() - middle)
        here_s.append(middle - start)
        here_f1.append(score_v1(here.text, expected).f1)
        there_f1.append(score_v1(there.text, expected).f1)
        span = (here.text, here.document, here.source_start) == (there.text, there.document, there.source_start)
        same += span
        if not span:
            score = abs(here.score - there.score)
            best = [(one.address or "").partition(":{")[0] for one in here.closest[:2]]
            also = [(one.address or "").partition(":{")[0] for one in there.closest[:2]]
            why = "tie" if score < TIE else "rank" if best != also else "?"
            explained += why != "?"
            print(
                f"  {why}: {question!r}: {here.text!r} ({here.score:.2f}) / {there.text!r} ({there.score:.2f})",
                flush=True,
            )
    count = len(asked)
    print(
        f"{count} questions: the same span for {100 * same / count:.2f} %, {count - same} differ, {explained} explained"
    )
    print(
        f"F1 {100 * statistics.mean(here_f1):.2f} on one machine, {100 * statistics.mean(there_f1):.2f} in the cluster"
    )
    print(f"a question: {1e3 * statistics.median(here_s):.0f} ms / {1e3 * statistics.median(there_s):.0f} ms (median)")
    qa.close()
    alone.close()


if __name__ == "__main__":
    main()
