"""Makes a collection for tests, filled through the real writer, index and reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa import collection
from edgeqa.collection.shard_format import TokenGroups
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.collection.writer import Writer
from edgeqa.contexts.windows import all_windows
from edgeqa.formats.blocks import Block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.runtime import EdgeQA

DOCUMENTS = {
    "engine.txt": "The machine was designed by Charles Babbage in 1837. It was never built.",
    "pump.txt": "The pump is rated IP68 and may be submerged to a depth of 12 metres. Clean the filter each month.",
    "odd {8YG}_name:1_.txt": "The gardens are open from nine to five. Dogs are not allowed in the rose garden.",
    "bridge.txt": "The bridge was built in 1932 by Dorman Long. It spans the harbour of Sydney.",
}


def add(qa: EdgeQA, documents: Mapping[str, str], name: str = collection.DEFAULT, *, encoded: bool = True) -> None:
    """Adds documents."""
    reading = qa._equipment.reading
    with Writer(collection.directory(name), EncoderIdentity.of(qa.bundle)) as writer:
        for document, text in documents.items():
            writer.begin_source(f"/{document}".encode(), document, text.encode()[:16], 320)
            writer.begin_document("", "")
            for passage in all_windows([Block(text)], reading.tokenize, reading.limits):
                groups = TokenGroups.of(passage)
                writer.add(passage, groups, reading.encode_context(passage.tokens.ids) if encoded else None)
            writer.end_document()
            writer.end_source()
        writer.commit()
