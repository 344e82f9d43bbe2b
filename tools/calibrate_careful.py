"""Fits how what the careful reader says of passages that were searched for is ranked, how probable it is, and when.

    python tools/calibrate_careful.py BUNDLE DOCUMENTS_FILE FOLDER

In: the bundle of edgeqa-base, and questions on documents that lie in a folder (those of their `fit` half), near misses
among them. Out: the section `searched` of the bundle's manifest, rewritten in place; on standard output, what comes of
it on the same questions. Each is asked of the right document and of all together, of the fast reader as ever; the
careful one reads the best three passages. The numbers are fitted as in `calibrate`: a conditional logit of the span to
choose, in which a passage counts by how far the fast reader ranks it below its best, and logistic regressions of
whether the next passage has a better answer, and of whether the best span is right. Cells that are looked up are left
out, as they are left to the fast reader. The threshold is the lowest at which no more than MAX_WRONG of the questions
are given a wrong answer, and no more than MAX_NEAR_MISSES of the near misses any.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from calibrate import Asked, Read, Span, logistic, sigmoid, weights_of, worth_of

import edgeqa
from edgeqa.asking.collection_scope import CollectionScope
from edgeqa.asking.documents import documents, on_one_line
from edgeqa.asking.evidence import with_cells
from edgeqa.asking.question import Asking
from edgeqa.asking.ranking import CAREFUL_READ, ENOUGH_BELOW, MAX_MARGIN
from edgeqa.asking.records import Options
from edgeqa.asking.text_scope import TextScope
from edgeqa.contexts.search import coverage
from edgeqa.evaluation.documents import Documents, Judge, read_questions
from edgeqa.models.bundle import BASE
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgeqa.asking import SourcePassage
    from edgeqa.contexts import Place
    from edgeqa.models.manifest import Searched

    Floats = NDArray[np.float64]

MAX_WRONG, MAX_NEAR_MISSES = 0.10, 0.10


class Chosen(NamedTuple):
    """The best span of a question, and what is known of it."""

    rank: float
    coverage: float
    margin: float
    lead: float
    right: float
    read: int


class Looking(Asking):
    """Has the careful reader read the best passages, however likely the next one is to be better."""

    def reads(self, worth: Callable[[SourcePassage, Place], float]) -> tuple[Read, ...]:
        """Returns what the careful reader says of them."""
        found = self._distinct()[:CAREFUL_READ]
        return tuple(
            Read(
                tuple(
                    Span(
                        place.start,
                        place.end,
                        place.score,
                        self._said.of(near.passage.text, place.start, place.end),
                        worth(near.passage, place),
                    )
                    for place in with_cells(near.passage.text, self._places_again(near.passage))
                ),
                1 + max(-MAX_MARGIN, near.rank - found[0].rank),
                coverage(near.passage.text.text, near.passage.text.heading, self._weights, self._language),
            )
            for near in found
        )


def asked(file: Path, folder: Path, home: Path) -> Iterator[Asked]:
    """Yields what the careful reader says for each question of the fit half, of its document and of all together."""
    held = Documents(folder)
    every = [q for q in read_questions(file) if q.groups.get("half", "fit") == "fit"]
    judge = Judge(held, every, file)
    with edgeqa.open(reader="careful", persist="memory", collection=home / "all") as qa:
        parts = qa._equipment  # noqa: SLF001 - nobody else wants the passages that are not the best
        qa.add([held.path(name) for name in sorted({q.document for q in every})])
        for question in every:
            worth = worth_of(judge, question)
            line = on_one_line(question.question)
            texts = TextScope(parts, documents(held.path(question.document)))
            collection = CollectionScope(parts.scope, parts.scope.now()[0])
            for group, scope in (("document", texts), ("collection", collection)):
                asking = Looking(parts, scope, line, Options(), Stopwatch())
                asking.read(lambda *_: None)
                if not asking.is_looked_up and (reads := [one for one in asking.reads(worth) if one.spans]):
                    yield Asked(group, tuple(reads), len(reads), not question.is_near_miss)


def choose(one: Asked, numbers: Searched) -> Chosen:
    """Returns the span that is chosen, as `Asking.look_again` does."""
    best = [read.best(numbers.evidence) for read in one.reads]
    ranks = [best[n][0] + numbers.route * (read.share - 1) for n, read in enumerate(one.reads)]
    read = 1
    while read < len(ranks) and numbers.chance:
        x = np.array([max(ranks[:read]), one.reads[read].share, np.log(read), 1.0])
        if sigmoid(x @ np.array(numbers.chance)) < ENOUGH_BELOW:
            break
        read += 1
    read = read if numbers.chance else len(ranks)
    at = int(np.argmax(ranks[:read]))
    lead = ranks[at] - max((rank for n, rank in enumerate(ranks[:read]) if n != at), default=-np.inf)
    return Chosen(ranks[at], one.reads[at].coverage, best[at][1], min(MAX_MARGIN, lead), best[at][2].right, read)


def states(one: Asked, numbers: Searched) -> Iterator[tuple[tuple[float, float, float, float], float]]:
    """Yields, for each number of passages read, what is known then, and whether reading on makes the answer better."""
    best = [read.best(numbers.evidence) for read in one.reads]
    ranks = [best[n][0] + numbers.route * (read.share - 1) for n, read in enumerate(one.reads)]
    final = best[int(np.argmax(ranks))][2].right
    for read in range(1, len(ranks)):
        now = int(np.argmax(ranks[:read]))
        yield (ranks[now], one.reads[read].share, float(np.log(read)), 1.0), float(final > best[now][2].right)


def fitted(found: Sequence[Asked]) -> Searched:
    """Returns the numbers."""
    numbers = weights_of(found)
    known = [state for one in found if one.has_answer for state in states(one, numbers)]
    chance = logistic(np.array([x for x, _ in known]), np.array([better for _, better in known]))
    numbers = numbers._replace(chance=tuple(chance.round(3).tolist()))
    chosen = [choose(one, numbers) for one in found]
    x = np.array([(one.rank, one.coverage, one.margin, one.lead, 1.0) for one in chosen])
    right = np.array([one.right for one in chosen])
    kinds = [(one.group, one.has_answer) for one in found]
    each = np.array([1 / kinds.count(kind) for kind in kinds])
    slope, coverage, margin, lead, intercept = logistic(x, right, each / each.sum()).round(4).tolist()
    numbers = numbers._replace(slope=slope, coverage=coverage, margin=margin, lead=lead, intercept=intercept)
    likely = sigmoid(x @ np.array([slope, coverage, margin, lead, intercept]))
    has_answer = np.array([one.has_answer for one in found])

    def few(t: float) -> bool:
        given = likely >= t
        wrong = np.mean((given * (1 - right))[has_answer])
        return bool(wrong <= MAX_WRONG and np.mean(given[~has_answer]) <= MAX_NEAR_MISSES)

    below = round(float(min(filter(few, np.unique(likely.round(3))), default=1.0)), 3)
    for group in ("document", "collection"):
        of = np.array([one.group == group for one in found])
        given = (likely >= below) & of
        asked_of, misses = (of & has_answer).sum(), max(1, (of & ~has_answer).sum())
        shares = [
            (right * (given & has_answer)).sum() / asked_of,
            ((1 - right) * (given & has_answer)).sum() / asked_of,
            (given & ~has_answer).sum() / misses,
            (right * (of & has_answer)).sum() / asked_of,
        ]
        read = np.mean([one.read for one, is_of in zip(chosen, of, strict=True) if is_of])
        print(f"{group}: right, wrong, near misses, best span right: {np.round(shares, 3)}; passages read: {read:.2f}")
    return numbers._replace(no_answer_below=below)


def main() -> None:
    """Fits, and writes the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bundle", "questions", "folder"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        shutil.copytree(given.bundle, home / "models" / BASE)
        os.environ["EDGEQA_HOME"] = made
        numbers = fitted(list(asked(given.questions, given.folder, home)))
    file = given.bundle / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    written = {**numbers._asdict(), "evidence": numbers.evidence._asdict(), "chance": list(numbers.chance)}
    manifest["searched"] = {**written, "fitted_on": f"the fit half of {given.questions.name}"}
    file.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(manifest["searched"]))


if __name__ == "__main__":
    main()
