"""Tests that a file cut short while it is mapped is a counted miss, and not the end of the process (SIGBUS).

Each in a process of its own, for a mistake here would end the suite.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgeqa.cache import Cache, ledger
from edgeqa.cache.front import Front
from edgeqa.cache.ledger import Ledger, Mapped
from edgeqa.cache.store import Store, StoreFault

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import os, sys, time
from edgeqa.cache import Cache

place, name, first = sys.argv[1:]
file = f"{place}/format-1/{name}"
cache = Cache.open(place, front_entries=1)
for number in range(300):
    cache.put(f"key {number}", "x" * 500)
cache.flush()
assert cache.get("key 1") == cache.get("key 2") == "x" * 500
seen_s = time.monotonic()
while time.monotonic() < seen_s + 0.001:  # until it looks again
    pass
os.truncate(file, 0)
if first == "write":
    cache.put("first", 1)
    cache.flush()
print(cache.get("key 1"), cache.get("key 250"))
cache.put("other", 1)
cache.flush()
print(cache.get("other"), cache.stats().faults.get("damaged"), cache.note)
cache.close()
"""


@pytest.mark.parametrize("first", ["look", "write"])
@pytest.mark.parametrize("name", ["ledger", "data.mdb", "lock.mdb"])
def test_what_is_cut_short_in_use_is_a_counted_miss(name: str, first: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path), name, first]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found, new = done.stdout.splitlines()
    assert found == "None None"
    assert new.startswith("1 1 ")  # what this process puts, it still has at hand
    with Cache.open(tmp_path) as cache:  # the next one verifies the file, and goes on
        cache.put("new", 1)
        cache.flush()
        assert cache.get("new") == 1
        assert cache.check() == []


def test_a_ledger_that_was_cut_short_is_seen_before_its_map_is_read(tmp_path: Path) -> None:
    opened = Ledger(tmp_path / "ledger")
    cut: list[str] = []
    opened.mapped.on_cut = cut.append
    front = Front(10)
    front.watch(opened)
    assert front.get("alias") is None
    with (tmp_path / "ledger").open("r+b") as file:
        file.truncate(100)
        front._look_at_s = 0.0
        assert opened.look() == float("inf")
        assert cut == ["ledger"]
        file.truncate(4096)
    assert opened.totals()["puts"] == 0
    opened.close()
    assert opened.look() == float("inf")
    assert opened.get("puts") == 0


def test_a_file_that_is_let_go_while_it_is_looked_at_is_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another thread closes the store meanwhile."""
    mapped = Mapped(1.0)

    def let_go(descriptor: int, offset: int, whence: int) -> int:
        mapped.forget()
        return os.lseek(descriptor, offset, whence)

    with (tmp_path / "data").open("wb") as file:
        mapped.watch(file.fileno(), "data")
        monkeypatch.setattr(ledger, "_seek", let_go)
        assert mapped.look() == ""
    assert mapped.until_s == float("inf")


def test_a_cut_that_is_seen_when_the_cache_was_closed_is_of_no_account(cache: Cache) -> None:
    cache.put("a", 1)
    cache.close()
    cache._backend._cut("data.mdb")
    assert cache.get("a") is None
    assert not cache._backend.store.is_open


def test_the_store_is_not_entered_when_its_file_was_cut_short(tmp_path: Path) -> None:
    opened = Store()
    opened.open(tmp_path, 1 << 20, durable=False)
    size_bytes = (tmp_path / "data.mdb").stat().st_size
    os.truncate(tmp_path / "data.mdb", 0)
    with pytest.raises(StoreFault, match=r"damaged: data\.mdb was cut short"):
        opened.read(bytes(16))
    os.truncate(tmp_path / "data.mdb", size_bytes)  # or to close it would end this process
    opened.close()


def test_a_store_that_is_closed_takes_no_other_file_for_its_own(tmp_path: Path) -> None:
    opened, cut = Store(), list[str]()
    opened.mapped.on_cut = cut.append
    opened.open(tmp_path, 1 << 20, durable=False)
    opened.close()
    with contextlib.ExitStack() as others:
        for number in range(8):  # they get the descriptors that the store had
            others.enter_context((tmp_path / f"other {number}").open("wb"))
        assert opened.mapped.look() == ""
    assert cut == []


def test_files_that_grow_are_as_long_as_they_have_become(tmp_path: Path) -> None:
    mapped = Mapped()
    cut: list[str] = []
    mapped.on_cut = cut.append
    assert mapped.look() == ""
    with (tmp_path / "data").open("w+b", buffering=0) as file:
        file.truncate(10)
        mapped.watch(file.fileno(), "data")
        file.truncate(20)
        assert mapped.look() == ""
        file.truncate(15)
        assert mapped.look() == "data"
        assert cut == ["data"]
        assert mapped.look() == ""  # said once
        mapped.watch(file.fileno(), "data")
    assert mapped.look() == ""  # closed by another thread
