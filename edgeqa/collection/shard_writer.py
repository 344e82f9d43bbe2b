"""Writing a shard: contexts in, by rising id; a directory out that is there whole or not at all.

It is written under another name, all files synced, the manifest last, and then renamed. What a killed writer leaves
is known by that name, and swept by the next. `abandon` leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
from typing import IO, TYPE_CHECKING

import xxhash

from edgeqa import files
from edgeqa.collection.shard import FILES, MANIFEST, PARTIAL, Manifest
from edgeqa.collection.shard_format import ALIGNMENT, DOCUMENTS, ENCODINGS, NO_ENCODING, RECORDS, TABLE, Row
from edgeqa.files import create, make_folder, sync, sync_directory

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from edgeqa.collection.shard import Shard
    from edgeqa.collection.snapshot import EncoderIdentity


_BLOCK_BYTES = 1 << 20


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
        with contextlib.suppress(OSError):  # what could not be written is deleted anyway
            self._stream.close()


class ShardWriter:
    """A shard in the making. What it raises is OSError alone."""

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
        """How much was written so far."""
        return sum(file.size_bytes for file in self._files.values())

    @property
    def encodings_bytes(self) -> int:
        """How much of it was encodings."""
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
        """Has the encodings of a former shard, where they lie there; the contexts that follow are added by `place`.

        Nothing is copied where the file system has links.
        """
        self._files[ENCODINGS].take(former)

    def finish(self, documents: bytes, number: int) -> Manifest:
        """Puts the shard in its place; returns its manifest.

        Args:
            documents: what `listing.pack` makes of the documents that its contexts are of.
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
