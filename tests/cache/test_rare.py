"""Tests what the cache rarely meets: leases without a place, many types, a ledger that cannot be mapped."""

from __future__ import annotations

import dataclasses
import mmap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_faults import damage_at_rest, overwrite

from edgeqa.cache import Cache, premises, values
from edgeqa.cache.flight import Leases
from edgeqa.cache.front import ABSENT, Entry, Front
from edgeqa.cache.ledger import Ledger
from edgeqa.cache.records import Key, name_key

if TYPE_CHECKING:
    from conftest import Run

FDS = Path("/proc/self/fd")


def test_a_key_shows_its_keyspace_and_its_check_and_is_equal_to_no_text() -> None:
    key = Key.of("space", b"field")
    assert repr(key) == f"Key('space', {key.check.hex()})"
    assert key != "space"
    assert {key, Key.of("space", b"field")} == {key}


def test_leases_without_a_place_let_everybody_compute(tmp_path: Path) -> None:
    leases, key = Leases(tmp_path / "nowhere" / "leases"), name_key("a")
    leases.give_back(key)
    assert leases.take(key)
    leases.note_failure(key, "ValueError", "no")
    assert leases.failure_since(key, 0) is None
    leases.give_back(key)
    leases.close()


def test_a_failure_of_a_time_that_is_yet_to_come_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a reboot that has set the clock back: nobody can have waited for it."""
    leases, key, began_ns = Leases(tmp_path / "leases"), name_key("a"), time.time_ns()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: began_ns + 3600 * 10**9)
        leases.note_failure(key, "ValueError", "no")
        assert leases.failure_since(key, began_ns) is not None
    assert leases.failure_since(key, began_ns) is None
    leases.close()


def test_a_failure_is_told_to_those_who_waited_for_this_key_when_it_came(tmp_path: Path) -> None:
    leases, began_ns = Leases(tmp_path / "leases"), time.time_ns()
    key = name_key("a")
    other = next(k for n in range(10_000) if (k := name_key(f"n{n}")).digest[0] % 64 == key.digest[0] % 64)
    assert leases.failure_since(key, 0) is None
    leases.note_failure(key, "ValueError", "no \U0001f600 " + "x" * 1000)
    found = leases.failure_since(key, began_ns)
    assert found is not None
    assert "ValueError" in str(found)
    assert "no \U0001f600 xxx" in str(found)
    assert leases.failure_since(other, began_ns) is None  # whose note has the same place
    assert leases.failure_since(key, time.time_ns()) is None
    raw = bytearray((tmp_path / "leases").read_bytes())
    raw[raw.index(b"ValueError")] ^= 1
    (tmp_path / "leases").write_bytes(raw)
    assert leases.failure_since(key, began_ns) is None
    leases.close()


def test_values_of_more_types_than_decoders_are_kept_come_back_as_theirs() -> None:
    made = [dataclasses.make_dataclass(f"Point{number}", [("x", int)]) for number in range(values._DECODERS_LIMIT + 5)]
    for _ in range(2):
        for kind in made:
            assert values.decode(values.encode({"x": 7}), kind) == kind(7)
            assert len(values.decoders) <= values._DECODERS_LIMIT + 1
            made_once = values.decoders[kind]
            values.decode(values.encode({"x": 8}), kind)
            assert values.decoders[kind] is made_once


def test_a_ledger_that_cannot_be_mapped_leaves_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not FDS.exists():
        pytest.skip("no /proc")

    def refused(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    before = len(list(FDS.iterdir()))
    monkeypatch.setattr(mmap, "mmap", refused)
    with pytest.raises(OSError, match="Cannot allocate"):
        Ledger(tmp_path / "ledger")
    assert len(list(FDS.iterdir())) == before


def test_what_is_wrong_with_a_record_that_is_peeked_at_is_counted(cache: Cache) -> None:
    key = name_key("a")
    cache.put(key, "right")
    cache.flush()
    record = cache._backend.read(key.digest)
    assert record is not None
    overwrite(cache, key.digest, record[:-1] + b"X")
    assert cache.peek("a", "missing") == "missing"
    assert cache.stats().faults == {"checksum": 1}


def test_a_value_that_takes_more_memory_than_its_bytes_is_decoded_anew_each_time() -> None:
    front = Front(64, 100_000)
    entry = Entry(bytes(16), b"x", None)
    front.put("a", entry, as_of=front.change(entry.digest))
    before = front.held_bytes
    front.keep_value(entry, "y" * 90_000, None)
    assert (entry.value, front.held_bytes) == (ABSENT, before)
    front.keep_value(entry, "y", None)
    front.keep_value(entry, "z", None)
    assert entry.value == "y"
    assert front.held_bytes > before


FORKS_WITHOUT_A_PLACE = """
import os, shutil, sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
cache.put("a", "x")
cache.flush()
assert cache.get("a") == "x"
child = os.fork()
if not child:
    shutil.rmtree(sys.argv[1])
    open(sys.argv[1], "w").close()  # it cannot be entered any more
    print(cache.get("a"), cache.get("b"), cache.stats().state, flush=True)
    cache.put("c", "z")
    print(cache.get("c"), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_child_that_cannot_enter_the_cache_goes_on_by_itself(directory: Path, run: Run) -> None:
    output, errors = run(FORKS_WITHOUT_A_PLACE, directory).communicate(timeout=60)
    assert errors == ""
    before, after = output.splitlines()
    assert before in ("x None this process only", "None None this process only")
    assert after == "z"


def test_a_large_file_that_does_not_fit_its_seal_is_not_believed_at_a_later_start(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(premises, "HASHED_EACH_TIME_BYTES", 4096)
    files = directory / "format-1"
    with Cache.open(directory) as cache:
        for number in range(100):
            cache.put(f"n{number}", number)
    ledger = Ledger(files / "ledger")
    premises.Premises(files).judge(ledger, max_check_bytes=0)  # it does
    damage_at_rest(files / "data.mdb", 5000)
    ledger.set("hashed", 0)  # as on the next day
    for _ in range(3):
        with pytest.raises(premises.CheckDue):
            premises.Premises(files).judge(ledger, max_check_bytes=0)
    damage_at_rest(files / "data.mdb", 5000)
    premises.Premises(files).judge(ledger, max_check_bytes=0)  # it does again
    ledger.close()
