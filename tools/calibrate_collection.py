"""Fits how route scores and span scores are put together when a collection is asked: the numbers of `routing/fusion`.

    python tools/calibrate_collection.py SQUAD_FILE [--bundle DIR] [--questions 1200] [--seed 1]

In: questions with their answers. Out: on standard output, what each part brings, fitted on half of the articles and
shown on the other half, both ways; then the numbers fitted on all of them, for `edgeqa/routing/fusion.py`. Every
question is asked of all contexts of the file, and of those of the other articles, where it has no answer.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from calibrate import logistic, threshold

import edgeqa
from edgeqa.contexts.normal import nfc
from edgeqa.contexts.passages import Passage, passages
from edgeqa.evaluation.metrics import score_v1
from edgeqa.routing.fusion import ENOUGH_BELOW, MOST_READ
from edgeqa.routing.index import Index, IndexWriter
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

READ_WITHOUT = 3  # contexts of other articles
NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True)
class Read:
    """A context read for a question, in the order of the routing."""

    score: float
    """Of its best span."""
    share: float
    """Its route score as a part of the best one's."""
    f1: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what was read for it."""

    article: int
    reads: tuple[Read, ...]
    without: tuple[Read, ...]
    """Of other articles alone."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What is fitted."""

    route: float
    chance: Floats
    """Of the best score and lift, the next context's share, ln of the number read, and 1."""


def collect(data: list[Any], qa: edgeqa.EdgeQA, *, questions: int, seed: int) -> Iterator[Asked]:
    """Yields what is read for a random choice of the questions of a SQuAD file's `data`."""
    reading = qa._parts.reading  # noqa: SLF001 - nobody else wants spans of contexts that are not the best
    contexts = [
        (passage, number)
        for number, article in enumerate(data)
        for paragraph in article["paragraphs"]
        for passage in passages([nfc(paragraph["context"])], reading.tokenize, reading.limits)
    ]
    asked = [
        (number, question["question"], [answer["text"] for answer in question["answers"]])
        for number, article in enumerate(data)
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
        if question["answers"]
    ]
    with tempfile.TemporaryDirectory() as directory:
        with IndexWriter(Path(directory)) as writer:
            for context_id, (passage, _) in enumerate(contexts):
                writer.add(context_id, passage.text, "")
            writer.commit()
        index = Index(Path(directory))
        encodings = [reading.encode_context(passage.tokens.ids) for passage, _ in contexts]
        watch = Stopwatch()

        def read(question: str, golds: list[str], hits: Sequence[tuple[Passage, int, float]]) -> Iterator[Read]:
            encoded = reading.question(question)
            for passage, context_id, score in hits:
                for place in reading.spans(encoded, passage, encodings[context_id], top=1, watch=watch):
                    f1 = score_v1(passage.text[place.start : place.end], golds).f1
                    yield Read(place.score, score / hits[0][2], f1)

        rng = random.Random(seed)  # noqa: S311 - a draw of questions, not a secret
        for article, question, golds in rng.sample(asked, min(questions, len(asked))):
            hits = [(contexts[h.context_id][0], h.context_id, h.score) for h in index.search(question, 100)]
            without = [hit for hit in hits if contexts[hit[1]][1] != article]
            if hits:
                reads = tuple(read(question, golds, hits[:MOST_READ]))
                yield Asked(article, reads, tuple(read(question, golds, without[:READ_WITHOUT])))


def fit(found: list[Asked]) -> Weights:
    """Returns the weights that fit best."""
    route = _route_weight(found)
    states = [state for asked in found for state in _states(asked, route)]
    return Weights(route, logistic(np.array([x for x, _ in states]), np.array([better for _, better in states])))


def _route_weight(found: list[Asked]) -> float:
    """Returns by how much a share outweighs a logit: a conditional logit, by Newton's method, of the context to choose.

    (McFadden, 1974.) The target is spread over the contexts by the F1 of what they answer.
    """
    w = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        gradient, curvature = np.zeros(2), 1e-6 * np.eye(2)
        for asked in found:
            f1 = np.array([r.f1 for r in asked.reads])
            if f1.any():
                x = np.array([(r.score, r.share) for r in asked.reads])
                p = np.exp(x @ w - (x @ w).max())
                p /= p.sum()
                gradient += (f1 / f1.sum() - p) @ x
                curvature += (x * p[:, None]).T @ x - np.outer(p @ x, p @ x)
        w += np.linalg.solve(curvature, gradient)
    return float(w[1] / w[0])


