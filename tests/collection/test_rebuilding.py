"""Tests that the catalogue can be made again from the shards alone, after anything that can have happened."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from filling import ENCODER, fill, groups, long_text, open_writer, passages_of, put, put_document

from edgeqa.collection import managing, shard_writer, verifying
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import WHOLE, DocumentRow, SourceRow
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import CatalogueDamaged, CatalogueLost
from edgeqa.collection.shard_format import GONE, GONE_AGAIN
from edgeqa.collection.snapshot import CATALOGUE, SHARDS

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.writer import Writer

WINDOW = 128


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


def listed(place: Path) -> tuple[list[SourceRow], list[DocumentRow]]:
    with Catalogue.read(place) as catalogue:
        return [s for s in catalogue.sources() if s.state == WHOLE], list(catalogue.documents())


def texts(place: Path) -> list[str]:
    documents = listed(place)[1]
    opened = Collection(place)
    return [opened.context(n).text for d in documents for n in range(d.first, d.after)]


def lose(place: Path) -> None:
    """Deletes all but the shards."""
    for found in place.iterdir():
        if found.name != SHARDS:
            shutil.rmtree(found) if found.is_dir() else found.unlink()


def put_in_commits(
    writer: Writer, name: str, lines: list[tuple[str, str]], digest: bytes, chance: random.Random
) -> None:
    """Puts a source of (suffix, text) documents, with commits wherever they may come."""

    def commit() -> None:
        if chance.random() < 0.1:
            writer.commit()

    writer.begin_source(f"/{name}".encode(), name, digest, WINDOW)
    for suffix, text in lines:
        writer.begin_document(suffix, "")
        for passage in passages_of(text):
            writer.add(passage, groups(passage), None)
            commit()
        writer.end_document()
        commit()
    writer.end_source()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_was_added_changed_and_removed_it_comes_back_as_it_was(
    place: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(shard_writer, "AT_A_TIME", chance.choice((2, 3, 8)))
    with open_writer(place) as writer:
        for turn in range(40):
            name = f"{chance.randrange(8)}.jsonl"
            known = writer.catalogue.sources_at(f"/{name}".encode())
            what = chance.random()
            if what < 0.15 and known:
                writer.remove_source(known[0])
            elif what < 0.3 and known and (documents := list(writer.catalogue.documents_of(known[0].id))):
                writer.remove_document(chance.choice(documents))
            else:
                count = chance.randint(1, 4)
                lines = [(f"#{n}", long_text(chance.choice((1, 2, 60)), f"w{turn}")) for n in range(count)]
                put_in_commits(writer, name, lines, f"{turn}".encode(), chance)
            if chance.random() < 0.7:
                writer.commit()
        writer.commit()
    sources, documents = listed(place)
    before, held = load_snapshot(place), texts(place)
    lose(place)
    managing.repair(place)
    after = load_snapshot(place)
    again, documents_again = listed(place)
    kept = {document.source for document in documents}
    assert documents_again == documents
    assert [replace(s, digest=b"") for s in again] == [replace(s, digest=b"") for s in sources if s.id in kept]
    digests = {source.id: source.digest for source in sources if source.id in kept}
    assert {source.id: source.digest for source in again} == digests, "what a document went from is read again"
    assert texts(place) == held
    assert (after.documents, after.contexts, after.encoder) == (before.documents, before.contexts, before.encoder)
    assert after.digest != before.digest
    assert (verifying.verify(place), verifying.verify_route(place)) == ([], None)


def test_a_file_that_was_read_to_its_end_is_not_read_again(place: Path) -> None:
    fill(place, {"a.txt": long_text(80), "b.txt": "Short."})
    sources, _ = listed(place)
    lose(place)
    with open_writer(place):
        pass
    assert listed(place)[0] == sources


def test_what_replaces_a_file_and_is_not_whole_is_not_seen(place: Path) -> None:
    fill(place, {"a.txt": "Before."})
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"2", WINDOW)
        put_document(writer, "#1", "After, in part.")
        writer.commit()
    lose(place)
    with open_writer(place) as writer:
        put(writer, "b.txt", [("", "Another.")])
        writer.commit()
    assert texts(place) == ["Before.", "Another."]


def test_what_has_replaced_a_file_in_two_commits_is_seen(place: Path) -> None:
    fill(place, {"a.txt": "Before."})
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"2", WINDOW)
        put_document(writer, "#1", "After.")
        writer.commit()
        writer.end_source()
        writer.commit()
    lose(place)
    with open_writer(place) as writer:
        (source,) = writer.catalogue.sources_named("a.txt")
        assert (source.digest, source.state) == (b"2", WHOLE)
    assert texts(place) == ["After."]


def test_a_re_encoded_collection_comes_back_whole(place: Path) -> None:
    fill(place, {"a.txt": "One.", "b.txt": "Two."})
    other = ENCODER._replace(digest="0" * 32, bundle="other 1")
    with open_writer(place, other, anew=True) as writer:
        for name, text in {"a.txt": "One.", "b.txt": "Two."}.items():
            writer.begin_source(f"/{name}".encode(), name, b"anew:1", WINDOW)
            put_document(writer, "", text)
            writer.set_source_by()
        writer.commit()
        writer.take_places()
    sources, documents = listed(place)
    lose(place)
    with open_writer(place, other):
        pass
    assert listed(place) == (sources, documents)
    assert (load_snapshot(place).encoder, load_snapshot(place).bundle) == (other.digest, "other 1")


def test_numbers_that_were_given_are_not_given_again(place: Path) -> None:
    fill(place, {"a.txt": long_text(90), "b.txt": "Two."})
    with Catalogue.read(place) as catalogue:
        after = max(row.after for row in catalogue.documents())
        tags = {row.tag for row in catalogue.documents()}
    lose(place)
    with open_writer(place) as writer:
        put(writer, "c.txt", [("", "Three.")])
        writer.commit()
        (row,) = writer.catalogue.documents_named("c.txt")
    assert row.first == after
    assert row.tag not in tags


def test_what_merged_shards_left_behind_is_not_taken_twice(place: Path) -> None:
    with open_writer(place) as writer:
        for number in range(shard_writer.AT_A_TIME - 1):
            put(writer, f"{number}.txt", [("", f"Number {number}.")])
            writer.commit()
    copies = place.parent / "copies"
    shutil.copytree(place / SHARDS, copies)
    with open_writer(place) as writer:
        put(writer, "last.txt", [("", "The last.")])
        writer.commit()
    expected = texts(place)
    for shard in copies.iterdir():
        shutil.copytree(shard, place / SHARDS / shard.name)  # as if killed before they were deleted
    lose(place)
    with open_writer(place):
        assert len(list((place / SHARDS).iterdir())) == 1
    assert texts(place) == expected


@pytest.mark.parametrize("file", ["manifest.json", "documents.jsonl"])
def test_where_a_shard_does_not_say_what_it_is_nothing_is_deleted(place: Path, file: str) -> None:
    fill(place, {"a.txt": "Text."})
    (shard,) = (place / SHARDS).iterdir()
    (shard / file).write_bytes(b"{}")
    lose(place)
    with pytest.raises(CatalogueLost, match="it cannot be made again") as caught:
        open_writer(place)
    assert "add the texts again" in caught.value.hint
    assert (shard / "records.bin").exists()
    with pytest.raises(CatalogueDamaged):
        Catalogue.read(place)


def test_a_catalogue_that_is_none_is_made_again(place: Path) -> None:
    fill(place, {"a.txt": "Text."})
    _, documents = listed(place)
    (place / CATALOGUE).write_bytes(b"no database" * 999)
    with pytest.raises(CatalogueDamaged):
        Catalogue.read(place)
    with open_writer(place):
        pass
    assert listed(place)[1] == documents


@pytest.mark.parametrize("name", [GONE, GONE_AGAIN])
@pytest.mark.parametrize("how", ["flipped", "deleted"])
def test_what_was_removed_does_not_come_back_where_catalogue_and_one_note_of_it_are_lost(
    place: Path, name: str, how: str
) -> None:
    fill(place, {"a.txt": "One.", "b.txt": "Two.", "c.txt": "Three."})
    managing.remove(place, "b.txt")
    (file,) = (place / SHARDS).glob(f"*/{name}")
    sound = file.read_bytes()
    if how == "deleted":
        file.unlink()
    else:
        file.write_bytes(sound[:-1])
        assert f"{name}: wrong checksum" in str(verifying.verify(place)[0].problems)
    lose(place)
    managing.repair(place)
    assert set(texts(place)) == {"One.", "Three."}
    assert (file.read_bytes(), verifying.verify(place)) == (sound, [])


def test_where_nothing_says_what_was_removed_the_catalogue_is_not_made_again(place: Path) -> None:
    fill(place, {"a.txt": "One.", "b.txt": "Two."})
    managing.remove(place, "b.txt")
    for name in (GONE, GONE_AGAIN):
        (file,) = (place / SHARDS).glob(f"*/{name}")
        file.write_bytes(b"nonsense")
    lose(place)
    with pytest.raises(CatalogueLost, match="what was removed from it would come back"):
        managing.repair(place)
