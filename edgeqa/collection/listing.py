"""What a shard says of the documents of its contexts: enough for them to stand again without a catalogue. Pure.

    documents.jsonl   one JSON array a line: sources, then documents, as they were when the shard was written
    gone.bin          the ranges of context ids that are no document's any more; there is none before something is
    later.json        what of them came to its end in a commit after the shard; there is none where nothing did

    ["source", id, path in hex, name, digest in hex, window_tokens, encoder, state, reader, splitter]
    ["document", id, source, suffix, title, tag, first, contexts, whole]
    b"gone", uint32 contexts left, then uint64 first and after of each range, then the XXH3-64 of all before
    {"format": 2, "documents": [id, ...], "sources": [[id, state], ...], "check": ...}

Names are those of the catalogue's columns. A shard is immutable, but the last two files are replaced as documents go
and end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - a named tuple's fields
from dataclasses import replace
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from edgeqa.collection import checked
from edgeqa.collection.rows import DocumentRow, SourceRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HEAD, _RANGE, _CHECK = Struct("<4sI"), Struct("<QQ"), Struct("<Q")
_MAGIC = b"gone"


def pack(sources: Iterable[SourceRow], documents: Iterable[DocumentRow]) -> bytes:
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


def unpack(raw: bytes) -> tuple[list[SourceRow], list[DocumentRow]]:
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


class Later(NamedTuple):
    """What came to its end after a shard was written."""

    documents: frozenset[int] = frozenset()
    """Ids of documents that are whole with the contexts that they had."""
    sources: Mapping[int, int] = {}
    """States of sources, by their ids."""

    def pack(self) -> bytes:
        """Returns the bytes of `later.json`."""
        sources = sorted(self.sources.items())
        return checked.dump({"format": 2, "documents": sorted(self.documents), "sources": sources})

    @classmethod
    def unpack(cls, raw: bytes) -> Later:
        """Returns what is in the bytes of `later.json`.

        Raises:
            ValueError: if it is not what was written.
        """
        facts = checked.load(raw)
        return cls(frozenset(facts["documents"]), dict(facts["sources"]))

    def and_then(self, later: Later) -> Later:
        """Returns both together."""
        return Later(self.documents | later.documents, {**self.sources, **later.sources})

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
