"""`Writer`: the one that changes a collection. Sources, documents and contexts in, in order; shards and rows out.

A commit makes whole documents permanent; if the process ends before it, the collection is as the last commit left it. A
document may take several commits, and readers see it from the last of them on. To open a writer sweeps the remains of a
killed one, and finds damage. The index follows at each commit. A writer reads no files and runs no model (`adding`
does).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeqa import files
from edgeqa.collection import seals
from edgeqa.collection.catalogue_rows import GROWING, MARK, PENDING, READY, WHOLE, DocumentRow, LateEnds, SourceRow
from edgeqa.collection.damage import ROUTE_NOTE, damaged_tags, forget_note, note_route, note_shard
from edgeqa.collection.errors import CollectionUnwritable, RouteDamaged, ShardDamaged
from edgeqa.collection.index import META, WRITER_LOCK, IndexWriter, files_in
from edgeqa.collection.ownership import Lock, check_own, delete_own, narrow
from edgeqa.collection.recovery import bind, find_damage, mend_manifests, open_catalogue, sweep, upgrade
from edgeqa.collection.shard import Shard
from edgeqa.collection.shard_format import TokenGroups, pack_encoding, pack_record
from edgeqa.collection.shard_writer import (
    ShardWriter,
    add_shard,
    choose_to_merge,
    mend_gone,
    merge,
    next_tag,
    note_gone,
    note_late_ends,
)
from edgeqa.collection.snapshot import FORMAT, ROUTE, SHARDS, withdraw
from edgeqa.contexts import searched
from edgeqa.contexts.passages import SPLITTER_VERSION
from edgeqa.contexts.terms import ENGLISH
from edgeqa.errors import CollectionError
from edgeqa.files import make_folders, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.catalogue_rows import ShardRow
    from edgeqa.collection.damage import Damage
    from edgeqa.collection.snapshot import EncoderIdentity
    from edgeqa.contexts.windows import Window
    from edgeqa.models.readers import Encoding


@dataclass(frozen=True, slots=True)
class PackedContext:
    """A context as a shard has it."""

    record: bytes
    """As `pack_record` makes it."""
    tokens: int
    """How many there are in it."""
    encoding: bytes = b""
    """As `pack_encoding` makes it; empty to store none."""


@dataclass(frozen=True, slots=True)
class WholeSource:
    """A file that is one document, with all its contexts."""

    path: bytes
    """What it is known by."""
    name: str
    """The name of its document."""
    digest: bytes
    """Of its content, and of how it was read."""
    title: str
    """The title of its document; "" if it has none."""
    contexts: Iterable[PackedContext]
    """Asked for once."""


_OUT_OF_ORDER = "sources, documents and contexts are to be begun and ended in this order"


class Writer:
    """An open collection, locked against other writers. For one thread."""

    def __init__(
        self,
        directory: Path,
        encoder: EncoderIdentity | None = None,
        *,
        anew: bool = False,
    ) -> None:
        """Opens the collection in `directory`, and makes it if there is none.

        Args:
            directory: where the collection lives.
            encoder: what contexts are made with that will be added; None to add none.
            anew: whether all is to be made anew with `encoder`, with whatever it was made before.

        Raises:
            CollectionBusy: if somebody else is writing.
            CollectionOtherBundle: if it was made with something else than `encoder`.
            FolderTaken: if other things lie in the directory, and no collection.
            CollectionUnwritable: if the disk is full, or read-only.
        """
        self.directory, self._encoder = directory, encoder
        self.is_anew = anew
        """Whether all is to be made anew: that was asked for, or a former encoder made what is there."""
        self.damages: list[Damage]
        """The damage that was found; the sources concerned are read again when they are next added."""
        self._source: SourceRow | None = None
        self._document: DocumentRow | None = None
        self._unfinished: DocumentRow | None = None
        self._contexts = 0  # contexts of the document so far
        self._shard: ShardWriter | None = None
        self.index_terms: dict[int, tuple[list[str], list[str]]] | None = None
        """Where the terms of what is indexed are put, those of the text and of what is above it, by context id."""
        self._written = (0, 0)  # the source and the document whose context was last put into the shard; ids
        self._ended: dict[int, LateEnds] = {}  # by the last context: sources and documents that ended since the commit
        with _fallible(directory), contextlib.ExitStack() as opened:
            files.own(directory)
            check_own(directory)
            make_folders(directory / SHARDS)
            self._lock = Lock(directory)
            opened.callback(self._lock.release)
            narrow(directory)
            self._seals = seals.load(directory)
            self._is_whole = False
            opened.callback(self._seal)
            _note_index_damage(directory)
            self.catalogue = opened.enter_context(open_catalogue(directory))
            opened.callback(self._end)
            if self.catalogue.format != FORMAT:
                upgrade(directory, self.catalogue)
            if encoder is not None and not (anew and self.catalogue.shards()):
                self.is_anew = bind(directory, self.catalogue, encoder) or anew
            sweep(directory, self.catalogue)
            mend_manifests(directory, self.catalogue)
            self.damages = find_damage(directory, self.catalogue)
            self._index = _IndexKeeper(directory, self.catalogue, encoder and encoder.language)
            opened.callback(self._index.close)
            self._next_context: int = self.catalogue.get("next_context", 0)
            mend_gone(directory, self.catalogue)
            self._publish(anew=True)
            self.catalogue.seal()
            self._opened = opened.pop_all()

    # --- sources -----------------------------------------------------------------------------------------------------

    def begin_source(
        self,
        path: bytes,
        name: str,
        digest: bytes,
        window_tokens: int,
        *,
        reader: str = "",
        splitter: int = SPLITTER_VERSION,
    ) -> None:
        """Begins a file, or goes on with it where a commit left it, if that is the same file.

        Args:
            path: what it is known by.
            name: what its documents' names begin with.
            digest: of its content, and of how it is read.
            window_tokens: how long its contexts may be.
            reader: what reads it, and of which version.
            splitter: which version cuts it into contexts.
        """
        self.catalogue.begin()
        state = GROWING
        made = (digest, window_tokens, self._made_with.digest, splitter)
        for row in self.catalogue.sources_at(path):
            if row.state == WHOLE:
                state = PENDING
            elif (row.digest, row.window_tokens, row.encoder, row.splitter) == made:
                self._source, self._unfinished = row, self.catalogue.unfinished_document(row.id)
                return
            elif row.state <= PENDING:
                self.catalogue.delete_source(row.id)
            else:
                state = PENDING
        row = SourceRow(0, path, name, digest, window_tokens, self._made_with.digest, state, reader, splitter)
        self._source = self.catalogue.add_source(row)

    def end_source(self) -> bool:
        """Ends the file: what was there of it before is replaced. Returns whether there was something."""
        source = self._current_source()
        self.catalogue.begin()
        if self._unfinished is not None:
            self.catalogue.delete_document(self._unfinished)
            self._unfinished = None
        others = [old for old in self.catalogue.sources_at(source.path) if old.id != source.id]
        for old in others:
            self._remove(old)
        if source.state == PENDING:
            self.catalogue.show(self.catalogue.documents_of(source.id))
        self.catalogue.set_state(source.id, WHOLE)
        self._note_end(source, WHOLE)
        self._source = None
        return bool(others)

    def set_source_by(self) -> None:
        """Ends the file, which takes the place of what was there when `take_places` is called."""
        self.catalogue.begin()
        self.catalogue.set_state(self._current_source().id, READY)
        self._note_end(self._current_source(), READY)
        self._source = None

    def _note_end(self, source: SourceRow, state: int) -> None:
        if self._shard is None or self._written[0] != source.id:  # else its shard will say so
            last = self.catalogue.last_context(source.id)
            self._ended[last] = self._ended.get(last, LateEnds()).and_then(LateEnds(sources={source.id: state}))

    def take_places(self) -> list[SourceRow]:
        """Lets all files that were set by take their places, in one commit; returns those without a replacement.

        These are gone, unless they were made with the same encoder.
        """
        self.catalogue.begin()
        for ready in [row for row in self.catalogue.sources() if row.state == READY]:
            for old in self.catalogue.sources_at(ready.path):
                if old.id != ready.id:
                    self._remove(old)
            self.catalogue.set_state(ready.id, WHOLE, digest=ready.digest.removeprefix(MARK))
            self.catalogue.show(self.catalogue.documents_of(ready.id))
        others = [row for row in self.catalogue.sources() if row.encoder != self._made_with.digest]
        for other in others:
            self._remove(other)
        self.catalogue.set("encoder", self._made_with.digest)
        self.catalogue.set("bundle", self._made_with.bundle)
        self.commit()
        return others

    def fail_source(self) -> None:
        """Leaves nothing of the file that was begun; what was there of it before stays."""
        self.catalogue.begin()
        self._remove(self._current_source())
        self._source = self._document = None

    def keep_source(self, path: bytes) -> None:
        """Keeps what is there of a file, and drops what was begun to replace it."""
        for row in self.catalogue.sources_at(path):
            if row.state == PENDING:
                self.catalogue.begin()
                self.catalogue.delete_source(row.id)

    def remove_source(self, source: SourceRow) -> None:
        """Removes a file with its documents."""
        self.catalogue.begin()
        self._remove(source)

    def _remove(self, source: SourceRow) -> None:
        if source.state != PENDING:
            self.catalogue.hide(d for d in self.catalogue.documents_of(source.id) if d.whole)
        self.catalogue.delete_source(source.id)

    def remove_document(self, document: DocumentRow) -> None:
        """Removes one document of a file; adding the file again brings it back."""
        self.catalogue.begin()
        self.catalogue.hide([document])
        self.catalogue.delete_document(document)
        self.catalogue.forget_digest(document.source)

    @property
    def _made_with(self) -> EncoderIdentity:
        if self._encoder is None:
            raise RuntimeError(_OUT_OF_ORDER)
        return self._encoder

    def _current_source(self) -> SourceRow:
        if self._source is None:
            raise RuntimeError(_OUT_OF_ORDER)
        return self._source

    def add_whole(self, sources: Iterable[WholeSource], *, reader: str) -> list[DocumentRow]:
        """Adds whole files in the place of those with their paths; they are seen from the next commit on.

        Many small ones take a fraction of the time that they take one by one.

        Args:
            sources: each with another path.
            reader: what reads them.

        Returns:
            Their documents.

        Raises:
            CollectionError: if they cannot be written; then all since the last commit is taken back, as after an error
                of what gives the contexts.
        """
        self.catalogue.begin()
        try:
            with _fallible(self.directory):
                made = self._write_whole(sources, reader)
            for old in list(self.catalogue.sources_at_any([source.path for source, _ in made])):
                self._remove(old)
            documents = [document for _, document in made]
            self.catalogue.add_whole((source for source, _ in made), documents)
            self.catalogue.show(documents)
        except BaseException:
            self._take_back()
            raise
        return documents

    def _write_whole(self, sources: Iterable[WholeSource], reader: str) -> list[tuple[SourceRow, DocumentRow]]:
        """Puts the contexts of whole files into the shard; returns the rows that are to be noted."""
        made = []
        tag, encoder = self._tag(), self._made_with.digest
        last_source, last_document = self.catalogue.last_ids()
        for more, one in enumerate(sources, 1):
            source_id, document_id = last_source + more, last_document + more
            first = self._next_context
            for packed in one.contexts:
                if self._shard is None:
                    self._shard = ShardWriter(self.directory / SHARDS, tag, self._made_with)
                number = self._next_context - first + 1
                self._shard.add(self._next_context, document_id, number, packed.record, packed.tokens, packed.encoding)
                self._next_context += 1
                self._written = source_id, document_id
            source = SourceRow(
                *(source_id, one.path, one.name, one.digest, 0, encoder, WHOLE, reader, SPLITTER_VERSION)
            )
            contexts = self._next_context - first
            document = DocumentRow(document_id, source_id, one.name, one.title, tag, first, contexts, whole=True)
            made.append((source, document))
        return made

    def _take_back(self) -> None:
        """Takes back all since the last commit."""
        self.catalogue.roll_back()
        if self._shard is not None:
            self._shard.abandon()
            self._shard = None
        self._source = self._document = self._unfinished = None
        self._ended = {}
        self._next_context = self.catalogue.get("next_context", 0)

    # --- documents ---------------------------------------------------------------------------------------------------

    def begin_document(self, suffix: str, title: str, *, resumed: bool = False) -> None:
        """Begins a document, called like its source with `suffix` behind.

        Args:
            suffix: what its name has beyond the source's.
            title: what routing may weigh besides the text.
            resumed: go on with the one that the last commit left unfinished; its first contexts are not given again.
        """
        source = self._current_source()
        self.catalogue.begin()
        if (unfinished := self._unfinished) is not None:
            self._unfinished = None
            if resumed:
                self._document, self._contexts = unfinished, unfinished.contexts
                return
            self.catalogue.delete_document(unfinished)
        self._document = self.catalogue.add_document(source, suffix, title, self._tag(), self._next_context)
        self._contexts = 0

    def add(self, passage: Window, groups: TokenGroups, encoding: Encoding | None) -> None:
        """Adds the document's next context; without an encoding, it will be read from its token ids."""
        document = self._document
        if document is None:
            raise RuntimeError(_OUT_OF_ORDER)
        record = pack_record(passage, groups, tag=document.tag, name=document.name, title=document.title)
        raw = b"" if encoding is None else pack_encoding(encoding.hidden, encoding.scale)
        with _fallible(self.directory):
            if self._shard is None:
                self._shard = ShardWriter(self.directory / SHARDS, self._tag(), self._made_with)
            self._contexts += 1
            self._written = document.source, document.id
            self._shard.add(self._next_context, document.id, self._contexts, record, len(passage.tokens), raw)
        self._next_context += 1

    def end_document(self) -> None:
        """Ends the document, which is seen from the next commit on, unless its source replaces another."""
        document = self._document
        if document is None:
            raise RuntimeError(_OUT_OF_ORDER)
        self.catalogue.begin()
        self.catalogue.grow(document.id, self._contexts, whole=True)
        if self._shard is None or self._written[1] != document.id:  # else its shard will say so
            self._ended[document.first + self._contexts - 1] = LateEnds(frozenset({document.id}))
        if self._current_source().state == GROWING:
            self.catalogue.show([replace(document, contexts=self._contexts, whole=True)])
        self._document = None

    # --- commits -----------------------------------------------------------------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        """Size of what was added since the last commit."""
        return self._shard.size_bytes if self._shard is not None else 0

    def encodings_bytes(self) -> int:
        """Returns the size of the encodings that the collection holds and will hold; what is to be replaced is not."""
        since = self.catalogue.first_unseen() if self.is_anew else 0
        return sum(s.encodings_bytes for s in self.catalogue.shards() if s.first >= since)

    def commit(self) -> None:
        """Makes all that was given permanent, and few shards of many."""
        with _fallible(self.directory):
            self.catalogue.begin()
            if self._document is not None:
                self.catalogue.grow(self._document.id, self._contexts, whole=False)
            if self._shard is not None:
                shard, self._shard = self._shard, None
                add_shard(self.directory, self.catalogue, shard)
            self.catalogue.set("next_context", self._next_context)
            self._publish(anew=False)
        while chosen := choose_to_merge(self.catalogue.shards(), damaged_tags(self.directory)):
            if not self._merge(chosen):
                break
        for damage in self.damages:
            # The damaged contexts may be removed by now, while other documents are still in the same shard.
            rest = [s for s in self.catalogue.shards() if s.tag == damage.tag]
            if rest and (not damage.documents or rest[0].live < rest[0].contexts):
                self._merge(rest)
        self.catalogue.seal()  # until the next commit: a writer killed in between leaves a file that can be checked

    def _merge(self, chosen: list[ShardRow]) -> bool:
        """Makes one shard of the chosen ones; returns whether there is any use in going on."""
        self.catalogue.begin()
        try:
            made = merge(self.directory, self.catalogue, chosen, self._tag())
        except ShardDamaged as damage:
            self.catalogue.roll_back()
            note_shard(self.directory, damage)  # so that it is not chosen again
            return True
        except OSError:  # there is no room to copy it, so it stays as it is
            self.catalogue.roll_back()
            return False
        with _fallible(self.directory):
            for known in chosen:
                self.catalogue.delete_shard(known.tag)
            if made is not None:
                add_shard(self.directory, self.catalogue, made)
            self._publish(anew=False)
        for known in chosen:
            delete_own(self.directory / SHARDS / known.tag, "shard")
            forget_note(self.directory, known.tag)
        return True

    def _publish(self, *, anew: bool) -> None:
        """Commits the catalogue, then the index, and lets readers see both."""
        withdraw(self.directory)
        self.catalogue.unseal()
        sync_directory(self.directory)
        self.catalogue.begin()
        note_gone(self.directory, self.catalogue)
        note_late_ends(self.directory, self.catalogue, self._ended)
        self._ended = {}
        self.catalogue.set("commits", self.catalogue.get("commits", 0) + 1)
        self.catalogue.commit()
        self._index.catch_up(self.index_terms, anew=anew)
        self.catalogue.snapshot().store(self.directory)

    def _tag(self) -> str:
        """Returns the tag of the shard that is being written, or will be next."""
        return next_tag(self.catalogue)

    def close(self) -> None:
        """Lets others write; what was not committed is dropped."""
        if self._shard is not None:
            self._shard.abandon()
            self._shard = None
        with _fallible(self.directory):
            try:
                self._opened.close()
            except BaseException:  # after an interrupt, the rest is closed all the same
                self._opened.close()
                raise
            finally:
                self._lock.release()

    def _end(self) -> None:
        self.catalogue.roll_back()
        self._is_whole = self.catalogue.checkpoint()

    def _seal(self) -> None:
        """Notes what the files are like that have no checksum of their own, the index too, when all are closed."""
        if self._is_whole:
            with contextlib.suppress(OSError):  # without room for it, the next writer looks closer
                seals.store(self.directory, files_in(self.directory / ROUTE), self._seals)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _note_index_damage(directory: Path) -> None:
    """Notes if the index is not what the last writer left, so that it is made anew."""
    if (found := seals.find_mismatch(directory, ROUTE)) is not None:
        note_route(directory, RouteDamaged(directory / ROUTE, f"{found.name}: {found.what}"))


