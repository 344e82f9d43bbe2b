"""The route index kept in step with the catalogue: what is shown is added, what is hidden is deleted.

The two cannot be committed in one step. So the catalogue says first what the index lacks (`unindexed`), then the index
is committed, then the catalogue says that nothing is lacking. After a crash in between, the next writer does it again:
deleting what may be there, adding it from the stored text. An index that is missing, damaged, or of another language is
made anew the same way. Which language it is of, the catalogue remembers: whoever removes or repairs knows no model.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgeqa import files
from edgeqa.collection import seals
from edgeqa.collection.damage import ROUTE_NOTE, mark, mark_route, marked, unmark
from edgeqa.collection.errors import RouteDamaged, ShardDamaged
from edgeqa.collection.index import META, WRITER_LOCK, IndexWriter
from edgeqa.collection.ownership import delete
from edgeqa.collection.shard import Shard
from edgeqa.collection.snapshot import ROUTE, SHARDS
from edgeqa.contexts.context import searched
from edgeqa.contexts.terms import ENGLISH
from edgeqa.errors import CollectionError

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue


def note_damage(directory: Path) -> None:
    """Notes if the index is not what the last writer left, so that it is made anew."""
    if (found := seals.wrong(directory, ROUTE)) is not None:
        mark_route(directory, RouteDamaged(directory / ROUTE, f"{found.name}: {found.what}"))


class IndexKeeper:
    """The index of a collection, open for its only writer."""

    def __init__(self, directory: Path, catalogue: Catalogue, language: str | None) -> None:
        """Opens the index, or a new one, which is to be made from what is stored.

        Args:
            directory: of the collection.
            catalogue: of the collection, with no transaction under way.
            language: of the stop words and stems of the index; None for the one that it has.
        """
        self._directory, self._catalogue = directory, catalogue
        has = catalogue.get("language", ENGLISH)
        self._language = has if language is None else language
        opened: IndexWriter | None = None
        is_there = (directory / ROUTE / META).exists()  # without it there is no index, whatever else is there
        if is_there and self._language == has and ROUTE_NOTE not in marked(directory):
            with contextlib.suppress(RouteDamaged):
                opened = self._open()
        self._writer = opened or self._open_anew()

    def _open(self) -> IndexWriter:
        # A child that was forked while a writer was open holds its lock for ever. It is no writer: that is who is here.
        files.delete(self._directory / ROUTE / WRITER_LOCK)
        return IndexWriter(self._directory / ROUTE, self._language)

    def _open_anew(self) -> IndexWriter:
        """Opens a new index in the place of what is there, which lacks all that is stored."""
        delete(self._directory / ROUTE, ROUTE)
        unmark(self._directory, ROUTE_NOTE)
        with self._catalogue.transaction():
            self._catalogue.unindex_all()
            self._catalogue.set("language", self._language)
        return self._open()

    def catch_up(self, *, anew: bool) -> None:
        """Brings the index to what the catalogue says, and commits it.

        Args:
            anew: whether it may hold any part of what it lacks.
        """
        try:
            self._catch_up(anew=anew)
        except RouteDamaged:  # all that was in it is stored
            with contextlib.suppress(CollectionError):
                self._writer.close()
            self._writer = self._open_anew()
            self._catch_up(anew=True)

    def _catch_up(self, *, anew: bool) -> None:
        waiting = self._catalogue.unindexed()
        if not waiting:
            return
        for first, after, wanted in waiting:
            if anew or not wanted:
                self._writer.delete(first, after)
            if wanted:
                self._add(first, after)
        self._writer.commit()
        with self._catalogue.transaction():
            self._catalogue.indexed()

    def _add(self, first: int, after: int) -> None:
        for known in self._catalogue.shards():
            if not (first <= known.last and known.first < after):
                continue
            try:
                shard = Shard(self._directory / SHARDS / known.tag)
                for row in shard.rows(first, after):
                    record = shard.record(row)
                    self._writer.add(row.context_id, record.text, f"{record.title} {searched(record.heading)}")
            except ShardDamaged as damage:  # what lies behind it is indexed when it is mended
                mark(self._directory, damage)

    def close(self) -> None:
        """Lets the index go; what was not committed is lost."""
        self._writer.close()
