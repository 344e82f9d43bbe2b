"""Tests that `Cache` gives what was put, also to others, and that values expire, are evicted and forgotten."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import edgeqa.cache
from edgeqa.cache import Cache
from edgeqa.cache.commits import Hits
from edgeqa.cache.front import now_s
from edgeqa.cache.records import name_key
from edgeqa.errors import CacheKeyInvalid, CacheValueInvalid, OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

MIB = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    text: str
    start: int


def stored_only(cache: Cache) -> Cache:
    """Waits for the writer and empties the table in front, so that the next `get` goes to the file."""
    cache.flush()
    cache.front.clear()
    return cache


def test_what_is_put_is_got_at_once_and_from_the_file(cache: Cache) -> None:
    cache.put("a", {"x": [1, None, b"y"]})
    assert cache.get("a") == {"x": [1, None, b"y"]}
    assert stored_only(cache).get("a") == {"x": [1, None, b"y"]}
    assert cache.get("b") is None
    assert cache.get("b", 7) == 7


def test_none_is_a_value(cache: Cache) -> None:
    cache.put("a", None)
    assert cache.get("a", 7) is None
    assert stored_only(cache).get("a", 7) is None


def test_the_last_put_wins(cache: Cache) -> None:
    for value in range(100):
        cache.put("a", value)
    assert cache.get("a") == 99
    assert stored_only(cache).get("a") == 99
    assert cache.stats().entries == 1


def test_values_outlive_the_cache_object(directory: Path) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", 1)
    with Cache.open(directory) as cache:
        assert cache.get("a") == 1


def test_another_process_sees_what_was_flushed(cache: Cache, directory: Path, run: Run) -> None:
    cache.put("a", "ä")
    cache.flush()
    code = "import sys; from edgeqa.cache import Cache; print(ascii(Cache.open(sys.argv[1]).get('a')))"
    assert run(code, directory).communicate()[0] == "'\\xe4'\n"


def test_what_a_process_put_is_written_when_it_ends(directory: Path, run: Run) -> None:
    code = "import sys; from edgeqa.cache import Cache; Cache.open(sys.argv[1]).put('a', 1)"
    assert run(code, directory).communicate() == ("", "")
    with Cache.open(directory) as cache:
        assert cache.get("a") == 1


def test_a_got_list_is_the_callers_own(cache: Cache) -> None:
    cache.put("a", [1])
    cache.get("a").append(2)
    assert cache.get("a") == [1]


def test_a_dataclass_comes_back_as_the_named_type(cache: Cache) -> None:
    cache.put("a", Reply("x", 3))
    for look in (cache, stored_only(cache)):
        assert look.get("a", as_type=Reply) == Reply("x", 3)
        assert look.get("a") == {"text": "x", "start": 3}


def test_a_value_that_no_longer_fits_its_type_is_a_counted_miss(cache: Cache) -> None:
    cache.put("a", {"text": "x", "begin": 3})
    assert cache.get("a", "default", as_type=Reply) == "default"
    assert cache.stats().faults == {"shape": 1}
    assert cache.get("a") == {"text": "x", "begin": 3}


def test_two_caches_on_one_directory_share_a_file_and_a_table(directory: Path) -> None:
    with Cache.open(directory) as first:
        with Cache.open(directory) as second:
            first.put("a", 1)
            assert second.get("a") == 1
        first.put("b", 2)
        assert stored_only(first).get("b") == 2


def test_closing_twice_and_using_a_closed_cache_are_harmless(directory: Path) -> None:
    cache = Cache.open(directory)
    cache.put("a", 1)
    cache.close()
    cache.close()
    cache.put("b", 2)
    assert cache.get("c") is None
    cache.flush()
    with Cache.open(directory) as again:
        assert (again.get("a"), again.get("b")) == (1, None)


def test_values_expire(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = [1_000_000_000_000]
    monkeypatch.setattr(edgeqa.cache, "_now_ms", lambda: now_ms[0])
    with Cache.open(directory, ttl_s=10) as cache:
        cache.put("default", 1)
        cache.put("longer", 2, ttl_s=20)
        now_ms[0] += 9_999
        assert [stored_only(cache).get(name) for name in ("default", "longer")] == [1, 2]
        now_ms[0] += 1
        assert [stored_only(cache).get(name) for name in ("default", "longer")] == [None, 2]


def test_values_at_hand_expire(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("a", 1, ttl_s=1000)
    later_s = now_s() + 1001
    monkeypatch.setattr("edgeqa.cache.front.now_s", lambda: later_s)
    assert cache.front.get(name_key("a").check) is None


def test_a_clock_that_is_set_back_keeps_nothing_alive_and_breaks_no_eviction(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = [1_000_000_000_000]
    monkeypatch.setattr(edgeqa.cache, "_now_ms", lambda: now_ms[0])
    with Cache.open(directory, map_bytes=MIB) as cache:
        cache.put("short", 1, ttl_s=60)
        cache.put("for ever", 2)
        now_ms[0] -= 365 * 86_400_000
        assert stored_only(cache).get("short") is None
        assert cache.get("for ever") == 2
        for number in range(4000):
            cache.put(f"n{number}", "x" * 300)
        assert stored_only(cache).get("n3999") == "x" * 300
        assert cache.stats().evictions > 0
        assert cache.check() == []


def test_forgetting(cache: Cache) -> None:
    cache.put("a", 1)
    assert cache.forget("a")
    assert cache.get("a") is None
    assert stored_only(cache).get("a") is None
    assert not cache.forget("a")
    cache.put("a", 2)
    assert stored_only(cache).get("a") == 2


def test_forgetting_drops_every_alias(cache: Cache) -> None:
    key = name_key("a")
    cache.put(key, "x")
    cache.bind(("question", "context"), key, "shown")
    found = cache.front.get(("question", "context"))
    assert found is not None
    assert found.value == "shown"
    cache.forget(key)
    assert cache.front.get(("question", "context")) is None


def test_putting_again_drops_every_alias(cache: Cache) -> None:
    key = name_key("a")
    cache.put(key, "x")
    cache.bind("alias", key, "shown")
    cache.put(key, "y")
    assert cache.front.get("alias") is None


def test_an_alias_of_a_missing_key_is_not_kept(cache: Cache) -> None:
    cache.bind("alias", name_key("a"), "shown")
    assert cache.front.get("alias") is None


@pytest.mark.parametrize("method", ["forget('a')", "clear()"])
def test_another_process_that_forgets_is_heard_by_the_table_in_front(
    cache: Cache, directory: Path, run: Run, method: str
) -> None:
    cache.put("a", 1)
    cache.flush()
    assert cache.get("a") == 1
    code = f"import sys; from edgeqa.cache import Cache; c = Cache.open(sys.argv[1]); c.{method}; c.close()"
    assert run(code, directory).communicate() == ("", "")
    assert cache.get("a") is None


def test_clearing(cache: Cache) -> None:
    for number in range(100):
        cache.put(f"n{number}", number)
    cache.clear()
    assert cache.get("n5") is None
    assert cache.stats().entries == 0
    cache.put("a", 1)
    assert stored_only(cache).get("a") == 1
    assert cache.check() == []


def test_explain(cache: Cache) -> None:
    cache.put("a", "x", ttl_s=60)
    found = cache.explain("a")
    assert (found.hit, found.why, found.fields, found.provenance) == (True, "stored", (b"a",), "test 1")
    assert found.remaining_ms is not None
    assert 0 < found.remaining_ms <= 60_000
    missing = cache.explain("b")
    assert (missing.hit, missing.why, missing.stored_at_ms) == (False, "not stored", None)
    assert cache.stats().misses == 0


def test_stats_count_what_happened(cache: Cache) -> None:
    cache.put("a", 1)
    cache.get("a")
    cache.get("missing")
    stored_only(cache).get("a")
    stats = cache.stats()
    assert (stats.hits_front, stats.hits_store, stats.misses, stats.puts) == (1, 1, 1, 1)
    assert stats.hit_ratio == pytest.approx(2 / 3)
    assert (stats.state, stats.persist, stats.entries, stats.faults) == ("open", "disk", 1, {})


def test_peeking_counts_nothing_and_calls_nobody(cache: Cache) -> None:
    cache.on_miss("*", lambda key: pytest.fail(f"{key} was peeked at"))
    cache.put("a", [1])
    assert (cache.peek("a"), cache.peek("missing"), cache.peek("missing", 7)) == ([1], None, 7)
    assert stored_only(cache).peek("a", as_type=list) == [1]
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.hit_ratio, len(cache.front)) == (0, 0, None, 0)


def names_apart(count: int, map_bytes: int) -> list[str]:
    """Returns names of keys whose hits are noted each in a place of its own; which places, differs from run to run."""
    hits, names = Hits(map_bytes), list[str]()
    for number in itertools.count():
        digest = name_key(f"used{number}").digest
        shared = hits.take(digest)
        hits.note(digest)
        if not shared:
            names.append(f"used{number}")
        if len(names) == count:
            break
    return names


def test_what_was_peeked_at_gets_a_second_chance(directory: Path) -> None:
    used = names_apart(20, MIB)
    with Cache.open(directory, map_bytes=MIB, front_entries=1) as cache:
        for name in used:
            cache.put(name, "x" * 300)
        cache.flush()
        cache.front.clear()
        for name in used:
            assert cache.peek(name) == "x" * 300
        number = 0
        while cache.stats().evictions < 200:
            for _ in range(100):
                cache.put(f"new{number}", "x" * 300)
                number += 1
            cache.flush()  # so that not more than a round goes by
        assert [cache.peek(name) for name in used] == ["x" * 300] * 20


def test_a_forked_child_does_not_count_what_its_parent_did(directory: Path) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", 1)
        cache.flush()
        for _ in range(3):
            cache.get("a")
        cache.get("missing")
        pid = os.fork()
        if pid == 0:
            cache.get("missing too")
            cache.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert (cache.stats().hits, cache.stats().misses) == (3, 2)


def test_totals_outlive_the_process(directory: Path) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", 1)
        cache.get("a")
    with Cache.open(directory) as cache:
        assert (cache.stats().hits, cache.stats().puts) == (1, 1)


def test_off_remembers_nothing(tmp_path: Path) -> None:
    calls: list[int] = []
    with Cache.open(tmp_path / "never", persist="off") as cache:
        cache.put("a", 1)
        assert cache.get("a") is None
        assert cache.compute("a", lambda: calls.append(1)) is None
        assert cache.compute("a", lambda: calls.append(1)) is None
        assert (cache.stats().state, len(calls), cache.check()) == ("off", 2, [])
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    "options", [{"persist": "tape"}, {"map_bytes": 0}, {"ttl_s": 0}, {"ttl_s": -1}, {"ttl_s": float("nan")}]
)
def test_wrong_options_are_refused(directory: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Cache.open(directory, **options)
    assert not directory.exists()


def test_wrong_keys_and_values_are_refused(cache: Cache) -> None:
    with pytest.raises(CacheKeyInvalid):
        cache.get(5)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(CacheValueInvalid):
        cache.put("a", object())
    with pytest.raises(OptionError):
        cache.put("a", 1, ttl_s=0)


def test_a_hit_writes_nothing_to_the_data_file(directory: Path) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", 1)
    file = directory / "format-1" / "data.mdb"
    before = (file.stat().st_mtime_ns, file.read_bytes(), (file.parent / "seal").stat().st_mtime_ns)
    with Cache.open(directory) as cache:
        assert cache.get("a") == 1
        assert cache.get("b") is None
    assert (file.stat().st_mtime_ns, file.read_bytes(), (file.parent / "seal").stat().st_mtime_ns) == before


def test_the_oldest_go_first_but_those_that_were_hit_get_a_second_chance(directory: Path) -> None:
    old = names_apart(20, MIB)
    with Cache.open(directory, map_bytes=MIB) as cache:
        for name in old:
            cache.put(name, "x" * 300)
        for name in old[::2]:
            assert stored_only(cache).get(name) is not None
        filler = 0
        while cache.stats().evictions < 200:
            for _ in range(100):
                cache.put(f"filler{filler}", "x" * 300)
                filler += 1
            cache.flush()
        kept = [stored_only(cache).get(name) is not None for name in old]
        assert kept == [True, False] * 10
        assert cache.stats().second_chances >= 10
        assert cache.check() == []


@pytest.mark.parametrize("value_bytes", [1, 300, 3000, 14_000])
def test_the_map_never_fills(directory: Path, value_bytes: int) -> None:
    with Cache.open(directory, map_bytes=MIB) as cache:
        for number in range(6 * MIB // (value_bytes + 200)):
            cache.put(f"n{number}", "x" * value_bytes)
        cache.flush()
        stats = cache.stats()
        assert (stats.faults, cache.check()) == ({}, [])
        assert stats.evictions > 0
        assert 0.5 * MIB < stats.used_bytes < 0.85 * MIB


def test_a_value_too_large_for_the_map_is_not_stored_and_counted(directory: Path) -> None:
    with Cache.open(directory, map_bytes=MIB) as cache:
        cache.put("a", "x" * 100_000)
        cache.flush()
        assert cache.stats().faults == {"too_large": 1}
        assert cache.get("a") == "x" * 100_000  # this process still has it


def test_many_threads(cache: Cache) -> None:
    wrong: list[object] = []

    def work(worker: int) -> None:
        for number in range(300):
            name = f"n{number % 50}"
            cache.put(name, [name] * 3)
            found = cache.get(name)
            if found != [name] * 3:
                wrong.append((worker, found))
            if number % 100 == 0:
                cache.front.clear()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (wrong, cache.check(), cache.stats().entries) == ([], [], 50)


def test_a_forked_child_has_a_cache_of_its_own_and_leaves_the_parents_alone(cache: Cache) -> None:
    cache.put("queued", 1)
    child = os.fork()
    if child == 0:
        ok = cache.get("queued") == 1
        cache.put("from the child", 2)
        cache.flush()
        ok = ok and stored_only(cache).get("from the child") == 2 and cache.check() == []
        cache.close()
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert stored_only(cache).get("from the child") == 2
    assert cache.get("queued") == 1
    cache.put("after", 3)
    assert stored_only(cache).get("after") == 3
    assert (cache.check(), cache.stats().faults) == ([], {})


def test_a_child_of_multiprocessing_writes_what_it_put(directory: Path, run: Run) -> None:
    code = """
