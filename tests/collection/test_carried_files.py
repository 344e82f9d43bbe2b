"""Tests a collection in one file: what is carried, and what is refused of a file that anybody may have made."""

from __future__ import annotations

import contextlib
import os
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filling import ENCODER, WINDOW, Spaced, fill, open_writer, put, put_document
from xxhash import xxh3_128_hexdigest

from edgeqa import collection
from edgeqa.collection import carrying, verifying
from edgeqa.collection.carrying import FIRST, export_collection, import_collection
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import (
    CarriedDamaged,
    CarriedInaccessible,
    CarriedUnsupported,
    CollectionExists,
    CollectionNotFound,
    CollectionUnwritable,
)
from edgeqa.collection.writer import Writer
from edgeqa.files import pack_checked, unpack_checked
from edgeqa.models.readers import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.contexts.windows import Window


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = collection.directory("c")
    fill(made, {"a.txt": "One.", "b.txt": "Two.", "secret.txt": "The password is swordfish."})
    with open_writer(made) as writer:
        writer.remove_source(writer.catalogue.sources_named("secret.txt")[0])
        writer.commit()
    assert tmp_path in made.parents
    return made


@pytest.fixture
def exported(place: Path, tmp_path: Path) -> Path:
    export_collection(place.name, tmp_path / "c.edgeqa")
    return tmp_path / "c.edgeqa"


def held(name: str) -> dict[str, str]:
    """Returns the documents of a collection with their texts."""
    opened = Collection(collection.directory(name))
    with Catalogue.read(opened.directory) as catalogue:
        return {
            row.name: Spaced(" ".join(opened.context(n).text for n in range(row.first, row.after)))
            for row in catalogue.documents()
        }


def encoded(passage: Window) -> Encoding:
    rows = len(passage.tokens) + 1
    return Encoding(np.ones((rows, ENCODER.width), np.int8), np.ones((rows, 1), np.float32))


def test_what_is_there_is_carried_and_nothing_that_was_removed(place: Path, exported: Path) -> None:
    assert b"swordfish" not in exported.read_bytes()
    info = import_collection(exported, name="d")
    assert (info.name, info.documents, info.contexts, info.problem) == ("d", 2, 2, "")
    assert held("d") == held(place.name) == {"a.txt": "One.", "b.txt": "Two."}
    assert verifying.verified(collection.directory("d")).sound
    export_collection("d", exported)  # over what was exported before
    assert import_collection(exported, name="e").documents == 2
    with pytest.raises(CollectionExists, match="there is a collection called c already"):
        import_collection(zip_named(exported, place.name))


def zip_named(exported: Path, name: str) -> Path:
    """Returns the file, with another name of the collection in it."""
    rewrite(exported, lambda facts, _: facts.update(name=name))
    return exported


def test_encodings_are_left_out_if_that_is_asked(tmp_path: Path) -> None:
    made = collection.directory("c")
    with open_writer(made) as writer:
        put(writer, "a.txt", [("", "One.")], encoded)
        writer.commit()
    for name, encodings in (("with", True), ("without", False)):
        export_collection("c", tmp_path / name, encodings=encodings)
        info = import_collection(tmp_path / name, name=name)
        assert (info.encodings_bytes > 0) == encodings
        context = Collection(collection.directory(name)).context(0)
        assert (context.text, context.encoding is not None) == ("One.", encodings)


def test_full_paths_are_cut_and_files_of_one_name_kept_apart(tmp_path: Path) -> None:
    made = collection.directory("c")
    with open_writer(made) as writer:
        for path, name in (
            (b"/home/me/docs/a.txt", "/home/me/docs/a.txt"),
            (b"/home/me/b.txt", "/home/me/b.txt"),
            (b"/x/c.txt", "c.txt"),
            (b"carried:c.txt", "c.txt"),
            (b"/y/c.txt", "c.txt"),
            (b"content:12", "standard input 12"),
        ):
            writer.begin_source(path, name, b"1", WINDOW)
            put_document(writer, "", f"Text of {path.decode()}.")
            writer.end_source()
        writer.commit()
    export_collection("c", tmp_path / "c.edgeqa")
    import_collection(tmp_path / "c.edgeqa", name="d")
    with Catalogue.read(collection.directory("d")) as catalogue:
        found = [(source.path, source.name) for source in catalogue.sources()]
    assert found == [
        (b"carried:me/docs/a.txt", "me/docs/a.txt"),
        (b"carried:me/b.txt", "me/b.txt"),
        (b"carried:2:c.txt", "c.txt"),
        (b"carried:c.txt", "c.txt"),
        (b"carried:3:c.txt", "c.txt"),
        (b"content:12", "standard input 12"),
    ]


