"""Tests `persist="memory"`: forked children share the map in RAM, and nothing is left after the end, or a crash."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeqa.cache import Cache, premises

if TYPE_CHECKING:
    from conftest import Run

needs_ram = pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no RAM file system to write to")  # noqa: S108


@needs_ram
def test_memory_is_a_map_in_ram_that_is_gone_after() -> None:
    with Cache.open(persist="memory") as cache:
        cache.put("a", 1)
        cache.flush()
        cache.front.clear()
        assert cache.get("a") == 1
        directory = cache.directory
        assert directory is not None
        assert directory.is_dir()
        assert Path("/dev/shm") in directory.parents  # noqa: S108
        assert cache.stats().state == "open"
    assert not directory.parent.exists()


@needs_ram
def test_who_wants_nothing_of_the_home_mapped_has_the_users_cache_in_memory(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEQA_MMAP", "0")
    with Cache.open() as cache:
        cache.put("a", 1)
        cache.flush()
        assert cache.persist == "memory"
        assert cache.directory is not None
        assert Path("/dev/shm") in cache.directory.parents  # noqa: S108
    assert not home.exists()
    with Cache.open(home) as named:  # who names a directory has it
        assert named.persist == "disk"


@needs_ram
def test_two_memory_caches_are_apart() -> None:
    with Cache.open(persist="memory") as one, Cache.open(persist="memory") as two:
        one.put("a", 1)
        assert two.get("a") is None


@needs_ram
def test_a_forked_child_shares_the_map_and_leaves_it() -> None:
    with Cache.open(persist="memory") as cache:
        cache.put("a", 1)
        cache.flush()
        child = os.fork()
        if child == 0:
            cache.front.clear()
            ok = cache.get("a") == 1
            cache.put("b", 2)
            cache.close()
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert cache.get("b") == 2
        assert cache.directory is not None
        assert cache.directory.exists()


@needs_ram
def test_what_a_killed_process_left_is_removed_at_the_next_start(run: Run) -> None:
    code = """
import sys
from edgeqa.cache import Cache
cache = Cache.open(persist="memory")
cache.put("a", 1)
cache.flush()
print(cache.directory, flush=True)
sys.stdin.read()
"""
    process = run(code)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    with Cache.open(persist="memory"):
        assert left.exists()  # its process lives
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left.exists()
    with Cache.open(persist="memory"):
        assert not left.parent.exists()


def test_without_a_ram_file_system_the_table_in_front_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeqa.cache.backend.make_directory_in_ram", lambda: None)
    with Cache.open(persist="memory") as cache:
        cache.put("a", 1)
        assert cache.get("a") == 1
        assert cache.stats().state == "this process only"


def test_only_places_that_are_in_ram_are_used(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("disk /dev/shm ext4 rw 0 0\n", encoding="ascii")
    assert premises.make_directory_in_ram(mounts) is None
    assert premises.make_directory_in_ram(tmp_path / "none") is None


def test_where_one_place_in_ram_is_gone_the_next_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(premises, "_candidates", lambda _: [tmp_path / "gone", tmp_path])
    made = premises.make_directory_in_ram()
    assert made is not None
    assert made.parent == tmp_path
    monkeypatch.setattr(premises, "_candidates", lambda _: [tmp_path / "gone"])
    assert premises.make_directory_in_ram() is None


def test_what_cannot_be_looked_at_does_not_keep_the_rest_from_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{premises._prefix()}{name}").mkdir()
        os.utime(tmp_path / f"{premises._prefix()}{name}", (0, 0))  # its maker is long gone
    locks = premises._locks
    refused = [OSError(13, "Permission denied")]

    def look(directory: Path) -> list[Path]:
        if refused:
            raise refused.pop()
        return locks(directory)

    monkeypatch.setattr(premises, "_locks", look)
    assert premises.remove_leftovers(tmp_path) == 2
    assert len(list(tmp_path.iterdir())) == 1


@needs_ram
def test_a_forked_child_that_closes_without_use_leaves_the_map_to_its_parent() -> None:
    with Cache.open(persist="memory") as cache:
        cache.put("a", 1)
        cache.flush()
        child = os.fork()
        if child == 0:
            cache.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert cache.directory is not None
        assert cache.directory.exists()
    assert not cache.directory.parent.exists()
