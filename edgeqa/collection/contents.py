"""What a collection holds, document by document, as `edgeqa list` and `EdgeQA.list` give it.

In: a collection's directory. Out: frozen values. It reads the catalogue, and no document.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgeqa.collection.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document of a collection."""

    document: str
    """Its name: of a PDF a page, `manual.pdf#12`."""
    path: str | None
    """The full path of the file that it is of; None of what came through a pipe."""
    title: str
    """Its title, "" if it has none."""
    tag: str
    """Of the shard that it was added in: `document:{tag}:N` is the address of its passage N, counted from 1."""
    contexts: int
    """How many passages it has."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return asdict(self)


def listed(place: Path) -> Iterator[ListedDocument]:
    """Yields the documents of the collection in the directory `place`, in the order in which they were added.

    Raises:
        CollectionError: if there is no collection, or it cannot be read.
    """
    with Catalogue.read(place) as catalogue:
        for row in catalogue.documents():
            path = catalogue.source(row.source).full_path
            yield ListedDocument(row.name, path, row.title, row.tag, row.contexts)
