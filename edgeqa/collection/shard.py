"""A shard on disk, opened for reading: an immutable directory of three files and a manifest, memory-mapped.

In: the directory, a context id. Out: its row, its record, its encoding, each compared with its checksum before it is
given out; an encoding is not copied. What is not as it was written is a `ShardDamaged`. Any number of processes may
read, also while the directory is deleted: what is mapped stays. Safe from many threads.
"""

from __future__ import annotations

import contextlib
import json
import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from edgeqa.collection.errors import CollectionFormatUnsupported, ShardDamaged
from edgeqa.collection.layout import (
    CONTEXT_ID,
    ENCODINGS,
    FORMAT,
    FORMER,
    NO_ENCODING,
    RECORDS,
    ROW_BYTES,
    TABLE,
    Record,
    Row,
    encoding_bytes,
    encoding_in,
    record_again,
    row_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.models.reader import Encoding

MANIFEST = "manifest.json"
FILES = (TABLE, RECORDS, ENCODINGS)
_BLOCK_BYTES = 1 << 20


class Manifest(NamedTuple):
    """What a shard says of itself."""

    tag: str
    encoder: str
    """Digest of the parts of the bundle that made its token ids and encodings."""
    width: int
    """Of an encoding's rows; 0 where there are none."""
    contexts: int
    first: int
    """Its lowest context id."""
    last: int
    sizes_bytes: dict[str, int]
    digests: dict[str, str]
    """XXH3-128 of each file, in hex."""
    format: int = FORMAT

    def to_json(self) -> str:
        """Returns the manifest's text, which ends in its own checksum."""
        facts: dict[str, Any] = {"format": self.format}
        facts |= {name: getattr(self, name) for name in ("tag", "encoder", "width", "contexts", "first", "last")}
        facts["files"] = {name: {"bytes": self.sizes_bytes[name], "xxh3_128": self.digests[name]} for name in FILES}
        return json.dumps(facts | {"check": _check(facts)}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str, file: Path) -> Manifest:
        """Returns the manifest in `text`.

        Raises:
            CollectionFormatUnsupported: for another format.
            ShardDamaged: if it is not what was written.
        """
        tag = file.parent.name
        try:
            facts = json.loads(text)
            if facts.pop("check") != _check(facts):
                raise ShardDamaged(tag, file, "wrong checksum")
            if facts["format"] not in (FORMER, FORMAT):
                raise CollectionFormatUnsupported(file, facts["format"], FORMAT)
            files = facts["files"]
            return cls(
                **{name: facts[name] for name in ("tag", "encoder", "width", "contexts", "first", "last", "format")},
                sizes_bytes={name: files[name]["bytes"] for name in FILES},
                digests={name: files[name]["xxh3_128"] for name in FILES},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, ShardDamaged):
                raise
            raise ShardDamaged(tag, file, f"not a manifest ({error})") from error


def _check(facts: dict[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True).encode())


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
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ShardDamaged(self.tag, file, "not a manifest") from error
        self.manifest = Manifest.parse(text, file)
        if self.manifest.tag != self.tag:
            raise ShardDamaged(self.tag, file, f"it is the manifest of {self.manifest.tag}")
        if self.manifest.sizes_bytes[TABLE] != self.manifest.contexts * ROW_BYTES:
            raise ShardDamaged(self.tag, file, "its table is of another length")
        self._table, self._records, self._encodings = (self._map(name) for name in FILES)

    def _map(self, name: str) -> memoryview:
        file = self.directory / name
        expected = self.manifest.sizes_bytes[name]
        with file.open("rb") as stream:
            found = stream.seek(0, 2)
            if found != expected:
                raise ShardDamaged(self.tag, file, f"{found} bytes instead of {expected}")
            if not expected:
                return memoryview(b"")
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))

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
        # A damaged id leads the search astray: then a row that is there seems not to be.
        for other in range(len(self)):
            self.row(other)
        return None

    def _position(self, context_id: int) -> int:
        """Returns where in the table the context is, or would be."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            (found,) = CONTEXT_ID.unpack_from(self._table, middle * ROW_BYTES)
            low, high = (middle + 1, high) if found < context_id else (low, middle)
        return low

    def row(self, position: int) -> Row:
        """Returns the row at this position of the table.

        Raises:
            ShardDamaged: if it is damaged.
        """
        row = row_at(self._table, position)
        if row is None:
            raise ShardDamaged(self.tag, self.directory / TABLE, f"row {position} has a wrong checksum")
        return row

    def rows(self, first: int = 0, after: int = NO_ENCODING) -> Iterator[Row]:
        """Yields the rows of the contexts with ids from `first` on and below `after`.

        Raises:
            ShardDamaged: at a row that is damaged.
        """
        for position in range(self._position(first), len(self)):
            row = self.row(position)
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
        raw = bytes(self._records[row.record_offset : row.record_offset + row.record_bytes])
        if xxhash.xxh3_64_intdigest(raw) != row.record_digest:
            where = f"the record at {row.record_offset} has a wrong checksum"
            raise ShardDamaged(self.tag, self.directory / RECORDS, where)
        return raw

    def raw_encoding(self, row: Row) -> memoryview | None:
        """Returns the bytes of a context's encoding, not copied, or None if none is stored.

        Raises:
            ShardDamaged: if it is damaged.
        """
        if row.encoding_offset == NO_ENCODING:
            return None
        size_bytes = encoding_bytes(row.tokens, self.manifest.width)
        raw = self._encodings[row.encoding_offset : row.encoding_offset + size_bytes]
        if len(raw) != size_bytes or xxhash.xxh3_64_intdigest(raw) != row.encoding_digest:
            where = f"the encoding at {row.encoding_offset} has a wrong checksum"
            raise ShardDamaged(self.tag, self.directory / ENCODINGS, where)
        return raw

    def encoding(self, row: Row) -> Encoding:
        """Returns the encoding of a context that has one, not copied; `raw_encoding` has checked it."""
        return encoding_in(self._encodings, row.encoding_offset, row.tokens, self.manifest.width)

    def check(self) -> Iterator[ShardDamaged]:
        """Yields what is damaged: each file is read whole, and compared with its digest."""
        for name, mapped in zip(FILES, (self._table, self._records, self._encodings), strict=True):
            digest = xxhash.xxh3_128()
            for place in range(0, len(mapped), _BLOCK_BYTES):
                digest.update(mapped[place : place + _BLOCK_BYTES])
            if digest.hexdigest() != self.manifest.digests[name]:
                yield ShardDamaged(self.tag, self.directory / name, "wrong checksum")

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
