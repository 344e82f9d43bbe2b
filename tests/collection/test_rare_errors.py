"""Tests that each rare error ends in what the user is told, and leaves what was there."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tantivy
from filling import ENCODER, fill, open_writer, put, put_document
from xxhash import xxh3_128_hexdigest

from edgeqa import collection, forking
from edgeqa.collection import adding, adding_sources, index, ownership, seals
from edgeqa.collection import collection as reading
from edgeqa.collection import writer as writing
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, LiveCollection, load_snapshot
from edgeqa.collection.damage import Damage, damaged_tags, note_damage
from edgeqa.collection.errors import (
    CatalogueDamaged,
    CollectionBusy,
    CollectionOtherBundle,
    CollectionUnreadable,
    CollectionUnwritable,
    ContextGone,
    FileDamaged,
    NameAmbiguous,
    RouteDamaged,
    RouteUnreadable,
    RouteUnwritable,
    ShardDamaged,
)
from edgeqa.collection.index import META, Index, IndexWriter, check_index, files_of
from edgeqa.collection.naming import Address, ranges_within
from edgeqa.collection.ownership import Lock
from edgeqa.collection.shard import FILES, Shard
from edgeqa.collection.snapshot import CATALOGUE, ROUTE, SHARDS, EncoderIdentity, Snapshot
from edgeqa.collection.verifying import verify, verify_route
from edgeqa.collection.writer import Writer
from edgeqa.errors import ContextNotFound, OptionError, ThreadsLimited
from edgeqa.files import make_folders
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from conftest import Run

    from edgeqa.runtime import EdgeQA


class Interrupted(BaseException):
    """As of Ctrl-C."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path))
    return collection.directory()


def raising(error: BaseException) -> Any:  # noqa: ANN401 - in the place of whatever
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


