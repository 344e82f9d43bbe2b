"""Damaged shards, and the documents that are in them: how `verify` and `add` see a flipped byte.

Readers and `edgeqa verify` note the damage that they find: one file for each shard, and one for the route index.
`edgeqa add` acts on these notes. A note that cannot be written is dropped silently: the next reader of the shard finds
the damage again.

A shard is suspect if a reader found it damaged, or if the system says that its files were changed since they were last
known to be sound; it is examined by reading it whole. This module mends nothing. `add` does, by reading the sources
again whose documents cannot be read.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.shard import FILES, MANIFEST, Shard
from edgeqa.collection.snapshot import SHARDS
from edgeqa.files import create, delete, make_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.catalogue_rows import DocumentRow, ShardRow
    from edgeqa.errors import CollectionError


ROUTE_NOTE = "route index"  # no shard has such a tag
NOTES = "damaged"


def note_shard(directory: Path, damage: ShardDamaged) -> None:
    """Notes that a shard of the collection in `directory` is damaged."""
    _note(directory, damage.tag, damage)


def note_route(directory: Path, damage: CollectionError) -> None:
    """Notes that the route index of the collection in `directory` is damaged."""
    _note(directory, ROUTE_NOTE, damage)


def _note(directory: Path, name: str, damage: CollectionError) -> None:
    with contextlib.suppress(OSError):
        notes = directory / NOTES
        if not notes.is_dir():
            make_folder(notes)
        with create(notes / name, replacing=True) as stream:
            stream.write(f"{damage}\n".encode(errors="backslashreplace"))


def damaged_tags(directory: Path) -> set[str]:
    """Returns the tags of the shards that were found damaged, and ROUTE_NOTE for the route index."""
    with contextlib.suppress(OSError):
        return {note.name for note in (directory / NOTES).iterdir()}
    return set()


def forget_note(directory: Path, tag: str) -> None:
    """Forgets about a shard that is mended, or gone, or with ROUTE_NOTE about the route index."""
    with contextlib.suppress(OSError):
        delete(directory / NOTES / tag)


class Damage(NamedTuple):
    """A fault of a shard, or of a file beside the shards."""

    tag: str
    """The shard's; "" for a file beside them."""
    problems: tuple[CollectionError, ...]
    documents: tuple[DocumentRow, ...]
    """The documents that cannot be read whole; none if the damaged part belongs to no document any more."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {
            "shard": self.tag or None,
            "problems": [str(problem) for problem in self.problems],
            "documents": [document.name for document in self.documents],
        }


def note_damage(directory: Path, damage: Damage) -> None:
    """Notes what was found, for the next `add`."""
    for problem in damage.problems:
        if isinstance(problem, ShardDamaged):
            note_shard(directory, problem)


def file_state(shard: Path) -> str:
    """Returns the sizes and times of a shard's files in one text, which changes when somebody writes to one."""
    try:
        found = [(shard / name).stat() for name in (*FILES, MANIFEST)]
    except OSError as error:
        return str(error)
    return json.dumps([[file.st_size, file.st_mtime_ns, file.st_ino] for file in found])


def suspect_shards(directory: Path, shards: Sequence[ShardRow]) -> list[ShardRow]:
    """Returns the shards that have to be examined."""
    noted = damaged_tags(directory)
    return [s for s in shards if s.tag in noted or s.seen != file_state(directory / SHARDS / s.tag)]


def examine_shard(directory: Path, catalogue: Catalogue, known: ShardRow) -> Damage | None:
    """Reads a shard whole; returns its damage, or None if it is sound."""
    place = directory / SHARDS / known.tag
    lost: list[DocumentRow] = []
    problems: list[ShardDamaged] = []
    shard: Shard | None = None
    try:
        shard = Shard(place)
        problems = list(shard.check())
    except ShardDamaged as error:
        problems = [error]
    except OSError as error:
        problems = [ShardDamaged(known.tag, place, error.strerror or str(error))]
    if not problems:
        return None
    sound = shard.sound() if shard is not None else set()
    for document in catalogue.documents_between(known.first, known.last):
        here = range(max(document.first, known.first), min(document.after, known.last + 1))
        if any(context_id not in sound for context_id in here):
            lost.append(document)
    return Damage(known.tag, tuple(problems), tuple(lost))
