"""Tests sources of text: their digests, their blocks, and files that change or vanish while they are read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from reading import read, text

from edgeqa import errors
from edgeqa.formats import BLOCK_BYTES, jsonfile, markdown
from edgeqa.formats.blocks import FormatOptions, text_of
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.formats.source import Source


def source(path: Path, **options: str) -> Source:
    (found,) = walk([path], FormatOptions(**options, exclude=()))
    return found


def test_a_digest_changes_with_content_format_and_the_fields_that_matter(tmp_path: Path) -> None:
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_text('{"text": "x", "other": "y"}')
    b.write_bytes(a.read_bytes())
    assert source(a).digest() == source(b).digest()
    assert source(a).digest() == source(a, text_field="other").digest()
    assert source(a).digest() != source(a, format="jsonl").digest()
    assert source(a, format="jsonl").digest() != source(a, format="jsonl", text_field="other").digest()
    b.write_text("y")
    assert source(a).digest() != source(b).digest()


def test_digests_stay_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("text")
    assert source(file).digest().hex() == "a831ffa7832c58b25f5ce3bb443825a6"


def test_the_digest_is_of_what_the_records_are_read_from(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    found = source(file)
    digest = found.digest()
    file.write_text("after")
    records = found.records()
    assert "".join(text_of(next(records).blocks)) == "after"
    with pytest.raises(errors.ContextChanged, match=r"changed while it was read: .*a\.txt"):
        next(records)
    assert found.digest() == digest


@pytest.mark.parametrize("ending", ["txt", "md", "jsonl", "csv", "json"])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markdown, "MAX_WHOLE_CHARACTERS", BLOCK_BYTES)  # smaller ones are read before they are parsed
    monkeypatch.setattr(jsonfile, "MAX_WHOLE_BYTES", BLOCK_BYTES)
    line = {"jsonl": '{"text": "a line"}\n', "json": '{"text": "x"},\n'}.get(ending, "text\n")
    file = tmp_path / f"a.{ending}"
    whole = line * (4 * BLOCK_BYTES // len(line))
    file.write_text(f"[{whole[:-2]}]" if ending == "json" else whole)
    found = source(file)
    found.digest()

    def reading() -> None:
        for number, record in enumerate(found.records()):
            for _ in record.blocks:
                if not number:
                    with file.open("r+b") as stream:
                        stream.seek(-2, os.SEEK_END)
                        stream.write(b" ")

    with pytest.raises((errors.ContextChanged, errors.FormatError)):
        reading()


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    found = source(file)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="no such file"):
        found.digest()


def test_text_comes_as_nfc_in_blocks(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("\ufeffcafe\u0301 " + "x" * (3 * BLOCK_BYTES), encoding="utf-8")
    records = source(file).records()
    record = next(records)
    blocks = list(text_of(record.blocks))
    assert "".join(blocks) == "café " + "x" * (3 * BLOCK_BYTES)
    assert max(map(len, blocks)) <= 2 * BLOCK_BYTES
    assert (record.name, record.title) == (str(file), "")


@pytest.mark.parametrize("ending", ["txt", "md", "jsonl", "json"])
def test_text_in_utf_16_is_an_error_that_says_so(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    file.write_bytes("text".encode("utf-16"))
    with pytest.raises(errors.ContextUTF16, match=r"a\..* is UTF-16|is UTF-16"):
        read(file)


@pytest.mark.parametrize("ending", ["txt", "md", "csv", "jsonl", "json"])
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"text\n\0", errors.ContextBinary, "a NUL byte at offset 5"),
        (b'text\n{"text": "caf\xe9"}', errors.ContextError, "UTF-8|JSON|neither SQuAD"),
        (b"text\n\xe2\x82", errors.ContextError, "UTF-8|JSON|neither SQuAD"),
    ],
)
def test_what_is_no_text_is_an_error_that_names_the_file(
    tmp_path: Path, ending: str, data: bytes, error: type[Exception], message: str
) -> None:
    file = tmp_path / f"a.{ending}"
    file.write_bytes(data)
    with pytest.raises(error, match=message) as raised:
        read(file)
    assert str(file) in str(raised.value)


def test_an_empty_file_is_an_empty_record(tmp_path: Path) -> None:
    for ending in ("txt", "md"):
        file = tmp_path / f"a.{ending}"
        file.touch()
        assert text(file) == ""
