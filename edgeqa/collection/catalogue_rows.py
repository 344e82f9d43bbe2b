"""The rows of a catalogue as values (files in their states, documents, shards), and their form inside a shard.

A shard keeps enough about its documents that they can be restored without a catalogue:

    documents.jsonl   one JSON array a line: sources, then documents, as they were when the shard was written
    gone.bin          the ranges of context ids whose documents were removed; the file is missing if none were
    gone-again.bin    a copy: removed contexts must not come back where catalogue and gone.bin are lost
    later.json        sources and documents that a commit after the shard completed; missing if there are none

    ["source", id, path in hex, name, digest in hex, window_tokens, encoder, state, reader, splitter]
    ["document", id, source, suffix, title, tag, first, contexts, whole]
    b"gone", uint32 contexts left, then uint64 first and after of each range, then the XXH3-64 of all before
    {"format": 2, "documents": [id, ...], "sources": [[id, state], ...], "check": ...}

Names are those of the catalogue's columns. A shard is immutable except for the last three files, which are replaced
when documents are removed or completed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping  # noqa: TC003 - a named tuple's fields
from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from edgeqa.contexts.passages import SPLITTER_VERSION
from edgeqa.digests import blake2b
from edgeqa.errors import printed
from edgeqa.files import pack_checked, unpack_checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


READY, PENDING, GROWING, WHOLE = -1, 0, 1, 2
MARK = b"anew:"  # the digest of a source that is `READY`, or will be, begins so
DIGEST_BYTES = 16
_HEAD, _RANGE, _CHECK = Struct("<4sI"), Struct("<QQ"), Struct("<Q")
_MAGIC = b"gone"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A file in one of its states."""

    id: int
    path: bytes
    name: str
    digest: bytes
    window_tokens: int
    encoder: str
    state: int
    reader: str = ""
    """The name and version of the reader that made its text; "" if edgeqa 0.3 noted none."""
    splitter: int = SPLITTER_VERSION
    """The version of the code that cut it into contexts."""

    @property
    def full_path(self) -> str | None:
        """The file's full path, as names are shown; None of what came through a pipe."""
        return printed(os.fsdecode(self.path)) if self.path.startswith(b"/") else None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document."""

    id: int
    source: int
    name: str
    title: str
    tag: str
    first: int
    contexts: int
    whole: bool

    @property
    def after(self) -> int:
        """The id after its last context's."""
        return self.first + self.contexts

    def digest(self) -> int:
        """Returns a number that stands for the document and its place; a collection's digest is their sum."""
        fields = "\0".join((self.tag, str(self.first), str(self.contexts), self.title, self.name))
        return int.from_bytes(blake2b(fields.encode(), digest_size=DIGEST_BYTES).digest(), "little")


@dataclass(frozen=True, slots=True)
class ShardRow:
    """A shard."""

    tag: str
    encoder: str
    first: int
    last: int
    contexts: int
    live: int
    encodings_bytes: int
    size_bytes: int
    seen: str


def ranges(documents: Iterable[DocumentRow]) -> Iterator[tuple[int, int]]:
    """Yields the ranges of context ids of documents, neighbours as one."""
    begin = end = 0
    for document in documents:
        if document.first != end:
            if begin < end:
                yield begin, end
            begin = document.first
        end = document.after
    if begin < end:
        yield begin, end


