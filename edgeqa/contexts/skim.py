"""Which parts of a text too long to read whole are worth reading: blocks of text and a question in, sections out.

Pure. A section is about a passage long. Sections are scored by the question's words in them (BM25 without length, as
sections are equally long; Robertson and Zaragoza, 2009), matched by stem as plain substrings, which goes through
hundreds of megabytes in seconds. It only chooses what the reader reads; it never makes an answer.
"""

from __future__ import annotations

import heapq
import math
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SATURATION = 1.2  # BM25's k1
MARGIN_CHARACTERS = 200  # a section is read with so much of its neighbours: no answer is lost on its border
STEM_CHARACTERS = 4

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


def stems(question: str) -> tuple[str, ...]:
    """Returns what to look for: the beginnings of the question's words, without stop words if others remain."""
    words = dict.fromkeys(_WORD.findall(question.lower()))
    telling = [w for w in words if w not in _STOP_WORDS] or list(words)
    return tuple(dict.fromkeys(_stem(w) for w in telling))


def _stem(word: str) -> str:
    cut = _SUFFIX.sub("", word)
    return cut if len(cut) >= STEM_CHARACTERS else word


def sections(document: int, blocks: Iterable[str], length: int) -> Iterator[Section]:
    """Yields a document's text in sections of about `length` characters, cut at line ends or spaces."""
    pending, place = "", 0
    for block in blocks:
        pending += block
        while len(pending) > 2 * length:
            cut = max(pending.rfind("\n", length // 2, length), 0) or max(pending.rfind(" ", length // 2, length), 0)
            cut = cut + 1 if cut else length
            yield Section(document, place, pending[:cut])
            pending, place = pending[cut:], place + cut
    if pending:
        yield Section(document, place, pending)


def choose(every: Iterable[Section], question: str, most: int) -> set[tuple[int, int]]:
    """Returns (document, start) of the `most` sections that best match the question; the first if none does."""
    looked_for = stems(question)
    first: list[tuple[int, int]] = []
    places: list[tuple[int, int]] = []
    counts: list[tuple[int, ...]] = []  # of the sections that hold any of the words
    total = 0
    for section in every:
        total += 1
        if total <= most:
            first.append((section.document, section.start))
        lower = section.text.lower()
        count = tuple(lower.count(stem) for stem in looked_for)
        if any(count):
            places.append((section.document, section.start))
            counts.append(count)
    if not places:
        return set(first)
    holding = [sum(1 for count in counts if count[i]) for i in range(len(looked_for))]
    weights = [math.log(1 + (total - n + 0.5) / (n + 0.5)) for n in holding]

    def score(i: int) -> float:
        return sum(w * n / (n + SATURATION) for w, n in zip(weights, counts[i], strict=True) if n)

    return {places[i] for i in heapq.nlargest(most, range(len(places)), key=score)}


def with_margins(every: Iterable[Section], chosen: set[tuple[int, int]]) -> Iterator[Section]:
    """Yields the chosen sections in order, each with the end of the section before and the beginning of the next."""
    before: Section | None = None
    current: Section | None = None
    for following in chain(every, [None]):
        if current is not None and (current.document, current.start) in chosen:
            head = before.text[-MARGIN_CHARACTERS:] if before and before.document == current.document else ""
            tail = following.text[:MARGIN_CHARACTERS] if following and following.document == current.document else ""
            yield Section(current.document, current.start - len(head), head + current.text + tail)
        before, current = current, following
