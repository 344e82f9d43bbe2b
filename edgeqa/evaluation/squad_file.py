"""Reads a question file in SQuAD format, 1.1 or 2.0, and draws a sample from it.

In goes the path of a JSON file, out come frozen values in the file's order. Whatever is wrong with the file is an
`EvaluationFileError` that names the place in the JSON; what is not needed for scoring (titles, answer offsets,
plausible answers) is not looked at.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from edgeqa.asking.documents import from_file
from edgeqa.errors import EvaluationFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Identified(Protocol):
    """What a sample can be drawn of."""

    @property
    def id(self) -> str:
        """Tells it from others in its file."""
        ...


_T = TypeVar("_T")
_Q = TypeVar("_Q", bound=Identified)

_KINDS = {str: "a string", list: "a list", dict: "an object", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class SquadQuestion:
    """A question, the text to answer it from, and the answers that are right."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    """Texts of the gold answers; none if the question cannot be answered."""
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

    Which ones depends on the seed and the questions' ids, so it is the same on any device, and a larger sample holds
    the smaller ones of the same seed.
    """

    def drawn(number: int) -> bytes:
        return hashlib.blake2b(f"{seed}:{questions[number].id}".encode(errors="surrogatepass"), digest_size=8).digest()

    return tuple(questions[number] for number in sorted(sorted(range(len(questions)), key=drawn)[:limit]))


class _WrongPlace(Exception):
    """Says where in the JSON what is wrong; never leaves this module."""


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
    # Controls, separators, lone marks and U+FFFD are no token to the reader, so that nothing could be asked or read.
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
