"""Tests that the writer stores whole documents or nothing, whatever ends it: replacing, removing, merging, mending."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filling import (
    ENCODER,
    WINDOW,
    ListedIndex,
    Spaced,
    fill,
    groups,
    long_text,
    open_writer,
    passages_of,
    put,
    put_document,
)

from edgeqa.collection import damage, shard_writer, snapshot
from edgeqa.collection import writer as writer_module
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import CollectionBusy, CollectionOtherBundle, CollectionUnwritable, ShardDamaged
from edgeqa.collection.index import META
from edgeqa.collection.shard import MANIFEST, Shard
from edgeqa.collection.shard_format import ALIGNMENT, encoding_bytes
from edgeqa.collection.shard_writer import AT_A_TIME
from edgeqa.collection.snapshot import ROUTE, SHARDS, EncoderIdentity
from edgeqa.models.readers import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Run

    from edgeqa.collection.writer import Writer
    from edgeqa.contexts.windows import Window


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


class KeptIndex(ListedIndex):
    """What was committed to it outlives the writer."""

    def __init__(self, directory: Path, kept: dict[int, tuple[str, str]]) -> None:
        super().__init__(directory, "en")
        self.committed, self._held = kept, dict(kept)
        self._kept = kept

    def commit(self) -> None:
        self._kept.clear()
        self._kept.update(self._held)


def held(place: Path) -> dict[str, str]:
    """Returns the documents that can be asked, each with its text, every context of it read and checked."""
    found: dict[str, str] = {}
    with Catalogue.read(place) as catalogue:
        rows = list(catalogue.documents())
        assert catalogue.snapshot() == load_snapshot(place)
    opened = Collection(place, ENCODER)
    assert opened.contexts == sum(row.contexts for row in rows)
    for row in rows:
        text, numbers = "", []
        for context_id in range(row.first, row.after):
            context = opened.context(context_id)
            assert context.document == row.name
            assert f":{{{row.tag}}}:" in context.address
            numbers.append(int(context.address.rpartition(":")[2]))
            text = text[: context.start].ljust(context.start) + context.text
        assert numbers == list(range(1, row.contexts + 1))
        found[row.name] = Spaced(text)
    return found


def on_disk(place: Path) -> set[str]:
    return {path.name for path in (place / SHARDS).iterdir()}


TEXTS = {"a.txt": long_text(60), "b.txt": "Short.", "c.txt": long_text(40, "valve")}


def test_what_was_committed_is_there(place: Path) -> None:
    fill(place, TEXTS)
    assert held(place) == TEXTS


def test_what_was_not_committed_is_not(place: Path) -> None:
    fill(place, {"a.txt": "Whole."})
    with open_writer(place) as writer:
        put(writer, "b.txt", [("", long_text(80))])
    assert held(place) == {"a.txt": "Whole."}
    with open_writer(place):
        pass
    assert on_disk(place) == {s.tag for s in load_snapshot(place).shards}


def test_a_document_of_several_commits_is_seen_from_the_last(place: Path) -> None:
    text = long_text(150)
    kept: dict[int, tuple[str, str]] = {}
    with open_writer(place, ENCODER, index=lambda d, _: KeptIndex(d, kept)) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"1", WINDOW)
        writer.begin_document("", "")
        for passage in passages_of(text):
            writer.add(passage, groups(passage), None)
            writer.commit()
            assert held(place) == {}
            assert kept == {}
        writer.end_document()
        writer.commit()
        assert held(place) == {"a.txt": text}
        assert sorted(kept) == list(range(len(passages_of(text))))


def test_an_interrupted_document_goes_on_where_a_commit_left_it(place: Path) -> None:
    text, cut = long_text(150), 4
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"1", WINDOW)
        put_document(writer, "#1", "First.")
        writer.begin_document("#2", "")
        for passage in passages_of(text)[:cut]:
            writer.add(passage, groups(passage), None)
        writer.commit()
        writer.add(passages_of(text)[cut], groups(passages_of(text)[cut]), None)  # not committed
    assert held(place) == {"a.txt#1": "First."}
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"1", WINDOW)
        writer.begin_document("#2", "", resumed=True)
        for passage in passages_of(text)[cut:]:
            writer.add(passage, groups(passage), None)
        writer.end_document()
        writer.end_source()
        writer.commit()
    assert held(place) == {"a.txt#1": "First.", "a.txt#2": text}


def test_a_changed_file_replaces_what_was_there_when_it_is_whole(place: Path) -> None:
    kept: dict[int, tuple[str, str]] = {}

    def writing() -> Writer:
        return open_writer(place, ENCODER, index=lambda d, _: KeptIndex(d, kept))

    with writing() as writer:
        put(writer, "a.jsonl", [("#1", "One."), ("#2", "Two.")])
        writer.commit()
    with writing() as writer:
        writer.begin_source(b"/a.jsonl", "a.jsonl", b"2", WINDOW)
        put_document(writer, "#1", "One.")
        writer.commit()
        assert held(place) == {"a.jsonl#1": "One.", "a.jsonl#2": "Two."}
    with writing() as writer:  # begun again, after a kill
        writer.begin_source(b"/a.jsonl", "a.jsonl", b"2", WINDOW)
        put_document(writer, "#2", "Two, anew.")
        writer.end_source()
        writer.commit()
    assert held(place) == {"a.jsonl#1": "One.", "a.jsonl#2": "Two, anew."}
    assert sorted(text for text, _ in kept.values()) == ["One.", "Two, anew."]


def test_a_file_that_fails_leaves_what_was_there(place: Path) -> None:
    fill(place, {"a.txt": "Before."})
    with open_writer(place) as writer:
        for name in ("a.txt", "new.jsonl"):
            writer.begin_source(f"/{name}".encode(), name, b"2", WINDOW)
            put_document(writer, "#1", "Good.")
            writer.commit()
            writer.fail_source()
        writer.commit()
    assert held(place) == {"a.txt": "Before."}


def test_removing_a_document_has_its_file_read_again(place: Path) -> None:
    with open_writer(place) as writer:
        put(writer, "a.jsonl", [("#1", "One."), ("#2", "Two.")])
        writer.commit()
        (document,) = writer.catalogue.documents_named("a.jsonl#1")
        writer.remove_document(document)
        writer.commit()
        assert held(place) == {"a.jsonl#2": "Two."}
        (source,) = writer.catalogue.sources_named("a.jsonl")
        assert source.digest == b""


def test_one_writer_at_a_time(place: Path, run: Run) -> None:
    with open_writer(place), pytest.raises(CollectionBusy, match=f"process {os.getpid()}"):
        open_writer(place)
    code = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from filling import open_writer
with open_writer(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""
    other = run(code, place, os.path.dirname(__file__))  # noqa: PTH120
    assert other.stdout is not None
    assert other.stdout.readline() == "in\n"
    with pytest.raises(CollectionBusy, match=f"process {other.pid}"):
        open_writer(place)
    other.kill()
    other.wait()
    with open_writer(place):
        pass


def test_another_bundle_cannot_be_mixed_in(place: Path) -> None:
    fill(place, {"a.txt": "Text."})
    with pytest.raises(CollectionOtherBundle):
        open_writer(place, EncoderIdentity("0" * 32, "other 1", 384))
    assert held(place) == {"a.txt": "Text."}


# --- whatever ends it ------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


STEPS = 70


@pytest.mark.parametrize("step", [*range(1, STEPS, 2), STEPS])
def test_a_crash_at_any_step_leaves_whole_documents_and_going_on_works(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    kept: dict[int, tuple[str, str]] = {}
    steps = 0

    def stepping(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal steps
            steps += 1
            if steps == step:
                raise Crash
            return function(*args, **kwargs)

        return wrapped

    def writing() -> Writer:
        return open_writer(place, ENCODER, index=lambda d, _: KeptIndex(d, kept))

    def work() -> None:
        with writing() as writer:
            put(writer, "a.txt", [("", "The new one.")], digest=b"2")
            writer.commit()
            writer.begin_source(b"/c.txt", "c.txt", b"1", WINDOW)
            put_document(writer, "#1", "C one.")
            writer.commit()
            put_document(writer, "#2", "C two.")
            writer.end_source()
            writer.remove_source(writer.catalogue.sources_named("b.txt")[0])
            writer.commit()

    with writing() as writer:
        put(writer, "a.txt", [("", "The old one.")])
        put(writer, "b.txt", [("", "Gone soon.")])
        writer.commit()
    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "AT_A_TIME", 2)
        for module, name in (
            (snapshot, "withdraw"),
            (writer_module, "withdraw"),
            (Catalogue, "commit"),
            (KeptIndex, "commit"),
            (KeptIndex, "add"),
            (shutil, "rmtree"),
        ):
            patch.setattr(module, name, stepping(getattr(module, name)))
        patch.setattr(os, "fsync", stepping(lambda _: None))
        with contextlib.suppress(Crash):
            work()
    crashed = steps == step
    if step == STEPS:
        assert not crashed, "raise the number of steps"
    whole = {
        "a.txt": {"The old one.", "The new one."},
        "b.txt": {"Gone soon."},
        "c.txt#1": {"C one."},
        "c.txt#2": {"C two."},
    }
    assert all(str(text) in whole[name] for name, text in held(place).items())
    with writing() as writer:  # the next one catches up
        expected = dict(contexts_held(place))
        assert {id_: text for id_, (text, _) in kept.items()} == expected
        assert on_disk(place) == {s.tag for s in writer.catalogue.shards()}
        put(writer, "a.txt", [("", "The new one.")], digest=b"2")
        put(writer, "c.txt", [("#1", "C one."), ("#2", "C two.")], digest=b"3")
        for source in writer.catalogue.sources_named("b.txt"):
            writer.remove_source(source)
        writer.commit()
    assert held(place) == {"a.txt": "The new one.", "c.txt#1": "C one.", "c.txt#2": "C two."}
    assert {id_: text for id_, (text, _) in kept.items()} == dict(contexts_held(place))


def contexts_held(place: Path) -> Iterator[tuple[int, str]]:
    with Catalogue.read(place) as catalogue:
        ranges = [(row.first, row.after) for row in catalogue.documents()]
    opened = Collection(place)
    for first, after in ranges:
        for context_id in range(first, after):
            yield context_id, opened.context(context_id).text


def test_a_full_disk_keeps_what_was_committed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(place, {"a.txt": "Before."})

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with open_writer(place) as writer:
        put(writer, "b.txt", [("", long_text(50))])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(CollectionUnwritable, match="No space left on device"):
                writer.commit()
    assert held(place) == {"a.txt": "Before."}
    fill(place, {"b.txt": "After."})
    assert held(place) == {"a.txt": "Before.", "b.txt": "After."}


# --- merging ---------------------------------------------------------------------------------------------------------


def test_small_shards_are_merged_and_nothing_else_changes(place: Path) -> None:
    addresses: dict[int, str] = {}
    tags: set[str] = set()
    with open_writer(place) as writer:
        for number in range(3 * AT_A_TIME):
            put(writer, f"{number}.txt", [("", f"Number {number}.")])
            writer.commit()
            opened = Collection(place, ENCODER)
            addresses[number] = opened.context(number).address
            assert {n: opened.context(n).address for n in addresses} == addresses
            found = {s.tag for s in opened.snapshot.shards}
            assert on_disk(place) == found
            tags |= found
    assert len(opened.snapshot.shards) < AT_A_TIME
    assert len(set(addresses.values())) == len(addresses)
    assert held(place) == {f"{n}.txt": f"Number {n}." for n in range(3 * AT_A_TIME)}


def test_merging_changes_neither_the_digest_nor_an_encoding(place: Path) -> None:
    def encode(passage: Window) -> Encoding:
        rows = len(passage.tokens) + 1
        return Encoding(np.full((rows, 384), rows % 100, np.int8), np.full((rows, 1), 0.5 * rows, np.float32))

    with open_writer(place) as writer:
        for number in range(AT_A_TIME):
            put(
                writer,
                f"{number}.txt",
                [("", f"Number {number}. " * (number + 1))],
                encode if number % 2 else lambda _: None,
            )
            before = writer.catalogue.snapshot().digest
            writer.commit()
            assert load_snapshot(place).digest == before.partition("-")[0] + "-" + before.split("-")[1]
    opened = Collection(place)
    assert len(opened.snapshot.shards) == 1
    for number in range(AT_A_TIME):
        stored = opened.context(number)
        assert (stored.encoding is not None) == bool(number % 2)
        if stored.encoding is not None:
            assert (stored.encoding.scale == 0.5 * (len(stored.ids) + 1)).all()


def test_encodings_lie_side_by_side_where_they_can_be_mapped(place: Path) -> None:
    def encode(passage: Window) -> Encoding:
        rows = len(passage.tokens) + 1
        return Encoding(np.full((rows, 384), 1, np.int8), np.full((rows, 1), 0.5, np.float32))

    with open_writer(place) as writer:
        for number in range(4):
            put(writer, f"{number}.txt", [("", f"Number {number}. " * (number + 1))], encode)
        writer.commit()
    (shard,) = map(Shard, (place / SHARDS).iterdir())
    end = 0
    for row in shard.rows(0, 4):
        assert row.encoding_offset == -(-end // ALIGNMENT) * ALIGNMENT
        end = row.encoding_offset + encoding_bytes(row.tokens, 384)
    assert (shard.directory / "encodings.bin").stat().st_size == end


def test_an_open_reader_goes_on_reading_what_was_merged_away(place: Path) -> None:
    with open_writer(place) as writer:
        for number in range(AT_A_TIME):
            put(writer, f"{number}.txt", [("", f"Number {number}.")])
            if number == AT_A_TIME - 1:
                before = Collection(place)
            writer.commit()
    assert not {s.tag for s in before.snapshot.shards} & on_disk(place)
    assert [before.context(n).text for n in range(AT_A_TIME - 1)] == [f"Number {n}." for n in range(AT_A_TIME - 1)]


def test_what_is_gone_goes_from_the_disk(place: Path) -> None:
    fill(place, {"a.txt": long_text(100), "b.txt": "Stays."})
    before = sum(f.stat().st_size for f in (place / SHARDS).rglob("*.bin"))
    with open_writer(place) as writer:
        writer.remove_source(writer.catalogue.sources_named("a.txt")[0])
        writer.commit()
    assert held(place) == {"b.txt": "Stays."}
    assert sum(f.stat().st_size for f in (place / SHARDS).rglob("*.bin")) < before / 10
    with open_writer(place) as writer:
        writer.remove_source(writer.catalogue.sources_named("b.txt")[0])
        writer.commit()
    assert held(place) == {}
    assert on_disk(place) == set()


def test_a_context_of_a_shard_without_gaps_is_found_at_the_first_look(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place, {f"{number}.txt": f"Text {number}." for number in range(5)})
    fill(place, {f"later {number}.txt": f"Text {number}." for number in range(5)})
    looked: list[int] = []
    id_at = Shard._id_at

    def counted(shard: Shard, position: int) -> int:
        looked.append(position)
        return id_at(shard, position)

    monkeypatch.setattr(Shard, "_id_at", counted)
    held = Collection(place)
    assert [held.context(number).context_id for number in range(10)] == list(range(10))
    assert looked == [*range(5), *range(5)]


def test_a_row_that_is_not_found_because_another_is_damaged_is_not_said_to_be_gone(place: Path) -> None:
    fill(place, {f"{number}.txt": f"Text {number}." for number in range(5)})
    fill(place, {f"later {number}.txt": f"Text {number}." for number in range(5)})
    shard = Shard(place / SHARDS / load_snapshot(place).shards[1].tag)
    assert shard.find(4) is None
    raw = bytearray((shard.directory / "table.bin").read_bytes())
    assert raw[0] == 5  # the id of its first row
    raw[0] = 4
    (shard.directory / "table.bin").write_bytes(raw)
    with pytest.raises(ShardDamaged, match="row 0"):
        Shard(shard.directory).find(5)


def test_while_an_index_is_begun_anew_the_collection_is_told_from_what_it_was(place: Path) -> None:
    fill(place, TEXTS)
    with Catalogue.read(place) as catalogue:
        before = catalogue.get("commits", 0)
    (place / ROUTE / META).unlink()
    with open_writer(place) as writer:
        assert writer.catalogue.get("commits", 0) > before  # it is in the digest as long as the index lacks something


# --- mending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["table.bin", "records.bin"])
def test_a_damaged_shard_is_mended_from_its_sources(place: Path, file: str) -> None:
    fill(place, TEXTS)
    (shard,) = (place / SHARDS).iterdir()
    raw = bytearray((shard / file).read_bytes())
    raw[len(raw) // 3] ^= 1
    (shard / file).write_bytes(raw)
    with open_writer(place) as writer:
        (damage,) = writer.damages
        assert damage.tag == shard.name
        lost = {document.name for document in damage.documents}
        assert lost
        for name in TEXTS:
            (source,) = writer.catalogue.sources_named(name)
            assert (source.digest == b"") == (name in lost)
            if not source.digest:
                put(writer, name, [("", TEXTS[name])])
        writer.commit()
    assert held(place) == TEXTS
    assert shard.name not in on_disk(place)
    with open_writer(place) as writer:
        assert writer.damages == []


@pytest.mark.parametrize("change", ["flipped", "gone"])
def test_a_damaged_manifest_is_written_anew(place: Path, change: str) -> None:
    fill(place, TEXTS)
    (shard,) = (place / SHARDS).iterdir()
    before = (shard / MANIFEST).read_bytes()
    if change == "gone":
        (shard / MANIFEST).unlink()
    else:
        (shard / MANIFEST).write_bytes(before.replace(b"4", b"5", 1))
    assert list(Collection(place).damaged) == [shard.name]
    with open_writer(place) as writer:
        assert writer.damages == []
    assert (shard / MANIFEST).read_bytes() == before
    assert held(place) == TEXTS


def test_damage_that_a_reader_finds_is_known_to_the_writer(place: Path) -> None:
    fill(place, {"a.txt": "Text."})
    (shard,) = (place / SHARDS).iterdir()
    state = (shard / "records.bin").stat()
    raw = bytearray((shard / "records.bin").read_bytes())
    raw[-1] ^= 1
    (shard / "records.bin").write_bytes(raw)
    os.utime(shard / "records.bin", ns=(state.st_atime_ns, state.st_mtime_ns))  # as when the disk does it
    with open_writer(place) as writer:
        assert writer.damages == []
    with pytest.raises(ShardDamaged):
        Collection(place).context(0)
    with open_writer(place) as writer:
        assert [d.tag for d in writer.damages] == [shard.name]


def test_a_file_that_was_touched_only_is_no_damage(place: Path) -> None:
    fill(place, {"a.txt": "Text."})
    (shard,) = (place / SHARDS).iterdir()
    os.utime(shard / "records.bin")
    with open_writer(place) as writer:
        assert writer.damages == []
        (row,) = writer.catalogue.shards()
        assert row.seen == damage.file_state(shard)


def test_a_reader_in_another_process_is_never_disturbed(place: Path, run: Run) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from filling import open_writer, put
for number in range(60):
    with open_writer(Path(sys.argv[1])) as writer:
        put(writer, f"{number}.txt", [("", f"Number {number}. " * (1 + number % 30))])
        if number % 5 == 4:
            writer.remove_source(writer.catalogue.sources_named(f"{number - 3}.txt")[0])
        writer.commit()
"""
    fill(place, {"first.txt": "The first."})
    other = run(code, place, os.path.dirname(__file__))  # noqa: PTH120
    looked = 0
    while other.poll() is None or not looked:
        opened = Collection(place, ENCODER)
        contexts = list(opened.contexts_from(0))
        assert contexts[0].text == "The first."
        assert len(contexts) >= opened.contexts
        assert not opened.damaged
        looked += 1
    assert other.communicate() == ("", "")
    assert Collection(place).contexts == len(dict(contexts_held(place))) == 1 + 60 - 12
