"""Tests what a disk rarely has: folders instead of files, shards that are missing or another's, listings ahead."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import former
import pytest
from filling import ENCODER, WINDOW, fill, groups, long_text, open_writer, passages_of, put, put_document
from xxhash import xxh3_64_intdigest

from edgeqa import files
from edgeqa.collection import catalogue_rows, managing, seals, verifying
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import PENDING
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.damage import damaged_tags
from edgeqa.collection.errors import (
    CatalogueDamaged,
    CollectionFormatUnsupported,
    CollectionNotFound,
    CollectionUnreadable,
    ContextGone,
    ShardDamaged,
)
from edgeqa.collection.shard import MANIFEST, Shard
from edgeqa.collection.shard_format import GONE, ROW_BYTES
from edgeqa.collection.snapshot import CATALOGUE, FILE, SHARDS, Snapshot
from edgeqa.collection.writer import Writer
from edgeqa.errors import CollectionError

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {"a.txt": "Number one.", "b.txt": "Number two.", "c.txt": "Number three."}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a collection of three shards is; a document of the last is gone."""
    place = tmp_path / "default"
    with open_writer(place) as writer:
        for name, text in TEXTS.items():
            put(writer, name, [("", text)])
            if name == "c.txt":
                put(writer, "d.txt", [("", "Gone soon.")])
            writer.commit()
        writer.remove_source(writer.catalogue.sources_named("d.txt")[0])
        writer.commit()
    return place


def shards(place: Path) -> list[Path]:
    return [place / SHARDS / shard.tag for shard in load_snapshot(place).shards]


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def problems(place: Path) -> list[str]:
    return [str(problem) for damage in verifying.verify(place) for problem in damage.problems]


# --- shards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["table.bin", "records.bin", "encodings.bin", "documents.jsonl", MANIFEST, GONE])
def test_a_folder_in_the_place_of_a_file_is_damage_that_is_named(place: Path, name: str) -> None:
    folder_instead(shards(place)[2] / name)
    found = problems(place)
    assert found
    assert all(shards(place)[2].name in problem and "is a folder" in problem for problem in found)
    opened = Collection(place, ENCODER)
    assert [opened.context(n).text for n in (0, 1)] == ["Number one.", "Number two."]
    assert damaged_tags(place) == {shards(place)[2].name}


def test_a_shard_that_is_missing_is_named_and_its_documents_come_back_when_they_are_added_again(place: Path) -> None:
    gone = shards(place)[1]
    shutil.rmtree(gone)
    (problem,) = problems(place)
    assert (gone.name in problem, "No such file or directory" in problem) == (True, True)
    opened = Collection(place, ENCODER)
    with pytest.raises(ShardDamaged, match="No such file"):
        opened.context(1)
    assert opened.context(0).text == "Number one."
    with open_writer(place) as writer:
        (damage,) = writer.damages
        assert [document.name for document in damage.documents] == ["b.txt"]
        put(writer, "b.txt", [("", "Number two.")])
        writer.commit()
    opened = Collection(place, ENCODER)
    assert set(TEXTS.values()) <= {context.text for context in opened.contexts_from(0)}


def test_a_shard_in_the_place_of_another_is_damaged(place: Path) -> None:
    first, second, _ = shards(place)
    shutil.rmtree(second)
    shutil.copytree(first, second)
    with pytest.raises(ShardDamaged, match=f"it is the manifest of {first.name}"):
        Shard(second)
    assert Collection(place, ENCODER).context(0).text == "Number one."


def test_a_table_of_another_length_than_its_manifest_says_is_damaged(place: Path) -> None:
    first = shards(place)[0]
    shard = Shard(first)
    longer = shard.manifest._replace(sizes_bytes={**shard.manifest.sizes_bytes, "table.bin": 2 * ROW_BYTES})
    (first / MANIFEST).write_bytes(longer.pack())
    with pytest.raises(ShardDamaged, match="its table is of another length"):
        Shard(first)


