"""Answers that a whole cluster remembers: a third level behind memory and LMDB, and one reading for all who ask.

In: a key, and a function that reads the answer. Out: its record, from Valkey or read now. A record is stored with the
same checks as in the answer cache, and with the fingerprint of the device that read it. A record that does not belong
to its key, or comes from a device whose fingerprint nobody knows, is a miss. A reader holds a lease, so that a missing
answer is read once; the lease of a reader that dies ends. A request waits 20 ms for Valkey, and leaves it alone for a
while if it does not answer: a fault here is a miss, never an error.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from edgeqa.asking.equipment import READING_VERSION
from edgeqa.cache import records, values
from edgeqa.cluster import keys
from edgeqa.cluster.errors import ClusterDown, ClusterUnreachable
from edgeqa.cluster.valkey import Valkey
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from edgeqa.cache import Cache
    from edgeqa.cache.front import Front
    from edgeqa.cache.records import Key
    from edgeqa.cluster.documents import Documents

COMPUTED = f"cluster, reading {READING_VERSION}"
"""This takes the place of a device's fingerprint in keys, because a whole cluster shares its answers."""
REPLY_S, CONNECT_S = 0.02, 0.2
LEFT_ALONE_S = 5.0
MAX_BYTES = 1 << 20
"""No more of a record is read: an answer takes some hundred bytes, and strangers may have put gigabytes there."""
LIVES_MS = 7 * 86400 * 1000
LEASE_MS = 10_000
_LOOKED_S = 0.02
_ACCEPTED_S = 10.0
_WAITED_S = 30.0
_BETWEEN = "+"


