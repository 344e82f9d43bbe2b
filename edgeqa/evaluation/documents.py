"""Scores of answers from documents: questions are asked as a user asks them, spans are judged, outcomes are counted.

In: a file of questions (JSON Lines; each has its document, its answers and their places), a folder of documents, and a
function that asks. Out: outcomes, and their counts by the way of asking, by kind, style and half. A fault in a line is
an error that names the file and the line. Runtimes are opened and results shown elsewhere.

A span is right if it holds an accepted answer, at a place that answers the question. Places in a text move when its
format is read in another way: a table's row gets its headers, a hyphen at a line's end goes. So the file names a place
by a quotation, and only letters and digits are compared, without case. The place of an answer is the place of its
passage in the text that edgeqa reads from the file.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edgeqa import forking
from edgeqa.asking.documents import from_file, from_path
from edgeqa.errors import ContextError
from edgeqa.models.metrics import Reliability, reliability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from edgeqa.timing import Progress


class QuestionsFileError(ContextError):
    """A line of a file of questions on documents cannot be used."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(
            f"{path}, line {line}: {reason}",
            'expected on each line: {"doc": ..., "question": ..., "answers": [...], "anchors": [[DOC, QUOTATION]]}',
        )


class QuestionsNotFound(ContextError):
    """A file of questions on documents has no question, or none of the chosen kind."""

    def __init__(self, path: Path, chosen: str) -> None:
        super().__init__(f"{path}: there is no question in it{f' with {chosen}' if chosen else ''}")


class DocumentsNotFound(ContextError, NotADirectoryError):
    """The folder of the documents is no directory."""

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
"""The fields by which the report groups the questions."""


@dataclass(frozen=True, slots=True)
class DocumentQuestion:
    """A question as somebody typed it, the document that answers it, and the right answers."""

    line: int
    """Its line in the file, from 1."""
    document: str
    """Name of its document in the folder of documents."""
    question: str
    answers: tuple[str, ...]
    """Accepted variants of the answer; none if no document answers the question (a near miss)."""
    quotations: tuple[tuple[str, str], ...]
    """Places that answer it, each as document and quotation."""
    places: tuple[tuple[str, int, int], ...]
    """Places that answer it, each as document, start and end in its text; they count if no quotation is found."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Its kind, style and half, where they are given."""

    @property
    def id(self) -> str:
        """The name by which samples are drawn."""
        return str(self.line)

    @property
    def is_near_miss(self) -> bool:
        """Whether no document answers it."""
        return not self.answers