def test_ids_that_no_context_has_are_gone_and_not_damaged(place: Path) -> None:
    with open_writer(place) as writer:
        put(writer, "e.txt", [(f"#{n}", f"Entry {n}.") for n in range(5)])
        writer.commit()
        for n in (1, 2, 3):
            writer.remove_document(writer.catalogue.documents_named(f"e.txt#{n}")[0])
        writer.commit()
    opened = Collection(place, ENCODER)
    (entries,) = (shard for shard in opened.snapshot.shards if shard.last - shard.first == 4)
    assert [opened.context(n).text for n in (entries.first, entries.last)] == ["Entry 0.", "Entry 4."]
    for context_id in (entries.first + 1, entries.first + 3, entries.last + 1, 1 << 40):
        with pytest.raises(ContextGone):
            opened.context(context_id)


@pytest.mark.parametrize("how", ["folder", "other magic", "cut"])
def test_what_is_gone_of_a_shard_is_noted_again_from_the_catalogue(place: Path, how: str) -> None:
    file = shards(place)[2] / GONE
    sound = file.read_bytes()
    if how == "folder":
        folder_instead(file)
    elif how == "cut":
        file.write_bytes(sound[:-1])
    else:
        body = b"none" + sound[4:-8]
        file.write_bytes(body + xxh3_64_intdigest(body).to_bytes(8, "little"))
    assert f"shard {file.parent.name} is damaged: {GONE}" in problems(place)[0]
    if how == "folder":
        file.rmdir()
    with open_writer(place):
        pass
    assert (file.read_bytes(), problems(place)) == (sound, [])


def test_a_listing_that_says_that_others_are_gone_is_damage(place: Path) -> None:
    file = shards(place)[2] / GONE
    gone, left = catalogue_rows.unpack_gone(file.read_bytes())
    file.write_bytes(catalogue_rows.pack_gone(gone, left + 1))
    (problem,) = problems(place)
    assert f"it leaves {left + 1} contexts instead of {left}" in problem


def test_what_goes_while_its_listing_cannot_be_read_is_noted_from_the_catalogue(place: Path) -> None:
    with open_writer(place) as writer:
        (shards(place)[2] / GONE).write_bytes(b"nonsense")
        writer.remove_source(writer.catalogue.sources_named("a.txt")[0])
        put(writer, "e.txt", [("", "Number five."), ("#1", "Number six.")])
        writer.commit()
        (shards(place)[-1] / GONE).write_bytes(b"nonsense")
        writer.remove_document(writer.catalogue.documents_named("e.txt#1")[0])
        writer.commit()
        assert Shard(shards(place)[-1]).read_gone()[1] == 1


# --- what was begun, and damage in it --------------------------------------------------------------------------------


def test_a_file_that_was_begun_to_replace_another_is_begun_anew_where_it_is_damaged(place: Path) -> None:
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"2", WINDOW)
        put_document(writer, "#1", "The new one.")
        writer.begin_document("#2", "")
        for passage in passages_of(long_text(60))[:2]:
            writer.add(passage, groups(passage), None)
        writer.commit()
    last = shards(place)[-1]
    (last / "records.bin").write_bytes(b"\0" * (last / "records.bin").stat().st_size)
    with open_writer(place) as writer:
        assert [source.state for source in writer.catalogue.sources()].count(PENDING) == 0
        assert [row.name for row in writer.catalogue.documents()] == ["a.txt", "b.txt", "c.txt"]
    assert Collection(place, ENCODER).context(0).text == "Number one."


# --- the catalogue, and what is beside it ----------------------------------------------------------------------------


def test_without_catalogue_and_seals_verify_says_so_and_looks_at_the_shards(place: Path) -> None:
    (place / CATALOGUE).unlink()
    (place / seals.FILE).unlink()
    assert ["it is missing" in problem for problem in problems(place)] == [True]
    (shards_there := sorted((place / SHARDS).iterdir()))[0].joinpath("records.bin").write_bytes(b"")
    manifest = shards_there[1] / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-2])
    assert [damage.tag for damage in verifying.verify(place)] == ["", shards_there[0].name, shards_there[1].name]