class Shelf:
    """The records in Valkey. Safe from many threads."""

    def __init__(self, valkey: Valkey, documents: Documents) -> None:
        self._documents = documents
        self._quick = Valkey(valkey.address, timeout_s=REPLY_S, connect_s=CONNECT_S, patience_s=0.0)
        self._left_until = 0.0
        self._is_stale = False
        self._accepted: frozenset[str] = frozenset()
        self._accepted_as_of = 0.0
        self.hits = self.waits = self.faults = 0

    def compute(
        self, key: Key, function: Callable[[], Any], made_by: Callable[[], Iterable[str]], *, refresh: bool
    ) -> Any:  # noqa: ANN401 - any value
        """Returns the value of a key: the stored one, or the result of a function, which is then stored.

        Args:
            key: the key of the value.
            function: the function that makes it.
            made_by: a function that returns, once it is made, the fingerprints of the devices that have made it.
            refresh: whether to make it anew in any case.
        """
        digest = key.digest.hex()
        if not refresh and (found := self._get(key)) is not None:
            return found[0]
        mine = secrets.token_hex(8)
        is_mine = self._leased(digest, mine)
        if is_mine is False and not refresh:
            found, is_mine = self._awaited(key, digest, mine)
            if found is not None:
                return found[0]
        try:
            # Between our look and our lease, another process may have stored it and given up its own.
            if is_mine and not refresh and (found := self._get(key)) is not None:
                return found[0]
            made = function()
            if not isinstance(made, dict) or made.get("whole", True):
                self._put(key, made, _BETWEEN.join(sorted(set(made_by()))))
            return made
        finally:
            if is_mine:
                self._give_up(digest, mine)

    def forget(self, key: Key) -> None:
        """Deletes a key."""
        self._asked(keys.of_answer(key.digest.hex()), "DEL")

    def _get(self, key: Key) -> tuple[Any] | None:
        """Returns the value of a key, in a tuple; None if there is no valid record."""
        stored = self._asked(keys.of_answer(key.digest.hex()), "GETRANGE", 0, MAX_BYTES - 1)
        if not isinstance(stored, bytes) or not stored:
            return None
        record = records.decode(stored, key)
        if not isinstance(record, records.Record) or record.remaining_ms(time.time_ns() // 10**6) == 0:
            self.faults += 1
            return None
        if not self._is_accepted(record.provenance.decode("utf-8", "replace")):
            self.faults += 1
            return None
        try:
            value = values.decode(record.payload)
        except values.ValueShape:
            self.faults += 1
            return None
        self.hits += 1
        return (value,)

    def _put(self, key: Key, value: object, made_by: str) -> None:
        provenance = records.clip_provenance(made_by)
        now_ms = time.time_ns() // 10**6
        stored = records.encode(key, values.encode(value), now_ms=now_ms, ttl_ms=LIVES_MS, provenance=provenance)
        if len(stored) <= MAX_BYTES:
            self._asked(keys.of_answer(key.digest.hex()), "SET", stored, "PX", LIVES_MS)

    def _is_accepted(self, made_by: str) -> bool:
        if time.monotonic() - self._accepted_as_of > _ACCEPTED_S:
            try:
                found = self._documents.anywhere("fingerprints", "SMEMBERS")
            except ClusterError:
                return False
            self._accepted = frozenset(one.decode("utf-8", "replace") for some in found for one in some)
            self._accepted_as_of = time.monotonic()
        return self._accepted.issuperset(made_by.split(_BETWEEN))

    def _leased(self, digest: str, mine: str) -> bool | None:
        """Tells whether the lease is ours; None if Valkey does not answer."""
        found = self._asked(keys.of_lease(digest), "SET", mine, "NX", "PX", LEASE_MS)
        return None if isinstance(found, ClusterError) else found is not None

    def _awaited(self, key: Key, digest: str, mine: str) -> tuple[tuple[Any] | None, bool | None]:
        """Waits for the answer that another process reads; returns it, or whether its lease is ours now."""
        self.waits += 1
        until = time.monotonic() + _WAITED_S
        is_mine: bool | None = False
        while is_mine is False and time.monotonic() < until:
            time.sleep(_LOOKED_S)
            if (found := self._get(key)) is not None:
                return found, False
            is_mine = self._leased(digest, mine)  # the other has given up, or has died
        return None, is_mine

    def _give_up(self, digest: str, mine: str) -> None:
        if self._asked(keys.of_lease(digest), "GET") == mine.encode():
            self._asked(keys.of_lease(digest), "DEL")

    def _asked(self, key: str, name: str, *rest: Any) -> Any:  # noqa: ANN401 - whatever a server says
        """Returns the reply to a command, or the error in its place."""
        now = time.monotonic()
        if now < self._left_until:
            return ClusterError("left alone")
        try:
            if self._is_stale:
                self._quick.refresh()
                self._is_stale = False
            found = self._quick.do(key, name, key, *rest)
        except ClusterError as error:
            # One that refuses answers: for want of rights or memory, or because of what lies there.
            if isinstance(error, (ClusterUnreachable, ClusterDown)):
                self._left_until, self._is_stale = now + LEFT_ALONE_S, True
            self.faults += 1
            return error
        return found

    def close(self) -> None:
        """Closes the connections."""
        self._quick.close()


class SharedCache:
    """An answer cache with the shelf behind it, as `asking` uses one. For one question."""

    def __init__(
        self,
        local: Cache,
        shelf: Shelf,
        made_by: Callable[[], Iterable[str]],
        ahead: Callable[[Any], None] = lambda _: None,
    ) -> None:
        """Puts a shelf behind a cache.

        Args:
            local: the cache of this device.
            shelf: the records of the cluster.
            made_by: a function that returns the fingerprints of the devices that made the last value.
            ahead: a function that gets each record that was found, so that its passages can be fetched at once.
        """
        self._local, self._shelf, self._made_by, self._ahead = local, shelf, made_by, ahead

    @property
    def front(self) -> Front:
        """The table of answers at hand."""
        return self._local.front

    def compute(self, key: Key, function: Callable[[], Any], *, refresh: bool = False) -> Any:  # noqa: ANN401 - any value
        """Returns the value of a key: from memory, LMDB or Valkey, or made now, once in the cluster."""
        shelved = lambda: self._shelf.compute(key, function, self._made_by, refresh=refresh)  # noqa: E731 - as short as it is
        found = self._local.compute(key, shelved, refresh=refresh)
        self._ahead(found)
        return found

    def get(self, key: Key) -> Any:  # noqa: ANN401 - any value
        """Does the same as the local cache."""
        return self._local.get(key)

    def peek(self, key: Key) -> Any:  # noqa: ANN401 - any value
        """Does the same as the local cache: only the answer itself is shared, not the steps to it."""
        return self._local.peek(key)

    def put(self, key: Key, value: object) -> None:
        """Does the same as the local cache."""
        self._local.put(key, value)

    def bind(self, alias: Hashable, key: Key, value: Any, *, of: Any) -> None:  # noqa: ANN401 - any value
        """Does the same as the local cache."""
        self._local.bind(alias, key, value, of=of)

    def forget(self, key: Key) -> bool:
        """Deletes a key here and in Valkey; returns whether it was here."""
        self._shelf.forget(key)
        return self._local.forget(key)
