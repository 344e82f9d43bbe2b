"""A collection in one file, to carry it to another device: `edgeqa collections export`, and `import`.

    edgeqa-collection.json         {"format": 1, ..., "members": {NAME: [bytes, XXH3-128 in hex], ...}, "check": ...}
    shards/TAG/manifest.json, ...  the files of each shard, of format 2, with what is still there and nothing else

It is a ZIP whose members are stored uncompressed. It holds no path of the device that made it: a file is known by
CARRIED and its name. If that name was a full path, only its part below the common folder of all such paths is kept.

Export writes the file whole or not at all. Each shard is written anew without the contexts that were removed. This
takes room for one shard beside the file.

Import takes a file that anybody may have made, and makes a collection, whole or not at all. The collection is made
beside its place; each member is compared with its checksum and unpacked once; then the collection is renamed. Only the
members that the file lists are written, under names that edgeqa gives, and never more bytes than the file has. The
catalogue and the index are made of the shards.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from edgeqa.collection import directory
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import PENDING, pack_documents, ranges
from edgeqa.collection.errors import (
    CarriedDamaged,
    CarriedInaccessible,
    CarriedUnsupported,
    CatalogueDamaged,
    CollectionExists,
    CollectionUnwritable,
    ShardDamaged,
)
from edgeqa.collection.naming import CARRIED
from edgeqa.collection.overview import CollectionInfo, info_of
from edgeqa.collection.ownership import Lock, scratch
from edgeqa.collection.recovery import rebuild
from edgeqa.collection.shard import FILES, MANIFEST, Shard
from edgeqa.collection.shard_format import renamed
from edgeqa.collection.shard_writer import ShardWriter
from edgeqa.collection.snapshot import CATALOGUE, SHARDS
from edgeqa.collection.writer import Writer
from edgeqa.errors import CollectionError
from edgeqa.files import (
    create,
    delete_folder,
    make_folders,
    pack_checked,
    reading,
    rename,
    sync,
    sync_directory,
    unpack_checked,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.collection.catalogue_rows import ShardRow, SourceRow


FORMAT = 1
FIRST = "edgeqa-collection.json"
MEMBER = re.compile(rf"shards/([0-9A-Z]{{3,16}})/({'|'.join(map(re.escape, (MANIFEST, *FILES)))})")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same collection gives the same bytes
_BLOCK_BYTES = 1 << 20
_MAX_FIRST_BYTES = 64 << 20  # the first member, with a line for each file of a shard, is not larger
_ENCRYPTED = 1


class CarriedFacts(NamedTuple):
    """The facts that a file states about the collection in it."""

    name: str
    bundle: str
    documents: int
    contexts: int
    salt: int
    """The number that its tags are counted from."""
    shards_made: int
    members: dict[str, tuple[int, str]]
    """Size in bytes, and XXH3-128 in hex, of each file."""

    def pack(self) -> bytes:
        """Returns the bytes of FIRST."""
        return pack_checked({"format": FORMAT, **self._asdict()})

    @classmethod
    def parse(cls, facts: dict[str, Any]) -> CarriedFacts:
        """Parses the facts in FIRST.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: if they are not what `pack` writes.
        """
        members = {str(name): (int(size_bytes), str(digest)) for name, (size_bytes, digest) in facts["members"].items()}
        documents, contexts, salt, made = (int(facts[one]) for one in ("documents", "contexts", "salt", "shards_made"))
        if any(
            number < 0
            for number in (documents, contexts, salt, made, *(size_bytes for size_bytes, _ in members.values()))
        ):
            message = "a number is below 0"
            raise ValueError(message)
        return cls(str(facts["name"]), str(facts["bundle"]), documents, contexts, salt, made, members)


def without_paths(sources: Iterable[SourceRow]) -> dict[int, tuple[bytes, str]]:
    """Returns the identity and the name that each source has in the file, by the source's id."""
    listed = list(sources)
    full = [str(PurePath(source.name).parent) for source in listed if PurePath(source.name).is_absolute()]
    base = PurePath(os.path.commonpath(full)).parent if full else ""
    used = {source.path for source in listed}
    found = {}
    for source in listed:
        name = os.path.relpath(source.name, base) if PurePath(source.name).is_absolute() else source.name
        path, number = source.path, 1
        if path.startswith(b"/"):
            path = CARRIED + name.encode()
            while path in used:
                number += 1
                path = CARRIED + f"{number}:{name}".encode()
            used.add(path)
        found[source.id] = path, name
    return found


