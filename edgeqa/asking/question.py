"""One question read against passages, the best first, until nothing better is likely.

In: a question, a scope, the equipment of a runtime. Out: an `Outcome`. The spans that a stored context gives for the
question are looked up under the context's own digest first, and remembered there. The model is loaded when the first
passage has to be read; it is not loaded where the spans of all passages are remembered.
"""

from __future__ import annotations

import math
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from edgeqa.asking import evidence, ranking
from edgeqa.asking.records import FoundSpan, NearPassage, Outcome, key_in
from edgeqa.contexts import Place
from edgeqa.contexts.search import coverage
from edgeqa.contexts.terms import distinct, looks_foreign
from edgeqa.digests import blake2b

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgeqa.asking import Scope, SourcePassage
    from edgeqa.asking.equipment import Equipment
    from edgeqa.asking.records import Option, Options
    from edgeqa.cache import Key
    from edgeqa.contexts import Context, Text
    from edgeqa.contexts.search import Hit
    from edgeqa.models.readers import Encoding
    from edgeqa.models.reading import Question
    from edgeqa.timing import Progress, Stopwatch

SPARE_HITS = 16  # so many more hits replace passages that cannot be read
DIGEST_BYTES = 16
CLOSEST = 3  # so many passages are returned at least
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
        self._careful_question: Question | None = None
        self._careful: str | None = None
        self._fast: ranking.Ranked | None = None  # the fast reader's best, once the careful one decides
        self._mended: dict[str, str] = {}
        self._as_read: str | None = None
        self._question_cut = False
        self._said = evidence.Asked(asked, self._language)
        self._ranking = ranking.Ranking(options.top)
        self._near: list[NearPassage] = []
        self._weights: Mapping[str, float] = {}
        self._nothing_shared = False
        self.contexts = self.read_anew = 0
        self.part: tuple[Key, Any] | None = None
        """The key of the last context's answers, and the value that is remembered under it."""

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
        self._said.searched(hits.weights, hits.mended, hits.unknown)
        best = hits.best[0].score if hits.best else 0.0
        self._nothing_shared = best <= 0
        self._watch.over("route")
        if not hits.best:
            self.encoded()  # this refuses a question without a token
        if most is None and best <= 0:  # no term tells the passages apart
            limit += SPARE_HITS
        read = 0
        unread: list[NearPassage] = []
        named = self._named(hits.best)
        for hit in (*named, *[hit for hit in hits.best if hit not in named]) if named else hits.best:
            share = 1.0 if not best or hit in named else hit.score / best
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
            if most is not None:  # else the reading may end at any time, and mostly ends soon
                progress("reading", read, min(limit, len(hits.best)))
        if not self.contexts:
            self._scope.nothing_read()
        self._near.sort(key=lambda near: -near.rank)
        self._near += unread

    def _named(self, hits: Sequence[Hit]) -> list[Hit]:
        """Returns the entries whose meaning is asked for: the search knows no signs, and counts headings less.

        They are those of the document that the search found best, because each program has its own options.
        """
        if not (self._said.options or self._said.asks_meaning):
            return []
        found = [(hit, passage) for hit in hits if (passage := self._scope.passage(hit)) is not None]
        in_best = (one for one in found if one[1].number == found[0][1].number)
        return [hit for hit, passage in in_best if self._said.names(passage.text)]

    def offer(self, passage: SourcePassage, share: float) -> bool:
        """Reads one more passage, or remembers what it says; tells whether there was anything to read."""
        lift = ranking.lift(share, self._numbers)
        before = self.contexts
        if passage.digest is None:  # a passage without a digest is not remembered, and must be read
            self.encoded()
        for context, encoding in self._scope.windows(passage):
            self._watch.over("context")
            window = passage if context is passage.text else passage.window(context)
            self.contexts += 1
            self._take(window, self._places(context, encoding, passage.digest), lift)
        return self.contexts > before

    def _take(self, passage: SourcePassage, places: list[Place], lift: float) -> None:
        """Ranks what one passage says."""
        found = self._weighed(passage.text, places, lift)
        best = max(found, key=itemgetter(0), default=None)
        for rank, place in found if self._options.top > 1 or best is None else (best,):
            self._ranking.offer(rank, place, passage, places)
        self._near.append(
            NearPassage(passage, lift, None) if best is None else NearPassage(passage, best[0], best[1][:2])
        )
        self._watch.over("rank")

    @property
    def is_looked_up(self) -> bool:
        """Whether the answer is a cell whose column and row the question names, or a definition that it asks for.

        Nothing is left to read then.
        """
        best = next(iter(self._ranking.spans()), None)
        if best is None:
            return False
        found = self._said.of(best.passage.text, best.place.start, best.place.end)
        return evidence.is_looked_up(found) and self._probability(best) >= self.no_answer_below

    def is_careful(self, passage: SourcePassage) -> bool:
        """Tells whether the careful reader decides of a passage that is given."""
        return self._equipment.is_careful(partial(self._careful_key, passage), may_load=self._may_read)

    def look_again(self, *given: SourcePassage) -> None:
        """Lets the careful reader read the passages that the fast one ranks highest; it decides from then on.

        They are read best first, as long as the next one may have a better answer.

        Args:
            *given: passages to read instead, which the fast reader has not read.
        """
        second = self._equipment.second.bundle.manifest
        found = [NearPassage(passage, 0.0, None) for passage in given] or self._distinct()
        best, read = found[0].rank if found else 0.0, 0
        self._numbers, self._calibration = second.searched, second.calibration
        self._fast = next(iter(self._ranking.spans()), None)
        self._careful = f"{second.name} {second.version}"
        self._ranking, self._near = ranking.Ranking(self._options.top), []
        for near in found[: ranking.CAREFUL_READ]:
            share = 1 + max(-ranking.MAX_MARGIN, near.rank - best)
            if ranking.is_enough(self._ranking.best, share, read, self._numbers):
                break
            self._take(near.passage, self._places_again(near.passage), ranking.lift(share, self._numbers))
            read += 1
        self._near.sort(key=lambda near: -near.rank)
        below = min((near.rank for near in self._near), default=0.0)
        self._near += [near._replace(rank=min(below, near.rank), marked=None) for near in found[read:]]
        self.contexts = max(self.contexts, read)

    def _distinct(self) -> list[NearPassage]:
        """Returns the passages that were found, best first, of which no two are the same."""
        distinct: dict[Any, NearPassage] = {}
        for near in self._near:
            text = near.passage.text
            distinct.setdefault((near.passage.number, text.start, text.text), near)
        return list(distinct.values())

    def outcome(self) -> Outcome:
        """Returns the result of the passages that were read."""
        found = self._ranking.spans()
        spans = tuple([FoundSpan(one.passage, one.place, self._probability(one)) for one in found])
        return Outcome(
            spans,
            self._closest(),
            self.contexts,
            self._scope.is_given,
            self._question_cut,
            self._as_read if self._as_read != self._asked else None,
            (*self._notes(spans), *self._scope.left_out()),
            tuple(self._scope.damaged()),
            None if self._careful is None else (self._careful, self.no_answer_below),
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
        return tuple(self._distinct()[: max(CLOSEST, self._options.top)])

    def _weighed(self, context: Text, places: list[Place], lift: float) -> list[tuple[float, Place]]:
        """Returns spans of one passage with their ranks: the best ones at least."""
        weights = self._numbers.evidence
        lowers = max(weights.repeats, weights.marker, weights.number) <= 0
        if context.kind != "row" and places and self._options.top == 1 and lowers:
            first = places[0]
            if self._said.of(context, first.start, first.end) is evidence.NOTHING:  # so no other can outrank it
                return [(first.score + lift, first)]
        return [(lift + self._weight(context, place), place) for place in self._said.candidates(context, places)]

    def _weight(self, text: Text, place: Place) -> float:
        """Returns a span's score with the evidence for it."""
        return place.score + evidence.weighed(self._said.of(text, place.start, place.end), self._numbers.evidence)

    def _margin(self, found: ranking.Ranked) -> float:
        """Returns by how much a span outranks the best other one of its passage."""
        text, place = found.passage.text, found.place
        every = self._said.candidates(text, found.among)
        others = (one for one in every if one.end <= place.start or place.end <= one.start)
        return self._weight(text, place) - max((self._weight(text, one) for one in others), default=-math.inf)

    def _probability(self, found: ranking.Ranked) -> float:
        if self._scope.is_given:
            given = self._calibration
            return ranking.sigmoid(given.slope * found.rank + given.intercept)
        there, ahead, text = 0.0, 0.0, found.passage.text
        if self._numbers.coverage:
            is_found = evidence.is_looked_up(self._said.of(text, found.place.start, found.place.end))
            there = 1.0 if is_found else coverage(text.text, text.heading, self._weights, self._language)
        if self._numbers.margin:
            ahead = self._margin(found)
        lead = self._ranking.lead(found) if self._numbers.lead else 0.0
        return ranking.probability(found.rank, there, ahead, self._numbers, lead, agrees=self.is_agreed(found))

    def is_agreed(self, found: ranking.Ranked) -> bool:
        """Tells whether the fast reader's best span overlaps one that the careful reader found."""
        return self._fast is not None and found.overlaps(self._fast)

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
            # For a given passage, the probability depends on no other span.
            top = self._options.top if self._scope.is_given and context.kind != "row" else None
            places, self._question_cut = self._read(context, encoding, top)
            return places
        if not self._may_read and not self._equipment.has_fingerprint:
            raise NotRemembered
        key = key_in(self._equipment, self._as_asked(), digest, {"context": True, "top": self._candidates_of(context)})
        return self._remembered(key, context, lambda: self._read(context, encoding), is_named=self._scope.is_given)

    def _places_again(self, passage: SourcePassage) -> list[Place]:
        """Returns the careful reader's spans of a passage, remembered whatever the passage is a part of."""
        if not self._may_read and (self._equipment.second.key is None or not self._equipment.has_fingerprint):
            raise NotRemembered
        is_named = self._scope.is_given and passage.digest is not None
        key, text = self._careful_key(passage), passage.text
        return self._remembered(key, text, lambda: self._read_again(text), is_named=is_named)

    def _careful_key(self, passage: SourcePassage) -> Key:
        options: dict[str, Option] = {"context": True, "top": self._candidates_of(passage.text)}
        options["reader"] = self._equipment.careful_key
        return key_in(self._equipment, self._as_asked(), passage.digest or _digest(passage.text), options)

    def _remembered(
        self, key: Key, context: Text, read: Callable[[], tuple[list[Place], bool]], *, is_named: bool
    ) -> list[Place]:
        """Returns the places of one passage's answers, remembered under a key, or read now."""
        cache, stored = self._equipment.cache, None
        if is_named and self._may_read:  # a named passage: callers at the same time share one reading
            stored = cache.compute(key, lambda: _part(*read()))
        elif not self._refresh:  # this is only a step on the way, and is not counted
            stored = cache.peek(key)
        known = _part_again(stored, context.text)
        if known is None:
            if not self._may_read:
                raise NotRemembered
            known = read()
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

    def _candidates_of(self, context: Text) -> int:
        """Returns the number of spans of a passage that are looked at."""
        return max(self._options.top, evidence.ROW_CANDIDATES if context.kind == "row" else evidence.CANDIDATES)

    def _read(self, context: Context, encoding: Encoding | None, top: int | None = None) -> tuple[list[Place], bool]:
        """Reads one context anew; returns the places of its answers, and whether the question was cut.

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
            top=self._candidates_of(context) if top is None else top,
            watch=self._watch,
            more=0 if top is None else evidence.CANDIDATES,
            wants_more=lambda place: self._said.of(context, place.start, place.end) is not evidence.NOTHING,
        )
        self.read_anew += 1
        return places, question.is_cut

    def _read_again(self, text: Text) -> tuple[list[Place], bool]:
        """Returns the same of the careful reader."""
        self._watch.over("remember")
        reading = self._equipment.careful
        self._watch.over("load")
        if self._careful_question is None:
            if self._as_read is None:
                self._as_read = reading.mended(self._asked, self._mended) if self._mended else self._asked
            self._careful_question = reading.question(self._as_read)
            self._watch.over("question")
        places = reading.spans_again(self._careful_question, text, top=self._candidates_of(text), watch=self._watch)
        self.read_anew += 1
        return places, self._careful_question.is_cut


def _digest(text: Text) -> str:
    """Returns a digest of what answers on a passage of a text depend on, wherever that stands."""
    own = [(piece.start, piece.end, piece.place >= text.start) for piece in text.pieces]
    borders = getattr(text, "borders", ())
    return blake2b(repr((text.text, text.kind, own, borders)).encode(), digest_size=DIGEST_BYTES).hexdigest()


def _part(places: list[Place], cut: bool) -> dict[str, Any]:  # noqa: FBT001 - as `_part_again` gives it
    """Packs one context's answers to be stored."""
    return {"places": [list(place) for place in places], "question_cut": cut}


def _part_again(stored: Any, text: str) -> tuple[list[Place], bool] | None:  # noqa: ANN401 - whatever lies in the cache
    """Unpacks one context's answers, and whether the question was cut; None if they do not fit its text."""
    try:
        places = [Place(start, end, score) for start, end, score in stored["places"]]
        fits = all(0 <= p.start < p.end <= len(text) for p in places)
        return (places, bool(stored["question_cut"])) if fits else None
    except (KeyError, TypeError, ValueError):
        return None
