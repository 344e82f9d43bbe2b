"""The table in front of the store: values that this process has seen lately, found without hashing a key.

In: the identity of a key (its 16 check bytes), or any hashable that the caller knows to mean that key (an alias), such
as `(question, context)`. Out: an `Entry`. A hit takes no lock and copies nothing; it marks the entry, for eviction
here and in the store. Values that callers could change are kept as bytes and decoded anew each time. When another
process forgets or clears, the epoch in the shared ledger moves, and everything here is dropped at the next look.
"""

from __future__ import annotations

import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgeqa.cache.ledger import EPOCH_WORD

if TYPE_CHECKING:
    from collections.abc import Hashable

    from edgeqa.cache.ledger import Ledger

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "ABSENT", "__slots__": ()})()
_monotonic = time.monotonic


class Entry:
    """A value at hand. `value` is ABSENT if only bytes are kept; `live` ends when the key is forgotten or put again."""

    __slots__ = ("as_type", "digest", "good_until_s", "hit", "identities", "live", "payload", "value")

    def __init__(self, digest: bytes, payload: bytes, good_until_s: float | None) -> None:
        self.digest = digest
        self.payload = payload
        self.good_until_s = good_until_s  # on the monotonic clock, which is never set back
        self.value: Any = ABSENT
        self.as_type: type | None = None
        self.hit = False
        self.live = True
        self.identities = 0


class Front:
    """A bounded table of entries."""

    def __init__(self, capacity: int) -> None:
        self.hits = 0  # approximate when many threads hit at once: an exact count would cost a lock on every hit
        self._capacity = max(1, capacity)
        self.table: dict[Hashable, Entry] = {}  # for a first look: what is in it need not be good any more
        self._digests: dict[bytes, Entry] = {}
        self._lock = threading.Lock()
        self._words: memoryview | list[int] = [0] * (EPOCH_WORD + 1)
        self._epoch = 0

    def watch(self, ledger: Ledger) -> None:
        """Follows the epoch of a ledger from now on."""
        self._words = ledger.words
        self._epoch = ledger.words[EPOCH_WORD]

    def unwatch(self) -> None:
        """Stops looking at a ledger that is about to close."""
        self._words = [self._epoch] * (EPOCH_WORD + 1)

    def get(self, identity: Hashable) -> Entry | None:
        """Returns the entry under a key's check bytes or under an alias, if it is still good."""
        entry = self.peek(identity)
        if entry is not None:
            entry.hit = True
            self.hits += 1
        return entry

    def peek(self, identity: Hashable) -> Entry | None:
        """Returns what `get` returns, without counting it as a hit."""
        if self._words[EPOCH_WORD] != self._epoch:
            self.clear()
            return None
        entry = self.table.get(identity)
        if entry is None or not entry.live:
            return None
        if entry.good_until_s is not None and _monotonic() >= entry.good_until_s:
            return None
        return entry

    def add(self, identity: Hashable, entry: Entry) -> None:
        """Puts an entry under an identity; every other entry of the same address, under whatever alias, is over."""
        with self._lock:
            if identity in self.table:
                self._drop(identity)
            elif len(self.table) >= self._capacity:
                self._shrink()
            former = self._digests.get(entry.digest)
            if former is not None and former is not entry:
                former.live = False
            self._digests[entry.digest] = entry
            self.table[identity] = entry
            entry.identities += 1

    def take_hit(self, digest: bytes) -> bool:
        """Returns whether the entry at an address was hit since this was last asked."""
        entry = self._digests.get(digest)
        if entry is None or not entry.hit:
            return False
        entry.hit = False
        return True

    def forget(self, digest: bytes) -> None:
        """Drops the entry at an address under all its aliases."""
        with self._lock:
            entry = self._digests.pop(digest, None)
            if entry is not None:
                entry.live = False

    def clear(self) -> None:
        """Drops everything."""
        with self._lock:
            self._epoch = self._words[EPOCH_WORD]
            for entry in self.table.values():
                entry.live = False
            self.table.clear()
            self._digests.clear()

    def forked(self) -> None:
        """Takes a new lock in a forked child; another thread of the parent may have held the old one."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.table)

    def _shrink(self) -> None:
        """Drops about an eighth, the oldest first; those that were hit since the last time go to the end instead."""
        goal = max(1, self._capacity // 8)
        for identity in list(islice(self.table, 2 * goal)):
            entry = self.table[identity]
            if entry.hit and goal < len(self.table):
                entry.hit = False
                self.table[identity] = self.table.pop(identity)  # to the end: the next time looks at others first
            else:
                self._drop(identity)
                goal -= 1
                if not goal:
                    return
        while goal > 0:
            self._drop(next(iter(self.table)))
            goal -= 1

    def _drop(self, identity: Hashable) -> None:
        entry = self.table.pop(identity)
        entry.identities -= 1
        if not entry.identities and self._digests.get(entry.digest) is entry:
            del self._digests[entry.digest]
