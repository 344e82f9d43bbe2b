"""Tests that edgeqa takes no folder of others, deletes nothing of theirs, and shows nobody what it keeps."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
import stat
from typing import TYPE_CHECKING, Any

import pytest
from filling import ENCODER, fill, open_writer, put
from former import unpack

from edgeqa import collection, files
from edgeqa.cache import Cache
from edgeqa.collection import managing, verifying
from edgeqa.collection.carrying import export_collection, import_collection
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.damage import ROUTE_NOTE, note_route
from edgeqa.collection.errors import CollectionForeign, CollectionUnwritable, FolderTaken, RouteDamaged
from edgeqa.collection.overview import delete_collection, info_of, listed
from edgeqa.collection.ownership import LOCK, PREFIX, Lock, scratch
from edgeqa.collection.snapshot import CATALOGUE, ROUTE, SHARDS
from edgeqa.collection.writer import Writer
from edgeqa.errors import CollectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def everything(folder: Path) -> dict[str, bytes | None]:
    """Returns all that is in a folder: the bytes of files, and None for folders and links."""
    return {
        str(found.relative_to(folder)): found.read_bytes() if found.is_file() and not found.is_symlink() else None
        for found in folder.rglob("*")
    }


# --- folders of others -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "letter.txt",
        "route/map.txt",
        "shards/old/manifesto.txt",
        "shards/8YG/table.bin",
        "shards/8YG/manifest.json",
        "damaged/report.txt",
        "snapshot.json",
        "catalogue.sqlite",
        "writer.lock/key.txt",
    ],
)
def test_a_folder_that_holds_other_things_is_refused_and_stays_as_it_is(tmp_path: Path, name: str) -> None:
    place = tmp_path / "p"
    (place / name).parent.mkdir(parents=True)
    (place / name).write_text("mine")
    before = everything(place)
    with pytest.raises(FolderTaken, match=f"is no place for a collection: it holds {name.split('/')[0]}"):
        Writer(place, ENCODER)
    assert everything(place) == before


@pytest.mark.parametrize("name", [SHARDS, ROUTE, "damaged", CATALOGUE])
def test_a_part_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    place, other = tmp_path / "p", tmp_path / "other"
    fill(place, {"a.txt": "One."})
    fill(other, {"b.txt": "Two."})
    if (place / name).exists():
        (place / name).rename(tmp_path / "aside")
    (place / name).symlink_to(other / name)
    before = everything(other)
    with pytest.raises(FolderTaken, match=f"{name} in it is a link to another place"):
        open_writer(place)
    assert everything(other) == before


def test_a_folder_that_is_empty_or_was_begun_by_a_writer_is_taken(tmp_path: Path) -> None:
    for names in ((), (SHARDS,), (SHARDS, "writer.lock"), ("writer.lock", CATALOGUE)):
        place = tmp_path / "-".join(names or ["empty"])
        place.mkdir()
        for name in names:
            (place / name).mkdir() if name == SHARDS else (place / name).touch()
        fill(place, {"a.txt": "One."})
        assert load_snapshot(place).documents == 1


def test_what_is_left_of_a_collection_that_was_emptied_by_hand_is_taken_but_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "p"
    fill(place, {"a.txt": "One."})
    for found in (place / SHARDS).rglob("*"):
        if found.is_file():
            found.unlink()
    (place / CATALOGUE).unlink()
    (place / "letter.txt").write_text("mine")
    with pytest.raises(FolderTaken, match=r"it holds letter\.txt, and no collection"):
        open_writer(place)
    (place / "letter.txt").unlink()
    fill(place, {"a.txt": "One."})
    assert load_snapshot(place).documents == 1


def test_shards_without_a_catalogue_are_a_collection_without_a_lock_too(tmp_path: Path) -> None:
    place = tmp_path / "p"
    fill(place, {"a.txt": "One."})
    for name in ("writer.lock", CATALOGUE):
        (place / name).unlink()
    fill(place, {"b.txt": "Two."})
    assert load_snapshot(place).documents == 2


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("mine")
    with pytest.raises(CollectionUnwritable, match="Not a directory"):
        open_writer(tmp_path / "p")


# --- deleting --------------------------------------------------------------------------------------------------------


def test_only_shards_are_swept_and_in_them_only_files_of_shards(tmp_path: Path) -> None:
    place, mine = tmp_path / "p", tmp_path / "mine"
    fill(place, {"a.txt": "One."})
    mine.mkdir()
    (mine / "table.bin").write_text("mine")
    for left in ("partial-ABC", "XYZ", "notes of mine"):
        (place / SHARDS / left).mkdir()
        (place / SHARDS / left / "table.bin").write_text("rubbish")
    (place / SHARDS / "XYZ" / "mine.txt").write_text("mine")
    (place / SHARDS / "XYZ" / "records.bin").symlink_to(mine / "table.bin")
    (place / SHARDS / "LNK").symlink_to(mine)
    with open_writer(place):
        pass
    there = everything(place / SHARDS)
    assert not [name for name in there if name.startswith("partial-")]
    assert sorted(name for name in there if name.startswith("XYZ")) == ["XYZ", "XYZ/mine.txt", "XYZ/records.bin"]
    assert there["notes of mine/table.bin"] == b"rubbish"
    assert (mine / "table.bin").read_text() == "mine"


def test_a_merge_deletes_the_files_of_shards_alone(tmp_path: Path) -> None:
    place = tmp_path / "p"
    with open_writer(place) as writer:
        put(writer, "a.txt", [("", "One."), ("#2", "Two."), ("#3", "Three.")])
        writer.commit()
        (shard,) = (place / SHARDS).iterdir()
        (shard / "mine.txt").write_text("mine")
        for suffix in ("", "#2"):
            writer.remove_document(writer.catalogue.documents_named(f"a.txt{suffix}")[0])
        writer.commit()
    assert everything(shard) == {"mine.txt": b"mine"}
    assert [context.text for context in Collection(place).contexts_from(0)] == ["Three."]


def test_an_index_that_is_made_anew_leaves_what_is_not_of_an_index(tmp_path: Path) -> None:
    place = tmp_path / "p"
    with Writer(place, ENCODER) as writer:
        put(writer, "a.txt", [("", "One.")])
        writer.commit()
    (place / ROUTE / "mine.txt").write_text("mine")
    former = set(everything(place / ROUTE)) - {"mine.txt"}
    note_route(place, RouteDamaged(place / ROUTE, "it is said to be"))
    managing.repair(place)
    assert (place / ROUTE / "mine.txt").read_text() == "mine"
    assert verifying.verify_route(place) is None
    assert not {name for name in former if len(name) > 32} & set(everything(place / ROUTE))


@pytest.mark.parametrize(
    "name", ["mine.txt", "route/mine.txt", "shards/mine.txt", "damaged/mine.txt", "{shard}/mine.txt"]
)
def test_a_collection_is_not_deleted_with_anything_that_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path))
    place = collection.directory("c")
    with Writer(place, ENCODER) as writer:
        put(writer, "a.txt", [("", "One.")])
        writer.commit()
    note_route(place, RouteDamaged(place / ROUTE, "it is said to be"))
    (shard,) = (place / SHARDS).iterdir()
    mine = place / name.format(shard=shard.relative_to(place))
    mine.write_text("mine")
    with pytest.raises(CollectionForeign, match=r"mine\.txt is not edgeqa's"):
        delete_collection("c")
    mine.unlink()
    delete_collection("c")
    assert not place.exists()


# --- for their owner alone -------------------------------------------------------------------------------------------


@pytest.fixture(params=[0o000, 0o022, 0o777])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Returns what is not for its owner alone."""
    every = [folder, *folder.rglob("*")]
    found = {one: stat.S_IMODE(one.stat().st_mode) for one in every}
    return {str(one): oct(mode) for one, mode in found.items() if mode != (0o700 if one.is_dir() else 0o600)}


