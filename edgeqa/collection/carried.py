"""A collection in one file, to carry it to another device: what is in it, and what it says of itself. Pure.

    edgeqa-collection.json         {"format": 1, ..., "members": {NAME: [bytes, XXH3-128 in hex], ...}, "check": ...}
    shards/TAG/manifest.json, ...  the files of each shard, of format 2, with what is still there and nothing else

It is a ZIP whose members are stored as they are, not compressed. No path of the device that made it is in it: a file is
known there by CARRIED and its name, and a name that was a full path is cut to what is below the folder of all of these.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.collection import checked
from edgeqa.collection.naming import CARRIED
from edgeqa.collection.shard import FILES, MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.collection.rows import SourceRow

FORMAT = 1
FIRST = "edgeqa-collection.json"
MEMBER = re.compile(rf"shards/([0-9A-Z]{{3,16}})/({'|'.join(map(re.escape, (MANIFEST, *FILES)))})")


class Carried(NamedTuple):
    """What a file says of the collection in it."""

    name: str
    bundle: str
    documents: int
    contexts: int
    salt: int
    """What its tags are counted from."""
    shards_made: int
    members: dict[str, tuple[int, str]]
    """Size in bytes, and XXH3-128 in hex, of each file."""

    def pack(self) -> bytes:
        """Returns the bytes of FIRST."""
        return checked.dump({"format": FORMAT, **self._asdict()})

    @classmethod
    def parse(cls, facts: dict[str, Any]) -> Carried:
        """Returns what the facts in FIRST mean.

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
    """Returns what each source is known by and called in the file, by its id."""
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
