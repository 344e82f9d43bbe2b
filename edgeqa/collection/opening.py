"""What a writer does before it writes: it sweeps what a killed one left, finds what is damaged, opens the index."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from edgeqa.collection.damage import ROUTE_NOTE, mark, marked, unmark
from edgeqa.collection.errors import CollectionOtherBundle
from edgeqa.collection.indexing import ROUTE_FILE
from edgeqa.collection.mending import examine, seen, suspects
from edgeqa.collection.rows import PENDING
from edgeqa.collection.snapshot import ROUTE, SHARDS
from edgeqa.routing.errors import RouteDamaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.encoder import Encoder
    from edgeqa.collection.indexing import IndexWriter
    from edgeqa.collection.mending import Damage


def bind(directory: Path, catalogue: Catalogue, encoder: Encoder) -> None:
    """Notes what a collection is made with, if nothing is in it yet.

    Raises:
        CollectionOtherBundle: if it was made with another encoder.
    """
    made_with = catalogue.get("encoder", "")
    if made_with and made_with != encoder.digest and catalogue.shards():
        raise CollectionOtherBundle(directory, catalogue.get("bundle", "?"))
    with catalogue.transaction():
        catalogue.set("encoder", encoder.digest)
        catalogue.set("bundle", encoder.bundle)


def sweep(directory: Path, catalogue: Catalogue) -> None:
    """Deletes the shards that the catalogue does not name."""
    known = {s.tag for s in catalogue.shards()}
    for found in (directory / SHARDS).iterdir():
        if found.name not in known:
            shutil.rmtree(found, ignore_errors=True)


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
        for problem in damage.problems:
            mark(directory, problem)
        with catalogue.transaction():
            for source_id in {document.source for document in damage.documents}:
                if catalogue.source(source_id).state <= PENDING:
                    catalogue.delete_source(source_id)
                else:
                    catalogue.forget_digest(source_id)
    return damages


def open_route(directory: Path, catalogue: Catalogue, open_index: Callable[[Path], IndexWriter]) -> IndexWriter:
    """Returns the route index; one that is missing, or was found damaged, is to be made anew from what is stored."""
    route = directory / ROUTE
    if (route / ROUTE_FILE).exists() and ROUTE_NOTE not in marked(directory):
        with contextlib.suppress(RouteDamaged):
            return open_index(route)
    return make_route(directory, catalogue, open_index)


def make_route(directory: Path, catalogue: Catalogue, open_index: Callable[[Path], IndexWriter]) -> IndexWriter:
    """Returns a new route index in the place of what is there, which lacks all that is stored."""
    route = directory / ROUTE
    shutil.rmtree(route, ignore_errors=True)
    unmark(directory, ROUTE_NOTE)
    with catalogue.transaction():
        catalogue.unindex_all()
    return open_index(route)