def _states(asked: Asked, route: float) -> Iterator[tuple[tuple[float, float, float, float], float]]:
    """Yields, for each number of contexts read, what is known then, and whether reading on makes the answer better."""
    ranks = [r.score + route * (r.share - 1) for r in asked.reads]
    final = asked.reads[int(np.argmax(ranks))].f1 if ranks else 0.0
    for read in range(1, len(ranks)):
        best = int(np.argmax(ranks[:read]))
        known = (ranks[best], asked.reads[read].share, float(np.log(read)), 1.0)
        yield known, float(final > asked.reads[best].f1)


def choose(reads: Sequence[Read], weights: Weights, *, enough_below: float) -> tuple[float, float, int]:
    """Returns the F1 of the answer, its score and lift, and how many contexts were read for it."""
    ranks = [r.score + weights.route * (r.share - 1) for r in reads]
    read = 1
    while read < len(reads):
        x = np.array([max(ranks[:read]), reads[read].share, np.log(read), 1.0])
        if 1 / (1 + np.exp(-(x @ weights.chance))) < enough_below:
            break
        read += 1
    best = int(np.argmax(ranks[:read]))
    return reads[best].f1, ranks[best], read


def calibrate(found: list[Asked], weights: Weights) -> dict[str, float]:
    """Returns how score and lift become a probability, and the threshold for "no answer"."""
    with_answer = [choose(a.reads, weights, enough_below=ENOUGH_BELOW) for a in found if a.reads]
    without = [choose(a.without, weights, enough_below=ENOUGH_BELOW) for a in found if a.without]
    f1 = np.array([one[0] for one in with_answer] + [0.0] * len(without))
    x = np.array([(rank, np.log(read), 1.0) for _, rank, read in with_answer + without])
    each = np.repeat([0.5 / len(with_answer), 0.5 / max(1, len(without))], [len(with_answer), len(without)])
    weighted = logistic(x, f1, each)
    has_answer = np.arange(len(f1)) < len(with_answer)
    below = threshold(1 / (1 + np.exp(-(x @ weighted))), f1, has_answer, each)
    refused = 1 / (1 + np.exp(-(x[~has_answer] @ weighted))) < below
    given = 1 / (1 + np.exp(-(x[has_answer] @ weighted))) >= below
    print(f"refused: {refused.mean():.1%} of questions without an answer, {1 - given.mean():.1%} of the others")
    names = ("slope", "contexts", "intercept")
    return {**{n: round(float(w), 4) for n, w in zip(names, weighted, strict=True)}, "no_answer_below": below}


def report(found: list[Asked]) -> None:
    """Prints what each part brings, fitted on one half of the articles and shown on the other, both ways."""
    articles = sorted({asked.article for asked in found})
    halves = [[a for a in found if articles.index(a.article) % 2 == half] for half in (0, 1)]
    span_alone = Weights(0.0, np.array([0.0, 0.0, 0.0, 99.0]))
    rows: dict[str, list[tuple[float, float, int]]] = {}
    for fitted, shown in (halves, halves[::-1]):
        weights = fit(fitted)
        for asked in shown:
            for count in (1, 2, 3, 5, MOST_READ):
                reads = asked.reads[:count]
                rows.setdefault(f"{count} contexts, span score alone", []).append(
                    choose(reads, span_alone, enough_below=0)
                )
                rows.setdefault(f"{count} contexts, route score too", []).append(choose(reads, weights, enough_below=0))
            for chance in (0.01, 0.02, 0.03, 0.05, 0.1):
                name = f"until the chance of a better answer is below {chance:.0%}"
                rows.setdefault(name, []).append(choose(asked.reads, weights, enough_below=chance))
    for name, chosen in sorted(rows.items(), key=lambda row: (row[0][0] == "u", row[0][12:], row[0])):
        print(
            f"{name:<52} F1 {100 * np.mean([c[0] for c in chosen]):6.2f}  read {np.mean([c[2] for c in chosen]):5.2f}"
        )


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--questions", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    data = json.loads(arguments.file.read_text(encoding="utf-8"))["data"]
    with edgeqa.open(bundle=arguments.bundle, persist="off") as qa:
        found = list(collect(data, qa, questions=arguments.questions, seed=arguments.seed))
    report(found)
    weights = fit(found)
    print(f"ROUTE_WEIGHT = {weights.route:.1f}")
    print(f"CHANCE_* = {weights.chance.round(3).tolist()}")
    print(f"CALIBRATION = {calibrate(found, weights)}")


if __name__ == "__main__":
    main()
