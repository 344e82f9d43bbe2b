"""Collections: texts added once, cut up, tokenised and encoded, so that a question reads what is ready on disk.

A collection is a directory: immutable shards of contexts (`shard`), a catalogue of the documents that they are of
(`catalogue`), a file that says what is there now (`snapshot`), and the index that questions are routed by. `Collection`
reads, from any number of processes; `Writer` writes, one at a time; `adding` is the pipeline from files to shards.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgeqa import state
from edgeqa.collection.errors import CollectionNameInvalid

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def directory(name: str | Path = DEFAULT) -> Path:
    """Returns where the collection called `name` lives, whether it is there or not; a Path is its directory itself.

    Raises:
        CollectionNameInvalid: if it cannot be the name of a directory everywhere.
    """
    if isinstance(name, Path):
        return name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CollectionNameInvalid(name)
    return state.data_home() / "collections" / name
