"""Tests, each brought about on purpose, what hardly ever comes to the cache: it is a miss, a count or a message."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import fcntl
import math
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import lmdb
import pytest
from test_faults import needs_verifier

import edgeqa.cache.backend
from edgeqa import files
from edgeqa.cache import Cache, commits, flight, front, guard, premises, store, values, writer
from edgeqa.cache.commits import Commits
from edgeqa.cache.front import Front, Tally
from edgeqa.cache.guard import Guard
from edgeqa.cache.ledger import Ledger
from edgeqa.cache.records import name_key
from edgeqa.cache.store import LAST_SEQUENCE_NUMBER, Store, StoreFault
from edgeqa.cache.writer import Writer
from edgeqa.errors import CacheValueInvalid, FilesLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import NoFile

MIB = 1 << 20


def once(exception: BaseException, then: Callable[..., Any]) -> Callable[..., Any]:
    """Returns what raises when it is called first, and then does what it should."""
    raised: list[bool] = []

    def act(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
        if not raised:
            raised.append(True)
            raise exception
        return then(*arguments, **options)

    return act


def always(exception: BaseException) -> Callable[..., Any]:
    def act(*_: object, **__: object) -> None:
        raise exception

    return act


# -- entering and leaving


def test_an_interrupt_while_the_cache_is_entered_is_heard_and_the_next_use_enters(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guard, "enter", once(KeyboardInterrupt(), Guard.enter))
    with pytest.raises(KeyboardInterrupt):
        cache.get("a")
    cache.put("a", 1)
    cache.flush()
    assert cache.stats().state == "open"


def test_an_interrupt_while_the_writer_ends_is_heard_and_the_cache_is_closed_unsealed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache.open(directory)
    cache.put("a", 1)
    monkeypatch.setattr(Writer, "stop", once(KeyboardInterrupt(), Writer.stop))
    with pytest.raises(KeyboardInterrupt):
        cache.close()
    assert not cache._backend.store.is_open
    assert not (directory / "format-1" / "seal").exists()
    cache.close()
    with Cache.open(directory) as again:
        assert again.get("a") == 1


def test_a_cache_that_was_only_asked_for_its_writer_closes(directory: Path) -> None:
    with Cache.open(directory) as cache:
        assert cache._backend.writer is not None
    assert not cache._backend.store.is_open


@needs_verifier
def test_where_no_process_can_verify_the_question_does(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", 1)
    (directory / "format-1" / "seal").unlink()
    monkeypatch.setattr(edgeqa.cache.backend, "CHECKED_AT_ONCE_BYTES", 0)
    monkeypatch.setattr(sys, "executable", "")
    with Cache.open(directory) as cache:
        assert cache.get("a") == 1


@needs_verifier
def test_a_file_that_cannot_be_opened_for_a_limit_is_not_taken_for_damaged(
    cache: Cache, directory: Path, no_file: NoFile
) -> None:
    cache.put("a", 1)
    cache.close()
    data_file = directory / "format-1" / "data.mdb"
    assert premises.find_damage(data_file) == []  # and what verifies is imported
    with no_file(), pytest.raises(FilesLimited):
        premises.find_damage(data_file)


def test_where_no_file_can_be_opened_everybody_computes(tmp_path: Path, no_file: NoFile) -> None:
    leases = flight.Leases(tmp_path / "leases")
    key = name_key("k")
    with no_file():
        assert leases.take(key)
        leases.note_failure(key, "ValueError", "no")
        assert leases.failure_since(key, 0) is None
    assert leases.take(key)
    leases.close()


def test_a_ledger_that_cannot_be_read_knows_of_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.set("deaths", 2)
    assert ledger.get("deaths") == 2
    readable, ledger._fd = ledger._fd, os.open(tmp_path / "ledger", os.O_WRONLY)
    assert (ledger.get("deaths"), set(ledger.totals().values())) == (0, {0})
    os.close(ledger._fd)
    ledger._fd = readable
    ledger.close()


def test_a_verification_is_begun_again_when_the_former_has_ended_a_while_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    begun: list[object] = []

    def spawn(*arguments: object, **_: object) -> int:
        begun.append(arguments)
        return ended.pid

    monkeypatch.setattr(os, "posix_spawn", spawn)
    assert guard.verify_beside(tmp_path, MIB)
    assert guard.verify_beside(tmp_path, MIB)
    assert len(begun) == 1
    monkeypatch.setattr(guard, "_VERIFY_AGAIN_AFTER_S", 0.0)
    assert guard.verify_beside(tmp_path, MIB)
    assert len(begun) == 2
    monkeypatch.setattr(os, "posix_spawn", always(OSError(errno.EAGAIN, "no more processes")))
    assert not guard.verify_beside(tmp_path, MIB)
    del guard._verifications[tmp_path]


@pytest.fixture
def entered(tmp_path: Path) -> Iterator[tuple[Guard, Store]]:
    entering, opened = Guard(tmp_path), Store()
    entering.enter(opened, MIB, durable=False)
    yield entering, opened
    entering.leave(opened)
    entering.leave(opened)  # harmless


def test_a_directory_in_use_without_a_header_is_foreign(entered: tuple[Guard, Store], tmp_path: Path) -> None:
    assert entered[1].is_open
    (tmp_path / "header").unlink()
    with pytest.raises(StoreFault, match="foreign"):
        Guard(tmp_path).enter(Store(), MIB, durable=False)


def test_the_seal_is_broken_once(entered: tuple[Guard, Store], tmp_path: Path) -> None:
    (tmp_path / "seal").write_bytes(b"of before")
    entered[0].before_first_write()
    assert not (tmp_path / "seal").exists()
    (tmp_path / "seal").write_bytes(b"of another")
    entered[0].before_first_write()
    assert (tmp_path / "seal").exists()


def test_a_note_of_a_commit_is_taken_back_by_who_left_it(entered: tuple[Guard, Store], tmp_path: Path) -> None:
    numbers = entered[0].ledger
    assert numbers is not None
    with entered[0].around_commit(7):
        assert numbers.get("writing") >> 22 == 7
        assert entered[0].writing_process() == os.getpid()
        numbers.set("writing", 1)  # the next one has begun already
    assert numbers.get("writing") == 1
    numbers.set("writing", 0)
    with Guard(tmp_path / "other").around_commit(7):  # not inside: there is nothing to note it in
        assert numbers.get("writing") == 0


def test_a_note_that_is_taken_back_late_is_no_death(
    entered: tuple[Guard, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = entered[0].ledger
    assert numbers is not None
    numbers.set("writing", 7 << 22 | 1)  # one that aborted, and has let the next one in
    monkeypatch.setattr("edgeqa.cache.guard.time.sleep", lambda _: numbers.set("writing", 0))
    with entered[0].around_commit(7):
        assert numbers.get("deaths") == 0
    numbers.set("writing", 7 << 22 | 1)  # one that committed: the next transaction has another number
    with entered[0].around_commit(8):
        assert numbers.get("deaths") == 0


@needs_verifier
def test_a_file_whose_records_cannot_be_looked_at_is_put_aside(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", 1)
    (directory / "format-1" / "seal").unlink()
    monkeypatch.setattr(Store, "problems", always(StoreFault(kind="engine", reason="no")))
    with Cache.open(directory) as cache:
        assert cache.get("a") is None
        assert cache.stats().faults == {"damaged": 1}


def test_without_a_verifier_a_file_that_does_not_fit_its_seal_is_put_aside(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", 1)
    files = directory / "format-1"
    (files / "seal").unlink()
    monkeypatch.setattr(premises, "find_damage", lambda _: [premises._NO_VERIFIER])
    assert Guard(files).repair() == [premises._NO_VERIFIER]
    (aside,) = files.glob("quarantine-*")
    assert abs(int(aside.name.partition("-")[2]) - time.time()) < 3600  # for who looks what happened when
    Guard(files).discard()
    assert not list(files.glob("quarantine-*"))


def test_a_forked_child_computes_what_its_parent_has_not(cache: Cache) -> None:
    assert cache.compute("a", lambda: 1) == 1
    cache.flush()
    child = os.fork()
    if child == 0:
        os._exit(0 if (cache.get("a"), cache.compute("b", lambda: 2)) == (1, 2) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_cache_that_is_closed_meanwhile_gets_no_writer(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.get("a") is None
    assert cache._backend.enter()
    cache.close()
    monkeypatch.setattr(cache._backend, "enter", lambda: True)  # as it was when the other thread asked
    assert cache._backend.writer is None
    cache.put("a", 1)
    assert cache._backend._writer is None


# -- the store


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lmdb.MapFullError("x"), "map_full"),
        (TimeoutError("x"), "unavailable"),
        (lmdb.Error("the environment is already open in this process"), "unavailable"),
        (lmdb.ReadersFullError("x"), "readers_full"),
        (MemoryError("x"), "unavailable"),
        (OSError(errno.ENOSPC, "x"), "disk_full"),
        (lmdb.Error(os.strerror(errno.EDQUOT)), "disk_full"),
        (OSError(errno.EROFS, "x"), "read_only"),
        (lmdb.Error(os.strerror(errno.EACCES)), "read_only"),
        (lmdb.CorruptedError("x"), "damaged"),
        (KeyError("x"), "engine"),
    ],
)
def test_what_the_errors_of_the_store_mean(error: Exception, kind: str) -> None:
    assert store.as_fault(error).kind == kind
    with pytest.raises(StoreFault, match=kind), store.faults():
        raise error


def test_what_is_no_record_is_told_of(cache: Cache) -> None:
    cache.put("a", 1)
    cache.flush()
    opened = cache._backend.store
    with opened.environment() as env, env.begin(write=True) as txn:
        txn.put(b"\xffseven.", b"what is this")
    found = cache.check()
    assert found[0].endswith("is neither an address nor a sequence number")
    assert found[1] == "1 addresses, but 2 records"
    opened.map_bytes = 1
    assert cache.check() == [*found, f"{cache.stats().used_bytes} bytes used of 1"]


def test_which_record_is_torn_is_told(cache: Cache) -> None:
    cache.put("a", 1)
    cache.flush()
    with cache._backend.store.environment() as env, env.begin(write=True) as txn:
        txn.put(LAST_SEQUENCE_NUMBER.to_bytes(8, "big"), b"half of one")
    assert cache.check() == [f"record {LAST_SEQUENCE_NUMBER} is torn", "1 addresses, but 2 records"]


def test_who_comes_out_in_a_forked_child_finds_nobody_counted() -> None:
    opened = Store()
    with pytest.raises(StoreFault, match="closed"), opened.environment():
        pytest.fail("it is not open")
    opened._leave()
    assert len(opened.inside) == 0


def test_a_store_for_which_there_is_no_file_left_is_closed_again(tmp_path: Path, no_file: NoFile) -> None:
    opened = Store()
    with no_file(), pytest.raises(StoreFault, match="unavailable"):
        opened.open(tmp_path, MIB, durable=False)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "opened", always(FilesLimited()))  # the last one was LMDB's
        with pytest.raises(StoreFault, match="unavailable"):
            opened.open(tmp_path, MIB, durable=False)
    assert not opened.is_open
    opened.open(tmp_path, MIB, durable=False)
    assert opened.read(bytes(16)) is None
    opened.close()


def test_who_waits_in_vain_for_the_end_of_a_fork_goes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Store()
    opened.open(tmp_path, MIB, durable=False)
    opened._passable.clear()  # as where an interrupt kept the parent from being told of the end
    monkeypatch.setattr("edgeqa.forking.wait_for_fork", lambda _: False)
    with opened.environment() as env:
        assert env.stat()["entries"] == 0
    assert opened._passable.is_set()
    opened.close()


def test_a_store_that_cannot_be_looked_at_says_so(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("a", 1)
    cache.flush()
    fault = StoreFault(kind="engine", reason="no")
    monkeypatch.setattr(Store, "usage", always(fault))
    monkeypatch.setattr(Store, "problems", always(fault))
    assert (cache.stats().entries, cache.check()) == (0, ["engine: no"])


def test_a_sequence_number_that_nobody_counts_to_is_damage(cache: Cache) -> None:
    cache.put("a", 1)
    cache.flush()
    with cache._backend.store.environment() as env, env.begin(write=True) as txn:
        txn.put((LAST_SEQUENCE_NUMBER + 1).to_bytes(8, "big"), b"x" * 100)
    cache.put("b", 2)
    cache.flush()
    assert cache.stats().faults == {"damaged": 1}
    assert cache.get("b") == 2


# -- writing


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Commits]:
    """Commits to a store of 400 records, of which more are in use than the limit."""
    opened = Store()
    opened.open(tmp_path, MIB, durable=False)
    changes = Commits(opened, lambda _: False)
    record = bytes(56)  # the head of a record up to its address
    for number in range(400):
        digest = number.to_bytes(16, "big")
        changes.commit({digest: record + digest + bytes(300)})
    page_bytes = opened.page_bytes
    changes.limits = changes.limits._replace(high_bytes=20 * page_bytes, low_bytes=18 * page_bytes)
    yield changes
    opened.close()


def test_an_eviction_ends_at_the_lower_mark(full: Commits) -> None:
    full.limits = full.limits._replace(evict_records=400)
    done = full.commit({})
    assert done.over_bytes == 0
    assert 0 < done.evictions < 400


def test_room_is_made_until_there_is_enough_or_nothing_more_can_be_done(
    full: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.limits = full.limits._replace(evict_records=400)  # of a commit, but here it is little by little
    with monkeypatch.context() as patched:
        patched.setattr(commits, "_ROOM_ROUNDS", 1)
        done = full.make_room()
        assert done.over_bytes > 0
        assert 0 < done.evictions <= commits._ROOM_RECORDS
    done = full.make_room()
    assert done.over_bytes == 0
    assert len(done.evicted) == done.evictions > commits._ROOM_RECORDS


@pytest.fixture
def writing(cache: Cache) -> Writer:
    cache.put("a", 1)
    cache.flush()
    found = cache._backend.writer
    assert found is not None
    return found


def test_a_second_thread_that_writes_ends_at_once(writing: Writer) -> None:
    assert writing._thread is not threading.current_thread()
    writing._run()
    assert writing._thread is not threading.current_thread()
    assert not writing._stopping


def test_where_there_is_room_nothing_is_evicted_or_spared(cache: Cache, writing: Writer) -> None:
    cache.put("a", 2)
    cache.flush()
    assert cache.get("a") == 2
    assert writing.commits.make_room() == commits.Committed(0, 0, 0, (), ())
    found = cache.stats()
    assert (found.puts, found.evictions, found.second_chances) == (2, 0, 0)


def test_what_waits_is_counted_down_to_nothing(cache: Cache, writing: Writer) -> None:
    for number in range(50):
        cache.put(f"n{number % 20}", "x" * number)
    cache.forget("n3")
    cache.flush()
    assert (writing._waiting_bytes, writing._waiting, writing._queued) == (0, {}, {})


def test_where_what_was_queued_cannot_be_written_nothing_is_cleared(
    cache: Cache, writing: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "flush", lambda: False)
    assert not writing.clear()
    cache.front.clear()
    assert cache.get("a") == 1


def test_a_writer_that_has_ended_clears_nothing(cache: Cache, writing: Writer) -> None:
    assert writing.clear()
    assert writing.stop()
    assert not writing.clear()
    assert cache.stats().faults == {"unavailable": 1}


def test_room_that_the_disk_has_none_for_is_a_full_disk(
    cache: Cache, writing: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing.commits, "commit", always(StoreFault(kind="map_full")))
    monkeypatch.setattr(writing.commits, "make_room", always(StoreFault(kind="disk_full")))
    cache.put("b", 2)
    cache.flush()
    assert cache.stats().faults == {"disk_full": 1}


@pytest.mark.parametrize(("rounds", "evictions"), [(1, 1), (256, 0)])
def test_what_cannot_be_evicted_is_not_tried_for_ever(
    rounds: int, evictions: int, cache: Cache, writing: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = commits.Committed(evictions=evictions, over_bytes=1)
    tried: list[object] = []
    monkeypatch.setattr(writer, "_EVICTION_ROUNDS", rounds)

    def commit(changes: object) -> commits.Committed:
        tried.append(changes)
        return done

    monkeypatch.setattr(writing.commits, "commit", commit)
    cache.put("b", 2)
    cache.flush()
    assert len(tried) == 2


def test_a_sync_that_fails_is_counted(cache: Cache, writing: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.commits, "sync", always(StoreFault(kind="disk_full")))
    cache.close()
    assert not writing._thread.is_alive()  # type: ignore[union-attr]  # it has written
    with Cache.open(cache.directory.parent) as again:  # type: ignore[union-attr]  # it has one
        assert again.stats().faults == {"disk_full": 1}


def test_where_changes_cannot_be_told_to_others_they_are_made_all_the_same(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put("a", 1)
    cache.flush()
    with monkeypatch.context() as patched:
        patched.setattr("edgeqa.cache.ledger.os.pwrite", always(OSError(errno.ENOSPC, "no")))
        cache.put("a", 2)
        cache.flush()
    cache.front.clear()
    assert cache.get("a") == 2


def test_a_tally_without_a_writer_knows_no_hits() -> None:
    assert not Tally(Front(4)).take_hit(b"a" * 16)


def test_who_holds_a_lock_is_told_if_the_kernel_does(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert files._holder(file.fileno()) == "another process"
        fcntl.flock(file, fcntl.LOCK_EX)
        assert files._holder(file.fileno()) in (f"process {os.getpid()}", "another process")


# -- single flight


def wait_in_vain(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Has whoever is about to wait for another find that there is nothing to wait for, after something has happened."""
    outcome = flight._Slot.outcome

    def ended(_: flight._Slot) -> None:
        monkeypatch.setattr(flight._Slot, "outcome", outcome)
        meanwhile()

    monkeypatch.setattr(flight._Slot, "outcome", ended)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("ends", ["in time", "too late"])
