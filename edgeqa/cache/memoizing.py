"""`memoize`: a decorator that remembers what a function returns, in the cache of the device.

In: a keyspace and a function, plain or `async`, whose arguments have a canonical form (`keys.encode_argument`). Out:
the function, with the same signature. The key holds the function's name and `version`, not its code: a function that
comes to mean something else needs another version. Concurrent calls with equal arguments are one call.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edgeqa.cache.cache import Cache
from edgeqa.cache.keys import memo_key

if TYPE_CHECKING:
    from collections.abc import Callable

AnyFunction = TypeVar("AnyFunction", bound="Callable[..., Any]")


def memoize(
    keyspace: str, *, ttl_s: float | None = None, as_type: type | None = None, version: str = ""
) -> Callable[[AnyFunction], AnyFunction]:
    """Returns a decorator that remembers a function's results in the user's cache, opened at the first call.

    Args:
        keyspace: what the results are filed under, for handlers and for `explain`.
        ttl_s: for how long a result is good; None is for ever.
        as_type: the type of the result, if it is a dataclass; otherwise dataclasses come back as dicts.
        version: a new one makes all former results miss.
    """
    return decorator(_users_cache, keyspace, ttl_s=ttl_s, as_type=as_type, version=version)


def decorator(
    cache: Callable[[], Cache], keyspace: str, *, ttl_s: float | None, as_type: type | None, version: str
) -> Callable[[AnyFunction], AnyFunction]:
    """Returns the decorator of `memoize` for the cache that a function gives."""

    def decorate(function: AnyFunction) -> AnyFunction:
        name = f"{function.__module__}.{function.__qualname__}"
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def remembered_async(*args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what it returns
                key = memo_key(keyspace, name, version, args, kwargs)
                call = functools.partial(function, *args, **kwargs)
                return await cache().compute_async(key, call, ttl_s=ttl_s, as_type=as_type)

            return cast(AnyFunction, remembered_async)

        @functools.wraps(function)
        def remembered(*args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what it returns
            key = memo_key(keyspace, name, version, args, kwargs)
            return cache().compute(key, functools.partial(function, *args, **kwargs), ttl_s=ttl_s, as_type=as_type)

        return cast(AnyFunction, remembered)

    return decorate


@functools.lru_cache(maxsize=1)
def _users_cache() -> Cache:
    return Cache.open()
