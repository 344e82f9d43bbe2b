"""Tests that one call serves all threads, tasks and processes that want a value, though leaders fail or are killed."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import edgeqa.cache.flight
from edgeqa.cache import Cache
from edgeqa.cache.flight import Leases
from edgeqa.cache.guard import Guard
from edgeqa.cache.records import name_key
from edgeqa.cache.writer import Writer
from edgeqa.errors import CacheValueInvalid, ComputationFailed, EventLoopBlocked

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from conftest import Run

    from edgeqa.cache import Key


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
        outcome = cache._backend.flights.table[name_key("a").check].outcome()
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


def test_a_sync_call_in_the_event_loop_does_not_wait_for_a_task_of_it(cache: Cache) -> None:
    cache.on_miss("a", lambda _: 3)

    async def main() -> None:
        started, go = asyncio.Event(), asyncio.Event()

        async def slow() -> int:
            started.set()
            await go.wait()
            return 1

        task = asyncio.create_task(cache.compute_async("a", slow))
        await started.wait()
        with pytest.raises(EventLoopBlocked) as caught:
            cache.compute("a", lambda: 2)
        assert "compute_async" in caught.value.hint
        with pytest.raises(EventLoopBlocked):
            cache.get("a")
        go.set()
        assert await task == 1
        assert cache.compute("a", lambda: 2) == 1

    asyncio.run(main())


def test_a_sync_call_in_the_event_loop_does_not_wait_for_who_waits_for_a_task_of_it(cache: Cache) -> None:
    async def main() -> None:
        started, go, leads = asyncio.Event(), asyncio.Event(), threading.Event()

        async def slow() -> int:
            started.set()
            await go.wait()
            return 1

        def of_the_task() -> object:
            leads.set()
            return cache.compute("task", lambda: 2)

        task = asyncio.create_task(cache.compute_async("task", slow))
        await started.wait()
        thread = asyncio.create_task(asyncio.to_thread(cache.compute, "thread", of_the_task))
        await asyncio.to_thread(leads.wait)
        slot = cache._backend.flights.table[name_key("thread").check]
        while not slot.waits_for:
            await asyncio.sleep(0)
        with pytest.raises(EventLoopBlocked):
            cache.compute("thread", lambda: 3)
        go.set()
        assert [await task, await thread] == [1, 1]

    asyncio.run(main())


def test_a_task_that_asks_for_its_own_key_in_any_way_does_not_wait_for_itself(cache: Cache) -> None:
    async def inner() -> int:
        return 1

    async def outer() -> list[object]:
        both = await asyncio.gather(cache.compute_async("a", inner), cache.compute_async("a", inner))
        return [*both, cache.compute("a", lambda: 2, refresh=True)]

    assert asyncio.run(cache.compute_async("a", outer)) == [1, 1, 2]


def test_two_threads_that_wait_for_each_others_keys_do_not_wait(cache: Cache) -> None:
    both_lead = threading.Barrier(2)

    def ask(mine: str, other: str) -> object:
        def compute() -> list[object]:
            both_lead.wait()
            return [mine, cache.compute(other, lambda: other)]

        return cache.compute(mine, compute)

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, *keys) for keys in (("a", "b"), ("b", "a"))]
        found = [one.result(timeout=60) for one in asked]
    assert [one[0] for one in found] == ["a", "b"]  # type: ignore[index]  # lists by the line above


def test_three_tasks_that_wait_for_each_others_keys_do_not_wait(cache: Cache) -> None:
    leading: list[str] = []

    async def ask(mine: str, other: str) -> list[str]:
        async def leaf() -> str:
            return other

        async def compute() -> list[str]:
            leading.append(mine)
            while len(leading) < 3:
                await asyncio.sleep(0)
            return [mine, *await asyncio.gather(cache.compute_async(other, leaf))]

        found: list[str] = await cache.compute_async(mine, compute)
        return found

    async def main() -> tuple[list[str], ...]:
        return await asyncio.wait_for(asyncio.gather(ask("a", "b"), ask("b", "c"), ask("c", "a")), 60)

    assert [one[0] for one in asyncio.run(main())] == ["a", "b", "c"]


@pytest.mark.parametrize("is_async", [True, False])
def test_nobody_waits_longer_than_the_lease(cache: Cache, monkeypatch: pytest.MonkeyPatch, *, is_async: bool) -> None:
    started, go = threading.Event(), threading.Event()

    def slow() -> int:
        started.set()
        go.wait()
        return 1

    async def quick() -> int:
        return 2

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.compute, "a", slow)
        started.wait()
        monkeypatch.setattr(edgeqa.cache.flight, "LEASE_S", 0.01)
        second = asyncio.run(cache.compute_async("a", quick)) if is_async else cache.compute("a", lambda: 2)
        go.set()
        assert (first.result(), second) == (1, 2)


class Interrupt:
    """Raises a KeyboardInterrupt at a line of the flight's code and of what enters it, counted from 1."""

    def __init__(self, line: int) -> None:
        self.left = line
        self._files = (edgeqa.cache.flight.__file__, edgeqa.cache.__file__)

    def __enter__(self) -> Interrupt:
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _on_call(self, frame: FrameType, _event: str, _: object) -> Any:  # noqa: ANN401 - as Python calls it
        called_by = frame.f_back.f_code.co_name if frame.f_back is not None else ""
        in_del = "__del__" in (frame.f_code.co_name, called_by)  # what is raised there, Python drops
        return self._on_line if frame.f_code.co_filename in self._files and not in_del else None

    def _on_line(self, _frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - as Python calls it
        if event == "line":
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._on_line


def test_an_interrupt_at_any_line_leaves_nobody_waiting(cache: Cache) -> None:
    table = cache._backend.flights.table
    with ThreadPoolExecutor(1) as pool:
        for line in range(1, 1000):
            key = name_key(f"k{line}")
            waiting: list[Future[int]] = []

            def led(key: Key = key, waiting: list[Future[int]] = waiting) -> int:
                waiting.append(pool.submit(cache.compute, key, lambda: 1))
                while "_outcome" not in vars(table[key.check]):  # until the other waits
                    pass
                return 1

            with suppress(KeyboardInterrupt), Interrupt(line) as interrupt:
                cache.compute(key, led)
            for waiter in (*waiting, pool.submit(cache.compute, key, lambda: 1)):
                assert waiter.result(timeout=60) == 1
            assert table == {}
            if interrupt.left > 0:  # there were fewer lines
                assert line > 50
                return
    pytest.fail("it never ends")


def test_the_event_loop_goes_on_while_the_files_are_opened(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter, goes_on = Guard.enter, threading.Event()

    def slow(self: Guard, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
        assert goes_on.wait(60)
        return enter(self, *arguments, **options)

    monkeypatch.setattr(Guard, "enter", slow)

    async def main(cache: Cache) -> object:
        async def compute() -> int:
            return 1

        task = asyncio.create_task(cache.compute_async("a", compute))
        await asyncio.sleep(0)
        goes_on.set()
        return await task

    with Cache.open(directory) as cache:
        assert asyncio.run(main(cache)) == 1


def test_the_event_loop_goes_on_while_the_queue_is_full(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("first", 0)
    writer, write, goes_on = cache._backend.writer, Writer.write, threading.Event()

    def slow(self: Writer, *arguments: Any) -> None:  # noqa: ANN401 - passed on
        assert goes_on.wait(60)
        write(self, *arguments)

    async def main() -> object:
        async def compute() -> int:
            monkeypatch.setattr(writer, "has_room", lambda: False)
            return 1

        task = asyncio.create_task(cache.compute_async("a", compute))
        for _ in range(10):
            await asyncio.sleep(0)
        monkeypatch.undo()
        goes_on.set()
        return await task

    monkeypatch.setattr(Writer, "write", slow)
    assert asyncio.run(main()) == 1


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
