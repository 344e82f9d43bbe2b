"""A collection out of one file: `edgeqa collections import`. See `carried` for what is in it.

In: a file that anybody may have made. Out: a collection, whole or not at all: it is made beside its place, everything
of it compared with its checksum and unpacked once, and renamed. Nothing is written but what the file says of itself to
have, under names that edgeqa gives; no more than the file is large. The catalogue and the index are made of the shards.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zipfile
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import xxhash

from edgeqa.collection import checked, directory
from edgeqa.collection.carried import FIRST, FORMAT, MEMBER, Carried
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.durable import sync, sync_directory
from edgeqa.collection.errors import (
    CarriedDamaged,
    CarriedInaccessible,
    CarriedUnsupported,
    CatalogueDamaged,
    CollectionExists,
    CollectionUnwritable,
    ShardDamaged,
)
from edgeqa.collection.index import IndexWriter
from edgeqa.collection.overview import CollectionInfo, info_of
from edgeqa.collection.rebuilding import rebuild
from edgeqa.collection.scratch import scratch
from edgeqa.collection.shard import FILES, MANIFEST, Shard
from edgeqa.collection.snapshot import CATALOGUE, SHARDS
from edgeqa.collection.writer import Writer
from edgeqa.errors import CollectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FIRST_BYTES = 64 << 20  # of what the file says of itself: a line for each file of a shard
_BLOCK_BYTES = 1 << 20
_ENCRYPTED = 1


def import_collection(file: str | os.PathLike[str], *, name: str | None = None) -> CollectionInfo:
    """Makes a collection of a file that `export_collection` has written, on whatever device; returns what is in it.

    It answers as if its texts had been added here. Adding files under the names that they have in it replaces them.

    Args:
        file: to be read.
        name: of the collection to make; None for the one that it had.

    Raises:
        CollectionError: if there is a collection of this name, or the file is damaged, or not what was exported; then
            nothing is there that was not there before.
    """
    source = Path(file)
    try:
        opened = source.open("rb")
    except OSError as error:
        raise CarriedInaccessible(source, "read", error.strerror or str(error)) from error
    with opened, _understood(source), zipfile.ZipFile(opened) as archive:
        carried, members = _look(archive, source)
        place = directory(carried.name if name is None else name)
        if os.path.lexists(place):
            raise CollectionExists(place)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with scratch(place.parent) as beside:
                made = beside / place.name
                _unpack(archive, members, carried, made)
                _check(source, made)
                _complete(source, carried, made)
                sync_directory(made)
                if os.path.lexists(place):  # meanwhile
                    raise CollectionExists(place)
                made.rename(place)
            sync_directory(place.parent)
        except OSError as error:
            if isinstance(error, CollectionError):
                raise
            raise CollectionUnwritable(place, error.strerror or str(error)) from error
    return info_of(place)


@contextlib.contextmanager
def _understood(file: Path) -> Iterator[None]:
    """Turns whatever a file that is none of ours raises into what the user is told."""
    try:
        yield
    except (CatalogueDamaged, ShardDamaged) as error:
        raise CarriedDamaged(file, str(error)) from error
    except CollectionError:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise CarriedDamaged(file, f"not a whole ZIP file ({error})") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error, OverflowError) as error:
        raise CarriedDamaged(file, f"not an exported collection ({error})") from error


def _look(archive: zipfile.ZipFile, file: Path) -> tuple[Carried, dict[str, zipfile.ZipInfo]]:
    """Returns what the file says of itself, and its members, which are these and no others."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename
        kind = stat.S_IFMT(member.external_attr >> 16)
        if name in members or not (name == FIRST or MEMBER.fullmatch(name)):
            raise CarriedDamaged(file, f"it holds {name!r}, which no export writes")
        if kind not in (0, stat.S_IFREG) or member.flag_bits & _ENCRYPTED:
            raise CarriedDamaged(file, f"{name} is no plain file")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise CarriedDamaged(file, f"{name} is compressed")
        members[name] = member
    if FIRST not in members:
        raise CarriedDamaged(file, f"it has no {FIRST}")
    whole_bytes = file.stat().st_size
    if sum(member.file_size for member in members.values()) > whole_bytes:
        raise CarriedDamaged(file, "its members are larger than it is")
    first = members.pop(FIRST)
    if first.file_size > _MOST_FIRST_BYTES:
        raise CarriedDamaged(file, f"{FIRST} is too large")
    facts = checked.load(archive.read(first))
    if facts.get("format") != FORMAT:
        raise CarriedUnsupported(file, facts.get("format"), FORMAT)
    carried = Carried.parse(facts)
    if {name: size_bytes for name, (size_bytes, _) in carried.members.items()} != {
        name: member.file_size for name, member in members.items()
    }:
        raise CarriedDamaged(file, f"it does not hold what {FIRST} lists")
    return carried, members


def _unpack(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], carried: Carried, made: Path) -> None:
    """Writes the shards, each file compared with its checksum."""
    (made / SHARDS).mkdir(parents=True)
    for name, member in sorted(members.items()):
        target, digest = made / name, xxhash.xxh3_128()
        target.parent.mkdir(exist_ok=True)
        with archive.open(member) as stored, target.open("xb") as stream:
            while block := stored.read(_BLOCK_BYTES):
                digest.update(block)
                stream.write(block)
            stream.flush()
            sync(stream.fileno())
        if digest.hexdigest() != carried.members[name][1]:
            message = f"{name} has a wrong checksum"
            raise zipfile.BadZipFile(message)
    for place in (made / SHARDS).iterdir():
        sync_directory(place)
    sync_directory(made / SHARDS)


def _check(file: Path, made: Path) -> None:
    """Reads all of the shards as they will be read.

    Raises:
        CarriedDamaged: if something in them cannot be.
        ShardDamaged: if a shard is not what its manifest says.
    """
    for place in sorted((made / SHARDS).iterdir()):
        if {found.name for found in place.iterdir()} != {MANIFEST, *FILES}:
            raise CarriedDamaged(file, f"shard {place.name} lacks a file")
        shard = Shard(place)
        for damage in shard.check():
            raise damage
        for source in shard.documents()[0]:
            if source.path.startswith(b"/") or PurePath(source.name).is_absolute():
                raise CarriedDamaged(file, f"it has a full path: {source.name}")
        for row in shard.rows():
            record = shard.record(row)
            shard.raw_encoding(row)
            for _ in (record.text, record.name, record.title, record.tag, record.kind, record.heading, record.pieces):
                pass
            record.ids(), record.offsets(), record.layout()


def _complete(file: Path, carried: Carried, made: Path) -> None:
    """Makes the catalogue and the index of the shards."""
    rebuild(made, CatalogueDamaged(made / CATALOGUE, "it is not made yet"))
    with Catalogue.write(made) as catalogue, catalogue.transaction():
        catalogue.set("salt", carried.salt)
        catalogue.set("shards_made", max(carried.shards_made, catalogue.get("shards_made", 0)))
    with Writer(made, None, IndexWriter) as writer:
        writer.commit()
        found = writer.catalogue.snapshot()
    if (found.documents, found.contexts) != (carried.documents, carried.contexts):
        what = f"it has {found.documents} documents and {found.contexts} passages instead of those that it lists"
        raise CarriedDamaged(file, what)
