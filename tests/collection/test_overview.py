"""Tests the list of a user's collections, what is in each, and deleting one."""

from __future__ import annotations

from pathlib import Path

import pytest
from filling import fill, open_writer, put, put_document

from edgeqa import collection
from edgeqa.collection import overview
from edgeqa.collection.errors import (
    CollectionBusy,
    CollectionForeign,
    CollectionNotFound,
    CollectionUnreadable,
    CollectionUnwritable,
)
from edgeqa.collection.overview import collections, delete_collection, listed
from edgeqa.collection.ownership import Lock
from edgeqa.collection.snapshot import CATALOGUE


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path))
    return tmp_path / "collections"


def test_each_collection_says_what_is_in_it_and_what_it_takes(root: Path) -> None:
    assert collections() == ()
    fill(root / "b", {"a.txt": "One.", "b.txt": "Two."})
    fill(root / "a", {"a.txt": "One."})
    (root / "no name").mkdir()
    (root / "empty").mkdir()
    first, second = collections()
    assert [(one.name, one.documents, one.contexts, one.format, one.problem) for one in (first, second)] == [
        ("a", 1, 1, 2, ""),
        ("b", 2, 2, 2, ""),
    ]
    on_disk = sum(file.stat().st_size for file in (root / "a").rglob("*") if file.is_file())
    assert first.size_bytes == on_disk
    assert first.to_json()["bundle"] == first.bundle != ""


def test_its_documents_are_listed_with_where_they_are_from(root: Path) -> None:
    with open_writer(root / "a") as writer:
        put(writer, "docs/prices.csv", [("#2", "One."), ("#3", "Two.")])
        writer.begin_source(b"content:12", "standard input 12", b"1", 128)
        put_document(writer, "", "Three.")
        writer.end_source()
        writer.commit()
    found = [one.to_json() for one in listed(root / "a")]
    assert [(one["document"], one["path"], one["title"], one["contexts"]) for one in found] == [
        ("docs/prices.csv#2", "/docs/prices.csv", "title of #2", 1),
        ("docs/prices.csv#3", "/docs/prices.csv", "title of #3", 1),
        ("standard input 12", None, "", 1),
    ]
    assert len({one["tag"] for one in found}) == 1


def test_one_that_cannot_be_read_says_why(root: Path) -> None:
    fill(root / "a", {"a.txt": "One."})
    (root / "a" / CATALOGUE).write_bytes(b"nonsense")
    (found,) = collections()
    assert (found.documents, found.format) == (0, 0)
    assert "the catalogue is damaged" in found.problem


def test_a_directory_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root / "a", {"a.txt": "One."})

    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(CollectionUnreadable, match="cannot read the collection collections: Permission denied"):
        collections()


def test_one_is_deleted_if_nobody_writes_to_it_and_it_is_no_link(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root / "a", {"a.txt": "One."})
    lock = Lock(root / "a")
    with pytest.raises(CollectionBusy):
        delete_collection("a")
    lock.release()
    (root / "b").symlink_to(root / "a")
    with pytest.raises(CollectionForeign, match="it is a link to another place"):
        delete_collection("b")
    (root / "b").unlink()

    def refused(_: Path) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(overview, "scratch", refused)
        with pytest.raises(CollectionUnwritable, match="Read-only file system"):
            delete_collection("a")
    assert [one.name for one in collections()] == ["a"]
    delete_collection("a")
    assert list(root.iterdir()) == []
    with pytest.raises(CollectionNotFound):
        delete_collection("a")
    assert collection.directory("a") == root / "a"
