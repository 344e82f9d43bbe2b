"""What a collection holds at one moment, as readers find it: one small file, replaced in one step at each commit.

In: a collection's directory. Out: its digest, which names what it holds, and its shards. The catalogue is what counts:
a writer takes the file away before it commits there and writes it anew afterwards, so that a reader that finds none
asks the catalogue. So a remembered answer is found without SQLite, and a collection on a read-only medium can be read.
Its values are named tuples, which are declared in a fifth of the time: a remembered answer waits for that.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.collection.errors import CollectionFormatUnsupported, CollectionNotFound

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
FILE = "snapshot.json"
CATALOGUE = "catalogue.sqlite"
SHARDS = "shards"
ROUTE = "route"


class ShardRange(NamedTuple):
    """A shard, and the context ids that it lies between; those of two shards do not overlap."""

    tag: str
    first: int
    last: int


class Snapshot(NamedTuple):
    """What there is at one moment."""

    digest: str
    """Changes with every change of what the collection holds; back to what it was when a change is taken back."""
    encoder: str
    """Digest of the parts of the bundle that token ids and encodings come from; "" for an empty collection."""
    bundle: str
    """Name and version of that bundle."""
    contexts: int
    documents: int
    shards: tuple[ShardRange, ...]
    """By rising context id."""

    @classmethod
    def load(cls, directory: Path) -> Snapshot:
        """Returns what the collection in `directory` holds now.

        Raises:
            CollectionNotFound: if there is none.
            CollectionError: if it cannot be read.
        """
        file = directory / FILE
        try:
            facts = json.loads(file.read_bytes())
            if facts["format"] != FORMAT:
                raise CollectionFormatUnsupported(file, facts["format"], FORMAT)
            return cls._from_json(facts)
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            if not (directory / CATALOGUE).exists():
                raise CollectionNotFound(directory) from None
        from edgeqa.collection.catalogue import Catalogue  # here: SQLite takes longer to import than an answer to find

        with Catalogue.read(directory) as catalogue:
            return catalogue.snapshot()

    @classmethod
    def _from_json(cls, facts: dict[str, Any]) -> Snapshot:
        shards = tuple(ShardRange(str(tag), int(first), int(last)) for tag, first, last in facts["shards"])
        return cls(
            digest=str(facts["digest"]),
            encoder=str(facts["encoder"]),
            bundle=str(facts["bundle"]),
            contexts=int(facts["contexts"]),
            documents=int(facts["documents"]),
            shards=shards,
        )

    def store(self, directory: Path) -> None:
        """Lets readers find this; it is for the writer alone."""
        facts = {"format": FORMAT, **self._asdict(), "shards": [[s.tag, s.first, s.last] for s in self.shards]}
        partial = directory / f"{FILE}.partial"
        with partial.open("w", encoding="utf-8") as stream:
            json.dump(facts, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(directory / FILE)


def withdraw(directory: Path) -> None:
    """Sends readers to the catalogue until the next `store`."""
    (directory / FILE).unlink(missing_ok=True)