def test_what_is_not_seen_yet_is_not_carried(place: Path, tmp_path: Path) -> None:
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", b"2", WINDOW)
        put_document(writer, "", "It is to replace the first.")
        writer.commit()
    assert len(load_snapshot(place).shards) == 2
    export_collection(place.name, tmp_path / "c.edgeqa")
    import_collection(tmp_path / "c.edgeqa", name="d")
    assert held("d") == {"a.txt": "One.", "b.txt": "Two."}
    assert len(load_snapshot(collection.directory("d")).shards) == 1


# --- where it cannot be written, or read ------------------------------------------------------------------------------


def test_a_file_that_is_no_exported_collection_is_not_written_over(place: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.zip"
    for content in (b"mine", b"PK\x05\x06" + bytes(18)):
        thesis.write_bytes(content)
        with pytest.raises(CarriedInaccessible, match="no exported collection"):
            export_collection(place.name, thesis)
        assert thesis.read_bytes() == content
    with pytest.raises(CarriedInaccessible, match=r"cannot write .*nowhere/c: No such file"):
        export_collection(place.name, tmp_path / "nowhere" / "c")
    with pytest.raises(CollectionNotFound):
        export_collection("nothing", tmp_path / "c")


@pytest.mark.parametrize("is_writable", [True, False])
def test_where_no_lock_can_be_had_a_collection_is_exported_if_nobody_can_write_to_it(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_writable: bool
) -> None:
    def refused(_: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(carrying, "Lock", refused)
    monkeypatch.setattr(os, "access", lambda *_: is_writable)
    said = pytest.raises(CarriedInaccessible, match=r"cannot lock .*Read-only")
    with said if is_writable else contextlib.nullcontext():
        export_collection(place.name, tmp_path / "c.edgeqa")
    assert (tmp_path / "c.edgeqa").exists() != is_writable


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CarriedInaccessible, match=r"cannot read .*nothing\.edgeqa: No such file"):
        import_collection(tmp_path / "nothing.edgeqa")


def test_a_collection_that_is_made_meanwhile_stays(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = carrying._make_catalogue

    def slowly(*arguments: Any) -> None:  # noqa: ANN401 - whatever it is given
        complete(*arguments)
        fill(collection.directory("d"), {"mine.txt": "Mine."})

    monkeypatch.setattr(carrying, "_make_catalogue", slowly)
    with pytest.raises(CollectionExists):
        import_collection(exported, name="d")
    assert held("d") == {"mine.txt": "Mine."}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), None])
def test_where_there_is_no_room_nothing_is_left(
    exported: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    def full(*_: object) -> None:
        raise error or CollectionUnwritable(collection.directory("d"), "No space left on device")

    monkeypatch.setattr(carrying, "_make_catalogue", full)
    with pytest.raises(CollectionUnwritable, match="cannot write to the collection d: No space left on device"):
        import_collection(exported, name="d")
    assert [found.name for found in collection.directory().parent.iterdir()] == ["c"]


# --- files that anybody may have made ---------------------------------------------------------------------------------


def rewrite(
    exported: Path,
    change: Callable[[dict[str, Any], dict[str, bytes]], object],
    method: int = zipfile.ZIP_STORED,
    **fields: object,
) -> None:
    """Writes the file again, with other facts or members; `fields` are set where the archive says what a member is."""
    with zipfile.ZipFile(exported) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    facts = unpack_checked(members[FIRST])
    change(facts, members)
    if members.get(FIRST):
        members[FIRST] = pack_checked(facts)
    with zipfile.ZipFile(exported, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, content)


def of(members: dict[str, Any], name: str) -> str:
    """Returns the full name of a member."""
    return next(one for one in members if one.endswith(name))


def refused(exported: Path, match: str, error: type[Exception] = CarriedDamaged) -> None:
    with pytest.raises(error, match=match):
        import_collection(exported, name="d")
    assert [found.name for found in collection.directory().parent.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ({"format": 2}, "format 2, this edgeqa reads format 1"),
        ({"salt": -1}, "a number is below 0"),
        ({"members": 7}, "not an exported collection"),
        ({"members": {}}, "it does not hold what edgeqa-collection.json lists"),
        ({"documents": 3}, "it has 2 documents and 2 passages instead of those that it lists"),
    ],
)
def test_what_a_file_says_of_itself_must_be_so(exported: Path, what: dict[str, Any], match: str) -> None:
    rewrite(exported, lambda facts, _: facts.update(what))
    refused(exported, match, CarriedUnsupported if "format" in what else CarriedDamaged)