# --- adding ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("place")
def test_where_a_thread_cannot_be_started_that_is_said(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("The pump is red.")
    start = threading.Thread.start
    left = [1]

    def limited(self: threading.Thread) -> None:
        if left[0] == 0:
            message = "can't start new thread"
            raise RuntimeError(message)
        left[0] -= 1
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(ThreadsLimited):
        writing.add([tmp_path / "a.txt"])


@pytest.mark.usefixtures("place")
def test_a_thread_that_begins_after_an_interrupt_does_nothing(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it, and the collection may be closed already."""
    (tmp_path / "a.txt").write_text("The pump is red.")
    late: list[threading.Thread] = []
    worked: list[object] = []

    def interrupted(threads: Iterator[threading.Thread]) -> None:
        late.extend(threads)
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(adding, "_start", interrupted)
        patched.setattr(adding.AddingRun, "_work", lambda *told: worked.append(told))
        with pytest.raises(Interrupted):
            writing.add([tmp_path / "a.txt"])
        for thread in late:
            thread.start()
            thread.join()
    assert (len(late), worked) == (2, [])
    assert writing.add([tmp_path / "a.txt"]).files_added == 1


@pytest.mark.usefixtures("place")
def test_what_encoding_raises_is_not_taken_for_a_lack_of_threads(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("The pump is red.")
    monkeypatch.setattr(adding.AddingRun, "_encode_one", raising(RuntimeError("of the library")))
    with pytest.raises(RuntimeError, match="of the library"):
        writing.add([tmp_path / "a.txt"])


@pytest.mark.usefixtures("place")
def test_a_file_that_is_not_there_does_not_keep_the_others_from_being_counted(writing: EdgeQA, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The pump is red.")
    seen: list[int] = []
    paths = [tmp_path / "a.txt", tmp_path / "nowhere"]
    report = writing.add(paths, progress=lambda _, __, of: seen.append(of))
    assert (report.files_added, [Path(name).name for name, _ in report.failed]) == (1, ["nowhere"])
    assert set(seen) == {len("The pump is red.")}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("how", ["add", "sync"])
def test_progress_is_in_bytes_of_the_files(
    how: str, writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "BLOCK_CONTEXTS", 1)  # it is told after each
    monkeypatch.setattr(adding, "BLOCKS", 1)
    paths = [tmp_path / f"{number}.txt" for number in range(6)]
    for number, path in enumerate(paths):
        path.write_text(f"Pump number {number} is red and was built in Leeds.")
    ends = [path.stat().st_size * (number + 1) for number, path in enumerate(paths)]
    seen: list[tuple[int, int]] = []
    getattr(writing, how)(paths, progress=lambda _, done, of: seen.append((done, of)))
    assert {of for _, of in seen} == {ends[-1]}
    assert {0, *ends} >= {done for done, _ in seen} > {0}


@pytest.mark.usefixtures("place")
def test_a_pipe_that_cannot_be_read_is_not_read_again(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes to it may not do so any more, and it is another thread's turn, which cannot be interrupted."""
    (tmp_path / "a.txt").write_text("The pump is red.")
    read: list[threading.Thread] = []

    def walking(paths: list[str], *arguments: Any) -> Any:  # noqa: ANN401 - whatever it is given
        if paths == ["-"]:
            read.append(threading.current_thread())
            raise ContextNotFound(paths[0])
        return walk(paths, *arguments)

    monkeypatch.setattr(adding_sources, "walk", walking)
    report = writing.add(["-", tmp_path / "a.txt"])
    assert [name for name, _ in report.failed] == ["-"]
    assert (report.files_added, read) == (1, [threading.current_thread()])


@pytest.mark.usefixtures("place")
def test_what_cannot_be_counted_is_said_when_it_is_read(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("The pump is red.")
    walked = walk
    seen: list[tuple[int, int]] = []

    def meanwhile(paths: list[str], *arguments: Any) -> Any:  # noqa: ANN401 - whatever it is given
        if len(arguments) == 1:  # when it is counted
            raise ContextNotFound(paths[0])
        return walked(paths, *arguments)

    monkeypatch.setattr(adding_sources, "walk", meanwhile)
    report = writing.add([tmp_path / "a.txt"], progress=lambda _, done, of: seen.append((done, of)))
    assert (report.files_added, set(seen)) == (1, {(0, 0)})


@pytest.mark.usefixtures("place")
def test_what_is_left_out_of_a_file_is_reported(
    writing: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeqa.formats.source import Source

    (tmp_path / "a.txt").write_text("The pump is red.")
    records = Source.records

    def noting(self: Source) -> Iterator[Any]:
        yield from records(self)
        self.notes.append(("a.txt#2", "it is missing"))

    monkeypatch.setattr(Source, "records", noting)
    report = writing.add([tmp_path / "a.txt"])
    assert [(one.name, one.reason) for one in report.skipped] == [("a.txt#2", "it is missing")]


def test_a_file_that_was_re_encoded_in_part_is_gone_on_with(
    writing: EdgeQA, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("name,text\none,The pump is red.\ntwo,The valve is blue.\n")
    real = EncoderIdentity.of
    with monkeypatch.context() as patch:
        patch.setattr(EncoderIdentity, "of", staticmethod(lambda _: EncoderIdentity("0" * 32, "other 2", 384)))
        writing.add([tmp_path / "a.csv"], encodings_bytes=0)
    calls: list[str] = []

    def interrupted(step: str, *_: int) -> None:
        calls.append(step)
        if len(calls) == 2:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(adding, "BLOCK_CONTEXTS", 1)
        patch.setattr(adding, "COMMIT_BYTES", -1)
        with pytest.raises(Interrupted):
            writing.add([], re_encode=True, progress=interrupted)
    with Catalogue.read(place) as catalogue:
        assert [catalogue.whole_documents(source.id) for source in catalogue.sources()] == [2, 1]
    report = writing.add([], re_encode=True)
    assert (report.files_re_encoded, report.documents) == (1, 1)
    opened = Collection(place, real(writing.bundle))
    assert sorted(context.text for context in opened.contexts_from(0)) != []
    assert load_snapshot(place).documents == 2


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_a_catalogue_that_the_system_refuses_is_told_by_what_it_was_opened_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CollectionUnwritable, match="No such file or directory"):
        Catalogue.write(tmp_path / "nowhere")
    fill(tmp_path / "c", {"a.txt": "One."})
    (tmp_path / "c" / seals.FILE).unlink()
    monkeypatch.setattr(seals, "shared_descriptor", raising(OSError(5, "Input/output error")))
    with pytest.raises(CollectionUnreadable, match="Input/output error"):
        Catalogue.read(tmp_path / "c")


def test_to_commit_nothing_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "c", {"a.txt": "One."})
    with Catalogue.write(tmp_path / "c") as catalogue:
        before = catalogue.snapshot()
        catalogue.commit()
        assert catalogue.snapshot() == before


@pytest.mark.parametrize("wrong", [sqlite3.DatabaseError("malformed"), sqlite3.OperationalError("disk I/O error")])
def test_what_sqlite_finds_while_it_reads_is_damage_or_the_systems(tmp_path: Path, wrong: sqlite3.Error) -> None:
    class Cursor:
        fetchone = fetchmany = raising(wrong)

    class Connection:
        in_transaction = False

        def execute(self, *_: object) -> Cursor:
            return Cursor()

    class Refusing(Connection):
        execute = raising(wrong)

    kind: type[Exception] = CollectionUnreadable if isinstance(wrong, sqlite3.OperationalError) else CatalogueDamaged
    catalogue = Catalogue(tmp_path / CATALOGUE, Connection())  # type: ignore[arg-type]
    with pytest.raises(kind):
        catalogue.get("format", None)
    with pytest.raises(kind):
        catalogue.shards()
    assert not catalogue.checkpoint()
    kind = CollectionUnwritable if isinstance(wrong, sqlite3.OperationalError) else CatalogueDamaged
    with pytest.raises(kind):
        Catalogue(tmp_path / CATALOGUE, Refusing()).set("x", 1)  # type: ignore[arg-type]


def test_documents_that_cannot_be_read_are_damage_of_their_shard(tmp_path: Path) -> None:
    fill(tmp_path / "c", {"a.txt": "One."})
    (place,) = (tmp_path / "c" / SHARDS).iterdir()
    shard, file = Shard(place), place / "documents.jsonl"
    raw = b"nonsense"
    file.write_bytes(raw)
    digests = dict.fromkeys(FILES, "") | {"documents.jsonl": xxh3_128_hexdigest(raw)}
    shard.manifest = shard.manifest._replace(digests=digests)
    with pytest.raises(ShardDamaged, match=r"documents\.jsonl: Expecting value"):
        shard.documents()
    file.unlink()
    with pytest.raises(ShardDamaged, match=r"documents\.jsonl: No such file or directory"):
        shard.documents()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_collection_that_changes_each_time_is_busy(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Writer(place, ENCODER) as writer:
        put(writer, "a.txt", [("", "One.")])
        writer.commit()
    live = LiveCollection(place, ENCODER)
    before = live.routed()
    assert live.routed() == before
    live.forked()
    after = live.routed()
    assert (after[0] is before[0], after[1] is before[1]) == (True, False)
    load, times = load_snapshot, [0]

    def changing(directory: Path) -> Snapshot:
        times[0] += 1
        return load(directory)._replace(digest=str(times[0]))

    monkeypatch.setattr(reading, "load_snapshot", changing)
    with pytest.raises(CollectionBusy, match="is being changed by another process"):
        live.routed()
    (place / SHARDS / load(place).shards[0].tag / "table.bin").unlink()
    assert len(Collection(place).damaged) == 1  # after so many attempts it is taken as it is


def test_what_is_damaged_is_opened_once_where_nobody_writes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(place, {"a.txt": "One."})
    tag = load_snapshot(place).shards[0].tag
    (place / SHARDS / tag / "table.bin").unlink()
    opened: list[Path] = []

    class Noted(Shard):
        def __init__(self, directory: Path) -> None:
            opened.append(directory)
            super().__init__(directory)

    monkeypatch.setattr(reading, "Shard", Noted)
    assert list(Collection(place).damaged) == [tag]
    assert opened == [place / SHARDS / tag]


def test_shards_are_merged_as_long_as_there_is_any_use_in_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_writer(place) as writer:
        for number in range(4):
            put(writer, f"{number}.txt", [("", f"Text {number}.")])
            writer.commit()
        assert len(writer.catalogue.shards()) == 4
        monkeypatch.setattr(writing, "choose_to_merge", lambda shards, _: shards[:2] if len(shards) > 1 else [])
        put(writer, "4.txt", [("", "Text 4.")])
        writer.commit()
        assert len(writer.catalogue.shards()) == 1


def test_files_below_a_folder_are_found_however_its_name_ends(place: Path) -> None:
    fill(place, {"notes/a.txt": "One.", "notes/b.txt": "Two.", "notes-old/c.txt": "Three."})
    with Catalogue.read(place) as catalogue:
        for name in ("notes", "notes/", "notes//"):
            assert [source.name for source in catalogue.sources_named_below(name)] == ["notes/a.txt", "notes/b.txt"]


def test_a_collection_of_another_model_is_not_asked(place: Path) -> None:
    fill(place, {"a.txt": "One."})
    with pytest.raises(CollectionOtherBundle):
        LiveCollection(place, ENCODER._replace(digest="0" * 32)).now()


def test_a_part_of_a_collection_is_told_by_whole_names(place: Path, tmp_path: Path) -> None:
    with open_writer(place) as writer:
        for path, name, suffixes in (
            ("/d/notes/a.txt", "notes/a.txt", ("",)),
            ("/d/notes-old/a.txt", "notes-old/a.txt", ("",)),
            ("/d/prices.csv", "prices.csv", ("#2", "#3")),
            ("/x/same.txt", "same.txt", ("",)),
            ("/y/same.txt", "same.txt", ("",)),
            ("/d/one.txt", "one.txt", ("",)),
        ):
            writer.begin_source(path.encode(), name, b"1", 128)
            for suffix in suffixes:
                put_document(writer, suffix, f"Text of {path}{suffix}.")
            writer.end_source()
        writer.commit()
    live = LiveCollection(place, ENCODER)
    for names, expected in (
        ("notes", ((0, 1),)),
        ("/d/notes", ((0, 1),)),
        (["prices.csv", "notes-old/a.txt"], ((1, 4),)),
        (Path("prices.csv#3"), ((3, 4),)),
        (["one.txt", "notes/a.txt"], ((0, 1), (6, 7))),
        ("/x/same.txt", ((4, 5),)),
    ):
        assert live.ranges_within(names) == expected
    for wrong in ([], "", ["notes", ""]):
        with pytest.raises(OptionError, match="within cannot be"):
            ranges_within(place, wrong)
    with pytest.raises(NameAmbiguous, match=r"same\.txt means 2 texts"):
        ranges_within(place, "same.txt")
    with pytest.raises(ContextGone):
        ranges_within(place, "note")
    assert tmp_path in place.parents


def test_an_address_is_told_from_other_texts() -> None:
    address = Address.parse("a {X}:1.txt:{8YG}:12")
    assert address == Address("a {X}:1.txt", "8YG", 12)
    assert str(address) == "a {X}:1.txt:{8YG}:12"
    for other in ("a.txt", "a.txt:{8YG}:0", "a.txt:{8YG}:", "a.txt:{8 YG}:1"):
        assert Address.parse(other) is None


# --- damage, files, locks --------------------------------------------------------------------------------------------


def test_what_is_damaged_beside_the_shards_is_told_and_not_noted_for_one(place: Path) -> None:
    fill(place, {"a.txt": "One."})
    (place / "snapshot.json").write_bytes(b"nonsense")
    (damage,) = verify(place)
    assert damage.to_json()["shard"] is None
    assert damage.to_json()["documents"] == []
    assert "snapshot.json is damaged" in damage.to_json()["problems"][0]
    note_damage(place, Damage("", (FileDamaged(place / "snapshot.json", "x"),), ()))
    assert damaged_tags(place) == set()


def test_an_index_that_reads_as_before_is_damaged_if_it_is_not_what_was_sealed(place: Path) -> None:
    with Writer(place, ENCODER) as writer:
        put(writer, "a.txt", [("", "One.")])
        writer.commit()
    assert verify_route(place) is None
    with (place / ROUTE / META).open("ab") as stream:
        stream.write(b" ")
    assert check_index(place / ROUTE) == 1
    assert "meta.json: " in str(verify_route(place))


def test_where_the_catalogue_is_lost_only_shards_are_looked_at(place: Path) -> None:
    fill(place, {"a.txt": "One."})
    (shard,) = (place / SHARDS).iterdir()
    (shard / "records.bin").write_bytes(b"nonsense")
    (place / SHARDS / "partial-ABC").mkdir()
    (place / CATALOGUE).unlink()
    assert [damage.tag for damage in verify(place)] == ["", shard.name]


def test_folders_may_be_made_by_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def faster(self: Path, *arguments: Any) -> None:  # noqa: ANN401 - whatever it is given
        mkdir(self)
        mkdir(self, *arguments)

    monkeypatch.setattr(Path, "mkdir", faster)
    make_folders(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    monkeypatch.undo()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_folders(tmp_path / "file")


FORKED = """
import os, signal, sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from filling import ENCODER, put
from edgeqa.collection.collection import load_snapshot
from edgeqa.collection.writer import Writer
warnings.simplefilter("ignore")
place = Path(sys.argv[1])
with Writer(place, ENCODER) as writer:
    put(writer, "a.txt", [("", "One.")])
    writer.commit()
    child = os.fork()
    if not child:
        signal.pause()
try:
    with Writer(place, ENCODER) as writer:
        put(writer, "b.txt", [("", "Two.")])
        writer.commit()
    print(load_snapshot(place).documents)
finally:
    os.kill(child, signal.SIGKILL)
"""


@pytest.mark.usefixtures("unmeasured")
def test_a_child_that_was_forked_while_somebody_wrote_keeps_nobody_from_writing(place: Path, run: Run) -> None:
    assert run(FORKED, place, Path(__file__).parent).communicate(timeout=60) == ("2\n", "")


def test_an_interrupt_while_a_lock_is_taken_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(forking, "tell", raising(Interrupted()))
        with pytest.raises(Interrupted):
            Lock(tmp_path)
    lock = Lock(tmp_path)
    lock.release()
    lock.release()
    lock.forked()
    Lock(tmp_path).release()


def test_what_goes_while_a_collection_is_looked_at_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "c", {"a.txt": "One."})
    lstat = Path.lstat

    def gone(self: Path) -> os.stat_result:
        if self.name == "seals.json":
            raise FileNotFoundError
        return lstat(self)

    monkeypatch.setattr(Path, "lstat", gone)
    assert ownership.foreign(tmp_path / "c") is None


# --- the index -------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / ROUTE
    with IndexWriter(directory) as writer:
        for number in range(5):
            writer.add(number, f"The pump of number {number}.", "")
        writer.commit()
    return directory


def test_deleting_nothing_and_closing_twice_are_harmless(made: Path) -> None:
    with IndexWriter(made) as writer:
        writer.delete(3, 3)
        writer.commit()
        writer.close()
    assert Index(made).contexts == 5


def test_only_ranges_of_ids_are_searched(made: Path) -> None:
    hits = Index(made).search("pump", 5, within=[(1, 3), (4, 5)])
    assert (sorted(hit.number for hit in hits.best), hits.passages) == ([1, 2, 4], 3)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), RouteUnwritable),
        (ValueError("failed to spawn thread"), ThreadsLimited),
        (ValueError("IoError: disk is full"), RouteUnwritable),
        (ValueError("something else"), RouteDamaged),
        (Interrupted(), Interrupted),
    ],
)
def test_what_the_library_raises_is_told_apart(made: Path, error: BaseException, told: type[BaseException]) -> None:
    class Library:
        commit = raising(error)

    with IndexWriter(made) as writer:
        used, writer._writer = writer._writer, Library()  # type: ignore[assignment]
        with pytest.raises(told):
            writer.commit()
        writer._writer = used