def read_questions(path: Path, only: Mapping[str, str] | None = None) -> tuple[DocumentQuestion, ...]:
    """Returns the questions in the file whose fields are as in `only`.

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
    for line, written in enumerate(text.split("\n"), 1):  # splitlines would also cut at U+2028, which JSON may hold
        if not written.strip():
            continue
        try:
            raw = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise QuestionsFileError(path, line, f"not JSON: {error}") from error
        try:
            question = _question(line, raw)
        except _InvalidLine as error:
            raise QuestionsFileError(path, line, str(error)) from error
        if all(str(raw.get(name)) == value for name, value in only.items()):
            yield question


class _InvalidLine(Exception):
    """The fault in a line; it never leaves this module."""


def _question(line: int, raw: Any) -> DocumentQuestion:  # noqa: ANN401 - whatever the line holds
    if not isinstance(raw, dict):
        message = "not a JSON object"
        raise _InvalidLine(message)
    document, question = (_text(raw.get(name), name) for name in ("doc", "question"))
    answers = tuple(_text(answer, "answers") for answer in _list(raw, "answers", needed=True))
    quotations = tuple(_quotation(one) for one in _list(raw, "anchors"))
    places = tuple(_place(one) for one in _list(raw, "gold"))
    if answers and not (quotations or places):
        message = "it has answers, and neither 'anchors' nor 'gold' says where they are"
        raise _InvalidLine(message)
    groups = {name: str(raw[name]) for name in GROUPS if raw.get(name) is not None}
    return DocumentQuestion(line, document, question, answers, quotations, places, groups)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        message = f"'{name}': {'missing' if value is None else 'not a text with something in it'}"
        raise _InvalidLine(message)
    return value


def _list(raw: dict[str, Any], name: str, *, needed: bool = False) -> Sequence[Any]:
    value = raw.get(name)
    if value is None and not needed:
        return ()
    if not isinstance(value, list):
        message = f"'{name}': {'missing' if value is None else 'not a list'}"
        raise _InvalidLine(message)
    return value


def _quotation(value: object) -> tuple[str, str]:
    match value:
        case [str(document), str(quotation)] if quotation.strip():
            return document, quotation
    message = "'anchors': not a list of [document, quotation]"
    raise _InvalidLine(message)


def _place(value: object) -> tuple[str, int, int]:
    match value:
        case [str(document), int(start), int(end)] if 0 <= start <= end:
            return document, start, end
    message = "'gold': not a list of [document, start, end]"
    raise _InvalidLine(message)


NEAR_CHARACTERS = 400  # an answer at most so far from a quotation belongs to its place
_WORD = re.compile(r"[^\W_]+")
_BROKEN = re.compile(r"[-\u00ad\u2010]\s*\n\s*")
_QUOTES = str.maketrans(dict.fromkeys('"`\u00ab\u00b4\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f', "'"))
_HYPHENS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))


@dataclass(frozen=True)
class SearchedText:
    """A text in which quotations are searched."""

    text: str

    @forking.cached_property
    def _letters(self) -> tuple[str, list[int]]:
        return _letters_of(self.text)

    def find(self, quotation: str) -> list[tuple[int, int]]:
        """Returns all places of the quotation, each as start and end.

        If the quotation does not stand in the text as it is, its words may have others between them, at most
        NEAR_CHARACTERS in all, and only the closest such place is returned. That finds a row of a table that is read
        with its headers.
        """
        letters, places = self._letters
        wanted, _ = _letters_of(quotation)
        if not wanted:
            return []
        found = []
        at = letters.find(wanted)
        while at >= 0:
            start, end = places[at], places[at + len(wanted) - 1] + 1
            if self._is_edge(start, quotation) and (end == len(self.text) or not self.text[end].isalnum()):
                found.append((start, end))
            at = letters.find(wanted, at + 1)
        return found or self._loosely(quotation)

    def locate(self, passage: str, at: int) -> list[int]:
        """Returns the places of the character `passage[at]` in the text, one for each place of the passage.

        A character that is neither letter nor digit stands for the next one of the passage that is, else for the last.
        """
        letters, places = self._letters
        wanted, before = _letters_of(passage)[0], _letters_of(passage[:at])[0]
        found = []
        start = letters.find(wanted) if wanted else -1
        while start >= 0:
            found.append(places[start + min(len(before), len(wanted) - 1)])
            start = letters.find(wanted, start + 1)
        return found

    def _is_edge(self, start: int, quotation: str) -> bool:
        return start == 0 or not self.text[start - 1].isalnum() or not quotation[:1].isalnum()

    def _loosely(self, quotation: str) -> list[tuple[int, int]]:
        first, *rest = (re.escape(word) for word in _WORD.findall(quotation))
        best: tuple[int, int] | None = None
        for begin in re.finditer(rf"(?<![^\W_]){first}(?![^\W_])", self.text, re.IGNORECASE):
            end, limit = begin.end(), begin.start() + len(quotation) + NEAR_CHARACTERS
            for word in rest:
                found = re.compile(rf"(?<![^\W_]){word}(?![^\W_])", re.IGNORECASE).search(self.text, end, limit)
                if found is None:
                    break
                end = found.end()
            else:
                if best is None or end - begin.start() < best[1] - best[0]:
                    best = begin.start(), end
        return [best] if best else []


def _letters_of(text: str) -> tuple[str, list[int]]:
    """Returns the text's letters and digits, case folded, and the place of each."""
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isalnum():
            for letter in character.casefold():
                folded.append(letter)
                places.append(place)
    return "".join(folded), places