@pytest.mark.usefixtures("_umask")
def test_what_is_kept_is_its_owners_alone_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))
    place = collection.directory("c")
    with Writer(place, ENCODER) as writer:
        for name in ("a.txt", "b.txt"):
            put(writer, name, [("", "One."), ("#2", "Two.")])
            writer.commit()
        assert {f"{CATALOGUE}-wal", f"{CATALOGUE}-shm"} <= {found.name for found in place.iterdir()}
        assert modes(place / SHARDS) == {}
        assert not [name for name in modes(place) if CATALOGUE in name]
    managing.remove(place, "b.txt#2")
    note_route(place, RouteDamaged(place / ROUTE, "it is said to be"))
    assert (place / "damaged" / ROUTE_NOTE).exists()
    exported = tmp_path / "home" / "c.edgeqa"
    export_collection("c", exported)
    import_collection(exported, name="d")
    assert {found.name for found in place.iterdir()} > {"seals.json", "snapshot.json", "writer.lock", ROUTE}
    assert modes(tmp_path / "home") == {}


def lists(place: Path) -> None:
    assert list(listed(place))


def writes(place: Path) -> None:
    with open_writer(place):
        pass


@pytest.mark.parametrize("opens", [Collection, load_snapshot, lists, info_of, writes])
def test_what_older_versions_made_is_narrowed_by_whoever_opens_it_next(
    opens: Callable[[Path], object], tmp_path: Path
) -> None:
    place = unpack(tmp_path)
    (place / "of another.txt").touch()
    for found in (place, *place.rglob("*")):
        found.chmod(0o755 if found.is_dir() else 0o644)
    assert len(modes(place)) > 5
    opens(place)
    assert list(modes(place)) == [str(place / "of another.txt")]
    place.chmod(0o750)  # by its owner, who has reasons: an opening later is the next one
    opens(place)
    assert list(modes(place)) == [str(place / "of another.txt")]