@pytest.mark.parametrize(
    ("error", "told"),
    [(ValueError("failed to spawn thread"), ThreadsLimited), (Interrupted(), Interrupted)],
)
def test_an_index_that_is_not_opened_for_other_reasons_is_not_damaged(
    made: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: type[BaseException]
) -> None:
    monkeypatch.setattr(index, "_searcher", raising(error))
    with pytest.raises(told):
        Index(made)


def test_where_no_thread_can_be_started_the_library_is_not_asked(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would write pages to standard error."""
    monkeypatch.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread")))
    with pytest.raises(ThreadsLimited):
        Index(made)
    with pytest.raises(ThreadsLimited):
        IndexWriter(made)


def test_an_interrupt_while_it_is_searched_or_shown_elsewhere_is_one(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Index(made)
    monkeypatch.setattr(Index, "_search", raising(Interrupted()))
    with pytest.raises(Interrupted):
        opened.search("pump", 1)
    steps: Iterator[BaseException] = iter([ValueError("lockfile"), Interrupted()])

    def refused(_: Path) -> None:
        raise next(steps)

    monkeypatch.setattr(index, "_searcher", refused)
    with pytest.raises(Interrupted):
        Index(made)


def test_an_index_of_other_fields_is_damaged(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def schema() -> object:
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("other", fast=True)
        return builder.build()

    monkeypatch.setattr(index, "_schema", schema)
    with pytest.raises(RouteDamaged, match="it has other fields"):
        Index(made)


def test_where_no_links_can_be_made_anywhere_that_is_said(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_searcher", raising(ValueError("lockfile")))
    monkeypatch.setattr(tempfile, "TemporaryDirectory", raising(OSError(30, "Read-only file system")))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(made / "nowhere"))
    with pytest.raises(RouteUnreadable, match="cannot read the route index"):
        Index(made)


def test_an_index_that_cannot_be_read_or_changes_all_the_time_is_damaged(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sorted(files_of((made / META).read_bytes()))[0]
    whole = (made / name).read_bytes()
    (made / name).unlink()
    (made / name).mkdir()
    with pytest.raises(RouteDamaged, match=f"{name} is a folder"):
        check_index(made)
    (made / name).rmdir()
    meta = (made / META).read_bytes()
    number = [0]

    def changing(raw: bytes) -> set[str]:
        number[0] += 1
        (made / META).write_bytes(meta + b" " * number[0])
        return files_of(raw)

    monkeypatch.setattr(index, "files_of", changing)
    monkeypatch.setattr(index, "_ATTEMPTS", 3)
    with pytest.raises(RouteDamaged, match=f"{name} is missing"):
        check_index(made)
    monkeypatch.setattr(index, "_ATTEMPTS", 0)
    with pytest.raises(RouteDamaged, match="it changes all the time"):
        check_index(made)
    (made / name).write_bytes(whole)
    with contextlib.suppress(OSError):
        shutil.rmtree(made)
