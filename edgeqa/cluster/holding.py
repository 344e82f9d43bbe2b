"""`Holding`: a worker's own collection for its slots, which can always be made again from Valkey.

In: documents from Valkey. Out: their passages in a word index, with encodings as far as there is room; the counts of
their terms. In the collection, a document's source is named after the address of its first passage, so that the place
of a passage in the collection tells its address in the cluster. One thread changes the collection; any number may look.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from edgeqa import files
from edgeqa.cluster.adding import is_part
from edgeqa.cluster.statistics import Indexed, TermCounts
from edgeqa.collection.adding import (
    AddingRun,
    ContextMade,
    DocumentBegins,
    DocumentEnds,
    SourceBegins,
    SourceEnds,
    SourceGone,
    TimedModel,
)
from edgeqa.collection.catalogue_rows import WHOLE
from edgeqa.collection.collection import Collection, StoredContext
from edgeqa.collection.errors import CollectionBusy, CollectionUnwritable, ContextGone, ShardDamaged
from edgeqa.collection.index import Index
from edgeqa.collection.managing import encodings_budget
from edgeqa.collection.naming import Address
from edgeqa.collection.shard_format import encoding_bytes, pack_encoding, unpack_encoding
from edgeqa.collection.snapshot import ROUTE, EncoderIdentity
from edgeqa.collection.writer import Writer
from edgeqa.errors import CollectionError
from edgeqa.models.readers import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import IO

    from edgeqa.cluster.documents import HeldPassage, StoredDocument
    from edgeqa.collection.adding import Event
    from edgeqa.collection.catalogue_rows import SourceRow
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.reading import PassageReader

_READER = "cluster"
_ENCODED, _BARE = b"+", b"-"  # one stands after a document's digest
WRITTEN_AT_ONCE = 64
"""Passages whose encodings are written in one commit, if their documents have no more."""


class Held(NamedTuple):
    """A document in the collection."""

    first: int
    """The number of its first passage, in addresses."""
    contexts: int
    digest: str
    is_encoded: bool
    first_id: int
    """The id of its first passage in the collection."""


class Part(NamedTuple):
    """A part of the collection, that is looked at alone."""

    names: tuple[str, ...]
    """The names asked for of which there is something here."""
    ranges: tuple[tuple[int, int], ...]
    """Ranges of context ids, in rising order, each from its first id on and below its second."""

    @property
    def contexts(self) -> int:
        """The number of passages in it."""
        return sum(after - first for first, after in self.ranges)


class Moment(NamedTuple):
    """The state of one moment, which is asked, whatever is written meanwhile."""

    collection: Collection
    route: Index | None
    """None where there is no document."""
    documents: dict[str, dict[str, Held]]


class _Spool:
    """Encodings that wait until they are written with their documents, in a file without a name. For one thread."""

    def __init__(self, directory: Path, width: int) -> None:
        self._directory, self._width = directory, width
        self._file: IO[bytes] | None = None
        self._places: dict[int, tuple[int, int]] = {}
        self.size_bytes = 0

    def __contains__(self, context_id: int) -> bool:
        return context_id in self._places

    def put(self, context_id: int, tokens: int, encoding: Encoding) -> None:
        """Takes the encoding of a context."""
        raw = pack_encoding(encoding.hidden, encoding.scale)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - `clear` closes it
            self._file.write(raw)
        except OSError as error:
            self.clear()
            raise CollectionUnwritable(self._directory, error.strerror or str(error)) from error
        self._places[context_id] = self.size_bytes, tokens
        self.size_bytes += len(raw)

    def get(self, context_id: int) -> Encoding | None:
        """Returns the encoding of a context; None if there is none."""
        if self._file is None or context_id not in self._places:
            return None
        place, tokens = self._places[context_id]
        self._file.flush()
        raw = files.read_at(self._file.fileno(), place, encoding_bytes(tokens, self._width))
        return Encoding(*unpack_encoding(raw, tokens, self._width))

    def clear(self) -> None:
        """Drops all that there is."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._places.clear()
        self.size_bytes = 0


