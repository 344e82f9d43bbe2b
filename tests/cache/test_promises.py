"""Tests promises that one moment decides: when a lease ends, what a newer value outlives, what a fork leaves."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from edgeqa.cache import Cache, store
from edgeqa.cache.commits import Commits
from edgeqa.cache.front import ABSENT, Front
from edgeqa.cache.guard import Guard
from edgeqa.cache.ledger import Ledger
from edgeqa.cache.records import memo_key, name_key
from edgeqa.cache.store import Store, StoreFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conftest import Run

    from edgeqa.cache.commits import Committed

MIB = 1 << 20
MAY_COMPUTE = """
import sys
from pathlib import Path
from edgeqa.cache.records import name_key
from edgeqa.cache.flight import Leases
print(Leases(Path(sys.argv[1]) / "format-1" / "leases").take(name_key("a")))
"""


def at_commit(monkeypatch: pytest.MonkeyPatch, call: Callable[[int, object], object]) -> None:
    """Has `call` called before each commit, with its number from 1 on and what is committed."""
    commit, number = Commits.commit, 0

    def watched(self: Commits, changes: Mapping[bytes, bytes | None], **options: int | None) -> Committed:
        nonlocal number
        number += 1
        call(number, changes)
        return commit(self, changes, **options)

    monkeypatch.setattr(Commits, "commit", watched)


def test_nobody_else_may_compute_a_value_until_it_is_stored(
    cache: Cache, directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def others_may() -> str:
        return run(MAY_COMPUTE, directory).communicate(timeout=60)[0]

    while_it_is_stored: list[str] = []
    at_commit(monkeypatch, lambda _, __: while_it_is_stored.append(others_may()))
    assert cache.compute("a", lambda: "computed") == "computed"
    cache.flush()
    assert while_it_is_stored == ["False\n"]
    assert others_may() == "True\n"


def test_what_is_put_while_the_older_value_is_committed_is_found(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def put_again(number: int, _: object) -> None:
        if number == 1:
            cache.put("a", "newer")
        else:
            cache.front.clear()
            found.append(cache.get("a"))

    at_commit(monkeypatch, put_again)
    cache.put("a", "older")
    cache.flush()
    cache.flush()
    assert found == ["newer"]
    cache.front.clear()
    assert cache.get("a") == "newer"


def test_a_stale_record_is_evicted_without_the_newer_one_of_its_address(directory: Path) -> None:
    key = name_key("a")
    with Cache.open(directory, map_bytes=MIB) as cache:
        cache.put("first", 0)
        cache.put(key, "older")
        cache.flush()
        stale = cache._backend.read(key.digest)
        assert stale is not None
        for number in range(3000):
            cache.put(f"n{number}", "x" * 300)
        cache.put(key, "newer")
        cache.flush()
        evicted = cache.stats().evictions
        assert evicted > 0
        with (
            cache._backend.store.environment() as env,
            env.begin(write=True) as txn,
        ):  # as a version might leave it that fails to delete what it replaces
            txn.put(store.FIRST_SEQUENCE_NUMBER.to_bytes(8, "big"), stale)
        while cache.stats().evictions == evicted:
            for number in range(16):
                cache.put(f"m{number}", "x" * 300)
            cache.flush()
        cache.front.clear()
        assert cache.get(key) == "newer"
        assert cache.check() == []


@pytest.mark.parametrize("ttl_s", [1e-9, 0.0004, 0.0005, 0.0014])
def test_the_shortest_time_to_live_is_not_for_ever(cache: Cache, ttl_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = [1_000_000_000_000]
    monkeypatch.setattr("edgeqa.cache._now_ms", lambda: now_ms[0])
    cache.put("a", 1, ttl_s=ttl_s)
    cache.flush()
    cache.front.clear()
    now_ms[0] += 2
    assert cache.get("a") is None
    assert cache.explain("a").why != "stored"


def test_positional_and_named_arguments_are_told_apart_whatever_their_names() -> None:
    assert memo_key("k", b"f", "", (None, 1), {}) != memo_key("k", b"f", "", (), {"N": 1})
    assert memo_key("k", b"f", "", (True, 1), {}) != memo_key("k", b"f", "", (), {"T": 1})
    assert memo_key("k", b"f", "", ("a", 1), {}) != memo_key("k", b"f", "", (), {"sa": 1})


FORKS_AND_CLOSES = """
import os, sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
cache.put("a", 1)
cache.flush()
reading, writing = os.pipe()
there, is_there = os.pipe()
child = os.fork()
if not child:
    os.close(writing)
    os.write(is_there, b"!")
    os.read(reading, 1)  # until the parent is gone: the child uses no cache
    os._exit(0)
