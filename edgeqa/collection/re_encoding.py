"""Making a collection anew from the text that it holds: for another bundle, or with encodings where there were none.

Each file's documents are put together from their contexts, cut up and encoded again beside the old ones, which are
asked until all are done. Then, in one commit, the new ones take their place: the two are never mixed. Broken off, it
goes on with the next file when it is run again.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.collection import Collection
    from edgeqa.collection.encoder import Encoder
    from edgeqa.collection.events import Event
    from edgeqa.collection.model import Model
    from edgeqa.collection.rows import SourceRow


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
        from edgeqa.contexts.windows import again, windows  # here: it needs numpy

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
                for context in self._held.contexts_from(document.first, document.after):
                    for window in windows(again(context), self._model.tokenize, self._model.limits):
                        yield ContextMade(window, Layout(window.tokens.words, window.paragraphs, window.meaningful))
                yield DocumentEnds()
            yield SourceEnds(waits=True)
        except ShardDamaged as error:
            yield SourceFailed(source.name, error, begun=True)
