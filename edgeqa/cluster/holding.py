"""`Holding`: a worker's own collection for its slots, which can always be made again from Valkey.

In: documents from Valkey. Out: their passages in a word index, with encodings as far as there is room; the counts of
their terms. In the collection, a document's source is named after the address of its first passage, so that the place
of a passage in the collection tells its address in the cluster. One thread changes the collection; any number may look.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from edgeqa import files
from edgeqa.cluster.adding import is_part
from edgeqa.cluster.statistics import Indexed, TermCounts
from edgeqa.collection.catalogue_rows import WHOLE
from edgeqa.collection.collection import Collection, StoredContext
from edgeqa.collection.errors import CollectionBusy, CollectionUnwritable, ContextGone, RouteUnwritable, ShardDamaged
from edgeqa.collection.index import Index
from edgeqa.collection.managing import encodings_budget
from edgeqa.collection.naming import Address
from edgeqa.collection.shard_format import ALIGNMENT, encoding_bytes, pack_encoding
from edgeqa.collection.snapshot import ROUTE, EncoderIdentity
from edgeqa.collection.writer import PackedContext, WholeSource, Writer
from edgeqa.errors import CollectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import IO

    from edgeqa.cluster.documents import HeldPassage, StoredDocument
    from edgeqa.collection.catalogue_rows import SourceRow
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.readers import Ids
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


class _Made(NamedTuple):
    """A document that is to be written."""

    tag: str
    name: str
    title: str
    called: str
    """Its name in the collection."""
    held: Held
    """What will be here of it, but for its place."""
    contexts: Iterator[PackedContext]


class _Room:
    """The room for the encodings of one commit."""

    def __init__(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes

    def takes(self, size_bytes: int) -> bool:
        """Tells whether an encoding fits, and takes it; after one that does not, no other one does, however short."""
        left_bytes = self._left_bytes - size_bytes - ALIGNMENT
        self._left_bytes = max(0, left_bytes)
        return left_bytes >= 0


class _Spool:
    """Encodings that wait until they are written with their documents, in a file without a name. For one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._places: dict[int, tuple[int, int]] = {}
        self.size_bytes = 0

    def __contains__(self, context_id: int) -> bool:
        return context_id in self._places

    def put(self, context_id: int, raw: bytes) -> None:
        """Takes the encoding of a context."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - `clear` closes it
            self._file.write(raw)
        except OSError as error:
            self.clear()
            raise CollectionUnwritable(self._directory, error.strerror or str(error)) from error
        self._places[context_id] = self.size_bytes, len(raw)
        self.size_bytes += len(raw)

    def get(self, context_id: int) -> bytes:
        """Returns the encoding of a context; nothing if there is none."""
        if self._file is None or context_id not in self._places:
            return b""
        self._file.flush()
        return files.read_at(self._file.fileno(), *self._places[context_id])

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
        self._bare: dict[tuple[str, str], None] = {}
        """Those of them whose encodings were never made, by tag and name."""
        self.counts = TermCounts()
        self.is_doubtful = False
        """Whether a change has failed: how much of it was written, only who opens the collection again finds out."""
        try:
            self._open(encodings_bytes)
        except (CollectionBusy, CollectionUnwritable, RouteUnwritable):  # a full disk is no damage
            raise
        except CollectionError:
            files.delete_folder(directory)
            self.documents.clear()
            self._bare.clear()
            self.counts = TermCounts()
            self._open(encodings_bytes)
        self._spool = _Spool(directory)
        self._moment = self._now()

    def _now(self) -> Moment:
        """Returns the current state, opened anew; nobody may be writing."""
        route = Index(self._directory / ROUTE, self._language) if self.documents else None
        documents = {tag: dict(some) for tag, some in self.documents.items()}
        return Moment(Collection(self._directory, self._encoder), route, documents)

    def _show(self) -> None:
        """Lets all be asked that is written."""
        self._moment = self._now()
        self.is_doubtful = False

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
        self._hold(address.tag, address.document, held)

    def _hold(self, tag: str, name: str, held: Held) -> None:
        """Notes what the collection has of a document."""
        self.documents[tag][name] = held
        self._bare.pop((tag, name), None)
        if not held.is_encoded:
            self._bare[tag, name] = None

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
        held = self._moment.collection
        former = [
            self.documents[tag][name]
            for tag, name in (*drops, *((tag, document.name) for tag, document, _ in puts))
            if name in self.documents.get(tag, {})
        ]
        for row in list(self._writer.catalogue.sources_at_any([_path(tag, name) for tag, name in drops])):
            self._writer.remove_source(row)
        room = _Room(self.room_bytes if encode and self._encoder.width else 0)
        is_encoded = encode and self.room_bytes > 0

        def contexts(passages: Iterable[HeldPassage], name: str) -> Iterator[PackedContext]:
            for passage in passages:
                record, tokens = passage.packed(name)
                has_room = room.takes(encoding_bytes(tokens, self._encoder.width))
                yield PackedContext(record, tokens, self._encoded(passage.tokens.ids) if has_room else b"")

        made = []
        for tag, document, passages in puts:
            called = str(Address(document.name, tag, document.first))
            held_as = Held(document.first, document.contexts, document.digest, is_encoded, 0)
            made.append(_Made(tag, document.name, document.title, called, held_as, contexts(passages, called)))
        terms = self._write(made)
        for one in former:
            self._count(held.contexts_from(one.first_id, one.first_id + one.contexts), -1)
        for text, above in terms.values():
            self.counts.count(Indexed(Counter(text), Counter(above)), 1)
        for tag, name in drops:
            self._bare.pop((tag, name), None)
            self.documents[tag].pop(name, None)
            if not self.documents[tag]:
                del self.documents[tag]
        self._show()

    def encode_some(self, most_contexts: int) -> bool:
        """Makes encodings of some passages that have none, as far as there is room; tells whether there were any.

        They are written with their documents, once a document, or many small ones, have all of theirs: however large
        one is, no more than `most_contexts` are made at once, and what is changed meanwhile need not wait.
        """
        room_bytes = self.room_bytes if self._bare and self._encoder.width else 0
        chosen = self._to_encode() if room_bytes else []
        if not chosen:
            self._spool.clear()
            return False
        every = (number for _, _, one in chosen for number in range(one.first_id, one.first_id + one.contexts))
        missing = [number for number in every if number not in self._spool]
        for number in missing[:most_contexts]:
            self._spool.put(number, self._encoded(self._moment.collection.context(number).ids))
        if len(missing) > most_contexts and self._spool.size_bytes < room_bytes:
            return True
        room = _Room(room_bytes)

        def contexts(one: Held) -> Iterator[PackedContext]:
            for passage in self._moment.collection.contexts_from(one.first_id, one.first_id + one.contexts):
                record, tokens = passage.packed()
                encoding = self._spool.get(passage.context_id)
                yield PackedContext(record, tokens, encoding if room.takes(len(encoding)) else b"")

        made = []
        for tag, name, one in chosen:
            title = self._moment.collection.context(one.first_id).title if one.contexts else ""
            called = str(Address(name, tag, one.first))
            made.append(_Made(tag, name, title, called, one._replace(is_encoded=True), contexts(one)))
        self._write(made)
        self._spool.clear()
        self._show()
        return True

    def _to_encode(self) -> list[tuple[str, str, Held]]:
        """Returns the documents that are encoded next: one, or as many as are written at once."""
        chosen: list[tuple[str, str, Held]] = []
        left = WRITTEN_AT_ONCE
        for tag, name in self._bare:
            one = self.documents[tag][name]
            if chosen and one.contexts > left:
                break
            chosen.append((tag, name, one))
            left -= one.contexts
        return chosen

    def _encoded(self, ids: Ids) -> bytes:
        made = self._load().encode_context(ids)
        return pack_encoding(made.hidden, made.scale)

    def _write(self, made: Sequence[_Made]) -> dict[int, tuple[list[str], list[str]]]:
        """Writes documents in one commit; returns the terms of their passages, and of what is above these."""
        found: dict[int, tuple[list[str], list[str]]] = {}
        self._writer.index_terms = found
        try:
            rows = self._writer.add_whole(map(_whole, made), reader=_READER) if made else []
            self.is_doubtful = True
            self._writer.commit()
        finally:
            self._writer.index_terms = None
        for one, row in zip(made, rows, strict=True):
            self._hold(one.tag, one.name, one.held._replace(first_id=row.first, contexts=row.contexts))
        return found

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


def _whole(made: _Made) -> WholeSource:
    """Returns what stores a document."""
    digest = bytes.fromhex(made.held.digest) + (_ENCODED if made.held.is_encoded else _BARE)
    return WholeSource(_path(made.tag, made.name), made.called, digest, made.title, made.contexts)


def _address(context: StoredContext) -> Address | None:
    """Returns a passage's address in the cluster."""
    first, here = Address.parse(context.document), Address.parse(context.address)
    if first is None or here is None:
        return None
    return Address(first.document, first.tag, first.number + here.number - 1)
