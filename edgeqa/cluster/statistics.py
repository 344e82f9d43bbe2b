"""Statistics of terms over all workers: they decide which workers to ask, and how to score hits.

A worker counts the terms in its index, and keeps the counts in a hash in Valkey. A client fetches the counts of the
question's terms. CORI (Callan, Lu and Croft, 1995) finds the likeliest workers from document frequencies. The best hits
of each worker are then scored anew with the frequencies of all: with each worker's own, the right passage would be
first in 11 fewer of 100 questions. The score is BM25 as the route index computes it (tantivy, with its coarse lengths),
so that hits come in the same order as on one machine. The module is pure, except for `Published`.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.cluster import keys
from edgeqa.contexts import searched
from edgeqa.contexts.search import LENGTH_SHARE, MAX_MENDED, MAX_WORDS, SATURATION, TITLE_WEIGHT, weight
from edgeqa.contexts.terms import one_slip_away, swapped_stop_word, term, terms, words
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgeqa.cluster.membership import Member
    from edgeqa.cluster.valkey import Valkey

MAX_ASKED = 5
"""Workers that are asked a question: these find as much as all."""
_BELIEF = 0.4  # CORI's default belief
_LIVES_S = 60
_NUMBER = "."
"""The field for how often counts were written; no term has a full stop in it."""
_FIELDS_AT_ONCE = 2000
_EXACT_LENGTHS = 24


class Indexed(NamedTuple):
    """The terms of one passage, as the index has them."""

    text: Counter[str]
    heading: Counter[str]

    @classmethod
    def of(cls, text: str, title: str, heading: tuple[str, ...], language: str) -> Indexed:
        """Returns the terms of a passage, and of its title and headings, as the route index has them."""
        above = terms(f"{title} {searched(heading)}", language)
        return cls(Counter(terms(text, language)), Counter(above))


class TermCounts:
    """The number of passages with each term, and the number of terms."""

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()
        self.headings: Counter[str] = Counter()
        self.contexts = self.text_terms = self.heading_terms = 0
        self._changed: set[str] = set()

    def count(self, passage: Indexed, sign: int) -> None:
        """Counts a passage, or takes it off again.

        Args:
            passage: its terms.
            sign: 1 or -1.
        """
        for counts, found in ((self.texts, passage.text.keys()), (self.headings, passage.heading.keys())):
            if sign > 0:
                counts.update(found)
            else:
                counts.subtract(found)
        self._changed |= passage.text.keys() | passage.heading.keys()
        self.contexts += sign
        self.text_terms += sign * sum(passage.text.values())
        self.heading_terms += sign * sum(passage.heading.values())

    def changes(self) -> dict[str, str | None]:
        """Returns the changes since the last call: each term with its counts, or None if it is gone."""
        found: dict[str, str | None] = {}
        for one in self._changed:
            in_texts, in_headings = self.texts[one], self.headings[one]
            found[one] = f"{in_texts},{in_headings}" if in_texts or in_headings else None
        self._changed.clear()
        return found

    def all_changed(self) -> None:
        """Marks all terms as changed."""
        self._changed = set(self.texts) | set(self.headings)


class Asked(NamedTuple):
    """A question's terms, with the counts of all workers together."""

    terms: tuple[str, ...]
    question: str
    """The terms, in which misspelt words are mended."""
    contexts: int
    mean_text: float
    mean_heading: float
    in_texts: Mapping[str, int]
    in_headings: Mapping[str, int]
    mended: Mapping[str, str]
    by_member: Mapping[str, Mapping[str, int]]
    """The number of passages with each term, by worker."""
    unknown: tuple[Member, ...]
    """Workers whose statistics are missing, or older than their index."""

    @property
    def weights(self) -> dict[str, float]:
        """The rarity of each term, as in `Hits`."""
        return {one: weight(self.contexts, self.in_texts[one] or self.in_headings[one]) for one in self.terms}

    @property
    def in_none(self) -> frozenset[str]:
        """The terms that no passage has, as in `Hits.unknown`."""
        return frozenset(one for one in self.terms if not (self.in_texts[one] or self.in_headings[one]))


