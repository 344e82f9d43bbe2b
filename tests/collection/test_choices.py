"""Tests what is chosen and counted: shards to merge, ranges of ids, bytes for encodings, notes of damage."""

from __future__ import annotations

import shutil
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from filling import fill, open_writer, put
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.collection import catalogue_rows, damage, shard_writer
from edgeqa.collection.adding import Added, Channel, ChannelClosed
from edgeqa.collection.catalogue_rows import DocumentRow, ShardRow, ranges
from edgeqa.collection.collection import Collection
from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.managing import encodings_budget
from edgeqa.collection.shard_writer import AT_A_TIME, FULL_BYTES
from edgeqa.collection.snapshot import EncoderIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.models.bundle import Bundle

SHARD = ShardRow("8YG", "e", 0, 0, 1, 1, 0, 10, "seen")


def shards(count: int, **fields: object) -> list[ShardRow]:
    return [replace(SHARD, tag=f"T{n}", first=n, last=n, **fields) for n in range(count)]  # type: ignore[arg-type]


# --- merging ---------------------------------------------------------------------------------------------------------


def test_eight_small_neighbours_are_merged_and_seven_are_not() -> None:
    assert shard_writer.choose_to_merge(shards(AT_A_TIME - 1)) == []
    assert shard_writer.choose_to_merge(shards(AT_A_TIME)) == shards(AT_A_TIME)
    assert shard_writer.choose_to_merge(shards(AT_A_TIME + 1)) == shards(AT_A_TIME + 1)


def test_the_smallest_size_of_which_there_are_eight_is_merged() -> None:
    larger = [replace(s, contexts=AT_A_TIME, live=AT_A_TIME) for s in shards(AT_A_TIME)]
    small = [replace(s, tag=f"S{s.first}", first=s.first + 100) for s in shards(AT_A_TIME)]
    assert shard_writer.choose_to_merge([*larger, *small]) == small
    assert shard_writer.choose_to_merge(larger) == larger
    assert shard_writer.choose_to_merge([*larger[:-1], *small[:-1]]) == [
        *larger[:-1],
        *small[:-1],
    ]  # 14 of fewer than 64


