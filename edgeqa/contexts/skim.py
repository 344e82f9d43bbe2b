"""Which parts of a text too long to read whole are worth reading: blocks of text and a question in, sections out.

Pure. A section is about a passage long. Sections are scored by the question's words in them (BM25 without length, as
sections are equally long; Robertson and Zaragoza, 2009), matched by stem as plain substrings, which goes through
hundreds of megabytes in seconds. It only chooses what the reader reads; it never makes an answer.

Lengths are in characters of Latin script. Of other scripts, where a character is often a token, OTHER_CHARACTERS times
fewer make up the same length, so that a section is about a passage in any of them.
"""

from __future__ import annotations

import heapq
import math
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

SATURATION = 1.2  # BM25's k1
OTHER_CHARACTERS = 4
MARGIN_LENGTH = 200  # a section is read with so much of its neighbours: no answer is lost on its border
STEM_CHARACTERS = 4
MOST_STEMS = 64  # of a question; the reader reads no more of it

_WORD = re.compile(r"\w+")
_SUFFIX = re.compile(r"(?:'s|ies|ing|ed|es|s|ly|e|y)$")
_STOP_WORDS = frozenset(
    """
    a about after all also an and any are as at be been before by can could did do does during each for from had has
    have how if in into is it its kind long many may more most much name of often on one only or other over own should
    so some such than that the their them then there these they this to type under up use used was were what when
    where which while who whom whose why will with would you your
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document."""

    document: int
    """Number of the document."""
    start: int
    """Place of its first character."""
    text: str


Place = tuple[int, int]
"""Number of the document, and where in it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is worth reading."""

    places: frozenset[Place]
    """Where the chosen sections begin."""
    score: Callable[[str], float]
    """How well a text matches the question, weighted by how rare the words are in all sections."""


def stems(question: str) -> tuple[str, ...]:
    """Returns what to look for: the beginnings of the question's words, without stop words if others remain."""
    words = dict.fromkeys(_WORD.findall(question.lower()))
    telling = [w for w in words if w not in _STOP_WORDS] or list(words)
    return tuple(dict.fromkeys(_stem(w) for w in telling[:MOST_STEMS]))


def _stem(word: str) -> str:
    cut = _SUFFIX.sub("", word)
    return cut if len(cut) >= STEM_CHARACTERS else word


def sections(document: int, blocks: Iterable[str], length: int) -> Iterator[Section]:
    """Yields a document's text in sections of about `length`, cut at line ends or spaces."""
    pending, place = "", 0
    for block in blocks:
        pending, begin = pending + block, 0
        while len(pending) - begin > 2 * length:
            cut = _cut(pending, begin, length)
            yield Section(document, place + begin, pending[begin:cut])
            begin = cut
        pending, place = pending[begin:], place + begin
    begin = 0
    while len(pending) - begin > 2 * _characters(pending[begin : begin + length], length):
        cut = _cut(pending, begin, length)
        yield Section(document, place + begin, pending[begin:cut])
        begin = cut
    if begin < len(pending):
        yield Section(document, place + begin, pending[begin:])


def _cut(text: str, begin: int, length: int) -> int:
    """Returns where the section that begins at `begin` ends."""
    characters = _characters(text[begin : begin + length], length)
    middle, end = begin + characters // 2, begin + characters
    cut = text.rfind("\n", middle, end)
    if cut < 0:
        cut = text.rfind(" ", middle, end)
    return cut + 1 if cut >= 0 else end


def _characters(text: str, length: int) -> int:
    """Returns how many characters of a text like the beginning of `text` make up `length`."""
    sample = text[:length]  # of the beginning alone: sections must not depend on how the text came in blocks
    others = 0 if sample.isascii() else len(sample) - len(sample.encode("latin-1", "ignore"))
    return max(1, length * len(sample) // (len(sample) + (OTHER_CHARACTERS - 1) * others)) if others else length


def choose(every: Iterable[Section], question: str, most: int) -> Choice:
    """Returns the `most` sections that best match the question; the first if none does. Blank ones are never chosen."""
    looked_for = stems(question)
    first: list[Place] = []
    places: list[Place] = []
    counts: list[tuple[int, ...]] = []  # of the sections that hold any of the words
    total = 0
    for section in every:
        if _is_blank(section.text):
            continue
        total += 1
        if total <= most:
            first.append((section.document, section.start))
        count = _count(section.text, looked_for)
        if any(count):
            places.append((section.document, section.start))
            counts.append(count)
    holding = [sum(1 for count in counts if count[i]) for i in range(len(looked_for))]
    weights = [math.log(1 + (total - n + 0.5) / (n + 0.5)) for n in holding]

    def score(text: str) -> float:
        return _score(_count(text, looked_for), weights)

    if not places:
        return Choice(frozenset(first), score)
    best = heapq.nlargest(most, range(len(places)), key=lambda i: _score(counts[i], weights))
    return Choice(frozenset(places[i] for i in best), score)


def _count(text: str, looked_for: tuple[str, ...]) -> tuple[int, ...]:
    lower = text.lower()
    return tuple(lower.count(stem) for stem in looked_for)


def _score(count: tuple[int, ...], weights: list[float]) -> float:
    return sum(w * n / (n + SATURATION) for w, n in zip(weights, count, strict=True) if n)


def _is_blank(text: str) -> bool:
    """Tells whether nothing of `text` can be seen: white space, controls, joiners."""
    return text.isspace() or not any(c != " " and c.isprintable() for c in text)


def with_margins(every: Iterable[Section], chosen: Collection[Place]) -> Iterator[Section]:
    """Yields the chosen sections in order, each with the end of the section before and the beginning of the next."""
    before: Section | None = None
    current: Section | None = None
    for following in chain(every, [None]):
        if current is not None and (current.document, current.start) in chosen:
            head = _end(before.text) if before and before.document == current.document else ""
            tail = _beginning(following.text) if following and following.document == current.document else ""
            yield Section(current.document, current.start - len(head), head + current.text + tail)
        before, current = current, following


def _beginning(text: str) -> str:
    return text[: _characters(text[:MARGIN_LENGTH], MARGIN_LENGTH)]


def _end(text: str) -> str:
    return text[-_characters(text[-MARGIN_LENGTH:], MARGIN_LENGTH) :]
