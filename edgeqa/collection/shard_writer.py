"""Shards as a writer makes them: they are written, kept in step with the catalogue, and merged.

A shard is a directory that is there whole or not at all: it is written under another name, with all files synced and
the manifest last, and then renamed. The next writer knows the remains of a killed one by that name, and sweeps them.
`abandon` leaves nothing.

Within a transaction of the catalogue, the order is this. A shard is in its place before the catalogue names it. Removed
contexts of a shard are noted beside it (`catalogue_rows`) before the catalogue removes them, so that they do not come
back if the catalogue is lost. Neighbours by context id are merged, so that the ids of two shards never overlap. Eight
small shards become one of the next size, so that a context is copied a few times in its life; a shard of `FULL_BYTES`
is never copied.

A shard has a short tag, like 8YG. A catalogue counts its shards, so that no tag is given twice. Neighbours look nothing
alike, so that a tag that was misread or mistyped is most likely none.
"""

from __future__ import annotations

import contextlib
import os
from typing import IO, TYPE_CHECKING

import xxhash

from edgeqa import files
from edgeqa.collection.catalogue_rows import LateEnds, ShardRow, pack_documents, pack_gone, ranges, together, without
from edgeqa.collection.damage import file_state
from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.shard import FILES, MANIFEST, PARTIAL, Manifest, Shard
from edgeqa.collection.shard_format import (
    ALIGNMENT,
    DOCUMENTS,
    ENCODINGS,
    GONE,
    GONE_AGAIN,
    LATER,
    NO_ENCODING,
    RECORDS,
    TABLE,
    Row,
)
from edgeqa.collection.snapshot import SHARDS
from edgeqa.files import create, make_folder, replace_file, sync, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.snapshot import EncoderIdentity

_BLOCK_BYTES = 1 << 20
AT_A_TIME = 8
FULL_BYTES = 1 << 30
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, in which no letter looks like another
_SHORTEST = 3
_STEP = 20_021  # odd, so that steps reach every tag of a length once


