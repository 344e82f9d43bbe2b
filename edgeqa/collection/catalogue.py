"""The catalogue of a collection: which documents it holds, of which files, in which contexts and shards.

In and out: rows as values. The catalogue is the truth: a shard that it does not name is rubbish, and an index that
lacks a document of the catalogue is brought up to date. A *source* is a file in one of its states:

- A `WHOLE` source has all its documents.
- A `GROWING` source is new: its documents can be asked as they come.
- A `PENDING` source will replace another: readers do not see its documents before all of them are there.
- A `READY` source will replace another, too: readers see its documents when those of all other sources are there.

A document may take more than one commit, and readers do not see it before the last of them.
"""

from __future__ import annotations

import os
from dataclasses import astuple, replace
from typing import TYPE_CHECKING

from edgeqa.collection.catalogue_file import CatalogueFile
from edgeqa.collection.catalogue_rows import DIGEST_BYTES, PENDING, DocumentRow, ShardRow, SourceRow, ranges
from edgeqa.collection.errors import CatalogueDamaged
from edgeqa.collection.snapshot import FORMAT, ShardRange, Snapshot
from edgeqa.errors import printed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FORMER_SOURCE = "id, path, name, digest, window_tokens, encoder, state"
_SOURCE = f"{_FORMER_SOURCE}, reader, splitter"
_DOCUMENT = (
    "SELECT d.id, d.source, s.name || d.suffix, d.title, d.tag, d.first, d.contexts, d.whole "
    "FROM documents d JOIN sources s ON s.id = d.source "
)
_AT_ONCE = 500  # values in a query; SQLite may have been built for 999
_SHARD = "SELECT tag, encoder, first, last, contexts, live, encodings, size_bytes, seen FROM shards "


