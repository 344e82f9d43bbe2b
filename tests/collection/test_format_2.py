"""Tests format 2 of a collection byte by byte, in each file; `test_layout` has records, rows and encodings."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import former
import pytest
from filling import ENCODER, fill, open_writer, put
from hypothesis import given
from hypothesis import strategies as st

from edgeqa import files
from edgeqa.collection import catalogue_rows, seals
from edgeqa.collection.catalogue_rows import WHOLE, DocumentRow, SourceRow
from edgeqa.collection.collection import load_snapshot
from edgeqa.collection.shard import Manifest, Shard
from edgeqa.collection.snapshot import CATALOGUE, SHARDS, ShardRange, Snapshot

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = SourceRow(3, b"/a\xff.md", "a.md", b"\x01\x02", 160, "enc", WHOLE, "markdown 3", 1)
DOCUMENT = DocumentRow(7, 3, "a.md#2", "Pump \u00e9", "8YG", 10, 2, whole=True)
LINES = (
    b'["source", 3, "2f61ff2e6d64", "a.md", "0102", 160, "enc", 2, "markdown 3", 1]\n'
    b'["document", 7, 3, "#2", "Pump \\u00e9", "8YG", 10, 2, true]\n'
)
GONE = bytes.fromhex(
    "676f6e65" "04000000" "0300000000000000" "0500000000000000" "0900000000000000" "0a00000000000000" "72b06f87be52c8a0"
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


def test_the_lines_of_documents() -> None:
    assert catalogue_rows.pack_documents([SOURCE], [DOCUMENT]) == LINES
    assert catalogue_rows.unpack_documents(LINES) == ([SOURCE], [DOCUMENT])


@pytest.mark.parametrize("raw", [b"[]\n", b"{}\n", b'["document", 7, 3, "", "", "", 0, 0, true]\n', b"\xff\n"])
def test_lines_that_are_none_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"documents|unpack|decode|column"):
        catalogue_rows.unpack_documents(raw)


def test_the_bytes_of_what_is_gone() -> None:
    assert catalogue_rows.pack_gone([(3, 5), (9, 10)], 4) == GONE
    assert catalogue_rows.unpack_gone(GONE) == ([(3, 5), (9, 10)], 4)


def test_the_bytes_of_what_ended_later() -> None:
    later = catalogue_rows.LateEnds(frozenset({7, 3}), {5: WHOLE})
    raw = b'{"format": 2, "documents": [3, 7], "sources": [[5, 2]], "check": "74bd8386ce218de3084f09fcd08ae84f"}\n'
    assert later.pack() == raw
    assert catalogue_rows.LateEnds.unpack(raw) == later
    sources, documents = later.of([replace(SOURCE, id=5, state=1)], [replace(DOCUMENT, whole=False)])
    assert (sources[0].state, documents[0].whole) == (WHOLE, True)
    assert later.and_then(catalogue_rows.LateEnds(frozenset({8}), {5: 1, 6: 2})) == catalogue_rows.LateEnds(
        frozenset({3, 7, 8}), {5: 1, 6: 2}
    )


@given(st.integers(0, 8 * len(GONE) - 1))
def test_no_changed_bit_of_what_is_gone_passes(bit: int) -> None:
    raw = bytearray(GONE)
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="wrong checksum"):
        catalogue_rows.unpack_gone(bytes(raw))


@given(st.sets(st.integers(0, 60)), st.integers(0, 40), st.integers(1, 30))
def test_what_is_gone_is_what_is_not_kept(kept: set[int], first: int, count: int) -> None:
    ranges = [(one, one + 1) for one in sorted(kept)]
    gone = list(catalogue_rows.without(first, first + count, ranges))
    assert [one for begin, end in gone for one in range(begin, end)] == [
        one for one in range(first, first + count) if one not in kept
    ]
    assert all(begin < end for begin, end in gone)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9))))
def test_ranges_together_are_the_same_ids_apart(drawn: list[tuple[int, int]]) -> None:
    parts = [(first, first + count) for first, count in drawn]
    joined = list(catalogue_rows.together(parts))
    assert {n for first, after in joined for n in range(first, after)} == {n for a, b in parts for n in range(a, b)}
    assert all(one[1] < other[0] for one, other in pairwise(joined))


def test_the_bytes_of_a_manifest(tmp_path: Path) -> None:
    names = ("table.bin", "records.bin", "encodings.bin", "documents.jsonl")
    sizes = {name: number for number, name in enumerate(names)}
    digests = {name: f"{number:032}" for number, name in enumerate(names)}
    manifest = Manifest("8YG", "enc", 384, 2, 10, 11, sizes, digests, "mini 2", 5)
    raw = (
        b'{"format": 2, "tag": "8YG", "encoder": "enc", "width": 384, "contexts": 2, "first": 10, "last": 11, '
        b'"bundle": "mini 2", "number": 5, "files": {'
        b'"table.bin": {"bytes": 0, "xxh3_128": "00000000000000000000000000000000"}, '
        b'"records.bin": {"bytes": 1, "xxh3_128": "00000000000000000000000000000001"}, '
        b'"encodings.bin": {"bytes": 2, "xxh3_128": "00000000000000000000000000000002"}, '
        b'"documents.jsonl": {"bytes": 3, "xxh3_128": "00000000000000000000000000000003"}}, '
        b'"check": "4b1e16ada9cdd42f3212a5379cacf4a4"}\n'
    )
    assert manifest.pack() == raw
    assert Manifest.parse(raw, tmp_path / "8YG" / "manifest.json") == manifest


def test_the_bytes_of_a_snapshot(tmp_path: Path) -> None:
    snapshot = Snapshot("d", "e", "mini 2", 3, 2, (ShardRange("8YG", 0, 6),))
    raw = (
        b'{"format": 2, "digest": "d", "encoder": "e", "bundle": "mini 2", "contexts": 3, "documents": 2, '
        b'"shards": [["8YG", 0, 6]], "check": "0f15e4976b94ade345ec924cc0567038"}\n'
    )
    snapshot.store(tmp_path)
    assert (tmp_path / "snapshot.json").read_bytes() == raw
    assert load_snapshot(tmp_path) == snapshot


def test_seals_hold_size_digest_and_times(tmp_path: Path) -> None:
    (tmp_path / "route").mkdir()
    (tmp_path / "catalogue.sqlite").write_bytes(b"catalogue")
    (tmp_path / "route" / "meta.json").write_bytes(b"meta")
    (tmp_path / "route" / ".writer.lock").touch()
    seals.store(tmp_path, {"meta.json"}, None)
    facts = files.unpack_checked((tmp_path / "seals.json").read_bytes())
    assert facts.keys() == {"format", "files"}
    assert facts["format"] == 2
    found = (tmp_path / "catalogue.sqlite").stat()
    times = [found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    assert facts["files"].keys() == {"catalogue.sqlite", "route/meta.json"}
    assert facts["files"]["catalogue.sqlite"] == [9, "35a748272dc9334f24e8229f6e411fc6", *times]


def test_the_tables_of_the_catalogue(place: Path) -> None:
    fill(place, {"a.txt": "One line."})
    with sqlite3.connect(place / CATALOGUE) as connection:
        tables = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        columns = {table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] for table in tables}
        facts = dict(connection.execute("SELECT name, value FROM facts"))
        (row,) = connection.execute("SELECT tag, manifest FROM shards")
    connection.close()
    assert columns.pop("sqlite_sequence")
    assert columns == {
        "facts": ["name", "value"],
        "sources": [
            *("id", "path", "name", "digest", "window_tokens", "encoder", "state", "reader", "splitter"),
        ],
        "documents": ["id", "source", "suffix", "title", "tag", "first", "contexts", "whole"],
        "shards": [
            *("tag", "encoder", "first", "last", "contexts", "live", "encodings", "size_bytes", "seen", "manifest"),
        ],
        "unindexed": ["first", "after", "wanted"],
    }
    assert facts["format"] == 2
    assert len(bytes.fromhex(facts["id"])) == 16
    assert facts["encoder"] == ENCODER.digest
    assert (place / SHARDS / row[0] / "manifest.json").read_bytes() == row[1]


def test_a_shard_says_what_its_documents_are(place: Path) -> None:
    with open_writer(place) as writer:
        writer.begin_source(b"/notes\xff", "notes", b"digest", 128, reader="text 1", splitter=1)
        writer.end_source()
        put(writer, "b.jsonl", [("#1", "One."), ("#2", "Two.")])
        put(writer, "c.txt", [("", "Three.")])
        writer.commit()
        (document,) = writer.catalogue.documents_named("b.jsonl#2")
        writer.remove_document(document)
        writer.commit()
        expected = list(writer.catalogue.documents())
    (shard,) = map(Shard, (place / SHARDS).iterdir())
    sources, documents = shard.documents()
    assert [(s.path, s.name, s.digest, s.state) for s in sources] == [
        (b"/b.jsonl", "b.jsonl", b"1", WHOLE),
        (b"/c.txt", "c.txt", b"1", WHOLE),
    ]
    assert [d for d in documents if d.name != "b.jsonl#2"] == expected
    assert [d.name for d in documents] == ["b.jsonl#1", "b.jsonl#2", "c.txt"]
    assert shard.read_gone() == ([(1, 2)], 2)
    assert json.loads((shard.directory / "manifest.json").read_bytes())["number"] == 0


def test_the_catalogue_says_of_which_format_it_is(place: Path, tmp_path: Path) -> None:
    fill(place, {"a.txt": "One."})
    for held, expected in ((place, 2), (former.unpack(tmp_path), 1)):
        (held / "snapshot.json").unlink()
        assert load_snapshot(held).format == expected


def test_two_collections_of_one_content_have_two_digests(tmp_path: Path) -> None:
    digests = set()
    for number in range(3):
        fill(tmp_path / f"c{number}", {"profile.txt": "Nothing is known."})
        digests.add(load_snapshot(tmp_path / f"c{number}").digest)
    assert len(digests) == 3
    assert len({digest[:64] for digest in digests}) == 3, "the encoder's digest and the id tell them apart"
