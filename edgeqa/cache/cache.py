"""`Cache`: any value under a key, in memory and in a memory-mapped file, shared by processes.

In: keys (a `Key`, or a plain name), values, functions that make missing values. Out: the values. Wrong use raises a
`CacheError`, and a function that makes values raises what it raises; the cache's own faults never do: each is a miss
that is counted (`stats`). What a miss gives back is what a hit would give: the value after a round trip through bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeqa.cache import keys, sharing, values
from edgeqa.cache.entries import Entries
from edgeqa.cache.front import ABSENT
from edgeqa.cache.keys import Key
from edgeqa.errors import CacheValueInvalid, OptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from os import PathLike

    from edgeqa.cache.backend import Backend
    from edgeqa.cache.flight import Flight
    from edgeqa.cache.front import Front
    from edgeqa.cache.memoizing import AnyFunction
    from edgeqa.cache.stats import Explanation, Stats

    AnyKey = Key | str | bytes

DEFAULT_MAP_BYTES = 64 << 20
DEFAULT_FRONT_ENTRIES = 4096
FORMAT_DIRECTORY = "format-1"  # another format goes into another directory, and neither sees the other
PERSIST = ("disk", "memory", "off")


class Cache:
    """A cache, open. Made by `Cache.open`."""

    def __init__(self, backend: Backend, *, persist: str, ttl_s: float | None, provenance: str) -> None:
        self.persist = persist
        self._backend = backend
        self._entries = Entries(backend, ttl_s=ttl_s, provenance=provenance)
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
        if persist == "disk":
            if path is None:
                from edgeqa import state

                path = state.home() / "cache"
            directory = Path(path) / FORMAT_DIRECTORY
            backend = sharing.share(directory, map_bytes, durable=durable, front_entries=front_entries)
        elif persist == "memory":
            backend = sharing.share_in_ram(FORMAT_DIRECTORY, map_bytes, front_entries=front_entries)
        else:
            backend = sharing.without_store()
        return cls(backend, persist=persist, ttl_s=ttl_s, provenance=provenance)

    @property
    def front(self) -> Front:
        """The table in front, where a caller may put the entries of `find` under aliases of its own."""
        return self._backend.front

    @property
    def directory(self) -> Path | None:
        """Where the files are."""
        return self._backend.directory

    @property
    def off_reason(self) -> str:
        """Why the cache is off after it has killed those who opened it; empty if it has not."""
        kind = "off_after_deaths"
        return self._backend.note.removeprefix(f"{kind}: ") if kind in self._backend.tally.counts else ""

    def get(self, key: AnyKey, default: Any = None, *, as_type: type | None = None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key; if it is missing, what the key's handler makes (`on_miss`), or the default.

        Raises:
            CacheKeyInvalid: no key can be made of this.
            Exception: what the handler raised.
        """
        made = key if type(key) is Key else _as_key(key)
        value = self._entries.get(made, as_type)
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

        Raises:
            CacheKeyInvalid: no key can be made of this.
        """
        value = self._entries.peek(_as_key(key), as_type)
        return default if value is ABSENT else value

    def put(self, key: AnyKey, value: object, *, ttl_s: float | None = None) -> None:
        """Stores a value, soon; this process sees it at once.

        Raises:
            CacheKeyInvalid: no key can be made of this.
            CacheValueInvalid: the value is of a type that cannot be kept.
        """
        if ttl_s is not None:
            _require_ttl(ttl_s)
        self._entries.put(_as_key(key), values.encode(value), ttl_s, None)

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
        value = ABSENT if refresh else self._entries.get(made, as_type)
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

        Raises:
            ComputationFailed: another process called the function, and it raised.
            Exception: what the function raised, in this task or in the one that called it.
        """
        made = _as_key(key)
        if not self._backend.entered:  # opening the files may take its time
            await _in_thread(self._backend.enter)
        value = ABSENT if refresh else self._entries.get(made, as_type)
        if value is ABSENT:
            with self.flight(made, ttl_s=ttl_s, as_type=as_type, refresh=refresh) as flight:
                if (value := await flight.begin_async()) is ABSENT:
                    computed = await function()
                    waits = not self._backend.has_room  # in the queue of what is to be written
                    value = await _in_thread(flight.land, computed) if waits else flight.land(computed)
        return value

    def on_miss(self, pattern: str, handler: Callable[[Any], Any], *, ttl_s: float | None = None) -> None:
        """Has a `get` of a missing key, whose name or keyspace matches the pattern (`bertqa*`), call the handler.

        The handler is given the key as it was asked for; what it returns is stored and given back.
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
        """Returns a decorator that remembers what a function, plain or `async`, returns (see `memoizing`)."""
        from edgeqa.cache.memoizing import decorator

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
        self._entries.bind(alias, key, value, of)

    def forget(self, key: AnyKey) -> bool:
        """Deletes a key, in all processes; returns whether it was there."""
        return self._entries.forget(_as_key(key))

    def clear(self) -> bool:
        """Deletes everything, in all processes.

        Returns:
            whether that is done; not so where another process, one that was stopped, kept this one from it for two
            seconds, or where the files cannot be opened.
        """
        return self._backend.clear()

    def flush(self) -> None:
        """Waits until other processes can see what was put so far; in durable mode, until it is on the disk."""
        self._backend.flush()

    def check(self) -> list[str]:
        """Returns what is wrong with the cache's invariants; an empty list if nothing is."""
        return self._backend.problems()

    def stats(self) -> Stats:
        """Returns the state of the cache, and the totals of all processes since it was made."""
        from edgeqa.cache.stats import summarise

        return summarise(self._backend, self.persist)

    def explain(self, key: AnyKey) -> Explanation:
        """Returns what is known about a key; counts nothing."""
        from edgeqa.cache.stats import explain

        made = _as_key(key)
        return explain(made, self._entries.look(made))

    def close(self) -> None:
        """Writes what is queued and lets the files go. Harmless when repeated."""
        if not self._closed:
            self._closed = True
            sharing.release(self._backend)

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def lookup(self, key: Key, as_type: type | None) -> Any:  # noqa: ANN401 - any value
        """Returns the value under a key, or `front.ABSENT`, without calling a handler; counted as a hit or a miss."""
        return self._entries.get(key, as_type)

    def flight(
        self, key: Key, *, ttl_s: float | None = None, as_type: type | None = None, refresh: bool = False
    ) -> Flight:
        """Returns the caller's part in the computation of a missing value; arguments as for `compute`."""
        _require_ttl(ttl_s)

        def find() -> Any:  # noqa: ANN401 - any value
            return ABSENT if refresh else self._entries.get_again(key, as_type)

        def settle(value: Any, done: Callable[[], None]) -> Any:  # noqa: ANN401 - any value
            payload = values.encode(value)
            try:
                given_back = values.decode(payload, as_type)
            except values.ValueShape as error:
                raise CacheValueInvalid(value, f"it does not come back as {as_type}: {error}") from None
            self._entries.put(key, payload, ttl_s, done)
            return given_back

        return self._backend.flights.flight(key, find, settle)


async def _in_thread(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what it returns
    """Calls what may wait in a thread of its own, so that the event loop goes on."""
    import asyncio

    return await asyncio.to_thread(function, *arguments)


def _as_key(key: AnyKey) -> Key:
    return key if isinstance(key, Key) else keys.name_key(key)


def _require_ttl(ttl_s: float | None) -> None:
    _require(ttl_s is None or 0 < ttl_s < 1e12, "ttl_s", ttl_s, "a positive number of seconds, or None for ever")


def _require(holds: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001 - reads like an assertion
    if not holds:
        raise OptionError(name, value, expected)
