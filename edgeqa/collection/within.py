"""A part of a collection by its names: files, folders and documents in, ranges of context ids out. It writes nothing.

A name is whole: `notes` is a file, or a folder, of just this name, and never `notes-old`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.errors import NameAmbiguous
from edgeqa.collection.naming import document_named, file_identity
from edgeqa.collection.rows import PENDING, ranges
from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgeqa.collection.rows import DocumentRow

Within: TypeAlias = "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]"


def ranges_within(place: Path, within: Within) -> tuple[tuple[int, int], ...]:
    """Returns the ranges of context ids, each from its first on and below its second, rising, of what names stand for.

    Args:
        place: where the collection lives.
        within: names as `edgeqa list` shows them, names of folders in them, or paths.

    Raises:
        OptionError: if there is no name.
        ContextGone: if the collection has nothing of a name.
        NameAmbiguous: if several files are called so.
        CollectionError: if it cannot be read.
    """
    names = [os.fspath(one) for one in ((within,) if isinstance(within, (str, os.PathLike)) else within)]
    if not names or not all(names):
        raise OptionError(name="within", value=within, expected="names of files, folders or documents")
    documents: dict[int, DocumentRow] = {}
    with Catalogue.read(place) as catalogue:
        for name in names:
            documents |= {document.id: document for document in _named(catalogue, name)}
    return tuple(ranges(sorted(documents.values(), key=lambda document: document.first)))


def _named(catalogue: Catalogue, name: str) -> list[DocumentRow]:
    sources = [source for source in catalogue.sources_named(name) if source.state > PENDING]
    if len({source.path for source in sources}) > 1:
        raise NameAmbiguous(name, [source.full_path for source in sources])
    for others in (catalogue.sources_below(file_identity(name)), catalogue.sources_named_below(name)):
        sources = sources or [source for source in others if source.state > PENDING]
    if not sources:
        return [document_named(catalogue, name)]
    return [document for source in sources for document in catalogue.documents_of(source.id) if document.whole]
