"""Search without an index on disk: it finds the passages that share the most with a question. Pure.

In: passages and a question. Out: the best passages. They are ranked by BM25 (Robertson and Zaragoza, 2009), as in the
index of a collection: the words of the text count, and those of the headings above it count less.

A text that is held in memory is read once, and each question looks up its words. Any other text is read again for each
question, which takes 0.1 ms a kilobyte. The search then keeps only the counts of passages that share a word, so that a
text of any size can be asked. If the text lacks a word, the search takes one that is a slip away, as in a collection.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice
from string import ascii_lowercase
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.contexts import searched
from edgeqa.contexts.terms import (
    FIRST_KEPT,
    all_words,
    bare,
    distinct,
    is_one_slip_away,
    is_stop_word,
    is_tried,
    one_slip_away,
    swapped_stop_word,
    term,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edgeqa.contexts.passages import Passage

SATURATION, LENGTH_SHARE = 1.2, 0.75  # BM25's k1 and b
TITLE_WEIGHT = 0.3  # a word in the headings counts so much against one in the text
MAX_WORDS = 64  # the reader reads no more words of a question
MAX_QUESTION_CHARACTERS = 1 << 14  # its tokens never take more
MAX_MENDED = 3  # so many misspelt words of a question are mended at most
FEW_WORDS = 200  # if so few words share an initial, all of them are compared with a misspelt word
_WORD_BYTES = 400  # memory for a word, the list of its passages, its term, and their places in tables


class Hit(NamedTuple):
    """A passage that shares something with the question."""

    number: int
    """The passage's number, counted from 0; in a collection, the context's id."""
    score: float
    """A larger score is better; scores of different questions cannot be compared."""


class Hits(NamedTuple):
    """The result of a search."""

    best: list[Hit]
    """The best passages, best first; among equal scores the earlier passage comes first."""
    passages: int
    """The number of passages that the search looked at."""
    weights: Mapping[str, float]
    """The rarity of each term of the question, also of terms that no passage has."""
    mended: Mapping[str, str] = MappingProxyType({})
    """Words of the question that no passage has, and the words that they were taken for."""
    unknown: frozenset[str] = frozenset()
    """Terms of the question that no passage has."""


def weight(passages: int, holding: int) -> float:
    """Returns the weight, by BM25, of a term that so many of the passages have."""
    return math.log(1 + (passages - holding + 0.5) / (holding + 0.5))


def coverage(text: str, heading: tuple[str, ...], weights: Mapping[str, float], language: str) -> float:
    """Returns the share of the question's terms, by weight, that a passage or its headings have, in [0, 1]."""
    total = sum(weights.values())
    if not total:
        return 0.0
    there, above = distinct(text, language), distinct(searched(heading), language)
    return sum(of for term, of in weights.items() if term in there or term in above) / total


