"""From keys to entries and back: what is looked up, believed, counted, and kept at hand.

In: a `Key`; a value or its bytes. Out: an `Entry` of the table in front, or None for a miss. Here a stored record is
believed only if it is whole, of this key and not over its time; everything else is a miss that is counted by its kind.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from edgeqa.cache import records, values
from edgeqa.cache.front import ABSENT, Entry
from edgeqa.cache.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.cache.backend import Backend
    from edgeqa.cache.keys import Key
    from edgeqa.cache.records import Fault


class Entries:
    """The entries of one cache."""

    def __init__(self, backend: Backend, *, ttl_s: float | None, provenance: str) -> None:
        self._backend = backend
        self._front = backend.front
        self._ttl_s = ttl_s
        self._provenance = records.clip_provenance(provenance)

    def get(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key, or ABSENT; hits and misses are counted.

        What is read from the store for the first time is not put at hand: most keys are read once, and would only push
        out those that are not.
        """
        entry = self._front.get(key.check)
        value = self._read(key, as_type) if entry is None else self._value(entry, as_type)
        if value is ABSENT:
            self._backend.misses += 1
        return value

    def get_again(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key that was just missing, or ABSENT; counts nothing."""
        entry = self.entry(key)
        return ABSENT if entry is None else self._value(entry, as_type)

    def entry(self, key: Key) -> Entry | None:
        """Returns the entry of a key, put at hand, or None; counts nothing."""
        entry = self._front.peek(key.check)
        if entry is None:
            found = self.look(key)
            return self._remember(key, found) if isinstance(found, Record) else None
        return entry

    def _read(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        stored = self._backend.read(key.digest)
        if stored is None:
            return ABSENT
        fault = records.find_fault(stored, key)
        if fault is not None:
            self._backend.count(fault.value)
            return ABSENT
        payload = records.payload_for_ever(stored)
        if payload is not None and not self._backend.hit(key.digest):
            try:
                return values.decode(payload, as_type)
            except values.ValueShape:
                self._backend.count("shape")
                return ABSENT
        entry = self.entry(key)
        if entry is None:
            return ABSENT
        if payload is None:
            self._backend.hit(key.digest)
        return self._value(entry, as_type)

    def _value(self, entry: Entry, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        if entry.value is not ABSENT and entry.as_type is as_type:
            return entry.value
        try:
            value = values.decode(entry.payload, as_type)
        except values.ValueShape:
            self._backend.count("shape")
            return ABSENT
        if values.is_immutable(value):
            entry.as_type, entry.value = as_type, value
        return value

    def put(self, key: Key, payload: bytes, ttl_s: float | None, done: Callable[[], None] | None) -> Entry:
        """Stores a value's bytes, soon, and returns its entry; `done` is called when it is stored or given up."""
        if ttl_s is None:
            ttl_s = self._ttl_s
        now_ms, ttl_ms = _now_ms(), 0 if ttl_s is None else max(1, round(ttl_s * 1000))
        stored = records.encode(key, payload, now_ms=now_ms, ttl_ms=ttl_ms, provenance=self._provenance)
        self._backend.write(key.digest, stored, done)
        return self._remember(key, Record(now_ms, ttl_ms, self._provenance, payload))

    def look(self, key: Key) -> Record | Fault | None:
        """Returns the good record of a key, or why there is none; counts nothing."""
        stored = self._backend.read(key.digest)
        if stored is None:
            return None
        found = records.decode(stored, key)
        if type(found) is Record and found.ttl_ms and found.remaining_ms(_now_ms()) == 0:
            return None
        return found

    def _remember(self, key: Key, record: Record) -> Entry:
        good_until_s = None
        if record.ttl_ms:
            good_until_s = time.monotonic() + (record.remaining_ms(_now_ms()) or 0) / 1000
        entry = Entry(key.digest, record.payload, good_until_s)
        if self._backend.remembers:
            self._front.add(key.check, entry)
        return entry


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