class _IndexKeeper:
    """The route index, open for the collection's only writer, and kept in step with the catalogue.

    The two cannot be committed in one step. So the catalogue says first what the index lacks (`unindexed`), then the
    index is committed, then the catalogue says that nothing is lacking. After a crash in between, the next writer does
    it again: deleting what may be there, adding it from the stored text. An index that is missing, damaged, or of
    another language is made anew the same way. Which language it is of, the catalogue remembers: whoever removes or
    repairs knows no model.
    """

    def __init__(self, directory: Path, catalogue: Catalogue, language: str | None) -> None:
        """Opens the index, or a new one, which is to be made from what is stored.

        Args:
            directory: of the collection.
            catalogue: of the collection, with no transaction under way.
            language: of the stop words and stems of the index; None for the one that it has.
        """
        self._directory, self._catalogue = directory, catalogue
        has = catalogue.get("language", ENGLISH)
        self._language = has if language is None else language
        opened: IndexWriter | None = None
        is_there = (directory / ROUTE / META).exists()  # without it there is no index, whatever else is there
        if is_there and self._language == has and ROUTE_NOTE not in damaged_tags(directory):
            with contextlib.suppress(RouteDamaged):
                opened = self._open()
        self._writer = opened or self._open_anew()

    def _open(self) -> IndexWriter:
        # A child that was forked while a writer was open holds its lock for ever, but is no writer; this process is.
        files.delete(self._directory / ROUTE / WRITER_LOCK)
        return IndexWriter(self._directory / ROUTE, self._language)

    def _open_anew(self) -> IndexWriter:
        """Opens a new index in the place of what is there, which lacks all that is stored.

        Readers are told before: else who comes meanwhile takes it for the index of what was there, and remembers that
        nothing is found.
        """
        withdraw(self._directory)
        self._catalogue.unseal()
        sync_directory(self._directory)
        with self._catalogue.transaction():
            self._catalogue.set("commits", self._catalogue.get("commits", 0) + 1)
            self._catalogue.unindex_all()
            self._catalogue.set("language", self._language)
        delete_own(self._directory / ROUTE, ROUTE)
        forget_note(self._directory, ROUTE_NOTE)
        return self._open()

    def catch_up(self, found: dict[int, tuple[list[str], list[str]]] | None, *, anew: bool) -> None:
        """Brings the index to what the catalogue says, and commits it.

        Args:
            found: where the terms of what is added are put; None for nowhere.
            anew: whether it may hold any part of what it lacks.
        """
        try:
            self._catch_up(found, anew=anew)
        except RouteDamaged:  # nothing is lost, since all its contexts are stored
            with contextlib.suppress(CollectionError):
                self._writer.close()
            self._writer = self._open_anew()
            self._catch_up(found, anew=True)

    def _catch_up(self, found: dict[int, tuple[list[str], list[str]]] | None, *, anew: bool) -> None:
        waiting = self._catalogue.unindexed()
        if not waiting:
            return
        for first, after, wanted in waiting:
            if anew or not wanted:
                self._writer.delete(first, after)
            if wanted:
                self._add(first, after, found)
        self._writer.commit()
        with self._catalogue.transaction():
            self._catalogue.indexed()

    def _add(self, first: int, after: int, found: dict[int, tuple[list[str], list[str]]] | None) -> None:
        for known in self._catalogue.shards():
            if not (first <= known.last and known.first < after):
                continue
            try:
                shard = Shard(self._directory / SHARDS / known.tag)
                for row in shard.rows(first, after):
                    record = shard.record(row)
                    above = f"{record.title} {searched(record.heading)}"
                    terms = self._writer.add(row.context_id, record.text, above)
                    if found is not None:
                        found[row.context_id] = terms
            except ShardDamaged as damage:  # the contexts after it are indexed once it is mended
                note_shard(self._directory, damage)

    def close(self) -> None:
        """Lets the index go; what was not committed is lost."""
        self._writer.close()


@contextlib.contextmanager
def _fallible(directory: Path) -> Iterator[None]:
    """Turns what the system says while the collection in `directory` is written into what the user is told."""
    try:
        yield
    except RouteDamaged as damage:
        note_route(directory, damage)
        raise
    except CollectionError:
        raise
    except OSError as error:
        raise CollectionUnwritable(directory, error.strerror or str(error)) from error
