"""Tests that remembered functions share no value if they differ in what they hold, or in their file."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import math
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgeqa.errors import CacheKeyInvalid, FunctionUnknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Run

    from edgeqa.cache import Cache

    Function = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Times:
    k: int

    def method(self, x: int) -> int:
        return x * self.k

    def __call__(self, x: int) -> int:
        return x * self.k


class Three:
    k = 3

    @classmethod
    def times(cls, x: int) -> int:
        return x * cls.k


class Four(Three):
    k = 4


def closure(k: int) -> Function:
    def times(x: int) -> int:
        return x * k

    return times


def default(k: int) -> Function:
    def times(x: int, k: int = k) -> int:
        return x * k

    return times


def keyword(k: int) -> Function:
    def times(x: int, *, k: int = k) -> int:
        return x * k

    return times


def branch(k: int) -> Function:
    if k == 3:

        def times(x: int) -> int:
            return x * 3
    else:

        def times(x: int) -> int:
            return x * 4

    return times


def in_a_list(k: int) -> Function:
    factors = [k]
    return lambda x: x * factors[0]


def of_a_function(k: int) -> Function:
    inner = closure(k)

    @functools.wraps(inner)
    def outer(x: int) -> Any:  # noqa: ANN401 - what the other returns
        return inner(x)

    return outer


def times(x: int, k: int) -> int:
    return x * k


FACTORIES: dict[str, Callable[[int], Function]] = {
    "closure": closure,
    "default": default,
    "keyword default": keyword,
    "branch": branch,
    "list": in_a_list,
    "a function in it": of_a_function,
    "lambda": lambda k: lambda x: x * k,
    "code of a lambda": lambda k: (lambda x: x * 3) if k == 3 else (lambda x: x * 4),
    "partial": lambda k: functools.partial(times, k=k),
    "partial of a closure": lambda k: functools.partial(closure(k)),
    "method": lambda k: Times(k).method,
    "class method": lambda k: Three.times if k == 3 else Four.times,
    "object": Times,
    "cached": lambda k: functools.lru_cache(closure(k)),
}


@pytest.mark.parametrize("factory", FACTORIES)
def test_functions_of_one_factory_share_no_value(cache: Cache, factory: str) -> None:
    made = [cache.memoize("times")(FACTORIES[factory](k)) for k in (3, 4, 3)]
    assert [one(10) for one in made] == [30, 40, 30]
    assert cache.stats().hits == 1


def test_a_variable_is_looked_at_with_every_call(cache: Cache) -> None:
    k = 3

    @cache.memoize("times")
    def times(x: int) -> int:
        return x * k

    assert times(10) == 30
    k = 4
    assert times(10) == 40
    k = 3
    assert times(10) == 30
    assert cache.stats().hits == 1


def test_a_list_that_the_function_changes_does_not_make_it_another(cache: Cache) -> None:
    calls: list[int] = []

    @cache.memoize("times")
    def times(x: int) -> int:
        calls.append(x)
        return x

    assert [times(1), times(1)] == [1, 1]
    assert calls == [1]


def test_functions_may_hold_themselves_and_each_other(cache: Cache) -> None:
    @cache.memoize("even")
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    @cache.memoize("odd")
    def odd(n: int) -> bool:
        return n > 0 and even(n - 1)

    @cache.memoize("fibonacci")
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert [even(10), odd(10), fibonacci(90)] == [True, False, 2880067194370816120]


@pytest.mark.parametrize("held", [object(), threading.Lock(), [object()], {1, 2}])
def test_what_no_key_can_be_made_of_is_refused_when_it_is_decorated(cache: Cache, held: object) -> None:
    def holds(x: object) -> tuple[object, str]:
        return x, type(held).__name__

    function: Function
    for function in (holds, functools.partial(holds, held), functools.partial(holds)):
        with pytest.raises(FunctionUnknown) as caught:
            cache.memoize("k")(function)
        assert isinstance(caught.value, CacheKeyInvalid)
        assert "key=" in caught.value.hint
    with pytest.raises(FunctionUnknown, match="its variable held: no key can be made of"):
        cache.memoize("k")(holds)
    keyed: Function = cache.memoize("k", key="a")(holds)
    assert keyed(1) == [1, type(held).__name__]
    assert cache.memoize("k", key="b")(lambda x: x)(1) == 1
    shared: Function = cache.memoize("k", key="a")(lambda x: x)
    assert shared(1) == [1, type(held).__name__]
    with pytest.raises(CacheKeyInvalid):
        cache.memoize("k", key=object())(times)


def test_what_comes_into_a_variable_later_is_refused_when_it_is_called(cache: Cache) -> None:
    @cache.memoize("k")
    def holds() -> object:
        return later

    later = object()
    with pytest.raises(FunctionUnknown, match="its variable later"):
        holds()


def test_functions_of_the_library_are_known_by_their_names(cache: Cache) -> None:
    assert cache.memoize("k")(math.sqrt)(4.0) == 2.0
    assert cache.memoize("k")(math.floor)(4.0) == 4
    assert cache.memoize("k")(str.upper)("a") == "A"
    assert cache.memoize("k")("a".join)(["x", "y"]) == "xay"
    assert cache.memoize("k")("b".join)(["x", "y"]) == "xby"


def test_async_functions_in_any_guise_are_awaited(cache: Cache) -> None:
    async def times_async(x: int, k: int) -> int:
        return x * k

    class Awaited(Times):
        async def __call__(self, x: int) -> int:  # type: ignore[override]  # what is tested
            return x * self.k

    async def main() -> list[int]:
        return [
            await cache.memoize("k")(functools.partial(times_async, k=3))(10),
            await cache.memoize("k")(functools.partial(times_async, k=4))(10),
            await cache.memoize("k")(Awaited(5))(10),
        ]

    assert asyncio.run(main()) == [30, 40, 50]


SCRIPT = """
import functools, sys
import edgeqa, helper

