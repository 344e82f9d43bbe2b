"""Keeping the route index in step with the catalogue: what is shown is added, what is hidden is deleted.

The two cannot be committed in one step. So the catalogue says first what the index lacks (`unindexed`), then the index
is committed, then the catalogue says that nothing is lacking. After a crash in between, the next writer does it again:
deleting what may be there, adding it from the stored text. An index that is missing is made anew the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edgeqa.collection.damage import mark
from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.shard import Shard
from edgeqa.collection.snapshot import SHARDS

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue


ROUTE_FILE = "meta.json"  # without it there is no index, whatever else is in the directory


class IndexWriter(Protocol):
    """What the writer of a route index must offer."""

    def add(self, context_id: int, text: str, title: str) -> None:
        """Adds a context."""

    def delete(self, first_id: int, after_id: int) -> None:
        """Deletes the contexts with ids from `first_id` on and below `after_id`."""

    def commit(self) -> None:
        """Makes what was added and deleted permanent, and seen by those who open the index from now on."""

    def close(self) -> None:
        """Lets the index go; what was not committed is lost."""


class NoIndex:
    """Stands for an index where nothing is searched."""

    def add(self, context_id: int, text: str, title: str) -> None:
        """Adds nothing."""

    def delete(self, first_id: int, after_id: int) -> None:
        """Deletes nothing."""

    def commit(self) -> None:
        """Has nothing to commit."""

    def close(self) -> None:
        """Has nothing to let go."""


def catch_up(directory: Path, catalogue: Catalogue, index: IndexWriter, *, anew: bool) -> None:
    """Brings the index to what the catalogue says, and commits it.

    Args:
        directory: of the collection.
        catalogue: with a transaction that is committed already.
        index: the index.
        anew: whether it may hold any part of what it lacks.
    """
    waiting = catalogue.unindexed()
    if not waiting:
        return
    for first, after, wanted in waiting:
        if anew or not wanted:
            index.delete(first, after)
        if wanted:
            _add(directory, catalogue, index, first, after)
    index.commit()
    with catalogue.transaction():
        catalogue.indexed()


def _add(directory: Path, catalogue: Catalogue, index: IndexWriter, first: int, after: int) -> None:
    for known in catalogue.shards():
        if not (first <= known.last and known.first < after):
            continue
        try:
            shard = Shard(directory / SHARDS / known.tag)
            for row in shard.rows(first, after):
                record = shard.record(row)
                index.add(row.context_id, record.text, " ".join((record.title, *record.heading)))
        except ShardDamaged as damage:  # what lies behind it is indexed when it is mended
            mark(directory, damage)
