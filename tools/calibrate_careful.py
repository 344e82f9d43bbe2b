"""Fits ranking, probabilities and thresholds of the careful reader's answers on passages that were searched.

    python tools/calibrate_careful.py BUNDLE DOCUMENTS_FILE FOLDER

In: the bundle of edgeqa-base, and questions on documents that lie in a folder (those of their `fit` half), near misses
among them. Out: the section `searched` of the bundle's manifest, rewritten in place; on standard output, the outcome on
the same questions. Each question is asked of the right document, and of all together. The fast reader answers as
always, and the careful one reads the best three passages.

The numbers are fitted as in `calibrate`. A conditional logit chooses the span; a passage counts by how far the fast
reader ranks it below its best. Logistic regressions predict whether the next passage has a better answer, and whether
the best span is right. Cells that are looked up are left out, because the fast reader answers from them. The threshold
is the lowest at which at most MAX_WRONG of the questions get a wrong answer, and at most MAX_NEAR_MISSES of the near
misses get any, both from the right document and from all together. An answer that both readers give counts more
(`agrees`).
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
from calibrate import Asked, Read, Span, logistic, lowest, sigmoid, weights_of, worth_of

import edgeqa
from edgeqa.asking.collection_scope import CollectionScope
from edgeqa.asking.documents import documents, on_one_line
from edgeqa.asking.evidence import is_looked_up
from edgeqa.asking.question import Asking
from edgeqa.asking.ranking import CAREFUL_READ, ENOUGH_BELOW, MAX_MARGIN, Ranked, Ranking
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
    agrees: float
    right: float
    read: int

    @property
    def known(self) -> tuple[float, ...]:
        """The numbers that its probability depends on."""
        return (self.rank, self.coverage, self.margin, self.lead, self.agrees, 1.0)


class Twice(NamedTuple):
    """A question that both readers were asked."""

    asked: Asked
    agree: tuple[frozenset[tuple[int, int]], ...]
    """For each passage, the careful reader's spans that overlap the fast one's best."""


class Looking(Asking):
    """Has the careful reader read the best passages, however likely the next one is to be better."""

    def reads(
        self, worth: Callable[[SourcePassage, Place], float]
    ) -> tuple[tuple[Read, ...], tuple[frozenset[tuple[int, int]], ...]]:
        """Returns what the careful reader says of them, and which spans of each overlap the fast reader's best."""
        found = self._distinct()[:CAREFUL_READ]
        self._fast = next(iter(self._ranking.spans()), None)
        reads, agree = [], []
        for near in found:
            passage, text = near.passage, near.passage.text
            places = list(self._said.candidates(text, self._places_again(passage)))
            spans = [
                Span(at.start, at.end, at.score, self._said.of(text, at.start, at.end), worth(passage, at))
                for at in places
            ]
            share = 1 + max(-MAX_MARGIN, near.rank - found[0].rank)
            reads.append(Read(tuple(spans), share, coverage(text.text, text.heading, self._weights, self._language)))
            overlapping = (at for at in places if self.is_agreed(self._ranked(passage, at)))
            agree.append(frozenset((at.start, at.end) for at in overlapping))
        return tuple(reads), tuple(agree)

    @staticmethod
    def _ranked(passage: SourcePassage, at: Place) -> Ranked:
        ranking = Ranking(1)
        ranking.offer(at.score, at, passage)
        return ranking.spans()[0]


def asked(file: Path, folder: Path, home: Path) -> Iterator[Twice]:
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
                if asking.is_looked_up:
                    continue
                every_read, agree = asking.reads(worth)
                kept = [(read, of) for read, of in zip(every_read, agree, strict=True) if read.spans]
                if kept:
                    reads, agreeing = zip(*kept, strict=True)
                    one = Asked(group, reads, len(reads), not question.is_near_miss)
                    yield Twice(one, agreeing)


def choose(twice: Twice, numbers: Searched) -> Chosen:
    """Returns the span that is chosen, as `Asking.look_again` does."""
    one = twice.asked
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
    span = best[at][2]
    agrees = float((span.start, span.end) in twice.agree[at])
    there = 1.0 if is_looked_up(span.evidence) else one.reads[at].coverage
    known = ranks[at], there, best[at][1], min(MAX_MARGIN, lead), agrees
    return Chosen(*known, span.right, read)


def states(one: Asked, numbers: Searched) -> Iterator[tuple[tuple[float, float, float, float], float]]:
    """Yields, for each number of passages read, what is known then, and whether reading on makes the answer better."""
    best = [read.best(numbers.evidence) for read in one.reads]
    ranks = [best[n][0] + numbers.route * (read.share - 1) for n, read in enumerate(one.reads)]
    final = best[int(np.argmax(ranks))][2].right
    for read in range(1, len(ranks)):
        now = int(np.argmax(ranks[:read]))
        yield (ranks[now], one.reads[read].share, float(np.log(read)), 1.0), float(final > best[now][2].right)


def fitted(every: Sequence[Twice]) -> Searched:
    """Returns the numbers."""
    found = [twice.asked for twice in every]
    numbers = weights_of(found)
    known = [state for one in found if one.has_answer for state in states(one, numbers)]
    chance = logistic(np.array([x for x, _ in known]), np.array([better for _, better in known]))
    numbers = numbers._replace(chance=tuple(chance.round(3).tolist()))
    chosen = [choose(twice, numbers) for twice in every]
    x = np.array([one.known for one in chosen])
    right = np.array([one.right for one in chosen])
    kinds = [(one.group, one.has_answer) for one in found]
    each = np.array([1 / kinds.count(kind) for kind in kinds])
    weights = logistic(x, right, each / each.sum()).round(4).tolist()
    names = ("slope", "coverage", "margin", "lead", "agrees", "intercept")
    numbers = numbers._replace(**dict(zip(names, weights, strict=True)))
    likely = sigmoid(x @ np.array(weights))
    has_answer = np.array([one.has_answer for one in found])

    below = lowest(likely, right, found, max_wrong=MAX_WRONG, max_near_misses=MAX_NEAR_MISSES)
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
