"""Things that were made before, kept in memory up to a number of bytes: a key in, what was put under it out.

The least recently used goes first. Safe from many threads. It makes nothing: two threads that miss the same key at once
both make it. `Encodings` are such a table in front of a reader: token ids in, an encoding out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from edgeqa import forking

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from edgeqa.models.readers import Encoding, Ids

V = TypeVar("V")
E = TypeVar("E", bound="Encoding | Ids")


class LruTable(Generic[V]):
    """A bounded table."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._held: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.held_bytes = 0
        forking.tell(self)

    def forked(self) -> None:
        """Begins empty in a forked child: a thread of the parent may have been in the middle of a change."""
        self._held, self._lock, self.held_bytes = OrderedDict(), threading.Lock(), 0

    def get(self, key: Hashable) -> V | None:
        """Returns what is kept under `key`."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: V, size_bytes: int) -> None:
        """Keeps `value`, which takes so many bytes with its key, if there is room for that alone."""
        if size_bytes > self._budget_bytes:  # all that is kept would go for nothing
            return
        with self._lock:
            if (former := self._held.pop(key, None)) is not None:
                self.held_bytes -= former[1]
            self._held[key] = (value, size_bytes)
            self.held_bytes += size_bytes
            while self.held_bytes > self._budget_bytes and self._held:
                _, (_, gone_bytes) = self._held.popitem(last=False)
                self.held_bytes -= gone_bytes


class Encodings(Generic[E]):
    """A bounded store in front of an encoder. Safe from many threads."""

    def __init__(self, encode: Callable[[Ids], E], budget_bytes: int) -> None:
        self._encode = encode
        self._made: LruTable[E] = LruTable(budget_bytes)

    def of(self, ids: Ids) -> E:
        """Returns the encoding of the context with these token ids."""
        key = ids.tobytes()
        encoding = self._made.get(key)
        if encoding is None:
            encoding = self._encode(ids)
            self._made.put(key, encoding, encoding.nbytes + len(key))
        return encoding