def is_near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tells whether two places overlap, or have at most NEAR_CHARACTERS between them."""
    return max(one[0], other[0]) - min(one[1], other[1]) <= NEAR_CHARACTERS


def folded(text: str) -> str:
    """Returns the text in lower case on one line, with one kind of quote and hyphen."""
    return " ".join(text.translate(_QUOTES).translate(_HYPHENS).casefold().split())


def holds(text: str, variants: tuple[str, ...]) -> bool:
    """Tells whether one of the variants stands in the text, as whole words and numbers.

    White space, quotes and case make no difference; a hyphen at the end of a line may belong to the word or not.
    """
    # A word that was broken at a line's end is searched without its hyphen, and with it.
    readings = {folded(_BROKEN.sub(joined, text)) for joined in ("", "-")}
    return any(_pattern(variant).search(reading) for variant in variants for reading in readings)


def _pattern(variant: str) -> re.Pattern[str]:
    wanted = folded(variant)
    # 50 is no number of its own in 250, 2.50 or 1,500, but it is one in the row 49,50,yes.
    before = r"(?<![^\W_])(?<!\d\.)(?!(?<=\d,)\d{3}(?!\d))" if wanted[:1].isalnum() else ""
    after = r"(?![^\W_])(?!\.\d)(?!,\d{3}(?!\d))" if wanted[-1:].isalnum() else ""
    return re.compile(before + re.escape(wanted) + after)


Place = tuple[str, int, int]


class Span(Protocol):
    """A span of a passage of a document, which is judged."""

    @property
    def text(self) -> str:
        """The span."""
        ...

    @property
    def start(self) -> int:
        """The place in its passage where it begins."""
        ...

    @property
    def end(self) -> int:
        """The place in its passage where it ends."""
        ...

    @property
    def context(self) -> str:
        """Its passage."""
        ...

    @property
    def document(self) -> str:
        """Name of its document: a path in the folder of documents, which may end with the number of a part."""
        ...

    @property
    def source_start(self) -> int:
        """The place in its document where it begins, as the reader of the format counts."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one question."""

    question: DocumentQuestion
    is_given: bool
    """Whether an answer was given."""
    is_right: bool
    """Whether the best span, given or not, is right."""
    probability: float
    """The probability of the best span; 0 if there is none."""
    screen_holds: bool
    """Whether the screen shows an accepted variant."""
    passages: int
    """How many passages were read."""
    ask_ms: float
    answer: str | None
    """The answer that was given."""
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
    """The documents of a folder; each is read once, when it is first needed."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder, and reads no document yet.

        Raises:
            DocumentsNotFound: if there is no such folder.
        """
        if not folder.is_dir():
            raise DocumentsNotFound(folder)
        self.folder = folder
        self._texts: dict[str, SearchedText] = {}

    def path(self, name: str) -> Path:
        """Returns the path of the document of this name."""
        return self.folder / name

    def paths(self) -> list[Path]:
        """Returns the paths of all files in and below the folder, in the order of their names."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def text(self, name: str) -> SearchedText:
        """Returns the text that edgeqa reads from the document.

        Raises:
            ContextError: if it cannot be read.
        """
        if name not in self._texts:
            self._texts[name] = SearchedText("".join(from_path(self.path(name)).blocks()))
        return self._texts[name]

    def name_of(self, document: str) -> str:
        """Returns the name of an answer's document, without the number of a part, such as `#12` of a PDF."""
        for written in (document, document.rpartition("#")[0]):
            path = Path(written)
            if written and path.is_relative_to(self.folder):
                name = path.relative_to(self.folder).as_posix()
                if self.path(name).is_file():
                    return name
        return document


