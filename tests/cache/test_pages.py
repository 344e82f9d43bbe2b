"""Tests real files with pages of 16, 32 and 64 KiB, as LMDB makes them where the machine's pages are of that size."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import lmdb
import pytest

from edgeqa.cache import Cache, premises
from edgeqa.cache.premises import Header

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

MAP_BYTES = 8 << 20
_PAGE_SIZE_AT = 16 + 24  # in a meta page, behind its head: magic, version, address, map size


def make_empty(directory: Path, page_bytes: int) -> None:
    """Makes an LMDB file of pages of a size: both meta pages of an empty one, which say so, further apart."""
    made = directory / "made"
    made.mkdir(parents=True)
    lmdb.open(str(made)).close()
    metas = (made / "data.mdb").read_bytes()
    old_bytes: int = struct.unpack_from("=I", metas, _PAGE_SIZE_AT)[0]
    data = bytearray(2 * page_bytes)
    for number in (0, 1):
        meta = bytearray(metas[number * old_bytes : number * old_bytes + 256])
        struct.pack_into("=I", meta, _PAGE_SIZE_AT, page_bytes)
        data[number * page_bytes : number * page_bytes + len(meta)] = meta
    (directory / "format-1").mkdir()
    (directory / "format-1" / "data.mdb").write_bytes(data)
    (directory / "format-1" / "header").write_bytes(Header(MAP_BYTES, page_bytes).encode())


@pytest.fixture(params=[16384, 32768])
def page_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, directory: Path) -> int:
    """Returns the size of the pages of this machine, as the cache is made to believe, and of a file that is there."""
    size_bytes: int = request.param
    defaults = Header.__new__.__defaults__
    assert defaults is not None
    monkeypatch.setattr(Header.__new__, "__defaults__", (size_bytes, *defaults[1:]))
    make_empty(directory, size_bytes)
    return size_bytes


def test_on_a_machine_of_larger_pages_the_files_are_those_that_lmdb_makes(run: Run) -> None:
    code = """
import mmap
mmap.PAGESIZE = 65536
from edgeqa.cache.premises import Header, round_map
print(Header(1).page_bytes, round_map(1) % 65536)
"""
    assert run(code).communicate() == ("32768 0\n", "")


def test_values_of_all_sizes_are_kept_evicted_and_found_again(
    directory: Path, page_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache.open(directory) as cache:
        for number in range(6000):
            cache.put(f"n{number}", [number, "x" * (number % 4000)])
            cache.put("again", number)
        cache.put("large", "y" * 100_000)
        cache.flush()
        assert cache.check() == []
        assert cache._backend.store.is_open
        assert cache._backend.store.page_bytes == page_bytes
        stats = cache.stats()
        assert (stats.faults, stats.budget_bytes) == ({}, MAP_BYTES)
        assert stats.evictions > 1000
        assert stats.used_bytes < MAP_BYTES
    # The file is trusted at the next start: neither of another machine nor unsealed.
    monkeypatch.setattr(premises, "find_damage", lambda file: pytest.fail(f"{file} is sealed"))
    with Cache.open(directory) as cache:
        assert (cache.get("again"), cache.get("large")) == (5999, "y" * 100_000)
        kept = [number for number in range(6000) if cache.get(f"n{number}") is not None]
        assert len(kept) > 500
        assert all(cache.get(f"n{number}") == [number, "x" * (number % 4000)] for number in kept)
        assert kept[-100:] == list(range(5900, 6000))
        assert cache.forget("n5999")
        assert cache.get("n5999") is None
        cache.clear()
        assert (cache.check(), cache.stats().entries) == ([], 0)


def test_a_damaged_page_is_found(directory: Path, page_bytes: int) -> None:
    with Cache.open(directory) as cache:
        for number in range(500):
            cache.put(f"n{number}", "x" * 500)
    file = directory / "format-1" / "data.mdb"
    data = bytearray(file.read_bytes())
    for at in range(2 * page_bytes + 10, len(data), page_bytes):
        data[at] ^= 0xFF
    file.write_bytes(data)
    with Cache.open(directory) as cache:
        assert cache.get("n1") is None
        assert cache.stats().faults == {"damaged": 1}
