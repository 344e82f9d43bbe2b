"""Tests what a writer is rarely asked for: work out of order, begun again, several merges at once, damage meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from filling import ENCODER, WINDOW, ListedIndex, fill, groups, long_text, open_writer, passages_of, put, put_document

from edgeqa.collection import writer as writing
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import PENDING
from edgeqa.collection.collection import Collection
from edgeqa.collection.damage import ROUTE_NOTE, damaged_tags
from edgeqa.collection.errors import RouteDamaged
from edgeqa.collection.shard_writer import AT_A_TIME
from edgeqa.collection.snapshot import SHARDS
from edgeqa.collection.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


def texts(place: Path) -> dict[str, str]:
    """Returns the documents that can be asked, of one context each, with its text."""
    opened = Collection(place, ENCODER)
    with Catalogue.read(place) as catalogue:
        rows = list(catalogue.documents())
    assert [row.contexts for row in rows] == [1] * len(rows)
    return {row.name: opened.context(row.first).text for row in rows}


def on_disk(place: Path) -> list[str]:
    return sorted(path.name for path in (place / SHARDS).iterdir())


@pytest.mark.parametrize(
    "work",
    [
        lambda writer: writer.begin_document("", ""),
        lambda writer: writer.end_document(),
        lambda writer: writer.end_source(),
        lambda writer: writer.fail_source(),
        lambda writer: writer.set_source_by(),
        lambda writer: writer.add(passages_of("Text.")[0], groups(passages_of("Text.")[0]), None),
    ],
)
def test_what_is_given_out_of_order_is_refused_and_changes_nothing(
    place: Path, work: Callable[[Writer], object]
) -> None:
    fill(place, {"a.txt": "Before."})
    with open_writer(place) as writer:
        with pytest.raises(RuntimeError, match="in this order"):
            work(writer)
        writer.commit()
    assert texts(place) == {"a.txt": "Before."}


@pytest.mark.parametrize("end", ["end_source", "set_source_by", "fail_source"])
def test_what_comes_after_the_end_of_a_source_is_refused(place: Path, end: str) -> None:
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"1", WINDOW)
        getattr(writer, end)()
        for again in (writer.end_source, writer.set_source_by, writer.fail_source):
            with pytest.raises(RuntimeError, match="in this order"):
                again()


def test_a_writer_without_a_model_adds_nothing(place: Path) -> None:
    fill(place, {"a.txt": "Before."})
    with open_writer(place, None) as writer, pytest.raises(RuntimeError, match="in this order"):
        writer.begin_source(b"/b.txt", "b.txt", b"1", WINDOW)
    assert texts(place) == {"a.txt": "Before."}


def test_what_was_begun_to_replace_a_file_goes_when_the_file_is_as_it_was(place: Path) -> None:
    fill(place, {"a.txt": "Before."})
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"2", WINDOW)
        put_document(writer, "", "After.")
        writer.commit()
    with open_writer(place) as writer:
        assert [source.state for source in writer.catalogue.sources()].count(PENDING) == 1
        writer.keep_source(b"/a.txt")
        writer.commit()
        assert len(list(writer.catalogue.sources())) == 1
    assert texts(place) == {"a.txt": "Before."}


def test_what_was_begun_to_replace_a_file_goes_when_that_is_begun_otherwise(place: Path) -> None:
    fill(place, {"a.txt": "Before."})
    for digest, text in ((b"2", "Never whole."), (b"3", "After.")):
        with open_writer(place) as writer:
            writer.begin_source(b"/a.txt", "a.txt", digest, WINDOW)
            put_document(writer, "", text)
            writer.commit()
            assert texts(place) == {"a.txt": "Before."}
            assert len(list(writer.catalogue.sources())) == 2
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"3", WINDOW)
        writer.end_source()
        writer.commit()
        assert len(list(writer.catalogue.sources())) == 1
    assert texts(place) == {"a.txt": "After."}


def test_a_document_that_was_begun_and_is_not_there_any_more_goes_with_the_end_of_its_file(place: Path) -> None:
    with open_writer(place) as writer:
        writer.begin_source(b"/a.jsonl", "a.jsonl", b"1", WINDOW)
        put_document(writer, "#1", "One.")
        writer.begin_document("#2", "")
        for passage in passages_of(long_text(60))[:2]:
            writer.add(passage, groups(passage), None)
        writer.commit()
    with open_writer(place) as writer:
        writer.begin_source(b"/a.jsonl", "a.jsonl", b"1", WINDOW)
        writer.end_source()
        writer.commit()
        assert [
            row.name for source in writer.catalogue.sources() for row in writer.catalogue.documents_of(source.id)
        ] == ["a.jsonl#1"]
    assert texts(place) == {"a.jsonl#1": "One."}


def test_all_that_is_to_be_merged_is_merged_in_one_commit(place: Path) -> None:
    for number in range(5):
        fill(place, {f"{number}.txt": f"Number {number}."})
    assert len(on_disk(place)) == 5
    with open_writer(place) as writer:
        for number in range(3):
            writer.remove_source(writer.catalogue.sources_named(f"{number}.txt")[0])
        writer.commit()
        assert len(on_disk(place)) == 2
    assert texts(place) == {"3.txt": "Number 3.", "4.txt": "Number 4."}


def test_a_shard_that_turns_out_damaged_when_it_is_merged_stays_and_the_rest_is_merged(place: Path) -> None:
    with open_writer(place) as writer:
        for number in range(AT_A_TIME - 1):
            put(writer, f"{number}.txt", [("", f"Number {number}.")])
            writer.commit()
        tag = writer.catalogue.shards()[2].tag
        file = place / SHARDS / tag / "records.bin"
        file.write_bytes(file.read_bytes()[:-1] + b"\0")
        for number in range(AT_A_TIME - 1, 2 * AT_A_TIME + 3):
            put(writer, f"{number}.txt", [("", f"Number {number}.")])
            writer.commit()
        assert tag in damaged_tags(place)
        assert [len(shards) for shards in (writer.catalogue.shards(), on_disk(place))] == [len(on_disk(place))] * 2
        assert tag in on_disk(place)
        assert len(on_disk(place)) < AT_A_TIME
    with open_writer(place) as writer:
        assert [(d.tag, [row.name for row in d.documents]) for d in writer.damages] == [(tag, ["2.txt"])]


def test_where_there_is_no_room_to_merge_all_stays_as_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with open_writer(place) as writer:
        for number in range(AT_A_TIME):
            if number == AT_A_TIME - 1:
                monkeypatch.setattr("edgeqa.collection.shard_writer.ShardWriter", full)
            put(writer, f"{number}.txt", [("", f"Number {number}.")])
            writer.commit()
        assert len(on_disk(place)) == AT_A_TIME
        monkeypatch.undo()
        writer.commit()
        assert len(on_disk(place)) == 1
    assert texts(place) == {f"{n}.txt": f"Number {n}." for n in range(AT_A_TIME)}


class Broken(ListedIndex):
    """Is damaged from the second commit on; a new one in its place is not."""

    made = 0

    def __init__(self, directory: Path, language: str) -> None:
        super().__init__(directory, language)
        self.directory = directory
        Broken.made += 1
        self._number, self._commits = Broken.made, 0

    def commit(self) -> None:
        self._commits += 1
        if self._number == 1 and self._commits > 1:
            raise RouteDamaged(self.directory, "it is damaged")
        super().commit()

    def close(self) -> None:
        if self._number == 1 and self._commits > 1:
            raise RouteDamaged(self.directory, "it is damaged")


def test_an_index_that_breaks_in_a_commit_is_made_anew_with_all_that_is_stored(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broken, "made", 0)
    indexes: list[Broken] = []

    def opened(directory: Path, language: str) -> Broken:
        indexes.append(Broken(directory, language))
        return indexes[-1]

    monkeypatch.setattr(writing, "IndexWriter", opened)
    with Writer(place, ENCODER) as writer:
        put(writer, "a.txt", [("", "One.")])
        writer.commit()
        put(writer, "b.txt", [("", "Two.")])
        writer.commit()
        assert len(indexes) == 2
        assert [text for text, _ in indexes[1].committed.values()] == ["One.", "Two."]
    assert texts(place) == {"a.txt": "One.", "b.txt": "Two."}


class WorseAtTheEnd(ListedIndex):
    """Is found damaged when it is let go."""

    def __init__(self, directory: Path, language: str) -> None:
        super().__init__(directory, language)
        self.directory = directory

    def close(self) -> None:
        raise RouteDamaged(self.directory, "it is damaged")


def test_an_index_that_is_found_damaged_when_it_is_closed_is_said_and_made_anew_by_the_next_writer(
    place: Path,
) -> None:
    writer = open_writer(place, index=WorseAtTheEnd)
    put(writer, "a.txt", [("", "One.")])
    writer.commit()
    with pytest.raises(RouteDamaged):
        writer.close()
    assert ROUTE_NOTE in damaged_tags(place)
    made: list[ListedIndex] = []

    def opened(directory: Path, language: str) -> ListedIndex:
        made.append(ListedIndex(directory, language))
        return made[-1]

    with open_writer(place, index=opened):
        assert [text for text, _ in made[0].committed.values()] == ["One."]
    assert ROUTE_NOTE not in damaged_tags(place)
