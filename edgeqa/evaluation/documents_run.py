"""Asks questions of documents as a user would, and counts what came of it.

In go questions, what asks them and what judges the answers; out come outcomes, and counts of them: by the way they were
asked, by kind, style and half. Opening a runtime and showing a result are done elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edgeqa.evaluation.documents_file import GROUPS
from edgeqa.evaluation.judging import Outcome, holds
from edgeqa.models.metrics import Reliability, reliability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeqa.evaluation.documents_file import DocumentQuestion
    from edgeqa.evaluation.judging import Judge, Span
    from edgeqa.timing import Progress


class Answered(Protocol):
    """What is judged of an answer."""

    @property
    def text(self) -> str | None:
        """What was given; None where nothing was."""
        ...

    @property
    def candidates(self) -> Sequence[Span]:
        """The best spans, given or not, best first."""
        ...

    @property
    def probability(self) -> float:
        """That the best span is right."""
        ...

    @property
    def score(self) -> float:
        """Of the best span."""
        ...

    @property
    def contexts(self) -> int:
        """How many passages were read."""
        ...


_A = TypeVar("_A", bound=Answered)


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of questions, in numbers of questions."""

    questions: int
    """Those that can be answered."""
    right: int
    """Of them, given an answer that is right."""
    wrong: int
    """Of them, given an answer that is not."""
    refused: int
    """Of them, given none."""
    screen_holds: int
    """Of them, those where what the screen shows holds an accepted variant, whatever was given."""
    near_misses: int
    """Questions that nothing answers."""
    near_misses_answered: int
    """Of them, given an answer."""

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as one flat JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Way:
    """What came of asking in one way: of the right file, or of a collection of all documents."""

    counts: Counts
    passages: float
    """Mean of the passages read for a question."""
    ask_ms: float
    """Median time of a question, in milliseconds."""
    reliability: Reliability
    """Of the best spans of all questions, given or not; of a near miss none is right."""
    groups: dict[str, dict[str, Counts]]
    """By kind, style and half."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as a JSON object."""
        by = {group: {name: one.to_json() for name, one in counts.items()} for group, counts in self.groups.items()}
        work = {"passages_read": round(self.passages, 3), "ask_ms": round(self.ask_ms, 3)}
        return {
            **self.counts.to_json(),
            **work,
            **self.reliability.to_json(),
            **{f"by_{name}": by[name] for name in by},
        }


def ask_all(
    questions: Sequence[DocumentQuestion],
    ask: Callable[[DocumentQuestion], _A],
    judge: Judge,
    screen: Callable[[_A], str],
    *,
    progress: Progress,
    doing: str,
) -> list[Outcome]:
    """Returns what came of each question.

    Args:
        questions: what to ask; those on one document stand together in a file, so that it is encoded once.
        ask: answers a question as a user would be answered.
        judge: knows what is right.
        screen: returns what `edgeqa ask` prints for an answer.
        progress: called as questions are answered.
        doing: what it is called with.
    """
    outcomes = []
    for done, question in enumerate(questions, 1):
        began = time.perf_counter()
        answer = ask(question)
        ask_ms = (time.perf_counter() - began) * 1e3
        best = answer.candidates[0] if answer.candidates else None
        outcomes.append(
            Outcome(
                question,
                is_given=answer.text is not None,
                is_right=best is not None and judge.is_right(question, best),
                probability=answer.probability,
                screen_holds=bool(question.answers) and holds(screen(answer), question.answers),
                passages=answer.contexts,
                ask_ms=ask_ms,
                answer=answer.text,
                best=best.text if best else None,
                score=answer.score,
            )
        )
        progress(doing, done, len(questions))
    return outcomes


def way(outcomes: Sequence[Outcome]) -> Way:
    """Returns the counts of outcomes, which must be at least one."""
    return Way(
        counts=counted(outcomes),
        passages=fmean(one.passages for one in outcomes),
        ask_ms=median(one.ask_ms for one in outcomes),
        reliability=reliability([(one.probability, one.is_right) for one in outcomes]),
        groups={group: _by(group, outcomes) for group in GROUPS if any(group in o.question.groups for o in outcomes)},
    )


def counted(outcomes: Sequence[Outcome]) -> Counts:
    """Returns how many of the outcomes are what."""
    asked = [one for one in outcomes if not one.question.is_near_miss]
    near_misses = [one for one in outcomes if one.question.is_near_miss]
    return Counts(
        questions=len(asked),
        right=sum(one.is_given and one.is_right for one in asked),
        wrong=sum(one.is_given and not one.is_right for one in asked),
        refused=sum(not one.is_given for one in asked),
        screen_holds=sum(one.screen_holds for one in asked),
        near_misses=len(near_misses),
        near_misses_answered=sum(one.is_given for one in near_misses),
    )


def _by(group: str, outcomes: Sequence[Outcome]) -> dict[str, Counts]:
    names = sorted({one.question.groups.get(group, "") for one in outcomes})
    return {name: counted([o for o in outcomes if o.question.groups.get(group, "") == name]) for name in names}