@edgeqa.memoize("load")
def load(name): return {0!r} + name

def make(k):
    return edgeqa.memoize("made")(lambda name: print("called") or (k + name if name in {{"x", "y", "z"}} else name))

print(load("x"), edgeqa.memoize("help")(helper.load)("x"), make({0!r})("x"))
"""


def test_two_scripts_may_have_functions_of_one_name(tmp_path: Path, run: Run) -> None:
    start = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
    for _ in range(2):
        for name in ("a", "b"):
            directory = tmp_path / name
            directory.mkdir(exist_ok=True)
            (directory / "script.py").write_text(SCRIPT.format(name), encoding="utf-8")
            (directory / "helper.py").write_text(f"def load(name): return 'helper {name} ' + name", encoding="utf-8")
            out, error = run(start, directory, directory / "script.py").communicate()
            assert error == ""
            assert out.splitlines()[-1] == f"{name}x helper {name} x {name}x"
    assert "called" not in out


def test_what_was_typed_in_is_known_by_its_code(run: Run) -> None:
    code = "import edgeqa\n@edgeqa.memoize('k')\ndef f(x):\n    print('called')\n    return {} + x\nprint(f(1))"
    outputs = [run(code.format(k)).communicate() for k in (1, 2, 1)]
    assert outputs == [("called\n2\n", ""), ("called\n3\n", ""), ("2\n", "")]


@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_function_may_call_itself_as_often_as_without_being_remembered(cache: Cache, part: float) -> None:
    @cache.memoize("depth")
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + depth(n - 1)

    levels = int(sys.getrecursionlimit() * part)
    assert depth(levels) == levels


def test_a_function_that_calls_itself_for_ever_ends_in_a_recursion_error(cache: Cache) -> None:
    @cache.memoize("depth")
    def depth(n: int) -> int:
        return depth(n + 1)

    with pytest.raises(RecursionError):
        depth(0)
