"""Tests how texts from pipes are named: none takes another's place, unless both were given one name."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeqa import collection
from edgeqa.collection import adding_sources, naming
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import GROWING, PENDING, WHOLE, DocumentRow, SourceRow
from edgeqa.collection.errors import ContextGone, NameNotUsed
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.collection.writer import Writer
from edgeqa.errors import ContextNotFound, OptionError
from edgeqa.formats.blocks import FormatOptions
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.collection.adding import Added
    from edgeqa.runtime import EdgeQA

    Pipe = Callable[[bytes], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    return lambda text: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def names() -> list[str]:
    with Catalogue.read(collection.directory()) as catalogue:
        return [row.name for row in catalogue.documents()]


def done(report: Added) -> tuple[int, int, int]:
    return report.files_added, report.files_changed, report.files_unchanged


def test_texts_from_pipes_take_no_places_and_the_same_text_is_unchanged(writing: EdgeQA, pipe: Pipe) -> None:
    called = []
    for text in (b"The valve opens at 4 bar.", b"The pump is red."):
        pipe(text)
        report = writing.add("-")
        assert done(report) == (1, 0, 0)
        called += report.piped
        assert report.to_json()["piped"] == report.piped
    assert called == names() == ["standard input d184dd0e14cf", "standard input 8454e87c00ef"]
    pipe(b"The valve opens at 4 bar.")
    report = writing.add("-")
    assert (done(report), report.piped) == ((0, 0, 1), called[:1])
    pipe(b"The valve opens at 4 bar.")
    assert done(writing.add("-", format="markdown")) == (0, 1, 0)  # the same content, read in another way
    pipe(b"The pump is red.")
    assert done(writing.sync("-")) == (0, 0, 1)
    assert writing.remove(called[0]) == called[:1]
    assert names() == called[1:]


def test_texts_from_named_pipes_take_no_places_either(writing: EdgeQA, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor() as pool:
        for number, text in enumerate((b"One.", b"Two.", b"One.")):
            wrote = pool.submit(path.write_bytes, text)
            assert done(writing.add(path)) == ((1, 0, 0) if number < 2 else (0, 0, 1))
            wrote.result()
    assert [name[:-13] for name in names()] == [str(path)] * 2
    assert done(writing.sync(tmp_path)) == (0, 0, 0)
    assert len(names()) == 2


def test_a_file_that_a_shell_opened_is_no_file_of_that_path(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("A text.")
    with file.open() as opened:
        (source,) = walk([f"/dev/fd/{opened.fileno()}"], FormatOptions())
        assert source.is_piped
    (source,) = walk([file], FormatOptions())
    assert not source.is_piped


def test_a_given_name_is_one_place(writing: EdgeQA, pipe: Pipe) -> None:
    pipe(b"The valve opens at 4 bar.")
    assert done(writing.add("-")) == (1, 0, 0)
    for text, outcome in ((b"4 bar.", (1, 0, 0)), (b"5 bar.", (0, 1, 0)), (b"5 bar.", (0, 0, 1))):
        pipe(text)
        report = writing.add("-", name="valve")
        assert (done(report), report.piped) == (outcome, ["valve"])
    assert sorted(names()) == ["standard input d184dd0e14cf", "valve"]


def test_a_name_that_nothing_is_called_by_is_refused(writing: EdgeQA, pipe: Pipe, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("A text.")
    pipe(b"Another.")
    several: list[list[str | Path]] = [[file], [tmp_path], [file, "-"], []]
    for paths in several:
        with pytest.raises(NameNotUsed, match="nothing can be called 'valve'"):
            writing.add(paths, name="valve")
    for name in ("", " ", 4):
        with pytest.raises(OptionError, match="name cannot be"):
            writing.add("-", name=name)  # type: ignore[arg-type]
    with pytest.raises(ContextNotFound):
        writing.add(tmp_path / "missing", name="valve")
    assert writing.add("-").files_added == 1


def test_what_edgeqa_0_2_added_from_a_pipe_is_known_again(writing: EdgeQA, pipe: Pipe) -> None:
    pipe(b"The valve opens at 4 bar.")
    (source,) = walk(["-"], FormatOptions())
    with Writer(collection.directory(), EncoderIdentity.of(writing.bundle)) as writer:
        writer.begin_source(b"standard input", "standard input", source.digest(), 160)
        writer.end_source()
        assert writer.catalogue.sources_at(b"standard input")[0].state == WHOLE
        writer.commit()
    pipe(b"The valve opens at 4 bar.")
    report = writing.add("-")
    assert (done(report), report.piped) == ((0, 0, 1), ["standard input"])
    pipe(b"The pump is red.")
    assert done(writing.add("-")) == (1, 0, 0)
    with Catalogue.read(collection.directory()) as catalogue:
        assert len(list(catalogue.sources())) == 2


@pytest.fixture
def folding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the system take names for one that differ in case alone, as macOS, Windows and memory cards do."""
    lstat = os.lstat

    def folded(path: str) -> os.stat_result:
        found = os.sep
        for part in Path(path).parts[1:]:
            listed = {name.casefold(): name for name in os.listdir(found)}  # noqa: PTH208
            found = os.path.join(found, listed.get(part.casefold(), part))  # noqa: PTH118
        return lstat(found)

    monkeypatch.setattr(os, "lstat", folded)
    naming._folder.cache_clear()


