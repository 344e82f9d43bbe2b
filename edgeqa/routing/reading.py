"""One question read against contexts of a collection, one after the other: the best first, until enough are read.

In: a question, the parts of a runtime. Out: what was found, and what of it is remembered. What a context says to the
question is looked up under the context's own digest first, and remembered there. The model is loaded when a context
has to be read, so that where all are remembered it is not.
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgeqa.answer import Found
from edgeqa.collection.errors import ContextGone, ShardDamaged
from edgeqa.models.ranking import Place, Ranking
from edgeqa.routing import fusion, records
from edgeqa.routing.asking import key_in
from edgeqa.routing.errors import CollectionEmpty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.cache import Key
    from edgeqa.collection.collection import Collection, StoredContext
    from edgeqa.contexts.routing import Progress
    from edgeqa.parts import Parts
    from edgeqa.reading import Question
    from edgeqa.routing.index import Hit
    from edgeqa.timing import Stopwatch

SPARE_HITS = 16  # stand in for contexts that cannot be read


class RoutedReading:
    """One question read against contexts of a collection, one after the other."""

    def __init__(self, parts: Parts, asked: str, top: int, watch: Stopwatch, *, refresh: bool) -> None:
        self._parts, self._asked, self._top, self._watch, self._refresh = parts, asked, top, watch, refresh
        self._question: Question | None = None
        self._documents: dict[str, int] = {}
        self._context_ids: dict[str | None, int] = {}
        self._damaged: dict[str, ShardDamaged] = {}
        self._question_cut = False
        self._collection: Collection | None = None
        self.ranking = Ranking(top)
        self.read_anew = 0
        self.part: tuple[Key, Any] | None = None
        """What the last context's answers are remembered under, and what is remembered."""

    def read(self, most: int | None, progress: Progress) -> None:
        """Reads the contexts closest to the question: `most` of them, or as many as can still change the answer."""
        self._collection, index = self._parts.scope.routed()
        if not self._collection.contexts:
            raise CollectionEmpty(self._collection.directory)
        limit = most or fusion.MOST_READ
        hits = self._parts.scope.search(index, self._asked, limit + SPARE_HITS)
        self._watch.over("route")
        self._damaged.update(self._collection.damaged)
        if not hits:
            self._encoded()  # what has no token is no question
            from edgeqa.routing.terms import words

            if not words(self._asked):  # it has but words that every text has: the first contexts are as close as any
                hits = list(islice(self._first(self._collection), limit + SPARE_HITS))
        for hit in hits:
            share, read = hit.score / hits[0].score, self.ranking.contexts
            if read == limit:
                break
            if most is None and read and fusion.chance_of_better(self.ranking.best, share, read) < fusion.ENOUGH_BELOW:
                break
            try:
                context = self._collection.context(hit.context_id)
            except ShardDamaged as damage:
                self._damaged[damage.tag] = damage
            except ContextGone:  # removed since the index was opened
                continue
            else:
                self.offer(context, share=share)
                progress("reading", self.ranking.contexts, min(limit, len(hits)))

    def _first(self, collection: Collection) -> Iterator[Hit]:
        """Yields the first contexts of a collection as if each had been found."""
        from edgeqa.routing.index import Hit

        for context in collection.contexts_from(0):
            with contextlib.suppress(ContextGone):
                yield Hit(collection.context(context.context_id).context_id, 1.0)

    def offer(self, context: StoredContext, *, share: float) -> None:
        """Reads one more context, or remembers what it says."""
        self._watch.over("context")
        address = context.address
        self._context_ids[address] = context.context_id
        document = address.rpartition(":")[0]  # with its shard's tag: two documents may have one name
        number = self._documents.setdefault(document, len(self._documents))
        self.ranking.offer(
            self._places(context), context, context.document, number, lift=fusion.lift(share), address=address
        )
        self._watch.over("rank")

    def found(self) -> Found:
        """Returns what the contexts that were read say."""
        return Found(
            candidates=records.numbered(self.ranking.candidates(fusion.CALIBRATION)),
            contexts=self.ranking.contexts,
            skimmed=self._collection is not None and self.ranking.contexts < self._collection.contexts,
            question_cut=self._question_cut,
            damaged=tuple(str(damage) for damage in self._damaged.values()),
        )

    def record(self, digest: str) -> dict[str, Any]:
        """Returns what is remembered, if that is an answer of the whole collection with this digest."""
        whole = not self._damaged and self._collection is not None and self._collection.digest == digest
        return records.record(self.found(), self._context_ids, whole=whole)

    def _places(self, context: StoredContext) -> list[Place]:
        key = key_in(self._parts, self._asked, context.digest, {"context": True, "top": self._top})
        cache, stored = self._parts.cache, None
        if self._collection is None:  # asked by its name, it is what was asked for; callers at once have it read once
            stored = cache.compute(key, lambda: _part(*self._read(context)))
        elif not self._refresh:  # a step on the way, and not counted
            stored = cache.peek(key)
        known = _part_again(stored, context.text)
        if known is None:
            known = self._read(context)
            stored = _part(*known)
            cache.put(key, stored)
        self._watch.over("remember")
        self.part = key, stored
        places, cut = known
        self._question_cut |= cut
        return places

    def _read(self, context: StoredContext) -> tuple[list[Place], bool]:
        """Returns where one context's answers are, read anew, and whether the question was cut."""
        self._watch.over("remember")
        question = self._encoded()
        places = self._parts.reading.spans(question, context, context.encoding, top=self._top, watch=self._watch)
        self.read_anew += 1
        return places, question.is_cut

    def _encoded(self) -> Question:
        if self._question is None:
            reading = self._parts.reading
            self._watch.over("load")
            self._question = reading.question(self._asked)
            self._watch.over("question")
            self._question_cut = self._question.is_cut
        return self._question


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