class Words:
    """The words of some passages: the table is made once and serves any number of questions."""

    def __init__(self, passages: Iterable[Passage], language: str) -> None:
        self.language = language
        self.in_texts: dict[str, list[int]] = {}
        """The passages that have a word in the text, by word, in rising order, each as often as it has the word."""
        self.in_headings: dict[str, list[int]] = {}
        """The same for the headings above the text; a word that is in no heading is left out."""
        self.sizes: list[int] = []
        """How many words each passage has, without its headings."""
        self.with_heading = 0
        """How many passages have a heading."""
        self._terms: dict[str, dict[str, list[str]]] = {}
        in_texts, heading, in_heading = self.in_texts, None, list[str]()
        for number, passage in enumerate(passages):
            every = all_words(passage.text)
            for word in every:
                if word in in_texts:
                    in_texts[word].append(number)
                else:
                    in_texts[word] = [number]
            if passage.heading != heading:
                heading, in_heading = passage.heading, all_words(searched(passage.heading))
            for word in in_heading:
                self.in_headings.setdefault(word, []).append(number)
            self.sizes.append(len(every))
            self.with_heading += bool(heading)
        for word in self.in_headings:
            in_texts.setdefault(word, [])
        self._initials: dict[str, list[str]] = {}
        for word in in_texts:
            self._initials.setdefault(word[0], []).append(word)

    @property
    def size_bytes(self) -> int:
        """The memory that the table takes, about, once words of all initials have been compared."""
        each = sum(map(len, self.in_texts.values())) + sum(map(len, self.in_headings.values()))
        return 9 * each + _WORD_BYTES * (len(self.in_texts) + len(self.in_headings)) + 40 * len(self.sizes)

    def near(self, word: str) -> Iterable[str]:
        """Returns the words that are one slip away from `word`."""
        alike = self._initials.get(word[0], ())
        if len(alike) > FEW_WORDS or not is_tried(word):
            return one_slip_away(word) & self.in_texts.keys()
        rest = word[1:]
        others = {rest, rest[0] + word[0] + rest[1:]}  # these have the slip in the first letter
        others.update([letter + word for letter in ascii_lowercase])
        if len(word) > FIRST_KEPT:
            others.update([letter + rest for letter in ascii_lowercase])
        others = {other for other in others if other in self.in_texts and other[0] != word[0]}
        return others.union(other for other in alike if is_one_slip_away(word, other))

    def of(self, one: str) -> list[str]:
        """Returns the words that a term is made of."""
        initial = one[0]
        found = self._terms.get(initial)
        if found is None:  # two threads may both make the table, which does no harm: the words are the same
            found = {}
            for word in self._initials.get(initial, ()):
                if not is_stop_word(known := bare(word), self.language):
                    found.setdefault(term(known, self.language), []).append(word)
            self._terms[initial] = found
        return found.get(one, [])


def search(passages: Words | Callable[[], Iterable[Passage]], question: str, most: int, language: str) -> Hits:
    """Returns the passages that share the most with the question, `most` of them at most.

    Args:
        passages: the passages' words, or a function that begins to read the passages.
        question: the question, on one line.
        most: how many passages to return.
        language: the language of stop words and stems.
    """
    asked = {word: term(word, language) for word in islice(dict.fromkeys(words(question, language)), MAX_WORDS)}
    scan = _Scan(list(asked.values()), language).over(passages)
    mended: dict[str, str] = {}
    missing = [word for word, one in asked.items() if not scan.holds(one)][:MAX_MENDED]
    for word in missing:
        if (meant := swapped_stop_word(word, language)) is not None:
            mended[word] = meant
            del asked[word]
    missing = [word for word in missing if word in asked]
    candidates = {word: near for word in missing if (near := sorted(scan.near(word)))}
    if candidates:
        every = (*asked, *(word for near in candidates.values() for word in near))
        wider = _Scan([term(word, language) for word in every], language).over(passages)
        for word, near in candidates.items():
            mended[word] = max(near, key=lambda one: (wider.holds(term(one, language)), one))
        asked |= {word: term(meant, language) for word, meant in mended.items()}
        scan = wider.only(set(asked.values()))
    weights = {one: weight(scan.passages, scan.holds(one)) for one in asked.values()}
    unknown = frozenset(one for one in weights if not scan.holds(one))
    return Hits(scan.best(most), scan.passages, weights, mended, unknown)


