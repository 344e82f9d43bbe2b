"""Scores on a file in SQuAD format, 1.1 or 2.0: its questions are asked through the whole runtime.

In: the path of a JSON file, and an open runtime. Out: frozen questions in the file's order, and their scores. A fault
in the file is an `EvaluationFileError` that names the place in the JSON; fields that no score needs (titles, answer
offsets, plausible answers) are not read. Results are shown elsewhere.

Each question asks for the best span (`force`). This module decides whether it counts as an answer: once as the runtime
decides, once at the best threshold. If a collection of all contexts is asked, it also counts how often the right
context was among the closest.
"""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edgeqa.asking.documents import from_file
from edgeqa.errors import EvaluationFileError
from edgeqa.formats import nfc
from edgeqa.models.metrics import Judged, QuestionScore, Reliability, best_threshold, reliability, score_v1, score_v2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from edgeqa.answer import Answer
    from edgeqa.runtime import EdgeQA
    from edgeqa.timing import Progress
RECALL_AT = (1, 5, 20)


class Sampled(Protocol):
    """A thing of which samples can be drawn."""

    @property
    def id(self) -> str:
        """A name that no other has in its file."""
        ...


_T = TypeVar("_T")
_Q = TypeVar("_Q", bound=Sampled)

_KINDS = {str: "a string", list: "a list", dict: "an object", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class SquadQuestion:
    """A question, the text to answer it from, and the answers that are right."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    """The texts of the right answers; none if the question cannot be answered."""
    is_impossible: bool


@dataclass(frozen=True, slots=True)
class SquadFile:
    """The questions of a file."""

    questions: tuple[SquadQuestion, ...]
    is_v2: bool
    """Whether it is a SQuAD 2.0 file, in which questions may have no answer."""


def read_squad(path: Path) -> SquadFile:
    """Returns the questions in the file.

    Raises:
        EvaluationFileError: if it is not in SQuAD format, or has no question.
        ContextError: if it cannot be read, or is not UTF-8.
    """
    text = "".join(from_file(path).blocks())
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EvaluationFileError(path, f"not JSON: {error}") from error
    try:
        questions = tuple(_questions(raw))
    except _WrongPlace as error:
        raise EvaluationFileError(path, str(error)) from error
    if not questions:
        raise EvaluationFileError(path, "data: there is no question in it")
    is_v2 = str(raw.get("version", "")).lstrip("v").startswith("2") or any(q.is_impossible for q in questions)
    return SquadFile(questions, is_v2)


def sample(questions: Sequence[_Q], limit: int, seed: int) -> tuple[_Q, ...]:
    """Returns `limit` of the questions, or all if there are fewer, in their order.

    The seed and the questions' ids decide which ones. So a sample is the same on any device, and a larger sample holds
    the smaller ones of the same seed.
    """

    def drawn(number: int) -> bytes:
        return hashlib.blake2b(f"{seed}:{questions[number].id}".encode(errors="surrogatepass"), digest_size=8).digest()

    return tuple(questions[number] for number in sorted(sorted(range(len(questions)), key=drawn)[:limit]))


class _WrongPlace(Exception):
    """A fault with its place in the JSON; it never leaves this module."""


def _questions(raw: object) -> Iterator[SquadQuestion]:
    for article, in_article in _items(_checked(raw, dict, "the whole"), "data", ""):
        for paragraph, in_paragraph in _items(article, "paragraphs", in_article):
            context = _text(paragraph, "context", in_paragraph)
            for qa, where in _items(paragraph, "qas", in_paragraph):
                yield _question(qa, context, where)


def _question(qa: dict[str, object], context: str, where: str) -> SquadQuestion:
    answers = tuple(_member(answer, "text", str, place) for answer, place in _items(qa, "answers", where))
    is_impossible = "is_impossible" in qa and _member(qa, "is_impossible", bool, where)
    if is_impossible == bool(answers):
        has = "an answer" if answers else "no answer"
        message = f"{where}.answers: {has}, and is_impossible is {'' if is_impossible else 'not '}true"
        raise _WrongPlace(message)
    return SquadQuestion(
        id=_member(qa, "id", str, where),
        question=_text(qa, "question", where),
        context=context,
        answers=answers,
        is_impossible=is_impossible,
    )


def _items(parent: dict[str, object], key: str, where: str) -> Iterator[tuple[dict[str, object], str]]:
    """Yields the objects in the list under `key`, each with its place."""
    for number, item in enumerate(_member(parent, key, list, where)):
        place = f"{where}.{key}[{number}]".lstrip(".")
        yield _checked(item, dict, place), place


def _text(parent: dict[str, object], key: str, where: str) -> str:
    value = _member(parent, key, str, where)
    if not any(map(_is_seen, value)):
        message = f"{where}.{key}: there is no text in it"
        raise _WrongPlace(message)
    return value


def _is_seen(character: str) -> bool:
    # The reader makes no token of controls, separators, lone marks and U+FFFD: it would have nothing to read.
    return unicodedata.category(character)[0] not in "CZM" and character != "\ufffd"


def _member(parent: dict[str, object], key: str, kind: type[_T], where: str) -> _T:
    if key not in parent:
        message = f"{where or 'the whole'}: has no {key!r}"
        raise _WrongPlace(message)
    return _checked(parent[key], kind, f"{where}.{key}".lstrip("."))


def _checked(value: object, kind: type[_T], where: str) -> _T:
    if not isinstance(value, kind):
        message = f"{where}: not {_KINDS[kind]}"
        raise _WrongPlace(message)
    return value


class Asker(Protocol):
    """The part of the runtime that scoring needs."""

    def ask_many(self, pairs: Iterable[tuple[str, str]], *, force: bool, progress: Progress | None) -> Iterable[Answer]:
        """Answers (question, context) pairs, in their order; with `force`, always by the best span."""
        ...


@dataclass(frozen=True, slots=True)
class NoAnswerScores:
    """The scores that SQuAD 2.0 adds to exact match and F1, in percent; None if the file has no such question."""

    has_answer_f1: float | None
    """F1 over the questions that have an answer, if the runtime decides whether to give one."""
    no_answer_accuracy: float | None
    """Share of the questions without an answer to which the runtime gives none."""
    best_f1: float
    """F1 over all questions at the best threshold, which nobody can know before."""
    best_threshold: float
    """The best threshold: there is no answer if minus the score is above it."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a question file, in percent."""

    em: float
    f1: float
    questions: int
    reliability: Reliability
    """The calibration of the best spans, given or not. An exact match is right; without an answer, no span is."""
    no_answer: NoAnswerScores | None = None
    """The scores of "no answer", for SQuAD 2.0 only."""

    def to_json(self) -> dict[str, Any]:
        """Returns the scores as one JSON object."""
        found: dict[str, Any] = {"em": round(self.em, 2), "f1": round(self.f1, 2), "questions": self.questions}
        if self.no_answer is not None:
            found["has_answer_f1"] = _rounded(self.no_answer.has_answer_f1)
            found["no_answer_accuracy"] = _rounded(self.no_answer.no_answer_accuracy)
            found["best_f1"] = round(self.no_answer.best_f1, 2)
            found["best_threshold"] = round(self.no_answer.best_threshold, 4)
        return {**found, **self.reliability.to_json()}


def evaluate(
    qa: Asker,
    questions: Sequence[SquadQuestion],
    *,
    is_v2: bool,
    no_answer_below: float,
    progress: Progress | None = None,
) -> Scores:
    """Returns the scores of the runtime on these questions, which must be at least one.

    Args:
        qa: the open runtime.
        questions: what to ask.
        is_v2: whether to score by the rules of SQuAD 2.0, in which no answer can be right.
        no_answer_below: the probability below which the runtime gives no answer.
        progress: called as questions are answered.
    """
    asked = ((question.question, question.context) for question in questions)
    decided: list[QuestionScore] = []
    judged: list[Judged] = []
    believed: list[tuple[float, bool]] = []
    for question, answer in zip(questions, qa.ask_many(asked, force=True, progress=progress), strict=True):
        if is_v2:
            text = answer.text or ""
            given = "" if answer.probability < no_answer_below else text
            decided.append(score_v2(given, question.answers))
            best = score_v2(text, question.answers)
            judged.append(Judged(best.f1, -answer.score, not question.is_impossible, bool(text)))
        else:
            best = score_v1(answer.text, question.answers)
            decided.append(best)
        believed.append((answer.probability, bool(answer.text) and not question.is_impossible and best.em == 1))
    return Scores(
        em=100 * fmean(score.em for score in decided),
        f1=100 * fmean(score.f1 for score in decided),
        questions=len(decided),
        reliability=reliability(believed),
        no_answer=_no_answer_scores(decided, judged) if is_v2 else None,
    )


def _no_answer_scores(decided: list[QuestionScore], judged: list[Judged]) -> NoAnswerScores:
    with_answer = [score.f1 for score, one in zip(decided, judged, strict=True) if one.has_answer]
    without = [score.f1 for score, one in zip(decided, judged, strict=True) if not one.has_answer]
    best, threshold = best_threshold(judged)
    return NoAnswerScores(
        has_answer_f1=100 * fmean(with_answer) if with_answer else None,
        no_answer_accuracy=100 * fmean(without) if without else None,
        best_f1=100 * best,
        best_threshold=threshold,
    )


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 2)


