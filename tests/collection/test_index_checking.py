"""Tests that `check` finds a route index that is not what was written, and that a search raises only RouteDamaged."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeqa.collection.errors import RouteDamaged
from edgeqa.collection.index import META, Index, IndexWriter, check_index, files_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOOTER_BYTES = 86 + 8  # of the library's 0.27: its versions in it are no part of what is checked
QUESTION = "How deep may the pump number 7 be submerged, and who made the valve?"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two segments, one of them with something deleted."""
    directory = tmp_path_factory.mktemp("made") / "route"
    for first in (0, 40):
        with IndexWriter(directory) as writer:
            for context_id in range(first, first + 40):
                writer.add(context_id, f"The pump number {context_id} is submerged to {context_id} metres.", "Pump")
            writer.commit()
    with IndexWriter(directory) as writer:
        writer.delete(5, 8)
        writer.commit()
    return directory


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(made, tmp_path / "route")
    yield tmp_path / "route"
    shutil.rmtree(tmp_path / "route")


def put(file: Path, content: bytes | bytearray) -> None:
    """Writes a file, not into one that is mapped."""
    file.unlink(missing_ok=True)
    file.write_bytes(content)


def test_a_sound_index_has_its_contexts(made: Path, tmp_path: Path) -> None:
    assert any(name.endswith(".del") for name in files_of((made / META).read_bytes()))
    assert check_index(made) == 77
    IndexWriter(tmp_path / "empty").close()
    assert check_index(tmp_path / "empty") == 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found(copy: Path, data: st.DataObject) -> None:
    file = copy / data.draw(st.sampled_from(sorted(files_of((copy / META).read_bytes()))))
    whole = file.read_bytes()
    raw = bytearray(whole)
    raw[data.draw(st.integers(0, len(raw) - FOOTER_BYTES - 1))] ^= 1 << data.draw(st.integers(0, 7))
    put(file, raw)
    with pytest.raises(RouteDamaged, match=rf"{file.name}: wrong checksum"):
        check_index(copy)
    try:
        Index(copy).search(QUESTION, 5)
    except RouteDamaged:
        pass
    finally:
        put(file, whole)
    assert check_index(copy) == 77


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_names_the_files_is_read_right_or_damaged(copy: Path, data: st.DataObject) -> None:
    file = copy / data.draw(st.sampled_from([META, ".managed.json"]))
    whole = file.read_bytes()
    raw = bytearray(whole)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    put(file, raw)
    try:
        check_index(copy)
        Index(copy).search(QUESTION, 5)
    except RouteDamaged:
        pass
    finally:
        put(file, whole)


@pytest.mark.parametrize("cut_bytes", [1, 8, 90, 1 << 20])
def test_a_file_that_is_cut_off_or_gone_is_found(copy: Path, cut_bytes: int) -> None:
    for name in sorted(files_of((copy / META).read_bytes())):
        whole = (copy / name).read_bytes()
        put(copy / name, whole[:-cut_bytes])
        with pytest.raises(RouteDamaged, match=name):
            check_index(copy)
        (copy / name).unlink()
        with pytest.raises(RouteDamaged, match=f"{name} is missing"):
            check_index(copy)
        put(copy / name, whole)
    (copy / META).unlink()
    with pytest.raises(RouteDamaged, match=r"meta\.json is missing"):
        check_index(copy)


def add_one(directory: Path) -> None:
    writer = IndexWriter(directory)
    try:
        writer.add(200, "A text.", "")
        writer.commit()
    finally:
        with contextlib.suppress(RouteDamaged):
            writer.close()


@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_writer_calls_damage_what_is_damage(copy: Path, number: int) -> None:
    name = sorted(files_of((copy / META).read_bytes()))[number]
    put(copy / name, (copy / name).read_bytes()[:20])
    with pytest.raises(RouteDamaged, match=name):
        add_one(copy)


def test_an_index_that_is_written_to_meanwhile_is_sound(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeqa.collection import index

    before = set(copy.iterdir())

    def merged(meta: bytes) -> set[str]:
        monkeypatch.setattr(index, "files_of", files_of)
        names = files_of(meta)
        for name in names:  # a writer whose next commit has other files
            (copy / name).unlink()
        shutil.copytree(other, copy, dirs_exist_ok=True)
        return names

    other = copy.parent / "other"
    with IndexWriter(other) as writer:
        writer.add(1, "A text.", "")
        writer.commit()
    monkeypatch.setattr(index, "files_of", merged)
    assert check_index(copy) == 1
    assert not before & set(copy.iterdir()) - {copy / META, *copy.glob(".*")}
