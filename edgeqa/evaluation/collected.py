"""Asks a file's questions of all its contexts at once, as a collection: how well routing and reading do together.

In go an open runtime whose collection holds the file's contexts, and the questions; out come the scores, and how often
the right context was among the closest. It adds nothing to the collection and knows no file.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from edgeqa.evaluation.run import Scores, evaluate
from edgeqa.formats.text import nfc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.answer import Answer
    from edgeqa.evaluation.squad_file import SquadQuestion
    from edgeqa.runtime import EdgeQA
    from edgeqa.timing import Progress

RECALL_AT = (1, 5, 20)


@dataclass(frozen=True, slots=True)
class CollectedScores:
    """The scores of a question file that was asked of a collection."""

    scores: Scores
    recall: dict[int, float]
    """By number of closest contexts, in how many percent of the questions the right one is among them."""
    contexts_read: float
    """Mean of the contexts read for a question."""
    ask_ms: float
    """Median time of a question, in milliseconds."""

    def to_json(self) -> dict[str, Any]:
        """Returns the scores as one flat JSON object."""
        recall = {f"recall_at_{most}": round(percent, 2) for most, percent in self.recall.items()}
        work = {"contexts_read": round(self.contexts_read, 3), "ask_ms": round(self.ask_ms, 3)}
        return {**self.scores.to_json(), **recall, **work}


def evaluate_collected(
    qa: EdgeQA, questions: Sequence[SquadQuestion], *, is_v2: bool, progress: Progress | None = None
) -> CollectedScores:
    """Returns the scores of the runtime on these questions, which must be at least one.

    Args:
        qa: the open runtime, with a collection that holds the questions' contexts.
        questions: what to ask.
        is_v2: whether to score by the rules of SQuAD 2.0, in which no answer can be right.
        progress: called as questions are answered.
    """
    asking = _Asking(qa, len(questions))
    scores = evaluate(
        asking, questions, is_v2=is_v2, no_answer_below=qa.bundle.manifest.searched.no_answer_below, progress=progress
    )
    recall = {most: 100 * fmean(place < most for place in asking.places) for most in RECALL_AT}
    return CollectedScores(scores, recall, fmean(asking.contexts), median(asking.ask_ms))


class _Asking:
    """Stands for a runtime that is given contexts: it asks the collection, and takes them for what is right."""

    def __init__(self, qa: EdgeQA, total: int) -> None:
        self._qa, self._total = qa, total
        self.places: list[int] = []
        """Of each question, which of the closest contexts is the right one, from 0; RECALL_AT[-1] for none."""
        self.contexts: list[int] = []
        self.ask_ms: list[float] = []

    def ask_many(self, pairs: Iterable[tuple[str, str]], *, force: bool, progress: Progress | None) -> Iterator[Answer]:
        for done, (question, context) in enumerate(pairs, 1):
            right = nfc(context)
            closest = self._qa.closest(question, RECALL_AT[-1])
            # Of a long paragraph each of its contexts is right.
            self.places.append(next((n for n, c in enumerate(closest) if c.text in right), RECALL_AT[-1]))
            began = time.perf_counter()
            answer = self._qa.ask(question, force=force)
            self.ask_ms.append((time.perf_counter() - began) * 1e3)
            self.contexts.append(answer.contexts)
            if progress is not None:
                progress("asking", done, self._total)
            yield answer
