"""Tests walking a folder: what is read, what is left out, and what is said of it."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from reading import read

from edgeqa import errors
from edgeqa.formats import archive, blocks_of
from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOld, FormatOptions, FormatUnknown, text_of
from edgeqa.formats.folders import Skipped, walk
from edgeqa.state import HOME_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path


def names(
    *paths: Path | str, skipped: list[Skipped] | None = None, exclude: tuple[str, ...] = (), **options: str
) -> list[str]:
    on_skipped = (lambda _: None) if skipped is None else skipped.append
    return [source.name for source in walk(paths, FormatOptions(**options, exclude=exclude), on_skipped)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, named `folder` from where the test runs."""
    path = tmp_path / "folder"
    path.mkdir()
    monkeypatch.chdir(tmp_path)
    return path


def test_a_folder_is_walked_in_order_without_hidden_files(folder: Path) -> None:
    hidden = ("a/.git/x.txt", ".hidden.txt", "~$open.docx")
    for name in (*hidden, "b.txt", "a/z.md", "c/deep/er/1.jsonl", "a/b.txt", "README"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    expected = ["README", "a/b.txt", "a/z.md", "b.txt", "c/deep/er/1.jsonl"]
    assert names(folder) == [str(folder / name) for name in expected]
    assert names("folder") == names("./folder//") == names("folder/.") == [f"folder/{name}" for name in expected]


def test_what_is_left_out_of_a_folder_is_reported(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\0\0")
    (folder / "b.txt").write_text("text")
    (folder / "binary").write_bytes(b"a\0b")
    (folder / "drawing.svg").write_text("<svg/>")
    (folder / "gone.txt").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.txt")
    skipped: list[Skipped] = []
    assert names("folder", skipped=skipped) == ["folder/b.txt"]
    assert {s.name: s.reason for s in skipped} == {
        "folder/a.png": "unknown format",
        "folder/binary": "unknown format",
        "folder/drawing.svg": "unknown format",
        "folder/gone.txt": "broken link: No such file or directory",
        "folder/pipe.txt": "not a regular file",
    }


def test_a_file_of_an_unknown_ending_is_looked_at(folder: Path) -> None:
    texts = {
        "Apache-2.0": "Apache License",
        "GPL-3": "GNU",
        "a.conf.d": "x = 1",
        "a.unknown": "Größe " * 9999,
        "settings.xyz": "<html><p>x",
        "tool.7": "version 7",
        "core.py": "x = 1",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    others = {
        "a.dat": b"a\0b",
        "b.dat": b"\xff\xfex\0",
        "c.dat": b"Gr\xf6\xdfe",
        "d.dat": b"\x1f\x8b\x08 ",
        "e.dat": b"\x01",
        "f.dat": b"",
    }
    for name, data in others.items():
        (folder / name).write_bytes(data)
    skipped: list[Skipped] = []
    found = {source.name: source.format for source in walk(["folder"], FormatOptions(), skipped.append)}
    kinds = {f"folder/{name}": "text" for name in texts}
    assert found == {**kinds, "folder/settings.xyz": "html", "folder/core.py": "code"}
    assert [(s.name, s.ending, s.is_kind) for s in skipped] == [(f"folder/{name}", ".dat", True) for name in others]


def test_what_is_ignored_is_left_out(folder: Path) -> None:
    tree = {
        ".gitignore": "*.log\n/build/\n!keep.log\n# a comment\ndeep/**/x.txt\n",
        "a.log": "",
        "keep.log": "",
        "a.txt": "",
        "build/b.txt": "",
        "sub/build/c.txt": "",
        "sub/.gitignore": "*.txt\n!build/\n!d.txt\n!e.log\n",
        "sub/d.txt": "",
        "sub/e.log": "",
        "sub/f.txt": "",
        "deep/y/x.txt": "",
        "node_modules/x/README.md": "",
        "__pycache__/x.txt": "",
    }
    for name, text in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text or "x")
    skipped: list[Skipped] = []
    assert names("folder", skipped=skipped) == [
        "folder/a.txt",
        "folder/keep.log",
        "folder/sub/d.txt",
        "folder/sub/e.log",
    ]
    assert {s.name.removeprefix("folder/"): s.reason for s in skipped} == {
        **dict.fromkeys(("a.log", "build", "sub/build/c.txt", "sub/f.txt", "deep/y/x.txt"), "named in .gitignore"),
        **dict.fromkeys(("node_modules", "__pycache__"), "what programs have put there"),
    }
    assert all(s.is_kind for s in skipped)
    assert {s.ending for s in skipped if "programs" in s.reason} == {"node_modules", "__pycache__"}
    assert names("folder/a.log", "folder/sub/f.txt") == ["folder/a.log", "folder/sub/f.txt"]


def test_what_lies_above_in_a_repository_says_what_is_ignored(folder: Path) -> None:
    for name in ("sub/a.txt", "sub/b.log", "build/c.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / ".gitignore").write_text("*.log\nbuild/\n")
    assert names("folder/sub") == ["folder/sub/a.txt", "folder/sub/b.log"]
    (folder / ".git").mkdir()
    assert names("folder/sub") == ["folder/sub/a.txt"]
    assert names("folder/build") == ["folder/build/c.txt"]


def test_what_the_user_excludes_is_left_out(folder: Path) -> None:
    for name in ("a.txt", "drafts/b.txt", "c/drafts/d.txt", "c/e.log", ".gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("!c/e.log\n")
    skipped: list[Skipped] = []
    assert names("folder", exclude=("drafts/", "*.log"), skipped=skipped) == ["folder/a.txt"]
    assert {s.reason for s in skipped} == {"excluded"}
    assert {s.ending for s in skipped} == {"drafts/", ".log"}
    assert names("folder", exclude=("/drafts",)) == ["folder/a.txt", "folder/c/drafts/d.txt", "folder/c/e.log"]
    for wrong in ("a", (1,), (" ",)):
        with pytest.raises(errors.OptionError, match="exclude cannot be"):
            names("folder", exclude=wrong)  # type: ignore[arg-type]


def test_an_odd_ignore_file_does_no_harm(folder: Path) -> None:
    (folder / "a.txt").write_text("x")
    (folder / ".gitignore").write_bytes(b"\xff\n!\n[\n" + b"*a" * 5000 + b"\n" + b"**/" * 300 + b"\n")
    assert names("folder") == ["folder/a.txt"]
    (folder / ".gitignore").unlink()
    (folder / ".gitignore").mkdir()
    assert names("folder") == ["folder/a.txt"]


def test_packed_files_are_read_as_what_they_hold(folder: Path) -> None:
    contents = {
        "a.txt.gz": b"text",
        "b.md.gz": b"# Head",
        "changelog.gz": b"words",
        "c.7.gz": b".TH C 7\n.SH NAME\nc",
        "d.tar.gz": b"x\0",
        "e.docx.gz": b"PK\x03\x04[Content_Types].xml",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(gzip.compress(data[:2]) + gzip.compress(data[2:]) + bytes(512))
    (folder / "not.txt.gz").write_text("not packed")
    skipped: list[Skipped] = []
    found = {
        source.name.removeprefix("folder/"): source for source in walk(["folder"], FormatOptions(), skipped.append)
    }
    assert {name: source.format for name, source in found.items()} == {
        "a.txt.gz": "text",
        "b.md.gz": "markdown",
        "c.7.gz": "man",
        "changelog.gz": "text",
        "not.txt.gz": "text",
    }
    assert [s.name for s in skipped] == ["folder/d.tar.gz", "folder/e.docx.gz"]
    texts = {r.name.removeprefix("folder/"): r.text for r in read("folder")}
    assert texts["a.txt.gz"] == "text"
    assert texts["b.md.gz"].rstrip() == "Head"
    assert texts["not.txt.gz"] == "not packed"
    with pytest.raises(FormatUnknown):
        names("folder/e.docx.gz")


def test_packed_files_that_are_damaged_or_made_to_fill_memory_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gzip.compress(b"text " * 10_000)
    for data, message in (
        (whole[:-20], "it ends in the middle"),
        (whole[:9] + b"xx" + whole[11:], "not a readable gzip"),
    ):
        (folder / "a.txt.gz").write_bytes(data)
        with pytest.raises(FileDamaged, match=message):
            read("folder/a.txt.gz")
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    (folder / "a.txt.gz").write_bytes(whole)
    with pytest.raises(FileExcessive, match="it unpacks to more than 1000 bytes"):
        read("folder/a.txt.gz")


def test_links_that_loop_end_and_links_to_elsewhere_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "a.txt").write_text("x")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("x")
    (folder / "sub" / "up").symlink_to("..")
    (folder / "self").symlink_to("self")
    (folder / "again").symlink_to("sub")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.txt").write_text("x")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "out2").symlink_to(tmp_path / "elsewhere")
    skipped: list[Skipped] = []
    assert names("folder", skipped=skipped) == ["folder/a.txt", "folder/out/c.txt", "folder/sub/b.txt"]
    assert sorted(s.name for s in skipped) == [
        "folder/again",
        "folder/out/back",
        "folder/out2",
        "folder/self",
        "folder/sub/up",
    ]


def test_a_link_to_a_folder_above_does_not_read_it_twice(folder: Path, tmp_path: Path) -> None:
    (folder / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    (folder / "above").symlink_to(tmp_path)
    assert names("folder") == ["folder/a.txt", "folder/above/b.txt"]


def test_what_edgeqa_keeps_itself_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(folder / "state"))
    (folder / "state" / "collections").mkdir(parents=True)
    (folder / "state" / "collections" / "a.txt").write_text("x")
    skipped: list[Skipped] = []
    assert names("folder", skipped=skipped) == []
    assert skipped == [Skipped("folder/state", "what edgeqa keeps itself")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_reported(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0)
    skipped: list[Skipped] = []
    assert names("folder", skipped=skipped) == []
    assert skipped == [Skipped("folder/closed", "Permission denied")]


def test_names_come_through_whole(folder: Path) -> None:
    odd = ["a\nb.txt", "esc\x1b[31m.txt", "ü{8YG}:10_#1.txt", os.fsdecode(b"\xff.txt")]
    for name in odd:
        (folder / name).write_text(name, errors="surrogateescape")
    assert sorted(names("folder")) == sorted(f"folder/{name}" for name in odd)


def test_a_file_that_is_named_is_read_whatever_its_ending(folder: Path) -> None:
    (folder / "style.css").write_text("p {}")
    assert [(r.name, r.text) for r in read("folder/style.css")] == [("folder/style.css", "p {}")]
    (folder / ".hidden.txt").write_text("named, so read")
    assert names("folder/.hidden.txt") == ["folder/.hidden.txt"]


def test_a_named_file_of_no_known_format_is_an_error(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\0\0")
    with pytest.raises(FormatUnknown, match=r"in none of the formats that edgeqa reads: folder/a\.png") as raised:
        names("folder/a.png")
    assert "markdown" in raised.value.hint
    assert raised.value.exit_code == errors.EXIT_USAGE


def test_a_named_file_of_an_old_office_is_an_error_that_says_what_to_do(folder: Path) -> None:
    (folder / "a.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(FormatOld, match=r"in a format that Office had before 2007: folder/a\.doc") as raised:
        names("folder/a.doc")
    assert "--convert-to docx" in raised.value.hint
    skipped: list[Skipped] = []
    assert names("folder", skipped=skipped) == []
    assert [(s.reason, s.ending) for s in skipped] == [("unknown format", ".doc")]


def test_a_path_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        names(folder / "missing")
    with pytest.raises(errors.ContextUnreadable, match="File name too long"):
        names("x" * 300)
    with pytest.raises(TypeError, match="a context is a str, a Path"):
        names(7)  # type: ignore[arg-type]


def test_an_unknown_format_is_an_error(folder: Path) -> None:
    with pytest.raises(errors.OptionError, match="format cannot be 'word'"):
        names(folder, format="word")


def test_a_format_that_is_named_is_used_for_everything(folder: Path) -> None:
    (folder / "a.html").write_text("# one")
    (folder / "b.unknown").write_text("# two")
    assert [(r.title, r.text.strip()) for r in read("folder", format="markdown")] == [("one", "one"), ("two", "two")]


def test_standard_input_is_text_or_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    as_lines = ({"format": "jsonl"}, ("standard input#1", "x"))
    for options, expected in (({}, ("standard input", '{"text": "x"}')), as_lines):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "x"}')))
        assert [(r.name, r.text) for r in read("-", **options)] == [expected]


def test_an_empty_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(errors.ContextEmpty, match="no text in standard input"):
        names("-")


def test_a_pipe_can_be_named_and_read_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_bytes, b"through a pipe")
        (source,) = walk([pipe], FormatOptions())
        writing.result()
    assert len(source.digest()) == 16
    assert ["".join(text_of(r.blocks)) for _ in range(2) for r in source.records()] == ["through a pipe"] * 2


def test_a_pipe_in_the_place_of_an_ignore_file_is_not_waited_for(folder: Path) -> None:
    (folder / "a.txt").write_text("a")
    os.mkfifo(folder / ".gitignore")
    assert names(folder) == [str(folder / "a.txt")]


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(folder: Path) -> None:
    for name in ("a.txt", "b.txt.gz"):
        file = folder / name
        file.write_bytes(gzip.compress(b"a") if name.endswith("gz") else b"a")
        (source,) = walk([file], FormatOptions())
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(errors.ContextUnreadable, match="it is not a regular file"):
            source.digest()


def test_an_endless_file_of_no_text_is_refused_at_once() -> None:
    with pytest.raises(errors.ContextBinary, match="NUL byte at offset 0"):
        names("/dev/zero")


def test_a_file_that_is_called_as_standard_input_is_read_where_it_is_written_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-").write_text("in the file")
    monkeypatch.chdir(tmp_path)
    assert [read(path)[0].text for path in ("./-", str(tmp_path / "-"))] == ["in the file"] * 2


class _NotWaiting(io.FileIO):
    """A pipe that does not wait, and tells when it was found empty."""

    was_empty: threading.Event

    def read(self, size: int | None = -1, /) -> bytes:
        found: bytes | None = super().read(size)
        if found is None:
            self.was_empty.set()
        return found  # type: ignore[return-value]  # None, as of any file that does not wait


def test_a_pipe_that_does_not_wait_is_read_to_its_end() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with _NotWaiting(read_end) as pipe, ThreadPoolExecutor(1) as pool:
        pipe.was_empty = threading.Event()
        found = pool.submit(lambda: b"".join(blocks_of(pipe)))
        assert pipe.was_empty.wait(60)
        os.write(write_end, b"late")
        os.close(write_end)
        assert found.result(60) == b"late"
