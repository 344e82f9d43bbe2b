"""Tests that `memoize` calls a function once for equal arguments, and that the decorated function looks like itself."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import runpy
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import edgeqa
from edgeqa import cache as cache_module
from edgeqa.cache import flight
from edgeqa.errors import CacheKeyInvalid, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.cache import Cache


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


def test_equal_arguments_are_one_call(cache: Cache) -> None:
    calls: list[object] = []

    @cache.memoize("squares")
    def square(x: float, *, offset: int = 0) -> float:
        """Returns a square."""
        calls.append(x)
        return x * x + offset

    assert [square(3), square(3), square(3.0), square(3, offset=1)] == [9, 9, 9.0, 10]
    assert calls == [3, 3.0, 3]
    assert square.__doc__ == "Returns a square."
    assert square.__name__ == "square"
    with pytest.raises(CacheKeyInvalid):
        square(object())  # type: ignore[arg-type]  # what is tested


def test_functions_of_two_scripts_that_one_process_ran_are_told_apart(cache: Cache, tmp_path: Path) -> None:
    for factor in (2, 5):
        script = tmp_path / f"times{factor}.py"
        script.write_text(f"FACTOR = {factor}\ndef times(number):\n    return number * FACTOR\n", encoding="utf-8")
        times = runpy.run_path(str(script), run_name="__main__")["times"]
        assert cache.memoize("times")(times)(3) == 3 * factor


def test_a_call_that_another_thread_makes_already_is_waited_for(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    leads, go = threading.Event(), threading.Event()
    outcome = flight._Slot.outcome

    @cache.memoize("slow", key="twice")
    def twice(number: int) -> int:
        calls.append(number)
        leads.set()
        assert go.wait(60)
        return 2 * number

    def wanted(slot: flight._Slot) -> object:
        found = outcome(slot)
        go.set()  # once another waits for it
        return found

    monkeypatch.setattr(flight._Slot, "outcome", wanted)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(twice, 3)
        assert leads.wait(60)
        assert twice(3) == 6
        assert first.result(60) == 6
    assert calls == [3]


def test_async_functions_stay_async(cache: Cache) -> None:
    calls: list[int] = []

    @cache.memoize("squares")
    async def square(x: int) -> int:
        calls.append(x)
        return x * x

    async def main() -> list[int]:
        return [*await asyncio.gather(square(3), square(3)), await square(3)]

    assert inspect.iscoroutinefunction(square)
    assert asyncio.run(main()) == [9, 9, 9]
    assert calls == [3]


def test_a_dataclass_is_given_back_as_the_named_type(cache: Cache) -> None:
    @cache.memoize("points", as_type=Point)
    def point(x: int) -> Point:
        return Point(x)

    assert [point(1), point(1)] == [Point(1), Point(1)]


def one() -> int:
    return 1


def two() -> int:
    return 2


def test_another_version_or_function_is_another_key(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.memoize("k")(one)() == 1
    assert cache.memoize("k")(two)() == 2
    monkeypatch.setattr(one, "__code__", two.__code__)
    assert cache.memoize("k")(one)() == 1
    assert cache.memoize("k", version="2")(one)() == 2


@pytest.fixture
def users_cache() -> Iterator[None]:
    cache_module._users_cache.cache_clear()
    yield
    cache_module._users_cache().close()
    cache_module._users_cache.cache_clear()


@pytest.mark.usefixtures("users_cache", "home")
def test_without_a_cache_the_users_is_used() -> None:
    calls: list[int] = []

    @edgeqa.memoize("squares", ttl_s=60)
    def square(x: int) -> int:
        calls.append(x)
        return x * x

    assert [square(4), square(4)] == [16, 16]
    assert calls == [4]


@pytest.mark.parametrize("keyspace", [len, 5, None])
def test_a_keyspace_that_is_no_name_is_an_error_that_shows_how_to_write_it(keyspace: object) -> None:
    with pytest.raises(OptionError, match="keyspace cannot be") as caught:
        edgeqa.memoize(keyspace)  # type: ignore[arg-type]
    assert '@memoize("squares")' in caught.value.hint
