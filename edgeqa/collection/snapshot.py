"""The snapshot: the content of a collection at one moment, in one small file that each commit replaces in one step.

In: a collection's directory. Out: its digest, which stands for its content, and its shards. Thanks to the snapshot, a
remembered answer is found without SQLite, and a collection on a read-only medium can be read. The catalogue is the
truth: a writer removes the snapshot before it commits there and writes it anew afterwards. A reader that finds no
snapshot, or a damaged one, asks the catalogue. A snapshot of edgeqa 0.3 (FORMER) has no checksum, and is read as it is.
Values are named tuples: a remembered answer waits for their classes, and dataclasses take five times as long.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.collection.errors import CollectionFormatUnsupported
from edgeqa.digests import blake2b
from edgeqa.files import delete, pack_checked, replace_file, unpack_checked

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.models.bundle import Bundle

FORMAT, FORMER = 2, 1
FILE = "snapshot.json"
CATALOGUE = "catalogue.sqlite"
SHARDS = "shards"
ROUTE = "route"

_numbers = itertools.count(1)
changes = [0]
"""A number, and another one after each change of any collection by this process."""


class EncoderIdentity(NamedTuple):
    """The makers of a collection's token ids, encodings and index: tokenizer, encoder, length of contexts.

    A bundle whose reading half, calibration or licence changes keeps its collections. One with another encoder, but
    the same tokenizer, reads them from their token ids until `add` or `sync` encodes them anew. One with another
    tokenizer needs `edgeqa add --re-encode`.
    """

    digest: str
    bundle: str
    """Name and version of the bundle, for messages."""
    width: int
    """Width of an encoding's rows; 0 for a bundle whose contexts are kept as token ids alone."""
    language: str = "en"
    """Language of the stop words and stems of the index."""
    former: tuple[str, ...] = ()
    """Digests of encoders that have the same tokenizer."""

    def reads(self, made_with: str) -> bool:
        """Tells whether token ids that were made with this encoder mean the same; "" is that of an empty collection."""
        return made_with in ("", self.digest, *self.former)

    @classmethod
    def of(cls, bundle: Bundle) -> EncoderIdentity:
        """Returns the identity of all that contexts added with `bundle` depend on."""
        m = bundle.manifest
        split = m.joint is None
        files = {f.name: f.sha256 for f in m.files if f.name == "tokenizer.json" or (split and f.name[:6] == "encode")}
        facts = [m.kind, m.max_context_tokens, files, *((m.context_position, m.sep_id) if split else ())]
        digest = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
        return cls(digest, f"{m.name} {m.version}", m.width if split else 0, m.language, m.reads_tokens_of)


class ShardRange(NamedTuple):
    """A shard, and the context ids that it lies between; those of two shards do not overlap."""

    tag: str
    first: int
    last: int


class Snapshot(NamedTuple):
    """The content of a collection at one moment."""

    digest: str
    """A digest of the content: it changes with every change, and changes back when a change is taken back.

    It includes the collection's random id, so that no other collection has the same digest.
    """
    encoder: str
    """Digest of the parts of the bundle that token ids and encodings come from; "" for an empty collection."""
    bundle: str
    """Name and version of that bundle."""
    contexts: int
    documents: int
    shards: tuple[ShardRange, ...]
    """The collection's shards, by rising context id."""
    format: int = FORMAT
    """Format of the collection."""

    @classmethod
    def parse(cls, raw: bytes, file: Path) -> Snapshot:
        """Returns the snapshot in the bytes of its file.

        Raises:
            ValueError: if it is not what was written.
            CollectionFormatUnsupported: if it is of a later format.
        """
        try:
            facts = unpack_checked(raw)
        except ValueError:
            facts = json.loads(raw)
            try:
                if facts["format"] != FORMER or "check" in facts:
                    raise
                return cls._from_json(facts)
            except (KeyError, TypeError) as error:
                message = "not a snapshot"
                raise ValueError(message) from error
        if facts["format"] != FORMAT:
            raise CollectionFormatUnsupported(file, facts["format"], FORMAT)
        return cls._from_json(facts)

    @classmethod
    def _from_json(cls, facts: dict[str, Any]) -> Snapshot:
        shards = tuple(ShardRange(str(tag), int(first), int(last)) for tag, first, last in facts["shards"])
        return cls(
            digest=str(facts["digest"]),
            encoder=str(facts["encoder"]),
            bundle=str(facts["bundle"]),
            contexts=int(facts["contexts"]),
            documents=int(facts["documents"]),
            shards=shards,
            format=int(facts["format"]),
        )

    def store(self, directory: Path) -> None:
        """Lets readers find this; it is for the writer alone."""
        facts = {"format": self.format, **self._asdict(), "shards": [[s.tag, s.first, s.last] for s in self.shards]}
        replace_file(directory / FILE, pack_checked(facts))
        changes[0] = next(_numbers)


def withdraw(directory: Path) -> None:
    """Sends readers to the catalogue until the next `store`."""
    delete(directory / FILE)
    changes[0] = next(_numbers)
