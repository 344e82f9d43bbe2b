"""Fits how a bundle's scores become probabilities, and from which probability on there is an answer.

    python tools/calibrate.py SQUAD_FILE BUNDLE [--questions 600] [--seed 1]

In: questions with their answers, and the bundle that is to be calibrated. Out: the `calibration` section of its
manifest, rewritten in place. Each question is asked of texts that hold its answer and of texts that do not, in single
paragraphs and in whole articles, through the runtime. Nothing is chosen by hand: the probability is a logistic fit, the
threshold is where the F1 of the answers given and the share of the refusals that are right add up to the most.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import edgeqa
from edgeqa.evaluation.metrics import score_v1
from edgeqa.models.manifest import Calibration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NEWTON_STEPS = 50
RIDGE = 1e-6  # keeps the fit finite where two classes can be told apart without fault


@dataclass(frozen=True, slots=True)
class Sample:
    """One question asked of one text."""

    score: float
    contexts: int
    f1: float
    """Of the best span; 0 where the text does not hold the answer."""
    has_answer: bool
    whole_article: bool


def samples(data: list[Any], qa: edgeqa.EdgeQA, *, questions: int, seed: int) -> Iterator[Sample]:
    """Yields what the runtime makes of a random choice of the questions of a SQuAD file's `data`."""
    rng = random.Random(seed)  # noqa: S311 - a draw of questions, not a secret
    articles = [[p["context"] for p in article["paragraphs"]] for article in data]
    asked = [
        (a, p, question["question"], [answer["text"] for answer in question["answers"]])
        for a, article in enumerate(data)
        for p, paragraph in enumerate(article["paragraphs"])
        for question in paragraph["qas"]
        if question["answers"]
    ]
    for a, p, question, golds in rng.sample(asked, min(questions, len(asked))):
        other = rng.choice([i for i in range(len(articles)) if i != a])
        near = [text for i, text in enumerate(articles[a]) if i != p and not any(g in text for g in golds)]
        texts = [(articles[a][p], True, False), ("\n\n".join(articles[a]), True, True)]
        texts += [(rng.choice(near), False, False)] if near else []
        texts += [(rng.choice(articles[other]), False, False), ("\n\n".join(articles[other]), False, True)]
        for text, has_answer, whole_article in texts:
            answer = qa.ask(question, text, force=True)
            f1 = score_v1(answer.text, golds).f1 if has_answer else 0.0
            yield Sample(answer.score, answer.contexts, f1, has_answer, whole_article)


def fit(found: list[Sample]) -> Calibration:
    """Returns the calibration that fits the samples best."""
    f1 = np.array([s.f1 for s in found])
    has_answer = np.array([s.has_answer for s in found])
    weights = _weights(found)
    x = np.array([(s.score, np.log(s.contexts), 1.0) for s in found])
    slope, contexts, intercept = logistic(x, f1, weights).tolist()
    probabilities = 1 / (1 + np.exp(-(x @ np.array([slope, contexts, intercept]))))
    below = threshold(probabilities, f1, has_answer, weights)
    return Calibration(round(slope, 4), round(contexts, 4), round(intercept, 4), below)


def threshold(probabilities: Floats, f1: Floats, has_answer: NDArray[np.bool_], weights: Floats) -> float:
    """Returns where F1 of the answers given and share of right refusals add up to the most."""
    thresholds = np.unique(probabilities.round(3))
    gains = [
        float(np.sum(weights * np.where(has_answer, f1 * (probabilities >= t), probabilities < t))) for t in thresholds
    ]
    return round(float(thresholds[int(np.argmax(gains))]), 3)


def _weights(found: list[Sample]) -> Floats:
    """Paragraphs and articles, with the answer and without it, each count for a quarter."""
    kinds = [(s.has_answer, s.whole_article) for s in found]
    return np.array([1 / kinds.count(kind) for kind in kinds]) / 4


def logistic(x: Floats, y: Floats, weights: Floats | None = None) -> Floats:
    """Returns the coefficients of a logistic regression on targets in [0, 1], by Newton's method."""
    weighted = np.full(len(y), 1 / len(y)) if weights is None else weights
    b = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(x @ b)))
        curvature = (x * (weighted * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(len(b))
        b += np.linalg.solve(curvature, x.T @ (weighted * (y - p)))
    return b


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    data = json.loads(arguments.file.read_text(encoding="utf-8"))["data"]
    with edgeqa.open(bundle=arguments.bundle) as qa:
        found = list(samples(data, qa, questions=arguments.questions, seed=arguments.seed))
    calibration = fit(found)
    file = arguments.bundle / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    fitted_on = f"{arguments.questions} questions of {arguments.file.name}, seed {arguments.seed}"
    manifest["calibration"] = {**calibration._asdict(), "fitted_on": fitted_on}
    file.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(manifest["calibration"]))


if __name__ == "__main__":
    main()
