"""Collections: texts added once, cut up, tokenised and encoded, so that a question reads what is ready on disk.

    a collection         `collection` reads it, from any number of processes; `writer` changes it, one at a time, and
                         `recovery` brings it in order before
    what is in it        `catalogue*`: the documents, in SQLite; `snapshot`: all of it at one moment, for readers
    where contexts lie   `shard*`: immutable files of token ids and encodings
    how they are found   `index`: the BM25 index; `naming`: names and addresses
    how they get there   `adding*`: the pipeline from files to shards
    whether it is sound  `seals`, `damage`, `verifying`
    what is done with it `managing`: add, sync, remove, repair; `overview`: list, delete; `carrying`: export, import

It knows no question and no answer.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgeqa import files, state
from edgeqa.collection.errors import CollectionNameInvalid

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def directory(name: str | Path = DEFAULT) -> Path:
    """Returns the directory of the collection called `name`, whether it exists or not; a Path is the directory itself.

    Raises:
        CollectionNameInvalid: if it cannot be the name of a directory everywhere.
    """
    if isinstance(name, Path):
        return files.own(name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CollectionNameInvalid(name)
    return state.data_home() / "collections" / name
