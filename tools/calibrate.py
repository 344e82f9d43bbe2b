"""Fits how a bundle's scores become probabilities, how passages that were searched for are ranked, and thresholds.

    python tools/calibrate.py BUNDLE SQUAD_FILE DOCUMENTS_FILE FOLDER [--questions 400] [--seed 1]

In: questions on paragraphs with their answers (SQuAD 1.1), and questions on documents that lie in a folder (those of
their `fit` half, where they have halves), near misses among them. Out: the sections `calibration` and `searched` of the
bundle's manifest, rewritten in place; on standard output, what the fit gives. Questions are asked as users ask them: of
the right paragraph and of others, of all paragraphs together, of the right document, and of all documents together.
Nothing is chosen by hand but MOST_WRONG: probabilities are logistic fits, the route's weight a conditional logit. The
threshold of a given paragraph is where the F1 of the answers given and the share of the refusals that are right add up
to the most; that of what is searched is the lowest at which no more than MOST_WRONG of the questions on documents that
can be answered are given a wrong answer.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import edgeqa
from edgeqa.answer import Candidate
from edgeqa.asking.collected import Collected
from edgeqa.asking.documents import documents, on_one_line
from edgeqa.asking.keys import Options
from edgeqa.asking.question import Asking
from edgeqa.asking.ranking import ENOUGH_BELOW, FEW_PASSAGES, MOST_READ
from edgeqa.asking.texts import Texts
from edgeqa.contexts.search import coverage
from edgeqa.evaluation.documents_file import read_questions
from edgeqa.evaluation.judging import Documents, Judge
from edgeqa.evaluation.squad_file import read_squad, sample
from edgeqa.models.manifest import Calibration, Searched
from edgeqa.models.metrics import score_v1
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgeqa.asking.records import Near
    from edgeqa.asking.scope import Placed

    Floats = NDArray[np.float64]
    Worth = Callable[["Near"], float]

NEWTON_STEPS = 50
RIDGE = 1e-6  # keeps the fit finite where two classes can be told apart without fault
REPEATS = 5.0  # what a span loses that only says the question's words again; 3 to 6 fit alike
MOST_WRONG = 0.2  # of the questions on documents; of those that nothing was fitted on, fewer


class Read(NamedTuple):
    """A passage read for a question, in the order of the routing."""

    score: float
    """Of its best span, less what that loses."""
    share: float
    coverage: float
    right: float
    """F1, or 1 where it is right."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what was read for it."""

    group: str
    reads: tuple[Read, ...]
    passages: int
    """How many there are to read."""
    has_answer: bool


class Recording(Asking):
    """Notes the share of each passage that is read."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as the base class says
        super().__init__(*arguments)
        self._numbers = Searched(route=0.0, repeats=REPEATS)
        self.shares: list[tuple[Near, float]] = []
        self.passages = 0

    def offer(self, passage: Placed, share: float) -> bool:
        """Reads a passage, as the base class does."""
        before = len(self._near)
        found = super().offer(passage, share)
        self.shares += [(near, share) for near in self._near[before:]]
        return found

    def reads(self, worth: Worth) -> tuple[Read, ...]:
        """Returns what was read, with what each passage's best span is worth."""
        return tuple(
            Read(near.rank, share, self._coverage(near), worth(near)) for near, share in self.shares if near.marked
        )

    def _coverage(self, near: Near) -> float:
        text = near.placed.text
        return coverage(text.text, text.heading, self._weights, self._language)


def ask(qa: edgeqa.EdgeQA, group: str, scope: Texts | Collected, question: str, worth: Worth | None) -> Asked:
    """Returns what is read for a question; `worth` is None where nothing answers it."""
    parts = qa._parts  # noqa: SLF001 - nobody else wants the passages that are not the best
    options = Options(most_contexts=MOST_READ)
    asking = Recording(parts, scope, on_one_line(question), options, Stopwatch())
    asking.read(lambda *_: None)
    reads = asking.reads(worth or (lambda _: 0.0))
    return Asked(group, reads, len(asking.shares), worth is not None)


def of_all_paragraphs(file: Path, qa: edgeqa.EdgeQA, *, questions: int, seed: int) -> Iterator[Asked]:
    """Yields what is read for some questions of a SQuAD file that are asked of all its paragraphs."""
    every = read_squad(file).questions
    parts = qa._parts  # noqa: SLF001 - as above
    with tempfile.TemporaryDirectory() as directory:
        texts = Path(directory, "paragraphs.jsonl")
        lines = (json.dumps({"text": text}) + "\n" for text in dict.fromkeys(one.context for one in every))
        texts.write_text("".join(lines), encoding="utf-8")
        qa.add(texts)
    for one in sample(every, questions, seed):

        def worth(found: Near, golds: Sequence[str] = one.answers) -> float:
            begin, end = found.marked or (0, 0)
            return score_v1(found.placed.text.text[begin:end], golds).f1

        digest, _ = parts.scope.now()
        yield ask(qa, "open", Collected(parts.scope, digest), one.question, worth)


