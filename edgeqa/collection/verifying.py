"""Whether a collection is what was written: every byte of it against its checksum.

In: the collection's directory. Out: the damage, and the documents that it concerns. Nothing is mended here: `Writer`
mends as much as it can without the texts when it opens a collection, and `add` mends the rest. All damage is noted
(`damage`), whether this module or a reader finds it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeqa.collection import seals
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.damage import (
    ROUTE_NOTE,
    Damage,
    damaged_tags,
    examine_shard,
    file_state,
    forget_note,
    note_damage,
    note_route,
)
from edgeqa.collection.errors import CatalogueDamaged, CollectionNotFound, FileDamaged, RouteDamaged, ShardDamaged
from edgeqa.collection.index import check_index
from edgeqa.collection.shard import Shard, is_shard
from edgeqa.collection.shard_format import GONE
from edgeqa.collection.snapshot import CATALOGUE, FILE, FORMER, ROUTE, SHARDS, Snapshot
from edgeqa.files import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.collection.catalogue_rows import ShardRow


FORMER_NOTE = "made by 0.3, without checksums"


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of reading every byte of a collection."""

    damaged: tuple[Damage, ...]
    """The damage, shard by shard, with the documents that it concerns."""
    route: RouteDamaged | None
    """The fault of the index; None if it is sound."""
    is_former: bool
    """Whether edgeqa 0.3 made it, without checksums of all of it: then less can be told."""

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged, as far as can be told."""
        return not self.damaged and self.route is None

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        facts = {
            "sound": self.sound,
            "damaged": [damage.to_json() for damage in self.damaged],
            "route": None if self.route is None else str(self.route),
        }
        note = f"{FORMER_NOTE}: the next `edgeqa add` or `sync` makes them"
        return facts | {"note": note} if self.sound and self.is_former else facts


def verified(place: Path) -> Verified:
    """Reads every byte of a collection and of its index; returns what is damaged.

    Raises:
        CollectionError: if it cannot be opened.
    """
    damaged, route = tuple(verify(place)), verify_route(place)
    return Verified(damaged, route, not damaged and route is None and is_former(place))


def check_there(place: Path) -> None:
    """Does nothing.

    Raises:
        CollectionNotFound: if there is no collection, however damaged.
    """
    if not (place / CATALOGUE).exists() and not any(is_shard(found) for found in (place / SHARDS).glob("*")):
        raise CollectionNotFound(place)


def is_former(place: Path) -> bool:
    """Tells whether edgeqa 0.3 made a collection, without checksums of all of it.

    Raises:
        CollectionError: if it cannot be opened.
    """
    with Catalogue.read(place) as catalogue:
        return catalogue.format == FORMER


def verify(place: Path) -> list[Damage]:
    """Reads every byte of a collection but its route index; returns what is damaged, which `add` then mends.

    Raises:
        CollectionError: if it cannot be opened.
    """
    found = [Damage("", (problem,), ()) for problem in _files(place)]
    try:
        check_there(place)
        catalogue = Catalogue.read(place)
    except CatalogueDamaged as error:
        if not any(str(error) == str(problem) for damage in found for problem in damage.problems):
            found.append(Damage("", (error,), ()))
        return found + list(_shards_alone(place))
    with catalogue:
        for known in catalogue.shards():
            damage = examine_shard(place, catalogue, known) or _is_astray(place, catalogue, known)
            if damage is not None:
                if any(shard.tag == known.tag for shard in catalogue.shards()):  # else a writer has merged it away
                    found.append(damage)
                    note_damage(place, damage)
            elif known.seen == file_state(place / SHARDS / known.tag):
                forget_note(place, known.tag)
    return found


def _is_astray(place: Path, catalogue: Catalogue, known: ShardRow) -> Damage | None:
    """Returns the damage of a sound shard's note of gone contexts, which a kill may have left ahead."""
    sealed = seals.load(place)
    left = Shard(place / SHARDS / known.tag).read_gone()[1]
    if sealed is None or left == known.live:
        return None
    if seals.load(place) != sealed or not any(row == known for row in catalogue.shards()):
        return None  # somebody writes
    what = f"it leaves {left} contexts instead of {known.live}"
    return Damage(known.tag, (ShardDamaged(known.tag, place / SHARDS / known.tag / GONE, what),), ())


def verify_route(place: Path) -> RouteDamaged | None:
    """Reads every byte of a collection's route index; returns what is wrong, and has the next `add` make it anew.

    Raises:
        CollectionError: if the collection cannot be opened.
    """
    damage: RouteDamaged | None = None
    with contextlib.ExitStack() as opened:
        catalogue: Catalogue | None = None
        with contextlib.suppress(CatalogueDamaged):
            catalogue = opened.enter_context(Catalogue.read(place))

        def expected() -> tuple[int, bool]:
            return (catalogue.get("contexts", 0), bool(catalogue.unindexed())) if catalogue is not None else (0, True)

        before = expected()
        wrong = seals.find_mismatch(place, ROUTE, thorough=True)
        try:
            found = check_index(place / ROUTE)
        except RouteDamaged as error:
            damage = error
        else:
            # The contexts of a damaged shard cannot be indexed; and while somebody writes, the two may differ.
            if found != before[0] and before == expected() and not (before[1] or damaged_tags(place) - {ROUTE_NOTE}):
                damage = RouteDamaged(place / ROUTE, f"it has {found} contexts instead of {before[0]}")
        if damage is None and wrong is not None:
            damage = RouteDamaged(place / ROUTE, f"{wrong.name.removeprefix(f'{ROUTE}/')}: {wrong.what}")
        if damage is None:
            forget_note(place, ROUTE_NOTE)
        else:
            note_route(place, damage)
    return damage


def _files(place: Path) -> Iterator[FileDamaged | CatalogueDamaged]:
    """Yields what is wrong with the files beside the shards."""
    if (what := seals.own_fault(place)) != "":
        yield FileDamaged(place / seals.FILE, what)
    wrong = seals.find_mismatch(place, CATALOGUE, thorough=True)
    if wrong is not None:
        yield CatalogueDamaged(place / CATALOGUE, wrong.what)
    elif seals.load(place) is None:
        with contextlib.suppress(CatalogueDamaged, CollectionNotFound), Catalogue.read(place) as catalogue:
            for problem in catalogue.problems()[:1]:
                yield CatalogueDamaged(place / CATALOGUE, problem)
    file = place / FILE
    try:
        snapshot = Snapshot.parse(read(file), file)
    except FileNotFoundError:
        return  # while somebody writes, or after a kill: it is made of the catalogue
    except OSError as error:
        yield FileDamaged(file, error.strerror or str(error))
        return
    except ValueError as error:
        yield FileDamaged(file, str(error))
        return
    with contextlib.suppress(CatalogueDamaged, CollectionNotFound), Catalogue.read(place) as catalogue:
        if snapshot != catalogue.snapshot() and _is_still(file, snapshot):
            yield FileDamaged(file, "it is not of what the catalogue lists")


def _is_still(file: Path, snapshot: Snapshot) -> bool:
    """Tells whether nobody has written meanwhile."""
    with contextlib.suppress(OSError, ValueError):
        return Snapshot.parse(read(file), file) == snapshot
    return False


def _shards_alone(place: Path) -> Iterator[Damage]:
    """Yields what is wrong with the shards where no catalogue says what is in them."""
    for found in sorted((place / SHARDS).glob("*")):
        if is_shard(found):
            try:
                problems = tuple(Shard(found).check())
            except ShardDamaged as error:
                problems = (error,)
            if problems:
                yield Damage(found.name, problems, ())
