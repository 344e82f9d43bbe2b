"""Files that somebody cuts short while they are mapped: a counted miss, and not the end of the process (SIGBUS).

Each in a process of its own, for a mistake here would end the suite.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgeqa.cache import Cache
from edgeqa.cache.front import Front
from edgeqa.cache.ledger import Ledger, Mapped

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import os, sys, time
from edgeqa.cache import Cache

place, name = sys.argv[1:]
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
print(cache.get("key 1"), cache.get("key 250"))
cache.put("other", 1)
cache.flush()
print(cache.get("other"), cache.stats().faults.get("damaged"), cache.note)
cache.close()
"""


@pytest.mark.parametrize("name", ["ledger", "data.mdb", "lock.mdb"])
def test_what_is_cut_short_in_use_is_a_counted_miss(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), name], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == "None None"
    assert second.startswith("1 1 ")  # what this process puts, it still has at hand
    with Cache.open(tmp_path) as cache:  # the next one verifies the file, and goes on
        cache.put("new", 1)
        cache.flush()
        assert cache.get("new") == 1
        assert cache.check() == []


def test_a_ledger_that_was_cut_short_is_seen_before_its_map_is_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    cut: list[str] = []
    ledger.mapped.on_cut = cut.append
    front = Front(10)
    front.watch(ledger)
    assert front.get("alias") is None
    with (tmp_path / "ledger").open("r+b") as file:
        file.truncate(100)
        front._look_at_s = 0.0
        assert ledger.look() == float("inf")
        assert cut == ["ledger"]
        file.truncate(4096)
    assert ledger.totals()["puts"] == 0
    ledger.close()
    assert ledger.look() == float("inf")
    assert ledger.get("puts") == 0


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
