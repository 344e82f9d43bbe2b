"""Tests rare runs of adding, removing and re-encoding: begun before, interrupted, of paths that cannot be walked."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from filling import ENCODER, WINDOW, fill, open_writer, put, put_document
from interrupts import interrupted_at

from edgeqa import collection
from edgeqa.collection import adding, directory, managing, verifying
from edgeqa.collection import writer as writing_module
from edgeqa.collection.adding import MAX_SKIPPED, Added, AddingRun, TimedModel
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import MARK
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import CatalogueDamaged, CollectionNameInvalid, ShardDamaged
from edgeqa.collection.ownership import LOCK
from edgeqa.collection.snapshot import CATALOGUE, SHARDS, EncoderIdentity
from edgeqa.collection.writer import Writer
from edgeqa.errors import ContextError
from edgeqa.formats.folders import Skipped

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.runtime import EdgeQA


class Interrupted(BaseException):
    """The process ends here."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


def texts(place: Path) -> dict[str, str]:
    """Returns the documents that can be asked, of one context each."""
    opened = Collection(place)
    with Catalogue.read(place) as catalogue:
        return {row.name: opened.context(row.first).text for row in catalogue.documents()}


def test_a_directory_is_a_collection_by_itself_and_a_name_must_be_one(tmp_path: Path) -> None:
    assert directory(tmp_path) == tmp_path
    for wrong in ("", "../x", 7):
        with pytest.raises(CollectionNameInvalid):
            directory(wrong)  # type: ignore[arg-type]  # what is tested


