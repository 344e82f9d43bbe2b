"""Tests that JSON files that end in their checksum have their golden bytes, and that no changed bit passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa import files
from edgeqa.collection.snapshot import FORMAT, FORMER, ShardRange, Snapshot

FACTS = {"format": 2, "name": "caf\u00e9", "shards": [["8YG", 0, 6]]}
RAW = b'{"format": 2, "name": "caf\\u00e9", "shards": [["8YG", 0, 6]], "check": "d8eb0fec9d7e9700f3b6fa84d9fa3abc"}\n'


def test_the_bytes() -> None:
    assert files.pack_checked(FACTS) == RAW
    assert files.unpack_checked(RAW) == FACTS


@given(st.integers(0, 8 * len(RAW) - 1))
def test_no_changed_bit_passes(bit: int) -> None:
    raw = bytearray(RAW)
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="wrong checksum"):
        files.unpack_checked(bytes(raw))


@pytest.mark.parametrize("raw", [b"", b"{}", RAW[:-1], RAW + b"\n", RAW + RAW, b" " + RAW, b'{"format": 2}\n'])
def test_what_is_not_whole_does_not_pass(raw: bytes) -> None:
    with pytest.raises(ValueError, match="wrong checksum"):
        files.unpack_checked(raw)


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.lists(st.text())), min_size=1))
def test_any_facts_come_back(facts: dict[str, object]) -> None:
    assert files.unpack_checked(files.pack_checked(facts)) == facts


def test_a_snapshot_of_the_former_format_has_no_checksum() -> None:
    facts = {"digest": "d", "encoder": "e", "bundle": "b", "contexts": 3, "documents": 1, "shards": [["A1", 0, 2]]}
    raw = files.pack_checked({"format": FORMAT, **facts})
    assert Snapshot.parse(raw, Path("snapshot.json")).shards == (ShardRange("A1", 0, 2),)
    former = json.dumps({"format": FORMER, **facts}).encode()
    assert Snapshot.parse(former, Path("snapshot.json")).format == FORMER
    with pytest.raises(ValueError, match="wrong checksum"):
        Snapshot.parse(raw.replace(b'"format": 2', b'"format": 1'), Path("snapshot.json"))