os.read(there, 1)
cache.close()
print(os.path.exists(os.path.join(sys.argv[1], "format-1", "seal")))
with Cache.open(sys.argv[1]) as cache:
    print(cache.get("a"))
os.close(writing)
os.waitpid(child, 0)
"""


def test_a_forked_child_that_uses_no_cache_keeps_nobody_from_leaving_as_the_last(directory: Path, run: Run) -> None:
    assert run(FORKS_AND_CLOSES, directory).communicate(timeout=60) == ("True\n1\n", "")


READS_FOR_EVER = """
import sys
from edgeqa.cache import Cache, store
store._MAX_READERS, store._LOCK_FILE_BYTES = 4, 0
cache = Cache.open(sys.argv[1])
if cache.stats().state == "open":
    reading = cache._backend.store.begin()
    print("ready", flush=True)
    sys.stdin.read()
print(*cache.stats().faults)
"""


def test_places_of_readers_that_were_killed_are_used_again(
    directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LMDB has places for so many readers; those of the dead are free only when somebody looks."""
    monkeypatch.setattr("edgeqa.cache.store._MAX_READERS", 4)
    monkeypatch.setattr("edgeqa.cache.store._LOCK_FILE_BYTES", 0)
    with Cache.open(directory) as cache:
        cache.put("a", 1)
        cache.flush()
        readers, said = [], "ready\n"
        while said == "ready\n":
            reader = run(READS_FOR_EVER, directory)
            readers.append(reader)
            assert reader.stdout is not None
            said = reader.stdout.readline()
        assert said == "readers_full\n"
        for reader in readers:
            reader.send_signal(signal.SIGKILL)
            reader.wait()
        cache.front.clear()
        assert cache.get("a") == 1
        assert cache.stats().faults == {}


def test_where_all_records_were_hit_room_is_made_all_the_same(directory: Path) -> None:
    with Cache.open(directory, map_bytes=MIB, front_entries=1) as cache:
        names = [f"n{number}" for number in range(1500)]
        for name in names:
            cache.put(name, "x" * 300)
        cache.flush()
        writer = cache._backend.writer
        assert writer is not None
        high_bytes = writer.commits.limits.high_bytes
        number = 0
        while cache.stats().used_bytes <= high_bytes - 30_000:
            for _ in range(32):
                cache.put(f"m{number}", "x" * 300)
                names.append(f"m{number}")
                number += 1
            cache.flush()
        for name in names:
            cache.get(name)
        for more in range(96):
            cache.put(f"k{more}", "x" * 300)
        cache.flush()
        assert cache.stats().used_bytes <= high_bytes
        assert cache.stats().second_chances > 0
        assert cache.check() == []


def test_a_lease_is_free_once_what_another_process_computed_is_found(cache: Cache, directory: Path, run: Run) -> None:
    assert cache.get("a") is None
    flights = cache._backend.flights
    key = name_key("a")
    with flights.flight(key, lambda: "of another", lambda value, _: value) as part:
        assert part.begin() == "of another"
    assert run(MAY_COMPUTE, directory).communicate(timeout=60)[0] == "True\n"


