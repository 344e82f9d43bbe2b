"""Single flight: one call, however many threads, tasks and processes want the value; killed and failing leaders."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import edgeqa.cache.flight
from edgeqa.cache import Cache
from edgeqa.cache.keys import name_key
from edgeqa.cache.leases import Leases
from edgeqa.errors import CacheValueInvalid, ComputationFailed

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run


def test_many_threads_cause_one_call(cache: Cache) -> None:
    calls: list[int] = []
    callers = 16
    all_wait = threading.Event()

    def slow() -> list[int]:
        calls.append(1)
        all_wait.wait()
        return [5]

    with ThreadPoolExecutor(callers) as pool:
        results = [pool.submit(cache.compute, "a", slow) for _ in range(callers)]
        all_wait.set()
        assert [result.result() for result in results] == [[5]] * callers
    assert calls == [1]


def test_who_joins_while_the_leader_lands_waits_for_no_one_in_vain(cache: Cache) -> None:
    callers, keys = 4, 100
    together = threading.Barrier(callers)

    def ask() -> list[int]:
        found = []
        for number in range(keys):
            together.wait()
            found.append(cache.compute(f"a{number}", partial(int, number)))
        return found

    with ThreadPoolExecutor(callers) as pool:
        asked = [pool.submit(ask) for _ in range(callers)]
        assert [one.result(timeout=60) for one in asked] == [list(range(keys))] * callers


def test_an_error_reaches_all_waiters_and_nothing_is_stored(cache: Cache) -> None:
    calls: list[int] = []
    started, fail = threading.Event(), threading.Event()

    def failing() -> int:
        calls.append(1)
        started.set()
        fail.wait()
        raise KeyError(calls)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.compute, "a", failing)
        started.wait()
        flights = cache._backend.flights
        _, outcome = flights._join(name_key("a"), None)
        assert outcome is not None
        waiters = [pool.submit(outcome.result) for _ in range(3)]
        fail.set()
        for result in (first, *waiters):
            with pytest.raises(KeyError):
                result.result()
    assert calls == [1]
    assert cache.get("a") is None
    assert cache.compute("a", lambda: 7) == 7


def test_a_leader_that_is_interrupted_hands_over(cache: Cache) -> None:
    started, interrupt = threading.Event(), threading.Event()

    def interrupted() -> int:
        started.set()
        interrupt.wait()
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.compute, "a", interrupted)
        started.wait()
        second = pool.submit(cache.compute, "a", lambda: 7)
        interrupt.set()
        assert second.result() == 7
        with pytest.raises(KeyboardInterrupt):
            first.result()


def test_a_function_that_asks_for_its_own_key_does_not_wait_for_itself(cache: Cache) -> None:
    assert cache.compute("a", lambda: [cache.compute("a", lambda: 1)]) == [1]


def test_what_a_miss_gives_is_what_a_hit_gives(cache: Cache) -> None:
    assert cache.compute("a", lambda: (1, [2])) == [1, [2]]
    assert cache.compute("a", lambda: None) == [1, [2]]


def test_a_value_that_cannot_be_kept_is_an_error(cache: Cache) -> None:
    with pytest.raises(CacheValueInvalid):
        cache.compute("a", object)
    with pytest.raises(CacheValueInvalid, match="does not come back"):
        cache.compute("a", lambda: "text", as_type=int)
    assert cache.compute("a", lambda: 1) == 1


def test_refreshing_calls_again(cache: Cache) -> None:
    assert cache.compute("a", lambda: 1) == 1
    assert cache.compute("a", lambda: 2) == 1
    assert cache.compute("a", lambda: 3, refresh=True) == 3
    assert cache.get("a") == 3


def test_a_miss_is_counted_once(cache: Cache) -> None:
    cache.compute("a", lambda: 1)
    cache.compute("a", lambda: 1)
    assert (cache.stats().misses, cache.stats().hits) == (1, 1)


def test_handlers_make_missing_values(cache: Cache) -> None:
    asked: list[object] = []

    def handler(key: str) -> str:
        asked.append(key)
        return f"answer to {key}"

    cache.on_miss("bertqa*", handler)
    for _ in range(2):
        assert cache.get("bertqa{8YG}_a.xml:10_Who?") == "answer to bertqa{8YG}_a.xml:10_Who?"
    assert cache.get("other") is None
    assert asked == ["bertqa{8YG}_a.xml:10_Who?"]


def test_a_handler_that_raises_is_heard_and_stores_nothing(cache: Cache) -> None:
    cache.on_miss("*", lambda key: 1 // len(key))
    with pytest.raises(ZeroDivisionError):
        cache.get("")
    assert cache.get("ab") == 0


def test_async_callers_cause_one_call_and_do_not_block_the_loop(cache: Cache) -> None:
    calls: list[int] = []

    async def main() -> list[Any]:
        go = asyncio.Event()

        async def slow() -> int:
            calls.append(1)
            await go.wait()
            return 5

        tasks = [asyncio.create_task(cache.compute_async("a", slow)) for _ in range(10)]
        await asyncio.sleep(0)
        go.set()  # would never come if a waiter blocked the loop
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [5] * 10
    assert calls == [1]


def test_an_async_leader_that_is_cancelled_hands_over_and_a_cancelled_waiter_harms_nobody(cache: Cache) -> None:
    async def main() -> list[Any]:
        started = asyncio.Event()

        async def never() -> int:
            started.set()
            await asyncio.Event().wait()
            return 1

        async def quick() -> int:
            return 7

        leader = asyncio.create_task(cache.compute_async("a", never))
        await started.wait()
        waiters = [asyncio.create_task(cache.compute_async("a", quick)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        await asyncio.sleep(0)
        leader.cancel()
        return await asyncio.gather(leader, *waiters, return_exceptions=True)

    results = asyncio.run(main())
    assert [type(result) for result in results[:2]] == [asyncio.CancelledError] * 2
    assert results[2:] == [7, 7]


def test_an_async_error_reaches_all(cache: Cache) -> None:
    async def main() -> list[Any]:
        go = asyncio.Event()

        async def failing() -> int:
            await go.wait()
            raise KeyError(go)

        tasks = [asyncio.create_task(cache.compute_async("a", failing)) for _ in range(3)]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(error) for error in asyncio.run(main())] == [KeyError] * 3


COMPUTE = """
import sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
def slow():
    print("computing", flush=True)
    word = sys.stdin.readline().strip()
    if word == "fail":
        raise LookupError("no such thing")
    return word