def test_who_comes_when_the_leader_ends_leads_or_computes_for_itself(
    *, is_async: bool, ends: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads, go = threading.Event(), threading.Event()

    def slow() -> int:
        leads.set()
        assert go.wait(60)
        return 1

    async def quick() -> int:
        return 2

    def ask() -> object:
        return asyncio.run(cache.compute_async("a", quick)) if is_async else cache.compute("a", lambda: 2)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.compute, "a", slow)
        assert leads.wait(60)

        def end() -> None:
            if ends == "too late":
                monkeypatch.setattr(flight, "LEASE_S", -1.0)
            else:
                go.set()
                first.result(60)

        wait_in_vain(monkeypatch, end)
        assert ask() == (1 if ends == "in time" else 2)
        go.set()
        assert first.result(60) == 1


def test_a_task_waits_for_the_lease_of_another_process(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [False, False]
    take = flight.Leases.take
    monkeypatch.setattr(flight.Leases, "take", lambda self, key: refused.pop() if refused else take(self, key))

    async def compute() -> int:
        return 1

    assert asyncio.run(cache.compute_async("a", compute)) == 1
    assert refused == []


def test_who_has_not_imported_asyncio_runs_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "asyncio")
    assert flight._running_loop() is None


# -- values and functions


@dataclasses.dataclass(frozen=True)
class Point:
    name: str


