"""Paths to events: the first stage of adding. Finds the files, skips what is there already, reads, splits, tokenises.

In: paths, and the catalogue as it was when adding began. Out: events in blocks. A file that cannot be read is an event
too, and the next one is gone on with. It writes nothing.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from edgeqa.collection.errors import AllGone
from edgeqa.collection.events import (
    ContextMade,
    DocumentBegins,
    DocumentEnds,
    SourceBegins,
    SourceEnds,
    SourceFailed,
    SourceGone,
    SourceUnchanged,
)
from edgeqa.collection.layout import Layout
from edgeqa.collection.naming import CARRIED, file_identity, identity
from edgeqa.collection.rows import PENDING, WHOLE, printed
from edgeqa.contexts import pieces
from edgeqa.errors import ContextError, ContextNotFound, EdgeQAError, OptionError
from edgeqa.formats import STANDARD_INPUT, Skipped, is_pipe, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.encoder import Encoder
    from edgeqa.collection.events import Event
    from edgeqa.collection.gone import Gone
    from edgeqa.collection.model import Model
    from edgeqa.collection.report import Added
    from edgeqa.collection.rows import DocumentRow, SourceRow
    from edgeqa.formats import FormatOptions, Record, Source


def total_bytes(paths: Iterable[str], options: FormatOptions) -> int:
    """Returns how much there is to read, as far as can be told before; what can be read only once is not touched."""
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
    except EdgeQAError:  # said when it is read
        return


class Preparing:
    """One run over paths."""

    def __init__(
        self,
        catalogue: Catalogue,
        encoder: Encoder,
        model: Model,
        options: FormatOptions,
        report: Added,
    ) -> None:
        self._catalogue, self._encoder, self._model = catalogue, encoder, model
        self._options, self._report = options, report
        self._next_context: int | None = catalogue.get("next_context", 0)
        """The id that the next context will get; None once there was one."""

    def events(self, paths: Sequence[str], *, name: str | None, gone: Gone | None) -> Iterator[Event]:
        """Yields what is to be done.

        Args:
            paths: files, folders, or "-".
            name: what a text that comes through a pipe is called; None to call it after its content.
            gone: the files that are gone, which go from the collection too; None to keep them.
        """
        for path in paths:
            try:
                for source in walk([path], self._options, self._report.skip):
                    yield from self._source(source, name)
            except (ContextError, OptionError) as error:  # all else is not the path's fault
                is_gone = isinstance(error, ContextNotFound) and gone is not None
                if not (is_gone and any(True for _ in self._catalogue.sources_below(file_identity(path)))):
                    yield SourceFailed(path, error, begun=False)
            if gone is not None and path != STANDARD_INPUT:
                try:
                    yield from map(SourceGone, gone.below(path))
                except AllGone as error:
                    yield SourceFailed(path, error, begun=False)

    def _source(self, source: Source, given: str | None) -> Iterator[Event]:
        begun = False
        try:
            digest = source.digest()
            path, name, former = identity(source, given)
            known = self._catalogue.sources_at(path)
            whole = (digest, WHOLE, self._encoder.digest, pieces.SPLITTER_VERSION)
            for row in (*known, *(self._catalogue.sources_at(former) if former is not None else ())):
                if (row.digest, row.state, row.encoder, row.splitter) == whole:
                    yield SourceUnchanged(row.path, source.size_bytes)
                    self._note(source, row.name)
                    return
            is_reread = any(row.state == WHOLE and source.was_read_by(row.reader, row.digest) for row in known)
            documents_done, unfinished = self._left(known, digest)
            window_tokens = self._model.limits.window_tokens
            how = (window_tokens, source.reader, pieces.SPLITTER_VERSION)
            yield SourceBegins(path, printed(name), digest, *how, size_bytes=source.size_bytes)
            begun = True
            for number, record in enumerate(source.records()):
                if number < documents_done:
                    for _ in record.blocks:
                        pass
                else:
                    yield from self._document(source, record, unfinished if number == documents_done else None)
            yield SourceEnds(is_reread=is_reread)
            if former is not None and former.startswith(CARRIED):  # it is here by its full path now
                yield from map(SourceGone, self._catalogue.sources_at(former))
            for part, why in source.notes:
                self._report.skip(Skipped(part, why))
            self._note(source, printed(name))
        except ContextError as error:
            yield SourceFailed(source.name, error, begun=begun, size_bytes=source.size_bytes)

    def _note(self, source: Source, name: str) -> None:
        if source.is_piped:
            self._report.piped.append(name)

    def _left(self, known: Iterable[SourceRow], digest: bytes) -> tuple[int, DocumentRow | None]:
        """Returns how many documents of the file an earlier run has stored, and the one that it was broken off in."""
        wanted = (digest, self._model.limits.window_tokens, self._encoder.digest, pieces.SPLITTER_VERSION)
        for row in known:
            made = (row.digest, row.window_tokens, row.encoder, row.splitter)
            if PENDING <= row.state < WHOLE and made == wanted:
                unfinished = self._catalogue.unfinished_document(row.id)
                # A document's contexts have ids without a gap: it can only be gone on with if it was the last.
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
                yield ContextMade(window, Layout(window.tokens.words, window.paragraphs, window.meaningful))
        yield DocumentEnds()