def test_a_file_that_says_nothing_of_itself_is_none(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = exported.read_bytes()
    rewrite(exported, lambda _, members: members.pop(FIRST))
    refused(exported, f"it has no {FIRST}")
    exported.write_bytes(whole)
    rewrite(exported, lambda _, members: members.update({FIRST: b""}))
    refused(exported, "not an exported collection")
    exported.write_bytes(whole)
    monkeypatch.setattr(carrying, "_MAX_FIRST_BYTES", 10)
    refused(exported, f"{FIRST} is too large")
    exported.write_bytes(whole[: len(whole) // 2])
    refused(exported, "not a whole ZIP file")


@pytest.mark.parametrize("name", ["../escaped", "shards/../escaped", "/escaped", "shards/8YG/other.bin"])
def test_what_no_export_writes_is_refused(exported: Path, name: str) -> None:
    rewrite(exported, lambda _, members: members.update({name: b"escaped"}))
    refused(exported, "which no export writes")


def test_links_and_what_is_packed_or_larger_than_the_file_are_refused(exported: Path) -> None:
    whole = exported.read_bytes()
    rewrite(exported, lambda *_: None, external_attr=0o120777 << 16)
    refused(exported, "is no plain file")
    exported.write_bytes(whole)
    rewrite(exported, lambda *_: None, method=zipfile.ZIP_DEFLATED)
    refused(exported, "is compressed")
    entry = whole.index(b"PK\x01\x02")  # in the directory: bytes 20 to 28 are how large it is, packed and unpacked
    exported.write_bytes(whole[: entry + 20] + (1 << 30).to_bytes(4, "little") * 2 + whole[entry + 28 :])
    refused(exported, "its members are larger than it is")


def test_each_file_is_compared_with_its_checksum_and_each_shard_with_its_own(exported: Path) -> None:
    whole = exported.read_bytes()

    def flip(facts: dict[str, Any], members: dict[str, bytes]) -> None:
        name = of(members, "records.bin")
        members[name] = members[name][:-1] + bytes((members[name][-1] ^ 1,))
        digest = xxh3_128_hexdigest(members[name])
        facts["members"][name][1] = digest

    def leave_out(facts: dict[str, Any], members: dict[str, bytes]) -> None:
        name = of(members, "records.bin")
        del members[name], facts["members"][name]

    rewrite(exported, lambda _, members: members.update({of(members, "table.bin"): bytes(128)}))
    refused(exported, "table.bin has a wrong checksum")
    exported.write_bytes(whole)
    rewrite(exported, flip)
    refused(exported, "shard .* is damaged: records.bin: wrong checksum")
    exported.write_bytes(whole)
    rewrite(
        exported, lambda facts, members: [one.pop(of(members, "records.bin")) for one in (facts["members"], members)]
    )
    refused(exported, "lacks a file")


@pytest.mark.parametrize("path", [b"/etc/passwd", b"carried:x"])
def test_a_full_path_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: bytes) -> None:
    named = carrying.without_paths
    monkeypatch.setattr(carrying, "without_paths", lambda sources: dict.fromkeys(named(sources), (path, "/etc/passwd")))
    export_collection(place.name, tmp_path / "c.edgeqa")
    refused(tmp_path / "c.edgeqa", "it has a full path: /etc/passwd")


def test_of_a_killed_import_nothing_is_left_by_the_next(exported: Path) -> None:
    root = collection.directory().parent
    for name in (".edgeqa-0123456789abcdef", ".edgeqa-mine"):
        (root / name).mkdir()
    import_collection(exported, name="d")
    assert sorted(found.name for found in root.iterdir()) == [".edgeqa-mine", "c", "d"]
    with Writer(collection.directory("d")):
        pass
