"""`Collection`: contexts by their id, as they lie on disk; questions are read against them.

In: a collection's directory. Out: contexts with text, tokens and encoding, none of it tokenised or encoded again. A
`Collection` keeps the content that it had when it was opened, whatever is added, merged or removed meanwhile;
`load_snapshot` tells whether it is still up to date. It searches nothing (`index` does) and writes nothing, but has
what an older version left open to others be its owner's alone. It is safe to use from many threads.

`LiveCollection` is the collection as it is now. It is opened when it is needed, and again when it has changed. It has
the digest, for which one file is looked at, the contexts, and the route index of the same moment. Importing this module
imports neither tantivy nor numpy.
"""

from __future__ import annotations

import contextlib
import os
import threading
from bisect import bisect_right
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from edgeqa import files, forking
from edgeqa.collection.damage import note_route, note_shard
from edgeqa.collection.errors import CollectionBusy, CollectionOtherBundle, ContextGone, RouteDamaged, ShardDamaged
from edgeqa.collection.shard import Shard
from edgeqa.collection.shard_format import NO_ENCODING
from edgeqa.collection.snapshot import FILE, ROUTE, SHARDS, Snapshot, changes
from edgeqa.digests import blake2b
from edgeqa.errors import CollectionError
from edgeqa.files import NotPlain, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgeqa.collection.index import Index, Ranges
    from edgeqa.collection.naming import Within
    from edgeqa.collection.shard_format import Row, TokenGroups
    from edgeqa.collection.snapshot import EncoderIdentity
    from edgeqa.contexts import Piece, Tokens
    from edgeqa.contexts.search import Hits
    from edgeqa.models.readers import Encoding


Stamp: TypeAlias = tuple[int, int, int]

DIGEST_BYTES = 16
RECENT_S = 0.005
MAX_PATHS = 10_000  # the paths of so many contexts are kept at hand
_OPEN_ATTEMPTS = 20  # each merge of a busy writer may delete the shards that the snapshot has just named


def load_snapshot(directory: Path) -> Snapshot:
    """Loads the snapshot of what the collection in `directory` holds now.

    Raises:
        CollectionNotFound: if there is none.
        CollectionError: if it cannot be read.
    """
    if files.is_exposed(directory):
        from edgeqa.collection.ownership import narrow_exposed  # here: it is done once

        narrow_exposed(directory)
    try:
        return Snapshot.parse(read(directory / FILE), directory / FILE)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, NotPlain, ValueError):
        pass
    from edgeqa.collection.catalogue import Catalogue  # here: SQLite takes longer to import than an answer to find

    with Catalogue.read(directory) as catalogue:
        return catalogue.snapshot()


class StoredContext:
    """A context, checked when it was given out, and unpacked as far as it is asked for."""

    def __init__(self, shard: Shard, row: Row, encoder: EncoderIdentity | None) -> None:
        self._shard, self._row, self._record = shard, row, shard.record(row)
        # With another encoder, only the token ids are usable. Damage raises here, before anybody reads with it.
        is_other = encoder is not None and encoder.digest != shard.manifest.encoder
        self._has_encoding = not is_other and shard.raw_encoding(row) is not None

    @property
    def encoding(self) -> Encoding | None:
        """The output of the model's lower layers for it, read from disk; None if it must be made from the token ids.

        Raises:
            ShardDamaged: if the file was changed since this was given out.
        """
        return self._shard.encoding(self._row) if self._has_encoding else None

    def packed(self) -> tuple[bytes, int]:
        """Returns the bytes of its record, and the number of its tokens."""
        return self._shard.record_as_written_now(self._row), self._row.tokens

    @property
    def context_id(self) -> int:
        """Its number in the collection."""
        return self._row.context_id

    @forking.cached_property
    def text(self) -> str:
        """Its NFC text."""
        return self._record.text

    @property
    def start(self) -> int:
        """Place of its first character in the document."""
        return self._record.head.start

    @property
    def kind(self) -> str:
        """The kind of passage that it is, one of `contexts.KINDS`."""
        return self._record.kind

    @forking.cached_property
    def heading(self) -> tuple[str, ...]:
        """The headings that it stands under, outermost first."""
        return self._record.heading

    @forking.cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Where what of its text stands in the document; empty where all of it stands there as it is, from `start`."""
        return self._record.pieces

    @forking.cached_property
    def document(self) -> str:
        """The document's name."""
        return self._record.name

    @property
    def title(self) -> str:
        """The document's title; "" if it has none."""
        return self._record.title

    @property
    def address(self) -> str:
        """DOCUMENT:{TAG}:N, with the tag of the shard that the document was added in, and N counted from 1."""
        return f"{self.document}:{{{self._record.tag}}}:{self._row.number}"

    @property
    def digest(self) -> str:
        """A digest of its text and tokens: an answer on it depends on nothing else but bundle and question."""
        return blake2b(self._record.content, digest_size=DIGEST_BYTES).hexdigest()

    @property
    def ids(self) -> NDArray[np.int64]:
        """Token ids, int64 [tokens]."""
        return self._record.ids()

    @forking.cached_property
    def tokens(self) -> Tokens:
        """Its tokens, with offsets into `text`."""
        from edgeqa.contexts import Tokens

        return Tokens(self._record.ids(), self._record.offsets(), self.groups.words)

    @forking.cached_property
    def groups(self) -> TokenGroups:
        """Words, paragraphs and meaning of its tokens."""
        return self._record.groups()

    @property
    def paragraphs(self) -> NDArray[np.int32]:
        """Number of each token's paragraph, int32 [tokens], rising from 0."""
        return self.groups.paragraphs

    @property
    def meaningful(self) -> NDArray[np.bool_]:
        """Whether each token is more than punctuation, bool [tokens]."""
        return self.groups.meaningful