class Published:
    """The counts in Valkey. Safe from many threads."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    def publish(self, worker: str, changes: Mapping[str, str | None], number: int) -> None:
        """Writes the changes of a worker's counts, then how often it has written, and renews their lifetime.

        Raises:
            ClusterError: if they cannot be written; then all counts must be written again.
        """
        key = keys.of_terms(worker)
        there = [(one, value) for one, value in changes.items() if value is not None]
        gone = [one for one, value in changes.items() if value is None]
        commands: list[tuple[object, ...]] = []
        for place in range(0, len(there), _FIELDS_AT_ONCE):
            some = there[place : place + _FIELDS_AT_ONCE]
            commands.append(("HSET", key, *(part for pair in some for part in pair)))
        parts = range(0, len(gone), _FIELDS_AT_ONCE)
        commands += [("HDEL", key, *gone[place : place + _FIELDS_AT_ONCE]) for place in parts]
        commands += [("HSET", key, _NUMBER, number), ("EXPIRE", key, _LIVES_S)]
        for found in self._valkey.many([(key, command) for command in commands], patience_s=2.0):
            if isinstance(found, ClusterError):
                raise found

    def number(self, worker: str) -> int:
        """Returns how often a worker's counts were written, as Valkey has it, which a failover may set back by one."""
        key = keys.of_terms(worker)
        return int(self._valkey.do(key, "HGET", key, _NUMBER, patience_s=0.5) or -1)

    def asked(self, members: Sequence[Member], question: str, language: str) -> Asked:
        """Returns the counts of a question's terms; a term without a count is not in a worker's index."""
        known = dict.fromkeys(islice(dict.fromkeys(words(question, language)), MAX_WORDS))
        by_word = {word: term(word, language) for word in known}
        unknown: dict[str, Member] = {}
        counts = self._of(members, list(dict.fromkeys(by_word.values())), unknown)
        mended: dict[str, str] = {}
        missing = [] if unknown else [word for word, one in by_word.items() if not any(_all(counts, one))][:MAX_MENDED]
        for word in missing:
            if (meant := swapped_stop_word(word, language)) is not None:
                mended[word] = meant
                del by_word[word]
                continue
            near = {one: term(one, language) for one in sorted(one_slip_away(word))}
            if not near:
                continue
            found = self._of(members, list(dict.fromkeys(near.values())), unknown)
            count, likely = max((_in_either(found, one), other) for other, one in near.items())
            if count:
                mended[word] = likely
                by_word[word] = near[likely]
                for member, some in found.items():
                    counts[member][near[likely]] = some.get(near[likely], (0, 0))
        looked_for = tuple(dict.fromkeys(by_word.values()))
        contexts = sum(one.contexts for one in members)
        return Asked(
            looked_for,
            " ".join(mended.get(word, word) for word in by_word),
            contexts,
            sum(one.text_terms for one in members) / max(1, contexts),
            sum(one.heading_terms for one in members) / max(1, contexts),
            {one: _all(counts, one)[0] for one in looked_for},
            {one: _all(counts, one)[1] for one in looked_for},
            mended,
            {member: {one: some.get(one, (0, 0))[0] for one in looked_for} for member, some in counts.items()},
            tuple(unknown.values()),
        )

    def _of(
        self, members: Sequence[Member], looked_for: list[str], unknown: dict[str, Member]
    ) -> dict[str, dict[str, tuple[int, int]]]:
        """Returns, by worker, the counts of terms; notes workers whose counts are missing or too old."""
        found: dict[str, dict[str, tuple[int, int]]] = {one.id: {} for one in members}
        if not looked_for:
            return found
        at = [keys.of_terms(one.id) for one in members]
        replies = self._valkey.many([(key, ("HMGET", key, _NUMBER, *looked_for)) for key in at], patience_s=0.5)
        for member, values in zip(members, replies, strict=True):
            if not isinstance(values, list) or not values[0] or int(values[0]) < member.published:
                unknown[member.id] = member
            if isinstance(values, list):
                for one, raw in zip(looked_for, values[1:], strict=True):
                    with contextlib.suppress(ValueError, AttributeError):
                        in_texts, _, in_headings = raw.decode().partition(",")
                        found[member.id][one] = int(in_texts), int(in_headings)
        return found


def _all(counts: Mapping[str, Mapping[str, tuple[int, int]]], one: str) -> tuple[int, int]:
    """Returns the number of texts, and of headings, with a term."""
    every = [some.get(one, (0, 0)) for some in counts.values()]
    return sum(count for count, _ in every), sum(count for _, count in every)


def _in_either(counts: Mapping[str, Mapping[str, tuple[int, int]]], one: str) -> int:
    in_texts, in_headings = _all(counts, one)
    return in_texts or in_headings


def likeliest(asked: Asked, members: Sequence[Member], most: int = MAX_ASKED) -> list[Member]:
    """Returns the workers that most likely have the passage, the likeliest first, by CORI; all if there are few."""
    there = [one for one in members if one.contexts]
    if len(there) <= most:
        return there
    mean = max(1.0, sum(one.text_terms for one in there) / len(there))
    holding = {one: sum(bool(asked.by_member[member.id].get(one)) for member in there) for one in asked.terms}

    def belief(member: Member) -> float:
        total = 0.0
        for one in asked.terms:
            if holding[one]:
                count = asked.by_member[member.id].get(one, 0)
                frequency = count / (count + 50 + 150 * member.text_terms / mean)
                rarity = math.log((len(there) + 0.5) / holding[one]) / math.log(len(there) + 1.0)
                total += _BELIEF + (1 - _BELIEF) * frequency * rarity
        return total

    return sorted(there, key=lambda member: (-belief(member), member.id))[:most]


def score(
    asked: Asked, in_text: Mapping[str, int], in_heading: Mapping[str, int], text_terms: int, heading_terms: int
) -> float:
    """Returns the score of a passage for a question, as the index of one machine with all passages computes it.

    Args:
        asked: the question.
        in_text: the count of each of its terms in the text.
        in_heading: the count of each in title and headings.
        text_terms: the number of terms in the text.
        heading_terms: the number of terms in title and headings.
    """
    total = 0.0
    for counts, holding, length, mean, boost in (
        (in_text, asked.in_texts, text_terms, asked.mean_text, 1.0),
        (in_heading, asked.in_headings, heading_terms, asked.mean_heading, TITLE_WEIGHT),
    ):
        norm = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * coarse(length) / mean) if mean else SATURATION
        for one, count in counts.items():
            if one in holding:
                rare = weight(asked.contexts, min(holding[one], asked.contexts))
                total += boost * rare * (SATURATION + 1) * count / (count + norm)
    return total


def coarse(length: int) -> int:
    """Returns a length as rounded by the index, which keeps it in one byte (Lucene's SmallFloat, as in tantivy)."""
    if length < 2 * _EXACT_LENGTHS - 8:
        return length
    rest = length - _EXACT_LENGTHS
    shift = max(0, rest.bit_length() - 4)
    return _EXACT_LENGTHS + (rest >> shift << shift)


def frequencies(passage: Indexed, looked_for: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Returns the count of each term in a passage, and in the headings above it; terms without any are left out."""
    wanted = list(looked_for)
    return (
        {one: passage.text[one] for one in wanted if passage.text[one]},
        {one: passage.heading[one] for one in wanted if passage.heading[one]},
    )