@dataclass(frozen=True, slots=True)
class CollectedScores:
    """The scores of a file of questions that were asked of a collection."""

    scores: Scores
    recall: dict[int, float]
    """The percentage of questions with the right context among the closest, by the number of these."""
    contexts_read: float
    """The mean number of contexts that a question reads."""
    ask_ms: float
    """The median time of a question, in milliseconds."""

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
        asking, questions, is_v2=is_v2, no_answer_below=qa.decider.manifest.searched.no_answer_below, progress=progress
    )
    recall = {most: 100 * fmean(place < most for place in asking.places) for most in RECALL_AT}
    return CollectedScores(scores, recall, fmean(asking.contexts), median(asking.ask_ms))


class _Asking:
    """A stand-in for a runtime that is given contexts: it asks the collection, and notes the rank of each context."""

    def __init__(self, qa: EdgeQA, total: int) -> None:
        self._qa, self._total = qa, total
        self.places: list[int] = []
        """The rank of each question's right context among the closest, from 0; RECALL_AT[-1] if it is not there."""
        self.contexts: list[int] = []
        self.ask_ms: list[float] = []

    def ask_many(self, pairs: Iterable[tuple[str, str]], *, force: bool, progress: Progress | None) -> Iterator[Answer]:
        for done, (question, context) in enumerate(pairs, 1):
            right = nfc(context)
            closest = self._qa.closest(question, RECALL_AT[-1])
            # A long paragraph is several contexts, and each of them is right.
            self.places.append(next((n for n, c in enumerate(closest) if c.text in right), RECALL_AT[-1]))
            began = time.perf_counter()
            answer = self._qa.ask(question, force=force)
            self.ask_ms.append((time.perf_counter() - began) * 1e3)
            self.contexts.append(answer.contexts)
            if progress is not None:
                progress("asking", done, self._total)
            yield answer
