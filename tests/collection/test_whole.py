"""Tests files that are added whole, many at once: they replace others, are all there or not at all, and are indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from filling import ENCODER, WINDOW, fill, groups, passages_of

from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import CatalogueDamaged
from edgeqa.collection.index import Index
from edgeqa.collection.shard_format import pack_record
from edgeqa.collection.snapshot import ROUTE, SHARDS
from edgeqa.collection.verifying import verify
from edgeqa.collection.writer import PackedContext, WholeSource, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


def whole(name: str, text: str, *, fails: bool = False) -> WholeSource:
    def contexts() -> Iterator[PackedContext]:
        for passage in passages_of(text):
            record = pack_record(passage, groups(passage), tag="ABC", name=name, title="A title")
            yield PackedContext(record, len(passage.tokens))
        if fails:
            message = "no more"
            raise RuntimeError(message)

    return WholeSource(f"/{name}".encode(), name, b"2", "A title", contexts())


def held(place: Path) -> dict[str, str]:
    """Returns the documents that can be asked, each with its text."""
    with Catalogue.read(place) as catalogue:
        rows = list(catalogue.documents())
        assert catalogue.snapshot() == load_snapshot(place)
    opened = Collection(place, ENCODER)
    assert opened.contexts == sum(row.contexts for row in rows)
    return {row.name: "".join(opened.context(number).text for number in range(row.first, row.after)) for row in rows}


def test_they_take_the_place_of_files_and_are_found(place: Path) -> None:
    fill(place, {"a.txt": "The cat is called Tom.", "b.txt": "The dog is called Rex."})
    with Writer(place, ENCODER) as writer:
        writer.index_terms = {}
        rows = writer.add_whole([whole("c.txt", "An owl."), whole("a.txt", "The cat is called Felix.")], reader="r")
        assert [(row.name, row.contexts, row.whole) for row in rows] == [("c.txt", 1, True), ("a.txt", 1, True)]
        writer.commit()
        assert writer.index_terms[rows[1].first] == (["cat", "call", "felix"], ["titl"])
        writer.add_whole([whole(f"{n}.txt", f"Number {n}.") for n in range(600)], reader="r")
        writer.begin_source(b"/after.txt", "after.txt", b"3", WINDOW)
        writer.begin_document("", "")
        writer.end_document()
        writer.end_source()
        writer.commit()
    found = held(place)
    assert len(found) == 604
    assert found["a.txt"] == "The cat is called Felix."
    assert found["b.txt"] == "The dog is called Rex."
    index = Index(place / ROUTE)
    assert [hit.number for hit in index.search("Tom", 5).best] == []
    assert [hit.number for hit in index.search("Felix", 5).best] == [rows[1].first]
    assert not verify(place)


def test_after_an_error_all_since_the_last_commit_is_taken_back(place: Path) -> None:
    fill(place, {"a.txt": "The cat is called Tom.", "b.txt": "The dog is called Rex."})
    with Writer(place, ENCODER) as writer:
        writer.remove_source(writer.catalogue.sources_at(b"/b.txt")[0])
        with pytest.raises(RuntimeError, match="no more"):
            writer.add_whole([whole("a.txt", "The cat is called Felix."), whole("c.txt", "A.", fails=True)], reader="r")
        writer.commit()
        assert held(place) == {"a.txt": "The cat is called Tom.", "b.txt": "The dog is called Rex."}
        writer.add_whole([whole("a.txt", "The cat is called Felix.")], reader="r")
        writer.commit()
    assert held(place) == {"a.txt": "The cat is called Felix.", "b.txt": "The dog is called Rex."}
    assert {path.name for path in (place / SHARDS).iterdir()} == {one.tag for one in load_snapshot(place).shards}
    assert not verify(place)


def test_an_error_before_anything_is_written_leaves_all_as_it_was(place: Path) -> None:
    fill(place, {"a.txt": "The cat is called Tom."})
    with Writer(place, ENCODER) as writer:
        with pytest.raises(RuntimeError, match="no more"):
            writer.add_whole([whole("b.txt", "", fails=True)], reader="r")
        assert writer.add_whole([], reader="r") == []
        writer.commit()
    assert held(place) == {"a.txt": "The cat is called Tom."}


def test_rows_that_cannot_be_are_said_to_be_damage(place: Path) -> None:
    fill(place, {"a.txt": "The cat is called Tom."})
    with Catalogue.write(place) as catalogue:
        (row,) = catalogue.sources()
        with pytest.raises(CatalogueDamaged, match="no source 77"):
            list(catalogue.sources_with([row.id, 77]))
        with pytest.raises(CatalogueDamaged, match="UNIQUE"), catalogue.transaction():
            catalogue.add_whole([row], [])
        assert list(catalogue.sources()) == [row]
