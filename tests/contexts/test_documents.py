"""Tests documents as they are asked: files and streams become text in NFC, and can be read again."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgeqa import errors
from edgeqa.asking.documents import documents, from_file, from_stream
from edgeqa.formats import BLOCK_BYTES
from edgeqa.formats.source import HELD_BYTES


def read(path: Path) -> str:
    return "".join(from_file(path).blocks())


def test_a_file_is_read_as_nfc_with_its_line_ends_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffcafe\u0301\r\nend".encode())
    assert read(file) == "café\r\nend"


@pytest.mark.parametrize("shift", range(4))
def test_a_character_on_the_border_of_two_blocks_comes_whole(tmp_path: Path, shift: int) -> None:
    text = "x" * (BLOCK_BYTES - shift) + "\U0001f469é" + "y" * BLOCK_BYTES
    file = tmp_path / "a.txt"
    file.write_text(text, encoding="utf-8")
    assert read(file) == text


@pytest.mark.parametrize("size", [5, HELD_BYTES + 5])
def test_a_document_can_be_read_again_as_text_and_as_bytes(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"a" * size)
    document = from_file(file)
    assert ["".join(document.blocks()) for _ in range(2)] == ["a" * size] * 2
    assert b"".join(document.raw()) == b"a" * size


def test_a_small_file_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    document = from_file(file)
    file.write_text("after")
    assert "".join(document.blocks()) == "before"
    assert b"".join(document.raw()) == b"before"


def test_a_pipe_named_as_a_file_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_bytes, b"through a pipe")
        document = from_file(pipe)
        writing.result()
    assert ["".join(document.blocks()) for _ in range(2)] == ["through a pipe"] * 2


def test_a_long_pipe_is_copied_to_disk_for_as_long_as_it_may_be_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = b"through a pipe\n" * (2 * HELD_BYTES // 15)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_bytes, data)
        document = from_file(pipe)
        writing.result()
    assert document.size_bytes == len(data)
    assert b"".join(document.raw()) == data
    blocks = document.blocks()
    del document
    assert "".join(blocks) == data.decode()


def test_sizes_are_of_utf_8_whatever_the_text_is_in(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    for text in ("plain", "Łukasz и 水"):
        file.write_text(text, encoding="utf-8")
        assert {d.size_bytes for d in documents([text, file])} == {len(text.encode())}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["The man.", "水泵", "y" * HELD_BYTES])
def test_utf_16_is_known_by_its_mark(tmp_path: Path, encoding: str, text: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(("\ufeff" + text).encode(encoding))
    with pytest.raises(errors.ContextUTF16, match="is UTF-16") as raised:
        read(file)
    assert "iconv -f UTF-16 -t UTF-8" in raised.value.hint


def test_an_endless_file_of_no_text_is_refused_at_once() -> None:
    with pytest.raises(errors.ContextBinary, match="NUL byte at offset 0"):
        from_file(Path("/dev/zero"))


@pytest.mark.parametrize("size", [10, HELD_BYTES + 10])
def test_a_stream_is_read_as_often_as_needed_in_memory_or_not(size: int) -> None:
    with from_stream(io.BytesIO(b"z" * size), "standard input") as document:
        assert document.size_bytes == size
        assert ["".join(document.blocks()) for _ in range(2)] == ["z" * size] * 2


def test_texts_and_paths_may_be_mixed(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("file", encoding="utf-8")
    found = documents(["one", file, "two"])
    assert [d.name for d in found] == ["text 1", str(file), "text 3"]
    assert ["".join(d.blocks()) for d in found] == ["one", "file", "two"]


def test_what_is_no_text_is_refused_with_its_place(tmp_path: Path) -> None:
    binary, latin = tmp_path / "a.bin", tmp_path / "latin.txt"
    binary.write_bytes(b"x" * (BLOCK_BYTES + 5) + b"\0")
    latin.write_bytes(b"x" * BLOCK_BYTES + b"caf\xe9 noir")
    with pytest.raises(errors.ContextBinary, match=f"NUL byte at offset {BLOCK_BYTES + 5}"):
        read(binary)
    with pytest.raises(errors.ContextEncoding, match=f"byte 0xe9 at offset {BLOCK_BYTES + 3}") as raised:
        read(latin)
    assert "iconv" in raised.value.hint


def test_a_text_that_ends_in_the_middle_of_a_character_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.txt"
    file.write_bytes(b"x" * (BLOCK_BYTES - 1) + b"\xe2\x82")
    with pytest.raises(errors.ContextEncoding, match=f"byte 0xe2 at offset {BLOCK_BYTES - 1}"):
        read(file)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        documents(tmp_path / "missing.txt")
    with pytest.raises(errors.ContextUnreadable, match="File name too long"):
        documents(tmp_path / ("x" * 300))
    with pytest.raises(IsADirectoryError, match="is a directory"):
        documents(tmp_path)


def test_other_values_are_refused() -> None:
    for value in (b"bytes", 7, ["text", 7], None):
        with pytest.raises(TypeError, match="a context is a str, a Path"):
            documents(value)  # type: ignore[arg-type]
