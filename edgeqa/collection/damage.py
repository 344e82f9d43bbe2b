"""What was found damaged, by readers and by `edgeqa verify`: a file for each shard, and one for the route index.

`edgeqa add` acts on them.
A note is lost without a word where it cannot be written: whoever reads the shard next will find the damage again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.errors import ShardDamaged
    from edgeqa.errors import CollectionError

ROUTE_NOTE = "route index"  # no shard has such a tag
_NOTES = "damaged"


def mark(directory: Path, damage: ShardDamaged) -> None:
    """Notes that a shard of the collection in `directory` is damaged."""
    _note(directory, damage.tag, damage)


def mark_route(directory: Path, damage: CollectionError) -> None:
    """Notes that the route index of the collection in `directory` is damaged."""
    _note(directory, ROUTE_NOTE, damage)


def _note(directory: Path, name: str, damage: CollectionError) -> None:
    with contextlib.suppress(OSError):
        notes = directory / _NOTES
        notes.mkdir(exist_ok=True)
        (notes / name).write_text(f"{damage}\n", encoding="utf-8")


def marked(directory: Path) -> set[str]:
    """Returns the tags of the shards that were found damaged, and ROUTE_NOTE for the route index."""
    with contextlib.suppress(OSError):
        return {note.name for note in (directory / _NOTES).iterdir()}
    return set()


def unmark(directory: Path, tag: str) -> None:
    """Forgets about a shard that is mended, or gone, or with ROUTE_NOTE about the route index."""
    with contextlib.suppress(OSError):
        (directory / _NOTES / tag).unlink(missing_ok=True)
