"""All collections of a user, what is in each, and what it takes on disk; and deleting one.

In: the directory of collections, or a name. Out: frozen values. A collection that cannot be read is listed with what is
wrong with it; no document is read. Deleting follows no link, and deletes nothing where anything lies in the directory
that edgeqa does not put there.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeqa.collection import directory
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.errors import (
    CollectionForeign,
    CollectionNameInvalid,
    CollectionNotFound,
    CollectionUnreadable,
    CollectionUnwritable,
)
from edgeqa.collection.ownership import Lock, foreign, narrow_exposed, scratch
from edgeqa.collection.snapshot import CATALOGUE, ROUTE
from edgeqa.errors import CollectionError
from edgeqa.files import rename

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection, as `edgeqa collections` lists it.

    Examples:
        >>> edgeqa.collections()[0].bundle
        'edgeqa-mini 4'
    """

    name: str
    documents: int
    contexts: int
    """How many passages."""
    texts_bytes: int
    """Bytes of its directory without encodings and index."""
    encodings_bytes: int
    index_bytes: int
    bundle: str
    """Name and version of the model that it was made with; "" while it is empty."""
    format: int
    """The format on disk; 0 where it cannot be read."""
    problem: str = ""
    """The reason why it cannot be read; "" if it can."""

    @property
    def size_bytes(self) -> int:
        """All that it takes on disk."""
        return self.texts_bytes + self.encodings_bytes + self.index_bytes

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return asdict(self)


def collections() -> tuple[CollectionInfo, ...]:
    """Returns the user's collections, by name; one that cannot be read says so in its `problem`.

    Examples:
        >>> [(one.name, one.documents) for one in edgeqa.collections()]
        [('default', 2)]

    Raises:
        CollectionError: if the directory of collections cannot be read.
    """
    root = directory().parent
    try:
        names = sorted(found.name for found in root.iterdir() if found.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise CollectionUnreadable(root, error.strerror or str(error)) from error
    return tuple(found for name in names if (found := _info(name)) is not None)


def _info(name: str) -> CollectionInfo | None:
    """Returns the facts of a collection; None if there is none of this name."""
    try:
        return info_of(directory(name))
    except (CollectionNameInvalid, CollectionNotFound):
        return None


def info_of(place: Path) -> CollectionInfo:
    """Returns the facts of the collection in a directory.

    Raises:
        CollectionNotFound: if there is none.
    """
    documents = contexts = encodings_bytes = found_format = 0
    bundle = problem = ""
    narrow_exposed(place)
    try:
        with Catalogue.read(place) as catalogue:
            snapshot = catalogue.snapshot()
            documents, contexts, bundle = snapshot.documents, snapshot.contexts, snapshot.bundle
            found_format = snapshot.format
            encodings_bytes = sum(shard.encodings_bytes for shard in catalogue.shards())
    except CollectionNotFound:
        raise
    except CollectionError as error:
        problem = str(error)
    index_bytes = _bytes_below(place / ROUTE)
    texts_bytes = max(0, _bytes_below(place) - index_bytes - encodings_bytes)
    sizes = (texts_bytes, encodings_bytes, index_bytes)
    return CollectionInfo(place.name, documents, contexts, *sizes, bundle, found_format, problem)


def _bytes_below(place: Path) -> int:
    size_bytes = 0
    for folder, _, files in os.walk(place):  # it follows no link
        for name in files:
            with contextlib.suppress(OSError):  # a writer may be at work
                size_bytes += Path(folder, name).lstat().st_size
    return size_bytes


def delete_collection(name: str) -> None:
    """Deletes a collection with all that it holds: texts, encodings and index. The files that were added stay.

    Examples:
        >>> with qa.with_collection("support") as support:
        ...     support.add("examples").files_added
        2
        >>> edgeqa.delete_collection("support")
        >>> [one.name for one in edgeqa.collections()]
        ['default']

    Args:
        name: of the collection, as `collections` lists it.

    Raises:
        CollectionError: if there is none, somebody is writing to it, its directory is a link or holds something that is
            not edgeqa's, or it cannot be deleted; but for the last, nothing is deleted then.
    """
    place = directory(str(name))
    if place.is_symlink():
        raise CollectionForeign(place, "it is a link to another place")
    if not (place / CATALOGUE).is_file() or (place / CATALOGUE).is_symlink():
        raise CollectionNotFound(place)
    try:
        if (found := foreign(place)) is not None:
            raise CollectionForeign(place, f"{found} is not edgeqa's")
        lock = Lock(place)
        try:
            with scratch(place.parent) as doomed:
                rename(place, doomed / place.name)  # gone in one step; what is left of it is no collection
        finally:
            lock.release()
    except OSError as error:
        raise CollectionUnwritable(place, error.strerror or str(error)) from error


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document of a collection.

    Examples:
        >>> qa.list()[0].contexts
        4
    """

    document: str
    """Its name: of a PDF a page, `manual.pdf#12`."""
    path: str | None
    """The full path of the file that it is of; None of what came through a pipe."""
    title: str
    """Its title, "" if it has none."""
    tag: str
    """The tag of the shard that it was added in: its passage N, counted from 1, has the address `document:{tag}:N`."""
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
    narrow_exposed(place)
    with Catalogue.read(place) as catalogue:
        for row in catalogue.documents():
            path = catalogue.source(row.source).full_path
            yield ListedDocument(row.name, path, row.title, row.tag, row.contexts)
