"""Tests where one thing of a collection ends and its neighbour begins: folders, rows, windows, ids, commits."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from filling import (
    ENCODER,
    WINDOW,
    ListedIndex,
    Spaced,
    fill,
    groups,
    long_text,
    open_writer,
    passages_of,
    put,
    put_document,
)
from test_collection import text_or_damage

from edgeqa import collection, runtime
from edgeqa.collection import adding as adding_module
from edgeqa.collection.adding import StoreStage
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import MARK
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import ShardDamaged
from edgeqa.collection.shard import Shard
from edgeqa.collection.shard_writer import AT_A_TIME
from edgeqa.collection.snapshot import SHARDS, EncoderIdentity
from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.collection.writer import Writer
    from edgeqa.runtime import EdgeQA

OTHER = EncoderIdentity("0" * 32, "other 1", 384)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


def names() -> set[str]:
    with Catalogue.read(collection.directory()) as catalogue:
        return {document.name for document in catalogue.documents()}


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(writing: EdgeQA, tmp_path: Path) -> Path:
    """Where folders lie whose names begin alike, all of them added."""
    for folder in ("notes", "notes-old", "notes.d", "notes0", "notes/deep", "note"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(f"The pump of {folder} is red.")
    (tmp_path / "notes.txt").write_text("The pump is blue.")
    writing.add(sorted(path for path in tmp_path.iterdir() if path.name.startswith("note")))
    return tmp_path


@pytest.mark.parametrize("named", ["", ["", "notes.txt"], ["notes.txt", ""]])
def test_an_empty_name_is_not_the_folder_that_one_is_in(
    writing: EdgeQA, folders: Path, monkeypatch: pytest.MonkeyPatch, named: str | list[str]
) -> None:
    """As of a variable of the shell that is not set."""
    before = names()
    monkeypatch.chdir(folders)
    for act in (writing.add, writing.sync, writing.remove):
        with pytest.raises(OptionError, match=r"(names|paths) cannot be ''"):
            act(named)
    assert names() == before
    writing.remove(".")
    assert names() == set()


def test_a_folder_is_removed_without_those_whose_names_begin_alike(writing: EdgeQA, folders: Path) -> None:
    before = names()
    gone = set(writing.remove(folders / "notes"))
    assert gone == {str(folders / "notes" / "a.txt"), str(folders / "notes" / "deep" / "a.txt")}
    assert names() == before - gone
    assert len(names()) == 5


def test_what_is_gone_from_a_folder_says_nothing_of_those_whose_names_begin_alike(
    writing: EdgeQA, folders: Path
) -> None:
    before = names()
    for file in ("notes/deep/a.txt", "notes-old/a.txt", "notes.txt"):
        (folders / file).unlink()
    assert writing.sync(folders / "notes").files_removed == 1
    assert names() == before - {str(folders / "notes" / "deep" / "a.txt")}


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_context_whose_row_is_damaged_is_damaged_and_not_gone(place: Path) -> None:
    fill(place, {"pump.txt": long_text(200)})
    (shard,) = (place / SHARDS).iterdir()
    table = shard / "table.bin"
    sound = table.read_bytes()
    expected = [Collection(place).context(n).text for n in range(Collection(place).contexts)]
    row_bytes = len(sound) // len(expected)
    for row in range(len(expected)):
        for wrong_id in (0, 1 << 40):  # so that the search goes astray, to either side
            table.write_bytes(sound[: row * row_bytes] + struct.pack("<Q", wrong_id) + sound[row * row_bytes + 8 :])
            if table.read_bytes() == sound:
                continue
            found = [text_or_damage(place, context_id) for context_id in range(len(expected))]
            assert isinstance(found[row], ShardDamaged)
            assert all(
                str(row) in str(one) if isinstance(one, ShardDamaged) else one == text
                for one, text in zip(found, expected, strict=True)
            )


# --- windows and ids -------------------------------------------------------------------------------------------------


def begin(writer: Writer, text: str, contexts: int, window: int = WINDOW) -> None:
    """Begins /a.txt, and commits so many contexts of it."""
    writer.begin_source(b"/a.txt", "a.txt", b"1", window)
    writer.begin_document("", "")
    for passage in passages_of(text)[:contexts]:
        writer.add(passage, groups(passage), None)
    writer.commit()


@pytest.mark.parametrize(
    ("digest", "window", "goes_on"), [(b"1", WINDOW, True), (b"1", WINDOW + 1, False), (b"2", WINDOW, False)]
)
def test_a_file_that_was_begun_is_gone_on_with_only_if_it_is_cut_alike(
    place: Path, digest: bytes, window: int, *, goes_on: bool
) -> None:
    with open_writer(place) as writer:
        begin(writer, long_text(150), 2)
        (begun,) = writer.catalogue.sources()
    with open_writer(place) as writer:
        writer.begin_source(b"/a.txt", "a.txt", digest, window)
        source = list(writer.catalogue.sources())[-1]
        assert (source.digest, source.window_tokens) == (digest, window)
        assert (source.id == begun.id) == goes_on
        assert len(list(writer.catalogue.documents_of(source.id))) == goes_on
        put_document(writer, "", "All of it, anew.")
        writer.end_source()
        writer.commit()
    with Catalogue.read(place) as catalogue:
        left = [context.text for d in catalogue.documents() for context in Collection(place).contexts_from(d.first)]
    assert left == ["All of it, anew."]


class Interrupted(BaseException):
    """The process ends here."""


def interrupted(writing: EdgeQA, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds a file, and is broken off when the first block of its contexts is committed."""
    taken: list[int] = []
    take = StoreStage.take

    def breaking(self: StoreStage, block: list[object]) -> None:
        if taken:
            raise Interrupted
        taken.append(len(block))
        take(self, block)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(adding_module, "COMMIT_BYTES", 1)
        patch.setattr(StoreStage, "take", breaking)
        with pytest.raises(Interrupted):
            writing.add(file, encodings_bytes=0)
    with Catalogue.read(collection.directory()) as catalogue:
        assert [row.contexts > 0 for s in catalogue.sources() for row in catalogue.documents_of(s.id)] == [True]


