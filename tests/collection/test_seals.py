"""Tests a changed bit in any file of a collection: `verify` finds it, no answer believes it, `repair` mends it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filling import ENCODER, fill, groups, open_writer, passages_of, put

from edgeqa import collection, forking
from edgeqa.collection import managing, seals, verifying
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, LiveCollection, load_snapshot
from edgeqa.collection.damage import Damage
from edgeqa.collection.errors import CatalogueDamaged, RouteDamaged, ShardDamaged
from edgeqa.collection.shard import Shard
from edgeqa.collection.snapshot import CATALOGUE, FILE, ROUTE, SHARDS
from edgeqa.collection.writer import Writer
from edgeqa.errors import CollectionError

if TYPE_CHECKING:
    from conftest import Run

    from edgeqa.collection.catalogue_rows import ShardRow
    from edgeqa.runtime import EdgeQA

TEXTS = {f"{n}.txt": f"Machine number {n} was built by maker{n} in {1900 + n}." for n in range(12)}
QUESTIONS = ("When was machine number 8 built?", "Who built machine number 3?")


@pytest.fixture
def held(writing: EdgeQA, tmp_path: Path) -> Path:
    """Returns where a collection is that has every kind of file."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    writing.add(folder)
    writing.remove(folder / "5.txt")
    place = collection.directory()
    assert (verifying.verify(place), verifying.verify_route(place)) == ([], None)
    return place


