"""One question read against passages, the best first, until nothing better is likely.

In: a question, a scope, the equipment of a runtime. Out: an `Outcome`. What a stored context says to the question is
looked up under the context's own digest first, and remembered there. The model is loaded when a passage has to be read,
so that where all are remembered it is not.
"""

from __future__ import annotations

import math
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from edgeqa.asking import evidence, ranking
from edgeqa.asking.keys import key_in
from edgeqa.asking.records import FoundSpan, NearPassage, Outcome
from edgeqa.contexts.context import Place
from edgeqa.contexts.search import coverage
from edgeqa.contexts.terms import distinct, looks_foreign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.asking.equipment import Equipment
    from edgeqa.asking.keys import Options
    from edgeqa.asking.scope import Scope, SourcePassage
    from edgeqa.cache import Key
    from edgeqa.contexts.context import Context, Text
    from edgeqa.models.readers import Encoding
    from edgeqa.models.reading import Question
    from edgeqa.timing import Progress, Stopwatch

SPARE_HITS = 16  # stand in for passages that cannot be read
CLOSEST = 3  # passages that are given out at least
OTHER_LANGUAGE = "the text is not in the model's language"
NOTHING_SHARED = "the text has no word of the question"


class NotRemembered(LookupError):
    """A context would have to be read, and is not to be."""