def test_what_lies_between_keeps_shards_apart() -> None:
    eight = shards(AT_A_TIME)
    for wrong in (
        replace(eight[4], encoder="f"),
        replace(eight[4], size_bytes=FULL_BYTES // 2 + 1),
        replace(eight[4], contexts=1 << 63, live=1 << 63),
    ):
        assert shard_writer.choose_to_merge([*eight[:4], wrong, *eight[5:]]) == []
    assert shard_writer.choose_to_merge(eight, {"T4"}) == []
    assert shard_writer.choose_to_merge([*eight[:4], replace(eight[4], size_bytes=FULL_BYTES // 2), *eight[5:]]) != []


def test_shards_that_are_too_large_together_are_not_merged() -> None:
    assert shard_writer.choose_to_merge(shards(AT_A_TIME, size_bytes=FULL_BYTES // AT_A_TIME)) != []
    assert shard_writer.choose_to_merge(shards(AT_A_TIME, size_bytes=FULL_BYTES // AT_A_TIME + 1)) == []
    many = shards(3 * AT_A_TIME, size_bytes=FULL_BYTES // AT_A_TIME)
    assert shard_writer.choose_to_merge(many) == many[:AT_A_TIME]


def test_a_shard_of_which_more_than_half_is_gone_is_rewritten_unless_it_is_damaged() -> None:
    half, less = replace(SHARD, contexts=10, live=5), replace(SHARD, contexts=10, live=4)
    assert shard_writer.choose_to_merge([half]) == []
    assert shard_writer.choose_to_merge([half, less]) == [less]
    assert shard_writer.choose_to_merge([less], {less.tag}) == []
    none_left = replace(less, live=0)
    assert shard_writer.choose_to_merge([none_left], {less.tag}) == [none_left]


# --- ids -------------------------------------------------------------------------------------------------------------

IDS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), max_size=8)


def covered(parts: list[tuple[int, int]]) -> set[int]:
    return {n for first, after in parts for n in range(first, after)}


@given(IDS)
def test_ranges_that_touch_or_overlap_are_put_together(drawn: list[tuple[int, int]]) -> None:
    parts = [(first, first + length) for first, length in drawn]
    found = list(catalogue_rows.together(parts))
    assert covered(found) == covered(parts)
    assert all(after < first for (_, after), (first, _) in pairwise(found))


@given(IDS, st.integers(0, 40), st.integers(1, 20))
def test_what_is_not_kept_is_gone(drawn: list[tuple[int, int]], first: int, length: int) -> None:
    kept = list(catalogue_rows.together((begin, begin + of) for begin, of in drawn))
    found = list(catalogue_rows.without(first, first + length, kept))
    assert covered(found) == set(range(first, first + length)) - covered(kept)
    assert catalogue_rows.unpack_gone(catalogue_rows.pack_gone(found, 7)) == (found, 7)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8))
def test_neighbouring_documents_are_one_range(drawn: list[tuple[int, int]]) -> None:
    documents, place = [], 0
    for number, (gap, contexts) in enumerate(drawn):
        place += gap
        documents.append(DocumentRow(number, 1, "a", "", "8YG", place, contexts, whole=True))
        place += contexts
    found = list(ranges(documents))
    assert covered(found) == covered([(d.first, d.after) for d in documents])
    assert all(first < after for first, after in found)
    assert all(after < first for (_, after), (first, _) in pairwise(found))


def test_a_documents_digest_tells_everything_about_it() -> None:
    row = DocumentRow(1, 1, "a.txt", "Title", "8YG", 10, 3, whole=True)
    others = [
        replace(row, name="b.txt"),
        replace(row, title=""),
        replace(row, tag="8YH"),
        replace(row, first=11),
        replace(row, contexts=4),
        replace(row, name="a.txt\0Title", title=""),
    ]
    assert len({row.digest(), *(other.digest() for other in others)}) == 7
    assert 1 << 100 < max(row.digest(), *(other.digest() for other in others)) < 1 << 128
    assert replace(row, id=2, source=2, whole=False).digest() == row.digest()


def test_what_a_collection_depends_on_is_tokens_and_encodings_and_nothing_else(bundle: Bundle) -> None:
    m = bundle.manifest

    def digest(**changed: object) -> str:
        return EncoderIdentity.of(SimpleNamespace(manifest=m._replace(**changed))).digest  # type: ignore[arg-type]

    same = digest()
    assert len(same) == 32
    for name, depends in (("tokenizer.json", True), ("encode.bin", True), ("encode.onnx", True), ("read.bin", False)):
        files = tuple(f._replace(sha256="0" * 64) if f.name == name else f for f in m.files)
        assert files != m.files
        assert (digest(files=files) != same) == depends, name
    assert digest(max_context_tokens=m.max_context_tokens - 1) != same
    assert digest(context_position=m.context_position + 1) != same
    assert digest(sep_id=m.sep_id + 1) != same
    assert digest(name="other", version="9") == same
    made = EncoderIdentity.of(bundle)
    assert (made.bundle, made.width) == (f"{m.name} {m.version}", 384)


# --- bytes for encodings ---------------------------------------------------------------------------------------------


def test_encodings_get_a_tenth_of_what_is_free_and_of_what_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 1_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with open_writer(tmp_path / "default") as writer:
        monkeypatch.setattr(writer, "encodings_bytes", lambda: 500_000)
        assert encodings_budget(writer, None) == 150_000
        free = 1 << 40
        assert encodings_budget(writer, None) == 8 << 30
        monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
        assert encodings_budget(writer, None) == 512 << 20
        assert encodings_budget(writer, 0) == 0
        assert encodings_budget(writer, None) == 0  # what was asked for last
        assert encodings_budget(writer, 70) == 70
    with open_writer(tmp_path / "default") as writer:
        assert encodings_budget(writer, None) == 70


# --- notes of damage -------------------------------------------------------------------------------------------------


def test_notes_of_damage_are_kept_told_and_forgotten(tmp_path: Path) -> None:
    assert damage.damaged_tags(tmp_path) == set()
    damage.forget_note(tmp_path, "8YG")
    damage.note_shard(tmp_path, ShardDamaged("8YG", tmp_path / "table.bin", "row 3 has a wrong checksum"))
    damage.note_route(tmp_path, ShardDamaged("A", tmp_path, "x"))
    assert damage.damaged_tags(tmp_path) == {"8YG", damage.ROUTE_NOTE}
    assert "row 3" in (tmp_path / "damaged" / "8YG").read_text()
    damage.forget_note(tmp_path, "8YG")
    assert damage.damaged_tags(tmp_path) == {damage.ROUTE_NOTE}


def test_damage_is_found_where_no_note_can_be_written(tmp_path: Path) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    (place / "damaged").write_text("not a folder")
    shard = Collection(place).snapshot.shards[0].tag
    records = place / "shards" / shard / "records.bin"
    records.write_bytes(bytes(records.stat().st_size))
    for _ in range(2):
        with pytest.raises(ShardDamaged):
            Collection(place).context(0)
    assert damage.damaged_tags(place) == set()


# --- the channel between two threads ---------------------------------------------------------------------------------


def test_items_come_out_in_their_order_and_no_more_wait_than_there_is_room_for() -> None:
    channel: Channel[int] = Channel(2)
    put_in: list[int] = []

    def work() -> None:
        for number in range(50):
            channel.put(number)
            put_in.append(number)
        channel.end()

    thread = threading.Thread(target=work)
    thread.start()
    found = []
    for _ in range(50):
        found.append(channel.get())
        assert len(put_in) <= len(found) + 3
    with pytest.raises(ChannelClosed):
        channel.get()
    thread.join()
    assert found == put_in == list(range(50))
    assert channel.waited_s > 0


def test_who_waits_at_a_channel_that_is_broken_off_goes_on() -> None:
    for waits_for in ("room", "an item"):
        channel: Channel[int] = Channel(1)
        if waits_for == "room":
            channel.put(1)
        ended: list[str] = []

        def work(channel: Channel[int] = channel, ended: list[str] = ended, waits_for: str = waits_for) -> None:
            try:
                channel.put(2) if waits_for == "room" else channel.get()
            except ChannelClosed:
                ended.append(waits_for)

        thread = threading.Thread(target=work)
        thread.start()
        channel.close()
        thread.join(60)
        assert ended == [waits_for]
        with pytest.raises(ChannelClosed):
            channel.get()  # even if something is in it
        with pytest.raises(ChannelClosed):
            channel.put(3)


# --- what is reported ------------------------------------------------------------------------------------------------


def test_a_report_says_everything_under_its_name(tmp_path: Path) -> None:
    report = Added("manuals", 1, 2, 3, 4, 5, 6, 7, 8, 9)
    report.timings_ms = {"read": 1.23456}
    said = report.to_json()
    assert said["collection"] == "manuals"
    kinds = ("added", "changed", "reread", "unchanged", "removed", "re_encoded")
    counted = tuple(f"files_{kind}" for kind in kinds)
    assert [said[name] for name in (*counted, "documents", "contexts", "encoded")] == [
        getattr(report, name) for name in (*counted, "documents", "contexts", "encoded")
    ]
    assert (said["failed"], said["skipped"], said["piped"], said["damaged"]) == ([], [], [], [])
    assert said["timings_ms"] == {"read": 1.235}
    assert report.files_done == sum(getattr(report, name) for name in counted[:5])
    with open_writer(tmp_path / "default") as writer:
        put(writer, "a.txt", [("", "Text.")])
        assert writer.waiting_bytes > 0
        writer.commit()
        assert writer.waiting_bytes == 0
