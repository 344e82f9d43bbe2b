"""Tests `edgeqa collections` as a person uses it, as real processes, and its twins in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import edgeqa

import edgeqa as library
from edgeqa.collection.ownership import Lock

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def collections(home: Path) -> Path:
    for name in ("default", "notes-old"):
        assert edgeqa("add", EXAMPLES / "pump-manual.txt", "--collection", name).returncode == 0
    return home / "collections"


def names() -> list[str]:
    done = edgeqa("collections", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line)["name"] for line in done.stdout.splitlines()]


def test_none_are_listed_where_there_are_none(home: Path) -> None:
    assert not (home / "collections").exists()
    assert names() == []
    assert library.collections() == ()


def test_list_and_delete(collections: Path) -> None:
    assert names() == ["default", "notes-old"]
    first, second = library.collections()
    assert first.documents == second.documents == 1
    assert first.contexts > 0
    assert "edgeqa-mini" in first.bundle
    on_disk = sum(file.stat().st_size for file in (collections / "default").rglob("*") if file.is_file())
    assert first.size_bytes == on_disk
    assert first.encodings_bytes > first.index_bytes > 0
    listed = edgeqa("collections").stdout
    assert listed.startswith("default: 1 document, ")
    assert edgeqa("collections", "list").stdout == listed
    assert edgeqa("collections", "list", "--json").stdout == edgeqa("collections", "--json").stdout

    refused = edgeqa("collections", "delete", "notes-old")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--yes" in refused.stderr
    assert names() == ["default", "notes-old"]
    done = edgeqa("collections", "delete", "notes-old", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "deleted: notes-old\n", "")
    assert [found.name for found in collections.iterdir()] == ["default"]
    again = edgeqa("collections", "delete", "notes-old", "--yes")
    assert (again.returncode, again.stdout) == (2, "")
    library.delete_collection("default")
    assert library.collections() == ()


def test_what_is_not_edgeqas_alone_is_not_deleted(collections: Path, tmp_path: Path) -> None:
    mine = collections / "default" / "shards" / "thesis.txt"
    mine.write_text("mine")
    with pytest.raises(library.CollectionError, match=r"thesis\.txt is not edgeqa's"):
        library.delete_collection("default")
    mine.unlink()
    (collections / "notes-old").rename(tmp_path / "elsewhere")
    (collections / "notes-old").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(library.CollectionError, match="a link"):
        library.delete_collection("notes-old")
    (collections / "folder").mkdir()
    (collections / "folder" / "thesis.txt").write_text("mine")
    with pytest.raises(library.CollectionError, match="no collection called folder"):
        library.delete_collection("folder")
    assert names() == ["default", "notes-old"]


def test_what_somebody_writes_to_is_not_deleted(collections: Path) -> None:
    lock = Lock(collections / "default")
    try:
        with pytest.raises(library.CollectionError, match="being changed"):
            library.delete_collection("default")
    finally:
        lock.release()
    library.delete_collection("default")


def test_a_damaged_one_is_listed_and_can_be_deleted(collections: Path) -> None:
    file = collections / "default" / "catalogue.sqlite"
    file.write_bytes(file.read_bytes()[:5000])
    assert "catalogue is damaged" in library.collections()[0].problem
    library.delete_collection("default")
    assert names() == ["notes-old"]
