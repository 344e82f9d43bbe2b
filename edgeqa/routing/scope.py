"""The collection that questions are asked of, as it is now: opened when it is needed, and again when it has changed.

In: a collection's directory. Out: its digest, for which a file is looked at; its contexts; its route index, of the
same moment. Safe from many threads. Importing it imports neither tantivy nor numpy.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, TypeAlias

from edgeqa import forking
from edgeqa.collection.collection import Collection
from edgeqa.collection.damage import mark_route
from edgeqa.collection.errors import CollectionBusy, CollectionOtherBundle
from edgeqa.collection.snapshot import FILE, ROUTE, Snapshot
from edgeqa.errors import CollectionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgeqa.collection.encoder import Encoder
    from edgeqa.collection.within import Within
    from edgeqa.contexts.search import Hits
    from edgeqa.routing.index import Index, Ranges

Stamp: TypeAlias = tuple[int, int, int]

MOST_PATHS = 10_000  # of contexts that are kept at hand
_OPEN_ATTEMPTS = 20  # of a collection that somebody writes to all the time


class Scope:
    """A collection to ask."""

    def __init__(self, directory: Path, encoder: Encoder, language: str = "en") -> None:
        self._directory, self._encoder, self._language = directory, encoder, language
        self._file = os.fspath(directory / FILE)
        self._lock = threading.RLock()
        self._seen: Stamp | None = None
        self._snapshot: Snapshot | None = None
        self._collection: Collection | None = None
        self._routed: tuple[Collection, Index] | None = None
        self._paths: dict[int, str | None] = {}
        self._paths_of = ""
        forking.tell(self)

    def forked(self) -> None:
        """Opens the index anew in a forked child, and lets go of a lock that a thread of the parent may have held."""
        self._lock, self._routed = threading.RLock(), None

    def stamp(self) -> Stamp | None:
        """Returns what changes with every change of the collection, and is quicker to see than its digest.

        None while a change is under way.
        """
        try:
            found = os.stat(self._file)  # noqa: PTH116 - half of what a Path takes, in the path of every hit
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_dev

    def now(self) -> tuple[str, Stamp | None]:
        """Returns the digest of what the collection holds now, and the stamp of that moment.

        Raises:
            CollectionNotFound: if there is none.
            CollectionOtherBundle: if it was made with another bundle than questions are read with.
        """
        with self._lock:
            return self._now().digest, self._seen

    def collection(self) -> Collection:
        """Returns the collection as it is now.

        Raises:
            CollectionError: as `now` does.
        """
        with self._lock:
            now = self._now()
            if self._collection is None or self._collection.snapshot != now:
                self._collection = Collection(self._directory, self._encoder)
            return self._collection

    def routed(self) -> tuple[Collection, Index]:
        """Returns the collection as it is now, and the index of it.

        Raises:
            RouteDamaged: if the index cannot be read.
            CollectionBusy: if it has changed each time that it was opened.
            CollectionError: as `now` does.
        """
        with self._lock:
            for _ in range(_OPEN_ATTEMPTS):
                collection = self.collection()
                if self._routed is None or self._routed[0] is not collection:
                    self._routed = collection, self._index()
                if Snapshot.load(self._directory).digest == collection.digest:  # or a writer has been here meanwhile
                    return self._routed
            raise CollectionBusy(self._directory, "")

    def ranges_within(self, within: Within) -> tuple[tuple[int, int], ...]:
        """Returns the ranges of context ids of a part of the collection; raises as `within.ranges_within` does."""
        from edgeqa.collection.within import ranges_within

        return ranges_within(self._directory, within)

    def search(self, index: Index, question: str, most: int, within: Ranges | None = None) -> Hits:
        """Returns what `index.search` does, and notes what it finds damaged, for the next `edgeqa add` to mend.

        Raises:
            RouteDamaged: as `index.search` does.
        """
        with self._noting_damage():
            return index.search(question, most, within)

    def paths(self, context_ids: Iterable[int]) -> dict[int, str | None]:
        """Returns the full paths of the files that contexts are from; None for what came through a pipe, or is gone."""
        with self._lock:
            now = self._now().digest
            if now != self._paths_of or len(self._paths) > MOST_PATHS:
                self._paths, self._paths_of = {}, now
            wanted = set(context_ids)
            if missing := wanted.difference(self._paths):
                self._paths |= self._looked_up(missing)
            return {context_id: self._paths[context_id] for context_id in wanted}

    def _looked_up(self, context_ids: Iterable[int]) -> dict[int, str | None]:
        from edgeqa.collection.catalogue import Catalogue  # here: SQLite takes a while, and is needed for nothing else

        found: dict[int, str | None] = dict.fromkeys(context_ids)
        with contextlib.suppress(CollectionError), Catalogue.read(self._directory) as catalogue:
            for context_id in found:
                for row in catalogue.documents_between(context_id, context_id):
                    found[context_id] = catalogue.source(row.source).full_path
        return found

    def _index(self) -> Index:
        from edgeqa.collection import seals
        from edgeqa.routing.errors import RouteDamaged
        from edgeqa.routing.index import Index

        with self._noting_damage():
            if (found := seals.wrong(self._directory, ROUTE)) is not None:
                raise RouteDamaged(self._directory / ROUTE, f"{found.name.removeprefix(f'{ROUTE}/')}: {found.what}")
            return Index(self._directory / ROUTE, self._language)

    @contextlib.contextmanager
    def _noting_damage(self) -> Iterator[None]:
        from edgeqa.routing.errors import RouteDamaged

        try:
            yield
        except RouteDamaged as damage:
            mark_route(self._directory, damage)
            raise

    def _now(self) -> Snapshot:
        with self._lock:
            seen = self.stamp()
            if self._snapshot is None or seen is None or seen != self._seen:
                snapshot = Snapshot.load(self._directory)
                if snapshot.encoder and snapshot.encoder != self._encoder.digest:
                    raise CollectionOtherBundle(self._directory, snapshot.bundle)
                self._snapshot, self._seen = snapshot, seen
            return self._snapshot
