"""Tests adding files through the runtime, on the real model: what is read, skipped, replaced, dropped."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filling import Spaced

from edgeqa import collection, runtime
from edgeqa.asking.equipment import Equipment
from edgeqa.collection import adding, managing, seals, verifying
from edgeqa.collection.adding import StoreStage, TimedModel
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.damage import ROUTE_NOTE, damaged_tags
from edgeqa.collection.errors import (
    CatalogueDamaged,
    CollectionBusy,
    CollectionNotFound,
    CollectionOtherBundle,
    CollectionUnreadable,
    CollectionUnwritable,
    ContextGone,
    RouteDamaged,
)
from edgeqa.collection.index import Index
from edgeqa.collection.shard_format import TokenGroups
from edgeqa.collection.snapshot import ROUTE, SHARDS, EncoderIdentity
from edgeqa.collection.writer import Writer
from edgeqa.contexts import Piece
from edgeqa.contexts import passages as splitter
from edgeqa.contexts.windows import Window
from edgeqa.errors import BundleSelfTestFailed, Closed, ContextNotFound, NothingToAdd, OptionError
from edgeqa.formats import kinds

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.adding import Added
    from edgeqa.runtime import EdgeQA

PUMP = "The pump may be submerged to 60 metres. It was made in Leeds in 1931."
VALVE = "The valve opens at 4 bar. Its seat is of bronze."


@pytest.fixture
def manuals(tmp_path: Path) -> Path:
    folder = tmp_path / "manuals"
    folder.mkdir()
    (folder / "pump.txt").write_text(PUMP)
    (folder / "valve.txt").write_text(VALVE)
    return folder


def documents() -> dict[str, str]:
    """Returns the texts of what can be asked, by the last part of the name; the index has the same contexts."""
    place = collection.directory()
    with Catalogue.read(place) as catalogue:
        rows = list(catalogue.documents())
    opened = Collection(place)
    found: dict[str, str] = {}
    index = Index(place / "route")
    for row in rows:
        text = ""
        for context_id in range(row.first, row.after):
            context = opened.context(context_id)
            text = text[: context.start].ljust(context.start) + context.text
            assert context_id in {hit.number for hit in index.search(context.text, 50).best}
        found[os.path.basename(row.name)] = Spaced(text)  # noqa: PTH119
    return found


def counts(report: Added) -> tuple[int, int, int, int, int]:
    files = (report.files_added, report.files_changed, report.files_unchanged, report.files_removed)
    return (*files, len(report.failed))


def test_a_folder_is_read_once_and_what_changed_again(writing: EdgeQA, manuals: Path) -> None:
    first = writing.add(manuals)
    assert counts(first) == (2, 0, 0, 0, 0)
    assert (first.documents, first.contexts, first.encoded) == (2, 2, 2)
    assert documents() == {"pump.txt": PUMP, "valve.txt": VALVE}
    before = load_snapshot(collection.directory())
    assert counts(writing.add(manuals)) == (0, 0, 2, 0, 0)
    assert load_snapshot(collection.directory()) == before
    (manuals / "pump.txt").write_text("The pump is new.")
    again = writing.add(str(manuals))
    assert counts(again) == (0, 1, 1, 0, 0)
    assert (again.documents, again.contexts) == (1, 1)
    assert documents() == {"pump.txt": "The pump is new.", "valve.txt": VALVE}


def test_the_model_is_loaded_when_the_first_document_needs_it(writing: EdgeQA, manuals: Path) -> None:
    writing.add(manuals)
    with runtime.open(persist="off") as opened:
        report = opened.add(manuals)
        assert opened._equipment._reading is None
        assert (report.files_unchanged, report.timings_ms["load"]) == (2, 0.0)
        (manuals / "pump.txt").unlink()
        assert opened.sync(manuals).files_removed == 1
        assert opened._equipment._reading is None
        (manuals / "pump.txt").write_text(PUMP)
        report = opened.add(manuals)
        assert (report.files_added, report.encoded) == (1, 1)
        assert opened._equipment._reading is not None
        assert 0.0 < report.timings_ms["load"] < report.timings_ms["total"]
    with pytest.raises(Closed):
        opened.add(manuals)


def test_what_is_wrong_with_the_model_is_said_and_nothing_is_lost(
    writing: EdgeQA, manuals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing.add(manuals)
    (manuals / "third.txt").write_text(PUMP)

    def wrong(_: Equipment) -> None:
        raise BundleSelfTestFailed(writing._equipment.model, "other answers")

    with monkeypatch.context() as patch:
        patch.setattr(Equipment, "reading", property(wrong))
        with pytest.raises(BundleSelfTestFailed):
            writing.add(manuals)
    assert set(documents()) == {"pump.txt", "valve.txt"}
    assert counts(writing.add(manuals)) == (1, 0, 2, 0, 0)


def test_a_file_is_the_same_from_wherever_it_is_named(
    writing: EdgeQA, manuals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing.add(manuals)
    monkeypatch.chdir(manuals)
    assert counts(writing.add([".", "pump.txt"])) == (0, 0, 3, 0, 0)
    other = manuals.parent / "other"
    other.mkdir()
    (other / "pump.txt").write_text("Another pump.")
    monkeypatch.chdir(other)
    assert counts(writing.add("pump.txt")) == (1, 0, 0, 0, 0)
    assert sorted(documents().values()) == ["Another pump.", VALVE] or len(documents()) == 2
    with Catalogue.read(collection.directory()) as catalogue:
        assert len(list(catalogue.documents())) == 3


def test_sync_drops_what_is_gone_and_nothing_else(writing: EdgeQA, manuals: Path) -> None:
    outside = manuals.parent / "outside.txt"
    outside.write_text("Outside.")
    writing.add([manuals, outside])
    (manuals / "pump.txt").unlink()
    outside.unlink()
    assert counts(writing.add(manuals)) == (0, 0, 1, 0, 0)
    assert "pump.txt" in documents()
    assert counts(writing.sync(manuals)) == (0, 0, 1, 1, 0)
    assert documents() == {"valve.txt": VALVE, "outside.txt": "Outside."}
    shutil.rmtree(manuals)
    assert counts(writing.sync(manuals, drop_all=True)) == (0, 0, 0, 1, 0)
    assert documents() == {"outside.txt": "Outside."}
    with pytest.raises(ContextNotFound):
        writing.sync(manuals)


def test_records_of_one_file_are_documents(writing: EdgeQA, tmp_path: Path) -> None:
    file = tmp_path / "faq.jsonl"
    file.write_text("".join(json.dumps({"question": f"Q{n}", "answer": f"Answer {n}."}) + "\n" for n in range(30)))
    report = writing.add(file, text_field="answer")
    assert counts(report) == (1, 0, 0, 0, 0)
    assert report.documents == report.contexts == 30
    names = list(documents())
    assert len(set(names)) == 30
    assert writing.remove(f"{tmp_path}/{names[3]}") == [f"{tmp_path}/{names[3]}"]
    assert len(documents()) == 29
    assert counts(writing.add(file, text_field="answer")) == (0, 1, 0, 0, 0)  # brings it back
    assert len(documents()) == 30


def test_removing_files_and_folders(writing: EdgeQA, manuals: Path) -> None:
    writing.add(manuals)
    with pytest.raises(ContextGone, match=r"nothing\.txt"):
        writing.remove([manuals / "pump.txt", "nothing.txt"])
    assert len(documents()) == 2
    assert writing.remove(manuals / "pump.txt") == [str(manuals / "pump.txt")]
    assert list(documents()) == ["valve.txt"]
    assert writing.remove(manuals) == [str(manuals / "valve.txt")]
    assert documents() == {}
    assert counts(writing.add(manuals)) == (2, 0, 0, 0, 0)


def test_what_cannot_be_read_is_reported_and_the_rest_added(writing: EdgeQA, manuals: Path) -> None:
    (manuals / "bad.jsonl").write_text('{"text": "Good."}\n{"text": "Cut')
    (manuals / "binary.txt").write_bytes(b"text\0binary")
    (manuals / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    report = writing.add([manuals, manuals.parent / "missing.txt"])
    assert counts(report) == (2, 0, 0, 0, 3)
    failed = {os.path.basename(name): str(error) for name, error in report.failed}  # noqa: PTH119
    assert set(failed) == {"bad.jsonl", "binary.txt", "missing.txt"}
    assert all(name in message for name, message in failed.items())
    assert [os.path.basename(s.name) for s in report.skipped] == ["photo.jpg"]  # noqa: PTH119
    assert set(documents()) == {"pump.txt", "valve.txt"}
    with pytest.raises(ContextNotFound):
        writing.add(manuals.parent / "missing.txt")
    with pytest.raises(NothingToAdd):
        writing.add([])
    with pytest.raises(OptionError):
        writing.add(manuals, encodings_bytes=-1)


def test_a_file_that_changes_while_it_is_read_is_not_added(
    writing: EdgeQA, manuals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (manuals / "pump.txt").write_text(PUMP * 4000)
    tokenize = writing._equipment.reading._tokenizer.tokenize

    def meddling(text: str) -> object:
        (manuals / "pump.txt").write_text("Short now.")
        return tokenize(text)

    monkeypatch.setattr(writing._equipment.reading._tokenizer, "tokenize", meddling)
    report = writing.add(manuals, encodings_bytes=0)
    assert counts(report) == (1, 0, 0, 0, 1)
    assert "changed while it was read" in str(report.failed[0][1])
    assert set(documents()) == {"valve.txt"}


def test_a_name_with_a_newline_and_one_that_is_no_text(writing: EdgeQA, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)  # noqa: PTH102
    for name in (b"two\nlines.txt", b"latin-\xe9.txt"):
        with open(os.path.join(folder, name), "w") as file:  # noqa: PTH118, PTH123
            file.write(PUMP)
    assert counts(writing.add(tmp_path / "odd")) == (2, 0, 0, 0, 0)
    assert set(documents()) == {"two\nlines.txt", "latin-\\xe9.txt"}
    assert counts(writing.sync(tmp_path / "odd")) == (0, 0, 2, 0, 0)


def test_a_file_whose_name_is_no_text_is_found_by_either_of_its_names(writing: EdgeQA, tmp_path: Path) -> None:
    for name in (os.fsdecode(b"pump\xff.txt"), r"pump\xff.txt"):
        file = tmp_path / os.fsdecode(b"pump\xff.txt")
        file.write_text(PUMP)
        writing.add(file)
        with Catalogue.read(collection.directory()) as catalogue:
            assert [row.contexts for row in catalogue.documents_named(f"{tmp_path}/{name}")] == [1]
        assert [row.contexts for row in managing.remove(collection.directory(), tmp_path / name)] == [1]


def test_a_catalogue_is_read_where_nothing_can_be_written(writing: EdgeQA, manuals: Path) -> None:
    writing.add(manuals)
    place = collection.directory()
    (place / "catalogue.sqlite-wal").mkdir()  # not even root can make a file there now
    assert len(documents()) == 2
    assert verifying.verify(place) == []
    with pytest.raises(CollectionUnwritable, match="sqlite-wal is a folder"):
        writing.add(manuals)
    (place / "catalogue.sqlite").unlink()
    (place / "catalogue.sqlite").mkdir()
    with pytest.raises(CatalogueDamaged, match="bytes instead of"):  # its checksum is still there
        Catalogue.read(place)
    (place / seals.FILE).unlink()
    with pytest.raises(CollectionUnreadable, match="cannot read the collection default") as raised:
        Catalogue.read(place)
    assert "permissions" in raised.value.hint


def test_contexts_beyond_the_budget_are_kept_as_token_ids_and_encode_to_the_same_bits(
    writing: EdgeQA, manuals: Path
) -> None:
    writing.add(manuals, encodings_bytes=9000)
    opened = Collection(collection.directory())
    stored = [opened.context(n) for n in range(2)]
    assert [s.encoding is not None for s in stored] == [True, False]
    fresh = writing._equipment.reading.encode_context(stored[0].ids)
    assert stored[0].encoding is not None
    assert np.array_equal(stored[0].encoding.hidden, fresh.hidden)
    assert np.array_equal(stored[0].encoding.scale, fresh.scale)
    # What was asked for once holds from then on, and --re-encode applies another.
    (manuals / "third.txt").write_text(PUMP)
    assert writing.add(manuals).encoded == 0
    report = writing.add([], re_encode=True, encodings_bytes=1 << 20)
    assert (report.files_re_encoded, report.encoded) == (3, 3)
    assert documents() == {"pump.txt": PUMP, "valve.txt": VALVE, "third.txt": PUMP}
    assert counts(writing.add(manuals)) == (0, 0, 3, 0, 0)


def test_another_bundle_is_refused_and_re_encoding_takes_over(writing: EdgeQA, manuals: Path) -> None:
    long = " ".join(f"The valve {n} opens at {n * 7} bar." for n in range(300))
    (manuals / "long.txt").write_text(f"\n  {long}\n")
    other = EncoderIdentity("0" * 32, "other 2", 384)
    place = collection.directory()
    real, swapped = EncoderIdentity.of, lambda _: other
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EncoderIdentity, "of", staticmethod(swapped))
        writing.add(manuals, encodings_bytes=0)
    before = documents()
    with pytest.raises(CollectionOtherBundle, match="other 2"):
        writing.add(manuals)
    report = writing.add(manuals, re_encode=True)
    assert (counts(report), report.files_re_encoded) == ((0, 0, 3, 0, 0), 3)
    assert documents() == before
    assert load_snapshot(place).encoder == real(writing.bundle).digest
    with Catalogue.read(place) as catalogue:
        assert {s.encoder for s in catalogue.shards()} == {real(writing.bundle).digest}
    opened = Collection(place, real(writing.bundle))
    assert [c.start for c in opened.contexts_from(0)].count(0) >= 2


def test_re_encoding_keeps_what_passages_know_of_themselves(writing: EdgeQA) -> None:
    place = collection.directory()
    encoder, model = EncoderIdentity.of(writing.bundle), TimedModel(lambda: writing._equipment.reading)
    row = "Type: rotor; Price: 120"
    pieces = (Piece(0, 4, 10), Piece(6, 11, 40), Piece(13, 18, 15), Piece(20, 23, 46))
    long = " ".join(f"Step {n}: turn it {n} times." for n in range(150))
    with Writer(place, encoder._replace(digest="0" * 32)) as writer:
        writer.begin_source(b"/parts.csv", "parts.csv", b"1", 160, reader="csv 1")
        writer.begin_document("", "Parts")
        for text, start, kind, of in ((row, 40, "row", pieces), (long, 60, "list", (Piece(0, len(long), 60),))):
            passage = Window(text, start, model.tokenize(text), ("Parts", "Pump"), kind, of)
            groups = TokenGroups.of(passage)
            writer.add(passage, groups, None)
        writer.end_document()
        writer.end_source()
        writer.commit()
    writing.add([], re_encode=True)
    first, *rest = Collection(place, encoder).contexts_from(2)
    assert (first.text, first.start, first.kind, first.heading) == (row, 40, "row", ("Parts", "Pump"))
    assert first.pieces == pieces
    assert len(rest) > 1
    for context in rest:
        assert (context.kind, context.heading) == ("list", ("Parts", "Pump"))
        (piece,) = context.pieces
        assert long[piece.place - 60 :][: piece.end] == context.text
    with Catalogue.read(place) as catalogue:
        assert [s.reader for s in catalogue.sources()] == ["csv 1"]


def test_encodings_can_be_made_later(writing: EdgeQA, manuals: Path) -> None:
    report = writing.add(manuals, encodings_bytes="later")
    assert (report.contexts, report.encoded) == (2, 0)
    assert writing.ask("What lifts?", PUMP).candidates
    (manuals / "third.txt").write_text("The crane lifts 9 tons.")
    assert writing.add(manuals).encoded == 1  # as without it: nothing of the collection has changed
    report = writing.add([], re_encode=True)
    assert (report.files_re_encoded, report.encoded) == (3, 3)
    with pytest.raises(OptionError, match="encodings_bytes"):
        writing.add([], re_encode=True, encodings_bytes="later")


def test_what_is_done_in_the_end_are_all_bytes_of_the_files(
    writing: EdgeQA, manuals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (manuals / "page.html").write_text(f"<p>The page says little.<!-- {'x' * 5000} -->")
    (manuals / "wrong.html").write_bytes(b"<p>caf\xe9" * 99)
    (manuals / "wrong.json").write_text('[{"text": "One."}' + " " * 999)
    in_all = sum(file.stat().st_size for file in manuals.iterdir())
    made: list[StoreStage] = []

    class Watched(StoreStage):
        def __init__(self, writer: Writer, report: Added) -> None:
            super().__init__(writer, report)
            made.append(self)

    monkeypatch.setattr(adding, "StoreStage", Watched)
    for _ in range(2):
        writing.add(manuals)
        assert made[-1].done_bytes == in_all


def test_what_an_older_reader_or_splitter_made_is_read_again(
    writing: EdgeQA, manuals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing.add(manuals)
    assert counts(writing.sync(manuals)) == (0, 0, 2, 0, 0)
    with Catalogue.read(collection.directory()) as catalogue:
        assert {(s.reader, s.splitter) for s in catalogue.sources()} == {
            (f"text {kinds.TEXT.version}", splitter.SPLITTER_VERSION)
        }
    with monkeypatch.context() as patch:
        patch.setattr(splitter, "SPLITTER_VERSION", splitter.SPLITTER_VERSION + 1)
        (manuals / "pump.txt").write_text("The pump is new.")
        report = writing.sync(manuals)
        assert (counts(report), report.files_reread) == ((0, 1, 0, 0, 0), 1)
        assert (report.to_json()["files_reread"], report.files_done) == (1, 2)
        assert counts(writing.add(manuals)) == (0, 0, 2, 0, 0)
    newer = replace(kinds.TEXT, version=kinds.TEXT.version + 1)
    monkeypatch.setattr(kinds, "TEXT", newer)
    monkeypatch.setitem(kinds.KINDS, "text", newer)
    (manuals / "pump.txt").write_text(PUMP)
    report = writing.add(manuals, format="text")
    assert (counts(report), report.files_reread) == ((0, 1, 0, 0, 0), 1)
    assert documents() == {"pump.txt": PUMP, "valve.txt": VALVE}
    with Catalogue.read(collection.directory()) as catalogue:
        assert {s.reader for s in catalogue.sources()} == {f"text {newer.version}"}


class Interrupted(BaseException):
    """Ctrl-C."""


def test_an_interrupted_re_encoding_changes_nothing_and_goes_on(
    writing: EdgeQA, manuals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (manuals / f"{number}.txt").write_text(f"Number {number}.")
    writing.add(manuals, encodings_bytes=0)
    before, digest = documents(), load_snapshot(collection.directory()).digest
    encoded: list[int] = []
    monkeypatch.setattr(adding, "BLOCK_EVENTS", 4)
    encode = writing._equipment.reading._reader.encode_context

    def breaking(ids: object) -> object:
        encoded.append(1)
        if len(encoded) == 5:
            raise Interrupted
        return encode(ids)  # type: ignore[arg-type]

    monkeypatch.setattr(writing._equipment.reading._reader, "encode_context", breaking)
    with pytest.raises(Interrupted):
        writing.add([], re_encode=True, encodings_bytes=1 << 20)
    assert documents() == before
    assert load_snapshot(collection.directory()).digest == digest
    assert writing.add([], re_encode=True).files_re_encoded < 8
    assert documents() == before
    opened = Collection(collection.directory())
    assert all(c.encoding is not None for c in opened.contexts_from(0) if c.document in before)


def test_an_interrupted_file_goes_on_where_it_was(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "long.txt"
    file.write_text("\n".join(f"The valve {n} opens at {n * 7} bar, says its maker." for n in range(3000)))
    monkeypatch.setattr(adding, "COMMIT_BYTES", 1)
    taken: list[int] = []
    store = adding.StoreStage.take

    def breaking(self: StoreStage, block: list[object]) -> None:
        if len(taken) == 4:
            raise Interrupted
        taken.append(len(block))
        store(self, block)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(adding.StoreStage, "take", breaking)
        with pytest.raises(Interrupted):
            writing.add(file, encodings_bytes=0)
    assert documents() == {}
    report = writing.add(file)
    assert counts(report) == (1, 0, 0, 0, 0)
    whole = Collection(collection.directory()).contexts
    assert whole - 64 - 1 <= report.contexts < whole
    assert documents() == {"long.txt": file.read_text()}


def test_a_full_disk_is_said_and_loses_nothing(writing: EdgeQA, manuals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing.add(manuals / "pump.txt")
    before = threading.active_count()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CollectionUnwritable, match="No space left"):
            writing.add(manuals)
    assert threading.active_count() == before
    assert documents() == {"pump.txt": PUMP}
    assert counts(writing.add(manuals)) == (1, 0, 1, 0, 0)


@pytest.mark.parametrize("file", ["table.bin", "records.bin", "encodings.bin"])
def test_a_flipped_byte_is_mended_by_adding_again(writing: EdgeQA, manuals: Path, file: str) -> None:
    place = collection.directory()
    writing.add(manuals)
    (shard,) = (place / SHARDS).iterdir()
    raw = bytearray((shard / file).read_bytes())
    raw[len(raw) // 4] ^= 4
    (shard / file).write_bytes(raw)
    (damage,) = verifying.verify(place)
    assert damage.tag == shard.name
    assert damage.documents
    report = writing.add(manuals)
    assert (report.files_changed, report.damaged) == (len(damage.documents), [])
    assert verifying.verify(place) == []
    assert documents() == {"pump.txt": PUMP, "valve.txt": VALVE}


def test_a_damaged_index_is_found_and_made_anew_by_adding_again(writing: EdgeQA, manuals: Path) -> None:
    place = collection.directory()
    writing.add(manuals)
    assert verifying.verify_route(place) is None
    (file,) = (place / ROUTE).glob("*.idx")
    raw = bytearray(file.read_bytes())
    raw[3] ^= 4
    file.unlink()  # it may be mapped, and to write into it would end this process
    file.write_bytes(raw)
    assert verifying.verify(place) == []
    damage = verifying.verify_route(place)
    assert damage is not None
    assert str(damage) == f"the route index is damaged: {place / ROUTE}: {file.name}: wrong checksum"
    assert counts(writing.add(manuals)) == (0, 0, 2, 0, 0)
    assert verifying.verify_route(place) is None
    assert len(documents()) == 2
    shutil.rmtree(place / ROUTE)
    assert "meta.json is missing" in str(verifying.verify_route(place))
    writing.add(manuals)
    assert verifying.verify_route(place) is None
    assert damaged_tags(place) == set()


@pytest.mark.parametrize("part", ["fast", "fieldnorm", "idx", "pos", "store", "term"])
@pytest.mark.parametrize("left_bytes", [0, 20, -40])
def test_an_index_that_cannot_be_added_to_is_made_anew_at_once(
    writing: EdgeQA, manuals: Path, part: str, left_bytes: int
) -> None:
    place = collection.directory()
    writing.add(manuals)
    (file,) = (place / ROUTE).glob(f"*.{part}")
    cut = file.read_bytes()[:left_bytes]
    file.unlink()
    file.write_bytes(cut + b"\0" * (left_bytes < 0))
    (manuals / "third.txt").write_text("Another text.")
    assert counts(writing.add(manuals)) == (1, 0, 2, 0, 0)
    if part == "pos" and verifying.verify_route(place) is not None:
        writing.add(manuals)  # tantivy 0.26 adds without reading this part: what verify found, the next one mends
    assert verifying.verify_route(place) is None
    assert len(documents()) == 3


def test_an_index_of_another_state_is_found(writing: EdgeQA, manuals: Path) -> None:
    place = collection.directory()
    writing.add(manuals / "pump.txt")
    before = manuals.parent / "route"
    shutil.copytree(place / ROUTE, before)
    writing.add(manuals)
    shutil.rmtree(place / ROUTE)
    before.rename(place / ROUTE)
    assert "it has 1 contexts instead of 2" in str(verifying.verify_route(place))
    writing.add(manuals)
    assert verifying.verify_route(place) is None
    assert len(documents()) == 2


def test_what_a_damaged_shard_keeps_from_the_index_is_no_damage_of_the_index(writing: EdgeQA, manuals: Path) -> None:
    place = collection.directory()
    writing.add(manuals)
    shutil.rmtree(place / ROUTE)
    (shard,) = (place / SHARDS).iterdir()
    (shard / "records.bin").write_bytes(b"")
    other = manuals.parent / "other.txt"
    other.write_text("Another text.")
    writing.add(other)
    assert len(verifying.verify(place)) == 1
    assert verifying.verify_route(place) is None
    writing.add(manuals)
    assert (verifying.verify(place), verifying.verify_route(place)) == ([], None)
    assert len(documents()) == 3


def test_an_index_that_a_question_finds_damaged_is_made_anew_by_the_next_add(writing: EdgeQA, manuals: Path) -> None:
    place = collection.directory()
    writing.add(manuals)
    (file,) = (place / ROUTE).glob("*.pos")  # of which a search reads the beginning alone
    damaged = b"\xff" * 9 + file.read_bytes()[9:]
    file.unlink()
    file.write_bytes(damaged)
    with runtime.open(persist="off") as opened, pytest.raises(RouteDamaged, match="the route index is damaged"):
        opened.ask("At how many bar does the valve open?")
    assert damaged_tags(place) == {ROUTE_NOTE}
    writing.add(manuals)
    assert damaged_tags(place) == set()
    assert len(documents()) == 2


def test_damage_that_is_not_mended_is_reported(writing: EdgeQA, manuals: Path) -> None:
    place = collection.directory()
    writing.add(manuals)
    (shard,) = (place / SHARDS).iterdir()
    (shard / "records.bin").write_bytes(b"")
    report = writing.add(manuals / "pump.txt")
    assert [d.tag for d in report.damaged] == [shard.name]
    assert [d.name for d in report.damaged[0].documents] == [str(manuals / "pump.txt"), str(manuals / "valve.txt")]


@pytest.mark.parametrize("damage", ["missing", "meta", "empty"])
def test_an_index_that_is_missing_or_damaged_is_made_again(writing: EdgeQA, manuals: Path, damage: str) -> None:
    writing.add(manuals)
    route = collection.directory() / "route"
    if damage == "missing":
        shutil.rmtree(route)
    elif damage == "meta":
        (route / "meta.json").write_text("{")
    else:
        for file in route.iterdir():
            file.unlink()
    writing.add(manuals)
    assert len(documents()) == 2


def test_removing_from_nothing_makes_nothing(writing: EdgeQA) -> None:
    with pytest.raises(CollectionNotFound):
        writing.remove("a.txt")
    assert not collection.directory().exists()


def test_two_at_a_time_are_refused(writing: EdgeQA, manuals: Path) -> None:
    writing.add(manuals)
    with Writer(collection.directory()), pytest.raises(CollectionBusy, match="process"):
        writing.add(manuals)


def test_what_was_taken_back_with_a_file_that_failed_is_not_counted(writing: EdgeQA, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    bad.write_text('{"text": "The motor weighs 40 kilograms."}\n{"text": 5}\n')
    good.write_text('{"text": "The pump weighs 20 kilograms."}\n')
    added = writing.add([bad, good])
    assert (added.files_added, len(added.failed)) == (1, 1)
    assert (added.documents, added.contexts, added.encoded) == (1, 1, 1)