class _File:
    """A file that is written from its beginning to its end, hashed as it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] = create(path)
        self._digest = xxhash.xxh3_128()
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)

    def align(self) -> None:
        if rest := self.size_bytes % ALIGNMENT:
            self.write(bytes(ALIGNMENT - rest))

    def finish(self) -> str:
        """Returns the digest of what is now on disk."""
        self._stream.flush()
        sync(self._stream.fileno())
        self._stream.close()
        return self._digest.hexdigest()

    def take(self, former: Path) -> None:
        """Becomes a file that is there already, of the same file system: nobody changes either."""
        self._stream.close()
        files.delete(self._path)
        try:
            files.link(former, self._path)
        except OSError:  # no links here, or too many
            with files.reading(former) as taken, create(self._path) as copy:
                while block := taken.read(_BLOCK_BYTES):
                    copy.write(block)
        self._stream = os.fdopen(files.opened(self._path, os.O_RDWR), "r+b")
        while block := self._stream.read(_BLOCK_BYTES):
            self._digest.update(block)
            self.size_bytes += len(block)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the shard could not be written, and is deleted anyway
            self._stream.close()


class ShardWriter:
    """A shard in the making. It raises nothing but OSError."""

    def __init__(self, shards: Path, tag: str, made_with: EncoderIdentity) -> None:
        self.tag = tag
        self.contexts = 0
        self.first = self.last = 0
        self._shards, self._made_with = shards, made_with
        self._partial = shards / f"{PARTIAL}{tag}"
        make_folder(self._partial)
        self._files = {name: _File(self._partial / name) for name in FILES}

    @property
    def size_bytes(self) -> int:
        """The number of bytes written so far."""
        return sum(file.size_bytes for file in self._files.values())

    @property
    def encodings_bytes(self) -> int:
        """The number of these bytes that are encodings."""
        return self._files[ENCODINGS].size_bytes

    def add(
        self,
        context_id: int,
        document: int,
        number: int,
        record: bytes,
        tokens: int,
        encoding: bytes | memoryview,
        *,
        placed: tuple[int, int] = (NO_ENCODING, 0),
    ) -> None:
        """Adds a context.

        Args:
            context_id: higher than all before.
            document: number of its document in the catalogue.
            number: which of the document's contexts it is, counted from 1.
            record: as `shard_format.pack_record` makes it.
            tokens: how many tokens it has.
            encoding: as `shard_format.pack_encoding` makes it; empty to store none.
            placed: offset and digest of the one that is among those taken from a former shard.
        """
        encoding_offset, encoding_digest = placed
        if len(encoding):
            file = self._files[ENCODINGS]
            file.align()
            encoding_offset, encoding_digest = file.size_bytes, xxhash.xxh3_64_intdigest(encoding)
            file.write(encoding)
        records = self._files[RECORDS]
        record_digest = xxhash.xxh3_64_intdigest(record)
        place = (records.size_bytes, len(record), tokens, encoding_offset)
        records.write(record)
        self._files[TABLE].write(Row(context_id, document, number, *place, record_digest, encoding_digest).pack())
        self.first = self.first if self.contexts else context_id
        self.last = context_id
        self.contexts += 1

    def copy(self, shard: Shard, row: Row, record: bytes | None = None, *, encodings: bool = True) -> None:
        """Adds a context of another shard.

        Args:
            shard: the other.
            row: the context's.
            record: as it is to be here; None for the one that is there.
            encodings: whether to take the encoding, too.

        Raises:
            ShardDamaged: if the context is damaged.
        """
        encoding = shard.raw_encoding(row) if encodings else None
        record = record or shard.record_as_written_now(row)
        self.add(row.context_id, row.document, row.number, record, row.tokens, encoding or b"")

    def take_encodings(self, former: Path) -> None:
        """Takes over the encodings of a former shard, where they lie there; `place` adds the contexts that follow.

        Nothing is copied where the file system has links.
        """
        self._files[ENCODINGS].take(former)

    def finish(self, documents: bytes, number: int) -> Manifest:
        """Puts the shard in its place; returns its manifest.

        Args:
            documents: what `pack_documents` makes of the documents that its contexts are of.
            number: how many shards the collection has made before.
        """
        self._files[DOCUMENTS].write(documents)
        digests = {name: file.finish() for name, file in self._files.items()}
        manifest = Manifest(
            tag=self.tag,
            encoder=self._made_with.digest,
            width=self._made_with.width,
            contexts=self.contexts,
            first=self.first,
            last=self.last,
            sizes_bytes={name: file.size_bytes for name, file in self._files.items()},
            digests=digests,
            bundle=self._made_with.bundle,
            language=self._made_with.language,
            number=number,
        )
        with create(self._partial / MANIFEST) as stream:
            stream.write(manifest.pack())
            stream.flush()
            sync(stream.fileno())
        sync_directory(self._partial)
        files.rename(self._partial, self._shards / self.tag)
        sync_directory(self._shards)
        return manifest

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leaves nothing of it where the block ends in an error."""
        if error is not None:
            self.abandon()

    def abandon(self) -> None:
        """Leaves nothing of it."""
        for file in self._files.values():
            file.close()
        files.delete_folder(self._partial)


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
    """Makes the row of a shard in the catalogue.

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
        seen=file_state(directory / SHARDS / manifest.tag),
    )


def documents_in(catalogue: Catalogue, first: int, last: int) -> bytes:
    """Packs the documents, and their sources, of the contexts from `first` to `last`, as their shard holds them."""
    documents = list(catalogue.documents_between(first, last))
    return pack_documents(catalogue.sources_with(list({d.source for d in documents})), documents)


def note_gone(directory: Path, catalogue: Catalogue) -> None:
    """Notes beside the shards what has gone of them in the transaction under way."""
    buried, catalogue.buried = catalogue.buried, []
    for known in catalogue.shards() if buried else ():
        here = [(max(first, known.first), min(after, known.last + 1)) for first, after in buried]
        here = [(first, after) for first, after in here if first < after]
        if not here:
            continue
        try:
            before = Shard(directory / SHARDS / known.tag).read_gone()[0]
        except (ShardDamaged, OSError):
            _note(directory, catalogue, known)
        else:
            _store(directory, known, list(together([*before, *here])))


def note_late_ends(directory: Path, catalogue: Catalogue, ended: Mapping[int, LateEnds]) -> None:
    """Notes beside the shards what has come to its end in the transaction under way.

    Args:
        directory: of the collection.
        catalogue: of the collection.
        ended: what has, by the id of its last context, which is in a shard already.
    """
    places: dict[str, LateEnds] = {}
    for known in catalogue.shards() if ended else ():
        for context_id, later in ended.items():
            if known.first <= context_id <= known.last:
                places[known.tag] = places.get(known.tag, LateEnds()).and_then(later)
    for tag_of, later in places.items():
        place = directory / SHARDS / tag_of
        before = LateEnds()
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
            is_right = noted[0] == noted[1] and shard.read_gone()[1] == known.live
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
            # One file at a time is mapped, since mapped memory counts as the process's own.
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