class Asking:
    """One question on its way through the passages of a scope."""

    def __init__(
        self,
        equipment: Equipment,
        scope: Scope,
        asked: str,
        options: Options,
        watch: Stopwatch,
        *,
        refresh: bool = False,
        may_read: bool = True,
    ) -> None:
        self._equipment, self._scope, self._asked, self._watch, self._refresh = equipment, scope, asked, watch, refresh
        self._may_read = may_read
        self._options = options
        manifest = equipment.bundle.manifest
        self._numbers, self._calibration, self._language = manifest.searched, manifest.calibration, manifest.language
        self._question: Question | None = None
        self._mended: dict[str, str] = {}
        self._as_read: str | None = None
        self._question_cut = False
        self._said = evidence.Asked(asked, self._language)
        weights = self._numbers.evidence
        self._evidence_lowers = max(weights.repeats, weights.marker, weights.number) <= 0
        self._ranking = ranking.Ranking(options.top)
        self._near: list[NearPassage] = []
        self._weights: Mapping[str, float] = {}
        self._nothing_shared = False
        self.contexts = self.read_anew = 0
        self.part: tuple[Key, Any] | None = None
        """What the last context's answers are remembered under, and what is remembered."""

    def read(self, progress: Progress) -> None:
        """Reads the passages closest to the question: as many as were asked for, or as can still change the answer.

        Raises:
            EmptyQuestion: if the question has no token.
            ContextError: if a text cannot be read, or has none.
        """
        most = self._options.most_contexts
        limit = most or ranking.MAX_READ
        hits = self._scope.search(self._asked, limit + SPARE_HITS)
        self._weights, self._mended = hits.weights, dict(hits.mended)
        self._said.searched(hits.weights, hits.mended.values())
        best = hits.best[0].score if hits.best else 0.0
        self._nothing_shared = best <= 0
        self._watch.over("route")
        if not hits.best:
            self.encoded()  # what has no token is no question
        if most is None and best <= 0:  # nothing tells which passages are closer
            limit += SPARE_HITS
        read = 0
        unread: list[NearPassage] = []
        for hit in hits.best:
            share = hit.score / best if best else 1.0
            enough = read >= limit or (
                most is None
                and hits.passages > ranking.FEW_PASSAGES
                and ranking.is_enough(self._ranking.best, share, read, self._numbers)
            )
            if enough and read + len(unread) >= CLOSEST:
                break
            passage = self._scope.passage(hit)
            if passage is None:
                continue
            if enough:
                unread.append(
                    NearPassage(passage, ranking.lift(share, self._numbers) + min(0.0, self._ranking.best), None)
                )
                continue
            read += self.offer(passage, share)
            if most is not None:  # else reading may end any time, and soon
                progress("reading", read, min(limit, len(hits.best)))
        if not self.contexts:
            self._scope.nothing_read()
        self._near.sort(key=lambda near: -near.rank)
        self._near += unread

    def offer(self, passage: SourcePassage, share: float) -> bool:
        """Reads one more passage, or remembers what it says; tells whether there was anything to read."""
        lift = ranking.lift(share, self._numbers)
        before = self.contexts
        if passage.digest is None:  # nothing of it is remembered: it is read, and the model needed
            self.encoded()
        for context, encoding in self._scope.windows(passage):
            self._watch.over("context")
            window = passage if context is passage.text else passage.window(context)
            self.contexts += 1
            places = self._places(context, encoding, passage.digest)
            found = self._weighed(context, places, lift)
            best = max(found, key=itemgetter(0), default=None)
            for rank, place in found if self._options.top > 1 or best is None else (best,):
                self._ranking.offer(rank, place, window, places)
            self._near.append(
                NearPassage(window, lift, None) if best is None else NearPassage(window, best[0], best[1][:2])
            )
            self._watch.over("rank")
        return self.contexts > before

    def outcome(self) -> Outcome:
        """Returns what the passages that were read say."""
        spans = tuple(
            FoundSpan(found.passage, found.place, self._probability(found)) for found in self._ranking.spans()
        )
        return Outcome(
            spans,
            self._closest(),
            self.contexts,
            self._scope.is_given,
            self._question_cut,
            self._as_read if self._as_read != self._asked else None,
            (*self._notes(spans), *self._scope.left_out()),
            tuple(self._scope.damaged()),
        )

    def encoded(self) -> Question:
        """Returns the question after the lower layers, mended where it is misspelt.

        Raises:
            EmptyQuestion: if it has no token.
        """
        if self._question is None:
            reading = self._equipment.reading
            self._watch.over("load")
            self._as_read = reading.mended(self._asked, self._mended) if self._mended else self._asked
            self._question = reading.question(self._as_read)
            self._watch.over("question")
            self._question_cut = self._question.is_cut
        return self._question

    def _closest(self) -> tuple[NearPassage, ...]:
        """Returns the closest passages, of windows that overlap the best one."""
        kept: list[NearPassage] = []
        seen = set()
        most = max(CLOSEST, self._options.top)
        for near in self._near:
            at = near.passage.number, near.passage.text.start, near.passage.text.text
            if at not in seen and len(kept) < most:
                seen.add(at)
                kept.append(near)
        return tuple(kept)

    def _weighed(self, context: Context, places: list[Place], lift: float) -> list[tuple[float, Place]]:
        """Returns spans of one passage with their ranks: the best ones at least."""
        if context.kind != "row" and places and self._options.top == 1 and self._evidence_lowers:
            first = places[0]
            if self._said.of(context, first.start, first.end) is evidence.NOTHING:  # so no other can outrank it
                return [(first.score + lift, first)]
        return [(lift + self._weight(context, place), place) for place in evidence.with_cells(context, places)]

    def _weight(self, text: Text, place: Place) -> float:
        """Returns a span's score with the evidence for it."""
        return place.score + evidence.weighed(self._said.of(text, place.start, place.end), self._numbers.evidence)

    def _margin(self, found: ranking.Ranked) -> float:
        """Returns by how much a span outranks the best other one of its passage."""
        text, place = found.passage.text, found.place
        every = evidence.with_cells(text, found.among)
        others = (one for one in every if one.end <= place.start or place.end <= one.start)
        return self._weight(text, place) - max((self._weight(text, one) for one in others), default=-math.inf)

    def _probability(self, found: ranking.Ranked) -> float:
        if self._scope.is_given:
            given = self._calibration
            return ranking.sigmoid(given.slope * found.rank + given.intercept)
        there, ahead, text = 0.0, 0.0, found.passage.text
        if self._numbers.coverage:
            there = coverage(text.text, text.heading, self._weights, self._language)
        if self._numbers.margin:
            ahead = self._margin(found)
        return ranking.probability(found.rank, there, ahead, self._numbers)

    def _notes(self, spans: tuple[FoundSpan, ...]) -> tuple[str, ...]:
        """Returns why there may be no answer; asked for only where it is unlikely that there is one."""
        if spans and spans[0].probability >= self.no_answer_below:
            return ()
        texts = [near.passage.text.text for near in self._near[:CLOSEST]]
        notes = []
        if looks_foreign(" ".join(texts), self._language):
            notes.append(OTHER_LANGUAGE)
        if self._said.terms and (self._nothing_shared if not self._scope.is_given else not self._shares(texts)):
            notes.append(NOTHING_SHARED)
        return tuple(notes)

    @property
    def no_answer_below(self) -> float:
        """The probability under which no answer is given."""
        return (self._calibration if self._scope.is_given else self._numbers).no_answer_below

    def _shares(self, texts: list[str]) -> bool:
        return any(not self._said.terms.isdisjoint(distinct(text, self._language)) for text in texts)

    def _places(self, context: Context, encoding: Encoding | None, digest: str | None) -> list[Place]:
        if digest is None:
            # Of a passage that is given, the probability depends on no other span.
            top = self._options.top if self._scope.is_given and context.kind != "row" else None
            places, self._question_cut = self._read(context, encoding, top)
            return places
        if not self._may_read and not self._equipment.has_fingerprint:
            raise NotRemembered
        options = {"context": True, "top": self._most(context)}
        key = key_in(self._equipment, self._as_asked(), digest, options)
        cache, stored = self._equipment.cache, None
        if self._scope.is_given and self._may_read:  # what was asked for by its name; callers at once have it read once
            stored = cache.compute(key, lambda: _part(*self._read(context, encoding)))
        elif not self._refresh:  # a step on the way, and not counted
            stored = cache.peek(key)
        known = _part_again(stored, context.text)
        if known is None:
            if not self._may_read:
                raise NotRemembered
            known = self._read(context, encoding)
            stored = _part(*known)
            cache.put(key, stored)
        self._watch.over("remember")
        self.part = key, stored
        places, cut = known
        self._question_cut |= cut
        return places

    def _as_asked(self) -> str:
        """Returns the question as it is read, as far as that can be known without the model."""
        return self._asked if not self._mended else f"{self._asked}\n{sorted(self._mended.items())}"

    def _most(self, context: Context) -> int:
        """Returns how many spans of a passage are looked at."""
        return max(self._options.top, evidence.ROW_CANDIDATES if context.kind == "row" else evidence.CANDIDATES)

    def _read(self, context: Context, encoding: Encoding | None, top: int | None = None) -> tuple[list[Place], bool]:
        """Returns where one context's answers are, read anew, and whether the question was cut.

        Args:
            context: what is read.
            encoding: of it, where that is stored.
            top: how many spans, and more only where one of these may be no answer; None for as many as are weighed.
        """
        self._watch.over("remember")
        question = self.encoded()
        places = self._equipment.reading.spans(
            question,
            context,
            encoding,
            top=self._most(context) if top is None else top,
            watch=self._watch,
            more=0 if top is None else evidence.CANDIDATES,
            wants_more=lambda place: self._said.of(context, place.start, place.end) is not evidence.NOTHING,
        )
        self.read_anew += 1
        return places, question.is_cut


def _part(places: list[Place], cut: bool) -> dict[str, Any]:  # noqa: FBT001 - as `_part_again` gives it
    """Returns what is stored of one context's answers."""
    return {"places": [list(place) for place in places], "question_cut": cut}


def _part_again(stored: Any, text: str) -> tuple[list[Place], bool] | None:  # noqa: ANN401 - whatever lies in the cache
    """Returns where one context's answers are, and whether the question was cut; None if that does not fit its text."""
    try:
        places = [Place(start, end, score) for start, end, score in stored["places"]]
        fits = all(0 <= p.start < p.end <= len(text) for p in places)
        return (places, bool(stored["question_cut"])) if fits else None
    except (KeyError, TypeError, ValueError):
        return None
