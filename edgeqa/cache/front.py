"""The table in front of the store: values that this process has seen lately, found without hashing a key.

In: the identity of a key (its 16 check bytes), or any hashable that the caller knows to mean that key (an alias), such
as `(question, context)`. Out: an `Entry`. A hit takes no lock and copies nothing; it marks the entry, for eviction
here and in the store. Values that callers could change are kept as bytes and decoded anew each time. The table is
bounded in entries and in bytes.

The table never differs from the store. A reader of the store looks at `changes` first; the table does not take the
value that was read if its address has changed since. When another process changes something, the epoch in the shared
ledger moves: the next look compares the ledger's marks, and drops the entries whose marks have moved.

`Tally` counts the hits of table and store in this process until the counts move to the ledger, and knows which records
were hit, for the next eviction. Hits and misses are counted without a lock: exactly by one thread, approximately where
many threads look at once.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from itertools import islice
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from edgeqa.cache.ledger import EPOCH_WORD, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from edgeqa.cache.commits import Hits
    from edgeqa.cache.ledger import Ledger, MovedMarks

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "ABSENT", "__slots__": ()})()
DEFAULT_BYTES = 4 << 20
# This clock is never set back, and goes on while the device sleeps, like the time in a record.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_NUMBER_BYTES, _POINTER_BYTES = 56, 8  # at most, but for numbers of more than 200 bits
_OBJECT_BYTES = 500  # an entry, and its places in the tables
_LARGEST_PART = 8  # one entry may take this part of the table, so that it does not push out all others
_USED_LIMIT = 1 << 14


def now_s() -> float:
    """Returns the time that entries are good until, in seconds since some moment."""
    return time.clock_gettime(_CLOCK)


class Entry:
    """A value at hand under one identity. `value` is ABSENT if only bytes are kept."""

    __slots__ = ("as_type", "digest", "good_until_s", "hit", "payload", "size_bytes", "value")

    def __init__(self, digest: bytes, payload: bytes, good_until_s: float | None) -> None:
        self.digest = digest
        self.payload = payload
        self.good_until_s = good_until_s  # of `now_s`
        self.value: Any = ABSENT
        self.as_type: type | None = None
        self.hit = False
        self.size_bytes = 0  # what it is counted with, while it is in a table


class Front:
    """A bounded table of entries."""

    def __init__(
        self,
        capacity: int,
        budget_bytes: int = DEFAULT_BYTES,
        enter: Callable[[], object] = lambda: None,
    ) -> None:
        """Makes an empty one.

        Args:
            capacity: how many entries it may have.
            budget_bytes: what they may take.
            enter: opens the store, and has this `watch` its ledger; called where that has to be done anew.
        """
        self.hits = 0  # approximate when many threads hit at once: an exact count would cost a lock on every hit
        self.changes = [0] * 256
        """Numbers that move with each change, here and elsewhere, by the last byte of an address; for `add`."""
        self.held_bytes = 0
        self.table: dict[Hashable, Entry] = {}  # a first look is enough to find an entry, but it may be outdated
        self._capacity, self._budget_bytes = max(1, capacity), budget_bytes
        self._identities: dict[bytes, list[Hashable]] = {}  # of each address
        self._lock, self._enter = threading.RLock(), enter
        self._words: memoryview | list[int] = [0] * (EPOCH_WORD + 1)
        self._ledger: Ledger | None = None
        self._look_at_s = inf  # when to see again whether the ledger was cut short, before its map is read
        self._epoch = 0
        self._marks: list[int] = []

    def watch(self, ledger: Ledger) -> None:
        """Follows the changes of other processes from now on; in a forked child, from where its parent was."""
        with self._lock:
            self._words, self._ledger, self._look_at_s = ledger.words, ledger, 0.0
            if not self._marks:
                self._epoch, self._marks = ledger.words[EPOCH_WORD], ledger.marks()

    def unwatch(self) -> None:
        """Stops looking at a ledger that is about to close, and so drops everything."""
        with self._lock:
            self._words, self._marks = [self._epoch] * (EPOCH_WORD + 1), []
            self._ledger, self._look_at_s = None, inf
            self.clear()

    def get(self, identity: Hashable) -> Entry | None:
        """Returns the entry under a key's check bytes or under an alias, if it is still good."""
        # These lines repeat `peek`: a call would take as long as all the rest.
        if monotonic() >= self._look_at_s:
            self._look()
        if self._words[EPOCH_WORD] != self._epoch:
            self._catch_up()
        try:
            entry = self.table[identity]  # in less time than a call of `get`
        except KeyError:
            return None
        if entry.good_until_s is not None and now_s() >= entry.good_until_s:
            return None
        entry.hit = True
        self.hits += 1
        return entry

    def peek(self, identity: Hashable) -> Entry | None:
        """Returns the same as `get`, without counting a hit."""
        if monotonic() >= self._look_at_s:
            self._look()
        if self._words[EPOCH_WORD] != self._epoch:
            self._catch_up()
        entry = self.table.get(identity)
        if entry is not None and entry.good_until_s is not None and now_s() >= entry.good_until_s:
            return None
        return entry

    def add(self, identity: Hashable, entry: Entry, *, as_of: int) -> None:
        """Puts an entry of what was read under an identity, unless its address has changed since.

        Args:
            identity: of the key that was read, or an alias.
            entry: what was read; it is the table's from now on.
            as_of: what `changes` was before it was read.
        """
        size_bytes = _size_bytes(identity, entry)
        with self._lock:
            if as_of == self.changes[entry.digest[-1]]:
                self._add(identity, entry, size_bytes)

    def change(self, digest: bytes) -> int:
        """Drops what is there of an address, under all its identities; returns what `changes` is of it from now on."""
        with self._lock:
            if digest in self._identities:
                for identity in tuple(self._identities[digest]):
                    self._drop(identity)
            self.changes[digest[-1]] = count = self.changes[digest[-1]] + 1
            return count

    def put(self, identity: Hashable, entry: Entry, *, as_of: int) -> None:
        """Puts a value at hand that was stored since `change` gave `as_of`.

        If something else was changed meanwhile, it is not known which of both was stored last: then neither is at hand.
        """
        size_bytes = _size_bytes(identity, entry)
        with self._lock:
            if as_of == self.changes[entry.digest[-1]]:
                self._add(identity, entry, size_bytes)
            else:
                self.change(entry.digest)

    def keep_value(self, entry: Entry, value: Any, as_type: type | None) -> None:  # noqa: ANN401 - any immutable value
        """Keeps the value that an entry's bytes were decoded to, if it keeps none yet."""
        more_bytes = _memory_bytes(value)
        with self._lock:
            if entry.value is not ABSENT or entry.size_bytes + more_bytes > self._budget_bytes // _LARGEST_PART:
                return
            entry.as_type = as_type  # set first: a thread that sees the value then sees its type
            entry.value = value
            if entry.size_bytes:
                entry.size_bytes += more_bytes
                self.held_bytes += more_bytes
                self._make_room(0, 0)

    def take_hit(self, digest: bytes) -> bool:
        """Returns whether an entry of an address was hit since this was last asked."""
        hit = False
        for identity in tuple(self._identities.get(digest, ())):
            entry = self.table.get(identity)
            if entry is not None and entry.hit:
                entry.hit, hit = False, True
        return hit

    def clear(self) -> None:
        """Drops everything."""
        with self._lock:
            self._change_all()
            self.table.clear()
            self._identities.clear()
            self.held_bytes = 0

    def take_moved(self, mark: MovedMarks) -> None:
        """Takes note of this process's own mark in the ledger: it is no news, where nothing unknown came before it."""
        with self._lock:
            if self._epoch == mark.epoch_before:
                self._marks, self._epoch = mark.marks, mark.epoch_after

    def forked(self) -> None:
        """Goes on in a forked child, which has the parent's entries, and a ledger of its own from the next look on.

        Not where another thread of the parent was in the middle of changing them.
        """
        if not self._lock.acquire(blocking=False):
            self._lock = threading.RLock()
            self._marks = []
            self.clear()
        self._lock = threading.RLock()
        self._words = [self._epoch + bool(self._marks)] * (EPOCH_WORD + 1)
        self._ledger, self._look_at_s = None, inf

    def __len__(self) -> int:
        return len(self.table)

    def _look(self) -> None:
        ledger = self._ledger
        self._look_at_s = ledger.look() if ledger is not None else inf

    def _catch_up(self) -> None:
        """Drops what other processes have changed; everything where one tells no more than that something has."""
        if not isinstance(self._words, memoryview):
            self._enter()
        with self._lock:
            words = self._words
            epoch = words[EPOCH_WORD]
            if not isinstance(words, memoryview):
                self.unwatch()
                return
            if epoch == self._epoch:
                return
            self._change_all()
            known, self._marks = self._marks, self._ledger.marks() if self._ledger is not None else []
            if epoch - self._epoch != self._marks[0] - known[0]:  # not only marks have moved it
                self.clear()
            for digest in list(self._identities):
                mark = mark_of(digest)
                if known[mark] != self._marks[mark]:
                    self.change(digest)
            self._epoch = epoch  # set last: a thread that looks meanwhile comes here, and waits

    def _change_all(self) -> None:
        self.changes[:] = [count + 1 for count in self.changes]

    def _add(self, identity: Hashable, entry: Entry, size_bytes: int) -> None:
        if identity in self.table:
            self._drop(identity)
        if size_bytes > self._budget_bytes // _LARGEST_PART:
            return
        self._make_room(1, size_bytes)
        entry.size_bytes = size_bytes
        self.held_bytes += size_bytes
        self.table[identity] = entry
        self._identities.setdefault(entry.digest, []).append(identity)

    def _make_room(self, entries: int, size_bytes: int) -> None:
        """Where so much more is too much, drops about an eighth, the oldest first.

        Those that were hit since the last time go to the end instead.
        """
        if len(self.table) + entries <= self._capacity and self.held_bytes + size_bytes <= self._budget_bytes:
            return
        eighth = max(1, self._capacity // 8)
        most, most_bytes = self._capacity - eighth, self._budget_bytes * 7 // 8 - size_bytes
        for identity in list(islice(self.table, 2 * eighth)):
            if len(self.table) <= most and self.held_bytes <= most_bytes:
                return
            entry = self.table[identity]
            if entry.hit:
                entry.hit = False
                self.table[identity] = self.table.pop(identity)  # at the end, it is looked at last
            else:
                self._drop(identity)
        while self.table and (len(self.table) > most or self.held_bytes > most_bytes):
            self._drop(next(iter(self.table)))

    def _drop(self, identity: Hashable) -> None:
        entry = self.table.pop(identity)
        self.held_bytes -= entry.size_bytes
        entry.size_bytes = 0
        of_address = self._identities[entry.digest]
        of_address.remove(identity)
        if not of_address:
            del self._identities[entry.digest]


def _size_bytes(identity: Hashable, entry: Entry) -> int:
    found = _OBJECT_BYTES + sys.getsizeof(entry.payload)
    if entry.value is not ABSENT:
        found += _memory_bytes(entry.value)
    return found + (sys.getsizeof(identity) if type(identity) is bytes else _memory_bytes(identity))


def _memory_bytes(value: Any) -> int:  # noqa: ANN401 - any value
    """Returns about how much memory a value takes, with what it holds; a value may know that itself (`size_bytes`)."""
    kind = type(value)
    if kind is str or kind is bytes:
        return sys.getsizeof(value)
    if kind is tuple or kind is list:
        found = _NUMBER_BYTES
        for item in value:
            of_str = type(item) is str  # most are strings, and a call for each would take twice as long
            found += _POINTER_BYTES + (sys.getsizeof(item) if of_str else _memory_bytes(item))
        return found
    if kind is int or kind is float or kind is bool or value is None:
        return _NUMBER_BYTES
    known: int | None = getattr(value, "size_bytes", None)
    if known is not None:
        return known
    if fields := getattr(kind, "__dataclass_fields__", None):
        return _memory_bytes([getattr(value, name) for name in fields])
    return sys.getsizeof(value)


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
        """Notes a record that was found but does not count as a hit, so that the next eviction treats it as one."""
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