def damage_index(place: Path) -> None:
    """Leaves a catalogue whose table and index are not of one mind, and that is not sealed, as after a kill."""
    with sqlite3.connect(place / CATALOGUE) as connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'documents_by_first'")
    connection.close()
    with sqlite3.connect(place / CATALOGUE) as connection:
        connection.execute("PRAGMA writable_schema = 0")
    connection.close()
    (place / seals.FILE).unlink()


def test_a_catalogue_that_is_not_of_one_mind_is_said_and_made_again(place: Path) -> None:
    damage_index(place)
    assert any(CATALOGUE in problem for problem in problems(place))
    managing.repair(place)
    assert problems(place) == []
    opened = Collection(place, ENCODER)
    assert sorted(c.text for c in opened.contexts_from(0) if c.document in TEXTS) == sorted(TEXTS.values())


def test_a_snapshot_of_another_moment_is_said_unless_somebody_writes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_snapshot(place)._replace(documents=99).store(place)
    assert ["not of what the catalogue lists" in problem for problem in problems(place)] == [True]
    snapshot = Catalogue.snapshot

    def meanwhile(self: Catalogue) -> Snapshot:
        (place / FILE).unlink(missing_ok=True)  # as a writer does
        return snapshot(self)

    monkeypatch.setattr(Catalogue, "snapshot", meanwhile)
    assert problems(place) == []


@pytest.mark.parametrize("name", [FILE, seals.FILE])
def test_a_folder_in_the_place_of_a_file_beside_the_shards_is_damage(place: Path, name: str) -> None:
    folder_instead(place / name)
    assert [name in problem and "is a folder" in problem for problem in problems(place)] == [True]


@pytest.mark.parametrize("of", [SHARDS, CATALOGUE])
def test_what_is_sealed_and_cannot_be_read_is_wrong(place: Path, of: str) -> None:
    if of == CATALOGUE:
        folder_instead(place / CATALOGUE)
        assert seals.find_mismatch(place, CATALOGUE) is not None
        with pytest.raises(CollectionError):
            Catalogue.read(place)
        with pytest.raises(CollectionError):
            open_writer(place)
    else:
        sealed = seals.load(place)
        assert sealed is not None
        long_name = f"route/{'x' * 300}"
        facts = {"format": 2, "files": {long_name: list(next(iter(sealed.values())))}}
        (place / seals.FILE).write_bytes(files.pack_checked(facts))
        wrong = seals.find_mismatch(place, "route")
        assert wrong is not None
        assert wrong.what == os.strerror(36)


def test_seals_of_a_later_format_say_nothing(place: Path) -> None:
    (place / seals.FILE).write_bytes(files.pack_checked({"format": 3, "files": 7}))
    assert seals.load(place) == {}
    assert seals.own_fault(place) == ""
    assert Collection(place, ENCODER).context(0).text == "Number one."


@pytest.mark.parametrize(
    "raw", [b"{}", b"[]", b'{"format": 1}', b'{"format": 1, "check": "0"}', b'{"format": 2}', b"nonsense", b"\xff"]
)
def test_what_is_no_snapshot_is_not_believed(place: Path, raw: bytes) -> None:
    expected = load_snapshot(place)
    with pytest.raises(ValueError, match=r".+"):
        Snapshot.parse(raw, place / FILE)
    (place / FILE).write_bytes(raw)
    assert load_snapshot(place) == expected


