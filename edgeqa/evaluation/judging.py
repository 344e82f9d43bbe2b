"""Judges answers from documents: whether a span is an accepted one, at a place that answers the question.

In go questions, a folder of documents and answers; out come outcomes. A place is told by the passage that an answer was
cut from: it is looked for in the text that edgeqa reads from the file, so that answers can be judged whatever their
offsets count in. Nothing is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgeqa.asking.documents import from_path
from edgeqa.evaluation.errors import DocumentMissing, DocumentsNotFound, PlaceNotFound
from edgeqa.evaluation.quotations import Quoted, holds, is_near

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.evaluation.documents_file import DocumentQuestion

Place = tuple[str, int, int]


class Span(Protocol):
    """What is judged: a span of a passage of a document."""

    @property
    def text(self) -> str:
        """The span."""
        ...

    @property
    def start(self) -> int:
        """Where it begins in its passage."""
        ...

    @property
    def end(self) -> int:
        """Where it ends in its passage."""
        ...

    @property
    def context(self) -> str:
        """Its passage."""
        ...

    @property
    def document(self) -> str:
        """Name of its document, a path in the folder of documents, perhaps with the number of a part behind it."""
        ...

    @property
    def source_start(self) -> int:
        """Where it begins in its document, as its reader counts."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking a question."""

    question: DocumentQuestion
    is_given: bool
    """Whether an answer was given."""
    is_right: bool
    """Whether the best span, given or not, is right."""
    probability: float
    """Of the best span; 0 where there is none."""
    screen_holds: bool
    """Whether what the screen shows holds an accepted variant."""
    passages: int
    """How many passages were read."""
    ask_ms: float
    answer: str | None
    """What was given."""
    best: str | None
    """The best span, given or not."""
    score: float

    def to_json(self) -> dict[str, Any]:
        """Returns the outcome as one flat JSON object."""
        asked = self.question
        return {
            "line": asked.line,
            "doc": asked.document,
            "question": asked.question,
            **asked.groups,
            "near_miss": asked.is_near_miss,
            "answer": self.answer,
            "best": self.best,
            "right": self.is_right,
            "probability": round(self.probability, 4),
            "score": round(self.score, 4),
            "screen_holds": self.screen_holds,
            "passages": self.passages,
            "ask_ms": round(self.ask_ms, 3),
        }


class Documents:
    """The documents of a folder, each read once, when it is needed."""

    def __init__(self, folder: Path) -> None:
        """Looks into none of them yet.

        Raises:
            DocumentsNotFound: if there is no such folder.
        """
        if not folder.is_dir():
            raise DocumentsNotFound(folder)
        self.folder = folder
        self._texts: dict[str, Quoted] = {}

    def path(self, name: str) -> Path:
        """Returns where the document of this name lies."""
        return self.folder / name

    def paths(self) -> list[Path]:
        """Returns where all files in and below the folder lie, in the order of their names."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def text(self, name: str) -> Quoted:
        """Returns the text that edgeqa reads from the document.

        Raises:
            ContextError: if it cannot be read.
        """
        if name not in self._texts:
            self._texts[name] = Quoted("".join(from_path(self.path(name)).blocks()))
        return self._texts[name]

    def name_of(self, document: str) -> str:
        """Returns the name of the document that an answer is from, without the number of a part: `#12` of a PDF."""
        for written in (document, document.rpartition("#")[0]):
            path = Path(written)
            if written and path.is_relative_to(self.folder):
                name = path.relative_to(self.folder).as_posix()
                if self.path(name).is_file():
                    return name
        return document


class Judge:
    """Knows the places that answer the questions."""

    def __init__(self, documents: Documents, questions: Iterable[DocumentQuestion], file: Path) -> None:
        """Finds the places.

        Raises:
            DocumentMissing, PlaceNotFound: naming the line of a question that cannot be judged.
            ContextError: if a document cannot be read.
        """
        self._documents = documents
        self._places: dict[int, list[Place]] = {}
        for question in questions:
            if not documents.path(question.document).is_file():
                raise DocumentMissing(file, question.line, question.document, documents.folder)
            found = [
                (name, start, end)
                for name, quotation in question.quotations
                if documents.path(name).is_file()  # what else answers it may be left out
                for start, end in documents.text(name).find(quotation)
            ]
            self._places[question.line] = found or list(question.places)
            if question.answers and not self._places[question.line]:
                raise PlaceNotFound(file, question.line, *question.quotations[0])

    def is_right(self, question: DocumentQuestion, span: Span) -> bool:
        """Tells whether the span holds an accepted variant, at or near a place that answers the question."""
        if not holds(span.text, question.answers):
            return False
        name = self._documents.name_of(span.document)
        found = self._place(name, span)
        if found is not None:
            return any(place[0] == name and is_near(place[1:], found) for place in self._places[question.line])
        # A passage that is no piece of the text, as a row that was read with its headers: the quotation is in it, then.
        passage = Quoted(span.context)
        return any(
            is_near(place, (span.start, span.end))
            for quoted_in, quotation in question.quotations
            if quoted_in == name
            for place in passage.find(quotation)
        )

    def _place(self, name: str, span: Span) -> tuple[int, int] | None:
        """Returns where the span stands in its document's text, None if that does not hold its passage."""
        if not self._documents.path(name).is_file():
            return None
        text, length = self._documents.text(name), len(span.text)
        starts = text.locate(span.context, span.start)
        if starts:
            start = min(starts, key=lambda one: abs(one - span.source_start))
        elif text.text[span.source_start : span.source_start + length] == span.text:
            start = span.source_start
        else:
            return None
        return start, start + length
