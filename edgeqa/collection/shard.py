"""A shard on disk, opened for reading: an immutable directory of four files and a manifest.

In: the directory, a context id. Out: its row, its record, its encoding, each compared with its checksum before it is
given out. Bytes that are not as they were written raise `ShardDamaged`. A shard of format 1, which edgeqa 0.3 wrote,
has three files and no facts about its documents. Any number of processes may read, even while the directory is deleted:
open files stay readable. It is safe to use from many threads.

Rows, records and encodings are read, and no file is mapped: if somebody cuts a mapped file short, the system ends the
process. To copy an encoding from the system's memory takes a hundredth of the time that reading with it takes.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import xxhash

from edgeqa.collection.errors import CollectionFormatUnsupported, ShardDamaged
from edgeqa.collection.shard_format import (
    CONTEXT_ID,
    DOCUMENTS,
    ENCODINGS,
    FORMAT,
    FORMER,
    GONE,
    GONE_AGAIN,
    LATER,
    NO_ENCODING,
    RECORDS,
    ROW_BYTES,
    TABLE,
    Record,
    Row,
    encoding_bytes,
    record_again,
    row_at,
    unpack_encoding,
)
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.files import opened, pack_checked, read, read_at, reading, unpack_checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgeqa.collection.catalogue_rows import DocumentRow, LateEnds, SourceRow
    from edgeqa.models.readers import Encoding

T = TypeVar("T")

MANIFEST = "manifest.json"
PARTIAL = "partial-"  # the name of an unfinished shard begins so
FORMER_FILES = (TABLE, RECORDS, ENCODINGS)
FILES = (*FORMER_FILES, DOCUMENTS)
_BLOCK_BYTES = 1 << 20
_ROWS_AT_ONCE = 1024


class Manifest(NamedTuple):
    """The facts that a shard states about itself."""

    tag: str
    encoder: str
    """Digest of the parts of the bundle that made its token ids and encodings."""
    width: int
    """Width of an encoding's rows; 0 where there are none."""
    contexts: int
    first: int
    """Its lowest context id."""
    last: int
    sizes_bytes: dict[str, int]
    digests: dict[str, str]
    """XXH3-128 of each file, in hex."""
    bundle: str = ""
    """Name and version of the bundle; "" in format 1."""
    number: int = 0
    """How many shards the collection had made before it: of two shards, the newer one has the higher number."""
    format: int = FORMAT
    language: str = "en"
    """Language of the index that its contexts are in."""

    def made_with(self, bundle: str) -> EncoderIdentity:
        """Returns the encoder of its contexts, named `bundle` where the manifest has no name, as in format 1."""
        return EncoderIdentity(self.encoder, self.bundle or bundle, self.width, self.language)

    def pack(self) -> bytes:
        """Returns the manifest's bytes."""
        facts: dict[str, Any] = {"format": self.format}
        facts |= {name: getattr(self, name) for name in (*_FORMER_FACTS, "bundle", "number")}
        if self.language != "en":
            facts["language"] = self.language
        facts["files"] = {name: {"bytes": self.sizes_bytes[name], "xxh3_128": self.digests[name]} for name in FILES}
        return pack_checked(facts)

    @classmethod
    def parse(cls, raw: bytes, file: Path) -> Manifest:
        """Returns the manifest in the bytes of its file.

        Raises:
            CollectionFormatUnsupported: for a later format.
            ShardDamaged: if it is not what was written.
        """
        try:
            try:
                facts = unpack_checked(raw)
            except ValueError:
                facts = _former(raw)
            if facts["format"] not in (FORMER, FORMAT):
                raise CollectionFormatUnsupported(file, facts["format"], FORMAT)
            is_former, files = facts["format"] == FORMER, facts["files"]
            names = FORMER_FILES if is_former else FILES
            fields = _FORMER_FACTS if is_former else (*_FORMER_FACTS, "bundle", "number")
            return cls(
                **{name: facts[name] for name in (*fields, "format")},
                language=facts.get("language", "en"),
                sizes_bytes={name: files[name]["bytes"] for name in names},
                digests={name: files[name]["xxh3_128"] for name in names},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ShardDamaged(file.parent.name, file, f"not a manifest ({error})") from error


_FORMER_FACTS = ("tag", "encoder", "width", "contexts", "first", "last")


def _former(raw: bytes) -> dict[str, Any]:
    """Returns the facts in a manifest of format 1, which has the checksum of what it means.

    Raises:
        ValueError: if it is none, or is not what was written.
    """
    facts: dict[str, Any] = json.loads(raw)
    check = facts.pop("check")
    if facts["format"] != FORMER or check != xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True).encode()):
        message = "wrong checksum"
        raise ValueError(message)
    return facts


def is_shard(directory: Path) -> bool:
    """Tells whether a directory is a shard that was finished."""
    return not directory.name.startswith(PARTIAL) and (directory / MANIFEST).exists()


