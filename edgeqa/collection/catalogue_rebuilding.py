"""The catalogue made again from the shards alone: what `verify --repair` and `add` do where it is damaged, or gone.

In: a collection's directory, and the lock of its writer. Out: a catalogue in the place of what was there, whole or not
at all, and no snapshot: the next commit makes it. It gets a new id, since the numbers that it gives may have been
given before: what was remembered of the collection is read anew. Of a file's states the newest one counts that is
whole; where the shards do not say that a file was read to its end, its digest is forgotten, so that it is read again
when it is next added. Nothing here reads a file of the user's, so that texts from pipes come back, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from edgeqa.collection import seals
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import GROWING, MARK, READY, WHOLE
from edgeqa.collection.errors import CatalogueDamaged, CatalogueLost, ShardDamaged
from edgeqa.collection.shard import Shard, is_shard
from edgeqa.collection.shard_format import ENCODINGS, FORMAT
from edgeqa.collection.shard_upkeep import row_of
from edgeqa.collection.snapshot import CATALOGUE, SHARDS, withdraw
from edgeqa.files import delete, rename, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.collection.catalogue_rows import DocumentRow, SourceRow


_PARTIAL = f"{CATALOGUE}.partial"
_BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a file


@dataclass
class _Contents:
    """What the shards say."""

    shards: list[Shard] = field(default_factory=list)
    gone: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    sources: dict[int, SourceRow] = field(default_factory=dict)
    documents: dict[int, DocumentRow] = field(default_factory=dict)

    def held(self, document: DocumentRow) -> Iterator[tuple[Shard, int]]:
        """Yields the shards that have contexts of a document, and how many; `shards` rise by now."""
        at = max(0, bisect_right(self.shards, document.first, key=lambda shard: shard.manifest.first) - 1)
        for shard in islice(self.shards, at, None):
            if shard.manifest.first >= document.after:
                return
            yield shard, shard.held(document.first, document.after)

    def is_there(self, document: DocumentRow) -> bool:
        """Tells whether all contexts of a document are there, and none of them was removed."""
        held = list(self.held(document))
        removed = any(
            first < document.after and document.first < after
            for shard, _ in held
            for first, after in self.gone.get(shard.tag, [])
        )
        return document.whole and sum(count for _, count in held) == document.contexts and not removed


def rebuild(directory: Path, damage: CatalogueDamaged) -> None:
    """Makes the catalogue of the collection in `directory` again.

    Raises:
        CatalogueLost: if the shards do not say enough.
        OSError, CollectionError: if it cannot be written.
    """
    found = _look(directory, damage)
    for name in ("", *_BESIDE):
        delete(directory / f"{_PARTIAL}{name}")
    with Catalogue.make(directory, _PARTIAL) as made:
        with made.transaction():
            _fill(directory, made, found)
        if not made.checkpoint():
            raise damage
    seals.withdraw(directory)
    withdraw(directory)
    sync_directory(directory)
    for name in _BESIDE:  # of the one that is damaged: SQLite would take them for the new one's
        delete(directory / f"{CATALOGUE}{name}")
    sync_directory(directory)
    rename(directory / _PARTIAL, directory / CATALOGUE)
    sync_directory(directory)


def _look(directory: Path, damage: CatalogueDamaged) -> _Contents:
    """Returns what the shards say.

    Raises:
        CatalogueLost: if one cannot be read, which may hold what is nowhere else; or is of format 1, which says less.
    """
    found = _Contents()
    opened = []
    for place in sorted((directory / SHARDS).iterdir()):
        if is_shard(place):
            try:
                opened.append(Shard(place))
            except ShardDamaged as error:
                raise CatalogueLost(damage, str(error)) from error
    for shard in sorted(opened, key=lambda shard: -shard.manifest.number):
        facts = shard.manifest
        # A shard that others were merged into, or that takes another's place, is newer than these, and has all of them.
        if any(newer.manifest.first <= facts.first and facts.last <= newer.manifest.last for newer in found.shards):
            continue
        if facts.format != FORMAT:
            raise CatalogueLost(damage, "it was made by 0.3, whose shards do not say what they are of")
        found.shards.append(shard)
        found.gone[shard.tag], sources, documents = _told(shard, damage)
        for source in sources:
            found.sources.setdefault(source.id, source)
        for document in documents:
            found.documents.setdefault(document.id, document)
    found.shards.sort(key=lambda shard: shard.manifest.first)
    return found


def _told(shard: Shard, damage: CatalogueDamaged) -> tuple[list[tuple[int, int]], list[SourceRow], list[DocumentRow]]:
    """Returns what a shard says: what is gone of it, and what its contexts are of; raises as `_look` does."""
    try:
        gone = shard.gone()[0]
    except ShardDamaged as error:
        what = f"{error}; what was removed from it would come back"
        raise CatalogueLost(damage, what) from error
    try:
        return gone, *shard.documents()
    except ShardDamaged as error:
        raise CatalogueLost(damage, str(error)) from error


def _fill(directory: Path, made: Catalogue, found: _Contents) -> None:
    documents: dict[int, list[DocumentRow]] = {}
    lacking = set()
    for document in sorted(found.documents.values(), key=lambda document: document.id):
        if found.is_there(document):
            documents.setdefault(document.source, []).append(document)
        else:
            lacking.add(document.source)
    kept = [_as_known(source, is_whole=source.id not in lacking) for source in _states(found, documents)]
    for source in kept:
        made.add_source(source)
        for document in documents[source.id]:
            made.restore_document(document, document.name[len(source.name) :])
    newest = max(found.shards, key=lambda shard: shard.manifest.number, default=None)
    live: Counter[str] = Counter()
    for source in kept:
        for document in documents[source.id]:
            live.update({shard.tag: count for shard, count in found.held(document)})
    for shard in found.shards:
        facts = shard.manifest
        row = row_of(directory, facts, live=live[shard.tag], encodings_bytes=facts.sizes_bytes[ENCODINGS])
        made.add_shard(row, facts.pack())
    if newest is not None:
        made.set("encoder", newest.manifest.encoder)
        made.set("bundle", newest.manifest.bundle)
        made.set("language", newest.manifest.language)
        made.set("shards_made", 1 + newest.manifest.number)
        made.set("next_context", 1 + max(shard.manifest.last for shard in found.shards))
    for source in kept:
        made.show(made.documents_of(source.id))


def _states(found: _Contents, documents: dict[int, list[DocumentRow]]) -> Iterator[SourceRow]:
    """Yields of each file the state that counts: the newest one that is whole, or else the oldest."""
    by_path: dict[bytes, list[SourceRow]] = {}
    for source in sorted(found.sources.values(), key=lambda source: source.id):
        if source.id in documents:
            by_path.setdefault(source.path, []).append(source)
    for states in by_path.values():
        whole = [source for source in states if source.state == WHOLE]
        yield whole[-1] if whole else states[0]


def _as_known(source: SourceRow, *, is_whole: bool) -> SourceRow:
    """Returns a file as it is in the new catalogue."""
    if is_whole and source.state in {READY, WHOLE}:  # nothing else of it is there: what it waited for has come
        return replace(source, state=WHOLE, digest=source.digest.removeprefix(MARK))
    return replace(source, state=WHOLE if source.state == WHOLE else GROWING, digest=b"")
