"""`memoize`: a decorator that remembers what a function returns, in the cache of the device.

In: a keyspace and a function, plain or `async`, whose arguments have a canonical form (`keys.encode_argument`). Out:
the function, with the same signature. The key holds what the function is known by (`functions`) and `version`, not its
code: a function that comes to mean something else needs another version. Concurrent calls with equal arguments are one
call. A function may call itself as often as it may without being remembered.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edgeqa.cache.cache import Cache
from edgeqa.cache.flight import most_led
from edgeqa.cache.front import ABSENT
from edgeqa.cache.functions import Identity
from edgeqa.cache.keys import memo_key

if TYPE_CHECKING:
    from collections.abc import Callable

AnyFunction = TypeVar("AnyFunction", bound="Callable[..., Any]")

_SPARE_FRAMES = 150  # left of a thread's stack for what a function calls besides itself


def memoize(
    keyspace: str, *, ttl_s: float | None = None, as_type: type | None = None, version: str = "", key: object = None
) -> Callable[[AnyFunction], AnyFunction]:
    """Returns a decorator that remembers a function's results in the user's cache, opened at the first call.

    It raises `FunctionUnknown`, a `CacheError`, for a function that holds something that no key can be made of.

    Args:
        keyspace: what the results are filed under, for handlers and for `explain`.
        ttl_s: for how long a result is good; None is for ever.
        as_type: the type of the result, if it is a dataclass; otherwise dataclasses come back as dicts.
        version: a new one makes all former results miss.
        key: what the function is known by. By default that is its name, its file, and what it holds: the variables of a
            closure, the values of a `partial`, the object of a method.
    """
    return decorator(_users_cache, keyspace, ttl_s=ttl_s, as_type=as_type, version=version, key=key)


def decorator(
    cache: Callable[[], Cache],
    keyspace: str,
    *,
    ttl_s: float | None,
    as_type: type | None,
    version: str,
    key: object = None,
) -> Callable[[AnyFunction], AnyFunction]:
    """Returns the decorator of `memoize` for the cache that a function gives."""

    def decorate(function: AnyFunction) -> AnyFunction:
        identity = Identity(function, key)

        @functools.wraps(function)
        async def remembered_async(*args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what it returns
            of_call = memo_key(keyspace, identity.now(), version, args, kwargs)
            call = functools.partial(function, *args, **kwargs)
            return await cache().compute_async(of_call, call, ttl_s=ttl_s, as_type=as_type)

        @functools.wraps(function)
        def remembered(*args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what it returns
            # What `Cache.compute` does, in one frame less: the frames of a function that calls itself are counted.
            of_call = memo_key(keyspace, identity.now(), version, args, kwargs)
            value = cache().lookup(of_call, as_type)
            if value is ABSENT:
                with cache().flight(of_call, ttl_s=ttl_s, as_type=as_type) as flight:
                    if (value := flight.begin()) is ABSENT:
                        computed = _in_new_thread(function, args, kwargs) if _is_deep() else function(*args, **kwargs)
                        value = flight.land(computed)
            return value

        given_back = remembered_async if _is_async(function) else remembered
        identity.mark(given_back)
        return cast("AnyFunction", given_back)

    return decorate


def _is_async(function: object) -> bool:
    called = getattr(type(function), "__call__", None)  # noqa: B004 - of which kind it is, not whether there is one
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _is_deep() -> bool:
    """Tells whether the thread has few frames left, but the function has not called itself too often altogether."""
    try:
        sys._getframe(max(1, sys.getrecursionlimit() - _SPARE_FRAMES))  # noqa: SLF001 - the one way to ask
    except ValueError:
        return False
    return most_led() < sys.getrecursionlimit()


def _in_new_thread(function: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]) -> Any:  # noqa: ANN401 - what it returns
    """Calls a function where it has a whole stack: what is remembered takes more of it than the function alone."""
    outcome: list[Any] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def call() -> None:
        try:
            outcome.append(context.run(function, *args, **kwargs))
        except BaseException as error:  # raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=call, name="edgeqa-deeper", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


@functools.lru_cache(maxsize=1)
def _users_cache() -> Cache:
    return Cache.open()