class Judge:
    """A judge, who knows the places that answer the questions."""

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
                if documents.path(name).is_file()  # a file of other places that answer it may be missing
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
        # The passage does not stand in the text as it is, as a row that was read with its headers. Then it must hold
        # the quotation.
        passage = SearchedText(span.context)
        return any(
            is_near(place, (span.start, span.end))
            for quoted_in, quotation in question.quotations
            if quoted_in == name
            for place in passage.find(quotation)
        )

    def _place(self, name: str, span: Span) -> tuple[int, int] | None:
        """Returns the place of the span in its document's text; None if the text does not hold its passage."""
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


# The rest asks questions, and counts the outcomes.


class Answered(Protocol):
    """The parts of an answer that are judged."""

    @property
    def text(self) -> str | None:
        """The answer that was given; None if there was none."""
        ...

    @property
    def candidates(self) -> Sequence[Span]:
        """The best spans, given or not, best first."""
        ...

    @property
    def probability(self) -> float:
        """The probability that the best span is right."""
        ...

    @property
    def score(self) -> float:
        """The score of the best span."""
        ...

    @property
    def contexts(self) -> int:
        """How many passages were read."""
        ...


_A = TypeVar("_A", bound=Answered)


@dataclass(frozen=True, slots=True)
class Counts:
    """The outcomes of questions, as numbers of questions."""

    questions: int
    """The number of questions that can be answered."""
    right: int
    """How many of them got a right answer."""
    wrong: int
    """How many of them got a wrong answer."""
    refused: int
    """How many of them got none."""
    screen_holds: int
    """How many of them had an accepted variant on the screen, in the answer or below it."""
    near_misses: int
    """The number of questions that no document answers."""
    near_misses_answered: int
    """How many of these got an answer."""

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as one flat JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class DocumentScores:
    """The outcomes of one way of asking: of the right file, or of a collection of all documents."""

    counts: Counts
    passages: float
    """The mean number of passages that a question reads."""
    ask_ms: float
    """The median time of a question, in milliseconds."""
    reliability: Reliability
    """The calibration of the best spans of all questions, given or not; no span is right for a near miss."""
    groups: dict[str, dict[str, Counts]]
    """The counts by kind, style and half."""

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
    """Returns the outcome of each question.

    Args:
        questions: the questions; those on one document should be neighbours, so that it is encoded once.
        ask: a function that answers a question as a user would be answered.
        judge: the judge of their answers.
        screen: a function that returns the output of `edgeqa ask` for an answer.
        progress: a function that is called as questions are answered.
        doing: the name of this work, which `progress` is called with.
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
                screen_holds=bool(question.answers) and _is_shown(screen(answer), question.answers),
                passages=answer.contexts,
                ask_ms=ask_ms,
                answer=answer.text,
                best=best.text if best else None,
                score=answer.score,
            )
        )
        progress(doing, done, len(questions))
    return outcomes


def _is_shown(screen: str, answers: tuple[str, ...]) -> bool:
    """Tells whether a screen shows an accepted variant; the brackets around the best guess do not count as text."""
    return any(holds(shown, answers) for shown in (screen, screen.replace("[", "").replace("]", "")))


def scores(outcomes: Sequence[Outcome]) -> DocumentScores:
    """Returns the scores of outcomes; there must be one at least."""
    return DocumentScores(
        counts=counted(outcomes),
        passages=fmean(one.passages for one in outcomes),
        ask_ms=median(one.ask_ms for one in outcomes),
        reliability=reliability([(one.probability, one.is_right) for one in outcomes]),
        groups={group: _by(group, outcomes) for group in GROUPS if any(group in o.question.groups for o in outcomes)},
    )


def counted(outcomes: Sequence[Outcome]) -> Counts:
    """Returns the counts of the outcomes."""
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
