"""`memoize`: a decorator that remembers the results of a function; and `Identity`, by which a function is known.

In: a keyspace and a function, plain or `async`, whose arguments have a canonical form (`keys.encode_argument`). Out:
the function, with the same signature. The key holds the function's identity and `version`, not its code: a function
that comes to mean something else needs another version. Concurrent calls with equal arguments are one call. A function
may call itself as deeply as without the decorator.

A function is known by its name, its file, and the values that it holds: the variables of a closure, the values of a
`partial`, defaults, the object of a method. So a factory makes functions that are told apart, and two scripts may both
have a `load`. The code counts, too, where the name alone does not tell functions apart: for a lambda, a function
defined inside another one, and a function that was typed in. The held values are looked at anew with every call. A list
or a dict, which the function itself may change, counts with its content at the time of decoration.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
import sys
import threading
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from edgeqa.cache.flight import led_depth
from edgeqa.cache.front import ABSENT
from edgeqa.cache.records import Key, encode_argument, join_fields, memo_key
from edgeqa.digests import blake2b
from edgeqa.errors import CacheKeyInvalid, FunctionUnknown, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.cache.flight import Flight

AnyFunction = TypeVar("AnyFunction", bound="Callable[..., Any]")

_SPARE_FRAMES = 150  # left of a thread's stack for what a function calls besides itself
_DIGEST_BYTES = 16
_ATTRIBUTE = "__edgeqa_identity__"  # of what `memoize` returns


class MemoizingCache(Protocol):
    """The part of a cache that memoizing needs."""

    def lookup(self, key: Key, as_type: type | None) -> Any: ...  # noqa: ANN401, D102 - as in `Cache`
    def flight(self, key: Key, *, ttl_s: float | None, as_type: type | None) -> Flight: ...  # noqa: D102
    async def compute_async(  # noqa: D102
        self, key: Key, function: Callable[[], Any], *, ttl_s: float | None, as_type: type | None
    ) -> Any: ...  # noqa: ANN401


def decorator(
    cache: Callable[[], MemoizingCache],
    keyspace: str,
    *,
    ttl_s: float | None,
    as_type: type | None,
    version: str,
    key: object = None,
) -> Callable[[AnyFunction], AnyFunction]:
    """Returns the decorator of `memoize` for the cache that a function gives."""
    if not isinstance(keyspace, str):  # as where the brackets were forgotten: @memoize
        raise OptionError(name="keyspace", value=keyspace, expected='a name: @memoize("squares")')

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
    return led_depth() < sys.getrecursionlimit()


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


class Identity:
    """The identity of one function: name, file, and held values."""

    def __init__(self, function: Callable[..., Any], key: object = None) -> None:
        """Looks at the function.

        Args:
            function: what can be called.
            key: what it is known by instead, if that is not None.

        Raises:
            FunctionUnknown: it holds something that no key can be made of.
            CacheKeyInvalid: no key can be made of `key`.
        """
        self.function, self.key = function, key
        self.remembered: object = None
        self._kept: dict[int, tuple[object, bytes]] = {}  # what it holds, as it was when it was decorated
        self._varies = False
        self._known = encode_argument(key) if key is not None else b""
        if key is None:
            self._known = self._describe(function, (), keep=True)

    def now(self) -> bytes:
        """Returns the function's identity, as a key includes it, at this moment.

        Raises:
            FunctionUnknown: no key can be made of what it holds by now.
        """
        return self._describe(self.function, (), keep=False) if self._varies else self._known

    def mark(self, remembered: Callable[..., Any]) -> None:
        """Gives a function that remembers this one's results the same identity."""
        self.remembered = remembered
        setattr(remembered, _ATTRIBUTE, self)

    def _describe(self, function: Any, inside: tuple[object, ...], *, keep: bool) -> bytes:  # noqa: ANN401 - whatever can be called
        named = f"@{_name(function)} in {_file(function)}"  # no argument's bytes begin like that
        parts = [*self._held(function, (*inside, function), keep=keep)]
        return (f"{named} with {_digest(parts)}" if parts else named).encode("utf-8", "surrogatepass")

    def _held(self, function: Any, inside: tuple[object, ...], *, keep: bool) -> Iterator[bytes]:  # noqa: ANN401 - whatever can be called
        """Yields the bytes of what a function holds; each with what it is, so that none is taken for another."""
        for what, value in _parts(function):
            if isinstance(value, types.CellType):
                self._varies |= keep
                try:
                    value = value.cell_contents
                except ValueError:  # nothing is in it yet, as in one that is to hold the function itself
                    continue
            try:
                yield join_fields((what.encode(), self._value(value, inside, keep=keep)))
            except FunctionUnknown:
                raise
            except CacheKeyInvalid as error:
                raise FunctionUnknown(_name(inside[0]), f"{what}: {error}") from None

    def _value(self, value: Any, inside: tuple[object, ...], *, keep: bool) -> bytes:  # noqa: ANN401 - whatever it holds
        kept = self._kept.get(id(value))
        if kept is not None and kept[0] is value:
            return kept[1]
        known = getattr(value, _ATTRIBUTE, None) if isinstance(value, types.FunctionType) else None
        if isinstance(known, Identity) and known.remembered is value:  # and not what wraps it in turn
            value = known.function
            if known.key is not None:
                return known.now()
        if isinstance(value, types.ModuleType):
            return f"@{value.__name__}".encode()
        if isinstance(value, (type, functools.partial)) or _has_name(value):
            is_inside = any(value is one for one in inside)
            return b"@itself" if is_inside else self._describe(value, inside, keep=keep)
        encoded = encode_argument(value)
        if keep:
            self._kept[id(value)] = value, encoded
        return encoded


