"""Tests that no tag of a shard is given twice, and that tags stay as they are written down here."""

from __future__ import annotations

from itertools import count, islice

from edgeqa.collection.shard_writer import numbered_tag


def test_no_tag_is_given_twice() -> None:
    for salt in (0, 51_966):
        given = [numbered_tag(number, salt) for number in range(40_000)]
        assert len(set(given)) == len(given)
        assert {len(t) for t in given[: 32**3]} == {3}
        assert {len(t) for t in given[32**3 :]} == {4}


def test_tags_are_pinned() -> None:
    assert [numbered_tag(number) for number in islice(count(), 4)] == ["000", "NHK", "A37", "ZMT"]