import multiprocessing, sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
cache.put("parent", 1)
child = multiprocessing.get_context("fork").Process(target=cache.put, args=("child", 2))
child.start(); child.join()
cache.close()
"""
    assert run(code, directory).communicate() == ("", "")
    with Cache.open(directory) as cache:
        assert (cache.get("parent"), cache.get("child")) == (1, 2)


def test_a_durable_cache(directory: Path) -> None:
    with Cache.open(directory, durable=True) as cache:
        cache.put("a", 1)
        assert stored_only(cache).get("a") == 1


class Model(RuleBasedStateMachine):
    """A cache against a dict: whatever is done in whatever order, a hit is the last value put, and nothing else."""

    names = st.sampled_from([f"n{number}" for number in range(6)])

    @initialize()
    def start(self) -> None:
        import tempfile

        self.place = tempfile.TemporaryDirectory()
        self.cache = Cache.open(self.place.name, map_bytes=MIB, front_entries=3)
        self.expected: dict[str, object] = {}

    @rule(name=names, value=st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3))
    def put(self, name: str, value: object) -> None:
        self.cache.put(name, value)
        self.expected[name] = value

    @rule(name=names)
    def forget(self, name: str) -> None:
        assert self.cache.forget(name) == (name in self.expected)
        self.expected.pop(name, None)

    @rule()
    def flush(self) -> None:
        stored_only(self.cache)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.expected.clear()

    @rule()
    def reopen(self) -> None:
        self.cache.close()
        self.cache = Cache.open(self.place.name, map_bytes=MIB, front_entries=3)

    @invariant()
    def what_is_got_is_what_was_put(self) -> None:
        if hasattr(self, "cache"):
            for number in range(6):
                assert self.cache.get(f"n{number}", "missing") == self.expected.get(f"n{number}", "missing")

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            assert self.cache.check() == []
            assert self.cache.stats().faults == {}
            self.cache.close()
            self.place.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


FORKS_UNDER_READERS = """
import os, sys, threading
from edgeqa.cache import Cache
with Cache.open(sys.argv[1], front_entries=8) as cache:
    for n in range(500):
        cache.put(f"n{n}", [n] * 5)
    cache.flush()
    wrong, stop = [], threading.Event()
    def read(n):
        while not stop.is_set():
            n = (n * 7 + 13) % 500
            if cache.get(f"n{n}") != [n] * 5:
                wrong.append(n)
            cache.put(f"p{n}", n)
    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        child = os.fork()
        if not child:
            ok = all(cache.get(f"n{n}") == [n] * 5 for n in range(50))
            cache.put(f"child{turn}", turn)
            cache.close()
            os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for thread in threads:
        thread.join()
    print(wrong, [cache.get(f"child{turn}") for turn in range(20)] == list(range(20)), cache.check())
"""


def test_a_process_may_fork_while_its_threads_read_and_write(directory: Path, run: Run) -> None:
    process = run("import warnings; warnings.simplefilter('ignore')\n" + FORKS_UNDER_READERS, directory)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert output == "[] True []\n"
