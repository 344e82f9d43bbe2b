"""Tests what `sync` removes, and when it removes nothing: a disk that is not mounted takes no collection with it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgeqa import collection
from edgeqa.collection import adding_sources
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import PENDING
from edgeqa.collection.collection import load_snapshot
from edgeqa.collection.errors import AllGone
from edgeqa.errors import ContextUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.runtime import EdgeQA


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    (folder / "more").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "more/c.txt"):
        (folder / name).write_text(f"This is {name}.")
    return folder


def names() -> list[str]:
    with Catalogue.read(collection.directory()) as catalogue:
        return sorted(os.path.basename(row.name) for row in catalogue.documents())  # noqa: PTH119


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def another(folder: Path) -> None:
    empty(folder)
    (folder / "other.txt").write_text("Another disk.")


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("A file.")


@pytest.mark.parametrize("unmount", [shutil.rmtree, empty, another, a_file])
def test_a_path_of_which_all_is_gone_changes_nothing_unless_that_is_asked_for(
    writing: EdgeQA, disk: Path, unmount: Callable[[Path], None]
) -> None:
    outside = disk.parent / "outside.txt"
    outside.write_text("Outside.")
    writing.add([disk, outside])
    before = load_snapshot(collection.directory())
    unmount(disk)
    outside.write_text("Outside, and new.")
    for paths in ([disk], [outside, disk], [str(disk / "more")]):
        with pytest.raises(AllGone, match=rf"all that was added from .*: {1 if 'more' in str(paths) else 3} file"):
            writing.sync(paths, encodings_bytes=0)
    assert load_snapshot(collection.directory()) == before
    with Catalogue.read(collection.directory()) as catalogue:
        assert catalogue.get("encodings_budget", None) is None
    report = writing.sync([disk, outside], drop_all=True)
    assert (report.files_removed, report.files_changed) == (3, 1)
    assert "outside.txt" in names()
    assert not {"a.txt", "b.txt", "c.txt"} & set(names())


def test_what_is_gone_from_a_folder_with_other_files_is_removed(writing: EdgeQA, disk: Path) -> None:
    writing.add(disk)
    (disk / "a.txt").unlink()
    shutil.rmtree(disk / "more")
    assert writing.sync(disk).files_removed == 2
    assert names() == ["b.txt"]


def test_the_error_names_collection_path_count_and_remedy(writing: EdgeQA, disk: Path) -> None:
    writing.add(disk / "a.txt")
    (disk / "a.txt").unlink()
    with pytest.raises(AllGone) as raised:
        writing.sync(disk / "a.txt")
    assert str(raised.value) == f"all that was added from {disk / 'a.txt'} is gone: 1 file; nothing is removed"
    assert raised.value.hint.endswith(f"to remove it: edgeqa sync --drop-all {disk / 'a.txt'}")
    assert raised.value.exit_code == 3
    other = AllGone(collection.directory("notes"), "notes", 2)
    assert other.hint.endswith("edgeqa sync --drop-all --collection notes notes")


def test_what_cannot_be_looked_at_is_not_gone(writing: EdgeQA, disk: Path) -> None:
    writing.add(disk)
    shutil.rmtree(disk)
    disk.symlink_to(disk)  # the system cannot say what is there, as of a share that does not answer
    with pytest.raises(ContextUnreadable):
        writing.sync(disk, drop_all=True)
    assert len(names()) == 3


def test_a_disk_that_goes_while_files_are_added_takes_nothing_with_it(
    writing: EdgeQA, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing.add(disk)
    check = adding_sources.MissingFiles.check

    def then_gone(self: adding_sources.MissingFiles, paths: list[str]) -> None:
        check(self, paths)
        if disk.exists():
            shutil.rmtree(disk)
            monkeypatch.setattr(adding_sources.MissingFiles, "check", check)

    monkeypatch.setattr(adding_sources.MissingFiles, "check", then_gone)
    with pytest.raises(AllGone):
        writing.sync(disk)
    assert len(names()) == 3


def test_a_file_that_was_begun_anew_is_removed_as_one(writing: EdgeQA, disk: Path) -> None:
    writing.add(disk)
    path = os.fsencode(disk / "a.txt")
    with Catalogue.write(collection.directory()) as catalogue, catalogue.transaction():
        (row,) = catalogue.sources_at(path)
        catalogue.add_source(replace(row, id=0, digest=b"new", state=PENDING))
    (disk / "a.txt").unlink()
    assert writing.sync(disk).files_removed == 1
    assert names() == ["b.txt", "c.txt"]
