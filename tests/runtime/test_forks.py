"""Tests a process that forks while its threads ask and add: its children answer, and keep nobody out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgeqa import forking
from edgeqa.cache.store import Store
from edgeqa.collection.errors import CollectionBusy
from edgeqa.collection.ownership import Lock
from edgeqa.counting import Counts
from edgeqa.models.session import Callers

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

DEADLINE_S = 120

ASK_AND_FORK = """
import os, sys, threading, edgeqa
qa = edgeqa.open(persist=sys.argv[1], threads=int(sys.argv[2]))
text = "The bridge was built in 1932 by Dorman Long. It is of steel."
assert qa.ask("Who built the bridge?", text).text == "Dorman Long"
stop = False
def ask(number):
    asked = 0
    while not stop:
        qa.ask(f"Who built bridge number {number} {asked}?", text)
        asked += 1
threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(4)]
for thread in threads:
    thread.start()
for number in range(4):
    child = os.fork()
    if not child:
        found = qa.ask("When was the bridge built" + number * "?", text).text
        os._exit(0 if found == "1932" else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for thread in threads:
    thread.join()
print(qa.ask("When was the bridge built?", text).text)
"""


@pytest.mark.usefixtures("unmeasured")  # a tracer's own locks are not let go of in a forked child
@pytest.mark.parametrize(("persist", "threads"), [("disk", 2), ("off", 2), ("off", 1)])
def test_children_forked_among_threads_that_ask_answer(persist: str, threads: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ASK_AND_FORK, persist, str(threads)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1932\n"), done.stderr


ASK_A_COLLECTION_AND_FORK = """
import os, pathlib, sys, threading, edgeqa
texts = pathlib.Path(sys.argv[1]) / "texts"
texts.mkdir()
for number in range(20):
    (texts / f"{number}.txt").write_text(f"Machine number {number} was built by Maker{number} in {1900 + number}.")
adding = os.fork()  # which imports what this one is to import while it forks
if not adding:
    edgeqa.open(persist="off").add(texts)
    os._exit(0)
os.waitpid(adding, 0)
qa = edgeqa.open(persist=sys.argv[2], threads=1)
stop = False
def ask(number):
    asked = 0
    while not stop:
        qa.ask(f"Who built machine number {number + asked % 7}, {asked}?")
        asked += 1
threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(4)]
for thread in threads:
    thread.start()
for number in range(8):  # the first while model, index and cache are opened
    child = os.fork()
    if not child:
        found = qa.ask(f"When was machine number {number} built?")
        os._exit(0 if found.text == str(1900 + number) else 1)
    assert os.waitpid(child, 0)[1] == 0, number
stop = True
for thread in threads:
    thread.join()
print(qa.ask("When was machine number 9 built?").text)
"""


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("persist", ["disk", "off"])
def test_children_forked_while_a_collection_is_first_asked_answer(persist: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ASK_A_COLLECTION_AND_FORK, tmp_path, persist],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1909\n"), done.stderr


def test_a_fork_waits_for_a_thread_that_imports(tmp_path: Path, run: Run) -> None:
    code = """
import builtins, os, signal, sys, threading
from edgeqa import forking
sys.path.insert(0, sys.argv[1])
builtins.began = threading.Event()
thread = threading.Thread(target=__import__, args=("slow",))
thread.start()
began.wait()
child = os.fork()
signal.alarm(60)
import slow
if not child:
    os._exit(0 if slow.is_made else 1)
thread.join()
print(os.waitpid(child, 0)[1])
"""
    module = "from edgeqa import forking\nbegan.set()\nwhile not forking._to_fork.is_set():\n    pass\nis_made = True\n"
    (tmp_path / "slow.py").write_text(module)
    assert run(code, tmp_path).communicate(timeout=DEADLINE_S) == ("0\n", "")


def test_a_fork_waits_once_for_an_import_that_does_not_end(tmp_path: Path, run: Run) -> None:
    code = """
import builtins, os, sys, threading
from edgeqa import forking
forking.ENDING_LIMIT_S = 0.1
sys.path.insert(0, sys.argv[1])
builtins.began, builtins.until = threading.Event(), threading.Event()
thread = threading.Thread(target=__import__, args=("program",))
thread.start()
began.wait()
for _ in range(2):
    print(sorted(forking._imported_by_others()))
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
until.set()
thread.join()
"""
    (tmp_path / "program.py").write_text("began.set()\nuntil.wait()\n")
    assert run(code, tmp_path).communicate(timeout=DEADLINE_S) == ("['program']\n[]\n", "")


def test_a_fork_waits_for_who_is_inside_a_library_and_nobody_goes_in_meanwhile(run: Run) -> None:
    code = """
import os, threading
from edgeqa import forking
stop, began = False, threading.Event()
inside = set()
def call():
    while not stop:
        with forking.library_call():
            inside.add(threading.get_ident())
            began.set()
            sum(range(20_000))
            inside.discard(threading.get_ident())
threads = [threading.Thread(target=call) for _ in range(4)]
for thread in threads:
    thread.start()