class Holding:
    """A worker's collection."""

    def __init__(
        self, directory: Path, bundle: Bundle, load: Callable[[], PassageReader], encodings_bytes: int | None
    ) -> None:
        """Opens the collection; makes a new one if it cannot be used, since all of it is derived.

        Args:
            directory: its directory.
            bundle: the model's bundle.
            load: a function that loads the model.
            encodings_bytes: how much disk encodings may take; None for a share of the free space.

        Raises:
            CollectionBusy: if another worker has it.
            CollectionError: if nothing can be written there.
        """
        self._directory, self._load, self._language = directory, load, bundle.manifest.language
        self._encoder = EncoderIdentity.of(bundle)
        self.documents: dict[str, dict[str, Held]] = defaultdict(dict)
        """The documents here, by tag, then by name."""
        self.counts = TermCounts()
        try:
            self._open(encodings_bytes)
        except CollectionBusy:
            raise
        except CollectionError:
            files.delete_folder(directory)
            self.documents.clear()
            self.counts = TermCounts()
            self._open(encodings_bytes)
        self._spool = _Spool(directory, self._encoder.width)
        self._moment = self._now()

    def _now(self) -> Moment:
        """Returns the current state, opened anew; nobody may be writing."""
        route = Index(self._directory / ROUTE, self._language) if self.documents else None
        documents = {tag: dict(some) for tag, some in self.documents.items()}
        return Moment(Collection(self._directory, self._encoder), route, documents)

    def _open(self, encodings_bytes: int | None) -> None:
        self._writer = Writer(self._directory, self._encoder)
        try:
            self._budget_bytes = encodings_budget(self._writer, encodings_bytes)
            catalogue = self._writer.catalogue
            unfinished = [row for row in catalogue.sources() if row.state != WHOLE]
            for row in unfinished:  # left by a worker that was killed
                self._writer.remove_source(row)
            if unfinished or self._writer.damages:
                self._writer.commit()
            _check(self._writer)
            for row in list(catalogue.sources()):
                self._note(row)
            held = Collection(self._directory, self._encoder)
            for some in self.documents.values():
                for one in some.values():
                    self._count(held.contexts_from(one.first_id, one.first_id + one.contexts), 1)
        except BaseException:
            self._writer.close()
            raise

    def _note(self, row: SourceRow) -> None:
        """Notes a document that the collection has."""
        address = Address.parse(row.name)
        documents = list(self._writer.catalogue.documents_of(row.id))
        if address is None or len(documents) != 1:
            return
        (document,) = documents
        held = Held(
            address.number,
            document.contexts,
            row.digest[:-1].hex(),
            row.digest[-1:] == _ENCODED,
            document.first,
        )
        self.documents[address.tag][address.document] = held

    def _count(self, passages: Iterable[StoredContext], sign: int) -> None:
        for one in passages:
            self.counts.count(Indexed.of(one.text, one.title, one.heading, self._language), sign)

    # --- changing ----------------------------------------------------------------------------------------------------

    @property
    def room_bytes(self) -> int:
        """How much more encodings may take."""
        return max(0, self._budget_bytes - self._writer.encodings_bytes())

    def apply(
        self,
        puts: Sequence[tuple[str, StoredDocument, Sequence[HeldPassage]]],
        drops: Sequence[tuple[str, str]],
        *,
        encode: bool,
    ) -> None:
        """Adds documents, in the place of those with their names, and drops others, in one commit or a few.

        Args:
            puts: the documents to add, each with its tag and its passages.
            drops: the tags and names of documents to drop.
            encode: whether to make encodings now, as far as there is room.

        Raises:
            CollectionError: if it cannot be written.
        """
        catalogue = self._writer.catalogue
        held = self._moment.collection
        for tag, name in [*drops, *((tag, document.name) for tag, document, _ in puts)]:
            former = self.documents[tag].get(name)
            if former is not None:
                self._count(held.contexts_from(former.first_id, former.first_id + former.contexts), -1)
        gone = [row for tag, name in drops for row in catalogue.sources_at(_path(tag, name))]
        encode = encode and self.room_bytes > 0

        def events() -> Iterator[Event]:
            yield from map(SourceGone, gone)
            for tag, document, passages in puts:
                digest = bytes.fromhex(document.digest) + (_ENCODED if encode else _BARE)
                yield from _document(tag, document.name, document.first, document.title, digest, passages)

        self._run(events(), encode=encode)
        for tag, name in drops:
            self.documents[tag].pop(name, None)
            if not self.documents[tag]:
                del self.documents[tag]
        for tag, document, passages in puts:
            for row in catalogue.sources_at(_path(tag, document.name)):
                self._note(row)
            for passage in passages:
                indexed = Indexed.of(passage.text, passage.title, passage.heading, self._language)
                self.counts.count(indexed, 1)
        self._moment = self._now()

    def encode_some(self, most_contexts: int) -> bool:
        """Makes encodings of some passages that have none, as far as there is room; tells whether there were any.

        They are written with their documents, once a document, or many small ones, have all of theirs: however large
        one is, no more than `most_contexts` are made at once, and what is changed meanwhile need not wait.
        """
        room_bytes = self.room_bytes if self._encoder.width else 0
        chosen = self._to_encode() if room_bytes else []
        if not chosen:
            self._spool.clear()
            return False
        every = (number for _, _, one in chosen for number in range(one.first_id, one.first_id + one.contexts))
        missing = [number for number in every if number not in self._spool]
        encode = self._load().encode_context
        for number in missing[:most_contexts]:
            tokens = self._moment.collection.context(number).tokens.ids
            self._spool.put(number, len(tokens), encode(tokens))
        if len(missing) > most_contexts and self._spool.size_bytes < room_bytes:
            return True

        def events() -> Iterator[Event]:
            for tag, name, one in chosen:
                passages = list(self._moment.collection.contexts_from(one.first_id, one.first_id + one.contexts))
                title = passages[0].title if passages else ""
                digest = bytes.fromhex(one.digest) + _ENCODED
                yield from _document(tag, name, one.first, title, digest, passages, self._spool)

        self._run(events(), encode=True)
        self._spool.clear()
        for tag, name, _ in chosen:
            for row in self._writer.catalogue.sources_at(_path(tag, name)):
                self._note(row)
        self._moment = self._now()
        return True

    def _to_encode(self) -> list[tuple[str, str, Held]]:
        """Returns the documents that are encoded next: one, or as many as are written at once."""
        chosen: list[tuple[str, str, Held]] = []
        left = WRITTEN_AT_ONCE
        for tag, some in self.documents.items():
            for name, one in some.items():
                if not one.is_encoded and (one.contexts <= left or not chosen):
                    chosen.append((tag, name, one))
                    left -= one.contexts
                if left <= 0:
                    return chosen
        return chosen

    def _run(self, events: Iterator[Event], *, encode: bool) -> None:
        left_bytes = self.room_bytes if encode else 0
        AddingRun(self._writer, self._encoder, TimedModel(self._load), encodings_left_bytes=left_bytes).run(
            events, lambda *_: None
        )

    def close(self) -> None:
        """Closes the collection; its files stay."""
        self._spool.clear()
        self._writer.close()

    # --- looking -----------------------------------------------------------------------------------------------------

    def part(self, names: Sequence[str]) -> Part:
        """Returns the contexts here that belong to files, folders or documents of some names."""
        known: dict[str, None] = {}
        held: dict[int, int] = {}
        for some in self._moment.documents.values():
            for document, one in some.items():
                of = [name for name in names if is_part(document, name)]
                if of:
                    known.update(dict.fromkeys(of))
                    held[one.first_id] = one.contexts
        ranges: list[tuple[int, int]] = []
        for first, count in sorted(held.items()):
            begin = ranges.pop()[0] if ranges and ranges[-1][1] == first else first
            ranges.append((begin, first + count))
        return Part(tuple(known), tuple(ranges))

    def search(self, question: str, most: int, part: Part | None = None) -> list[tuple[Address, StoredContext]]:
        """Returns the passages that share most with a question by this collection's own frequencies, with addresses.

        Args:
            question: on one line.
            most: how many.
            part: what alone is looked at; None for all.
        """
        collection, route, _ = self._moment
        if route is None or (part is not None and not part.ranges):
            return []
        found = []
        for hit in route.search(question, most, None if part is None else part.ranges).best:
            with contextlib.suppress(ContextGone, ShardDamaged):
                context = collection.context(hit.number)
                if (address := _address(context)) is not None:
                    found.append((address, context))
        return found

    def first(self, most: int, part: Part | None = None) -> list[tuple[Address, StoredContext]]:
        """Returns some of the first passages, for a question whose terms do not tell them apart; as `search`."""
        collection, _, documents = self._moment
        every = (one for some in documents.values() for one in some.values())
        ranges = ((one.first_id, one.first_id + one.contexts) for one in every) if part is None else part.ranges
        found: list[tuple[Address, StoredContext]] = []
        for context_id in chain.from_iterable(range(first, after) for first, after in ranges):
            if len(found) >= most:
                break
            with contextlib.suppress(ContextGone, ShardDamaged):
                context = collection.context(context_id)
                if (address := _address(context)) is not None:
                    found.append((address, context))
        return found

    def context(self, address: Address) -> StoredContext | None:
        """Returns the passage at an address; None if it is not here."""
        collection, _, documents = self._moment
        one = documents.get(address.tag, {}).get(address.document)
        if one is None or not one.first <= address.number < one.first + one.contexts:
            return None
        with contextlib.suppress(ContextGone, ShardDamaged, CollectionError):
            context = collection.context(one.first_id + address.number - one.first)
            return context if _address(context) == address else None
        return None