class _Scan:
    """Counts terms in passages."""

    def __init__(self, terms: list[str], language: str) -> None:
        self._terms = list(dict.fromkeys(terms))
        self._language = language
        self._initials = {one[0] for one in self._terms}
        self._places = {one: place for place, one in enumerate(self._terms)}
        self.near: Callable[[str], Iterable[str]] = lambda _: ()
        self._known: dict[str, int] = {}  # by word: the number of its term, or -1
        self._counts: list[tuple[int, int, dict[int, int], dict[int, int]]] = []
        self.passages = 0
        self._words = self._with_heading = 0
        self._holding: Counter[int] | None = None

    def over(self, passages: Words | Callable[[], Iterable[Passage]]) -> _Scan:
        """Reads the passages, or looks up their words."""
        if isinstance(passages, Words):
            self._look_up(passages)
        else:
            self._read(passages())
        return self

    def _look_up(self, words: Words) -> None:
        self.near, self.passages, self._words = words.near, len(words.sizes), sum(words.sizes)
        self._with_heading = words.with_heading
        counts: dict[int, tuple[dict[int, int], dict[int, int]]] = {}
        for one, place in self._places.items():
            for word in words.of(one):
                for which, numbers in enumerate((words.in_texts[word], words.in_headings.get(word, ()))):
                    for number in numbers:
                        found = counts.setdefault(number, ({}, {}))[which]
                        found[place] = found.get(place, 0) + 1
        self._counts = [(number, words.sizes[number], *counts[number]) for number in sorted(counts)]

    def _read(self, passages: Iterable[Passage]) -> None:
        self.near = lambda word: one_slip_away(word) & self._known.keys()
        heading, in_heading = tuple[str, ...](), dict[int, int]()
        for passage in passages:
            in_text, size = self._counted(passage.text)
            if passage.heading != heading:
                heading, (in_heading, _) = passage.heading, self._counted(searched(passage.heading))
            self._words += size
            self._with_heading += bool(heading)
            if in_text or in_heading:
                self._counts.append((self.passages, size, in_text, in_heading))
            self.passages += 1

    def _counted(self, text: str) -> tuple[dict[int, int], int]:
        """Returns the count of each term in a text, and the number of its words."""
        found: dict[int, int] = {}
        known = self._known
        every = all_words(text)
        for word in every:
            place = known.get(word)
            if place is None:
                place = known[word] = self._place(word)
            if place >= 0:
                found[place] = found.get(place, 0) + 1
        return dict(sorted(found.items())), len(every)  # sums in one order are equal to the last bit

    def _place(self, word: str) -> int:
        if word[0] not in self._initials:
            return -1
        word = bare(word)
        return -1 if is_stop_word(word, self._language) else self._places.get(term(word, self._language), -1)

    def holds(self, one: str) -> int:
        """Returns the number of passages that have a term, in the text or above it."""
        if self._holding is None:
            self._holding = Counter(place for *_, a, b in self._counts for place in a.keys() | b.keys())
        return self._holding[self._places.get(one, -1)]

    def only(self, terms: set[str]) -> _Scan:
        """Returns the same counts for some of the terms only."""
        kept = {self._places[one] for one in terms if one in self._places}
        self._counts = [
            (number, size, {p: n for p, n in a.items() if p in kept}, {p: n for p, n in b.items() if p in kept})
            for number, size, a, b in self._counts
        ]
        return self

    def best(self, most: int) -> list[Hit]:
        """Returns the best passages."""
        in_texts, in_headings = self._weights(2, self.passages), self._weights(3, self._with_heading)
        mean = max(1.0, self._words / max(1, self.passages))
        hits = []
        for number, size, in_text, in_heading in self._counts:
            norm = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * size / mean)
            score = sum(in_texts[place] * n * (SATURATION + 1) / (n + norm) for place, n in in_text.items())
            score += TITLE_WEIGHT * sum(
                in_headings[place] * n * (SATURATION + 1) / (n + SATURATION) for place, n in in_heading.items()
            )
            if score:
                hits.append(Hit(number, score))
        return sorted(hits, key=lambda hit: (-hit.score, hit.number))[:most]

    def _weights(self, which: int, total: int) -> dict[int, float]:
        """Returns the weight of each term in texts or in headings, by BM25."""
        holding = dict.fromkeys(range(len(self._terms)), 0)
        for counts in self._counts:
            for place in counts[2] if which == 2 else counts[3]:
                holding[place] += 1
        return {place: weight(total, n) for place, n in holding.items()}