def export_collection(name: str, file: str | os.PathLike[str], *, encodings: bool = True) -> CarriedFacts:
    """Writes a collection into one file, which `import_collection` makes a collection of, on any device.

    No path of this device is in it: names that are full paths are cut to what is below the folder of all of them.
    Adding files there under the names that they have in it replaces them instead of doubling them; files that are
    called otherwise are others, and `sync` removes none of what was carried.

    Examples:
        >>> edgeqa.export_collection("default", "manuals.zip", encodings=False).documents
        2

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
                made = _write_archive(catalogue, place, beside, encodings=encodings)
                rename(beside / FIRST, target)
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


def _write_archive(catalogue: Catalogue, place: Path, beside: Path, *, encodings: bool) -> CarriedFacts:
    """Writes the file, called FIRST in the directory `beside`."""
    named = without_paths(catalogue.sources())
    members: dict[str, tuple[int, str]] = {}
    documents, contexts = set(), 0
    with create(beside / FIRST) as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for number, known in enumerate(catalogue.shards()):
                found = _write_shard(catalogue, place, beside, known, named, number=number, encodings=encodings)
                if found is None:
                    continue
                of_documents, of_contexts = found
                documents |= of_documents
                contexts += of_contexts
                for one in (MANIFEST, *FILES):
                    member = f"{SHARDS}/{known.tag}/{one}"
                    members[member] = _store_member(archive, member, beside / known.tag / one)
                delete_folder(beside / known.tag)
            numbers = (len(documents), contexts, catalogue.get("salt", 0), catalogue.get("shards_made", 0))
            made = CarriedFacts(place.name, catalogue.get("bundle", ""), *numbers, members=members)
            archive.writestr(zipfile.ZipInfo(FIRST, _EPOCH), made.pack())
        stream.flush()
        sync(stream.fileno())
    return made


def _write_shard(
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
    names = {document.id: document.name for document in kept}
    with ShardWriter(beside, known.tag, shard.manifest.made_with(catalogue.get("bundle", ""))) as made:
        for first, after in ranges(kept):
            for row in shard.rows(first, after):
                record = renamed(shard.record_as_written_now(row), row.tokens, names[row.document])
                made.copy(shard, row, record, encodings=encodings)
        made.finish(pack_documents(sorted(sources.values(), key=lambda s: s.id), kept), number)
    return set(names), made.contexts


def _store_member(archive: zipfile.ZipFile, name: str, file: Path) -> tuple[int, str]:
    """Puts a file into the archive; returns its size and digest."""
    digest, size_bytes = xxhash.xxh3_128(), file.stat().st_size
    member = zipfile.ZipInfo(name, _EPOCH)
    member.file_size = size_bytes
    with reading(file) as stream, archive.open(member, "w", force_zip64=True) as stored:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            stored.write(block)
    return size_bytes, digest.hexdigest()


def import_collection(file: str | os.PathLike[str], *, name: str | None = None) -> CollectionInfo:
    """Makes a collection of a file that `export_collection` has written, on whatever device; returns what is in it.

    It answers as if its texts had been added here. Adding files under the names that they have in it replaces them.

    Examples:
        >>> edgeqa.export_collection("default", "manuals.zip").documents
        2
        >>> edgeqa.import_collection("manuals.zip", name="carried").documents
        2
        >>> with qa.with_collection("carried") as carried:
        ...     carried.ask("To what depth may the pump be submerged?").text
        '12 metres'

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
    with opened, _refusing(source), zipfile.ZipFile(opened) as archive:
        carried, members = _read_facts(archive, source)
        place = directory(carried.name if name is None else name)
        if os.path.lexists(place):
            raise CollectionExists(place)
        try:
            make_folders(place.parent)
            with scratch(place.parent) as beside:
                made = beside / place.name
                _unpack(archive, members, carried, made)
                _check(source, made)
                _make_catalogue(source, carried, made)
                sync_directory(made)
                if os.path.lexists(place):  # meanwhile
                    raise CollectionExists(place)
                rename(made, place)
            sync_directory(place.parent)
        except OSError as error:
            if isinstance(error, CollectionError):
                raise
            raise CollectionUnwritable(place, error.strerror or str(error)) from error
    return info_of(place)


@contextlib.contextmanager
def _refusing(file: Path) -> Iterator[None]:
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


def _read_facts(archive: zipfile.ZipFile, file: Path) -> tuple[CarriedFacts, dict[str, zipfile.ZipInfo]]:
    """Returns the facts of the file and its members; a member that the facts do not list is refused."""
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
    if first.file_size > _MAX_FIRST_BYTES:
        raise CarriedDamaged(file, f"{FIRST} is too large")
    facts = unpack_checked(archive.read(first))
    if facts.get("format") != FORMAT:
        raise CarriedUnsupported(file, facts.get("format"), FORMAT)
    carried = CarriedFacts.parse(facts)
    if {name: size_bytes for name, (size_bytes, _) in carried.members.items()} != {
        name: member.file_size for name, member in members.items()
    }:
        raise CarriedDamaged(file, f"it does not hold what {FIRST} lists")
    return carried, members


def _unpack(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], carried: CarriedFacts, made: Path) -> None:
    """Writes the shards, each file compared with its checksum."""
    make_folders(made / SHARDS)
    for name, member in sorted(members.items()):
        target, digest = made / name, xxhash.xxh3_128()
        make_folders(target.parent)
        with archive.open(member) as stored, create(target) as stream:
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
            record.ids(), record.offsets(), record.groups()


def _make_catalogue(file: Path, carried: CarriedFacts, made: Path) -> None:
    """Makes the catalogue and the index of the shards."""
    rebuild(made, CatalogueDamaged(made / CATALOGUE, "it is not made yet"))
    with Catalogue.write(made) as catalogue, catalogue.transaction():
        catalogue.set("salt", carried.salt)
        catalogue.set("shards_made", max(carried.shards_made, catalogue.get("shards_made", 0)))
    with Writer(made) as writer:
        writer.commit()
        found = writer.catalogue.snapshot()
    if (found.documents, found.contexts) != (carried.documents, carried.contexts):
        what = f"it has {found.documents} documents and {found.contexts} passages instead of those that it lists"
        raise CarriedDamaged(file, what)
