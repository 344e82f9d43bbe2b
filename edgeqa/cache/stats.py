"""Statistics of a cache, and explanations of single keys, for `edgeqa cache stats` and `edgeqa cache explain`.

In: a backend; a key and the record under it. Out: frozen dataclasses, with the ratios worked out. Totals and faults
have the names that the ledger gives them. Nothing is changed here, and only `cache` and the command import it.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from edgeqa.cache.ledger import FAULTS
from edgeqa.cache.records import Record, split_fields

if TYPE_CHECKING:
    from edgeqa.cache.backend import Backend
    from edgeqa.cache.records import Fault, Key


@dataclasses.dataclass(frozen=True, slots=True)
class Stats:
    """The state of a cache, and its counts over all processes since it was made."""

    path: str | None
    persist: str
    state: str
    note: str
    entries: int
    used_bytes: int
    budget_bytes: int
    hits: int
    hits_front: int
    hits_store: int
    misses: int
    hit_ratio: float | None
    puts: int
    evictions: int
    second_chances: int
    faults: dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """The facts that the cache has about one key."""

    keyspace: str
    digest: str
    check: str
    fields: tuple[bytes, ...]
    hit: bool
    why: str
    stored_at_ms: int | None = None
    remaining_ms: int | None = None
    provenance: str = ""
    payload_bytes: int = 0


def summarise(backend: Backend, persist: str) -> Stats:
    """Returns the stats of a backend."""
    is_open, totals, usage = backend.enter(), backend.totals(), backend.usage()
    front, store, misses = (totals.get(name, 0) for name in ("hits_front", "hits_store", "misses"))
    asked = front + store + misses
    return Stats(
        path=str(backend.directory) if backend.directory else None,
        persist=persist,
        state="open" if is_open else "off" if persist == "off" else "this process only",
        note=backend.note,
        entries=usage.entries if usage else 0,
        used_bytes=usage.used_bytes if usage else 0,
        budget_bytes=usage.map_bytes if usage else 0,
        hits=front + store,
        hits_front=front,
        hits_store=store,
        misses=misses,
        hit_ratio=(front + store) / asked if asked else None,
        puts=totals.get("puts", 0),
        evictions=totals.get("evictions", 0),
        second_chances=totals.get("second_chances", 0),
        faults={name: totals[name] for name in FAULTS if totals.get(name)},
    )


def explain(key: Key, found: Record | Fault | None) -> Explanation:
    """Explains a key by the record or fault under it: whether it is stored, since when and for how long."""
    known = (key.keyspace, key.digest.hex(), key.check.hex(), tuple(split_fields(key.canonical)))
    if not isinstance(found, Record):
        return Explanation(*known, hit=False, why=found.value if found else "not stored")
    return Explanation(
        *known,
        hit=True,
        why="stored",
        stored_at_ms=found.stored_at_ms,
        remaining_ms=found.remaining_ms(time.time_ns() // 1_000_000),
        provenance=found.provenance.decode("utf-8", "replace"),
        payload_bytes=len(found.payload),
    )