def test_a_folder_and_a_document_in_it_are_removed_at_once_and_told_once(writing: EdgeQA, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("The pump is red.")
    (folder / "b.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n')
    writing.add(folder)
    document = f"{folder / 'b.jsonl'}#2"
    assert sorted(writing.remove([document, folder, document])) == sorted(
        [str(folder / "a.txt"), f"{folder / 'b.jsonl'}#1", document]
    )


def test_progress_is_told_for_a_path_that_cannot_be_walked_too(writing: EdgeQA, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The pump is red.")
    seen: list[tuple[str, int, int]] = []
    paths = [tmp_path / "a.txt", tmp_path / "nowhere"]
    report = writing.add(paths, progress=lambda *progress: seen.append(progress))
    assert (report.files_added, [name for name, _ in report.failed]) == (1, [str(tmp_path / "nowhere")])
    assert seen
    assert all(step == "adding" and 0 <= done <= in_all for step, done, in_all in seen)
    with pytest.raises(ContextError):
        writing.add(tmp_path / "nowhere", progress=lambda *_: None)


def test_documents_that_an_interrupted_run_has_stored_are_not_stored_again(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("".join(f'{{"text": "Valve {n} opens at {n} bar."}}\n' for n in range(60)))
    monkeypatch.setattr(adding, "COMMIT_BYTES", 1)
    taken: list[object] = []
    take = adding.StoreStage.take

    def breaking(self: adding.StoreStage, block: list[object]) -> None:
        if len(taken) == 2:
            raise Interrupted
        taken.append(block)
        take(self, block)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(adding.StoreStage, "take", breaking)
        with pytest.raises(Interrupted):
            writing.add(file, encodings_bytes=0)
    stored = len(texts(collection.directory()))
    assert 0 < stored < 60
    report = writing.add(file)
    assert report.documents == 60 - stored
    assert sorted(texts(collection.directory()).values()) == sorted(f"Valve {n} opens at {n} bar." for n in range(60))


def test_an_interrupt_while_the_rest_is_written_waits_for_it(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To close what another thread writes with can end the process."""
    file = tmp_path / "a.txt"
    file.write_text("The pump is red.")
    steps: list[str] = []
    wait, commit, close = threading.Event.wait, Writer.commit, Writer.close
    heard = threading.Event()

    def waiting(event: threading.Event, timeout: float | None = None) -> bool:
        try:
            return wait(event, timeout)
        except KeyboardInterrupt:
            heard.set()
            raise

    def committing(writer: Writer) -> None:
        for _ in range(2):
            while not wait(heard, 0.1):  # it need not wait yet when the interrupt comes
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            heard.clear()
        commit(writer)
        steps.append("committed")

    def closing(writer: Writer) -> None:
        heard.set()
        steps.append("closed")
        close(writer)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", waiting)
        patch.setattr(Writer, "commit", committing)
        patch.setattr(Writer, "close", closing)
        with pytest.raises(KeyboardInterrupt):
            writing.add(file)
    assert steps == ["committed", "closed"]
    assert texts(collection.directory()) == {str(file): "The pump is red."}
    assert writing.add(file).files_unchanged == 1


@pytest.mark.parametrize("at", ["in its middle", "before it has begun"])
def test_an_interrupt_while_a_thread_is_started_leaves_it_nothing_to_do(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("The pump is red.")
    start = threading.Thread.start
    late: list[threading.Thread] = []

    def starting(thread: threading.Thread) -> None:
        if at == "in its middle":
            start(thread)
        late.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", starting)
        with pytest.raises(KeyboardInterrupt):
            writing.add(file)
    if at == "before it has begun":
        late[0].start()
    late[0].join()
    assert writing.add(file).files_added == 1


# One that comes while an object is deleted is no one's to hear.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_step_of_a_writer_keeps_nobody_from_writing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place, {"a.txt": "One."})
    monkeypatch.setattr(writing_module, "narrow", lambda _: None)  # half of all steps, and nothing is held by them
    step, was_interrupted = 0, True

    def write() -> None:
        with open_writer(place) as writer:
            writer.begin_source(b"/b.txt", "b.txt", b"%d" % step, WINDOW)

    while was_interrupted:
        step += 1
        # Not in filling.py: at the end of its `with patch`, that would leave its index to all tests that come after.
        was_interrupted = interrupted_at(step, write, ("writer.py", "ownership.py"))
        with open_writer(place):
            assert (place / LOCK).read_text() == str(os.getpid())
        assert (place / LOCK).read_text() == ""
        assert texts(place) == {"a.txt": "One."}
    assert step > 50


def test_no_more_names_of_what_was_left_out_are_kept_than_anybody_reads() -> None:
    report = Added("default")
    for number in range(MAX_SKIPPED + 5):
        report.skip(Skipped(f"{number}.png", "a picture"))
    assert (report.skipped_count, len(report.skipped)) == (MAX_SKIPPED + 5, MAX_SKIPPED)


def test_a_run_without_events_adds_nothing(writing: EdgeQA, place: Path) -> None:
    model = TimedModel(lambda: writing._equipment.reading)
    with open_writer(place) as writer:
        report = AddingRun(writer, ENCODER, model, encodings_left_bytes=0).run(iter([]), lambda *_: None)
    assert (report.documents, load_snapshot(place).documents) == (0, 0)


# --- re-encoding -----------------------------------------------------------------------------------------------------


def other_model(writing: EdgeQA, paths: list[Path]) -> None:
    """Adds files with another model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EncoderIdentity, "of", staticmethod(lambda _: EncoderIdentity("0" * 32, "other 2", 384)))
        writing.add(paths, encodings_bytes=0)


@pytest.fixture
def two(writing: EdgeQA, tmp_path: Path) -> list[Path]:
    """Two files, added with another model."""
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text(f"The pump of {file.stem} is red.")
        other_model(writing, [file])
    return files


def test_a_re_encoding_that_was_done_but_for_the_last_commit_does_nothing_again(
    writing: EdgeQA, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Writer) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "take_places", killed)
        with pytest.raises(Interrupted):
            writing.add([], re_encode=True)
    assert load_snapshot(collection.directory()).encoder == "0" * 32
    seen: list[str] = []
    report = writing.add([], re_encode=True, progress=lambda step, *_: seen.append(step))
    assert report.files_re_encoded == 0
    assert load_snapshot(collection.directory()).encoder == EncoderIdentity.of(writing.bundle).digest
    assert texts(collection.directory()) == {str(file): file.read_text() for file in two}


def test_what_cannot_be_read_is_lost_when_all_is_re_encoded_and_that_is_said(writing: EdgeQA, two: list[Path]) -> None:
    place = collection.directory()
    damaged = place / SHARDS / load_snapshot(place).shards[0].tag / "records.bin"
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    seen: list[tuple[str, int, int]] = []
    report = writing.add([], re_encode=True, progress=lambda *progress: seen.append(progress))
    assert [(name, type(error)) for name, error in report.failed] == [(str(two[0]), ShardDamaged)]
    assert texts(place) == {str(two[1]): two[1].read_text()}
    assert {step for step, *_ in seen} == {"re-encoding"}


def test_only_what_was_made_with_the_new_model_is_left_when_places_are_taken(place: Path) -> None:
    fill(place, {"a.txt": "Stays.", "b.txt": "Is not made anew."})
    with open_writer(place, EncoderIdentity("0" * 32, "other 1", 384), anew=True) as writer:
        writer.begin_source(b"/a.txt", "a.txt", MARK + b"1", WINDOW)
        put_document(writer, "", "Stays.")
        writer.set_source_by()
        put(writer, "c.txt", [("", "New.")])
        assert [row.name for row in writer.take_places()] == ["b.txt"]
    assert texts(place) == {"a.txt": "Stays.", "c.txt": "New."}


# --- the catalogue made again ----------------------------------------------------------------------------------------


def test_a_catalogue_that_is_not_whole_in_its_file_takes_nobodys_place(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place, {"a.txt": "Text."})
    raw = bytearray((place / CATALOGUE).read_bytes())
    raw[5000] ^= 1
    (place / CATALOGUE).write_bytes(raw)
    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "checkpoint", lambda _: False)
        with pytest.raises(CatalogueDamaged):
            managing.repair(place)
    assert (place / CATALOGUE).read_bytes() == raw
    managing.repair(place)
    assert texts(place) == {"a.txt": "Text."}


def test_a_catalogue_is_made_again_beside_what_a_killed_writer_has_left(place: Path) -> None:
    fill(place, {"a.txt": "Text."})
    (place / SHARDS / "partial-XYZ").mkdir()
    (place / CATALOGUE).unlink()
    managing.repair(place)
    assert texts(place) == {"a.txt": "Text."}
    assert not (place / SHARDS / "partial-XYZ").exists()


def test_a_catalogue_that_a_reader_holds_open_is_settled_later(place: Path) -> None:
    fill(place, {"a.txt": "Text."})
    with contextlib.ExitStack() as left_open:
        reader = left_open.enter_context(Catalogue.read(place))
        reader._connection.execute("BEGIN")
        assert reader.get("documents", 0) == 1
        fill(place, {"b.txt": "More."})
        assert not (place / "seals.json").exists()
    fill(place, {"c.txt": "And more."})
    assert (place / "seals.json").exists()
    assert texts(place) == {"a.txt": "Text.", "b.txt": "More.", "c.txt": "And more."}


def test_where_encoding_fails_nobody_waits_for_room_that_never_comes(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "long.txt"
    file.write_text("\n".join(f"The valve {n} opens at {n * 7} bar, says its maker." for n in range(6000)))

    def breaking(_: TimedModel, __: object) -> None:
        raise Interrupted

    monkeypatch.setattr(TimedModel, "encode", breaking)
    with pytest.raises(Interrupted):
        writing.add(file)
    monkeypatch.undo()
    assert threading.active_count() == len([t for t in threading.enumerate() if "_guarded" not in t.name])


def test_the_log_of_a_damaged_catalogue_is_not_taken_for_that_of_the_new_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = place / f"{CATALOGUE}-wal"
    with open_writer(place) as writer, monkeypatch.context() as patch:
        patch.setattr(Catalogue, "seal", lambda _: None)
        for number in range(8):
            put(writer, f"{number}.txt", [("", f"Number {number}.")])
        writer.commit()
        former = log.read_bytes()  # of a catalogue that is empty but for these
    assert len(former) > 4096
    fill(place, {"last.txt": "The last one."})
    expected = texts(place)
    raw = bytearray((place / CATALOGUE).read_bytes())
    raw[5000] ^= 1
    (place / CATALOGUE).write_bytes(raw)
    log.write_bytes(former)  # as a killed writer leaves it
    managing.repair(place)
    assert texts(place) == expected
    assert verifying.verify(place) == []