@pytest.mark.parametrize("name", ["writer.lock", CATALOGUE, "snapshot.json"])
def test_a_users_own_folder_stays_as_open_as_it_is(name: str, tmp_path: Path) -> None:
    place = tmp_path / "p"
    place.mkdir()
    (place / name).write_text("mine")
    place.chmod(0o755)
    for opens in (load_snapshot, lists):
        with pytest.raises(CollectionError):
            opens(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


def test_a_collection_of_another_user_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = unpack(tmp_path)
    place.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert load_snapshot(place).documents
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


def test_where_modes_mean_nothing_it_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = unpack(tmp_path)
    place.chmod(0o755)
    tried: list[int] = []
    monkeypatch.setattr(os, "fchmod", lambda _, mode: tried.append(mode))
    load_snapshot(place)
    assert tried
    once = len(tried)
    load_snapshot(place)
    assert len(tried) == once


@pytest.mark.usefixtures("_umask")
def test_the_folder_of_the_users_collections_is_narrowed_with_any_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))
    place = collection.directory("c")
    with open_writer(place):
        pass
    for mode in (0o755, 0o710):
        place.parent.chmod(mode)
        with open_writer(place):
            pass
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    other.chmod(0o755)
    with open_writer(other / "c"):
        pass
    assert stat.S_IMODE(other.stat().st_mode) == 0o755


def test_what_killed_processes_left_is_swept_but_nothing_of_those_that_live(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}{'0' * 16}"
    others = [tmp_path / f"{PREFIX}{name}" for name in ("0" * 15, "0" * 17, "g" * 16, "notes")]
    for folder in (left, *others):
        folder.mkdir()
        (folder / "file").touch()
    with scratch(tmp_path) as one, scratch(tmp_path) as another:
        assert not left.exists()
        assert one.exists()
        assert one != another
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_without_locks_a_folder_to_work_in_is_deleted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "lock_folder", lambda _: None)
    with scratch(tmp_path) as made:
        (made / "file").touch()
        with scratch(tmp_path):
            assert (made / "file").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_without_locks_a_collection_is_asked_and_not_written_to(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some shares of a network: SQLite would wait half a minute for a lock each time that it is opened."""
    place = tmp_path / "c"
    fill(place, {"a.txt": "The valve opens at 4 bar."})

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, refused)
    connected: list[str] = []
    connect = sqlite3.connect

    def connecting(database: str, **how: Any) -> sqlite3.Connection:  # noqa: ANN401 - as sqlite3 has them
        connected.append(database)
        opened: sqlite3.Connection = connect(database, **how)
        return opened

    monkeypatch.setattr(sqlite3, "connect", connecting)
    assert [document.document for document in listed(place)] == ["a.txt"]
    assert verifying.verify(place) == []
    assert all(one.endswith("immutable=1") for one in connected)
    with pytest.raises(CollectionUnwritable, match=re.escape(os.strerror(number))) as refusal:
        open_writer(place)
    assert ("has no locks" in refusal.value.hint) == (number == errno.ENOLCK)
    with Cache.open(tmp_path / "cache") as cache:
        assert cache.compute("a", lambda: 1) == 1
        assert cache.stats().state == "this process only"


def test_a_system_that_knows_no_modes_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    place = tmp_path / "c"
    monkeypatch.setattr(os, "fchmod", refused)
    monkeypatch.setattr(os, "chmod", refused)
    with Writer(place, ENCODER) as writer:
        put(writer, "a.txt", [("", "One.")])
        writer.commit()
    assert load_snapshot(place).documents == 1


def test_a_lock_names_who_holds_it_and_nobody_once_it_is_released(tmp_path: Path) -> None:
    file = tmp_path / LOCK
    file.write_text("a number longer than any process has")
    lock = Lock(tmp_path)
    assert file.read_text() == str(os.getpid())
    lock.release()
    assert file.read_text() == ""
