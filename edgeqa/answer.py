"""Answers and close passages: the frozen values that a question gives, and their form in JSON.

Pure. An answer is a slice of its context: `context[start:end] == text`, always. The context is the passage as it was
read, and the answer stands in its source, too: `source[source_start:source_end] == text`. Offsets count code points of
NFC text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any, ClassVar

from edgeqa.contexts import place_of
from edgeqa.errors import printed

_ANSWER_BYTES, _PART_BYTES = 3000, 1500  # the texts of passages are counted besides

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

    from edgeqa.contexts import Piece


class _Value:
    """What the values have in common; `dataclass` would compile it for each of them at each start, in 1 ms."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Value) or type(other) is not type(self):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _compared(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name, field in self.__dataclass_fields__.items() if field.compare])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Candidate(_Value):
    """A span that may be the answer.

    Examples:
        >>> answer = qa.ask("Who built it?", "The bridge was built in 1932 by Dorman Long.", top=2)
        >>> [one.text for one in answer.candidates]
        ['Dorman Long', '1932']
    """

    text: str
    start: int
    end: int
    context: str
    """The passage that it is cut from."""
    context_start: int
    """The place in the source where the passage begins."""
    source: str
    """Name of the text: a file's path, or a name in its place for a text without one."""
    source_number: int
    """The number of the text among those given, counted from 0."""
    score: float
    """Start + end logit of the span minus the context's no-answer logit."""
    probability: float
    """How likely the best candidate is the right answer, calibrated, in [0, 1].

    A later candidate has the probability that it would have as the best one, for a comparison with other questions. At
    most one candidate is right. So the probabilities do not add up to 1, and later candidates are right less often than
    theirs say.
    """
    address: str | None = None
    """The address of its context in a collection: DOCUMENT:{TAG}:N."""
    part: str = ""
    """Its document, if the source has several, as written after the source's name: `#12` for page 12."""
    part_start: int = 0
    """Where that document begins in its source."""
    heading: tuple[str, ...] = ()
    """The headings that the passage stands under, outermost first."""
    pieces: tuple[Piece, ...] = ()
    """The place of each piece of the passage in the source; empty if the passage is one piece of the source."""
    path: str | None = None
    """The full path of the document's file, in a collection; None for a text that came through a pipe."""

    @property
    def document(self) -> str:
        """Name of the document that the answer begins in, as in a collection: of a PDF a page, `manual.pdf#12`."""
        return self.source + self.part

    @property
    def source_start(self) -> int:
        """Where the answer begins in its source."""
        return place_of(self.context_start, self.pieces, self.start, self.end)[0]

    @property
    def source_end(self) -> int:
        """Where the answer ends in its source."""
        return place_of(self.context_start, self.pieces, self.start, self.end)[1]

    def to_json(self) -> dict[str, Any]:
        """Returns the candidate as JSON values."""
        return _common(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClosePassage(_Value):
    """A passage that is close to a question, whether or not it has the answer.

    Examples:
        >>> answer = qa.ask("Who painted the pump?")
        >>> closest = answer.closest[0]
        >>> answer.text, closest.document, closest.heading
        (None, 'examples/pump-manual.txt', (...))
    """

    text: str
    """The passage, as it is read."""
    heading: tuple[str, ...]
    """The headings that it stands under, outermost first."""
    document: str
    """Name of its document: of a PDF a page, `manual.pdf#12`."""
    address: str | None
    """In a collection, DOCUMENT:{TAG}:N."""
    source: str
    """Name of the text: a file's path, or what stands for a text without one."""
    source_start: int
    """Where the passage begins in its source."""
    source_end: int
    """Where it ends there."""
    score: float
    """Its rank: higher is closer. Only the scores of one question can be compared."""
    marked: tuple[int, int] | None = None
    """Where in `text` the best guess is; None in a passage that was not read, or has none."""
    document_start: int = 0
    """Where its document begins in the source."""
    path: str | None = None
    """The full path of the document's file, in a collection; None for a text that came through a pipe."""

    def to_json(self) -> dict[str, Any]:
        """Returns the passage as JSON values; its headings as one line, parted by " > "."""
        return {
            "text": self.text,
            "heading": " > ".join(self.heading) or None,
            "document": printed(self.document),
            "address": self.address,
            "source": printed(self.source),
            "path": self.path,
            "source_start": self.source_start,
            "source_end": self.source_end,
            "score": round(self.score, 4),
            "marked": None if self.marked is None else list(self.marked),
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answer(_Value):
    """The answer to a question, or that the text has none (`text` is None).

    The fields from `text` to `source` are the best candidate's, or None where there is no answer; `score` and
    `probability` are the best candidate's in both cases.

    Examples:
        >>> answer = qa.ask("To what depth may the pump be submerged?")
        >>> answer.text, answer.document, answer.context[answer.start : answer.end]
        ('12 metres', 'examples/pump-manual.txt', '12 metres')
    """

    question: str
    text: str | None
    start: int | None
    end: int | None
    context: str | None
    context_start: int | None
    source: str | None
    score: float
    probability: float
    model: str
    """Name and version of the bundle whose reader decided."""
    candidates: tuple[Candidate, ...]
    """The best spans, best first, as many as were asked for; no two overlap in the same source."""
    question_cut: bool = False
    """Whether the question was too long for the reader, so that only its beginning was asked."""
    contexts: int = 0
    """How many contexts were read."""
    damaged: tuple[str, ...] = ()
    """The damaged shards of a collection, one line each: they could not be read, and the answer may be in them."""
    cached: bool = False
    timings_ms: Mapping[str, float] = field(default_factory=dict, compare=False)
    """The time of each step, and the `total`."""
    closest: tuple[ClosePassage, ...] = ()
    """The passages closest to the question, best first: three, or as many as answers were asked for."""
    question_mended: str | None = None
    """The question as it was read, if a misspelt word was mended."""
    reader: str = "fast"
    """The reader that decided: the "fast" one, or the "careful" one, on passages that the fast one found."""
    notes: tuple[str, ...] = ()
    """Reasons to doubt that there is an answer: the text is in another language, or has no word of the question.

    Pages or chapters of a file that have no text are named here, too: they are pictures, or missing."""
    nodes_asked: tuple[str, ...] = ()
    """The workers of a cluster that were asked, HOST:PORT; none for an answer that was remembered."""
    nodes_silent: tuple[str, ...] = ()
    """The workers that were asked and did not reply: they may hold the answer."""

    @property
    def skimmed(self) -> bool:
        """Always False, for callers of 0.3: any text is read where it is closest to the question."""
        return False

    @property
    def document(self) -> str | None:
        """Name of the document that the answer begins in, as in a collection: of a PDF a page, `manual.pdf#12`."""
        return None if self.text is None else self.candidates[0].document

    @property
    def source_start(self) -> int | None:
        """Where the answer begins in its source."""
        return None if self.text is None else self.candidates[0].source_start

    @property
    def source_end(self) -> int | None:
        """Where the answer ends in its source."""
        return None if self.text is None else self.candidates[0].source_end

    @property
    def path(self) -> str | None:
        """The full path of the answer's file in a collection; None for a text that came through a pipe."""
        return None if self.text is None else self.candidates[0].path

    @property
    def address(self) -> str | None:
        """In a collection, the address of the context, DOCUMENT:{TAG}:N."""
        return None if self.text is None else self.candidates[0].address

    @property
    def size_bytes(self) -> int:
        """The memory that it takes, about; all its numbers and short strings count as the longest ones do."""
        texts = [one.context for one in self.candidates] + [one.text for one in self.closest]
        return _ANSWER_BYTES + sum([_PART_BYTES + getsizeof(text) for text in texts])

    def _repr_html_(self) -> str:
        """Returns HTML for a notebook: the answer marked in its passage, or the closest passages."""
        if self.text is not None:
            best = self.candidates[0]
            return _html(best.heading, best.context, (best.start, best.end), best.document)
        passages = (_html(one.heading, one.text, one.marked, one.document) for one in self.closest)
        return "".join(("<p>Not sure.</p>", *passages))

    def to_json(self, *, candidates: bool = False) -> dict[str, Any]:
        """Returns the answer as JSON values; they include the candidates if `candidates` is set.

        Examples:
            >>> facts = qa.ask("Who built it?", "The bridge was built by Dorman Long.").to_json()
            >>> facts["answer"], facts["source_start"], facts["source_end"]
            ('Dorman Long', 24, 35)
        """
        found = {
            "question": self.question,
            **_common(self),
            "question_cut": self.question_cut,
            "contexts": self.contexts,
            "skimmed": False,
            "question_mended": self.question_mended,
            "notes": list(self.notes),
            "closest": [passage.to_json() for passage in self.closest],
            "damaged": list(self.damaged),
            "nodes_asked": list(self.nodes_asked),
            "nodes_silent": list(self.nodes_silent),
            "cached": self.cached,
            "reader": self.reader,
            "model": self.model,
            "timings_ms": {step: round(ms, 3) for step, ms in self.timings_ms.items()},
        }
        return found | {"candidates": [c.to_json() for c in self.candidates]} if candidates else found


def below_headings(
    heading: tuple[str, ...], text: str, marked: tuple[int, int] | None
) -> tuple[str, tuple[int, int] | None]:
    """Returns the text of a passage for people, who see its headings above it, so that it need not begin with them.

    Args:
        heading: the headings that are shown above it.
        text: the passage.
        marked: the part of it that is marked; headings are left where the mark is in them.

    Returns:
        The rest of the text, and where the mark is in it.
    """
    for first in range(len(heading)):
        rest: str | None = text
        for title in heading[first:]:
            rest = _after(title, rest) if rest else None
        if rest is None:
            continue
        left = len(text) - len(rest)
        if marked is None:
            return rest, None
        return (rest, (marked[0] - left, marked[1] - left)) if marked[0] >= left else (text, marked)
    return text, marked


def _after(title: str, text: str) -> str | None:
    """Returns the text below the heading that it begins with, and below the line under that; None without a heading."""
    titles = title.split()
    words = text.split(None, len(titles))
    if not titles or len(words) <= len(titles) or words[: len(titles)] != titles:
        return None
    rest = words[-1]
    before = text[: len(text) - len(rest)]
    if before.endswith(" ") and not before[-2:].isspace():  # a sentence begins with the same words
        return None
    line, _, below = rest.partition("\n")
    line = line.rstrip()
    is_line = len(line) > 2 and not line[0].isalnum() and line == line[0] * len(line) and line[0] != "`"  # no fence
    return below.lstrip("\n") if is_line and below.strip() else rest


def _html(heading: tuple[str, ...], text: str, marked: tuple[int, int] | None, document: str) -> str:
    """Returns a passage as HTML; its text is escaped."""
    from html import escape  # imported here, because only notebooks need it

    text, marked = below_headings(heading, text, marked)
    start, end = marked or (0, 0)
    mark = f"<mark>{escape(text[start:end])}</mark>" if marked else ""
    headings = f"<small>{escape(' > '.join(heading))}</small><br>" if heading else ""
    passage = f"{escape(text[:start])}{mark}{escape(text[end:])}"
    shown = f'<span style="white-space: pre-line">{passage}</span>'
    return f"<blockquote>{headings}{shown}<br><small>{escape(printed(document))}</small></blockquote>"


def _common(one: Candidate | Answer) -> dict[str, Any]:
    """Returns the JSON fields that a candidate and an answer share."""
    return {
        "answer": one.text,
        "probability": round(one.probability, 4),
        "score": round(one.score, 4),
        "start": one.start,
        "end": one.end,
        "source": None if one.source is None else printed(one.source),
        "path": one.path,
        "document": None if one.document is None else printed(one.document),
        "source_start": one.source_start,
        "source_end": one.source_end,
        "address": one.address,
        "context": one.context,
    }


_FIELDS = tuple(Answer.__dataclass_fields__)
_CACHED = _FIELDS.index("cached")
_values_of = attrgetter(*_FIELDS)


def as_remembered(answer: Answer) -> Answer:
    """Returns the answer, marked as remembered; `dataclasses.replace` would take twice as long."""
    values = [*_values_of(answer)]
    values[_CACHED] = True
    return Answer(*values)
