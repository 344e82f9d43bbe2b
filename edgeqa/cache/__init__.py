"""The cache: any value under a key, in memory and in a memory-mapped file, shared by processes, never wrong.

`Cache.open` gives a cache, `Key` what values are remembered under, `memoize` a decorator.

In: keys (a `Key`, or a plain name), values, functions that make missing values. Out: the values. Wrong use raises a
`CacheError`, and errors of a function that makes values pass through. The cache's own faults raise nothing: each is a
miss that is counted (`stats`). A miss gives back the same as a hit would: the value after a round trip through bytes. A
stored record is believed only if it is whole, belongs to this key and has not expired; every other record is a miss,
counted by its kind. The cache does not know what its values mean, and knows no question and no answer.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_digest

from edgeqa.cache import backend as backends
from edgeqa.cache import records, values
from edgeqa.cache.front import ABSENT, Entry, now_s
from edgeqa.cache.records import PAYLOAD_AT, WHOLE, Key, Record, name_key
from edgeqa.cache.values import decoders
from edgeqa.errors import CacheValueInvalid, OptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from os import PathLike

    from edgeqa.cache.backend import Backend
    from edgeqa.cache.flight import Flight
    from edgeqa.cache.front import Front
    from edgeqa.cache.memoization import AnyFunction
    from edgeqa.cache.records import Fault
    from edgeqa.cache.stats import Explanation, Stats

    AnyKey = Key | str | bytes

__all__ = ["FORMAT_DIRECTORY", "Cache", "Key", "memoize"]

DEFAULT_MAP_BYTES = 64 << 20
DEFAULT_FRONT_ENTRIES = 4096
FORMAT_DIRECTORY = "format-1"  # each format has a directory of its own, so that none sees another
PERSIST = ("disk", "memory", "off")
_FOR_EVER = records.seed(expires=False)
_ENOUGH_NOTED = 15  # the value read after so many is put at hand


class Cache:
    """A cache, open. Made by `Cache.open`.

    Examples:
        >>> with edgeqa.Cache.open("cache", ttl_s=3600) as cache:
        ...     cache.put("capital of France", "Paris")
        ...     cache.get("capital of France")
        'Paris'
    """

    def __init__(self, backend: Backend, user: object, *, persist: str, ttl_s: float | None, provenance: str) -> None:
        self.persist = persist
        self._backend, self._user, self._front = backend, user, backend.front
        self._ttl_s = ttl_s
        self._last_made: tuple[bytes, Any] = b"", ABSENT
        """The value computed last, as bytes and as it was given back: to bind it at once needs no second encoding."""
        self._provenance = records.clip_provenance(provenance)
        self.lookup = self._make_lookup()
        self._handlers: list[tuple[Callable[[str], object], Callable[[Any], Any], float | None]] = []
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | PathLike[str] | None = None,
        *,
        map_bytes: int = DEFAULT_MAP_BYTES,
        persist: str = "disk",
        durable: bool = False,
        ttl_s: float | None = None,
        front_entries: int = DEFAULT_FRONT_ENTRIES,
        provenance: str = "",
    ) -> Cache:
        """Returns the cache in a directory; by default the user's. The files are opened at the first use.

        Examples:
            >>> with edgeqa.Cache.open(persist="memory", map_bytes=1 << 20) as small:
            ...     small.stats().persist
            'memory'

        Args:
            path: the directory; only for `persist="disk"`.
            map_bytes: the size of the file, when it is made. An existing one keeps its size until it is cleared.
            persist: "disk" keeps values across restarts, "memory" in RAM until the last process has left, "off" not.
            durable: whether every commit waits for the disk. Without it, a power cut may cost what is in the cache.
            ttl_s: for how long values are good, unless `put` says otherwise; None is for ever.
            front_entries: how many values are kept at hand in this process, in at most 4 MiB.
            provenance: by what values are stored (a version, a model), for `explain`.

        Raises:
            OptionError: an option has a value that it cannot have.
        """
        _require(persist in PERSIST, "persist", persist, " or ".join(PERSIST))
        _require(map_bytes > 0, "map_bytes", map_bytes, "a positive number of bytes")
        _require_ttl(ttl_s)
        user = object()
        if persist == "disk" and path is None and _is_unmapped():
            persist = "memory"
        if persist == "disk":
            root, name = (Path(path), FORMAT_DIRECTORY) if path is not None else _usual_place()
            backend = backends.share(root, name, user, map_bytes, durable=durable, front_entries=front_entries)
        elif persist == "memory":
            backend = backends.share_in_ram(FORMAT_DIRECTORY, user, map_bytes, front_entries=front_entries)
        else:
            backend = backends.without_store()
        return cls(backend, user, persist=persist, ttl_s=ttl_s, provenance=provenance)

    @property
    def front(self) -> Front:
        """The table in front, where a caller may put the entries of `find` under aliases of its own."""
        return self._front

    @property
    def directory(self) -> Path | None:
        """Where the files are."""
        return self._backend.directory

    @property
    def off_reason(self) -> str:
        """Why the cache is off after it has killed those who opened it; empty if it has not."""
        kind = "off_after_deaths"
        return self._backend.note.removeprefix(f"{kind}: ") if kind in self._backend.tally.counts else ""

    @property
    def note(self) -> str:
        """The last fault: its kind (`ledger.FAULTS`), and the reason; empty if there was none."""
        return self._backend.note

    def get(self, key: AnyKey, default: Any = None, *, as_type: type | None = None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key; if it is missing, what the key's handler makes (`on_miss`), or the default.

        Examples:
            >>> print(cache.get("no such key"), cache.get("no such key", default=0))
            None 0

        Raises:
            CacheKeyInvalid: no key can be made of this.
            Exception: what the handler raised.
        """
        made = key if type(key) is Key else _as_key(key)
        value = self.lookup(made, as_type)
        if value is not ABSENT:
            return value
        for matches, handler, ttl_s in self._handlers:
            if matches(made.keyspace):
                with self.flight(made, ttl_s=ttl_s, as_type=as_type) as flight:
                    if (value := flight.begin()) is ABSENT:
                        value = flight.land(handler(key))
                return value
        return default

    def peek(self, key: AnyKey, default: Any = None, *, as_type: type | None = None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key, or the default; for what is looked up on the way to what a user asked for.

        It is counted as neither a hit nor a miss, so that `stats` tells how often a question was answered, calls no
        handler, and takes no place at hand. What is wrong with a record is counted.

        Examples:
            >>> cache.put("key", 1)
            >>> cache.peek("key"), cache.stats().hits
            (1, 0)

        Raises:
            CacheKeyInvalid: no key can be made of this.
        """
        made = _as_key(key)
        entry = self._front.peek(made.check)
        if entry is None:
            found = self._look(made)
            if not isinstance(found, Record):
                if found is not None:
                    self._backend.tally.count(found.value)
                return default
            self._backend.tally.note_use(made.digest)
            entry = Entry(made.digest, found.payload, None)
        entry.hit = True
        value = self._value(entry, as_type)
        return default if value is ABSENT else value

    def put(self, key: AnyKey, value: object, *, ttl_s: float | None = None) -> None:
        """Stores a value, soon; this process sees it at once.

        Examples:
            >>> cache.put("limits", {"low": 1, "high": 9}, ttl_s=60)
            >>> cache.get("limits")["high"]
            9
            >>> cache.put("key", object())
            Traceback (most recent call last):
            edgeqa.errors.CacheValueInvalid: ...

        Raises:
            CacheKeyInvalid: no key can be made of this.
            CacheValueInvalid: the value is of a type that cannot be kept.
        """
        if ttl_s is not None:
            _require_ttl(ttl_s)
        self._put(_as_key(key), values.encode(value), ttl_s, None)

    def compute(
        self,
        key: AnyKey,
        function: Callable[[], Any],
        *,
        ttl_s: float | None = None,
        as_type: type | None = None,
        refresh: bool = False,
    ) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key, and if it is missing, what the function returns, called once for all callers.

        Examples:
            >>> cache.compute("answer", lambda: 6 * 7)
            42
            >>> cache.compute("answer", lambda: 0)
            42
            >>> cache.compute("answer", lambda: 0, refresh=True)
            0

        Args:
            key: the key.
            function: makes the value.
            ttl_s: for how long the value is good.
            as_type: the type to give the value back as.
            refresh: whether to call the function even if there is a value.

        Raises:
            ComputationFailed: another process called the function, and it raised.
            EventLoopBlocked: a task of the event loop that runs in this thread calls the function (`compute_async`).
            Exception: what the function raised, in this thread or in the one that called it.
        """
        made = _as_key(key)
        value = ABSENT if refresh else self.lookup(made, as_type)
        if value is ABSENT:
            with self.flight(made, ttl_s=ttl_s, as_type=as_type, refresh=refresh) as flight:
                if (value := flight.begin()) is ABSENT:
                    value = flight.land(function())
        return value

    async def compute_async(
        self,
        key: AnyKey,
        function: Callable[[], Awaitable[Any]],
        *,
        ttl_s: float | None = None,
        as_type: type | None = None,
        refresh: bool = False,
    ) -> Any:  # noqa: ANN401 - any value
        """Does what `compute` does, for a function that is awaited; waiting does not block the event loop.

        Examples:
            >>> import asyncio
            >>> async def answer() -> int:
            ...     return 42
            >>> asyncio.run(cache.compute_async("answer", answer))
            42

        Raises:
            ComputationFailed: another process called the function, and it raised.
            Exception: what the function raised, in this task or in the one that called it.
        """
        made = _as_key(key)
        if not self._backend.entered:  # to open the files may take long
            await _in_thread(self._backend.enter)
        value = ABSENT if refresh else self.lookup(made, as_type)
        if value is ABSENT:
            with self.flight(made, ttl_s=ttl_s, as_type=as_type, refresh=refresh) as flight:
                if (value := await flight.begin_async()) is ABSENT:
                    computed = await function()
                    waits = not self._backend.has_room  # the queue of the writer is full
                    value = await _in_thread(flight.land, computed) if waits else flight.land(computed)
        return value

    def on_miss(self, pattern: str, handler: Callable[[Any], Any], *, ttl_s: float | None = None) -> None:
        """Makes `get` call the handler for a missing key whose name or keyspace matches the pattern (`bertqa*`).

        The handler gets the key as it was asked for; its result is stored and returned.

        Examples:
            >>> cache.on_miss("length:*", lambda key: len(key.partition(":")[2]))
            >>> cache.get("length:question"), cache.get("other")
            (8, None)
        """
        import fnmatch
        import re

        _require_ttl(ttl_s)
        self._handlers.append((re.compile(fnmatch.translate(pattern)).match, handler, ttl_s))

    def memoize(
        self,
        keyspace: str,
        *,
        ttl_s: float | None = None,
        as_type: type | None = None,
        version: str = "",
        key: object = None,
    ) -> Callable[[AnyFunction], AnyFunction]:
        """Returns a decorator that remembers what a function, plain or `async`, returns (see `memoization`).

        Examples:
            >>> @cache.memoize("squares")
            ... def square(number: int) -> int:
            ...     print("computing")
            ...     return number * number
            >>> square(12) + square(12)
            computing
            288
        """
        from edgeqa.cache.memoization import decorator

        return decorator(lambda: self, keyspace, ttl_s=ttl_s, as_type=as_type, version=version, key=key)

    def bind(self, alias: Hashable, key: Key, value: Any, *, of: Any = ABSENT) -> None:  # noqa: ANN401 - any immutable value
        """Puts a value made of a stored key's at hand under an alias.

        `cache.front.get(alias).value` is then this object, until the key is forgotten, put again, or over its time.

        Args:
            alias: what it is found under; nothing else may be.
            key: the key of what it was made of.
            value: the value, which nobody may change.
            of: what it was made of. If something else is stored under the key by now, nothing is put at hand.
        """
        as_of = self._as_of(key)
        stored = self._find(key)
        if stored is None:
            return
        payload, made = self._last_made
        is_of = of is ABSENT or (of is made and stored.payload is payload) or values.are_bytes_of(stored.payload, of)
        if not is_of:
            return
        entry = Entry(key.digest, b"", stored.good_until_s)
        entry.as_type, entry.value = type(value), value
        self._front.add(alias, entry, as_of=as_of)

    def forget(self, key: AnyKey) -> bool:
        """Deletes a key, in all processes; returns whether it was there.

        Examples:
            >>> cache.put("key", 1)
            >>> cache.forget("key"), cache.forget("key")
            (True, False)
        """
        made = _as_key(key)
        was_there = self._find(made) is not None
        self._front.change(made.digest)
        self._backend.write(made.digest, None)
        self._front.change(made.digest)  # this drops values that were read meanwhile, too
        self._backend.flush()
        return was_there

    def clear(self) -> bool:
        """Deletes everything, in all processes.

        Examples:
            >>> cache.put("key", 1)
            >>> cache.clear(), cache.get("key")
            (True, None)

        Returns:
            whether that is done; not so where another process, one that was stopped, kept this one from it for two
            seconds, or where the files cannot be opened.
        """
        return self._backend.clear()

    def flush(self) -> None:
        """Waits until other processes can see what was put so far; in durable mode, until it is on the disk.

        Examples:
            >>> cache.put("key", 1)
            >>> cache.flush()
            >>> cache.stats().entries
            1
        """
        self._backend.flush()

    def check(self) -> list[str]:
        """Returns the broken invariants of the cache; an empty list if there is none.

        Examples:
            >>> cache.check()
            []
        """
        return self._backend.problems()

    def stats(self) -> Stats:
        """Returns the state of the cache, and the totals of all processes since it was made.

        Examples:
            >>> cache.put("key", 1)
            >>> values = cache.get("key"), cache.get("other")
            >>> cache.stats().hits, cache.stats().misses, cache.stats().hit_ratio
            (1, 1, 0.5)
        """
        from edgeqa.cache.stats import summarise

        return summarise(self._backend, self.persist)

    def explain(self, key: AnyKey) -> Explanation:
        """Returns the facts that the cache has about a key; counts nothing.

        Examples:
            >>> cache.put("key", "value")
            >>> cache.flush()
            >>> found = cache.explain("key")
            >>> found.hit, found.payload_bytes
            (True, 6)
        """
        from edgeqa.cache.stats import explain

        made = _as_key(key)
        return explain(made, self._look(made))

    def close(self) -> None:
        """Writes what is queued and lets the files go. Harmless when repeated.

        Examples:
            >>> cache.put("key", 1)
            >>> cache.close()
            >>> with edgeqa.Cache.open(cache.directory.parent) as again:
            ...     again.get("key")
            1
        """
        if not self._closed:
            backends.release(self._backend, self._user)
            self._closed = True

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def flight(
        self, key: Key, *, ttl_s: float | None = None, as_type: type | None = None, refresh: bool = False
    ) -> Flight:
        """Returns the caller's part in the computation of a missing value; arguments as for `compute`."""
        _require_ttl(ttl_s)

        def find() -> Any:  # noqa: ANN401 - any value
            entry = None if refresh else self._find(key)
            return ABSENT if entry is None else self._value(entry, as_type)

        def settle(value: Any, done: Callable[[], None]) -> Any:  # noqa: ANN401 - any value
            payload = values.encode(value)
            try:
                given_back = values.decode(payload, as_type)
            except values.ValueShape as error:
                raise CacheValueInvalid(value, f"it does not come back as {as_type}: {error}") from None
            self._put(key, payload, ttl_s, done)
            self._last_made = payload, given_back
            return given_back

        return self._backend.flights.flight(key, find, settle)

    def _make_lookup(self) -> Callable[[Key, type | None], Any]:
        """Returns `lookup`: the value under a key, or ABSENT, no handler being called; hits and misses are counted.

        Most reads of the store are of a whole record that does not expire. They go the quick way, in this one function,
        whose names are local: to look them up in objects would take a twentieth of the time. A record that it does not
        like, or cannot judge, goes the careful way. One in sixteen values read from the store is put into the table in
        front: all of them would push out keys that are read often, for keys that are read once.
        """
        backend, store, carefully = self._backend, self._backend.store, self._lookup_carefully
        queued, tally, noted = backend.queued, backend.tally, backend.tally.noted
        count_in, count_out = store.inside.append, store.inside.pop
        at_hand, changes, mapped = self._front.table, self._front.changes, store.mapped
        digest_of, for_ever, whole, known = xxh3_64_digest, _FOR_EVER, WHOLE, decoders

        def lookup(key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
            check = key.check
            if check not in at_hand and (not queued or key.digest not in queued):
                if monotonic() >= mapped.until_s:
                    mapped.look()
                try:
                    digest = key.digest
                    as_of = changes[digest[-1]] if len(noted) >= _ENOUGH_NOTED else None
                    count_in(None)
                    try:
                        txn = store.begin()
                        sequence = txn.get(digest)
                        if sequence is None:
                            tally.misses += 1
                            return ABSENT
                        stored = txn.get(sequence)
                    finally:
                        txn = None  # it ends here, while it is counted
                        count_out()
                    payload = stored[stored[PAYLOAD_AT] :]
                    if digest_of(payload, for_ever) + check == stored[whole]:
                        value = known[as_type](payload)
                        noted.append(digest)
                        if as_of is not None:
                            tally.collect_hits()
                            self._remember(key, Record(0, 0, b"", payload), as_of)
                        return value
                except Exception:  # noqa: S110 - the careful way meets the error again, and counts it
                    pass
            return carefully(key, as_type)

        return lookup

    def _lookup_carefully(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        entry = self._front.get(key.check)
        if entry is None:
            as_of = self._as_of(key)
            found = self._look(key)
            if isinstance(found, Record):
                self._backend.tally.noted.append(key.digest)
                self._backend.tally.collect_hits()
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
            self._front.keep_value(entry, value, as_type)
        return value

    def _find(self, key: Key) -> Entry | None:
        """Returns the entry of a key, put at hand, or None; counts nothing."""
        entry = self._front.peek(key.check)
        if entry is None:
            as_of = self._as_of(key)
            found = self._look(key)
            return self._remember(key, found, as_of) if isinstance(found, Record) else None
        return entry

    def _put(self, key: Key, payload: bytes, ttl_s: float | None, done: Callable[[], None] | None) -> None:
        """Stores a value's bytes, soon; `done` is called when it is stored or given up."""
        if ttl_s is None:
            ttl_s = self._ttl_s
        now_ms, ttl_ms = _now_ms(), 0 if ttl_s is None else max(1, round(ttl_s * 1000))
        stored = records.encode(key, payload, now_ms=now_ms, ttl_ms=ttl_ms, provenance=self._provenance)
        as_of = self._front.change(key.digest)
        self._backend.write(key.digest, stored, done)
        if self._backend.remembers:
            self._front.put(key.check, _entry(key, Record(now_ms, ttl_ms, b"", payload)), as_of=as_of)

    def _look(self, key: Key) -> Record | Fault | None:
        """Returns the good record of a key, or why there is none; counts nothing."""
        stored = self._backend.read(key.digest)
        if stored is None:
            return None
        found = records.decode(stored, key)
        if type(found) is Record and found.ttl_ms and found.remaining_ms(_now_ms()) == 0:
            return None
        return found

    def _as_of(self, key: Key) -> int:
        """Returns the `as_of` that `add` wants for a value read after this; the table in front was looked at before."""
        return self._front.changes[key.digest[-1]]

    def _remember(self, key: Key, record: Record, as_of: int) -> Entry:
        entry = _entry(key, record)
        self._front.add(key.check, entry, as_of=as_of)
        return entry


def _is_unmapped() -> bool:
    """Tells whether the user wants no file of edgeqa's home mapped into memory, which what is on disk has to be."""
    from edgeqa import state

    return state.maps_files() is False


def _usual_place() -> tuple[Path, str]:
    """Returns the folder of the user's cache, and the name of the cache beneath it."""
    from edgeqa import state

    return state.home(), f"cache/{FORMAT_DIRECTORY}"


def memoize(
    keyspace: str, *, ttl_s: float | None = None, as_type: type | None = None, version: str = "", key: object = None
) -> Callable[[AnyFunction], AnyFunction]:
    """Returns a decorator that remembers a function's results in the user's cache, opened at the first call.

    It raises `FunctionUnknown`, a `CacheError`, for a function that holds something that no key can be made of.

    Examples:
        >>> @edgeqa.memoize("squares")
        ... def square(number: int) -> int:
        ...     print("computing")
        ...     return number * number
        >>> square(12) + square(12)
        computing
        288

    Args:
        keyspace: what the results are filed under, for handlers and for `explain`.
        ttl_s: for how long a result is good; None is for ever.
        as_type: the type of the result, if it is a dataclass; otherwise dataclasses come back as dicts.
        version: a new one makes all former results miss.
        key: what the function is known by. By default that is its name, its file, and what it holds: the variables of a
            closure, the values of a `partial`, the object of a method.
    """
    from edgeqa.cache.memoization import decorator

    return decorator(_users_cache, keyspace, ttl_s=ttl_s, as_type=as_type, version=version, key=key)


@lru_cache(maxsize=1)
def _users_cache() -> Cache:
    return Cache.open()


async def _in_thread(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what it returns
    """Calls what may wait in a thread of its own, so that the event loop goes on."""
    import asyncio

    return await asyncio.to_thread(function, *arguments)


def _as_key(key: AnyKey) -> Key:
    return key if isinstance(key, Key) else name_key(key)


def _require_ttl(ttl_s: float | None) -> None:
    _require(ttl_s is None or 0 < ttl_s < 1e12, "ttl_s", ttl_s, "a positive number of seconds, or None for ever")


def _require(holds: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001 - reads like an assertion
    if not holds:
        raise OptionError(name, value, expected)


def _entry(key: Key, record: Record) -> Entry:
    good_until_s = None
    if record.ttl_ms:
        good_until_s = now_s() + (record.remaining_ms(_now_ms()) or 0) / 1000
    return Entry(key.digest, record.payload, good_until_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
