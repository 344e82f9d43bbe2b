"""Makes sizes fit: wanted sizes, threads and the room in; the largest that fit out, or a refusal. Pure.

The order in which things shrink is the promise here: batch, caches, windows. Threads cost much address space;
they are settled first, and only where that is limited. Their memory, a tenth of a MiB each (64 threads take 115 MiB in
all, 1000 take 217), is not counted: a plan has few, and `overrides` bounds what may be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeqa.capabilities.footprint import ModelNeeds, Sizes, address_bytes, memory_bytes
from edgeqa.capabilities.overrides import LEAST_WINDOW_TOKENS
from edgeqa.capabilities.sizes import MIB
from edgeqa.errors import NotEnoughMemory

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

WINDOW_STEP_TOKENS = 32
LEAST_ANSWER_CACHE_BYTES = 8 * MIB
# Left free for everyone else, and for what the estimate misses (runs differ by 5 MiB).
MARGIN_PERCENT, LEAST_MARGIN_BYTES = 10, 16 * MIB
ADDRESS_MARGIN_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to fit into."""

    available_bytes: int
    address_space_bytes: int | None
    """None if it is not limited."""

    @property
    def margin_bytes(self) -> int:
        """What of the available memory stays free."""
        return max(LEAST_MARGIN_BYTES, self.available_bytes * MARGIN_PERCENT // 100)

    def missing_bytes(self, needs: ModelNeeds, sizes: Sizes, threads: int) -> int:
        """Returns by how much the sizes are too large for memory or address space; not above 0 if they fit."""
        missing = memory_bytes(needs, sizes) + self.margin_bytes - self.available_bytes
        if self.address_space_bytes is None:
            return missing
        address = address_bytes(needs, sizes, threads) + ADDRESS_MARGIN_BYTES
        return max(missing, address - self.address_space_bytes)


def fit(
    needs: ModelNeeds, wanted: Sizes, threads: int, room: Room, overrides: Mapping[str, object]
) -> tuple[Sizes, int]:
    """Returns sizes and threads that fit in the room; what is named in `overrides` is left as it is.

    Raises:
        NotEnoughMemory: if not even the smallest fit.
    """
    smallest = _smallest(wanted, overrides)
    if "threads" not in overrides:
        while threads > 1 and room.missing_bytes(needs, smallest, threads) > 0:
            threads -= 1
    sizes = _shrunk(needs, wanted, smallest, threads, room)
    if room.missing_bytes(needs, sizes, threads) > 0:
        raise _refusal(needs, smallest, threads, room, overrides)
    return sizes, threads


def callers_that_fit(needs: ModelNeeds, sizes: Sizes, threads: int, room: Room, most: int) -> int:
    """Returns how many callers, at most `most`, there is room for besides sizes that fit."""
    for callers in range(most, 1, -1):
        if room.missing_bytes(needs, replace(sizes, callers=callers), threads) <= 0:
            return callers
    return 1


def _smallest(wanted: Sizes, fixed: Collection[str]) -> Sizes:
    least = {
        "batch_contexts": 1,
        "window_tokens": LEAST_WINDOW_TOKENS,
        "answer_cache_bytes": LEAST_ANSWER_CACHE_BYTES,
        "encoding_store_bytes": 0,
    }
    # Never above what is wanted: a model may be made for shorter contexts, a cache may be off.
    return Sizes(
        **{
            name: getattr(wanted, name) if name in fixed else min(value, getattr(wanted, name))
            for name, value in least.items()
        }
    )


def _shrunk(needs: ModelNeeds, wanted: Sizes, smallest: Sizes, threads: int, room: Room) -> Sizes:
    sizes = wanted

    def missing() -> int:
        return room.missing_bytes(needs, sizes, threads)

    while missing() > 0 and sizes.batch_contexts > smallest.batch_contexts:
        sizes = replace(sizes, batch_contexts=max(smallest.batch_contexts, sizes.batch_contexts // 2))
    # Encodings go before answers: an answer is worth all of a reading, an encoding half of one.
    if missing() > 0:
        kept = max(smallest.encoding_store_bytes, sizes.encoding_store_bytes - missing())
        sizes = replace(sizes, encoding_store_bytes=kept)
    if missing() > 0:
        kept = max(smallest.answer_cache_bytes, sizes.answer_cache_bytes - missing())
        sizes = replace(sizes, answer_cache_bytes=kept)
    while missing() > 0 and sizes.window_tokens > smallest.window_tokens:
        shorter = max(smallest.window_tokens, sizes.window_tokens - WINDOW_STEP_TOKENS)
        sizes = replace(sizes, window_tokens=shorter)
    return sizes


def _refusal(
    needs: ModelNeeds, smallest: Sizes, threads: int, room: Room, overrides: Mapping[str, object]
) -> NotEnoughMemory:
    needed = memory_bytes(needs, smallest)
    # The least that leaves `needed` beside its margin, which grows with it.
    enough = max(needed + LEAST_MARGIN_BYTES, (needed - 1) * 100 // (100 - MARGIN_PERCENT) + 1)
    if enough > room.available_bytes:
        return NotEnoughMemory("memory", enough, room.available_bytes, overrides)
    address = address_bytes(needs, smallest, threads) + ADDRESS_MARGIN_BYTES
    return NotEnoughMemory("address space", address, room.address_space_bytes or 0, overrides)
