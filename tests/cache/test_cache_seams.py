"""Tests the cache's seams: interrupts at every step, forks, stopped and killed processes, threads at once."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import interrupts
import psutil
import pytest

from edgeqa.cache import FORMAT_DIRECTORY, Cache, flight
from edgeqa.cache.premises import GUARD_FILE, USERS_FILE
from edgeqa.cache.records import name_key
from edgeqa.files import try_lock

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

    from edgeqa.cache import Key

DEADLINE_S = 60
GUARDED = ("guard.py", "premises.py", "backend.py", "ledger.py")
interrupted_at = partial(interrupts.interrupted_at, files=GUARDED)

# Of a file that was being read when the interrupt came, Python itself complains.
interrupts_files = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def is_free(directory: Path) -> bool:
    """Tells whether somebody else could enter now."""
    for name in (GUARD_FILE, USERS_FILE):
        with (directory / FORMAT_DIRECTORY / name).open("a+") as file:
            kind = fcntl.LOCK_EX if name == GUARD_FILE else fcntl.LOCK_SH
            if not try_lock(file.fileno(), kind):
                return False
    return True


def made(directory: Path) -> None:
    with Cache.open(directory, map_bytes=1 << 20) as cache:
        cache.put("a", 1)


@interrupts_files
def test_an_interrupt_at_any_step_of_opening_lets_go_of_everything(tmp_path: Path) -> None:
    made(tmp_path)
    step = 0
    while True:
        step += 1
        cache = Cache.open(tmp_path)
        was_interrupted = interrupted_at(step, partial(cache.get, "a"))
        assert is_free(tmp_path), step
        assert cache.get("a") in (1, None), step
        cache.close()
        gc.collect()
        with Cache.open(tmp_path) as other:
            assert other.get("a") == 1, step
        if not was_interrupted:
            break
    assert step > 50


@interrupts_files
def test_an_interrupt_at_any_step_of_closing_lets_go_of_everything(tmp_path: Path) -> None:
    made(tmp_path)
    step = 0
    while True:
        step += 1
        cache = Cache.open(tmp_path)
        cache.put("b", step)
        cache.flush()
        was_interrupted = interrupted_at(step, cache.close)
        assert is_free(tmp_path), step
        cache.close()
        gc.collect()
        with Cache.open(tmp_path) as other:
            assert other.get("a") == 1, step
        if not was_interrupted:
            break
    assert step > 20


def test_an_interrupt_at_any_step_of_writing_keeps_nothing_from_being_written(tmp_path: Path) -> None:
    others = set(threading.enumerate())  # those of caches that other tests have open
    with Cache.open(tmp_path) as cache:
        step, was_interrupted = 0, True
        while was_interrupted:
            step += 1

            def write(step: int = step) -> None:
                cache.put(f"n{step}", step)
                cache.flush()

            was_interrupted = interrupted_at(step, write, files=("writer.py",))
            cache.put("after", step)
            cache.flush()
            writer = cache._backend.writer
            assert writer is not None
            assert not writer._is_due()  # a batch waits for more to come, as ever
            cache.front.clear()
            assert cache.get("after") == step
        assert writer is not None
        for thread in set(threading.enumerate()) - others:
            if thread.name == "edgeqa-cache-writer" and thread is not writer._thread:
                thread.join(DEADLINE_S)  # started by who was interrupted: it finds another, and ends
                assert not thread.is_alive()
        assert step > 20


def test_a_fork_leaves_no_lock_with_the_child(tmp_path: Path, run: Run) -> None:
    made(tmp_path)
    code = """
import os, sys, threading
from pathlib import Path
from edgeqa.cache import guard
inside, go_on = threading.Event(), threading.Event()
guarding = guard.Guard(Path(sys.argv[1]))
from edgeqa.cache.backend import share
backend = share(Path(sys.argv[1]).parent, Path(sys.argv[1]).name, None, 1 << 20, durable=False, front_entries=1)
entering = guard.Guard.enter
def enter(self, *arguments, **options):
    with self._entrance(1.0):
        inside.set(); go_on.wait()
    return entering(self, *arguments, **options)
guard.Guard.enter = enter
thread = threading.Thread(target=backend.enter)
thread.start(); inside.wait()
child = os.fork()
if not child:
    os.write(1, b"child\\n"); sys.stdin.read(); os._exit(0)
if sys.argv[2] == "leave":
    go_on.set(); thread.join()
