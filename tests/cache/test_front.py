"""The table in front, and what eviction remembers of hits: bounded, and kind to what is hit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.cache.eviction import Hits, limits
from edgeqa.cache.front import Entry, Front
from edgeqa.cache.header import round_map


def entry(number: int) -> Entry:
    return Entry(number.to_bytes(16, "little"), b"", None)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=300), st.integers(1, 20))
def test_the_table_never_holds_more_than_its_capacity(steps: list[tuple[bool, int]], capacity: int) -> None:
    front = Front(capacity)
    for is_add, number in steps:
        if is_add:
            front.add(number, entry(number))
            assert front.get(number) is not None
        else:
            front.get(number)
        assert len(front) <= capacity
    assert len(front._digests) <= capacity


def test_what_is_hit_outlives_what_is_not() -> None:
    front = Front(64)
    for number in range(1000):
        front.add(number, entry(number))
        assert front.get(0) is not None
    assert front.get(1) is None


def test_a_hit_is_told_to_eviction_once() -> None:
    front = Front(4)
    front.add("a", entry(1))
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