class Sized:
    size_bytes = 12_345


def test_a_value_may_know_its_size_and_a_dataclass_takes_what_it_holds() -> None:
    assert front._memory_bytes(Sized()) == 12_345
    assert front._memory_bytes(Point("x" * 5000)) > 5000
    assert front._memory_bytes({1: 2}) == sys.getsizeof({1: 2})  # in no key that this is asked of


def test_whether_bytes_are_of_a_value_is_told_without_msgspec_too(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = values.encode({"a": [1, 2]})
    assert values.are_bytes_of(payload, {"a": [1, 2]})
    assert not values.are_bytes_of(values.encode(2**70), 2**70)  # it may be another number
    monkeypatch.delitem(sys.modules, "msgspec")
    monkeypatch.setattr(values, "_reads", iter(range(2)))
    assert values.are_bytes_of(payload, {"a": [1, 2]})
    assert not values.are_bytes_of(payload, {"a": [1, 3]})


def test_functions_are_known_by_the_functions_modules_and_code_that_they_hold(cache: Cache) -> None:
    def make(inner: Callable[[], int], module: object, *, nested: bool) -> Callable[[], object]:
        if nested:
            return cache.memoize("k")(lambda: [(lambda: number + 1)() for number in (inner(), module is math)])
        return cache.memoize("k")(lambda: [(lambda: number + 2)() for number in (inner(), module is math)])

    def one() -> int:
        return 1

    def two() -> int:
        return 2

    known = cache.memoize("k", key="of one")(one)
    assert make(known, math, nested=True)() == [2, 2]
    assert make(cache.memoize("k", key="of two")(two), math, nested=True)() == [3, 2]
    assert make(known, time, nested=True)() == [2, 1]
    assert make(known, math, nested=False)() == [3, 3]
    assert cache.explain(name_key("k")).hit is False


def test_a_value_of_more_than_a_record_can_say_the_length_of_is_refused() -> None:
    """As one that is as large takes the memory of a large machine to make, its length alone is told."""
    assert values._start((1 << 32) - 1, 0, 0, (0xC4, 0xC5, 0xC6)) == b"\xc6\xff\xff\xff\xff"
    with pytest.raises(CacheValueInvalid, match="longer than 4 GiB"):
        values._start(1 << 32, 0, 0, (0xC4, 0xC5, 0xC6))
