"""Tests the copy of a pipe: it can be read as often as wanted, has a limit, and is deleted when nobody needs it."""

from __future__ import annotations

import errno
import gc
import io
import tempfile
from pathlib import Path

import pytest

from edgeqa import errors
from edgeqa.formats import BLOCK_BYTES
from edgeqa.formats import source as spools
from edgeqa.formats.source import Spool

HELD_BYTES = 1000


@pytest.mark.parametrize("size", [0, 10, HELD_BYTES, 3 * HELD_BYTES, 5 * BLOCK_BYTES + 7])
def test_what_was_copied_is_read_as_often_as_wanted(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    spool = Spool((data[i : i + 300] for i in range(0, size, 300)), "a pipe", HELD_BYTES)
    assert spool.size_bytes == size
    assert [b"".join(spool.read()) for _ in range(2)] == [data] * 2


def test_two_readers_at_a_time_do_not_disturb_each_other() -> None:
    data = bytes(n % 251 for n in range(3 * BLOCK_BYTES))
    spool = Spool([data], "a pipe", HELD_BYTES)
    pairs = list(zip(spool.read(), spool.read(), strict=True))
    assert b"".join(first for first, _ in pairs) == b"".join(second for _, second in pairs) == data


def test_the_temporary_file_goes_when_nobody_can_read_it_any_more() -> None:
    spool = Spool([b"x" * 2 * HELD_BYTES], "a pipe", HELD_BYTES)
    file, blocks = spool._file, spool.read()
    assert file is not None
    del spool
    gc.collect()
    assert b"".join(blocks) == b"x" * 2 * HELD_BYTES
    del blocks
    gc.collect()
    assert file.closed


def test_what_never_ends_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "MAX_BYTES", 5000)
    with pytest.raises(errors.ContextTooLong, match="a pipe is longer than 5000 bytes") as raised:
        Spool(iter(lambda: b"y\n" * 100, b""), "a pipe", HELD_BYTES)
    assert "file" in raised.value.hint


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> io.FileIO:
        return io.FileIO("/dev/full", "wb")

    if not Path("/dev/full").exists():
        pytest.skip("there is no device that is always full")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(errors.ContextUncopied, match="No space left on device") as raised:
        Spool([b"x" * 2 * HELD_BYTES], "a pipe", HELD_BYTES)
    assert tempfile.gettempdir() in str(raised.value)
    assert "TMPDIR" in raised.value.hint
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.ENOSPC