def on_paragraphs(data: list[Any], qa: edgeqa.EdgeQA, *, questions: int, seed: int) -> Iterator[Asked]:
    """Yields what is read for a random choice of the questions of a SQuAD file's `data`, of single paragraphs."""
    rng = random.Random(seed)  # noqa: S311 - a draw of questions, not a secret
    articles = [[p["context"] for p in article["paragraphs"]] for article in data]
    every = [
        (a, p, question["question"], [answer["text"] for answer in question["answers"]])
        for a, article in enumerate(data)
        for p, paragraph in enumerate(article["paragraphs"])
        for question in paragraph["qas"]
        if question["answers"]
    ]
    parts = qa._parts  # noqa: SLF001 - as above
    for a, p, question, golds in rng.sample(every, min(questions, len(every))):
        other = rng.choice([i for i in range(len(articles)) if i != a])
        near = [text for i, text in enumerate(articles[a]) if i != p and not any(g in text for g in golds)]

        def worth(found: Near, golds: list[str] = golds) -> float:
            begin, end = found.marked or (0, 0)
            return score_v1(found.placed.text.text[begin:end], golds).f1

        asked: list[tuple[str, str, Worth | None]] = [("given", articles[a][p], worth)]
        asked += [("given", rng.choice(near), None)] if near else []
        asked += [("given", rng.choice(articles[other]), None)]
        for group, text, of in asked:
            yield ask(qa, group, Texts(parts, documents(text)), question, of)


def on_documents(file: Path, folder: Path, qa: edgeqa.EdgeQA) -> Iterator[Asked]:
    """Yields what is read for questions on documents: of the right one, and of all together."""
    held = Documents(folder)
    every = [q for q in read_questions(file) if q.groups.get("half", "fit") == "fit"]
    judge = Judge(held, every, file)
    parts = qa._parts  # noqa: SLF001 - as above
    qa.add([held.path(name) for name in sorted({q.document for q in every})])
    for question in every:

        def worth(found: Near, question: Any = question) -> float:  # noqa: ANN401 - bound to this question
            begin, end = found.marked or (0, 0)
            placed, text = found.placed, found.placed.text
            span = Candidate(
                text.text[begin:end], begin, end, text.text, text.start, placed.source, 0, 0.0, 0.0,
                part=placed.part, pieces=text.pieces,
            )  # fmt: skip
            return float(judge.is_right(question, span))

        of = None if question.is_near_miss else worth
        yield ask(qa, "document", Texts(parts, documents(held.path(question.document))), question.question, of)
        digest, _ = parts.scope.now()
        yield ask(qa, "collection", Collected(parts.scope, digest), question.question, of)


def given(found: Sequence[Asked]) -> Calibration:
    """Returns the calibration of passages that are given."""
    one = [(max(asked.reads), asked) for asked in found if asked.group == "given" and asked.reads]
    x = np.array([(read.score, 1.0) for read, _ in one])
    right = np.array([read.right for read, _ in one])
    has_answer = np.array([asked.has_answer for _, asked in one])
    each = np.where(has_answer, 0.5 / has_answer.sum(), 0.5 / (~has_answer).sum())
    slope, intercept = logistic(x, right, each).tolist()
    below = threshold(sigmoid(x @ np.array([slope, intercept])), right, has_answer, each)
    return Calibration(round(slope, 4), 0.0, round(intercept, 4), below)


def searched(found: Sequence[Asked]) -> Searched:
    """Returns the numbers for passages that are searched for."""
    asked = [one for one in found if one.group != "given" and one.reads]
    route = round(_route_weight(asked), 2)
    states = [state for one in asked if one.has_answer for state in _states(one, route)]
    chance = logistic(np.array([x for x, _ in states]), np.array([better for _, better in states]))
    numbers = Searched(route, REPEATS, chance=tuple(chance.round(3).tolist()))
    chosen = [choose(one, numbers) for one in asked]
    x = np.array([(rank, read.coverage, 1.0) for rank, read in chosen])
    right = np.array([read.right for _, read in chosen])
    has_answer = np.array([one.has_answer for one in asked])
    each = _evenly(asked)
    slope, of_coverage, intercept = logistic(x, right, each).round(4).tolist()
    likely = sigmoid(x @ np.array([slope, of_coverage, intercept]))
    on_documents = has_answer & np.array([one.group in ("document", "collection") for one in asked])
    below = lowest(likely[on_documents], right[on_documents])
    for group in sorted({one.group for one in asked}):
        of = np.array([one.group == group for one in asked])
        counts = [np.sum(of & has_answer), np.sum(of & ~has_answer)]
        on, off = of & has_answer & (likely >= below), of & ~has_answer & (likely >= below)
        shares = (right[on].sum() / counts[0], (1 - right[on]).sum() / counts[0], off.sum() / max(1, counts[1]))
        best = right[of & has_answer].sum() / counts[0]
        print(f"{group:<12} right {shares[0]:.1%}, wrong {shares[1]:.1%}, answered without {shares[2]:.1%}; ", end="")
        print(f"best span right {best:.1%}, asked {counts[0]} and {counts[1]}")
    return numbers._replace(slope=slope, coverage=of_coverage, intercept=intercept, no_answer_below=below)


