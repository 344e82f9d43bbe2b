"""Making a collection anew from the text that it holds: for another bundle, or with encodings where there were none.

Each file's documents are put together from their contexts, cut up and encoded again beside the old ones, which are
asked until all are done. Then, in one commit, the new ones take their place: the two are never mixed. Broken off, it
goes on with the next file when it is run again.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.events import (
    ContextMade,
    DocumentBegins,
    DocumentEnds,
    SourceBegins,
    SourceEnds,
    SourceFailed,
)
from edgeqa.collection.layout import Layout
from edgeqa.collection.rows import MARK, PENDING, READY, WHOLE
from edgeqa.contexts.pieces import KINDS, Piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.collection import Collection, StoredContext
    from edgeqa.collection.encoder import Encoder
    from edgeqa.collection.events import Event
    from edgeqa.collection.model import Model
    from edgeqa.collection.rows import DocumentRow, SourceRow
    from edgeqa.contexts.passages import Passage


class ReEncoding:
    """One run over what a collection holds."""

    def __init__(self, catalogue: Catalogue, held: Collection, encoder: Encoder, model: Model) -> None:
        self._catalogue, self._held, self._encoder, self._model = catalogue, held, encoder, model

    def events(self) -> Iterator[Event]:
        """Yields what is to be done."""
        for source in self._catalogue.sources():
            if source.state > PENDING:
                yield from self._source(source)

    def _source(self, source: SourceRow) -> Iterator[Event]:
        # Of a file that was not added to its end, the rest is to be read when it is next added.
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
                for passage in self._passages(document):
                    layout = Layout(passage.tokens.words, passage.paragraphs, passage.meaningful)
                    yield ContextMade(passage, layout)
                yield DocumentEnds()
            yield SourceEnds(waits=True)
        except ShardDamaged as error:
            yield SourceFailed(source.name, error, begun=True)

    def _passages(self, document: DocumentRow) -> Iterator[Passage]:
        """Yields a document's passages.

        Where they are slices of its text alone, it is cut anew, put together from them. Those that know what they are
        stay what they are, and are cut where they are too long.
        """
        from edgeqa.contexts.passages import passages  # here: it needs numpy

        if not any(c.heading or c.pieces or c.kind != KINDS[0] for c in self._contexts(document)):
            yield from passages(self._text(document), self._model.tokenize, self._model.limits)
            return
        for context in self._contexts(document):
            for part in passages([context.text], self._model.tokenize, self._model.limits):
                pieces = tuple(_within(context.pieces, part.start, part.start + len(part.text)))
                start = context.start + (0 if context.pieces else part.start)
                yield replace(part, start=start, heading=context.heading, kind=context.kind, pieces=pieces)

    def _contexts(self, document: DocumentRow) -> Iterator[StoredContext]:
        return self._held.contexts_from(document.first, document.after)

    def _text(self, document: DocumentRow) -> Iterator[str]:
        """Yields a document's text, put together from its contexts, which overlap."""
        place = 0
        for context in self._contexts(document):
            yield " " * (context.start - place)  # white space that was in no context
            yield context.text[max(0, place - context.start) :]
            place = max(place, context.start + len(context.text))


def _within(pieces: Iterable[Piece], begin: int, end: int) -> Iterator[Piece]:
    """Yields what of the pieces lies in `text[begin:end]`, as pieces of that."""
    for piece in pieces:
        first, after = max(piece.start, begin), min(piece.end, end)
        if first < after:
            yield Piece(first - begin, after - begin, piece.place + first - piece.start)
