"""Recovery, before a writer writes: it restores a lost catalogue, upgrades a former format, and sweeps.

In: a collection's directory, and the lock of its writer. No file of the user's is read. Damage in a shard is found and
noted here; it is mended when the file is added again.

`open_catalogue` makes a catalogue that is damaged or gone from the shards alone (`rebuild`), in the place of what was
there, whole or not at all, and no snapshot: the next commit makes it. The catalogue gets a new id, since its numbers
may have been given before, so that no remembered answer of the collection is used again. If a file has several states,
the newest whole one counts. If the shards do not say that a file was read to its end, its digest is forgotten, so that
the file is read again when it is next added. Texts from pipes come back, too.

`upgrade` brings a collection of format 1, as edgeqa 0.3 wrote it, to this format, whole or not at all. New shards are
written beside the old ones, which are asked meanwhile; their encodings are linked, not copied. Then one transaction of
the catalogue changes its format, its id and its shards. An interruption before that leaves the collection as it was,
and shards that the next writer sweeps. A damaged shard stays as it is: its sound contexts are brought to this format
when the shard is mended.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from edgeqa.collection import seals
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_file import check_sealed
from edgeqa.collection.catalogue_rows import GROWING, MARK, PENDING, READY, WHOLE
from edgeqa.collection.damage import examine_shard, file_state, forget_note, note_damage, note_shard, suspect_shards
from edgeqa.collection.errors import CatalogueDamaged, CatalogueLost, CollectionOtherBundle, ShardDamaged
from edgeqa.collection.ownership import delete_own, is_shard_name
from edgeqa.collection.shard import MANIFEST, Shard, is_shard
from edgeqa.collection.shard_format import ENCODINGS, FORMAT, NO_ENCODING
from edgeqa.collection.shard_writer import ShardWriter, add_shard, next_tag, row_of
from edgeqa.collection.snapshot import CATALOGUE, SHARDS, withdraw
from edgeqa.files import delete, read, rename, replace_file, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.collection.catalogue_rows import DocumentRow, SourceRow
    from edgeqa.collection.damage import Damage
    from edgeqa.collection.snapshot import EncoderIdentity

_PARTIAL = f"{CATALOGUE}.partial"
_BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a file


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
        return _open_checked(directory)
    except CatalogueDamaged as damage:
        rebuild(directory, damage)
        return Catalogue.write(directory)


def _open_checked(directory: Path) -> Catalogue:
    if not (directory / CATALOGUE).exists() and any(is_shard(s) for s in (directory / SHARDS).iterdir()):
        raise CatalogueDamaged(directory / CATALOGUE, "it is missing")
    check_sealed(directory)
    is_sealed = seals.load(directory) is not None
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
            delete_own(found, "shard")


def find_damage(directory: Path, catalogue: Catalogue) -> list[Damage]:
    """Returns the damaged shards, has their files read again when they are next added, and forgets false alarms."""
    damages = []
    for known in suspect_shards(directory, catalogue.shards()):
        damage = examine_shard(directory, catalogue, known)
        if damage is None:
            with catalogue.transaction():
                catalogue.see_shard(known.tag, file_state(directory / SHARDS / known.tag))
            forget_note(directory, known.tag)
            continue
        damages.append(damage)
        note_damage(directory, damage)
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
    sweep(directory, catalogue)  # a writer that was killed may have left a shard of this name
    catalogue.begin()
    try:
        former = catalogue.shards()
        catalogue.upgrade()
        for known in former:
            try:
                made = _in_this_format(directory, catalogue, Shard(directory / SHARDS / known.tag))
            except ShardDamaged as damage:
                note_shard(directory, damage)
                continue
            except FileNotFoundError as error:
                place = directory / SHARDS / known.tag
                note_shard(directory, ShardDamaged(known.tag, place, error.strerror or str(error)))
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


def _in_this_format(directory: Path, catalogue: Catalogue, shard: Shard) -> ShardWriter:
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


@dataclass
class _Contents:
    """The facts that the shards state."""

    shards: list[Shard] = field(default_factory=list)
    gone: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    sources: dict[int, SourceRow] = field(default_factory=dict)
    documents: dict[int, DocumentRow] = field(default_factory=dict)

    def held(self, document: DocumentRow) -> Iterator[tuple[Shard, int]]:
        """Yields the shards that have contexts of a document, and how many; `shards` rise by now."""
        at = max(0, bisect_right(self.shards, document.first, key=lambda shard: shard.manifest.first) - 1)
        for shard in islice(self.shards, at, None):
            if shard.manifest.first >= document.after:
                return
            yield shard, shard.held(document.first, document.after)

    def is_there(self, document: DocumentRow) -> bool:
        """Tells whether all contexts of a document are there, and none of them was removed."""
        held = list(self.held(document))
        removed = any(
            first < document.after and document.first < after
            for shard, _ in held
            for first, after in self.gone.get(shard.tag, [])
        )
        return document.whole and sum(count for _, count in held) == document.contexts and not removed


def rebuild(directory: Path, damage: CatalogueDamaged) -> None:
    """Makes the catalogue of the collection in `directory` again.

    Raises:
        CatalogueLost: if the shards do not say enough.
        OSError, CollectionError: if it cannot be written.
    """
    found = _read_shards(directory, damage)
    for name in ("", *_BESIDE):
        delete(directory / f"{_PARTIAL}{name}")
    with Catalogue.make(directory, _PARTIAL) as made:
        with made.transaction():
            _fill_catalogue(directory, made, found)
        if not made.checkpoint():
            raise damage
    seals.withdraw(directory)
    withdraw(directory)
    sync_directory(directory)
    for name in _BESIDE:  # these belong to the damaged one, and SQLite would use them for the new one
        delete(directory / f"{CATALOGUE}{name}")
    sync_directory(directory)
    rename(directory / _PARTIAL, directory / CATALOGUE)
    sync_directory(directory)


def _read_shards(directory: Path, damage: CatalogueDamaged) -> _Contents:
    """Reads from the shards what the catalogue held.

    Raises:
        CatalogueLost: if one cannot be read, which may hold what is nowhere else; or is of format 1, which says less.
    """
    found = _Contents()
    opened = []
    for place in sorted((directory / SHARDS).iterdir()):
        if is_shard(place):
            try:
                opened.append(Shard(place))
            except ShardDamaged as error:
                raise CatalogueLost(damage, str(error)) from error
    for shard in sorted(opened, key=lambda shard: -shard.manifest.number):
        facts = shard.manifest
        # A shard that others were merged into, or that takes another's place, is newer than these, and has all of them.
        if any(newer.manifest.first <= facts.first and facts.last <= newer.manifest.last for newer in found.shards):
            continue
        if facts.format != FORMAT:
            raise CatalogueLost(damage, "it was made by 0.3, whose shards do not say what they are of")
        found.shards.append(shard)
        found.gone[shard.tag], sources, documents = _in_shard(shard, damage)
        for source in sources:
            found.sources.setdefault(source.id, source)
        for document in documents:
            found.documents.setdefault(document.id, document)
    found.shards.sort(key=lambda shard: shard.manifest.first)
    return found


def _in_shard(
    shard: Shard, damage: CatalogueDamaged
) -> tuple[list[tuple[int, int]], list[SourceRow], list[DocumentRow]]:
    """Returns the contexts that are gone from a shard, its sources and its documents; raises as `_read_shards` does."""
    try:
        gone = shard.read_gone()[0]
    except ShardDamaged as error:
        what = f"{error}; what was removed from it would come back"
        raise CatalogueLost(damage, what) from error
    try:
        return gone, *shard.documents()
    except ShardDamaged as error:
        raise CatalogueLost(damage, str(error)) from error


def _fill_catalogue(directory: Path, made: Catalogue, found: _Contents) -> None:
    documents: dict[int, list[DocumentRow]] = {}
    lacking = set()
    for document in sorted(found.documents.values(), key=lambda document: document.id):
        if found.is_there(document):
            documents.setdefault(document.source, []).append(document)
        else:
            lacking.add(document.source)
    kept = [_as_recovered(source, is_whole=source.id not in lacking) for source in _states_that_count(found, documents)]
    for source in kept:
        made.add_source(source)
        for document in documents[source.id]:
            made.restore_document(document, document.name[len(source.name) :])
    newest = max(found.shards, key=lambda shard: shard.manifest.number, default=None)
    live: Counter[str] = Counter()
    for source in kept:
        for document in documents[source.id]:
            live.update({shard.tag: count for shard, count in found.held(document)})
    for shard in found.shards:
        facts = shard.manifest
        row = row_of(directory, facts, live=live[shard.tag], encodings_bytes=facts.sizes_bytes[ENCODINGS])
        made.add_shard(row, facts.pack())
    if newest is not None:
        made.set("encoder", newest.manifest.encoder)
        made.set("bundle", newest.manifest.bundle)
        made.set("language", newest.manifest.language)
        made.set("shards_made", 1 + newest.manifest.number)
        made.set("next_context", 1 + max(shard.manifest.last for shard in found.shards))
    for source in kept:
        made.show(made.documents_of(source.id))


def _states_that_count(found: _Contents, documents: dict[int, list[DocumentRow]]) -> Iterator[SourceRow]:
    """Yields of each file the state that counts: the newest one that is whole, or else the oldest."""
    by_path: dict[bytes, list[SourceRow]] = {}
    for source in sorted(found.sources.values(), key=lambda source: source.id):
        if source.id in documents:
            by_path.setdefault(source.path, []).append(source)
    for states in by_path.values():
        whole = [source for source in states if source.state == WHOLE]
        yield whole[-1] if whole else states[0]


def _as_recovered(source: SourceRow, *, is_whole: bool) -> SourceRow:
    """Returns a file as it is in the new catalogue."""
    if is_whole and source.state in {READY, WHOLE}:  # its replacement is complete, and the old one is gone
        return replace(source, state=WHOLE, digest=source.digest.removeprefix(MARK))
    return replace(source, state=WHOLE if source.state == WHOLE else GROWING, digest=b"")
