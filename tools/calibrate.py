"""Fits a bundle's calibration: probabilities from scores, the ranking of passages that were searched, and thresholds.

    python tools/calibrate.py BUNDLE SQUAD_FILE DOCUMENTS_FILE FOLDER [--questions 400] [--seed 1]

In: questions on paragraphs with their answers (SQuAD 1.1), and questions on documents that lie in a folder (those of
their `fit` half, where they have halves), near misses among them. Out: the sections `calibration` and `searched` of the
bundle's manifest, rewritten in place; on standard output, what the fit gives: counts and, of the documents of both
halves, how probable answers were and how many of them right. Questions are asked as users ask them: of the right
paragraph and of others, of all paragraphs together, of the right document, and of all documents together.
Nothing is chosen by hand but MAX_WRONG, MAX_NEAR_MISSES and the ridge: probabilities are logistic fits; the weights
of the route and of the evidence for a span are one conditional logit. The threshold of a given paragraph is where the
F1 of the answers given and the share of the refusals that are right add up to the most; that of what is searched is the
lowest at which no more than MAX_WRONG of the questions on documents that can be answered are given a wrong answer, and
no more than MAX_NEAR_MISSES of those that cannot are given any: neither of the right document nor of all together,
which is the harder one.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

import edgeqa
from edgeqa.answer import Candidate
from edgeqa.asking.collection_scope import CollectionScope
from edgeqa.asking.documents import documents, on_one_line
from edgeqa.asking.evidence import Features, is_looked_up, weighed
from edgeqa.asking.question import Asking
from edgeqa.asking.ranking import ENOUGH_BELOW, FEW_PASSAGES, MAX_MARGIN, MAX_READ
from edgeqa.asking.records import Options
from edgeqa.asking.text_scope import TextScope
from edgeqa.contexts.search import coverage
from edgeqa.evaluation.documents import Documents, Judge, read_questions
from edgeqa.evaluation.squad import read_squad, sample
from edgeqa.models.manifest import Calibration, Evidence, Searched
from edgeqa.models.metrics import reliability, score_v1
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgeqa.asking import SourcePassage
    from edgeqa.contexts import Context, Place, Text
    from edgeqa.evaluation.documents import DocumentQuestion

    Floats = NDArray[np.float64]
    Worth = Callable[["SourcePassage", "Place"], float]

NEWTON_STEPS = 50
RIDGE = 1e-6  # keeps the fit finite where two classes can be told apart without fault
CHOICE_RIDGE = 2e-3  # of the conditional logit, whose rows count together as one
FIRST_SCORE = 0.25  # what a logit counts there, before the fit
MAX_WRONG = 0.15  # of the questions on documents that can be answered, each way that they are asked
MAX_NEAR_MISSES = 0.24  # of the near misses, that are answered


class Span(NamedTuple):
    """A span of a passage."""

    start: int
    end: int
    score: float
    evidence: Features
    right: float
    """F1, or 1 where it is right."""


class Read(NamedTuple):
    """A passage read for a question, in the order of the routing."""

    spans: tuple[Span, ...]
    share: float
    coverage: float

    def best(self, weights: Evidence) -> tuple[float, float, Span]:
        """Returns rank without the route, margin, and the span of the best."""
        ranks = [span.score + weighed(span.evidence, weights) for span in self.spans]
        at = int(np.argmax(ranks))
        best = self.spans[at]
        apart = (span.end <= best.start or best.end <= span.start for span in self.spans)
        others = [rank for rank, is_apart in zip(ranks, apart, strict=True) if is_apart]
        return ranks[at], min(MAX_MARGIN, ranks[at] - max(others, default=-np.inf)), best


class Chosen(NamedTuple):
    """The best span of a question, and what is known of it."""

    rank: float
    coverage: float
    margin: float
    right: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what was read for it."""

    group: str
    reads: tuple[Read, ...]
    passages: int
    """The number of passages that can be read."""
    has_answer: bool