class Catalogue(CatalogueFile):
    """An open catalogue. For one thread."""

    # --- sources -----------------------------------------------------------------------------------------------------

    def sources_at(self, path: bytes) -> list[SourceRow]:
        """Returns the states that there are of the file at `path`: at most one `PENDING`, and one that is not."""
        return [SourceRow(*row) for row in self._all(f"SELECT {self._source} FROM sources WHERE path = ?", path)]

    def sources_at_any(self, paths: Sequence[bytes]) -> Iterator[SourceRow]:
        """Yields the states of the files at some paths."""
        for place in range(0, len(paths), _AT_ONCE):
            some = paths[place : place + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT {self._source} FROM sources WHERE path IN ({marks})"
            yield from [SourceRow(*row) for row in self._all(query, *some)]

    def sources_below(self, path: bytes) -> Iterator[SourceRow]:
        """Yields the file at `path` and all in the folder `path`."""
        folder = path.rstrip(b"/")
        query = f"SELECT {self._source} FROM sources WHERE path = ? OR (path > ? AND path < ?) ORDER BY path"
        yield from (SourceRow(*row) for row in self._all(query, path, folder + b"/", folder + b"0"))  # 0 is after /

    def sources_named(self, name: str) -> list[SourceRow]:
        """Returns the files that the user called so."""
        return [
            SourceRow(*row) for row in self._all(f"SELECT {self._source} FROM sources WHERE name = ?", printed(name))
        ]

    def sources_named_below(self, name: str) -> Iterator[SourceRow]:
        """Yields the files that the user called as in a folder of this name."""
        folder = printed(name).rstrip("/")
        query = f"SELECT {self._source} FROM sources WHERE name > ? AND name < ? ORDER BY id"
        yield from (SourceRow(*row) for row in self._all(query, f"{folder}/", f"{folder}0"))  # 0 is after /

    def sources(self) -> Iterator[SourceRow]:
        """Yields all, in the order in which they were added."""
        yield from (SourceRow(*row) for row in self._all(f"SELECT {self._source} FROM sources ORDER BY id"))

    def source(self, source_id: int) -> SourceRow:
        """Returns the source with this id."""
        found = self._one(f"SELECT {self._source} FROM sources WHERE id = ?", source_id)
        if found is None:
            raise CatalogueDamaged(self._file, f"no source {source_id}")
        return SourceRow(*found)

    def sources_with(self, ids: Sequence[int]) -> Iterator[SourceRow]:
        """Yields the sources with some ids, by rising id.

        Raises:
            CatalogueDamaged: if one is missing.
        """
        wanted = sorted(ids)
        for place in range(0, len(wanted), _AT_ONCE):
            some = wanted[place : place + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found = list(self._all(f"SELECT {self._source} FROM sources WHERE id IN ({marks}) ORDER BY id", *some))
            if missing := {*some}.difference(row[0] for row in found):
                raise CatalogueDamaged(self._file, f"no source {min(missing)}")
            yield from (SourceRow(*row) for row in found)

    def add_source(self, made: SourceRow) -> SourceRow:
        """Notes a file that is being added; gives it an id where it has none, 0."""
        fields = (made.id or None, *_fields(made)[1:])
        done = self._run(f"INSERT INTO sources ({_SOURCE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *fields)
        return replace(made, id=done.lastrowid or 0)

    def add_whole(self, sources: Iterable[SourceRow], documents: Iterable[DocumentRow]) -> None:
        """Notes whole files, which have the ids after `last_ids`, with one document each."""
        self._run_each(f"INSERT INTO sources ({_SOURCE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_fields, sources))
        columns = "id, source, suffix, title, tag, first, contexts, whole"
        rows = ((row.id, row.source, "", row.title, row.tag, row.first, row.contexts, True) for row in documents)
        self._run_each(f"INSERT INTO documents ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def last_ids(self) -> tuple[int, int]:
        """Returns the highest ids that a source and a document were ever given; 0 if there was none."""
        given = dict(self._all("SELECT name, seq FROM sqlite_sequence"))
        return given.get("sources", 0), given.get("documents", 0)

    def set_state(self, source_id: int, state: int, *, digest: bytes | None = None) -> None:
        """Changes a source's state; what that means for its documents is for `show` and `hide`."""
        query = "UPDATE sources SET state = ?, digest = coalesce(?, digest) WHERE id = ?"
        self._run(query, state, digest, source_id)

    def forget_digest(self, source_id: int) -> None:
        """Marks the source, so that it is read again when it is next added."""
        self._run("UPDATE sources SET digest = x'' WHERE id = ?", source_id)

    def delete_source(self, source_id: int) -> None:
        """Deletes a source with its documents, which are hidden already."""
        self._bury(self.documents_of(source_id))
        self._run("DELETE FROM documents WHERE source = ?", source_id)
        self._run("DELETE FROM sources WHERE id = ?", source_id)

    # --- documents ---------------------------------------------------------------------------------------------------

    def documents_of(self, source_id: int) -> Iterator[DocumentRow]:
        """Yields a source's documents, in their order; the last may not be whole."""
        yield from self._documents("WHERE d.source = ? ORDER BY d.id", source_id)

    def unfinished_document(self, source_id: int) -> DocumentRow | None:
        """Returns the document that the last commit left unfinished."""
        found = list(self._documents("WHERE d.source = ? ORDER BY d.id DESC LIMIT 1", source_id))
        return found[0] if found and not found[0].whole else None

    def whole_documents(self, source_id: int) -> int:
        """Returns the number of a source's documents that are whole."""
        found: int = self._one("SELECT count(*) FROM documents WHERE source = ? AND whole", source_id)[0]
        return found

    def last_context(self, source_id: int) -> int:
        """Returns the id of a source's last context; -1 if it has none."""
        found: int | None = self._one("SELECT max(first + contexts) FROM documents WHERE source = ?", source_id)[0]
        return -1 if found is None else found - 1

    def documents(self) -> Iterator[DocumentRow]:
        """Yields the documents that can be asked, in the order in which they were added."""
        yield from self._documents("WHERE d.whole AND s.state > ? ORDER BY d.id", PENDING)

    def documents_between(self, first: int, last: int) -> Iterator[DocumentRow]:
        """Yields the documents, seen or not, that have contexts with ids from `first` to `last`."""
        low = "coalesce((SELECT max(first) FROM documents WHERE first <= ?), 0)"
        query = f"WHERE d.first >= {low} AND d.first <= ? AND d.first + d.contexts > ? ORDER BY d.first"
        yield from self._documents(query, first, last, first)

    def first_unseen(self) -> int:
        """Returns the lowest context id of a document that will be seen only later; one that is never given if none."""
        query = "SELECT min(d.first) FROM documents d JOIN sources s ON s.id = d.source WHERE s.state <= ?"
        found: int | None = self._one(query, PENDING)[0]
        return 1 << 62 if found is None else found

    def documents_named(self, name: str) -> list[DocumentRow]:
        """Returns the documents of this name that can be asked; files of several folders may be called alike."""
        name = printed(name)
        cuts = [len(name), *(at for at, character in enumerate(name) if character == "#")]
        query = "WHERE s.name = ? AND d.suffix = ? AND d.whole AND s.state > ? ORDER BY d.id"
        return [row for cut in cuts for row in self._documents(query, name[:cut], name[cut:], PENDING)]

    def documents_at(self, path: str) -> list[DocumentRow]:
        """Returns the documents of the name that a file's full path has, where the user has called it otherwise."""
        cuts = [len(path), *(at for at, character in enumerate(path) if character == "#")]
        query = "WHERE s.path = ? AND d.suffix = ? AND d.whole AND s.state > ? ORDER BY d.id"
        return [row for cut in cuts for row in self._documents(query, os.fsencode(path[:cut]), path[cut:], PENDING)]

    def add_document(self, source: SourceRow, suffix: str, title: str, tag: str, first: int) -> DocumentRow:
        """Notes a document that is being added: it has no context yet."""
        columns = "source, suffix, title, tag, first, contexts, whole"
        done = self._run(
            f"INSERT INTO documents ({columns}) VALUES (?, ?, ?, ?, ?, 0, 0)", source.id, suffix, title, tag, first
        )
        return DocumentRow(done.lastrowid or 0, source.id, source.name + suffix, title, tag, first, 0, whole=False)

    def restore_document(self, row: DocumentRow, suffix: str) -> None:
        """Notes a document as it once was."""
        fields = (row.id, row.source, suffix, row.title, row.tag, row.first, row.contexts, row.whole)
        columns = "id, source, suffix, title, tag, first, contexts, whole"
        self._run(f"INSERT INTO documents ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *fields)

    def grow(self, document_id: int, contexts: int, *, whole: bool) -> None:
        """Notes how many contexts a document has by now, and whether these are all."""
        self._run("UPDATE documents SET contexts = ?, whole = ? WHERE id = ?", contexts, whole, document_id)

    def delete_document(self, document: DocumentRow) -> None:
        """Deletes a document, which is hidden already."""
        self._bury([document])
        self._run("DELETE FROM documents WHERE id = ?", document.id)

    def _bury(self, documents: Iterable[DocumentRow]) -> None:
        """Counts contexts that belong to no document any more."""
        for first, after in ranges(documents):
            self.buried.append((first, after))
            overlap = "min(last + 1, ?2) - max(first, ?1)"
            self._run(f"UPDATE shards SET live = live - ({overlap}) WHERE first < ?2 AND last >= ?1", first, after)

    def show(self, documents: Iterable[DocumentRow]) -> None:
        """Marks documents as seen: they count, and must be indexed."""
        self._count(documents, 1)

    def hide(self, documents: Iterable[DocumentRow]) -> None:
        """Takes documents from sight."""
        self._count(documents, -1)

    def _count(self, documents: Iterable[DocumentRow], by: int) -> None:
        digest = int(self.get("digest", "0"), 16)
        counts = {name: self.get(name, 0) for name in ("documents", "contexts")}

        def counted() -> Iterator[DocumentRow]:
            nonlocal digest
            for document in documents:
                digest += by * document.digest()
                counts["documents"] += by
                counts["contexts"] += by * document.contexts
                yield document

        for first, after in ranges(counted()):
            self._run("INSERT INTO unindexed VALUES (?, ?, ?)", first, after, by > 0)
        self.set("digest", f"{digest % (1 << 8 * DIGEST_BYTES):032x}")
        for name, value in counts.items():
            self.set(name, value)

    # --- what the index lacks ----------------------------------------------------------------------------------------

    def unindexed(self) -> list[tuple[int, int, bool]]:
        """Returns ranges of context ids, each with whether the index is to have them."""
        rows = self._all("SELECT first, after, wanted FROM unindexed ORDER BY rowid")
        return [(first, after, bool(wanted)) for first, after, wanted in rows]

    def unindex_all(self) -> None:
        """Marks all seen documents, so that they are indexed anew."""
        self._run("DELETE FROM unindexed")
        query = (
            "INSERT INTO unindexed SELECT d.first, d.first + d.contexts, 1 FROM documents d "
            "JOIN sources s ON s.id = d.source WHERE d.whole AND s.state > ? AND d.contexts > 0"
        )
        self._run(query, PENDING)

    def indexed(self) -> None:
        """Notes that the index lacks nothing."""
        self._run("DELETE FROM unindexed")

    # --- shards ------------------------------------------------------------------------------------------------------

    def shards(self) -> list[ShardRow]:
        """Returns all shards, by rising context id."""
        return [ShardRow(*row) for row in self._all(_SHARD + "ORDER BY first")]

    def manifest(self, tag: str) -> bytes:
        """Returns the bytes of a shard's manifest, as they were written; b"" if nothing is known of them."""
        found = self._one("SELECT manifest FROM shards WHERE tag = ?", tag) if self.format == FORMAT else None
        return bytes(found[0]) if found else b""

    def add_shard(self, row: ShardRow, manifest: bytes) -> None:
        """Notes a shard that is in its place."""
        self._run("INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *astuple(row), manifest)

    def see_shard(self, tag: str, seen: str) -> None:
        """Notes what the system says of a shard's files, which are sound."""
        self._run("UPDATE shards SET seen = ? WHERE tag = ?", seen, tag)

    def count_live(self, tag: str, live: int) -> None:
        """Notes how many contexts of a shard belong to a document."""
        self._run("UPDATE shards SET live = ? WHERE tag = ?", live, tag)

    def delete_shard(self, tag: str) -> None:
        """Forgets a shard."""
        self._run("DELETE FROM shards WHERE tag = ?", tag)

    # --- all of it ---------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Returns a snapshot of what there is now, for readers."""
        digest = self.get("digest", "0")
        encoder = self.get("encoder", "")
        if self._one("SELECT 1 FROM unindexed"):  # what is found meanwhile is not to be found later
            digest += f"-{self.get('commits', 0)}"
        return Snapshot(
            digest=f"{encoder}-{self.get('id', '')}{digest}",
            encoder=encoder,
            bundle=self.get("bundle", ""),
            contexts=self.get("contexts", 0),
            documents=self.get("documents", 0),
            shards=tuple(ShardRange(s.tag, s.first, s.last) for s in self.shards()),
            format=self.format,
        )

    def _documents(self, where: str, *values: object) -> Iterator[DocumentRow]:
        for row in self._all(_DOCUMENT + where, *values):
            document_id, source, name, title, tag, first, contexts, whole = row
            yield DocumentRow(document_id, source, name, title, tag, first, contexts, whole=bool(whole))

    @property
    def _source(self) -> str:
        return _SOURCE if self.format == FORMAT else _FORMER_SOURCE


def _fields(row: SourceRow) -> tuple[object, ...]:
    """Returns the values of a row, in the order of `_SOURCE`, in a tenth of the time that `astuple` takes."""
    return (
        *(row.id, row.path, row.name, row.digest, row.window_tokens, row.encoder),
        *(row.state, row.reader, row.splitter),
    )