def pack_documents(sources: Iterable[SourceRow], documents: Iterable[DocumentRow]) -> bytes:
    """Returns the lines of a shard."""
    names = {}
    lines: list[list[object]] = []
    for s in sources:
        names[s.id] = s.name
        fields = (s.id, s.path.hex(), s.name, s.digest.hex(), s.window_tokens, s.encoder, s.state, s.reader, s.splitter)
        lines.append(["source", *fields])
    for d in documents:
        suffix = d.name[len(names[d.source]) :]
        lines.append(["document", d.id, d.source, suffix, d.title, d.tag, d.first, d.contexts, d.whole])
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def unpack_documents(raw: bytes) -> tuple[list[SourceRow], list[DocumentRow]]:
    """Returns the sources and the documents of a shard.

    Raises:
        ValueError: if these are not its lines.
    """
    sources: dict[int, SourceRow] = {}
    documents: list[DocumentRow] = []
    try:
        for kind, number, *rest in map(json.loads, raw.splitlines()):
            if kind == "source":
                path, name, digest, *others = rest
                sources[number] = SourceRow(number, bytes.fromhex(path), name, bytes.fromhex(digest), *others)
            else:
                source, suffix, title, tag, first, contexts, whole = rest
                name = sources[source].name + suffix
                documents.append(DocumentRow(number, source, name, title, tag, first, contexts, whole=whole))
    except (KeyError, TypeError) as error:
        message = "not the documents of a shard"
        raise ValueError(message) from error
    return list(sources.values()), documents


class LateEnds(NamedTuple):
    """Documents and sources that were completed after a shard was written."""

    documents: frozenset[int] = frozenset()
    """Ids of documents that are whole with the contexts that they had."""
    sources: Mapping[int, int] = {}
    """States of sources, by their ids."""

    def pack(self) -> bytes:
        """Returns the bytes of `later.json`."""
        sources = sorted(self.sources.items())
        return pack_checked({"format": 2, "documents": sorted(self.documents), "sources": sources})

    @classmethod
    def unpack(cls, raw: bytes) -> LateEnds:
        """Parses the bytes of `later.json`.

        Raises:
            ValueError: if it is not what was written.
        """
        facts = unpack_checked(raw)
        return cls(frozenset(facts["documents"]), dict(facts["sources"]))

    def and_then(self, later: LateEnds) -> LateEnds:
        """Returns both together."""
        return LateEnds(self.documents | later.documents, {**self.sources, **later.sources})

    def of(
        self, sources: Iterable[SourceRow], documents: Iterable[DocumentRow]
    ) -> tuple[list[SourceRow], list[DocumentRow]]:
        """Returns sources and documents as they are now."""
        return (
            [replace(s, state=self.sources.get(s.id, s.state)) for s in sources],
            [replace(d, whole=d.whole or d.id in self.documents) for d in documents],
        )


def pack_gone(gone: Sequence[tuple[int, int]], left: int) -> bytes:
    """Returns the bytes of `gone.bin`.

    Args:
        gone: the ranges, each from its first id on and below its second.
        left: how many contexts of the shard still belong to a document.
    """
    body = _HEAD.pack(_MAGIC, left) + b"".join(_RANGE.pack(*one) for one in gone)
    return body + _CHECK.pack(xxhash.xxh3_64_intdigest(body))


def unpack_gone(raw: bytes) -> tuple[list[tuple[int, int]], int]:
    """Returns the ranges that are gone, and how many contexts are left.

    Raises:
        ValueError: if they are not what was written.
    """
    body = raw[: -_CHECK.size]
    if len(body) < _HEAD.size or _CHECK.pack(xxhash.xxh3_64_intdigest(body)) != raw[len(body) :]:
        message = "wrong checksum"
        raise ValueError(message)
    magic, left = _HEAD.unpack_from(body)
    if magic != _MAGIC:
        message = "not what is gone of a shard"
        raise ValueError(message)
    return [(first, after) for first, after in _RANGE.iter_unpack(body[_HEAD.size :])], left


def without(first: int, after: int, kept: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields what of the ids from `first` on and below `after` is in none of the rising ranges that are kept."""
    place = first
    for begin, end in kept:
        if begin > place:
            yield place, min(begin, after)
        place = max(place, end)
        if place >= after:
            return
    yield place, after


def together(parts: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields ranges in their order, those that touch or overlap as one."""
    begin = end = -1
    for first, after in sorted(parts):
        if first > end:
            if begin < end:
                yield begin, end
            begin = first
        end = max(end, after)
    if begin < end:
        yield begin, end
