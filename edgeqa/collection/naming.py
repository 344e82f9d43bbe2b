"""Identities and names of texts in a collection: a file is known by its path, a text from a pipe by its content.

In: a source, and the name that the user gave it, if any. Out: its identity and its name. Two texts from pipes have one
identity only if they are equal, or if the user gave both the same name. Nothing of a source is read here but its
digest. And back: for a name that was shown, the document that has it, unless there are several; for names of files and
folders, the part of the collection that they stand for. A name is whole: `notes` is a file, or a folder, of just this
name, never `notes-old`.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import PENDING, ranges
from edgeqa.collection.errors import ContextGone, NameAmbiguous
from edgeqa.errors import OptionError, printed
from edgeqa.formats import PIPED_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgeqa.collection.catalogue_rows import DocumentRow
    from edgeqa.formats.source import Source


CARRIED = b"carried:"  # a file of a collection from another device is known by this and its name
TAG = r"[A-Za-z0-9]{1,8}"
_ADDRESS = re.compile(rf"(.*):\{{({TAG})\}}:([1-9][0-9]{{0,17}})", re.DOTALL)
SHOWN_HEX_DIGITS = 12  # two of a million texts share so many digits with a chance of 1 in 500
Within: TypeAlias = "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]"


class Address(NamedTuple):
    """Where a context is: DOCUMENT:{TAG}:N, as in `manuals/pump.md:{8YG}:10`."""

    document: str
    tag: str
    """The tag of the shard that the document was added in."""
    number: int
    """The context's number within the document, counted from 1."""

    def __str__(self) -> str:
        return f"{self.document}:{{{self.tag}}}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """Returns the address that `text` is, or None."""
        found = _ADDRESS.fullmatch(text)
        return cls(found[1], found[2], int(found[3])) if found else None


class SourceIdentity(NamedTuple):
    """The identity of a source in a collection, and its name."""

    path: bytes
    """Its identity: a file's absolute path, or bytes that stand for one and can be no path."""
    name: str
    """The beginning of its documents' names."""
    former: bytes | None = None
    """A former identity that it may have: a file's name alone, in a collection from another device; or the one that
    edgeqa 0.2 gave to all texts that came through a pipe."""


def file_identity(path: str) -> bytes:
    """Returns the identity of a file: the same from every working directory, and in any case where case is ignored."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.fsencode(_listed(_folder(folder), name))


@lru_cache(maxsize=256)
def _folder(path: str) -> str:
    folder, name = os.path.split(path)
    return _listed(_folder(folder), name) if name else path


def _listed(folder: str, name: str) -> str:
    """Returns the path of a file by the name that its folder lists.

    For `NOTES.TXT`, it is `Notes.txt` where the file system takes both for one file.
    """
    path = os.path.join(folder, name)
    other = name.swapcase()
    try:
        if other == name or not os.path.samestat(os.lstat(os.path.join(folder, other)), os.lstat(path)):
            return path
        with os.scandir(folder) as entries:
            folded = name.casefold()
            names = [entry.name for entry in entries if entry.name.casefold() == folded]
    except OSError:  # as a rule because there is no such other file
        return path
    return path if name in names or len(names) != 1 else os.path.join(folder, names[0])


def document_named(catalogue: Catalogue, name: str) -> DocumentRow:
    """Returns the document that a name stands for, or a file's full path with what its documents' names have beyond.

    Raises:
        NameAmbiguous: if several documents are called so.
        ContextGone: if there is none.
    """
    rows = catalogue.documents_named(name)
    if len(rows) > 1:
        suffixes = [row.name[len(source.name) :] for row in rows for source in [catalogue.source(row.source)]]
        paths = [catalogue.source(row.source).full_path for row in rows]
        raise NameAmbiguous(name, [path and path + suffix for path, suffix in zip(paths, suffixes, strict=True)])
    rows = rows or catalogue.documents_at(name)
    if not rows:
        raise ContextGone(name)
    return rows[0]


def identify(source: Source, name: str | None) -> SourceIdentity:
    """Returns a source's identity and its name.

    Args:
        source: a file, or what came through a pipe.
        name: what the latter is to be called.

    Raises:
        ContextError: if it cannot be read.
    """
    if not source.is_piped:
        return SourceIdentity(file_identity(source.name), source.name, CARRIED + printed(source.name).encode())
    if name is not None:
        return SourceIdentity(b"named:" + os.fsencode(name), name)
    content = source.content_digest().hex()
    former = PIPED_NAME.encode() if source.name == PIPED_NAME else file_identity(source.name)
    return SourceIdentity(b"content:" + content.encode(), f"{source.name} {content[:SHOWN_HEX_DIGITS]}", former)


def several(named: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Returns one name or path, or several, as several."""
    return [os.fspath(one) for one in ((named,) if isinstance(named, (str, os.PathLike)) else named)]


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
    names = several(within)
    if not names or not all(names):
        raise OptionError(name="within", value=within, expected="names of files, folders or documents")
    documents: dict[int, DocumentRow] = {}
    with Catalogue.read(place) as catalogue:
        for name in names:
            documents |= {document.id: document for document in _documents_of(catalogue, name)}
    return tuple(ranges(sorted(documents.values(), key=lambda document: document.first)))


def _documents_of(catalogue: Catalogue, name: str) -> list[DocumentRow]:
    sources = [source for source in catalogue.sources_named(name) if source.state > PENDING]
    if len({source.path for source in sources}) > 1:
        raise NameAmbiguous(name, [source.full_path for source in sources])
    for others in (catalogue.sources_below(file_identity(name)), catalogue.sources_named_below(name)):
        sources = sources or [source for source in others if source.state > PENDING]
    if not sources:
        return [document_named(catalogue, name)]
    return [document for source in sources for document in catalogue.documents_of(source.id) if document.whole]