def flip(file: Path, bit: int) -> None:
    """Changes a bit as a disk does: nobody sees when."""
    before = file.stat()
    raw = bytearray(file.read_bytes())
    raw[bit // 8] ^= 1 << bit % 8
    other = file.with_name(f"{file.name}.flipped")  # what is mapped stays as it is
    other.write_bytes(raw)
    other.replace(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def found(place: Path) -> bool:
    try:
        return bool(verifying.verify(place)) or verifying.verify_route(place) is not None
    except CollectionError:
        return True


def answers(place: Path) -> list[str]:
    """Returns what is read for the questions: the texts of the contexts closest to them."""
    scope = LiveCollection(place, ENCODER)
    opened, index = scope.routed()
    return [opened.context(scope.search(index, question, 3).best[0].number).text for question in QUESTIONS]


def test_a_flipped_bit_in_any_file_is_found_and_not_believed(held: Path) -> None:
    expected = answers(held)
    files = [file for file in sorted(held.rglob("*")) if file.is_file() and file.stat().st_size]
    kinds = {file.name if file.parent.name != "route" else file.suffix for file in files}
    assert kinds >= {"catalogue.sqlite", "snapshot.json", "seals.json", "gone.bin", "documents.jsonl", ".json", ".term"}
    for number, file in enumerate(files):
        sound = file.read_bytes()
        for place in range(5):
            flip(file, (number * 7919 + place * len(sound) * 8 // 5) % (len(sound) * 8))
            assert found(held), f"{file}, {place}"
            with contextlib.suppress(CollectionError):
                assert answers(held) == expected, f"{file}, {place}"
            file.write_bytes(sound)
        shutil.rmtree(held / "damaged", ignore_errors=True)
    assert not found(held)
    assert answers(held) == expected


@pytest.mark.parametrize("name", [CATALOGUE, FILE, seals.FILE])
@pytest.mark.parametrize("change", ["flipped", "gone", "empty"])
def test_what_is_beside_the_shards_is_made_again_from_them(held: Path, name: str, change: str) -> None:
    expected = answers(held)
    with Catalogue.read(held) as catalogue:
        rows = list(catalogue.documents())
    if change == "gone":
        (held / name).unlink()
    elif change == "empty":
        (held / name).write_bytes(b"")
    else:
        flip(held / name, 8 * ((held / name).stat().st_size // 2) + 1)
    managing.repair(held)
    assert not found(held)
    assert answers(held) == expected
    with Catalogue.read(held) as catalogue:
        assert list(catalogue.documents()) == rows


def test_any_page_of_the_catalogue_is_checked_before_it_is_believed(tmp_path: Path) -> None:
    place = tmp_path / "default"
    fill(place, {f"{n}.txt": f"Number {n}." for n in range(200)})
    size = (place / CATALOGUE).stat().st_size
    for page in range(0, size, 4096):
        flip(place / CATALOGUE, 8 * (page + 4000))
        with pytest.raises(CatalogueDamaged, match="wrong checksum") as caught:
            Catalogue.read(place)
        assert "verify --repair" in caught.value.hint
        flip(place / CATALOGUE, 8 * (page + 4000))
    Catalogue.read(place).close()


def test_a_large_catalogue_is_read_again_only_if_somebody_wrote_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    read: list[Path] = []
    digest = seals._digest

    def counted(file: Path) -> str:
        read.append(file)
        return digest(file)

    monkeypatch.setattr(seals, "_digest", counted)
    monkeypatch.setattr(seals, "ALWAYS_READ_BYTES", 0)
    Catalogue.read(place).close()
    assert read == []
    assert seals.find_mismatch(place, CATALOGUE, thorough=True) is None
    assert read == [place / CATALOGUE]
    flip(place / CATALOGUE, 80_000)
    with pytest.raises(CatalogueDamaged):
        Catalogue.read(place)


def test_the_catalogue_is_sealed_between_commits_and_the_index_when_all_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    of_all = {CATALOGUE, f"{ROUTE}/meta.json"}
    monkeypatch.setattr(seals, "ALWAYS_READ_BYTES", 0)
    during: list[bool] = []
    commit = Catalogue.commit

    def watched(self: Catalogue) -> None:
        is_changed = self._connection.in_transaction
        commit(self)
        during.append(is_changed and (place / seals.FILE).exists())

    monkeypatch.setattr(Catalogue, "commit", watched)
    with Writer(place, ENCODER) as writer:
        for name in ("b.txt", "c.txt"):
            assert set(seals.load(place) or ()) == {CATALOGUE}
            put(writer, name, [("", "Text.")])
            assert seals.find_mismatch(place, CATALOGUE, thorough=True) is None
            writer.commit()
        writer.catalogue.begin()
        writer.catalogue.set("x", 1)
        writer.catalogue.commit()
        assert seals.load(place) is None
    assert during
    assert not any(during)
    assert set(seals.load(place) or ()) > of_all
    assert verifying.verify(place) == []


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from filling import open_writer, put
writer = open_writer(Path(sys.argv[1]))
put(writer, "b.txt", [("", "Text.")])
writer.commit()
writer.begin_source(b"/c.txt", "c.txt", b"1", 128)
writer.begin_document("", "")
print(writer.catalogue.get("documents", 0), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_damaged_after_a_kill_is_found_before_it_is_believed(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    assert run(KILLED, place, Path(__file__).parent).communicate(timeout=60) == ("2\n", "")
    with Catalogue.read(place) as catalogue:
        assert [row.name for row in catalogue.documents()] == ["a.txt", "b.txt"]
    assert verifying.verify(place) == []  # whoever closes it last leaves it as it is sealed
    flip(place / CATALOGUE, (place / CATALOGUE).read_bytes().rindex(b"b.txt"))
    with pytest.raises(CatalogueDamaged, match="wrong checksum"):
        Catalogue.read(place)
    managing.repair(place)
    assert verifying.verify(place) == []


def test_a_writer_at_work_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone is noted beside the shards before the catalogue says so."""
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text.", "b.txt": "More."})
    gone, noted = Shard.read_gone, seals.load(place)
    assert noted is not None

    def meanwhile(self: Shard) -> tuple[list[tuple[int, int]], int]:
        seals.withdraw(place)
        return [], gone(self)[1] - 1

    monkeypatch.setattr(Shard, "read_gone", meanwhile)
    assert verifying.verify(place) == []


def test_a_refused_writer_leaves_the_seals(tmp_path: Path) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    with pytest.raises(CollectionError, match="another bundle"):
        open_writer(place, ENCODER._replace(digest="0" * 32))
    assert verifying.verify(place) == []
    assert (place / seals.FILE).exists()


def test_reading_a_file_that_sqlite_has_open_leaves_its_locks(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    connection = Catalogue.write(place)
    with connection.transaction():
        connection.set("x", 1)
    seals._digest(place / CATALOGUE)
    code = """
import sys
from pathlib import Path
from edgeqa.collection.catalogue import Catalogue
with Catalogue.read(Path(sys.argv[1])) as other:
    assert other.get("x", 0) == 1
"""
    assert run(code, place).wait() == 0
    # The other was not the last to close the file: it has left the log, which this one still writes to.
    assert (place / f"{CATALOGUE}-wal").exists()
    connection.close()
    assert not (place / f"{CATALOGUE}-wal").exists()
    assert seals._descriptors == {}


def test_a_fork_while_a_thread_opens_a_catalogue_keeps_no_turn(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    code = """
import os, sys
from pathlib import Path
from edgeqa.collection import seals
from edgeqa.collection.catalogue import Catalogue
with seals._turn.lock:  # as a thread has it that is not in the child
    pid = os.fork()
    if not pid:
        Catalogue.read(Path(sys.argv[1])).close()
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(code, place).communicate(timeout=60) == ("7\n", "")


def test_a_damaged_index_is_told_and_made_anew_by_repair(held: Path) -> None:
    expected = answers(held)
    (file,) = (f for f in sorted((held / "route").glob("*.term"))[:1])
    flip(file, 77)
    with pytest.raises(RouteDamaged, match=f"{file.name}: wrong checksum"):
        answers(held)
    managing.repair(held)
    assert not found(held)
    assert answers(held) == expected


def test_a_snapshot_that_says_less_is_not_believed(held: Path) -> None:
    snapshot = load_snapshot(held)
    raw = (held / FILE).read_bytes()
    last = snapshot.shards[0].last
    (held / FILE).write_bytes(raw.replace(f", {last}]".encode(), b", 3]", 1))
    assert load_snapshot(held) == snapshot
    (damage,) = verifying.verify(held)
    assert "snapshot.json is damaged" in str(damage.problems[0])
    assert answers(held) == [TEXTS["8.txt"], TEXTS["3.txt"]]


def test_text_that_is_none_in_the_catalogue_is_damage(tmp_path: Path) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    with sqlite3.connect(place / CATALOGUE) as connection:
        connection.execute("UPDATE sources SET name = CAST(x'ff41' AS TEXT)")
    connection.close()
    (place / seals.FILE).unlink()  # as after a kill
    with pytest.raises(CatalogueDamaged), Catalogue.read(place) as catalogue:
        list(catalogue.documents())


def test_all_but_the_shards_can_be_gone(held: Path) -> None:
    expected = answers(held)
    for found_there in held.iterdir():
        if found_there.name == SHARDS:
            continue
        shutil.rmtree(found_there) if found_there.is_dir() else found_there.unlink()
    with pytest.raises(CatalogueDamaged, match="it is missing"):
        Collection(held)
    managing.repair(held)
    assert not found(held)
    assert answers(held) == expected


def test_a_shard_that_is_merged_away_meanwhile_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "default"
    fill(place, {"a.txt": "Text."})
    (tag,) = (shard.name for shard in (place / SHARDS).iterdir())

    def examined(_: Path, __: Catalogue, known: ShardRow) -> Damage:
        with Catalogue.write(place) as other, other.transaction():
            other.delete_shard(known.tag)
        return Damage(tag, (ShardDamaged(tag, place / SHARDS / tag, "it is gone"),), ())

    monkeypatch.setattr(verifying, "examine_shard", examined)
    assert not [damage for damage in verifying.verify(place) if damage.tag]
    assert not (place / "damaged").exists()


def test_what_ended_later_is_checked_and_written_anew(tmp_path: Path) -> None:
    place = tmp_path / "default"
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"1", 128)
        writer.begin_document("", "")
        for passage in passages_of("Text."):
            writer.add(passage, groups(passage), None)
        writer.commit()
        writer.end_document()
        writer.end_source()
        writer.commit()
    (later,) = (place / SHARDS).glob("*/later.json")
    sound = later.read_bytes()
    for bit in range(0, 8 * len(sound), 37):
        flip(later, bit)
        (damage,) = verifying.verify(place)
        assert "later.json: wrong checksum" in str(damage.problems[0])
        later.write_bytes(sound)
    assert verifying.verify(place) == []
    flip(later, 100)
    verifying.verify(place)
    managing.repair(place)
    assert verifying.verify(place) == []
    assert [context.text for context in Collection(place).contexts_from(0)] == ["Text."]


def test_sqlite_is_called_where_forks_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was_inside: list[bool] = []
    connect = sqlite3.connect

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401 - handed on
        note()
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_progress_handler(note, 1)  # at every step that it takes
        return connection

    def note() -> None:
        was_inside.append(threading.get_ident() in forking._inside)

    monkeypatch.setattr(sqlite3, "connect", watched)
    with Catalogue.write(tmp_path) as catalogue:
        with catalogue.transaction():
            catalogue.set("language", "en")
        assert catalogue.checkpoint()
        assert catalogue.problems() == []
    with Catalogue.read(tmp_path) as catalogue:
        assert catalogue.get("language", "") == "en"
        assert list(catalogue.documents()) == []
    assert set(was_inside) == {True}
    assert not forking._inside
