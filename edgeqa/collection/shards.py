"""The shards of a collection and what its catalogue says of them, kept together: adding one, and what is gone of each.

In: a catalogue, with a transaction under way. A shard is in its place before the catalogue names it; what is gone of
one is noted beside it (`listing`) before the catalogue says so: without a catalogue, nothing removed comes back.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgeqa.collection import listing
from edgeqa.collection.durable import replace_file, sync_directory
from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.layout import GONE, LATER
from edgeqa.collection.listing import Later
from edgeqa.collection.mending import seen
from edgeqa.collection.rows import ShardRow, ranges
from edgeqa.collection.shard import Shard
from edgeqa.collection.snapshot import SHARDS
from edgeqa.collection.tags import tag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.shard import Manifest
    from edgeqa.collection.shardwriter import ShardWriter


def next_tag(catalogue: Catalogue) -> str:
    """Returns the tag of the shard that is being written, or will be next."""
    return tag(catalogue.get("shards_made", 0), catalogue.get("salt", 0))


def add_shard(directory: Path, catalogue: Catalogue, shard: ShardWriter) -> None:
    """Puts a shard in its place, and notes it."""
    made = catalogue.get("shards_made", 0)
    try:
        manifest = shard.finish(documents_in(catalogue, shard.first, shard.last), made)
    except BaseException:
        shard.abandon()
        raise
    catalogue.set("shards_made", made + 1)
    row = row_of(directory, manifest, live=manifest.contexts, encodings_bytes=shard.encodings_bytes)
    catalogue.add_shard(row, manifest.pack())


def row_of(directory: Path, manifest: Manifest, *, live: int, encodings_bytes: int) -> ShardRow:
    """Returns what a catalogue says of a shard.

    Args:
        directory: of the collection.
        manifest: the shard's.
        live: how many of its contexts belong to a document.
        encodings_bytes: size of its encodings.
    """
    return ShardRow(
        tag=manifest.tag,
        encoder=manifest.encoder,
        first=manifest.first,
        last=manifest.last,
        contexts=manifest.contexts,
        live=live,
        encodings_bytes=encodings_bytes,
        size_bytes=sum(manifest.sizes_bytes.values()),
        seen=seen(directory / SHARDS / manifest.tag),
    )


def documents_in(catalogue: Catalogue, first: int, last: int) -> bytes:
    """Returns what a shard with the contexts from `first` to `last` says of their documents."""
    documents = list(catalogue.documents_between(first, last))
    sources = [catalogue.source(source_id) for source_id in sorted({d.source for d in documents})]
    return listing.pack(sources, documents)


def note_gone(directory: Path, catalogue: Catalogue) -> None:
    """Notes beside the shards what has gone of them in the transaction under way."""
    buried, catalogue.buried = catalogue.buried, []
    for known in catalogue.shards() if buried else ():
        here = [(max(first, known.first), min(after, known.last + 1)) for first, after in buried]
        here = [(first, after) for first, after in here if first < after]
        if not here:
            continue
        try:
            before = listing.unpack_gone((directory / SHARDS / known.tag / GONE).read_bytes())[0]
        except FileNotFoundError:
            before = []
        except (OSError, ValueError):
            _note(directory, catalogue, known)
            continue
        _store(directory, known, list(listing.together([*before, *here])))


def note_later(directory: Path, catalogue: Catalogue, ended: Mapping[int, Later]) -> None:
    """Notes beside the shards what has come to its end in the transaction under way.

    Args:
        directory: of the collection.
        catalogue: of the collection.
        ended: what has, by the id of its last context, which is in a shard already.
    """
    places: dict[str, Later] = {}
    for known in catalogue.shards() if ended else ():
        for context_id, later in ended.items():
            if known.first <= context_id <= known.last:
                places[known.tag] = places.get(known.tag, Later()).and_then(later)
    for tag_of, later in places.items():
        place = directory / SHARDS / tag_of
        before = Later()
        with contextlib.suppress(ShardDamaged, OSError):
            before = Shard(place).later()
        replace_file(place / LATER, before.and_then(later).pack())
        sync_directory(place)


def mend_gone(directory: Path, catalogue: Catalogue) -> None:
    """Notes beside the shards what has gone of them where that is not noted right, as after a kill."""
    for known in catalogue.shards():
        try:
            left = Shard(directory / SHARDS / known.tag).gone()[1]
        except (ShardDamaged, OSError):
            left = -1
        if left != known.live:
            _note(directory, catalogue, known)


def _note(directory: Path, catalogue: Catalogue, known: ShardRow) -> None:
    """Notes what the catalogue says has gone of a shard."""
    kept = ranges(catalogue.documents_between(known.first, known.last))
    _store(directory, known, list(listing.without(known.first, known.last + 1, kept)))


def _store(directory: Path, known: ShardRow, gone: list[tuple[int, int]]) -> None:
    place = directory / SHARDS / known.tag
    if place.is_dir():
        replace_file(place / GONE, listing.pack_gone(gone, known.live))
        sync_directory(place)
