"""Events to a collection: the last stage of adding. Writes contexts as they come, and commits every few seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

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
from edgeqa.collection.rows import PENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgeqa.collection.events import Event
    from edgeqa.collection.report import Added
    from edgeqa.collection.writer import Writer

COMMIT_S, COMMIT_BYTES = 10.0, 64 << 20


class Storing:
    """Takes events in their order."""

    def __init__(self, writer: Writer, report: Added) -> None:
        self.done_bytes = 0
        """How much of the files was gone through: of whole files exactly; of the one under way, by its text, about."""
        self._source_end_bytes = 0
        self._counted = (0, 0, 0)
        """Documents, contexts and encodings of all sources before the one under way."""
        self.store_s = self.commit_s = 0.0
        self._writer, self._report = writer, report
        self._committed = time.monotonic()
        self._take: dict[type, Callable[[Any], None]] = {
            ContextMade: self._context,
            DocumentBegins: self._document,
            DocumentEnds: self._document_ends,
            SourceBegins: self._source,
            SourceEnds: self._source_ends,
            SourceUnchanged: self._unchanged,
            SourceFailed: self._failed,
            SourceGone: self._gone,
        }

    def take(self, block: Iterable[Event]) -> None:
        """Stores what the events say, and commits if it is time."""
        began = time.perf_counter()
        for event in block:
            self._take[type(event)](event)
        self.store_s += time.perf_counter() - began
        if self._writer.waiting_bytes > COMMIT_BYTES or time.monotonic() - self._committed > COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Makes all that was taken permanent."""
        began = time.perf_counter()
        self._writer.commit()
        self.commit_s += time.perf_counter() - began
        self._committed = time.monotonic()

    def _context(self, event: ContextMade) -> None:
        self._writer.add(event.passage, event.layout, event.encoding)
        self._report.contexts += 1
        self._report.encoded += event.encoding is not None
        self.done_bytes = min(self.done_bytes + len(event.passage.text), self._source_end_bytes)

    def _document(self, event: DocumentBegins) -> None:
        self._writer.begin_document(event.suffix, event.title, resumed=event.resumed)

    def _document_ends(self, _: DocumentEnds) -> None:
        self._writer.end_document()
        self._report.documents += 1

    def _source(self, event: SourceBegins) -> None:
        self._source_end_bytes = self.done_bytes + event.size_bytes
        self._counted = self._report.documents, self._report.contexts, self._report.encoded
        self._writer.begin_source(
            event.path,
            event.name,
            event.digest,
            event.window_tokens,
            reader=event.reader,
            splitter=event.splitter,
        )

    def _source_ends(self, event: SourceEnds) -> None:
        self.done_bytes = self._source_end_bytes
        if event.waits:
            self._writer.set_source_by()
            self._report.files_re_encoded += 1
        elif not self._writer.end_source():
            self._report.files_added += 1
        elif event.is_reread:
            self._report.files_reread += 1
        else:
            self._report.files_changed += 1

    def _unchanged(self, event: SourceUnchanged) -> None:
        self._writer.keep_source(event.path)
        self._report.files_unchanged += 1
        self.done_bytes += event.size_bytes

    def _failed(self, event: SourceFailed) -> None:
        if event.begun:
            self._writer.fail_source()
            # What was taken of it is taken back, and was never added.
            self._report.documents, self._report.contexts, self._report.encoded = self._counted
            self.done_bytes = self._source_end_bytes
        else:
            self.done_bytes += event.size_bytes
        self._report.failed.append((event.name, event.error))

    def _gone(self, event: SourceGone) -> None:
        self._writer.remove_source(event.source)
        self._report.files_removed += event.source.state > PENDING  # not what was begun to replace one
