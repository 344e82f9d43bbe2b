"""A collection of format 1, as edgeqa 0.3 wrote it, to this format: whole or not at all.

In: a catalogue of format 1, and the lock of its writer. New shards are written beside the old ones, which are asked
meanwhile; their encodings are linked, not copied. Then one transaction of the catalogue changes its format, its id and
its shards. Whatever ends this before leaves the collection as it was, and shards that the next writer sweeps.

A shard that is damaged stays as it is: what of it is sound is brought to this format with what mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.collection.damage import mark
from edgeqa.collection.durable import sync_directory
from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.layout import ENCODINGS, NO_ENCODING
from edgeqa.collection.opening import sweep
from edgeqa.collection.shard import Shard
from edgeqa.collection.shards import add_shard, next_tag
from edgeqa.collection.shardwriter import ShardWriter
from edgeqa.collection.snapshot import SHARDS, withdraw

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue


def upgrade(directory: Path, catalogue: Catalogue) -> None:
    """Brings the collection to this format.

    Raises:
        CollectionError, OSError: if it cannot be written to; then it is as it was.
    """
    sweep(directory, catalogue)  # a shard of this name may be left by one that was killed here
    catalogue.begin()
    try:
        former = catalogue.shards()
        catalogue.upgrade()
        for known in former:
            try:
                made = _again(directory, catalogue, Shard(directory / SHARDS / known.tag))
            except ShardDamaged as damage:
                mark(directory, damage)
                continue
            except FileNotFoundError as error:
                place = directory / SHARDS / known.tag
                mark(directory, ShardDamaged(known.tag, place, error.strerror or str(error)))
                continue
            catalogue.delete_shard(known.tag)
            add_shard(directory, catalogue, made)
            catalogue.count_live(made.tag, known.live)
        withdraw(directory)
        sync_directory(directory)
        catalogue.commit()
    except BaseException:
        catalogue.roll_back()
        raise


def _again(directory: Path, catalogue: Catalogue, shard: Shard) -> ShardWriter:
    """Returns a shard with all that is in one of format 1, not yet finished."""
    facts = shard.manifest
    made = ShardWriter(directory / SHARDS, next_tag(catalogue), facts.encoder, facts.width, catalogue.get("bundle", ""))
    try:
        made.take_encodings(shard.directory / ENCODINGS)
        for row in shard.rows():
            if row.encoding_offset != NO_ENCODING:
                shard.raw_encoding(row)  # raises if it is damaged
            record = shard.record_as_written_now(row)
            placed = (row.encoding_offset, row.encoding_digest)
            made.add(row.context_id, row.document, row.number, record, row.tokens, b"", placed=placed)
    except BaseException:
        made.abandon()
        raise
    return made