@pytest.mark.usefixtures("folding")
def test_where_case_makes_no_difference_a_file_is_known_by_its_listed_name(tmp_path: Path) -> None:
    (tmp_path / "Docs").mkdir()
    file = tmp_path / "Docs" / "Notes.txt"
    file.touch()
    expected = os.fsencode(file)
    for name in ("Docs/Notes.txt", "docs/NOTES.TXT", "DOCS/notes.txt"):
        assert naming.file_identity(f"{tmp_path}/{name}") == expected
    assert naming.file_identity(f"{tmp_path}/docs/other.txt") == os.fsencode(file.with_name("other.txt"))
    assert not adding_sources._is_missing(expected)
    file.rename(file.with_name("notes.txt"))
    assert naming.file_identity(f"{tmp_path}/docs/NOTES.txt") == os.fsencode(file.with_name("notes.txt"))


@pytest.mark.usefixtures("folding")
def test_what_is_called_otherwise_now_is_gone_under_its_old_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").touch()
    monkeypatch.setattr(os, "stat", lambda path: os.lstat(os.fsdecode(path)))
    assert adding_sources._is_missing(os.fsencode(tmp_path / "NOTES.txt"))
    assert not adding_sources._is_missing(os.fsencode(tmp_path / "notes.txt"))


def test_two_names_of_one_file_are_two_where_case_makes_a_difference(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "NOTES.TXT").hardlink_to(tmp_path / "notes.txt")
    for name in ("notes.txt", "NOTES.TXT"):
        assert naming.file_identity(str(tmp_path / name)) == os.fsencode(tmp_path / name)


class HalfAdded:
    """A catalogue in the middle of an `add`: a file that is not begun, and one whose second text is not whole."""

    def __enter__(self) -> HalfAdded:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sources_named(self, name: str) -> list[SourceRow]:
        states = {"old": PENDING, "new": GROWING}
        return [SourceRow(1, f"/{name}".encode(), name, b"", 320, "", states[name])] if name in states else []

    def sources_below(self, _: bytes) -> list[SourceRow]:
        return []

    def sources_named_below(self, _: str) -> list[SourceRow]:
        return []

    def documents_of(self, source: int) -> list[DocumentRow]:
        rows = ((1, 10, True), (2, 20, False))
        return [DocumentRow(n, source, f"new#{n}", "", "A1", first, 3, whole=whole) for n, first, whole in rows]

    def documents_named(self, _: str) -> list[DocumentRow]:
        return []

    documents_at = documents_named


def test_only_what_is_whole_is_part_of_a_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalogue, "read", lambda _: HalfAdded())
    assert naming.ranges_within(tmp_path, "new") == ((10, 13),)
    with pytest.raises(ContextGone, match="old"):
        naming.ranges_within(tmp_path, "old")
