"""A collection into one file: `edgeqa collections export`. See `carried` for what is in it.

In: the collection's directory, a file's name. Out: the file, whole or not at all. Each shard is written anew with what
is still there: nothing that was removed is carried, nor any path of this device. It takes room for one shard beside it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from edgeqa.collection import directory, listing
from edgeqa.collection.carried import FIRST, Carried, without_paths
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.durable import sync, sync_directory
from edgeqa.collection.errors import CarriedInaccessible
from edgeqa.collection.layout import renamed
from edgeqa.collection.lock import Lock
from edgeqa.collection.rows import PENDING, ranges
from edgeqa.collection.scratch import scratch
from edgeqa.collection.shard import FILES, MANIFEST, Shard
from edgeqa.collection.shardwriter import ShardWriter
from edgeqa.collection.snapshot import SHARDS

if TYPE_CHECKING:
    from edgeqa.collection.rows import ShardRow

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same collection gives the same bytes
_BLOCK_BYTES = 1 << 20


def export_collection(name: str, file: str | os.PathLike[str], *, encodings: bool = True) -> Carried:
    """Writes a collection into one file, which `import_collection` makes a collection of, on any device.

    No path of this device is in it: names that are full paths are cut to what is below the folder of all of them.
    Adding files there under the names that they have in it replaces them instead of doubling them; files that are
    called otherwise are others, and `sync` removes none of what was carried.

    Args:
        name: of the collection.
        file: to be written; what is there is replaced only if it was exported, too.
        encodings: whether encodings go with it, which are most of it, and take long to make again.

    Raises:
        CollectionError: if the collection cannot be read, somebody is writing to it, or the file cannot be written.
    """
    place, target = directory(name), Path(file)
    with Catalogue.read(place) as catalogue, contextlib.ExitStack() as opened:
        try:
            opened.callback(Lock(place).release)
        except OSError as error:
            if os.access(place, os.W_OK):
                raise CarriedInaccessible(place, "lock", error.strerror or str(error)) from error
            # else it is read-only, and nobody can write to it
        try:
            if target.exists() and not _is_exported(target):
                raise CarriedInaccessible(target, "write", "there is a file that is no exported collection")
            with scratch(target.parent) as beside:
                made = _write(catalogue, place, beside, encodings=encodings)
                (beside / FIRST).replace(target)
            sync_directory(target.parent)
        except OSError as error:
            if isinstance(error, CarriedInaccessible):
                raise
            raise CarriedInaccessible(target, "write", error.strerror or str(error)) from error
    return made


def _is_exported(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return FIRST in archive.namelist()
    except (zipfile.BadZipFile, ValueError):
        return False


def _write(catalogue: Catalogue, place: Path, beside: Path, *, encodings: bool) -> Carried:
    """Writes the file, called FIRST in the directory `beside`."""
    named = without_paths(catalogue.sources())
    members: dict[str, tuple[int, str]] = {}
    documents, contexts = set(), 0
    with (beside / FIRST).open("xb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for number, known in enumerate(catalogue.shards()):
                found = _shard(catalogue, place, beside, known, named, number=number, encodings=encodings)
                if found is None:
                    continue
                contexts += found[1]
                documents |= found[0]
                for one in (MANIFEST, *FILES):
                    member = f"{SHARDS}/{known.tag}/{one}"
                    members[member] = _store(archive, member, beside / known.tag / one)
                shutil.rmtree(beside / known.tag)
            numbers = (len(documents), contexts, catalogue.get("salt", 0), catalogue.get("shards_made", 0))
            made = Carried(place.name, catalogue.get("bundle", ""), *numbers, members=members)
            archive.writestr(zipfile.ZipInfo(FIRST, _EPOCH), made.pack())
        stream.flush()
        sync(stream.fileno())
    return made


def _shard(
    catalogue: Catalogue,
    place: Path,
    beside: Path,
    known: ShardRow,
    named: dict[int, tuple[bytes, str]],
    *,
    number: int,
    encodings: bool,
) -> tuple[set[int], int] | None:
    """Writes a shard with what is to be seen of another; returns its documents' ids and its contexts, if any."""
    sources = {}
    kept = []
    for document in catalogue.documents_between(known.first, known.last):
        source = catalogue.source(document.source)
        if document.whole and source.state > PENDING:
            path, name = named[source.id]
            sources[source.id] = replace(source, path=path, name=name)
            kept.append(replace(document, name=name + document.name[len(source.name) :]))
    if not kept:
        return None
    shard = Shard(place / SHARDS / known.tag)
    facts = shard.manifest
    made = ShardWriter(beside, known.tag, facts.encoder, facts.width, facts.bundle or catalogue.get("bundle", ""))
    names = {document.id: document.name for document in kept}
    try:
        for first, after in ranges(kept):
            for row in shard.rows(first, after):
                raw = shard.raw_encoding(row) if encodings else None
                record = renamed(shard.record_as_written_now(row), row.tokens, names[row.document])
                made.add(row.context_id, row.document, row.number, record, row.tokens, b"" if raw is None else raw)
        made.finish(listing.pack(sorted(sources.values(), key=lambda s: s.id), kept), number)
    except BaseException:
        made.abandon()
        raise
    return set(names), made.contexts


def _store(archive: zipfile.ZipFile, name: str, file: Path) -> tuple[int, str]:
    """Puts a file into the archive; returns its size and digest."""
    digest, size_bytes = xxhash.xxh3_128(), file.stat().st_size
    member = zipfile.ZipInfo(name, _EPOCH)
    member.file_size = size_bytes
    with file.open("rb") as stream, archive.open(member, "w", force_zip64=True) as stored:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            stored.write(block)
    return size_bytes, digest.hexdigest()