def _check(writer: Writer) -> None:
    """Raises an error if a collection is damaged."""
    for damage in writer.damages:
        raise damage.problems[0]


def _path(tag: str, name: str) -> bytes:
    return f"{tag}:{name}".encode("utf-8", "surrogateescape")


def _document(
    tag: str,
    name: str,
    first: int,
    title: str,
    digest: bytes,
    passages: Iterable[HeldPassage | StoredContext],
    encodings: _Spool | None = None,
) -> Iterator[Event]:
    """Yields what stores a document; of stored passages, with encodings that were made before."""
    called = str(Address(name, tag, first))
    yield SourceBegins(_path(tag, name), called, digest, 0, _READER, 0)
    yield DocumentBegins("", title, resumed=False)
    for passage in passages:
        encoding = None
        if encodings is not None and isinstance(passage, StoredContext):
            encoding = encodings.get(passage.context_id)
        yield ContextMade(passage, passage.groups, encoding)  # type: ignore[arg-type]  # it has what is used of a window
    yield DocumentEnds()
    yield SourceEnds()


def _address(context: StoredContext) -> Address | None:
    """Returns a passage's address in the cluster."""
    first, here = Address.parse(context.document), Address.parse(context.address)
    if first is None or here is None:
        return None
    return Address(first.document, first.tag, first.number + here.number - 1)