def test_a_snapshot_or_a_catalogue_of_a_later_format_is_refused(place: Path) -> None:
    raw = files.pack_checked({**json.loads((place / FILE).read_bytes()), "format": 3})
    (place / FILE).write_bytes(raw.replace(b', "check": "', b', "check": "', 1))
    with pytest.raises(CollectionFormatUnsupported):
        Snapshot.parse(files.pack_checked({"format": 3}), place / FILE)
    with sqlite3.connect(place / CATALOGUE) as connection:
        connection.execute("UPDATE facts SET value = 3 WHERE name = 'format'")
    connection.close()
    (place / seals.FILE).unlink()
    for opening in (Catalogue.read, open_writer):
        with pytest.raises(CollectionFormatUnsupported):
            opening(place)


def test_an_empty_catalogue_of_a_killed_maker_is_no_collection(tmp_path: Path) -> None:
    (tmp_path / "default").mkdir()
    for name in ("writer.lock", CATALOGUE):
        (tmp_path / "default" / name).touch()
    with pytest.raises(CollectionNotFound):
        Catalogue.read(tmp_path / "default")
    fill(tmp_path / "default", {"a.txt": "Now it is."})
    assert Collection(tmp_path / "default", ENCODER).contexts == 1


def test_a_transaction_that_raises_is_taken_back(place: Path) -> None:
    def work(catalogue: Catalogue) -> None:
        with catalogue.transaction():
            catalogue.set("x", 1)
            raise KeyboardInterrupt

    with open_writer(place) as writer:
        with pytest.raises(KeyboardInterrupt):
            work(writer.catalogue)
        assert writer.catalogue.get("x", None) is None


def test_a_source_that_a_document_names_and_that_is_not_there_is_damage(place: Path) -> None:
    with Catalogue.read(place) as catalogue, pytest.raises(CatalogueDamaged, match="no source 77"):
        catalogue.source(77)


def test_a_log_that_cannot_be_shared_is_no_reason_to_read_less(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite cannot make the files that it shares with a writer, what only its log has would be left out."""
    opened: list[object] = []

    def refused(_: type[Catalogue], directory: Path, /, **options: object) -> Catalogue:
        opened.append(options.get("query", ""))
        raise CollectionUnreadable(directory, "unable to open database file")

    monkeypatch.setattr(Catalogue, "_open", classmethod(refused))
    for log, queries in ((b"", ["", "?mode=ro&immutable=1"]), (b"something", [""])):
        (place / f"{CATALOGUE}-wal").write_bytes(log)
        opened.clear()
        with pytest.raises(CollectionUnreadable):
            Catalogue.read(place)
        assert opened == queries


# --- format 1 --------------------------------------------------------------------------------------------------------


def test_a_shard_of_format_1_that_is_missing_is_noted_when_the_rest_comes_to_format_2(tmp_path: Path) -> None:
    place = former.unpack(tmp_path)
    expected = former.held(place)
    gone = shards(place)[0]
    shutil.rmtree(gone)
    with Writer(place) as writer:
        (damage,) = writer.damages
        lost = {document.name for document in damage.documents}
    assert damage.tag == gone.name
    assert lost
    with Catalogue.read(place) as catalogue:
        assert catalogue.format == 2
        for document in catalogue.documents():
            if document.name not in lost:
                context = Collection(place).context(document.first)
                assert expected[document.name].startswith(context.text)


# --- the disk --------------------------------------------------------------------------------------------------------


def test_the_drive_is_asked_to_write_where_the_system_can_be_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS; where a file system does not know the order, `fsync` has to do."""
    asked: list[str] = []
    refused = False

    def fcntl(_: int, command: int) -> None:
        asked.append(f"fcntl {command}")
        if refused:
            raise OSError(25, os.strerror(25))

    monkeypatch.setattr(files, "_FULL", 51)
    monkeypatch.setattr("fcntl.fcntl", fcntl)
    monkeypatch.setattr(os, "fsync", lambda _: asked.append("fsync"))
    files.replace_file(tmp_path / "a", b"1")
    assert asked == ["fcntl 51"]
    refused = True
    files.sync_directory(tmp_path)
    assert asked == ["fcntl 51", "fcntl 51", "fsync"]