cache.flush()
print("open", cache.get("other"), flush=True)
try:
    print("got", cache.compute("a", slow), flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
cache.close()
"""


def test_many_processes_cause_one_call(directory: Path, run: Run) -> None:
    first = run(COMPUTE, directory)
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["open None\n", "computing\n"]
    others = [run(COMPUTE, directory) for _ in range(3)]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "open None\n"
    outputs = [first.communicate("value\n")[0], *(other.communicate("another\n")[0] for other in others)]
    assert outputs == ["got value\n"] * 4


def test_if_the_computing_process_is_killed_another_takes_over(directory: Path, run: Run) -> None:
    first, second = run(COMPUTE, directory), None
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["open None\n", "computing\n"]
    second = run(COMPUTE, directory)
    assert second.stdout is not None
    assert second.stdout.readline() == "open None\n"
    first.send_signal(signal.SIGKILL)
    assert second.communicate("value\n")[0] == "computing\ngot value\n"


def test_an_error_reaches_those_who_wait_in_other_processes(
    directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(COMPUTE, directory)
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["open None\n", "computing\n"]
    waiting = threading.Event()
    real = Leases.take

    def take(self: Leases, key: Any) -> bool:  # noqa: ANN401 - passed on
        taken = real(self, key)
        waiting.set()
        return taken

    monkeypatch.setattr(Leases, "take", take)
    with Cache.open(directory) as cache, ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(cache.compute, "a", lambda: "computed here")
        waiting.wait()
        assert first.communicate("fail\n")[0] == "LookupError no such thing\n"
        with pytest.raises(ComputationFailed, match="LookupError: no such thing"):
            waiter.result()
        assert cache.compute("a", lambda: "computed here") == "computed here"


def test_a_leader_that_takes_too_long_is_not_waited_for(
    directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(COMPUTE, directory)
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["open None\n", "computing\n"]
    monkeypatch.setattr(edgeqa.cache.flight, "LEASE_S", 0.01)
    with Cache.open(directory) as cache:
        assert cache.compute("a", lambda: "computed here") == "computed here"


def test_a_damaged_note_of_failure_is_no_news(tmp_path: Path) -> None:
    leases, key = Leases(tmp_path / "leases"), name_key("a")
    leases.note_failure(key, "KeyError", "x")
    assert isinstance(leases.failure_since(key, 0), ComputationFailed)
    assert leases.failure_since(name_key("b"), 0) is None
    data = bytearray((tmp_path / "leases").read_bytes())
    at = data.index(b"KeyError")
    data[at] ^= 1
    (tmp_path / "leases").write_bytes(data)
    assert leases.failure_since(key, 0) is None
    leases.close()
    leases.close()
