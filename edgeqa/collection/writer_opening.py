"""What a writer does before it writes: it brings a former collection to this format, sweeps, and finds what is damaged.

In: a collection's directory, and the lock of its writer. `upgrade` brings a collection of format 1, as edgeqa 0.3 wrote
it, to this format, whole or not at all. New shards are written beside the old ones, which are asked meanwhile; their
encodings are linked, not copied. Then one transaction of the catalogue changes its format, its id and its shards.
Whatever ends this before leaves the collection as it was, and shards that the next writer sweeps. A shard that is
damaged stays as it is: what of it is sound is brought to this format with what mends it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_file import check_sealed
from edgeqa.collection.catalogue_rebuilding import rebuild
from edgeqa.collection.catalogue_rows import PENDING
from edgeqa.collection.damage import examine, mark, note, seen, suspects, unmark
from edgeqa.collection.errors import CatalogueDamaged, CollectionOtherBundle, ShardDamaged
from edgeqa.collection.ownership import delete, is_shard_name
from edgeqa.collection.seals import load
from edgeqa.collection.shard import MANIFEST, Shard, is_shard
from edgeqa.collection.shard_format import ENCODINGS, NO_ENCODING
from edgeqa.collection.shard_upkeep import add_shard, next_tag
from edgeqa.collection.shard_writer import ShardWriter
from edgeqa.collection.snapshot import CATALOGUE, SHARDS, withdraw
from edgeqa.files import read, replace_file, sync_directory

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.damage import Damage
    from edgeqa.collection.snapshot import EncoderIdentity


def bind(directory: Path, catalogue: Catalogue, encoder: EncoderIdentity) -> bool:
    """Notes what a collection is made with, if nothing is in it yet; returns whether a former encoder made what is.

    Raises:
        CollectionOtherBundle: if it was made with an encoder whose token ids mean something else.
    """
    made_with = catalogue.get("encoder", "")
    if made_with and made_with != encoder.digest and catalogue.shards():
        if encoder.reads(made_with):
            return True
        raise CollectionOtherBundle(directory, catalogue.get("bundle", "?"))
    with catalogue.transaction():
        catalogue.set("encoder", encoder.digest)
        catalogue.set("bundle", encoder.bundle)
    return False


def open_catalogue(directory: Path) -> Catalogue:
    """Returns the catalogue for its writer; one that is missing or damaged is made again from the shards.

    Raises:
        CatalogueDamaged: if the shards do not say enough for that.
    """
    try:
        return _checked(directory)
    except CatalogueDamaged as damage:
        rebuild(directory, damage)
        return Catalogue.write(directory)


def _checked(directory: Path) -> Catalogue:
    if not (directory / CATALOGUE).exists() and any(is_shard(s) for s in (directory / SHARDS).iterdir()):
        raise CatalogueDamaged(directory / CATALOGUE, "it is missing")
    check_sealed(directory)
    is_sealed = load(directory) is not None
    with contextlib.ExitStack() as unless_sound:
        catalogue = unless_sound.enter_context(Catalogue.write(directory))
        if not is_sealed and (problems := catalogue.problems()):  # as after a kill
            raise CatalogueDamaged(directory / CATALOGUE, problems[0])
        unless_sound.pop_all()
    return catalogue


def mend_manifests(directory: Path, catalogue: Catalogue) -> None:
    """Writes the manifests anew that are not what the catalogue knows them to be."""
    for known in catalogue.shards():
        file = directory / SHARDS / known.tag / MANIFEST
        manifest = catalogue.manifest(known.tag)
        with contextlib.suppress(OSError):
            if manifest and file.parent.is_dir() and (not file.exists() or read(file) != manifest):
                replace_file(file, manifest)


def sweep(directory: Path, catalogue: Catalogue) -> None:
    """Deletes the shards that the catalogue does not name; what is not called like one stays."""
    known = {s.tag for s in catalogue.shards()}
    for found in list((directory / SHARDS).iterdir()):
        if found.name not in known and is_shard_name(found.name):
            delete(found, "shard")


def find_damage(directory: Path, catalogue: Catalogue) -> list[Damage]:
    """Returns what is damaged, has its files read again when they are next added, and forgets alarms that were none."""
    damages = []
    for known in suspects(directory, catalogue.shards()):
        damage = examine(directory, catalogue, known)
        if damage is None:
            with catalogue.transaction():
                catalogue.see_shard(known.tag, seen(directory / SHARDS / known.tag))
            unmark(directory, known.tag)
            continue
        damages.append(damage)
        note(directory, damage)
        with catalogue.transaction():
            for source_id in {document.source for document in damage.documents}:
                if catalogue.source(source_id).state <= PENDING:
                    catalogue.delete_source(source_id)
                else:
                    catalogue.forget_digest(source_id)
    return damages


def upgrade(directory: Path, catalogue: Catalogue) -> None:
    """Brings the collection to this format.

    Raises:
        CollectionError, OSError: if it cannot be written to; then it is as it was.
    """
    sweep(directory, catalogue)  # a shard of this name may be left by one that was killed here
    catalogue.begin()
    try:
        former = catalogue.shards()
        catalogue.upgrade()
        for known in former:
            try:
                made = _again(directory, catalogue, Shard(directory / SHARDS / known.tag))
            except ShardDamaged as damage:
                mark(directory, damage)
                continue
            except FileNotFoundError as error:
                place = directory / SHARDS / known.tag
                mark(directory, ShardDamaged(known.tag, place, error.strerror or str(error)))
                continue
            catalogue.delete_shard(known.tag)
            add_shard(directory, catalogue, made)
            catalogue.count_live(made.tag, known.live)
        withdraw(directory)
        sync_directory(directory)
        catalogue.commit()
    except BaseException:
        catalogue.roll_back()
        raise


def _again(directory: Path, catalogue: Catalogue, shard: Shard) -> ShardWriter:
    """Returns a shard with all that is in one of format 1, not yet finished."""
    made_with = shard.manifest.made_with(catalogue.get("bundle", ""))
    with ShardWriter(directory / SHARDS, next_tag(catalogue), made_with) as made:
        made.take_encodings(shard.directory / ENCODINGS)
        for row in shard.rows():
            if row.encoding_offset != NO_ENCODING:
                shard.raw_encoding(row)  # raises if it is damaged
            record = shard.record_as_written_now(row)
            placed = (row.encoding_offset, row.encoding_digest)
            made.add(row.context_id, row.document, row.number, record, row.tokens, b"", placed=placed)
    return made