def test_a_lease_is_free_where_the_value_could_not_be_stored(cache: Cache, directory: Path, run: Run) -> None:
    assert cache.get("a") is None

    def settle(_: object, __: object) -> None:
        raise InterruptedError

    flights = cache._backend.flights
    with (  # noqa: PT012 - what raises is the last of it
        pytest.raises(InterruptedError),
        flights.flight(name_key("a"), lambda: ABSENT, settle) as part,
    ):
        assert part.begin() is ABSENT
        part.land(1)
    assert run(MAY_COMPUTE, directory).communicate(timeout=60)[0] == "True\n"


def test_a_forked_child_has_no_file_of_its_parents_cache_open(cache: Cache, directory: Path) -> None:
    assert cache.compute("a", lambda: 1) == 1
    cache.flush()
    child = os.fork()
    if not child:
        of_lmdb = {"data.mdb", "lock.mdb"}  # the library lets nobody close them in a child
        held = {Path(file.path).name for file in psutil.Process().open_files() if str(directory) in file.path}
        os._exit(len(held - of_lmdb))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_store_is_as_new_in_a_forked_child() -> None:
    forked = Store()
    forked._lock.acquire()  # as another thread of the parent did
    forked.forked()  # there is no environment to let go of
    assert not forked._lock.locked()


def test_a_damaged_file_is_left_to_those_who_are_inside(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir()
    inside, store_inside = Guard(directory), Store()
    inside.enter(store_inside, MIB, durable=False)
    real, tried = Store.open, []

    def refuses_once(self: Store, place: Path, map_bytes: int, *, durable: bool) -> None:
        tried.append(map_bytes)
        if len(tried) == 1:
            raise StoreFault(kind="damaged", reason="so it seems")
        real(self, place, map_bytes, durable=durable)

    monkeypatch.setattr(Store, "open", refuses_once)
    with pytest.raises(StoreFault, match="so it seems"):
        Guard(directory).enter(Store(), MIB, durable=False)
    assert not list(directory.glob("quarantine-*"))
    inside.leave(store_inside)


def test_less_address_space_than_was_planned_puts_no_file_aside(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.mkdir()
    real, tried = Store.open, []

    def refuses_large_maps(self: Store, place: Path, map_bytes: int, *, durable: bool) -> None:
        tried.append(map_bytes)
        if len(tried) < 3:
            raise StoreFault(kind="unavailable", reason="no address space")
        real(self, place, map_bytes, durable=durable)

    monkeypatch.setattr(Store, "open", refuses_large_maps)
    entering, opened = Guard(directory), Store()
    entering.enter(opened, 16 * MIB, durable=False)
    assert tried == [16 * MIB, 8 * MIB, 4 * MIB]
    assert entering.premises.quarantined == []
    entering.leave(opened)


def test_it_is_known_since_when_another_writer_is_waited_for(cache: Cache) -> None:
    cache.put("a", 1)
    cache.flush()
    writer = cache._backend.writer
    assert writer is not None
    with cache._backend.store.environment() as env, env.begin(write=True):
        cache.put("b", 2)
        give_up_at_s = time.monotonic() + 60
        while writer.commits.waits_since_s is None and time.monotonic() < give_up_at_s:
            time.sleep(0.001)
        assert writer.commits.waits_since_s is not None
    cache.flush()
    assert writer.commits.waits_since_s is None


def test_the_table_follows_no_ledger_that_closes_while_it_catches_up(tmp_path: Path) -> None:
    front, leaving = Front(8), threading.Event()

    class Closing(Ledger):
        """Another thread begins to leave while the table reads the marks."""

        def marks(self) -> list[int]:
            if leaving.is_set():
                unwatching.start()
                unwatching.join(0.1)  # it waits until the table is done: so this is in vain
            return super().marks()

    ledger = Closing(tmp_path / "ledger")
    unwatching = threading.Thread(target=front.unwatch)
    front.watch(ledger)
    ledger.mark([bytes(16)])
    leaving.set()
    assert front.get("a") is None
    unwatching.join()
    assert (front._ledger, front._marks) == (None, [])
    ledger.close()
