"""Few shards instead of many: which to merge, and merging them, context by context, without those that are gone.

Choosing is pure. Neighbours by context id are merged, so that the ids of two shards never overlap. Eight small ones
become one of the next size, so that a context is copied a few times in its life, and a shard of `FULL_BYTES` never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.collection.rows import ranges
from edgeqa.collection.shard import Shard
from edgeqa.collection.shardwriter import ShardWriter
from edgeqa.collection.snapshot import SHARDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.rows import ShardRow

AT_A_TIME = 8
FULL_BYTES = 1 << 30


def choose(shards: Sequence[ShardRow], damaged: frozenset[str] | set[str] = frozenset()) -> list[ShardRow]:
    """Returns shards to make one of; none if all is well. One alone is to be rewritten, for what is gone from it.

    Args:
        shards: all, by rising context id.
        damaged: tags of those that cannot be read whole; they are left as they are while something in them is there.
    """
    for shard in shards:
        if not shard.live or (shard.tag not in damaged and shard.live * 2 < shard.contexts):
            return [shard]
    for size in range(1, 22):  # 8 ** 21 is more than there are context ids
        for run in _runs(shards, damaged, AT_A_TIME**size):
            if len(run) >= AT_A_TIME:
                return run
    return []


def _runs(shards: Sequence[ShardRow], damaged: frozenset[str] | set[str], below: int) -> Iterator[list[ShardRow]]:
    """Yields runs of neighbours that have fewer live contexts than `below` each, and together no more than fits."""
    run: list[ShardRow] = []
    size_bytes = 0
    for shard in shards:
        small = shard.tag not in damaged and shard.live < below and shard.size_bytes <= FULL_BYTES // 2
        alike = not run or run[0].encoder == shard.encoder
        if not small or not alike or size_bytes + shard.size_bytes > FULL_BYTES:
            yield run
            run, size_bytes = [], 0
        if small:
            run.append(shard)
            size_bytes += shard.size_bytes
    yield run


def merge(directory: Path, catalogue: Catalogue, chosen: Sequence[ShardRow], tag: str) -> ShardWriter | None:
    """Returns one shard with what is still there of the chosen ones, not yet finished; None if there is nothing.

    Raises:
        ShardDamaged: at the first context that is damaged, leaving nothing.
        OSError: if it cannot be written, leaving nothing.
    """
    live = list(ranges(catalogue.documents_between(chosen[0].first, chosen[-1].last)))
    if not live:
        return None
    made: ShardWriter | None = None
    try:
        for known in chosen:
            # One at a time: what is mapped counts as memory of the process as long as it is.
            shard = Shard(directory / SHARDS / known.tag)
            if made is None:
                facts = shard.manifest
                bundle = facts.bundle or catalogue.get("bundle", "")
                made = ShardWriter(directory / SHARDS, tag, facts.encoder, facts.width, bundle)
            for first, after in live:
                for row in shard.rows(first, after):
                    raw, record = shard.raw_encoding(row), shard.record_as_written_now(row)
                    made.add(row.context_id, row.document, row.number, record, row.tokens, b"" if raw is None else raw)
    except BaseException:
        if made is not None:
            made.abandon()
        raise
    return made
