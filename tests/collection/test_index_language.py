"""Tests that the word index is of the model's language, though whoever removes, repairs or imports knows no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from filling import ENCODER, fill, put

from edgeqa import collection
from edgeqa.collection import managing
from edgeqa.collection.carrying import export_collection, import_collection
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.index import Index
from edgeqa.collection.shard import MANIFEST
from edgeqa.collection.snapshot import CATALOGUE, ROUTE, SHARDS
from edgeqa.collection.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

GERMAN = ENCODER._replace(language="de")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of texts in German."""
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path))
    made = collection.directory("texte")
    with Writer(made, GERMAN) as writer:
        put(writer, "meetings.txt", [("", "Die Meetings sind am Freitag.")])
        put(writer, "weg.txt", [("", "Ein Zug.")])
        writer.commit()
    return made


def is_german(place: Path) -> bool:
    """Tells whether words were indexed as they stand: in English, one would be cut to its stem."""
    index = Index(place / ROUTE)
    as_it_stands, stem = index._contexts_with("meetings"), index._contexts_with("meet")
    assert as_it_stands + stem == 1
    return as_it_stands == 1


def lose_index(place: Path) -> None:
    (place / ROUTE / "meta.json").unlink()


def test_removing_and_repairing_make_an_index_that_is_lost_in_its_language(place: Path) -> None:
    assert is_german(place)
    lose_index(place)
    managing.remove(place, "weg.txt")
    assert is_german(place)
    lose_index(place)
    managing.repair(place)
    assert is_german(place)


def test_the_shards_know_the_language_where_no_catalogue_does(place: Path) -> None:
    for file in place.glob(f"{CATALOGUE}*"):
        file.unlink()
    lose_index(place)
    managing.repair(place)
    assert is_german(place)


def test_so_does_a_file_that_carries_them(place: Path, tmp_path: Path) -> None:
    export_collection(place.name, tmp_path / "texte.edgeqa")
    import_collection(tmp_path / "texte.edgeqa", name="andere")
    assert is_german(collection.directory("andere"))


def test_a_manifest_names_the_language_only_where_it_is_not_english(place: Path, tmp_path: Path) -> None:
    fill(tmp_path / "english", {"a.txt": "The house."})
    for root, named in ((place, True), (tmp_path / "english", False)):
        (manifest,) = root.glob(f"{SHARDS}/*/{MANIFEST}")
        assert (b'"language"' in manifest.read_bytes()) == named


def test_an_index_of_another_language_is_made_anew_by_the_next_that_adds(place: Path) -> None:
    """As one that an older version made, which asked nobody."""
    with Catalogue.write(place) as catalogue, catalogue.transaction():
        catalogue.set("language", "en")
    lose_index(place)
    managing.repair(place)
    assert not is_german(place)
    with Writer(place, GERMAN):
        pass
    assert is_german(place)
