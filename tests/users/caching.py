"""Remembers functions of somebody's own; what they return keeps its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import edgeqa

if TYPE_CHECKING:
    from pathlib import Path


@edgeqa.memoize("lengths", ttl_s=3600)
def length(text: str) -> int:
    """Returns how long a text is."""
    return len(text)


@edgeqa.memoize("slow lengths")
async def slow_length(text: str) -> int:
    """Returns the same, later."""
    return len(text)


def use(folder: Path) -> int:
    """Uses both, and a cache by itself."""
    cache: edgeqa.Cache = edgeqa.Cache.open(folder, ttl_s=60)
    cache.put("name", {"a": 1})
    doubled: int = length("a text") * 2
    return doubled


async def wait() -> int:
    """Returns what an `async` function was remembered for."""
    found: int = await slow_length("a text")
    return found