class Recording(Asking):
    """Notes all spans of each passage that is read, and its share."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as the base class says
        super().__init__(*arguments)
        self._numbers = Searched(route=0.0)
        self._share = 0.0
        self._at: SourcePassage | None = None
        self.found: list[tuple[SourcePassage, float, list[Place], list[Features]]] = []
        self.passages = 0

    def offer(self, passage: SourcePassage, share: float) -> bool:
        """Reads a passage, as the base class does."""
        self._share, self._at = share, passage
        return super().offer(passage, share)

    def _weighed(self, context: Text, places: list[Place], lift: float) -> list[tuple[float, Place]]:
        every = list(self._said.candidates(context, places))
        evidence = [self._said.of(context, place.start, place.end) for place in every]
        assert self._at is not None  # noqa: S101 - a passage was offered
        placed = self._at if context is self._at.text else self._at.window(cast("Context", context))
        self.found.append((placed, self._share, every, evidence))
        return super()._weighed(context, places, lift)

    def reads(self, worth: Worth) -> tuple[Read, ...]:
        """Returns what was read, with what each span is worth."""
        return tuple(
            Read(
                tuple(
                    Span(place.start, place.end, place.score, evidence, worth(placed, place))
                    for place, evidence in zip(places, every, strict=True)
                ),
                share,
                self._coverage(placed),
            )
            for placed, share, places, every in self.found
            if places
        )

    def _coverage(self, placed: SourcePassage) -> float:
        return coverage(placed.text.text, placed.text.heading, self._weights, self._language)


def ask(qa: edgeqa.EdgeQA, group: str, scope: TextScope | CollectionScope, question: str, worth: Worth | None) -> Asked:
    """Returns what is read for a question; `worth` is None where nothing answers it."""
    parts = qa._equipment  # noqa: SLF001 - nobody else wants the passages that are not the best
    options = Options(most_contexts=MAX_READ)
    asking = Recording(parts, scope, on_one_line(question), options, Stopwatch())
    asking.read(lambda *_: None)
    reads = asking.reads(worth or (lambda *_: 0.0))
    return Asked(group, reads, len(asking.found), worth is not None)


def of_all_paragraphs(file: Path, qa: edgeqa.EdgeQA, *, questions: int, seed: int) -> Iterator[Asked]:
    """Yields what is read for some questions of a SQuAD file that are asked of all its paragraphs."""
    every = read_squad(file).questions
    parts = qa._equipment  # noqa: SLF001 - as above
    with tempfile.TemporaryDirectory() as directory:
        texts = Path(directory, "paragraphs.jsonl")
        lines = (json.dumps({"text": text}) + "\n" for text in dict.fromkeys(one.context for one in every))
        texts.write_text("".join(lines), encoding="utf-8")
        qa.add(texts)
    for one in sample(every, questions, seed):

        def worth(placed: SourcePassage, found: Place, golds: Sequence[str] = one.answers) -> float:
            return score_v1(placed.text.text[found.start : found.end], golds).f1

        digest, _ = parts.scope.now()
        yield ask(qa, "open", CollectionScope(parts.scope, digest), one.question, worth)


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
    parts = qa._equipment  # noqa: SLF001 - as above
    for a, p, question, golds in rng.sample(every, min(questions, len(every))):
        other = rng.choice([i for i in range(len(articles)) if i != a])
        near = [text for i, text in enumerate(articles[a]) if i != p and not any(g in text for g in golds)]

        def worth(placed: SourcePassage, found: Place, golds: list[str] = golds) -> float:
            return score_v1(placed.text.text[found.start : found.end], golds).f1

        asked: list[tuple[str, str, Worth | None]] = [("given", articles[a][p], worth)]
        asked += [("given", rng.choice(near), None)] if near else []
        asked += [("given", rng.choice(articles[other]), None)]
        for group, text, of in asked:
            yield ask(qa, group, TextScope(parts, documents(text)), question, of)


def worth_of(judge: Judge, question: DocumentQuestion) -> Worth:
    """Returns what tells a right span (1) from a wrong one (0), of a question on documents."""

    def worth(passage: SourcePassage, found: Place) -> float:
        text = passage.text
        span = Candidate(
            text.text[found.start : found.end], found.start, found.end, text.text, text.start, passage.source,
            0, 0.0, 0.0, part=passage.part, pieces=text.pieces,
        )  # fmt: skip
        return float(judge.is_right(question, span))

    return worth


def on_documents(file: Path, folder: Path, qa: edgeqa.EdgeQA, half: str) -> Iterator[Asked]:
    """Yields what is read for questions on documents: of the right one, and of all together."""
    held = Documents(folder)
    every = [q for q in read_questions(file) if q.groups.get("half", "fit") == half]
    judge = Judge(held, every, file)
    parts = qa._equipment  # noqa: SLF001 - as above
    if every:
        qa.add([held.path(name) for name in sorted({q.document for q in every})])
    for question in every:
        of = None if question.is_near_miss else worth_of(judge, question)
        yield ask(qa, "document", TextScope(parts, documents(held.path(question.document))), question.question, of)
        digest, _ = parts.scope.now()
        yield ask(qa, "collection", CollectionScope(parts.scope, digest), question.question, of)


def given(found: Sequence[Asked], weights: Evidence) -> Calibration:
    """Returns the calibration of passages that are given."""
    asked = [one for one in found if one.group == "given" and one.reads]
    best = [max((read.best(weights) for read in one.reads), key=lambda of: of[0]) for one in asked]
    x = np.array([(rank, 1.0) for rank, _, _ in best])
    right = np.array([span.right for _, _, span in best])
    has_answer = np.array([one.has_answer for one in asked])
    each = np.where(has_answer, 0.5 / has_answer.sum(), 0.5 / (~has_answer).sum())
    slope, intercept = logistic(x, right, each).tolist()
    below = threshold(sigmoid(x @ np.array([slope, intercept])), right, has_answer, each)
    print(f"given        F1 of the best span {100 * right[has_answer].mean():.2f}")
    return Calibration(round(slope, 4), 0.0, round(intercept, 4), below)


def searched(found: Sequence[Asked]) -> Searched:
    """Returns the numbers for passages that are searched for."""
    asked = [one for one in found if one.group != "given" and one.reads]
    numbers = weights_of([one for one in found if one.reads])
    states = [state for one in asked if one.has_answer for state in _states(one, numbers)]
    chance = logistic(np.array([x for x, _ in states]), np.array([better for _, better in states]))
    numbers = numbers._replace(chance=tuple(chance.round(3).tolist()))
    chosen = [choose(one, numbers) for one in asked]
    x = np.array([(one.rank, one.coverage, one.margin, 1.0) for one in chosen])
    right = np.array([one.right for one in chosen])
    slope, of_coverage, margin, intercept = logistic(x, right, _evenly(asked)).round(4).tolist()
    numbers = numbers._replace(slope=slope, coverage=of_coverage, margin=margin, intercept=intercept)
    likely = probabilities(chosen, numbers)
    below = lowest(likely, right, asked, max_wrong=MAX_WRONG, max_near_misses=MAX_NEAR_MISSES)
    return numbers._replace(no_answer_below=below)


def probabilities(chosen: Sequence[Chosen], numbers: Searched) -> Floats:
    """Returns how probable it is of each best span that it is right."""
    x = np.array([(one.rank, one.coverage, one.margin, 1.0) for one in chosen])
    likely: Floats = sigmoid(x @ np.array([numbers.slope, numbers.coverage, numbers.margin, numbers.intercept]))
    return likely


def show(name: str, found: Sequence[Asked], numbers: Searched) -> None:
    """Prints what is given and right, group by group, and how probable answers were and how many of them right."""
    every = [one for one in found if one.group != "given" and one.reads]
    for group in sorted({one.group for one in every}):
        asked = [one for one in every if one.group == group]
        chosen = [choose(one, numbers) for one in asked]
        likely, right = probabilities(chosen, numbers), np.array([one.right for one in chosen])
        has_answer = np.array([one.has_answer for one in asked])
        given = likely >= numbers.no_answer_below
        counts = (max(1, has_answer.sum()), max(1, (~has_answer).sum()))
        shares = (
            right[has_answer & given].sum() / counts[0],
            (1 - right[has_answer & given]).sum() / counts[0],
            (~has_answer & given).sum() / counts[1],
        )
        best = right[has_answer].sum() / counts[0]
        print(f"{name} {group:<12} right {shares[0]:.1%}, wrong {shares[1]:.1%}, without {shares[2]:.1%}; ", end="")
        print(f"best span right {best:.1%}, asked {has_answer.sum()} and {(~has_answer).sum()}")
        told = reliability([(p, r >= 0.5) for p, r in zip(likely.tolist(), right.tolist(), strict=True)])
        print(f"    calibration error {told.ece:.3f}")
        for one in told.bins:
            if one.mean_probability is not None and one.share_right is not None:
                told_of = f"probability {one.mean_probability:.3f}, right {one.share_right:.3f}"
                print(f"    {one.start:.1f} to {one.end:.1f}: {one.questions:4} questions, {told_of}")


def choose(asked: Asked, numbers: Searched) -> Chosen:
    """Returns the span that is chosen."""
    best = [read.best(numbers.evidence) for read in asked.reads]
    ranks = _ranks(asked, numbers)
    read = 1
    while read < len(ranks) and asked.passages > FEW_PASSAGES:
        x = np.array([max(ranks[:read]), asked.reads[read].share, np.log(read), 1.0])
        if sigmoid(x @ np.array(numbers.chance)) < ENOUGH_BELOW:
            break
        read += 1
    read = len(ranks) if asked.passages <= FEW_PASSAGES else read
    at = int(np.argmax(ranks[:read]))
    there = 1.0 if is_looked_up(best[at][2].evidence) else asked.reads[at].coverage
    return Chosen(ranks[at], there, best[at][1], best[at][2].right)


def weights_of(found: Sequence[Asked]) -> Searched:
    """Returns what a share and each kind of evidence outweigh, in logits: a conditional logit of the span to choose.

    (McFadden, 1974; by Newton's method.) The target is spread over the spans by what they are worth. Each group counts
    alike, but that of given paragraphs, which have no route and hardly any evidence, not at all.
    """
    asked = [one for one in found if one.group != "given" and one.has_answer]
    each = {one.group: 1 / sum(other.group == one.group for other in asked) for one in asked}
    rows = []
    for one in asked:
        spans = [(span, read.share) for read in one.reads for span in read.spans]
        right = np.array([span.right for span, _ in spans])
        if right.any():
            x = np.array([(span.score, share - 1, *span.evidence) for span, share in spans])
            rows.append((x, right / right.sum(), each[one.group] / len(each)))
    first = np.zeros(2 + len(Evidence._fields))
    first[0] = FIRST_SCORE
    w = first.copy()
    for _ in range(NEWTON_STEPS):
        gradient, curvature = -CHOICE_RIDGE * (w - first), CHOICE_RIDGE * np.eye(len(w))
        for x, right, weight in rows:
            p = np.exp(x @ w - (x @ w).max())
            p /= p.sum()
            gradient += weight * ((right - p) @ x)
            curvature += weight * ((x * p[:, None]).T @ x - np.outer(p @ x, p @ x))
        step = np.linalg.solve(curvature, gradient)
        w += step * min(1.0, 2 / np.abs(step).max())
    route, *evidence = (w[1:] / w[0]).round(2).tolist()
    return Searched(route, Evidence(*evidence))


def _ranks(asked: Asked, numbers: Searched) -> list[float]:
    return [read.best(numbers.evidence)[0] + numbers.route * (read.share - 1) for read in asked.reads]


def _states(asked: Asked, numbers: Searched) -> Iterator[tuple[tuple[float, float, float, float], float]]:
    """Yields, for each number of passages read, what is known then, and whether reading on makes the answer better."""
    ranks = _ranks(asked, numbers)
    worth = [read.best(numbers.evidence)[2].right for read in asked.reads]
    final = worth[int(np.argmax(ranks))]
    for read in range(1, len(ranks)):
        best = int(np.argmax(ranks[:read]))
        known = (ranks[best], asked.reads[read].share, float(np.log(read)), 1.0)
        yield known, float(final > worth[best])


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


def lowest(likely: Floats, right: Floats, asked: Sequence[Asked], *, max_wrong: float, max_near_misses: float) -> float:
    """Returns the lowest threshold with which few enough of the questions on documents are answered wrong, each way."""
    has_answer = np.array([one.has_answer for one in asked])
    ways = [np.array([one.group == way for one in asked]) for way in ("document", "collection")]

    def share(of: NDArray[Any], among: NDArray[np.bool_]) -> float:
        return float(of[among].sum()) / max(1, int(among.sum()))

    def few(t: float) -> bool:
        given = likely >= t
        wrong = max(share(given * (1 - right), of & has_answer) for of in ways)
        return wrong <= max_wrong and max(share(given, of & ~has_answer) for of in ways) <= max_near_misses

    return round(float(min(filter(few, np.unique(likely.round(3))), default=1.0)), 3)


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
    parser.add_argument("--only-given", action="store_true", help="fit `calibration` alone, and leave `searched`")
    asked = parser.parse_args()
    data = json.loads(asked.squad.read_text(encoding="utf-8"))["data"]
    file = asked.bundle / "manifest.json"
    fitted_on = f"{asked.questions} questions of {asked.squad.name}, seed {asked.seed}"
    if asked.only_given:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        with (
            tempfile.TemporaryDirectory() as home,
            edgeqa.open(bundle=asked.bundle, persist="off", collection=Path(home), reader="fast") as qa,
        ):
            read = list(on_paragraphs(data, qa, questions=asked.questions, seed=asked.seed))
            calibration = given(read, qa.bundle.manifest.searched.evidence)
        manifest["calibration"] = {**calibration._asdict(), "fitted_on": fitted_on}
        file.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(manifest["calibration"]))
        return
    found: list[Asked] = []
    other: list[Asked] = []
    with tempfile.TemporaryDirectory() as home:
        for name in ("paragraphs", "fit", "report"):
            with edgeqa.open(bundle=asked.bundle, persist="off", collection=Path(home) / name, reader="fast") as qa:
                if name == "paragraphs":
                    found += on_paragraphs(data, qa, questions=asked.questions, seed=asked.seed)
                    found += of_all_paragraphs(asked.squad, qa, questions=asked.questions, seed=asked.seed)
                else:
                    some = on_documents(asked.questions_file, asked.folder, qa, name)
                    (found if name == "fit" else other).extend(some)
    numbers = searched(found)
    show("fit", found, numbers)
    show("report", other, numbers)
    manifest = json.loads(file.read_text(encoding="utf-8"))
    manifest["calibration"] = {**given(found, numbers.evidence)._asdict(), "fitted_on": fitted_on}
    written = {**numbers._asdict(), "evidence": numbers.evidence._asdict(), "chance": list(numbers.chance)}
    manifest["searched"] = {**written, "fitted_on": f"{fitted_on}, and the fit half of {asked.questions_file.name}"}
    file.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: manifest[name] for name in ("calibration", "searched")}))


if __name__ == "__main__":
    main()
