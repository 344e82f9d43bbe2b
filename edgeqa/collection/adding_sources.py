"""Where the events of `adding` come from: paths, or what the collection holds. The first stage of the pipeline.

`PrepareStage` takes paths, and the catalogue as it was when adding began. It finds the files, skips those that are
there already, reads, splits, tokenises. A file that cannot be read is an event, too, and the stage goes on with the
next one.

`MissingFiles` finds files that were added from a path and are not there any more, and refuses to remove them where this
looks like a mistake. A file is missing if the system says that it is not there; it is not missing if the system cannot
look (on a share that does not answer, in a folder that may not be read). If all files of a path are missing, a disk is
more likely not mounted than emptied, and the removal is refused, whatever else lies there now. If one file is still
there, so is the disk, and the number of missing files does not matter.

`ReEncodeStage` makes the collection anew from the text that it holds, for another bundle, or to add encodings. The
documents of each file are put together from their contexts, cut up and encoded again, beside the old ones. Questions
are asked of the old ones until all are done; then one commit replaces them, so that the two are never mixed. After an
interruption, the next run goes on with the next file.

This module writes nothing.
"""

from __future__ import annotations

import os
import stat
from itertools import islice
from typing import TYPE_CHECKING

from edgeqa.collection.adding import (
    ContextMade,
    DocumentBegins,
    DocumentEnds,
    SourceBegins,
    SourceEnds,
    SourceFailed,
    SourceGone,
    SourceUnchanged,
)
from edgeqa.collection.catalogue_rows import MARK, PENDING, READY, WHOLE
from edgeqa.collection.errors import AllGone, ShardDamaged
from edgeqa.collection.naming import CARRIED, file_identity, identify
from edgeqa.collection.shard_format import TokenGroups
from edgeqa.contexts import passages as splitter
from edgeqa.errors import ContextError, ContextNotFound, EdgeQAError, OptionError, printed
from edgeqa.formats import STANDARD_INPUT
from edgeqa.formats.folders import Skipped, is_pipe, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from edgeqa.collection.adding import Added, Event, TimedModel
    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.catalogue_rows import DocumentRow, SourceRow
    from edgeqa.collection.collection import Collection
    from edgeqa.collection.snapshot import EncoderIdentity
    from edgeqa.formats.blocks import FormatOptions, Record
    from edgeqa.formats.source import Source


def total_bytes(paths: Iterable[str], options: FormatOptions) -> int:
    """Returns the bytes that there are to read, as far as files tell; what can be read only once is not touched."""
    return sum(source.size_bytes for path in paths if is_still(path) for source in _quietly(path, options))