class Collection:
    """An open collection."""

    def __init__(self, directory: Path, encoder: EncoderIdentity | None = None) -> None:
        """Opens the collection.

        Args:
            directory: where it lives.
            encoder: what its contexts are read with, which its token ids must suit; None to take any.

        Raises:
            CollectionNotFound: if there is none.
            CollectionOtherBundle: if its token ids mean something else to `encoder`.
        """
        self.directory, self._encoder = files.own(directory), encoder
        self.damaged: dict[str, ShardDamaged] = {}
        """The shards found damaged when they were opened, by tag: none of their contexts is given out."""
        self._shards: dict[str, Shard] = {}
        self.snapshot = self._open()
        if encoder is not None and not encoder.reads(self.snapshot.encoder):
            raise CollectionOtherBundle(directory, self.snapshot.bundle)
        self._firsts = [shard.first for shard in self.snapshot.shards]

    @property
    def digest(self) -> str:
        """Changes with every change of what the collection holds."""
        return self.snapshot.digest

    @property
    def contexts(self) -> int:
        """How many contexts it holds."""
        return self.snapshot.contexts

    def context(self, context_id: int) -> StoredContext:
        """Returns the context with this id.

        Raises:
            ContextGone: if the collection did not hold it when it was opened.
            ShardDamaged: if what is on disk is not what was written.
        """
        try:
            shard, row = self._find(context_id)
            return StoredContext(shard, row, self._encoder)
        except ShardDamaged as error:
            note_shard(self.directory, error)
            raise

    def contexts_from(self, first: int, after: int = NO_ENCODING) -> Iterator[StoredContext]:
        """Yields the contexts with ids from `first` on and below `after`, those of removed documents too.

        Raises:
            ShardDamaged: at one that is damaged.
        """
        for known in self.snapshot.shards:
            if first <= known.last and known.first < after:
                shard = self._shard(known.tag)
                for row in shard.rows(first, after):
                    yield StoredContext(shard, row, self._encoder)

    def _open(self) -> Snapshot:
        """Opens the shards of what there is now; a writer may merge some away while their names are read."""
        for _ in range(_OPEN_ATTEMPTS):
            snapshot = load_snapshot(self.directory)
            self._shards, self.damaged = {}, {}
            for known in snapshot.shards:
                place = self.directory / SHARDS / known.tag
                try:
                    self._shards[known.tag] = Shard(place)
                except ShardDamaged as error:
                    self.damaged[known.tag] = error
                except OSError as error:
                    self.damaged[known.tag] = ShardDamaged(known.tag, place, error.strerror or str(error))
            if not self.damaged or snapshot == load_snapshot(self.directory):
                break
        for damage in self.damaged.values():
            note_shard(self.directory, damage)
        return snapshot

    def _find(self, context_id: int) -> tuple[Shard, Row]:
        at = bisect_right(self._firsts, context_id) - 1
        if at < 0 or context_id > self.snapshot.shards[at].last:
            raise ContextGone(context_id)
        shard = self._shard(self.snapshot.shards[at].tag)
        row = shard.find(context_id)
        if row is None:
            raise ContextGone(context_id)
        return shard, row

    def _shard(self, tag: str) -> Shard:
        if tag in self.damaged:
            raise self.damaged[tag]
        return self._shards[tag]


