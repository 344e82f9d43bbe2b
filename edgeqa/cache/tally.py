"""What happened in one process: counted, for the ledger; and which records were hit, for the next eviction.

In: events by name, and addresses. Out: counts, moved to a ledger from time to time; whether an address was hit. Misses
are counted without a lock, as the front's hits are: approximately where many threads look at once, else exactly.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeqa.cache.commits import Hits
    from edgeqa.cache.front import Front
    from edgeqa.cache.ledger import Ledger

_USED_LIMIT = 1 << 14


class Tally:
    """The counts of one backend, since they were last moved to the ledger."""

    def __init__(self, front: Front) -> None:
        self.counts: dict[str, int] = {}
        self.misses = 0
        self.noted: list[bytes] = []  # addresses of hits of the store; `collect_hits` takes them from time to time
        self._front = front
        self._hits_store = 0
        self._used: deque[bytes] = deque(maxlen=_USED_LIMIT)  # until an eviction asks
        self._hits: Hits | None = None
        self._lock = threading.Lock()

    def count(self, name: str, increment: int = 1) -> None:
        """Counts an event."""
        with self._lock:
            self.counts[name] = self.counts.get(name, 0) + increment

    def collect_hits(self) -> None:
        """Counts the hits of the store that were noted, and has them considered at the next eviction."""
        with self._lock:
            noted = self.noted[:]
            del self.noted[: len(noted)]
            self._hits_store += len(noted)
            self._used.extend(noted)

    def note_use(self, digest: bytes) -> None:
        """Has a record that was found, but is not counted as a hit, considered as one at the next eviction."""
        self._used.append(digest)

    def remember_hits(self, hits: Hits) -> None:
        """Says where hits are remembered, from when something is written on."""
        self._hits = hits

    def take_hit(self, digest: bytes) -> bool:
        """Returns whether the record at an address was hit since this was last asked."""
        if self._hits is None:
            return False
        if self.noted:
            self.collect_hits()
        while self._used:
            self._hits.note(self._used.popleft())
        hot = self._hits.take(digest)
        return self._front.take_hit(digest) or hot

    def save(self, ledger: Ledger | None) -> None:
        """Moves the counts to the ledger, if there is one."""
        self.collect_hits()
        with self._lock:
            hits_front, hits_store, misses = self._front.hits, self._hits_store, self.misses
            self._front.hits = self._hits_store = self.misses = 0
        for name, value in (("hits_front", hits_front), ("hits_store", hits_store), ("misses", misses)):
            if value:
                self.count(name, value)
        if ledger is not None:
            with self._lock:
                counts, self.counts = self.counts, {}
            if counts:
                ledger.add(counts)

    def forked(self) -> None:
        """Starts from nothing in a forked child: what the parent counted, it saves itself."""
        self._lock = threading.Lock()
        self.counts.clear()
        self.noted.clear()
        self._used.clear()
        self._front.hits = self._hits_store = self.misses = 0
        self._hits = None
