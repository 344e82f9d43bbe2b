"""The shards of a collection and what its catalogue says of them, kept together: adding, merging, what is gone of each.

In: a catalogue, with a transaction under way. A shard is in its place before the catalogue names it; what is gone of
one is noted beside it (`catalogue_rows`) before the catalogue says so: without a catalogue, nothing removed comes back.

Neighbours by context id are merged, so that the ids of two shards never overlap. Eight small ones become one of the
next size, so that a context is copied a few times in its life, and a shard of `FULL_BYTES` never.

A shard has a short tag, like 8YG. A catalogue counts its shards, so that no tag is given twice. Neighbours look nothing
alike, so that a tag that was misread or mistyped is most likely none.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgeqa.collection.catalogue_rows import (
    Later,
    ShardRow,
    pack_documents,
    pack_gone,
    ranges,
    together,
    without,
)
from edgeqa.collection.damage import seen
from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.shard import Shard
from edgeqa.collection.shard_format import GONE, GONE_AGAIN, LATER
from edgeqa.collection.shard_writer import ShardWriter
from edgeqa.collection.snapshot import SHARDS
from edgeqa.files import replace_file, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.shard import Manifest

AT_A_TIME = 8
FULL_BYTES = 1 << 30
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing that looks like something else
_SHORTEST = 3
_STEP = 20_021  # odd, so that steps reach every tag of a length once


def next_tag(catalogue: Catalogue) -> str:
    """Returns the tag of the shard that is being written, or will be next."""
    return numbered_tag(catalogue.get("shards_made", 0), catalogue.get("salt", 0))


def add_shard(directory: Path, catalogue: Catalogue, shard: ShardWriter) -> None:
    """Puts a shard in its place, and notes it."""
    made = catalogue.get("shards_made", 0)
    with shard:
        manifest = shard.finish(documents_in(catalogue, shard.first, shard.last), made)
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
    return pack_documents(sources, documents)


def note_gone(directory: Path, catalogue: Catalogue) -> None:
    """Notes beside the shards what has gone of them in the transaction under way."""
    buried, catalogue.buried = catalogue.buried, []
    for known in catalogue.shards() if buried else ():
        here = [(max(first, known.first), min(after, known.last + 1)) for first, after in buried]
        here = [(first, after) for first, after in here if first < after]
        if not here:
            continue
        try:
            before = Shard(directory / SHARDS / known.tag).gone()[0]
        except (ShardDamaged, OSError):
            _note(directory, catalogue, known)
        else:
            _store(directory, known, list(together([*before, *here])))


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
            shard = Shard(directory / SHARDS / known.tag)
            noted = [shard.noted_gone(name) for name in (GONE, GONE_AGAIN)]
            is_right = noted[0] == noted[1] and shard.gone()[1] == known.live
        except (ShardDamaged, OSError):
            is_right = False
        if not is_right:
            _note(directory, catalogue, known)


def _note(directory: Path, catalogue: Catalogue, known: ShardRow) -> None:
    """Notes what the catalogue says has gone of a shard."""
    kept = ranges(catalogue.documents_between(known.first, known.last))
    _store(directory, known, list(without(known.first, known.last + 1, kept)))


def _store(directory: Path, known: ShardRow, gone: list[tuple[int, int]]) -> None:
    place = directory / SHARDS / known.tag
    if place.is_dir():
        for name in (GONE, GONE_AGAIN):
            replace_file(place / name, pack_gone(gone, known.live))
        sync_directory(place)


def choose_to_merge(shards: Sequence[ShardRow], damaged: frozenset[str] | set[str] = frozenset()) -> list[ShardRow]:
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
    made_with = Shard(directory / SHARDS / chosen[0].tag).manifest.made_with(catalogue.get("bundle", ""))
    with ShardWriter(directory / SHARDS, tag, made_with) as made:
        for known in chosen:
            # One at a time: what is mapped counts as memory of the process as long as it is.
            shard = Shard(directory / SHARDS / known.tag)
            for first, after in live:
                for row in shard.rows(first, after):
                    made.copy(shard, row)
    return made


def numbered_tag(number: int, salt: int = 0) -> str:
    """Returns the tag with this number, counted from 0: of three characters, as long as there are any left.

    Collections with different salts count in another order.
    """
    length = _SHORTEST
    while number >= len(_LETTERS) ** length:
        number -= len(_LETTERS) ** length
        length += 1
    rest = (number + salt) * _STEP % len(_LETTERS) ** length
    characters = ""
    for _ in range(length):
        rest, digit = divmod(rest, len(_LETTERS))
        characters += _LETTERS[digit]
    return characters
