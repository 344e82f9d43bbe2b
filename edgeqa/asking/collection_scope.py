"""A collection as what is asked: searched in its index, its contexts read from their encodings.

In: the collection and its index, of one moment. Out: a scope.
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgeqa.asking import SourcePassage
from edgeqa.collection.errors import CollectionEmpty, ContextGone, ShardDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.answer import ClosePassage
    from edgeqa.asking.equipment import Equipment
    from edgeqa.collection.collection import Collection, LiveCollection, StoredContext
    from edgeqa.collection.naming import Within
    from edgeqa.contexts import Context
    from edgeqa.contexts.search import Hit, Hits
    from edgeqa.models.readers import Encoding


FORMER = (
    "the collection was made with {}: it is read from its tokens, which takes longer, until `edgeqa add` or "
    "`edgeqa sync` encodes it anew"
)


class CollectionScope:
    """The collection as it is now. For one question."""

    is_given = False

    def __init__(self, scope: LiveCollection, digest: str, within: tuple[tuple[int, int], ...] | None = None) -> None:
        """Asks the collection, or what is within ranges of context ids alone.

        Args:
            scope: the collection.
            digest: of what it holds now.
            within: ranges of context ids, rising; None for all.
        """
        self._scope, self._whole_digest, self._within = scope, digest, within
        self.digest = digest if within is None else f"{digest} within {within}"
        self._collection: Collection | None = None
        self._damaged: dict[str, ShardDamaged] = {}
        self._documents: dict[str, int] = {}
        self._ids: dict[str | None, int] = {}

    def search(self, question: str, most: int) -> Hits:
        """Returns the contexts that share most with the question.

        Raises:
            CollectionEmpty: if there is none at all.
            CollectionError: if the index cannot be read.
        """
        self._collection, index = self._scope.routed()
        if not self._collection.contexts:
            raise CollectionEmpty(self._collection.directory)
        hits = self._scope.search(index, question, most, self._within)
        if not hits.best and not hits.weights:  # it has only stop words, and all passages are equally close
            hits.best.extend(self._first(self._collection, most))
        self._damaged.update(self._collection.damaged)
        return hits

    def _first(self, collection: Collection, most: int) -> Iterator[Hit]:
        """Yields the first contexts of a collection as if each had been found, but none of what was removed."""
        from edgeqa.collection.catalogue import Catalogue
        from edgeqa.contexts.search import Hit

        if self._within is not None:
            every = (context_id for first, after in self._within for context_id in range(first, after))
            yield from (Hit(context_id, 1.0) for context_id in islice(every, most))
            return
        with Catalogue.read(collection.directory) as catalogue:  # a shard still holds removed documents
            ids = (context_id for row in catalogue.documents() for context_id in range(row.first, row.after))
            for context_id in islice(ids, most):
                yield Hit(context_id, 1.0)

    def passage(self, hit: Hit) -> SourcePassage | None:
        """Returns a context that was found; None if it is gone, or behind damage."""
        collection = self._collection or self._scope.collection()
        try:
            return self.passage_of(collection.context(hit.number))
        except ShardDamaged as damage:
            self._damaged[damage.tag] = damage
        except ContextGone:  # removed since the index was opened
            pass
        return None

    def passage_of(self, context: StoredContext) -> SourcePassage:
        """Returns a context with where it is from."""
        address = context.address
        self._ids[address] = context.context_id
        document = address.rpartition(":")[0]  # the tag of the shard stays: two documents may have one name
        number = self._documents.setdefault(document, len(self._documents))
        return SourcePassage(context, context.document, number, address, context.digest)

    def windows(self, passage: SourcePassage) -> Iterator[tuple[Context, Encoding | None]]:
        """Yields the context, which is stored as it is read."""
        context: Any = passage.text
        yield context, context.encoding

    def reference(self, passage: SourcePassage) -> tuple[int, str | None]:
        """Returns the context's id, and the full path of its file, for which an answer need not open the catalogue."""
        return self._ids[passage.address], passage.path

    def again(self, reference: Any) -> SourcePassage | None:  # noqa: ANN401 - whatever lies in the cache
        """Returns the context that a reference stands for; None if there is none."""
        try:
            context_id, path = reference
            passage = self.passage_of(self._scope.collection().context(context_id))
        except (ContextGone, ShardDamaged):
            return None
        passage.path = path
        return passage

    def locate(self, found: Iterable[SourcePassage]) -> None:
        """Notes the full path of the file that each context is from."""
        passages = list(found)
        paths = self._scope.paths(self._ids[one.address] for one in passages)
        for one in passages:
            one.path = paths[self._ids[one.address]]

    def nothing_read(self) -> None:
        """Does nothing: a collection need not share a word with a question."""

    def damaged(self) -> tuple[str, ...]:
        """Returns a line for each shard that could not be read."""
        return tuple(str(damage) for damage in self._damaged.values())

    def left_out(self) -> tuple[str, ...]:
        """Returns that encodings are not used, where an older model made them; what adding left out was said then."""
        former = self._scope.former_bundle()
        return (FORMER.format(former),) if former else ()

    def is_whole(self) -> bool:
        """Tells whether all of the collection could be read, as it was when it was asked."""
        return not self._damaged and self._collection is not None and self._collection.digest == self._whole_digest


def closest(equipment: Equipment, asked: str, most: int, within: Within | None = None) -> list[ClosePassage]:
    """Returns the passages closest to the question, best first, as `EdgeQA.closest` does."""
    ranges = None if within is None else equipment.scope.ranges_within(within)
    collection, index = equipment.scope.routed()
    found = []
    hits = equipment.scope.search(index, asked, most, ranges).best
    paths = equipment.scope.paths(hit.number for hit in hits)
    for hit in hits:
        with contextlib.suppress(ContextGone):  # removed since the index was opened
            context = collection.context(hit.number)
            passage = SourcePassage(context, context.document, 0, context.address, path=paths[hit.number])
            found.append(passage.as_close(hit.score))
    return found