def choose(asked: Asked, numbers: Searched) -> tuple[float, Read]:
    """Returns the rank of the span that is chosen, and the passage that it is from."""
    ranks = [read.score + numbers.route * (read.share - 1) for read in asked.reads]
    read = 1
    while read < len(ranks) and asked.passages > FEW_PASSAGES:
        x = np.array([max(ranks[:read]), asked.reads[read].share, np.log(read), 1.0])
        if sigmoid(x @ np.array(numbers.chance)) < ENOUGH_BELOW:
            break
        read += 1
    read = len(ranks) if asked.passages <= FEW_PASSAGES else read
    best = int(np.argmax(ranks[:read]))
    return ranks[best], asked.reads[best]


def _route_weight(found: Sequence[Asked]) -> float:
    """Returns by how much a share outweighs a logit: a conditional logit, by Newton's method, of the passage to choose.

    (McFadden, 1974.) The target is spread over the passages by what their answers are worth.
    """
    w = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        gradient, curvature = np.zeros(2), RIDGE * np.eye(2)
        for asked in found:
            right = np.array([read.right for read in asked.reads])
            if right.any():
                x = np.array([(read.score, read.share) for read in asked.reads])
                p = np.exp(x @ w - (x @ w).max())
                p /= p.sum()
                gradient += (right / right.sum() - p) @ x
                curvature += (x * p[:, None]).T @ x - np.outer(p @ x, p @ x)
        w += np.linalg.solve(curvature, gradient)
    return float(w[1] / w[0])


def _states(asked: Asked, route: float) -> Iterator[tuple[tuple[float, float, float, float], float]]:
    """Yields, for each number of passages read, what is known then, and whether reading on makes the answer better."""
    ranks = [read.score + route * (read.share - 1) for read in asked.reads]
    final = asked.reads[int(np.argmax(ranks))].right
    for read in range(1, len(ranks)):
        best = int(np.argmax(ranks[:read]))
        known = (ranks[best], asked.reads[read].share, float(np.log(read)), 1.0)
        yield known, float(final > asked.reads[best].right)


def _evenly(found: Sequence[Asked]) -> Floats:
    """Each group counts alike, and in it the questions with an answer and those without."""
    kinds = [(one.group, one.has_answer) for one in found]
    each: Floats = np.array([1 / kinds.count(kind) for kind in kinds])
    each /= each.sum()
    return each


def threshold(likely: Floats, right: Floats, has_answer: NDArray[np.bool_], each: Floats) -> float:
    """Returns where F1 of the answers given and share of right refusals add up to the most."""
    thresholds = np.unique(likely.round(3))
    gains = [float(np.sum(each * np.where(has_answer, right * (likely >= t), likely < t))) for t in thresholds]
    return round(float(thresholds[int(np.argmax(gains))]), 3)


def lowest(likely: Floats, right: Floats) -> float:
    """Returns the lowest threshold with which at most MOST_WRONG of these questions are answered wrong."""
    thresholds = np.unique(likely.round(3))
    few = [t for t in thresholds if np.mean((likely >= t) * (1 - right)) <= MOST_WRONG]
    return round(float(min(few, default=1.0)), 3)


def logistic(x: Floats, y: Floats, each: Floats | None = None) -> Floats:
    """Returns the coefficients of a logistic regression on targets in [0, 1], by Newton's method."""
    weighted = np.full(len(y), 1 / len(y)) if each is None else each
    b = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        p = sigmoid(x @ b)
        curvature = (x * (weighted * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(len(b))
        b += np.linalg.solve(curvature, x.T @ (weighted * (y - p)))
    return b


def sigmoid(x: Any) -> Any:  # noqa: ANN401 - a number or an array of them
    """Returns 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def main() -> None:
    """Runs the command line, in a home of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bundle", "squad", "questions_file", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    data = json.loads(asked.squad.read_text(encoding="utf-8"))["data"]
    found: list[Asked] = []
    with tempfile.TemporaryDirectory() as home:
        for name in ("paragraphs", "documents"):
            with edgeqa.open(bundle=asked.bundle, persist="off", collection=Path(home) / name) as qa:
                if name == "documents":
                    found += on_documents(asked.questions_file, asked.folder, qa)
                else:
                    found += on_paragraphs(data, qa, questions=asked.questions, seed=asked.seed)
                    found += of_all_paragraphs(asked.squad, qa, questions=asked.questions, seed=asked.seed)
    file = asked.bundle / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    fitted_on = f"{asked.questions} questions of {asked.squad.name}, seed {asked.seed}"
    manifest["calibration"] = {**given(found)._asdict(), "fitted_on": fitted_on}
    numbers = searched(found)._asdict()
    numbers["chance"] = list(numbers["chance"])
    manifest["searched"] = {**numbers, "fitted_on": f"{fitted_on}, and the fit half of {asked.questions_file.name}"}
    file.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: manifest[name] for name in ("calibration", "searched")}))


if __name__ == "__main__":
    main()