os.write(1, b"parent\\n"); sys.stdin.read(); os._exit(0)
"""
    for ending in ("leave", "be killed"):
        process = run(code, tmp_path / FORMAT_DIRECTORY, ending)
        assert process.stdout is not None
        assert {process.stdout.readline(), process.stdout.readline()} == {"child\n", "parent\n"}
        if ending == "be killed":
            process.kill()
            process.wait()
        with Cache.open(tmp_path) as cache:
            assert cache.get("a") == 1, ending  # a lock that the child kept would be waited for in vain
        process.kill()


def test_one_thread_may_open_what_another_is_closing(tmp_path: Path) -> None:
    made(tmp_path)
    found: list[object] = []

    def ask() -> None:
        for _ in range(300):
            with Cache.open(tmp_path) as cache:
                found.append((cache.get("a"), cache.stats().state))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {(1, "open")}


def test_what_a_killed_reader_held_is_room_again(tmp_path: Path, run: Run) -> None:
    code = """
import sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
assert cache.get("n0") == 0
transaction = cache._backend.store.begin()
print("reading", flush=True)
sys.stdin.read()
"""
    with Cache.open(tmp_path, map_bytes=1 << 20) as cache:
        cache.put("n0", 0)
        cache.flush()
        process = run(code, tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.kill()
        process.wait()
        for number in range(4000):
            cache.put(f"n{number}", os.urandom(400))
            if number % 32 == 31:
                cache.flush()
        stats = cache.stats()
        assert "map_full" not in stats.faults
        assert stats.puts == 4001
        assert cache.get("n3999") is not None


def test_a_second_user_may_want_it_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache.open(tmp_path) as first:
        assert first.get("a") is None
        second = Cache.open(tmp_path, durable=True)
        second.put("a", 1)
        second.flush()
        commits = second._backend._writer.commits  # type: ignore[union-attr]
        synced: list[int] = []
        monkeypatch.setattr(commits, "sync", lambda: synced.append(1))
        first.put("b", 2)
        first.flush()
        assert synced == [1]
        second.close()


def test_nothing_is_left_of_a_closed_cache(tmp_path: Path) -> None:
    import multiprocessing.util as util

    registry: dict[object, object] = util._finalizer_registry  # type: ignore[attr-defined]
    made(tmp_path)
    process = psutil.Process()
    finalizers, descriptors = len(registry), process.num_fds()
    for number in range(5):
        with Cache.open(tmp_path) as cache:
            cache.put("a", number)
            assert cache.compute("x", lambda: 1) == 1
        assert cache.compute("y", lambda: 2) == 2  # closed: it is computed
    gc.collect()
    assert (len(registry), process.num_fds()) == (finalizers, descriptors)


def test_the_first_question_after_a_kill_does_not_wait_for_the_check(tmp_path: Path, run: Run) -> None:
    code = """
import os, sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1], map_bytes=64 << 20)
for number in range(6000):
    cache.put(f"n{number}", os.urandom(2000))