def _parts(function: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - whatever can be called
    """Yields what tells a function from others of its name, besides its file, and what that is; variables as cells."""
    if isinstance(function, functools.partial):
        yield "what it calls", function.func
        yield from ((f"its argument {number}", value) for number, value in enumerate(function.args))
        yield from ((f"its argument {name}", value) for name, value in sorted(function.keywords.items()))
    elif isinstance(function, types.FunctionType):
        code = function.__code__
        if "<" in function.__qualname__ or not _real(code.co_filename):  # <lambda>, <locals>
            yield "its code", _code(code)
        yield from ((f"its default {number}", value) for number, value in enumerate(function.__defaults__ or ()))
        yield from ((f"its default {name}", value) for name, value in sorted((function.__kwdefaults__ or {}).items()))
        yield from (
            (f"its variable {n}", cell) for n, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
        )
    elif isinstance(function, types.MethodType):
        yield "what it calls", function.__func__
        yield "its object", function.__self__
    elif isinstance(wrapped := getattr(function, "__wrapped__", None), types.FunctionType):
        yield "what it calls", wrapped
    elif isinstance(function, types.BuiltinFunctionType):
        if not isinstance(function.__self__, (types.ModuleType, type(None))):
            yield "its object", function.__self__
    elif not isinstance(function, type) and not _has_name(function):
        yield "the object", function


def _has_name(value: object) -> bool:
    return callable(value) and isinstance(getattr(value, "__qualname__", None), str)


def _name(function: Any) -> str:  # noqa: ANN401 - whatever can be called
    if isinstance(function, functools.partial):
        return f"partial of {_name(function.func)}"
    named = function if _has_name(function) else type(function)
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def _file(function: Any) -> str:  # noqa: ANN401 - whatever can be called
    """Returns the path of the file that defines a function, since all scripts share the module name `__main__`."""
    if isinstance(function, functools.partial):
        return _file(function.func)
    function = getattr(function, "__wrapped__", function)
    code = getattr(function, "__code__", None)
    if code is not None:
        return _real(code.co_filename)
    module = sys.modules.get(getattr(function, "__module__", None) or type(function).__module__)
    return _real(getattr(module, "__file__", None) or "")


@functools.lru_cache(maxsize=256)  # and so the same wherever the process goes: the path may be a relative one
def _real(file: str) -> str:
    return os.path.realpath(file) if file and Path(file).exists() else ""


def _code(code: types.CodeType) -> bytes:
    names = [name.encode() for name in (*code.co_names, *code.co_varnames, *code.co_freevars)]
    return join_fields((code.co_code, *map(_constant, code.co_consts), b"", *names))


def _constant(value: object) -> bytes:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, (tuple, frozenset)):
        items = [_constant(item) for item in value]  # of a set, each process has another order
        return join_fields((type(value).__name__.encode(), *(items if isinstance(value, tuple) else sorted(items))))
    return repr(value).encode("utf-8", "surrogatepass")


def _digest(parts: list[bytes]) -> str:
    return blake2b(join_fields(parts), digest_size=_DIGEST_BYTES).hexdigest()