began.wait()
ended = []
for _ in range(20):
    child = os.fork()
    if not child:
        with forking.library_call():  # and nothing is left of the parent's
            os._exit(len(inside) + len(forking._inside) - 1)
    ended.append(os.waitpid(child, 0)[1])
stop = True
for thread in threads:
    thread.join()
print(ended.count(0))
"""
    assert run(code).communicate(timeout=DEADLINE_S) == ("20\n", "")


def test_counting_goes_on_in_a_child_of_a_process_that_counts() -> None:
    counts = Counts()
    with counts._lock:
        counts.forked()
        assert counts.counters(model_loaded=False, at_hand=0).read == 0


HOLD_AND_FORK = """
import os, sys
from pathlib import Path
from edgeqa.collection.ownership import Lock
lock = Lock(Path(sys.argv[1]))
child = os.fork()
if not child:
    os.write(1, b"child\\n")
    sys.stdin.read()
    os._exit(0)
if sys.argv[2] == "release":
    lock.release()
os.write(1, b"parent\\n")
sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["release", "die"])
def test_a_child_does_not_keep_the_writers_lock(ending: str, tmp_path: Path, run: Run) -> None:
    process = run(HOLD_AND_FORK, tmp_path, ending)
    assert process.stdout is not None
    assert {process.stdout.readline(), process.stdout.readline()} == {"child\n", "parent\n"}
    if ending == "die":
        with pytest.raises(CollectionBusy):
            Lock(tmp_path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    lock = Lock(tmp_path)
    lock.release()
    lock.release()


def test_a_child_that_ends_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    child = os.fork()
    if not child:
        lock.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(CollectionBusy):
        Lock(tmp_path)
    lock.release()


def test_turns_come_back_after_a_fork() -> None:
    callers = Callers(2)
    callers.before_fork()
    callers.after_fork()
    with callers.turn(), callers.turn():
        callers.forked()
    with callers.turn(), callers.turn():
        pass


def test_who_was_not_told_that_a_fork_is_over_does_not_keep_others_from_being_told(run: Run) -> None:
    """An interrupt that comes while they are told: Python goes on with the fork all the same."""
    code = """
import os, sys, edgeqa
from edgeqa import forking
class Interrupted:
    def after_fork(self):
        raise KeyboardInterrupt
    def forked(self):
        pass
forking.FORK_LIMIT_S = 1000.0
interrupted = Interrupted()
forking._told = [lambda: interrupted]
forking.tell = lambda one: forking._told.append(lambda: one)  # so that it comes first
sys.unraisablehook = lambda _: None
text = "The bridge was built in 1932 by Dorman Long. It is of steel."
qa = edgeqa.open()
print(qa.ask("Who built the bridge?", text).text, flush=True)
child = os.fork()
print(qa.ask("When was the bridge built?", text).text, flush=True)
os._exit(0) if not child else print(os.waitpid(child, 0)[1])
"""
    out, error = run(code).communicate(timeout=DEADLINE_S)
    assert (out.splitlines(), error) == (["Dorman Long", "1932", "1932", "0"], "")


@pytest.mark.parametrize("missed", ["turns", "store", "lock", "library"])
def test_who_waits_for_a_fork_that_nobody_says_is_over_goes_on(
    missed: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "FORK_LIMIT_S", 0.01)
    if missed == "turns":
        callers = Callers(1)
        callers.before_fork()
        with callers.turn():
            assert not callers._forking
    elif missed == "store":
        store = Store()
        directory.mkdir()
        store.open(directory, 1 << 20, durable=False)
        store.before_fork()
        assert store.read(bytes(16)) is None
        store.close()
    else:
        lock = forking.LibraryLock()
        forking._hold()
        with lock.turn() if missed == "lock" else forking.library_call():
            assert not forking._to_fork.is_set()
            assert not forking._is_shut


AT_THE_END = """
import atexit, sys, threading
thread = threading.Thread(target=lambda: (began.set(), [work() for _ in range(50)]), daemon=True)
began = threading.Event()
atexit.register(thread.join)  # of a program that waits for its daemon threads, when it has let go of its libraries
from edgeqa import forking
forking.ENDING_LIMIT_S = 0.1
def work():
    with forking.library_call():
        sum(range(10_000))
    began.wait()
thread.start()
began.wait()
"""


def test_a_daemon_thread_that_the_end_of_the_program_waits_for_comes_to_its_end(run: Run) -> None:
    process = run(AT_THE_END)
    assert process.communicate(timeout=DEADLINE_S) == ("", "")
    assert process.returncode == 0


def test_a_lock_of_a_library_is_free_in_a_child(run: Run) -> None:
    code = """
import os, threading
from edgeqa import forking
lock = forking.LibraryLock()
stop, began = False, threading.Event()
def hold():
    while not stop:
        with lock.turn():
            began.set()
            sum(range(20_000))
thread = threading.Thread(target=hold)
thread.start()
began.wait()
ended = []
for _ in range(20):
    child = os.fork()
    if not child:
        os._exit(0 if lock.hold() else 1)
    ended.append(os.waitpid(child, 0)[1])
stop = True
thread.join()
print(ended.count(0))
"""
    assert run(code).communicate(timeout=120) == ("20\n", "")
