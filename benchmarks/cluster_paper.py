"""Computes a cluster of a thousand workers on paper: size of statistics, workers asked, and what 1 % lost cost.

    python benchmarks/cluster_paper.py squad-v1.1-dev-open.json --nodes 1000 --seed 1

No server is started. Each node's passages are those of an article, drawn anew with replacement; terms that only few of
all passages have (names, mostly) are the node's own, as documents of one subject have names of their own. A question is
right where a node is asked that has its passage. Whom to ask is decided by what `edgeqa.cluster` decides it by.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path

from edgeqa.cluster.membership import Member
from edgeqa.cluster.statistics import Asked, likeliest
from edgeqa.contexts.terms import distinct, terms

RARE = 3
ASKED = (1, 3, 5, 10)


def main() -> None:
    """Draws the nodes, asks, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    data = json.loads(given.file.read_text(encoding="utf-8"))["data"]
    articles = [[(terms(p["context"]), [qa["question"] for qa in p["qas"]]) for p in a["paragraphs"]] for a in data]
    holding = Counter(term for article in articles for passage, _ in article for term in set(passage))
    members: list[Member] = []
    held: dict[str, Counter[str]] = {}
    questions: list[tuple[str, frozenset[str]]] = []
    for number in range(given.nodes):
        node = f"n{number}"
        drawn = rng.choices(articles[number % len(articles)], k=len(articles[number % len(articles)]))
        counts: Counter[str] = Counter()
        for passage, _ in drawn:
            counts.update(own(set(passage), holding, node))
        size = sum(len(passage) for passage, _ in drawn)
        held[node] = counts
        members.append(Member(node, ("h", 1), None, ("h", 1), (), "00", len(drawn), size, 0, "f", 1, 0, 0))
        _, texts = rng.choice(drawn)
        if texts:
            questions.append((node, own(distinct(rng.choice(texts)), holding, node)))
    sizes = sorted(sum(len(term) + 6 for term in counts) for counts in held.values())
    passages = sum(one.contexts for one in members)
    print(f"{given.nodes} nodes, {passages} passages, {given.questions} questions")
    print(f"statistics: {sizes[len(sizes) // 2] >> 10} KiB a node (median), {sum(sizes) >> 20} MiB in all, in Valkey")
    print(f"a question fetches its own terms of every node: {given.nodes} HMGET")
    asked = rng.sample(questions, min(given.questions, len(questions)))
    gone = set(rng.sample([one.id for one in members], given.nodes // 100))
    found, found_named, named, lost, began = Counter[int](), Counter[int](), 0, 0, time.perf_counter()
    for node, looked_for in asked:
        ranked = likeliest(of(looked_for, members, held), members, max(ASKED))
        place = next((place for place, one in enumerate(ranked, 1) if one.id == node), None)
        lost += node in gone
        is_named = any(held[node][term] for term in looked_for if term.endswith(f"-{node}"))
        named += is_named
        if place is not None:
            found.update([most for most in ASKED if place <= most])
            found_named.update([most for most in ASKED if place <= most and is_named])
    for most in ASKED:
        share, share_named = 100 * found[most] / len(asked), 100 * found_named[most] / max(1, named)
        print(f"{most} asked: found {share:.1f} %; of {named} that name something rare, {share_named:.1f} %")
    print(f"ranking the nodes takes {1e3 * (time.perf_counter() - began) / len(asked):.0f} ms a question, in Python")
    print(f"{len(gone)} of {given.nodes} gone: {100 * lost / len(asked):.1f} % of the questions lose their passage")


def own(looked_for: set[str] | frozenset[str], holding: Counter[str], node: str) -> frozenset[str]:
    """Returns terms, those that are rare as the node's own."""
    return frozenset(term if holding[term] > RARE else f"{term}-{node}" for term in looked_for)


def of(looked_for: frozenset[str], members: list[Member], held: dict[str, Counter[str]]) -> Asked:
    """Returns a question."""
    by_member = {one.id: {term: held[one.id][term] for term in looked_for} for one in members}
    return Asked(tuple(looked_for), "", sum(one.contexts for one in members), 1, 1, {}, {}, {}, by_member, ())


if __name__ == "__main__":
    main()
