"""From keys to entries and back: what is looked up, believed, counted, and kept at hand.

In: a `Key`; a value or its bytes. Out: an `Entry` of the table in front, or None for a miss. Here a stored record is
believed only if it is whole, of this key and not over its time; everything else is a miss that is counted by its kind.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_digest

from edgeqa.cache import records, values
from edgeqa.cache.front import ABSENT, Entry, now_s
from edgeqa.cache.records import PAYLOAD_AT, WHOLE, Record
from edgeqa.cache.values import decoders

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from edgeqa.cache.backend import Backend
    from edgeqa.cache.keys import Key
    from edgeqa.cache.records import Fault


_FOR_EVER = records.seed(expires=False)
_PUT_AT_HAND_EVERY = 16


class Entries:
    """The entries of one cache."""

    def __init__(self, backend: Backend, *, ttl_s: float | None, provenance: str) -> None:
        self._backend = backend
        self._front = backend.front
        self._ttl_s = ttl_s
        self._provenance = records.clip_provenance(provenance)
        self.get = self._quick_get()

    def _quick_get(self) -> Callable[[Key, type | None], Any]:
        """Returns `get`: the value under a key, or ABSENT; hits and misses are counted.

        Most reads of the store are of a whole record that does not expire. They go the quick way, in this one function,
        whose names are its own: to look them up in objects would take a twentieth of the time. Whatever it does not
        like, or cannot do, is judged by the careful way. Of what is read from the store, one in sixteen is put at hand:
        keys that are read once would only push out those that are not.
        """
        backend, carefully = self._backend, self._get_carefully
        queued, tally, noted = backend.queued, backend.tally, backend.tally.noted
        at_hand, changes = self._front.table, self._front.changes
        digest_of, for_ever, whole, known = xxh3_64_digest, _FOR_EVER, WHOLE, decoders

        def get(key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
            check = key.check
            if check not in at_hand and (not queued or key.digest not in queued):
                try:
                    digest = key.digest
                    as_of, txn = changes[digest[-1]], backend.begin()
                    sequence = txn.get(digest)
                    if sequence is None:
                        tally.misses += 1
                        return ABSENT
                    stored = txn.get(sequence)
                    payload = stored[stored[PAYLOAD_AT] :]
                    if digest_of(payload, for_ever) + check == stored[whole]:
                        value = known[as_type](payload)
                        noted.append(digest)
                        if len(noted) >= _PUT_AT_HAND_EVERY:
                            tally.settle_hits()
                            self._remember(key, Record(0, 0, b"", payload), as_of)
                        return value
                except Exception:  # noqa: S110 - the careful way meets it again, and counts it
                    pass
            return carefully(key, as_type)

        return get

    def peek(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key, or ABSENT; neither a hit nor a miss, but its record has been of use."""
        entry = self._front.peek(key.check)
        if entry is None:
            found = self.look(key)
            if not isinstance(found, Record):
                if found is not None:
                    self._backend.tally.count(found.value)
                return ABSENT
            self._backend.tally.note_use(key.digest)
            entry = Entry(key.digest, found.payload, None)
        entry.hit = True
        return self._value(entry, as_type)

    def get_again(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key that was just missing, or ABSENT; counts nothing."""
        entry = self.entry(key)
        return ABSENT if entry is None else self._value(entry, as_type)

    def entry(self, key: Key) -> Entry | None:
        """Returns the entry of a key, put at hand, or None; counts nothing."""
        entry = self._front.peek(key.check)
        if entry is None:
            as_of = self._as_of(key)
            found = self.look(key)
            return self._remember(key, found, as_of) if isinstance(found, Record) else None
        return entry

    def _get_carefully(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        entry = self._front.get(key.check)
        if entry is None:
            as_of = self._as_of(key)
            found = self.look(key)
            if isinstance(found, Record):
                self._backend.tally.noted.append(key.digest)
                self._backend.tally.settle_hits()
                entry = self._remember(key, found, as_of)
            elif found is not None:
                self._backend.tally.count(found.value)
        value = ABSENT if entry is None else self._value(entry, as_type)
        if value is ABSENT:
            self._backend.tally.misses += 1
        return value

    def _value(self, entry: Entry, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        if entry.value is not ABSENT and entry.as_type is as_type:
            return entry.value
        try:
            value = values.decode(entry.payload, as_type)
        except values.ValueShape:
            self._backend.tally.count("shape")
            return ABSENT
        if values.is_immutable(value):
            self._front.settle(entry, value, as_type)
        return value

    def put(self, key: Key, payload: bytes, ttl_s: float | None, done: Callable[[], None] | None) -> None:
        """Stores a value's bytes, soon; `done` is called when it is stored or given up."""
        if ttl_s is None:
            ttl_s = self._ttl_s
        now_ms, ttl_ms = _now_ms(), 0 if ttl_s is None else max(1, round(ttl_s * 1000))
        stored = records.encode(key, payload, now_ms=now_ms, ttl_ms=ttl_ms, provenance=self._provenance)
        as_of = self._front.change(key.digest)
        self._backend.write(key.digest, stored, done)
        if self._backend.remembers:
            self._front.put(key.check, _entry(key, Record(now_ms, ttl_ms, b"", payload)), as_of=as_of)

    def forget(self, key: Key) -> bool:
        """Deletes a key, in all processes; returns whether it was there."""
        was_there = self.entry(key) is not None
        self._front.change(key.digest)
        self._backend.write(key.digest, None)
        self._front.change(key.digest)  # what was read meanwhile is over, too
        self._backend.flush()
        return was_there

    def bind(self, alias: Hashable, key: Key, value: Any, record: Any) -> None:  # noqa: ANN401 - any immutable value
        """Puts a value at hand under an alias, if what is stored under the key is (still) what it was made of."""
        as_of = self._as_of(key)
        stored = self.entry(key)
        if stored is None or (record is not ABSENT and not values.are_bytes_of(stored.payload, record)):
            return
        entry = Entry(key.digest, b"", stored.good_until_s)
        entry.as_type, entry.value = type(value), value
        self._front.add(alias, entry, as_of=as_of)

    def look(self, key: Key) -> Record | Fault | None:
        """Returns the good record of a key, or why there is none; counts nothing."""
        stored = self._backend.read(key.digest)
        if stored is None:
            return None
        found = records.decode(stored, key)
        if type(found) is Record and found.ttl_ms and found.remaining_ms(_now_ms()) == 0:
            return None
        return found

    def _as_of(self, key: Key) -> int:
        """Returns what `add` is to be told of what is read from now on; only after a look at the table in front."""
        return self._front.changes[key.digest[-1]]

    def _remember(self, key: Key, record: Record, as_of: int) -> Entry:
        entry = _entry(key, record)
        self._front.add(key.check, entry, as_of=as_of)
        return entry


def _entry(key: Key, record: Record) -> Entry:
    good_until_s = None
    if record.ttl_ms:
        good_until_s = now_s() + (record.remaining_ms(_now_ms()) or 0) / 1000
    return Entry(key.digest, record.payload, good_until_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