def texts() -> dict[str, str]:
    """Returns the documents that can be asked, each put together from its contexts."""
    found: dict[str, str] = {}
    opened = Collection(collection.directory())
    with Catalogue.read(collection.directory()) as catalogue:
        for document in catalogue.documents():
            text = ""
            for number in range(document.contexts):
                context = opened.context(document.first + number)
                assert (context.document, context.address.rpartition(":")[2]) == (document.name, str(number + 1))
                text = text[: context.start].ljust(context.start) + context.text
            found[document.name] = Spaced(text)
    return found


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    file = tmp_path / "long.txt"
    file.write_text("\n".join(f"The valve {n} opens at {n * 7} bar, says its maker." for n in range(600)))
    return file


@pytest.mark.parametrize("at_once", [False, True])
def test_a_file_that_was_broken_off_begins_anew_where_others_were_added_since(
    writing: EdgeQA, long_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    interrupted(writing, long_file, monkeypatch)
    (tmp_path / "short.txt").write_text("The pump is red.")
    for paths in [[tmp_path / "short.txt", long_file]] if at_once else [[tmp_path / "short.txt"], [long_file]]:
        writing.add(paths)
    assert texts() == {str(tmp_path / "short.txt"): "The pump is red.", str(long_file): long_file.read_text()}


def test_a_file_that_was_broken_off_begins_anew_when_it_has_changed(
    writing: EdgeQA, long_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(writing, long_file, monkeypatch)
    long_file.write_text("It is another file now.\n" + long_file.read_text())
    writing.add(long_file)
    assert texts() == {str(long_file): long_file.read_text()}


def test_a_file_that_was_broken_off_begins_anew_with_other_windows(
    writing: EdgeQA, long_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(writing, long_file, monkeypatch)
    with runtime.open(persist="off", window_tokens=128) as narrow:
        narrow.add(long_file)
    assert texts() == {str(long_file): long_file.read_text()}
    assert all(len(context.ids) <= 128 for context in Collection(collection.directory()).contexts_from(0, 1 << 40))


# --- encoders --------------------------------------------------------------------------------------------------------


def test_shards_of_two_encoders_are_never_merged(place: Path) -> None:
    half = AT_A_TIME // 2
    for number in range(half):
        fill(place, {f"{number}.txt": f"Number {number}."})
    with open_writer(place, OTHER, anew=True) as writer:
        for number in range(half):
            writer.begin_source(f"/{number}.txt".encode(), f"{number}.txt", MARK + b"1", WINDOW)
            put_document(writer, "", f"Number {number}.")
            writer.set_source_by()
            writer.commit()
        shards = writer.catalogue.shards()
        assert [shard.encoder for shard in shards] == [ENCODER.digest] * half + [OTHER.digest] * half
        for shard in shards:
            assert Shard(place / SHARDS / shard.tag).manifest.encoder == shard.encoder
    assert [Collection(place).context(n).text for n in range(half)] == [f"Number {n}." for n in range(half)]


# --- commits ---------------------------------------------------------------------------------------------------------


def test_what_is_found_before_the_index_is_whole_is_not_found_again(place: Path) -> None:
    seen: list[str] = []

    class Watching(ListedIndex):
        def commit(self) -> None:
            seen.append(load_snapshot(place).digest)
            if len(seen) == 1:
                raise Interrupted
            super().commit()

    fill(place, {"a.txt": "The first."})
    before = load_snapshot(place).digest
    with open_writer(place, index=Watching) as writer:
        put(writer, "b.txt", [("", "The second.")])
        with pytest.raises(Interrupted):
            writer.commit()
    with open_writer(place, index=Watching):
        pass
    after = load_snapshot(place).digest
    assert len(seen) == 2
    assert len({before, *seen, after}) == 4  # each moment is one of its own