def is_still(path: str) -> bool:
    """Tells whether `path` is a folder, or a file that can be read again."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    return path != STANDARD_INPUT and (stat.S_ISDIR(found.st_mode) or not is_pipe(path, found))


def _quietly(path: str, options: FormatOptions) -> Iterator[Source]:
    try:
        yield from walk([path], options)
    except EdgeQAError:  # it is reported when it is read
        return


class PrepareStage:
    """One run over paths."""

    def __init__(
        self,
        catalogue: Catalogue,
        encoder: EncoderIdentity,
        model: TimedModel,
        options: FormatOptions,
        report: Added,
    ) -> None:
        self._catalogue, self._encoder, self._model = catalogue, encoder, model
        self._options, self._report = options, report
        self._piped: dict[int, list[Source] | EdgeQAError] = {}
        self._next_context: int | None = catalogue.get("next_context", 0)
        """The id that the next context will get; None once there was one."""

    def take_pipes(self, paths: Sequence[str]) -> None:
        """Copies what comes through pipes, in the caller's thread: another cannot be interrupted while it waits.

        Who writes to a pipe may stop, or never begin.
        """
        for number, path in enumerate(paths):
            if not is_still(path):
                try:
                    self._piped[number] = [*walk([path], self._options, self._report.skip)]
                except (ContextError, OptionError) as error:  # told when its turn comes
                    self._piped[number] = error

    def events(
        self, paths: Sequence[str], *, name: str | None, copied: bool = False, gone: MissingFiles | None
    ) -> Iterator[Event]:
        """Yields what is to be done.

        Args:
            paths: files, folders, or "-"; of pipes, what `take_pipes` has copied.
            name: what a text that comes through a pipe is called; None to call it after its content.
            copied: whether a file is taken as if it had come through a pipe.
            gone: the files that are gone, which go from the collection too; None to keep them.
        """
        for number, path in enumerate(paths):
            try:
                for source in self._found(number, path):
                    source.is_piped |= copied
                    yield from self._source(source, name)
            except (ContextError, OptionError) as error:  # other errors are not the path's fault
                is_gone = isinstance(error, ContextNotFound) and gone is not None
                if not (is_gone and any(True for _ in self._catalogue.sources_below(file_identity(path)))):
                    yield SourceFailed(path, error, begun=False)
            if gone is not None and path != STANDARD_INPUT:
                try:
                    yield from map(SourceGone, gone.below(path))
                except AllGone as error:
                    yield SourceFailed(path, error, begun=False)

    def _found(self, number: int, path: str) -> Iterable[Source]:
        piped = self._piped.pop(number, None)
        if isinstance(piped, EdgeQAError):
            raise piped
        return walk([path], self._options, self._report.skip) if piped is None else piped

    def _source(self, source: Source, given: str | None) -> Iterator[Event]:
        begun = False
        try:
            digest = source.digest()
            path, name, former = identify(source, given)
            known = self._catalogue.sources_at(path)
            whole = (digest, WHOLE, self._encoder.digest, splitter.SPLITTER_VERSION)
            for row in (*known, *(self._catalogue.sources_at(former) if former is not None else ())):
                if (row.digest, row.state, row.encoder, row.splitter) == whole:
                    yield SourceUnchanged(row.path, source.size_bytes)
                    self._note(source, row.name)
                    return
            is_reread = any(row.state == WHOLE and source.was_read_by(row.reader, row.digest) for row in known)
            documents_done, unfinished = self._left_unfinished(known, digest)
            window_tokens = self._model.limits.window_tokens
            how = (window_tokens, source.reader, splitter.SPLITTER_VERSION)
            yield SourceBegins(path, printed(name), digest, *how, size_bytes=source.size_bytes)
            begun = True
            for number, record in enumerate(source.records()):
                if number < documents_done:
                    for _ in record.blocks:
                        pass
                else:
                    yield from self._document(source, record, unfinished if number == documents_done else None)
            yield SourceEnds(is_reread=is_reread)
            if former is not None and former.startswith(CARRIED):  # now it is known by its full path
                yield from map(SourceGone, self._catalogue.sources_at(former))
            for part, why in source.notes:
                self._report.skip(Skipped(part, why))
            self._note(source, printed(name))
        except ContextError as error:
            yield SourceFailed(source.name, error, begun=begun, size_bytes=source.size_bytes)

    def _note(self, source: Source, name: str) -> None:
        if source.is_piped:
            self._report.piped.append(name)

    def _left_unfinished(self, known: Iterable[SourceRow], digest: bytes) -> tuple[int, DocumentRow | None]:
        """Returns the number of the file's documents that an earlier run stored, and the one in which it broke off."""
        wanted = (digest, self._model.limits.window_tokens, self._encoder.digest, splitter.SPLITTER_VERSION)
        for row in known:
            made = (row.digest, row.window_tokens, row.encoder, row.splitter)
            if PENDING <= row.state < WHOLE and made == wanted:
                unfinished = self._catalogue.unfinished_document(row.id)
                # A document's contexts have ids without a gap, so that only the last document can be continued.
                if unfinished is not None and unfinished.after != self._next_context:
                    unfinished = None
                return self._catalogue.whole_documents(row.id), unfinished
        return 0, None

    def _document(self, source: Source, record: Record, unfinished: DocumentRow | None) -> Iterator[Event]:
        from edgeqa.contexts.windows import all_windows  # here: where nothing has changed, numpy is not needed

        suffix = record.name.removeprefix(source.name)
        yield DocumentBegins(suffix, record.title, resumed=unfinished is not None)
        done = unfinished.contexts if unfinished is not None else 0
        for number, window in enumerate(all_windows(record.blocks, self._model.tokenize, self._model.limits)):
            if number >= done:
                self._next_context = None
                yield ContextMade(window, TokenGroups.of(window))
        yield DocumentEnds()