class _Open:
    """A file that is open as long as somebody needs it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def size_bytes(self) -> int:
        return os.fstat(self.descriptor).st_size

    def __del__(self) -> None:
        os.close(self.descriptor)


class Shard:
    """An open shard."""

    def __init__(self, directory: Path) -> None:
        """Opens the shard.

        Raises:
            FileNotFoundError: if there is no shard.
            ShardDamaged: if its files are not of the size that its manifest says.
        """
        self.directory = directory
        self.tag = directory.name
        file = directory / MANIFEST
        self.manifest = Manifest.parse(read(file), file)
        if self.manifest.tag != self.tag:
            raise ShardDamaged(self.tag, file, f"it is the manifest of {self.manifest.tag}")
        if self.manifest.sizes_bytes[TABLE] != self.manifest.contexts * ROW_BYTES:
            raise ShardDamaged(self.tag, file, "its table is of another length")
        self._table, self._records, self._encodings = (self._open(name) for name in FORMER_FILES)

    def _open(self, name: str) -> _Open:
        file, expected = self.directory / name, self.manifest.sizes_bytes[name]
        one = _Open(opened(file))
        if (found := one.size_bytes()) != expected:
            raise ShardDamaged(self.tag, file, f"{found} bytes instead of {expected}")
        return one

    def __len__(self) -> int:
        return self.manifest.contexts

    def find(self, context_id: int) -> Row | None:
        """Returns the row of a context, or None if the shard does not hold it.

        Raises:
            ShardDamaged: if the row, or the way to it, is damaged.
        """
        position = self._position(context_id)
        if position < len(self) and (row := self.row(position)).context_id == context_id:
            return row
        # A damaged id can lead the search astray, so that an existing row seems to be missing.
        for _ in self._rows(0):
            pass
        return None

    def _position(self, context_id: int) -> int:
        """Returns the row of a context in the table, or the row where it would be."""
        low, high = 0, len(self)
        guess = context_id - self.manifest.first  # this is right if no id before it is missing
        if low <= guess < high and self._id_at(guess) == context_id:
            return guess
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._id_at(middle) < context_id else (low, middle)
        return low

    def _id_at(self, position: int) -> int:
        found: int = CONTEXT_ID.unpack(self._cut_out(TABLE, position * ROW_BYTES, CONTEXT_ID.size))[0]
        return found

    def _cut_out(self, name: str, offset: int, size_bytes: int) -> bytes:
        """Returns bytes of a file.

        Raises:
            ShardDamaged: if it ends before, or cannot be read.
        """
        kept = self._table if name == TABLE else self._records if name == RECORDS else self._encodings
        try:
            found = read_at(kept.descriptor, offset, size_bytes)
        except OSError as error:
            raise ShardDamaged(self.tag, self.directory / name, error.strerror or str(error)) from error
        if len(found) < size_bytes:
            raise ShardDamaged(self.tag, self.directory / name, f"it ends before {offset + size_bytes} bytes")
        return found

    def row(self, position: int) -> Row:
        """Returns the row at this position of the table.

        Raises:
            ShardDamaged: if it is damaged.
        """
        return self._row_in(self._cut_out(TABLE, position * ROW_BYTES, ROW_BYTES), 0, position)

    def _row_in(self, part: bytes, at: int, position: int) -> Row:
        row = row_at(part, at)
        if row is None:
            raise ShardDamaged(self.tag, self.directory / TABLE, f"row {position} has a wrong checksum")
        return row

    def _rows(self, position: int) -> Iterator[Row]:
        """Yields the rows from a position on, read many at once; raises as `row` does."""
        for first in range(position, len(self), _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, len(self) - first)
            part = self._cut_out(TABLE, first * ROW_BYTES, rows * ROW_BYTES)
            for at in range(rows):
                yield self._row_in(part, at, first + at)

    def rows(self, first: int = 0, after: int = NO_ENCODING) -> Iterator[Row]:
        """Yields the rows of the contexts with ids from `first` on and below `after`.

        Raises:
            ShardDamaged: at a row that is damaged.
        """
        for row in self._rows(self._position(first)):
            if row.context_id >= after:
                return
            yield row

    def record(self, row: Row) -> Record:
        """Returns a context's record; raises as `raw_record` does."""
        return Record(self.raw_record(row), row.tokens, self.manifest.format)

    def record_as_written_now(self, row: Row) -> bytes:
        """Returns the bytes of a context's record in the format that is written; raises as `raw_record` does."""
        raw = self.raw_record(row)
        return raw if self.manifest.format == FORMAT else record_again(raw)

    def raw_record(self, row: Row) -> bytes:
        """Returns the bytes of a context's record.

        Raises:
            ShardDamaged: if it is damaged.
        """
        raw = self._cut_out(RECORDS, row.record_offset, row.record_bytes)
        if xxhash.xxh3_64_intdigest(raw) != row.record_digest:
            where = f"the record at {row.record_offset} has a wrong checksum"
            raise ShardDamaged(self.tag, self.directory / RECORDS, where)
        return raw

    def raw_encoding(self, row: Row) -> bytes | None:
        """Returns the bytes of a context's encoding, or None if none is stored.

        Raises:
            ShardDamaged: if it is damaged.
        """
        if row.encoding_offset == NO_ENCODING:
            return None
        size_bytes = encoding_bytes(row.tokens, self.manifest.width)
        raw = self._cut_out(ENCODINGS, row.encoding_offset, size_bytes)
        if xxhash.xxh3_64_intdigest(raw) != row.encoding_digest:
            where = f"the encoding at {row.encoding_offset} has a wrong checksum"
            raise ShardDamaged(self.tag, self.directory / ENCODINGS, where)
        return raw

    def encoding(self, row: Row) -> Encoding | None:
        """Returns the encoding of a context, or None if none is stored; raises as `raw_encoding` does."""
        from edgeqa.models.readers import Encoding

        raw = self.raw_encoding(row)
        return None if raw is None else Encoding(*unpack_encoding(raw, row.tokens, self.manifest.width))

    def documents(self) -> tuple[list[SourceRow], list[DocumentRow]]:
        """Returns the sources and documents that its contexts are of, as they were when it was written.

        Raises:
            ShardDamaged: if they cannot be read.
        """
        from edgeqa.collection.catalogue_rows import unpack_documents

        file = self.directory / DOCUMENTS
        try:
            raw = read(file)
            if xxhash.xxh3_128_hexdigest(raw) != self.manifest.digests[DOCUMENTS]:
                raise ShardDamaged(self.tag, file, "wrong checksum")
            return self.later().of(*unpack_documents(raw))
        except OSError as error:
            raise ShardDamaged(self.tag, file, error.strerror or str(error)) from error
        except (ValueError, KeyError) as error:
            raise ShardDamaged(self.tag, file, str(error)) from error

    def read_gone(self) -> tuple[list[tuple[int, int]], int]:
        """Returns the ranges of context ids that no document has any more, and how many contexts are left.

        Raises:
            ShardDamaged: if they cannot be read.
        """
        try:
            found = self.noted_gone(GONE)  # it is written first, so that it is ahead after a kill in between
        except ShardDamaged:
            if (found := self.noted_gone(GONE_AGAIN)) is None:
                raise
        return found or self.noted_gone(GONE_AGAIN) or ([], len(self))

    def noted_gone(self, name: str) -> tuple[list[tuple[int, int]], int] | None:
        """Reads the file GONE, or GONE_AGAIN; None if there is no such file.

        Raises:
            ShardDamaged: if it cannot be read.
        """
        from edgeqa.collection.catalogue_rows import unpack_gone

        return self._unpacked(name, unpack_gone)

    def later(self) -> LateEnds:
        """Returns the sources and documents of the shard that came to their end after it was written.

        Raises:
            ShardDamaged: if that cannot be read.
        """
        from edgeqa.collection.catalogue_rows import LateEnds

        return self._unpacked(LATER, LateEnds.unpack) or LateEnds()

    def _unpacked(self, name: str, unpack: Callable[[bytes], T]) -> T | None:
        """Reads and unpacks a file that was put beside the shard later; None if there is none."""
        file = self.directory / name
        try:
            return unpack(read(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ShardDamaged(self.tag, file, error.strerror or str(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ShardDamaged(self.tag, file, str(error)) from error

    def held(self, first: int, after: int) -> int:
        """Returns the number of its contexts with ids from `first` on and below `after`."""
        return self._position(after) - self._position(first)

    def check(self) -> Iterator[ShardDamaged]:
        """Yields what is damaged: each file is read whole, and compared with its digest."""
        for name, expected in self.manifest.digests.items():
            file = self.directory / name
            digest = xxhash.xxh3_128()
            try:
                with reading(file) as stream:
                    while block := stream.read(_BLOCK_BYTES):
                        digest.update(block)
            except OSError as error:
                yield ShardDamaged(self.tag, file, error.strerror or str(error))
            else:
                if digest.hexdigest() != expected:
                    yield ShardDamaged(self.tag, file, "wrong checksum")
        for look in (lambda: self.noted_gone(GONE), lambda: self.noted_gone(GONE_AGAIN), self.later):
            yield from _damage(look)

    def sound(self) -> set[int]:
        """Returns the ids of the contexts that can be read, row, record and encoding, whatever else is damaged."""
        found = set()
        for position in range(len(self)):
            with contextlib.suppress(ShardDamaged):
                row = self.row(position)
                self.raw_record(row)
                self.raw_encoding(row)
                found.add(row.context_id)
        return found


def _damage(read: Callable[[], object]) -> Iterator[ShardDamaged]:
    try:
        read()
    except ShardDamaged as damage:
        yield damage
