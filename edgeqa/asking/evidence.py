"""What speaks for a span besides the network's score: the structure of its passage, and the question's own words.

Pure. In: a question, a passage and spans of it. Out: for each span a number for each kind of evidence, in the order of
`Evidence`; the weights are the model's own (`models.manifest.Evidence`), fitted by `tools/calibrate.py`. Numbers are
looked for in English questions alone.

A row of a table is looked up: its cells are offered as spans, too; the question names the column of the cell that
answers it, and its other words mean the row, as far as they stand there; the cell that says them again is no answer. Of
a passage that is no row, all that counts is whether a span only says the question's words again, is the number of a
list's item, or has no number where one is asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeqa.contexts.context import Place, searched
from edgeqa.contexts.terms import ENGLISH, distinct, term, terms, words
from edgeqa.models.manifest import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edgeqa.contexts.context import Piece, Text

CANDIDATES, ROW_CANDIDATES = 3, 8
"""Spans of a passage, and of a row, that evidence chooses from: a fourth changed no answer."""
MAX_CELL_CHARACTERS = 160

_ALTERNATIVES = re.compile(r"\bor\b")
_MARKER = re.compile(r"\W*(?:\d{1,3}|[a-z])")
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|long|old|far|deep|high|large|big|often|tall|wide|thick|heavy|fast)\b"
    r"|\b(?:what|which) (?:year|date|day|month|century|page|version|percent\w*|temperature)\b|\bprice\b|\bcost\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(?:no|none|never|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty"
    r"|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozens?|third|quarter|once|twice"
    r"|several|few|many|most|half|single|double|unlimited|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    r"|january|february|march|april|may|june|july|august|september|october|november|december|daily|weekly|monthly"
    r"|yearly|annually|centur(?:y|ies)|years?|decades?|days?|months?|weeks?|hours?|minutes?|seconds?)\b",
    re.IGNORECASE,
)
_ASKS_PRICE = re.compile(r"\b(?:costs?|prices?|how much (?:is|are|does|do)|fees?|charged?)\b", re.IGNORECASE)
_PRICE_TERMS = distinct("cost costs price prices fee fees charge charged")
_PRICE = re.compile(r"price|cost|fee\b|charge|\b(?:EUR|USD|GBP|CHF)\b|[$€£]", re.IGNORECASE)

Features = tuple[float, ...]
NOTHING: Features = (0.0,) * len(Evidence._fields)


class Asked:
    """What a question says of the answer."""

    def __init__(self, question: str, language: str) -> None:
        self._language = language
        self.terms = frozenset(terms(question, language))
        self._weights: Mapping[str, float] = {}
        self._may_repeat = _ALTERNATIVES.search(question) is not None or not self.terms
        is_english = language == ENGLISH
        self._wants_number = is_english and _ASKS_NUMBER.search(question) is not None
        self._wants_price = is_english and _ASKS_PRICE.search(question) is not None

    def searched(self, weights: Mapping[str, float], mended: Iterable[str]) -> None:
        """Notes how rare its terms are in what was searched, and what misspelt words were meant to be."""
        self._weights = weights
        self.terms = self.terms.union(*(terms(word, self._language) for word in mended))

    def of(self, text: Text, start: int, end: int) -> Features:
        """Returns the evidence for the span `text.text[start:end]`."""
        span = text.text[start:end]
        is_row = text.kind == "row" and len(text.pieces) > 1
        repeats, marker = self._repeats(span), not is_row and _is_marker(text.text, start, end)
        lacks_number = self._wants_number and _NUMBER.search(span) is None
        if not (repeats or marker or lacks_number or is_row):
            return NOTHING
        column = self._in_row(text, start, end) if is_row else (0.0, 0.0, 0.0, 0.0)
        return (float(repeats), float(marker), float(lacks_number), *column)

    def _repeats(self, span: str) -> bool:
        """Tells whether a span says nothing but words of the question."""
        if self._may_repeat:
            return False
        said = words(span, self._language)
        return bool(said) and all(term(word, self._language) in self.terms for word in said)

    def _in_row(self, text: Text, start: int, end: int) -> tuple[float, float, float, float]:
        """Returns four numbers of a span in a row.

        They are 1; how surely it is looked up, by its column and its row; how much of its cell the question says; and
        whether it is the whole cell.
        """
        pieces = text.pieces
        at = next((n for n, piece in enumerate(pieces) if piece.start <= start and end <= piece.end), None)
        if at is None:
            return (1.0, 0.0, 0.0, 0.0)
        cell, name = pieces[at], _column(text, at)
        named = self._lookup(text, text.text[name.start : name.end]) if name is not None else 0.0
        said = distinct(text.text[cell.start : cell.end], self._language)
        repeated = len(said & self.terms) / len(said) if said else 0.0
        return (1.0, named, repeated, float((start, end) == (cell.start, cell.end)))

    def _lookup(self, text: Text, column: str) -> float:
        """Returns 0 if the question does not name the column, else which part of its other words, by weight, is there.

        Args:
            text: the row.
            column: its name.
        """
        names = distinct(column, self._language)
        is_named = not self.terms.isdisjoint(names)
        if self._wants_price and _PRICE.search(column):
            is_named, names = True, names | _PRICE_TERMS
        if not is_named:
            return 0.0
        others = {one: self._weights.get(one, 1.0) for one in self.terms - names}
        there = distinct(text.text, self._language) | distinct(searched(text.heading), self._language)
        total = sum(others.values())
        return sum(weight for one, weight in others.items() if one in there) / total if total else 1.0


def with_cells(text: Text, places: Sequence[Place]) -> Iterator[Place]:
    """Yields the spans, and of a row its cells: a cell scores no more than what is in it, or than all that was found.

    Args:
        text: the passage.
        places: its best spans.
    """
    yield from places
    if text.kind != "row" or len(text.pieces) < 2 or not places:
        return
    known = {(place.start, place.end) for place in places}
    lowest = min(place.score for place in places)
    for piece in text.pieces:
        is_cell = piece.place >= text.start and (piece.start, piece.end) not in known
        if is_cell and _may_answer(text.text[piece.start : piece.end]):
            inside = [place.score for place in places if piece.start <= place.start and place.end <= piece.end]
            yield Place(piece.start, piece.end, max(inside) - 0.5 if inside else lowest - 1.0)


def weighed(features: Features, weights: Evidence) -> float:
    """Returns what the evidence adds to a span's score."""
    return 0.0 if features is NOTHING else sum(map(float.__mul__, features, weights))


def margins(ranks: Iterable[tuple[float, int, int]]) -> list[float]:
    """Returns by how much each span of a passage outranks the best of the others that it does not overlap.

    Args:
        ranks: rank, start and end of each span.
    """
    every = list(ranks)
    return [
        rank - max((other for other, a, b in every if b <= start or end <= a), default=-float("inf"))
        for rank, start, end in every
    ]


def _column(text: Text, at: int) -> Piece | None:
    """Returns the name of a cell's column: the header before it, or the key of a key and its value."""
    pieces = text.pieces
    if any(piece.place < text.start for piece in pieces):
        is_named = at > 0 and pieces[at].place >= text.start > pieces[at - 1].place
        return pieces[at - 1] if is_named else None
    return pieces[0] if at == 1 and len(pieces) == 2 else None


def _is_marker(text: str, start: int, end: int) -> bool:
    """Tells whether a span is what an item of a list is counted by."""
    if text[end : end + 1] not in (".", ")") or _MARKER.fullmatch(text, start, end) is None:
        return False
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return not line.strip(" \t(#-*")


def _may_answer(cell: str) -> bool:
    return len(cell) <= MAX_CELL_CHARACTERS and any(map(str.isalnum, cell))