class LiveCollection:
    """A collection to ask."""

    def __init__(self, directory: Path, encoder: EncoderIdentity, *, mapped: bool = True) -> None:
        self._directory, self._encoder, self._mapped = files.own(directory), encoder, mapped
        self._file = os.fspath(directory / FILE)
        self._lock = threading.RLock()
        self._seen: Stamp | None = None
        self._recent: tuple[float, int, Stamp | None] = (0.0, 0, None)
        self._snapshot: Snapshot | None = None
        self._collection: Collection | None = None
        self._routed: tuple[Collection, Index] | None = None
        self._paths: dict[int, str | None] = {}
        self._paths_of = ""
        forking.tell(self)

    def forked(self) -> None:
        """Opens the index anew in a forked child, and lets go of a lock that a thread of the parent may have held."""
        self._lock, self._routed = threading.RLock(), None

    def stamp(self) -> Stamp | None:
        """Returns a stamp that changes with every change of the collection, and is quicker to read than its digest.

        None while a change is under way.
        """
        try:
            found = os.stat(self._file)  # noqa: PTH116 - half of what a Path takes, in the path of every hit
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_dev

    def recent_stamp(self) -> Stamp | None:
        """Returns `stamp` as it was up to RECENT_S ago, but never as it was before a change by this process.

        To ask the system takes as long as all the rest of a hit, and lets another thread have the interpreter, which is
        then to be waited for.
        """
        until_s, change, found = self._recent
        now_s = monotonic()
        if now_s >= until_s or change != changes[0]:
            change = changes[0]  # before it is looked at
            found = self.stamp()
            self._recent = now_s + RECENT_S, change, found  # at once, whichever thread comes in between
        return found

    def now(self) -> tuple[str, Stamp | None]:
        """Returns the digest of what the collection holds now, and the stamp of that moment.

        Raises:
            CollectionNotFound: if there is none.
            CollectionOtherBundle: if its token ids mean something else to the bundle that questions are read with.
        """
        with self._lock:
            return self._now().digest, self._seen

    def former_bundle(self) -> str:
        """Returns the older bundle whose encodings are not used, until the collection is encoded anew; "" for none."""
        with self._lock:
            now = self._now()
            return now.bundle if now.encoder not in ("", self._encoder.digest) else ""

    def collection(self) -> Collection:
        """Returns the collection as it is now.

        Raises:
            CollectionError: as `now` does.
        """
        with self._lock:
            now = self._now()
            if self._collection is None or self._collection.snapshot != now:
                self._collection = Collection(self._directory, self._encoder)
            return self._collection

    def routed(self) -> tuple[Collection, Index]:
        """Returns the collection as it is now, and the index of it.

        Raises:
            RouteDamaged: if the index cannot be read.
            CollectionBusy: if it has changed each time that it was opened.
            CollectionError: as `now` does.
        """
        with self._lock:
            for _ in range(_OPEN_ATTEMPTS):
                collection = self.collection()
                if self._routed is None or self._routed[0] is not collection:
                    self._routed = collection, self._index()
                if load_snapshot(self._directory).digest == collection.digest:  # or a writer has been here meanwhile
                    return self._routed
            raise CollectionBusy(self._directory, "")

    def ranges_within(self, within: Within) -> tuple[tuple[int, int], ...]:
        """Returns the ranges of context ids of a part of the collection; raises as `naming.ranges_within` does."""
        from edgeqa.collection.naming import ranges_within

        return ranges_within(self._directory, within)

    def search(self, index: Index, question: str, most: int, within: Ranges | None = None) -> Hits:
        """Searches the index, and notes damage that it finds, for the next `edgeqa add` to mend.

        Raises:
            RouteDamaged: as `index.search` does.
        """
        with self._noting_damage():
            return index.search(question, most, within)

    def paths(self, context_ids: Iterable[int]) -> dict[int, str | None]:
        """Returns the full paths of the files that contexts are from; None for what came through a pipe, or is gone."""
        with self._lock:
            now = self._now().digest
            if now != self._paths_of or len(self._paths) > MAX_PATHS:
                self._paths, self._paths_of = {}, now
            wanted = set(context_ids)
            if missing := wanted.difference(self._paths):
                self._paths |= self._looked_up(missing)
            return {context_id: self._paths[context_id] for context_id in wanted}

    def _looked_up(self, context_ids: Iterable[int]) -> dict[int, str | None]:
        from edgeqa.collection.catalogue import Catalogue  # here: SQLite takes a while, and is needed for nothing else

        found: dict[int, str | None] = dict.fromkeys(context_ids)
        with contextlib.suppress(CollectionError), Catalogue.read(self._directory) as catalogue:
            for context_id in found:
                for row in catalogue.documents_between(context_id, context_id):
                    found[context_id] = catalogue.source(row.source).full_path
        return found

    def _index(self) -> Index:
        from edgeqa.collection import seals
        from edgeqa.collection.index import Index

        with self._noting_damage():
            if (found := seals.find_mismatch(self._directory, ROUTE)) is not None:
                raise RouteDamaged(self._directory / ROUTE, f"{found.name.removeprefix(f'{ROUTE}/')}: {found.what}")
            return Index(self._directory / ROUTE, self._encoder.language, mapped=self._mapped)

    @contextlib.contextmanager
    def _noting_damage(self) -> Iterator[None]:
        try:
            yield
        except RouteDamaged as damage:
            note_route(self._directory, damage)
            raise

    def _now(self) -> Snapshot:
        with self._lock:
            seen = self.stamp()
            if self._snapshot is None or seen is None or seen != self._seen:
                snapshot = load_snapshot(self._directory)
                if not self._encoder.reads(snapshot.encoder):
                    raise CollectionOtherBundle(self._directory, snapshot.bundle)
                self._snapshot, self._seen = snapshot, seen
            return self._snapshot