cache.put("a", 1)
cache.flush()
print("full", flush=True)
sys.stdin.read()
"""
    process = run(code, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "full\n"
    process.kill()
    process.wait()
    from edgeqa.cache.premises import CHECKED_AT_ONCE_BYTES

    assert (tmp_path / FORMAT_DIRECTORY / "data.mdb").stat().st_size > CHECKED_AT_ONCE_BYTES
    with Cache.open(tmp_path) as cache:
        assert cache.get("a") is None  # not there yet, and not waited for
        assert cache.compute("b", lambda: 2) == 2
        give_up_at_s = time.monotonic() + DEADLINE_S
        while cache.get("a") != 1:  # it joins when the check is done
            assert time.monotonic() < give_up_at_s
            os.sched_yield()
        assert cache.stats().state == "open"
        assert "damaged" not in cache.stats().faults


STOPPED = """
import os, signal, sys, time
from edgeqa.cache import Cache, commits, ledger
cache = Cache.open(sys.argv[1])
cache.get("a")
if sys.argv[2] == "commit":
    def stop(self, *arguments):
        print("stopped", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(600)  # this thread goes on for a moment after that, and would be through with its commit
    commits.Commits._evict = stop
    cache.put("b", 1)
    cache.flush()
else:
    with cache._backend._guard.ledger._locked():
        print("stopped", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.parametrize("where", ["commit", "ledger"])
def test_a_stopped_process_keeps_nobody_waiting_for_ever(where: str, tmp_path: Path, run: Run) -> None:
    made(tmp_path)
    stopped = run(STOPPED, tmp_path, where)
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "stopped\n"
    code = """
import sys
from edgeqa.cache import Cache
with Cache.open(sys.argv[1]) as cache:
    print(cache.get("a"), cache.compute("c", lambda: 3), flush=True)
print("closed", flush=True)
"""
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert other.stdout.splitlines() in (["1 3", "closed"], ["None 3", "closed"])
    os.kill(stopped.pid, signal.SIGKILL)


HOLDS = """
import os, signal, sys
from edgeqa.cache import Cache
def stop():
    print("stopped", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return 1
with Cache.open(sys.argv[1]) as cache:
    print(cache.compute("c", stop), flush=True)
"""


@pytest.mark.parametrize("is_async", [False, True])
def test_a_process_that_was_stopped_while_it_computes_is_not_waited_for(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, *, is_async: bool
) -> None:
    made(tmp_path)
    stopped = run(HOLDS, tmp_path)
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "stopped\n"
    assert os.WIFSTOPPED(os.waitpid(stopped.pid, os.WUNTRACED)[1])
    looked: list[bool] = []
    is_stopped = flight.Leases.is_stopped

    def look(leases: flight.Leases, key: Key) -> bool:
        looked.append(is_stopped(leases, key))
        return looked[-1]

    monkeypatch.setattr(flight.Leases, "is_stopped", look)
    monkeypatch.setattr(flight, "LOOK_S", 0.01)
    with Cache.open(tmp_path) as cache:
        if is_async:

            async def two() -> int:
                return 2

            assert asyncio.run(cache.compute_async("c", two)) == 2
        else:
            assert cache.compute("c", lambda: 2) == 2
        assert looked == [True]
        assert cache.get("c") == 2
    leases = flight.Leases(tmp_path / FORMAT_DIRECTORY / "leases")
    assert is_stopped(leases, name_key("c"))
    monkeypatch.setattr(sys, "platform", "android")  # Linux, too
    assert is_stopped(leases, name_key("c"))
    monkeypatch.setattr(sys, "platform", "freebsd14")  # where it is not known in which form the system tells
    assert not is_stopped(leases, name_key("c"))
    leases.close()
    os.kill(stopped.pid, signal.SIGCONT)
    assert stopped.communicate(timeout=DEADLINE_S)[0] == "1\n"


def test_a_process_that_computes_and_was_not_stopped_is_waited_for(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    holder = run(HOLDS.replace("os.kill(os.getpid(), signal.SIGSTOP)", "sys.stdin.readline()"), tmp_path)
    assert holder.stdout is not None
    stdin = holder.stdin
    assert stdin is not None
    assert holder.stdout.readline() == "stopped\n"
    looked: list[bool] = []
    is_stopped = flight.Leases.is_stopped

    def look(leases: flight.Leases, key: Key) -> bool:
        looked.append(is_stopped(leases, key))
        if len(looked) == 3:
            stdin.write("\n")
            stdin.flush()
        return looked[-1]

    monkeypatch.setattr(flight.Leases, "is_stopped", look)
    monkeypatch.setattr(flight, "LOOK_S", 0.01)
    with Cache.open(tmp_path) as cache:
        assert cache.compute("c", lambda: 2) == 1
    assert True not in looked
    assert flight.Leases(tmp_path / FORMAT_DIRECTORY / "leases").is_stopped(name_key("c")) is False  # nobody holds it


WHILE_STOPPED = """
import sys
from edgeqa.cache import Cache, writer
writer.QUEUE_LIMIT_RECORDS = 64
with Cache.open(sys.argv[1]) as cache:
    cache.put("b", 2)
    {act}
    assert cache.get("a") == 1  # it is read all the same
print("closed", flush=True)
"""


@pytest.mark.parametrize(
    "act",
    [
        "assert not cache.clear()",
        "cache.flush()",
        "cache.forget('b')",
        "[cache.put(f'n{number}', number) for number in range(400)]",  # not two seconds for each
    ],
)
def test_whoever_writes_behind_a_stopped_process_goes_on(act: str, tmp_path: Path, run: Run) -> None:
    made(tmp_path)
    stopped = run(STOPPED, tmp_path, "commit")
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "stopped\n"
    code = WHILE_STOPPED.format(act=act)
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert other.stdout == "closed\n"
    os.kill(stopped.pid, signal.SIGKILL)


def test_the_command_does_not_say_cleared_where_a_stopped_process_keeps_it_from_it(home: Path, run: Run) -> None:
    made(home / "cache")
    stopped = run(STOPPED, home / "cache", "commit")
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "stopped\n"
    command = [sys.executable, "-m", "edgeqa", "cache", "clear", "--yes"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "nothing was cleared" in refused.stderr
    assert f"process {stopped.pid} is in the middle of writing" in refused.stderr
    os.kill(stopped.pid, signal.SIGKILL)
    stopped.wait()
    cleared = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (cleared.returncode, cleared.stdout) == (0, "cleared\n")


def test_clearing_is_done_by_the_thread_that_writes_and_told(tmp_path: Path) -> None:
    with Cache.open(tmp_path) as cache:
        cache.put("a", 1)
        assert cache.clear()
        assert (cache.get("a"), cache.stats().entries) == (None, 0)
        cache.put("a", 2)
    assert not cache.clear()  # closed
    with Cache.open(tmp_path) as cache:
        assert cache.get("a") == 2


def test_where_no_thread_can_be_started_nothing_is_stored_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    with Cache.open(tmp_path) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refused)
            assert cache.compute("a", lambda: 1) == 1
            cache.put("b", 2)
            cache.flush()
        assert cache.stats().faults["dropped"] == 2
        cache.put("b", 3)
        cache.flush()
        assert cache.get("b") == 3
