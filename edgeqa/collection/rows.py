"""What a catalogue lists, as values: files in their states, documents, shards. Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.contexts.pieces import SPLITTER_VERSION
from edgeqa.digests import blake2b

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

READY, PENDING, GROWING, WHOLE = -1, 0, 1, 2
MARK = b"anew:"  # what the digest of a source that is `READY`, or will be, begins with
DIGEST_BYTES = 16


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
    """Which reader made its text, and of which version; "" where edgeqa 0.3 noted none."""
    splitter: int = SPLITTER_VERSION
    """Which version cut it into contexts."""

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


def printed(name: str) -> str:
    """Returns a file's name as it is kept and shown: what of it is no UTF-8 is escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