class ReEncodeStage:
    """One run over what a collection holds."""

    def __init__(self, catalogue: Catalogue, held: Collection, encoder: EncoderIdentity, model: TimedModel) -> None:
        self._catalogue, self._held, self._encoder, self._model = catalogue, held, encoder, model

    def events(self) -> Iterator[Event]:
        """Yields what is to be done."""
        for source in self._catalogue.sources():
            if source.state > PENDING:
                yield from self._source(source)

    def _source(self, source: SourceRow) -> Iterator[Event]:
        from edgeqa.contexts.windows import again, windows  # here: it needs numpy

        # The rest of a file that was not added to its end must be read when it is next added.
        digest = MARK + (source.digest if source.state == WHOLE else b"")
        documents_done = 0
        made_with = (digest, self._model.limits.window_tokens, self._encoder.digest)
        for begun in self._catalogue.sources_at(source.path):
            if (begun.digest, begun.window_tokens, begun.encoder) == made_with:
                if begun.state == READY:
                    return
                documents_done = self._catalogue.whole_documents(begun.id)
        how = (self._model.limits.window_tokens, source.reader, source.splitter)
        yield SourceBegins(source.path, source.name, digest, *how)
        try:
            whole = (document for document in self._catalogue.documents_of(source.id) if document.whole)
            for document in islice(whole, documents_done, None):
                yield DocumentBegins(document.name.removeprefix(source.name), document.title, resumed=False)
                for context in self._held.contexts_from(document.first, document.after):
                    for window in windows(again(context), self._model.tokenize, self._model.limits):
                        yield ContextMade(window, TokenGroups.of(window))
                yield DocumentEnds()
            yield SourceEnds(waits=True)
        except ShardDamaged as error:
            yield SourceFailed(source.name, error, begun=True)


class MissingFiles:
    """The files that a collection holds and the disk does not, path by path."""

    def __init__(self, directory: Path, catalogue: Catalogue, *, even_all: bool) -> None:
        """Prepares to look.

        Args:
            directory: where the collection lives.
            catalogue: of the collection.
            even_all: whether all that was added from a path may be gone.
        """
        self._directory, self._catalogue, self._even_all = directory, catalogue, even_all

    def check(self, paths: Iterable[str]) -> None:
        """Refuses paths of which everything is gone.

        Raises:
            AllGone: if files were added from one of them, none is there, and that may not be.
        """
        for path in () if self._even_all else paths:
            files = 0
            for source in self._catalogue.sources_below(file_identity(path)):
                if not _is_missing(source.path):
                    break
                files += source.state > PENDING  # what was begun to replace one is none of its own
            else:
                if files:
                    raise AllGone(self._directory, path, files)

    def below(self, path: str) -> Iterator[SourceRow]:
        """Yields the files that were added from `path` and are gone.

        Raises:
            AllGone: as `check` does: a disk may go at any time.
        """
        self.check([path])
        for source in self._catalogue.sources_below(file_identity(path)):
            if _is_missing(source.path):
                yield source


def _is_missing(path: bytes) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    # On a file system without case, a renamed file may still be found under its old name.
    return path.startswith(b"/") and file_identity(os.fsdecode(path)) != path
