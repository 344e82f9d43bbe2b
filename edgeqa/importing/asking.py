"""Asks the built-in questions of a reader: a reader and its tokenizer in, what it says of each out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeqa.contexts.windows import meaningful
from edgeqa.evaluation.metrics import score_v1
from edgeqa.importing.questions import GOLDEN, QUESTIONS
from edgeqa.models.selftest import pair_ids
from edgeqa.models.spans import best_spans, span_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.models.readers import Floats, JointReader
    from edgeqa.models.tokenizer import Tokenizer

    Progress = Callable[[str, int, int], None]

DECIMALS = 4  # of golden logits


@dataclass(frozen=True, slots=True)
class Said:
    """What a reader says of the built-in questions, one after the other."""

    answers: tuple[str, ...]
    """The best spans, whether "no answer" is likelier or not."""
    logits: tuple[tuple[Floats, Floats], ...]
    """Start and end logits of all tokens."""

    @property
    def is_finite(self) -> bool:
        """Whether all logits are numbers."""
        return all(bool(np.isfinite(start).all() and np.isfinite(end).all()) for start, end in self.logits)

    @property
    def right_percent(self) -> float:
        """F1 over the questions that have an answer, in percent."""
        asked = [(said, b.answer) for said, b in zip(self.answers, QUESTIONS, strict=True) if b.answer]
        return 100 * fmean(score_v1(said, [answer]).f1 for said, answer in asked)


@dataclass(frozen=True, slots=True)
class Moved:
    """How far two readers' answers lie apart."""

    answers_percent: float
    """100 minus the F1 of the one's answers against the other's."""
    questions: int
    """How many answers are not the same."""
    logits: float
    """Largest difference of a logit."""


def ask(reader: JointReader, tokenizer: Tokenizer, progress: Progress) -> Said:
    """Returns what `reader` says."""
    answers, logits = [], []
    for number, built_in in enumerate(QUESTIONS):
        progress("asking the built-in questions", number, len(QUESTIONS))
        question, context = tokenizer.tokenize(built_in.question), tokenizer.tokenize(built_in.context)
        found = reader.read(question.ids, context.ids)
        telling = meaningful(built_in.context, context.offsets)
        spans = best_spans(found, span_table(context.words, np.zeros_like(context.words), telling))
        places = [(context.offsets[s.first, 0], context.offsets[s.last, 1]) for s in spans]
        answers.append("".join(built_in.context[begin:end] for begin, end in places))
        logits.append(reader.logits(question.ids, context.ids))
    return Said(tuple(answers), tuple(logits))


def moved(before: Said, after: Said) -> Moved:
    """Returns how far `after` is from `before`."""
    pairs = list(zip(after.answers, before.answers, strict=True))
    f1 = fmean(1.0 if one == other else score_v1(one, [other]).f1 for one, other in pairs)
    differences = [
        np.abs(np.subtract(one, other)).max() for one, other in zip(before.logits, after.logits, strict=True)
    ]
    # numpy's max, unlike Python's, lets no NaN pass for a small number.
    return Moved(100 * (1 - f1), sum(one != other for one, other in pairs), float(np.max(differences)))


def golden_cases(said: Said, reader: JointReader, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Returns a bundle's golden cases, ready to be written as JSON: the first questions, with the logits `said`."""
    return [_case(number, said, reader, tokenizer) for number in range(GOLDEN)]


def _case(number: int, said: Said, reader: JointReader, tokenizer: Tokenizer) -> dict[str, Any]:
    built_in, (start, end) = QUESTIONS[number], said.logits[number]
    question, context = tokenizer.tokenize(built_in.question), tokenizer.tokenize(built_in.context)
    question_ids, context_ids = pair_ids(reader.pair, question.ids, context.ids)
    return {
        "question": built_in.question,
        "context": built_in.context,
        "question_ids": [int(i) for i in question_ids],
        "context_ids": [int(i) for i in context_ids],
        "start_logits": [round(float(logit), DECIMALS) for logit in start],
        "end_logits": [round(float(logit), DECIMALS) for logit in end],
    }
