"""Reads a file of questions on documents: JSON Lines, each with its document, its answers and the places of these.

In goes a path, out come frozen values in the file's order. Whatever is wrong with a line is an error that names the
file and the line. The documents themselves are not looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgeqa.asking.documents import from_file
from edgeqa.errors import ContextError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class QuestionsFileError(ContextError):
    """A line of a file of questions on documents cannot be used."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(
            f"{path}, line {line}: {reason}",
            'expected on each line: {"doc": ..., "question": ..., "answers": [...], "anchors": [[DOC, QUOTATION]]}',
        )


class QuestionsNotFound(ContextError):
    """A file of questions on documents has none, or none that was chosen."""

    def __init__(self, path: Path, chosen: str) -> None:
        super().__init__(f"{path}: there is no question in it{f' with {chosen}' if chosen else ''}")


class DocumentsNotFound(ContextError, NotADirectoryError):
    """The folder that the documents are to be in is none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"no such folder: {folder}", "--documents names the folder that the documents are in")


class DocumentMissing(QuestionsFileError):
    """A document that a question is about is not in the folder."""

    def __init__(self, path: Path, line: int, document: str, folder: Path) -> None:
        super().__init__(path, line, f"the document {document!r} is not in {folder}")
        self.hint = "--documents names the folder that the documents are in"


class PlaceNotFound(QuestionsFileError):
    """None of the places that answer a question is found in its documents."""

    def __init__(self, path: Path, line: int, document: str, quotation: str) -> None:
        super().__init__(path, line, f"in {document!r} there is no {quotation!r}")
        self.hint = "a question with answers needs a quotation that its document holds (anchors), or a place (gold)"


GROUPS = ("kind", "style", "half")
"""What questions are told apart by in the report."""


@dataclass(frozen=True, slots=True)
class DocumentQuestion:
    """A question as somebody typed it, the document that answers it, and what is right."""

    line: int
    """Its line in the file, from 1."""
    document: str
    """Name of its document in the folder of documents."""
    question: str
    answers: tuple[str, ...]
    """Accepted variants; none where no document answers it: a near miss."""
    quotations: tuple[tuple[str, str], ...]
    """Places that answer it, each as document and quotation."""
    places: tuple[tuple[str, int, int], ...]
    """Places that answer it, each as document, start and end in its text: for where no quotation is found."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Its kind, style and half, where they are given."""

    @property
    def id(self) -> str:
        """What a sample is drawn by."""
        return str(self.line)

    @property
    def is_near_miss(self) -> bool:
        """Whether nothing answers it."""
        return not self.answers


def read_questions(path: Path, only: Mapping[str, str] | None = None) -> tuple[DocumentQuestion, ...]:
    """Returns the questions in the file, those alone whose fields are as in `only`.

    Raises:
        QuestionsFileError: for a line that is no question, naming it.
        QuestionsNotFound: if there is no question, or none as in `only`.
        ContextError: if the file cannot be read, or is not UTF-8.
    """
    text = "".join(from_file(path).blocks())
    questions = tuple(_questions(path, text, only or {}))
    if not questions:
        raise QuestionsNotFound(path, ", ".join(f"{name}={value}" for name, value in (only or {}).items()))
    return questions


def _questions(path: Path, text: str, only: Mapping[str, str]) -> Iterator[DocumentQuestion]:
    for line, written in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold U+2028 as it is
        if not written.strip():
            continue
        try:
            raw = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise QuestionsFileError(path, line, f"not JSON: {error}") from error
        try:
            question = _question(line, raw)
        except _Wrong as error:
            raise QuestionsFileError(path, line, str(error)) from error
        if all(str(raw.get(name)) == value for name, value in only.items()):
            yield question


class _Wrong(Exception):
    """Says what is wrong with a line; never leaves this module."""


def _question(line: int, raw: Any) -> DocumentQuestion:  # noqa: ANN401 - whatever the line holds
    if not isinstance(raw, dict):
        message = "not a JSON object"
        raise _Wrong(message)
    document, question = (_text(raw.get(name), name) for name in ("doc", "question"))
    answers = tuple(_text(answer, "answers") for answer in _list(raw, "answers", needed=True))
    quotations = tuple(_quotation(one) for one in _list(raw, "anchors"))
    places = tuple(_place(one) for one in _list(raw, "gold"))
    if answers and not (quotations or places):
        message = "it has answers, and neither 'anchors' nor 'gold' says where they are"
        raise _Wrong(message)
    groups = {name: str(raw[name]) for name in GROUPS if raw.get(name) is not None}
    return DocumentQuestion(line, document, question, answers, quotations, places, groups)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        message = f"'{name}': {'missing' if value is None else 'not a text with something in it'}"
        raise _Wrong(message)
    return value


def _list(raw: dict[str, Any], name: str, *, needed: bool = False) -> Sequence[Any]:
    value = raw.get(name)
    if value is None and not needed:
        return ()
    if not isinstance(value, list):
        message = f"'{name}': {'missing' if value is None else 'not a list'}"
        raise _Wrong(message)
    return value


def _quotation(value: object) -> tuple[str, str]:
    match value:
        case [str(document), str(quotation)] if quotation.strip():
            return document, quotation
    message = "'anchors': not a list of [document, quotation]"
    raise _Wrong(message)


def _place(value: object) -> tuple[str, int, int]:
    match value:
        case [str(document), int(start), int(end)] if 0 <= start <= end:
            return document, start, end
    message = "'gold': not a list of [document, start, end]"
    raise _Wrong(message)
