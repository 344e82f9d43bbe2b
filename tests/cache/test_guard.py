"""Tests, with processes really killed, what the guard does about what they leave behind, and who may open what."""

from __future__ import annotations

import fcntl
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from test_faults import needs_verifier

from edgeqa.cache import Cache, guard, premises
from edgeqa.cache.ledger import Ledger
from edgeqa.cache.store import Store, StoreFault
from edgeqa.files import try_lock

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from conftest import Run

WRITE_AND_WAIT = """
import sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1], map_bytes=1 << 20)
for number in range(200):
    cache.put(f"n{number}", number)
cache.flush()
print("ready", flush=True)
sys.stdin.read()
cache.close()
"""


def started(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def end(process: subprocess.Popen[str]) -> None:
    assert process.communicate("") == ("", "")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Returns the list of data files that were verified since."""
    files: list[Path] = []
    real = premises.find_damage

    def noting(data_file: Path) -> list[str]:
        files.append(data_file)
        return real(data_file)

    monkeypatch.setattr(premises, "find_damage", noting)
    return files


def test_a_clean_end_seals_the_file_and_the_next_start_verifies_nothing(
    directory: Path, run: Run, verified: list[Path]
) -> None:
    end(started(run(WRITE_AND_WAIT, directory)))
    with Cache.open(directory) as cache:
        assert cache.get("n7") == 7
    assert verified == []


@needs_verifier
def test_a_killed_writer_loses_nothing_that_was_flushed_and_the_next_start_verifies(
    directory: Path, run: Run, verified: list[Path]
) -> None:
    kill(started(run(WRITE_AND_WAIT, directory)))
    with Cache.open(directory) as cache:
        assert [cache.get(f"n{number}") for number in range(200)] == list(range(200))
        assert (cache.check(), cache.stats().faults) == ([], {})
    assert len(verified) == 1
    with Cache.open(directory) as cache:
        assert cache.get("n7") == 7
    assert len(verified) == 1


@needs_verifier
def test_while_others_are_inside_nothing_is_verified_and_it_stays_owed(
    directory: Path, run: Run, verified: list[Path]
) -> None:
    survivor = started(run(WRITE_AND_WAIT, directory))
    kill(started(run(WRITE_AND_WAIT, directory)))
    with Cache.open(directory) as cache:
        assert cache.get("n7") == 7
    assert verified == []
    end(survivor)
    assert not (directory / "format-1" / "seal").exists()
    with Cache.open(directory) as cache:
        assert cache.get("n7") == 7
    assert len(verified) == 1


@needs_verifier
def test_after_a_killed_reader_the_file_is_verified_too(directory: Path, run: Run, verified: list[Path]) -> None:
    end(started(run(WRITE_AND_WAIT, directory)))
    code = """
import sys
from edgeqa.cache import Cache
assert Cache.open(sys.argv[1]).get("n7") == 7
print("ready", flush=True)
sys.stdin.read()
"""
    kill(started(run(code, directory)))
    with Cache.open(directory) as cache:
        assert cache.get("n7") == 7
    assert len(verified) == 1
    with Cache.open(directory) as cache:
        assert cache.get("n7") == 7
    assert len(verified) == 1


def die_while_opening(run: Run, directory: Path) -> None:
    code = """
import os, signal, sys
from edgeqa.cache import Cache, guard
def dies(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
guard.Store.open = dies
Cache.open(sys.argv[1]).get("a")
"""
    process = run(code, directory)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def die_while_committing(run: Run, directory: Path) -> None:
    code = """
import os, signal, sys
from edgeqa.cache import Cache
from edgeqa.cache.commits import Commits
Commits._evict = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cache = Cache.open(sys.argv[1])
cache.put("a", 1)
cache.flush()
"""
    process = run(code, directory)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("die", [die_while_opening, die_while_committing])
def test_after_two_deaths_in_a_row_the_third_start_goes_without_and_says_so(
    directory: Path, run: Run, die: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache.open(directory) as cache:
        cache.put("kept", 1)
    assert callable(die)
    die(run, directory)
    die(run, directory)
    with Cache.open(directory) as cache:
        assert cache.get("kept") is None
        cache.put("b", 2)
        assert cache.get("b") == 2
        stats = cache.stats()
        assert (stats.state, stats.faults) == ("this process only", {"off_after_deaths": 1})
        assert "2 starts in a row died inside the cache" in stats.note
        assert cache.off_reason == "2 starts in a row died inside the cache"
    an_hour_later_s = time.time() + guard.OFF_FOR_S
    monkeypatch.setattr("edgeqa.cache.guard.time.time", lambda: an_hour_later_s)
    with Cache.open(directory) as cache:
        assert cache.get("kept") is None
        assert (cache.stats().state, cache.stats().faults) == ("open", {"engine": 1})
        assert cache.off_reason == ""
    assert list((directory / "format-1").glob("quarantine-*/data.mdb"))


PUT_WHEN_ASKED = """
import sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
for number in range(1000):
    cache.put(f"n{number}", number)
    cache.flush()
    print("ready", flush=True)
    if not sys.stdin.readline():
        break
"""


def test_a_writer_that_goes_on_hides_no_death_of_another_in_a_commit(directory: Path, run: Run) -> None:
    survivor = started(run(PUT_WHEN_ASKED, directory))
    assert survivor.stdin is not None
    for deaths in (1, 2):
        die_while_committing(run, directory)
        survivor.stdin.write("\n")
        survivor.stdin.flush()
        started(survivor)
        ledger = Ledger(directory / "format-1" / "ledger")
        assert (ledger.get("deaths"), ledger.get("writing")) == (deaths, 0)
        ledger.close()
    with Cache.open(directory) as cache:
        assert cache.get("n0") is None
        assert cache.off_reason == "2 starts in a row died inside the cache"
    end(survivor)


def test_one_death_and_a_clean_start_are_forgotten(directory: Path, run: Run) -> None:
    for _ in range(3):
        die_while_opening(run, directory)
        with Cache.open(directory) as cache:
            assert cache.stats().state == "open"


@needs_verifier
def test_mending_ends_the_time_without(directory: Path, run: Run) -> None:
    with Cache.open(directory) as cache:
        cache.put("kept", 1)
    die_while_opening(run, directory)
    die_while_opening(run, directory)
    assert guard.Guard(directory / "format-1").repair() == []
    with Cache.open(directory) as cache:
        assert cache.get("kept") == 1


def test_a_clock_that_is_set_back_does_not_prolong_the_time_without(
    directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_while_opening(run, directory)
    die_while_opening(run, directory)
    with Cache.open(directory) as cache:
        assert cache.stats().state == "this process only"
    monkeypatch.setattr("edgeqa.cache.guard.time.time", lambda: 1000.0)
    with Cache.open(directory) as cache:
        assert cache.stats().state == "open"


def test_a_process_that_holds_the_entrance_makes_others_go_without(
    directory: Path,
) -> None:
    entered = guard.Guard(directory)
    directory.mkdir()
    with entered._entrance(guard.ENTER_WAIT_S), pytest.raises(StoreFault, match="entrance"):
        guard.Guard(directory).enter(Store(), 1 << 20, durable=False, wait_s=0.01)
    entered.abandon()


def test_who_waits_to_leave_is_not_taken_for_dead(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaving, other, waits = guard.Guard(directory), guard.Guard(directory), threading.Event()
    store = Store()
    leaving.enter(store, 1 << 20, durable=False)
    monkeypatch.setattr("time.sleep", lambda _: waits.set())
    with other._entrance(guard.ENTER_WAIT_S) as alone:
        thread = threading.Thread(target=leaving.leave, args=(store,))
        thread.start()
        assert waits.wait(10)
        assert not alone
        with (directory / premises.USERS_FILE).open() as users:
            assert not try_lock(users.fileno(), fcntl.LOCK_EX)
    thread.join()
    other.abandon()
    with other._entrance(guard.ENTER_WAIT_S) as alone:
        assert alone
    other.abandon()


def test_many_processes_open_and_close_at_once(directory: Path, run: Run) -> None:
    code = """
import sys
from edgeqa.cache import Cache, premises
import edgeqa.cache.stats
premises.find_damage = lambda file: ["taken for dead, though all are well"]  # so that what was put would be gone
for number in range(20):
    with Cache.open(sys.argv[1], map_bytes=1 << 20) as cache:
        cache.put(f"{sys.argv[2]} {number}", number)
        assert cache.stats().state == "open", cache.stats()
"""
    processes = [run(code, directory, worker) for worker in range(6)]
    assert [process.communicate() for process in processes] == [("", "")] * 6
    with Cache.open(directory) as cache:
        found = [cache.get(f"{worker} {number}") for worker in range(6) for number in range(20)]
        assert found == list(range(20)) * 6
        assert (cache.check(), cache.stats().faults) == ([], {})


def test_another_format_is_another_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache.open(directory) as cache:
        cache.put("a", "of this version")
        with monkeypatch.context() as patched:
            patched.setattr("edgeqa.cache.FORMAT_DIRECTORY", "format-2")
            with Cache.open(directory) as other:
                assert other.get("a") is None
                other.put("a", "of the other version")
    with Cache.open(directory) as cache:
        assert cache.get("a") == "of this version"


def test_the_ledger_of_nonsense_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"\xff" * 77)
    ledger = Ledger(tmp_path / "ledger")
    assert set(ledger.totals().values()) == {0}
    ledger.add({"puts": 3, "hits_store": 1})
    ledger.add({"puts": -5})
    assert (ledger.get("puts"), ledger.get("hits_store")) == (0, 1)
    ledger.close()
    ledger.close()
    assert (tmp_path / "ledger").stat().st_size == 4096
