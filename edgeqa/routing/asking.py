"""Asking a collection: a question in, an `Answer` out, remembered or read now from the contexts closest to it.

The whole answer is remembered under the collection's digest, and what each context says to the question under the
context's own: after a document was added, a repeated question reads only what is new. The contexts come best first
(`index`), and are read until another is unlikely to change the answer (`fusion`). Neither the model nor the index is
loaded for an answer that is remembered.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeqa.answer import Answer, Found, decide
from edgeqa.cache import answer_keys
from edgeqa.collection.errors import ContextGone, ShardDamaged
from edgeqa.contexts.normal import one_line
from edgeqa.errors import OptionError
from edgeqa.models.ranking import Ranking
from edgeqa.routing import fusion, records
from edgeqa.routing.address import AnswerName, meanings
from edgeqa.routing.errors import CollectionEmpty
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Hashable

    from edgeqa.cache import Key
    from edgeqa.collection.collection import Collection, StoredContext
    from edgeqa.contexts.routing import Progress
    from edgeqa.models.ranking import Place
    from edgeqa.parts import Parts
    from edgeqa.reading import Question

SPARE_HITS = 16  # stand in for contexts that cannot be read


@dataclass(frozen=True, slots=True)
class Options:
    """What an answer depends on besides question, collection and model."""

    top: int
    force: bool
    most_contexts: int | None
    """Exactly so many contexts are read; None for as many as can still change the answer."""

    def check(self) -> None:
        """Raises OptionError for what makes no sense."""
        for name, value in (
            ("top", self.top),
            ("most_contexts", 1 if self.most_contexts is None else self.most_contexts),
        ):
            if type(value) is not int or value < 1:
                raise OptionError(name, value, "a whole number from 1 on")


def ask(parts: Parts, asked: str, options: Options, *, refresh: bool, progress: Progress) -> Answer:
    """Returns the answer from the collection, as `EdgeQA.ask` does without a context.

    Raises:
        CollectionError: if there is no collection, or it cannot be read.
    """
    watch = Stopwatch()
    cache, scope = parts.cache, parts.scope
    digest = scope.digest()
    alias: Hashable = (parts.bundle.digest, parts.precision, digest, asked, options)
    if not refresh and (entry := cache.front.get(alias)) is not None and type(answer := entry.value) is Answer:
        return answer
    options.check()
    read_now: list[_Read] = []

    def read() -> dict[str, Any]:
        found = _Read(parts, asked, options.top, watch, refresh=refresh)
        found.read(options.most_contexts, progress)
        read_now.append(found)
        return found.record(digest)

    with watch.step("key"):
        key = _key(parts, asked, digest, asdict(options))
    record = cache.compute(key, read, refresh=refresh)
    found = None if read_now else records.found_again(record, scope.collection())
    if found is None and not read_now:  # what is remembered does not fit the collection
        record = read()
        if record["whole"]:
            cache.put(key, record)
    answer = decide(
        asked,
        found or read_now[0].found(),
        no_answer_below=0.0 if options.force else fusion.CALIBRATION.no_answer_below,
        model=parts.model,
        cached=not read_now,
        timings_ms=watch.timings_ms(),
    )
    if record["whole"]:
        cache.bind(alias, key, replace(answer, cached=True))
    return answer


def answer_key(parts: Parts, asked: str, options: Options) -> Key:
    """Returns what the answer from the collection as it is now is remembered under."""
    options.check()
    return _key(parts, asked, parts.scope.digest(), asdict(options))


def closest(parts: Parts, asked: str, most: int) -> list[StoredContext]:
    """Returns the contexts closest to the question, best first, as `EdgeQA.closest` does."""
    collection, index = parts.scope.routed()
    found = []
    for hit in index.search(asked, most):
        with contextlib.suppress(ContextGone):  # removed since the index was opened
            found.append(collection.context(hit.context_id))
    return found


def get(parts: Parts, name: str, *, force: bool) -> Answer:
    """Returns the answer to a question on one context, as `EdgeQA.get` does.

    Raises:
        AnswerNameInvalid: if the name is not of the form.
        ContextGone: if the collection has no such context.
    """
    watch = Stopwatch()
    meant, context = _find(parts.scope.collection(), name)
    asked = one_line(meant.question)
    one = _Read(parts, asked, 1, watch, refresh=False)
    one.offer(context, share=1.0)
    calibration = parts.bundle.manifest.calibration
    return decide(
        asked,
        replace(one.found(), candidates=one.ranking.candidates(calibration)),
        no_answer_below=0.0 if force else calibration.no_answer_below,
        model=parts.model,
        cached=not one.read_anew,
        timings_ms=watch.timings_ms(),
    )


def _find(collection: Collection, name: str) -> tuple[AnswerName, StoredContext]:
    """Returns what the name means, and the context that it names."""
    from edgeqa.collection.catalogue import Catalogue

    possible = meanings(name)
    with Catalogue.read(collection.directory) as catalogue:
        for meant in possible:
            for row in catalogue.documents_named(meant.address.document):
                if row.tag == meant.address.tag and meant.address.number <= row.contexts:
                    return meant, collection.context(row.first + meant.address.number - 1)
    raise ContextGone(possible[0].address)


def _key(parts: Parts, asked: str, scope_digest: str, options: dict[str, object]) -> Key:
    key_of = answer_keys(
        bundle_digest=parts.bundle.digest,
        precision=parts.precision,
        options=options,
        scope_digest=scope_digest,
        lowercase=parts.bundle.manifest.lowercase,
    )
    return key_of(asked)


class _Read:
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

    def read(self, most: int | None, progress: Progress) -> None:
        """Reads the contexts closest to the question: `most` of them, or as many as can still change the answer."""
        with self._watch.step("route"):
            self._collection, index = self._parts.scope.routed()
            if not self._collection.contexts:
                raise CollectionEmpty(self._collection.directory)
            limit = most or fusion.MOST_READ
            hits = index.search(self._asked, limit + SPARE_HITS)
        self._damaged.update(self._collection.damaged)
        if not hits:
            self._encoded()  # what has no token is no question
        for hit in hits:
            share, read = hit.score / hits[0].score, self.ranking.contexts
            if read == limit:
                break
            if most is None and read and fusion.chance_of_better(self.ranking.best, share, read) < fusion.ENOUGH_BELOW:
                break
            try:
                with self._watch.step("context"):
                    context = self._collection.context(hit.context_id)
            except ShardDamaged as damage:
                self._damaged[damage.tag] = damage
            except ContextGone:  # removed since the index was opened
                continue
            else:
                self.offer(context, share=share)
                progress("reading", self.ranking.contexts, min(limit, len(hits)))

    def offer(self, context: StoredContext, *, share: float) -> None:
        """Reads one more context, or remembers what it says."""
        address = context.address
        self._context_ids[address] = context.context_id
        number = self._documents.setdefault(context.document, len(self._documents))
        self.ranking.offer(
            self._places(context), context, context.document, number, lift=fusion.lift(share), address=address
        )

    def found(self) -> Found:
        """Returns what the contexts that were read say."""
        return Found(
            candidates=self.ranking.candidates(fusion.CALIBRATION),
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
        with self._watch.step("remember"):
            key = _key(self._parts, self._asked, context.digest, {"context": True, "top": self._top})
            # Asked by its name, a context's answer is what was asked for; else a step on the way, and not counted.
            look = self._parts.cache.get if self._collection is None else self._parts.cache.peek
            stored = None if self._refresh else look(key)
            known = records.part_again(stored, context.text) if stored is not None else None
        if known is not None:
            places, cut = known
            self._question_cut |= cut
            return places
        question = self._encoded()
        places = self._parts.reading.spans(question, context, context.encoding, top=self._top, watch=self._watch)
        self.read_anew += 1
        with self._watch.step("remember"):
            self._parts.cache.put(key, records.part(places, question_cut=question.is_cut))
        return places

    def _encoded(self) -> Question:
        if self._question is None:
            with self._watch.step("load"):
                reading = self._parts.reading
            with self._watch.step("question"):
                self._question = reading.question(self._asked)
            self._question_cut = self._question.is_cut
        return self._question
