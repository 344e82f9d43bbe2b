"""Which shards were found damaged, by readers and by `edgeqa verify`: a file for each, which `edgeqa add` acts on.

A note is lost without a word where it cannot be written: whoever reads the shard next will find the damage again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.errors import ShardDamaged

_NOTES = "damaged"


def mark(directory: Path, damage: ShardDamaged) -> None:
    """Notes that a shard of the collection in `directory` is damaged."""
    with contextlib.suppress(OSError):
        notes = directory / _NOTES
        notes.mkdir(exist_ok=True)
        (notes / damage.tag).write_text(f"{damage}\n", encoding="utf-8")


def marked(directory: Path) -> set[str]:
    """Returns the tags of the shards that were found damaged."""
    with contextlib.suppress(OSError):
        return {note.name for note in (directory / _NOTES).iterdir()}
    return set()


def unmark(directory: Path, tag: str) -> None:
    """Forgets about a shard that is mended, or gone."""
    with contextlib.suppress(OSError):
        (directory / _NOTES / tag).unlink(missing_ok=True)
