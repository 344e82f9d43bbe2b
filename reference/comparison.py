"""Asks two pipelines the same, and says how their answers differ; it needs neither torch nor transformers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from texts import Asked

TIE = 2e-6  # scores this close may be in either order
SCORE = 1e-5  # what is left of a difference in logits of 1e-4 at most


@dataclass(slots=True)
class Outcome:
    """What a comparison has come to."""

    answers: int = 0
    ties: int = 0
    largest_score_error: float = 0.0
    refused: int = 0
    """Questions that both refuse."""
    answered: int = 0
    """Questions that only the other refuses: its windows would not advance, but the text needs one alone."""
    different: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Returns it in words."""
        return (
            f"{self.answers} answers, {len(self.different)} different, {self.ties} ties, scores within "
            f"{self.largest_score_error:.1e}; refused by both: {self.refused}, by transformers: {self.answered}"
        )


def compared(ours: Callable[..., Any], theirs: Callable[..., Any], asked: Iterable[Asked]) -> Outcome:
    """Returns how the answers of two pipelines differ."""
    outcome = Outcome()
    for one in asked:
        given = {"question": one.question, "context": one.context, **one.settings}
        results = [_result(pipeline, given) for pipeline in (theirs, ours)]
        if isinstance(results[0], BaseException):
            if isinstance(results[1], BaseException):
                outcome.refused += 1
            elif "stride" in str(results[0]):
                outcome.answered += 1
            else:
                outcome.different.append(f"{one}: {results[0]!r} instead of {results[1]}")
            continue
        if isinstance(results[1], BaseException):
            raise results[1]
        _compare(one, results[0], results[1], outcome)
    return outcome


def _result(pipeline: Callable[..., Any], given: dict[str, Any]) -> Any:  # noqa: ANN401 - what a pipeline gives
    try:
        return pipeline(**given)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return error


def _compare(one: Asked, expected: Any, found: Any, outcome: Outcome) -> None:  # noqa: ANN401 - as above
    if type(expected) is not type(found):
        outcome.different.append(f"{one}: {found} instead of {expected}")
        return
    lists = [answer if isinstance(answer, list) else [answer] for answer in (expected, found)]
    if len(lists[0]) != len(lists[1]):
        outcome.different.append(f"{one}: {found} instead of {expected}")
        return
    for right, answer in zip(*lists, strict=True):
        outcome.answers += 1
        error = abs(right["score"] - answer["score"])
        outcome.largest_score_error = max(outcome.largest_score_error, error)
        same = all(right[name] == answer[name] for name in ("start", "end", "answer"))
        if not same and error < TIE:
            outcome.ties += 1
        elif not same or error > SCORE:
            outcome.different.append(f"{one}: {answer} instead of {right}")
