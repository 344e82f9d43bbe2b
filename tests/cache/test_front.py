"""Tests the table in front, and what eviction remembers of hits: both are bounded, and kind to what is hit."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.cache.commits import Hits, limits
from edgeqa.cache.front import Entry, Front, now_s
from edgeqa.cache.ledger import Ledger
from edgeqa.cache.premises import round_map

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.cache import Cache


def entry(number: int) -> Entry:
    return Entry(number.to_bytes(16, "little"), b"", None)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=300), st.integers(1, 20))
def test_the_table_never_holds_more_than_its_capacity(steps: list[tuple[bool, int]], capacity: int) -> None:
    front = Front(capacity)
    for is_add, number in steps:
        if is_add:
            front.put(number, entry(number), as_of=front.change(entry(number).digest))
            assert front.get(number) is not None
        else:
            front.get(number)
        assert len(front) <= capacity
    assert len(front._identities) <= capacity


def test_what_is_hit_outlives_what_is_not() -> None:
    front = Front(64)
    for number in range(1000):
        front.put(number, entry(number), as_of=front.change(entry(number).digest))
        assert front.get(0) is not None
    assert front.get(1) is None


def test_a_hit_is_told_to_eviction_once() -> None:
    front = Front(4)
    front.put("a", entry(1), as_of=front.change(entry(1).digest))
    assert not front.take_hit(entry(1).digest)
    front.get("a")
    assert front.take_hit(entry(1).digest)
    assert not front.take_hit(entry(1).digest)
    assert not front.take_hit(entry(2).digest)


def test_hits_are_remembered_until_they_are_asked_about() -> None:
    hits = Hits(1 << 20)
    assert not hits.take(b"a" * 16)
    hits.note(b"a" * 16)
    hits.note(b"a" * 16)
    assert hits.take(b"a" * 16)
    assert not hits.take(b"a" * 16)


@pytest.mark.parametrize("page_bytes", [4096, 16384, 65536])
@pytest.mark.parametrize("map_mib", [1, 4, 16, 64, 256, 1024])
def test_one_commit_touches_less_than_a_third_of_what_is_kept_free(page_bytes: int, map_mib: int) -> None:
    map_bytes = max(map_mib << 20, 256 * page_bytes)
    found = limits(map_bytes, page_bytes)
    touched_pages = found.batch_records + found.evict_records + 8
    assert 3 * touched_pages * page_bytes <= map_bytes - found.high_bytes
    assert 0 < found.low_bytes < found.high_bytes < map_bytes
    assert found.record_bytes >= 4 * 4096


@given(st.integers(1, 2**45))
def test_map_sizes_are_whole_pages(map_bytes: int) -> None:
    rounded = round_map(map_bytes)
    assert rounded % 4096 == 0
    assert rounded >= 1 << 20
    assert round_map(rounded) == rounded


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "add", "settle", "get"]), st.integers(0, 30), st.integers(0, 3000)),
        max_size=200,
    ),
    st.integers(1000, 40_000),
)
def test_the_table_never_holds_more_than_its_bytes(steps: list[tuple[str, int, int]], budget_bytes: int) -> None:
    front = Front(20, budget_bytes)
    for step, number, size in steps:
        digest = entry(number).digest
        if step == "put":
            front.put(number, Entry(digest, bytes(size), None), as_of=front.change(digest))
        elif step == "add":
            front.add(("alias", number), Entry(digest, bytes(size), None), as_of=front.changes[digest[-1]])
        else:
            found = front.get(number)
            if found is not None and step == "settle":
                front.keep_value(found, "é" * size, None)
        assert front.held_bytes <= budget_bytes
        assert front.held_bytes == sum(held.size_bytes for held in front.table.values())
        assert len(front) <= 20
    front.clear()
    assert front.held_bytes == 0


def test_one_thing_as_large_as_the_table_does_not_empty_it() -> None:
    front = Front(64, 100_000)
    for number in range(10):
        front.put(number, entry(number), as_of=front.change(entry(number).digest))
    large = Entry(entry(99).digest, bytes(90_000), None)
    front.put("large", large, as_of=front.change(large.digest))
    assert [number for number in range(10) if front.peek(number) is None] == []
    assert front.peek("large") is None


def test_an_identity_counts_what_it_holds() -> None:
    front = Front(64, 1 << 20)
    front.put(("question", "x" * 50_000), entry(1), as_of=front.change(entry(1).digest))
    assert 50_000 < front.held_bytes < 60_000


def test_what_stands_before_an_entry_is_counted_too() -> None:
    front, shared = Front(4), "b" * 500
    alias = (("c" * 1000,), "d" * 2000, shared, shared)
    front.put(alias, entry(1), as_of=front.change(entry(1).digest))
    # What it holds twice may be counted twice: to find that out takes longer than to look the entry up.
    assert 1000 + 2000 + 500 < front.held_bytes < 1000 + 2000 + 2 * 500 + 1000


def test_where_all_was_hit_an_eighth_makes_room_and_not_everything() -> None:
    front = Front(64)
    for number in range(64):
        front.put(number, entry(number), as_of=front.change(entry(number).digest))
    assert all(front.get(number) is not None for number in range(64))
    front.put(64, entry(64), as_of=front.change(entry(64).digest))
    assert len(front) == 57
    assert front.get(64) is not None


def test_what_was_read_before_all_was_dropped_is_not_put_at_hand_after(tmp_path: Path) -> None:
    for drop in ("clear", "another process", "another process, of this address"):
        ledger = Ledger(tmp_path / drop)
        front, read = Front(64), entry(1)
        front.watch(ledger)
        as_of = front.changes[read.digest[-1]]
        if drop == "clear":
            front.clear()
        elif drop == "another process":
            ledger.add({"epoch": 1})
        else:
            ledger.mark([read.digest])
        assert front.peek("anything") is None
        front.add("a", read, as_of=as_of)
        assert front.peek("a") is None
        front.add("a", read, as_of=front.changes[read.digest[-1]])
        assert front.peek("a") is read
        front.unwatch()
        ledger.close()


def test_what_is_over_its_time_is_not_peeked_at_either() -> None:
    front = Front(4)
    for good_until_s, is_there in ((now_s() - 1, False), (now_s() + 1000, True)):
        one = Entry(bytes(16), b"payload", good_until_s)
        front.put("a", one, as_of=front.change(one.digest))
        assert (front.peek("a") is one, front.get("a") is one) == (is_there, is_there)


def test_a_child_forked_while_a_thread_changes_the_table_begins_with_none() -> None:
    front = Front(64)
    front.put("whole", entry(1), as_of=front.change(entry(1).digest))
    front.forked()  # nobody was in the middle of anything
    assert front.peek("whole") is not None
    changing, until = threading.Event(), threading.Event()

    def change() -> None:
        with front._lock:
            front.table["half"] = entry(2)  # and not yet in what its address is at hand under
            changing.set()
            until.wait()

    thread = threading.Thread(target=change)
    thread.start()
    changing.wait()
    front.forked()
    assert (len(front), front.held_bytes, front.peek("whole"), front.peek("half")) == (0, 0, None, None)
    front.put("half", entry(2), as_of=front.change(entry(2).digest))
    assert front.peek("half") is not None
    until.set()
    thread.join()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="on this system the other clock goes on as well")
def test_a_value_at_hand_grows_older_while_the_device_sleeps(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("a", 1, ttl_s=60)
    cache.flush()
    assert cache.get("a") == 1
    asleep_s, read_clock = 3600, time.clock_gettime
    # What the system's clocks say after an hour of sleep: that of the time awake has stood still.
    monkeypatch.setattr(
        time, "clock_gettime", lambda clock: read_clock(clock) + asleep_s * (clock != time.CLOCK_MONOTONIC)
    )
    monkeypatch.setattr("edgeqa.cache._now_ms", lambda: int(1000 * (time.time() + asleep_s)))
    assert cache.get("a") is None
