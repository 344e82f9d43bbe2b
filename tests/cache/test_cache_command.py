"""Tests `edgeqa cache` as a person uses it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from test_faults import needs_verifier

from edgeqa import runtime
from edgeqa.cache import Cache
from edgeqa.cache.commits import Commits
from edgeqa.cache.store import StoreFault
from edgeqa.commands.cache import command
from edgeqa.errors import CacheUnchanged
from edgeqa.files import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.cache import Key


TEXT = ("--text", "The bridge was built in 1932.")


def key_for(question: str) -> Key:
    with runtime.open(persist="off") as qa:
        return qa.key(question, TEXT[1])


@pytest.fixture
def users_cache(home: Path) -> Iterator[Cache]:
    with Cache.open(home / "cache", provenance="edgeqa 0.1.0, mini") as cache:
        yield cache


def invoke(*arguments: str, answer: str = "", exit_code: int = 0) -> str:
    result = CliRunner().invoke(command, arguments, input=answer)
    assert result.exit_code == exit_code, result.output
    return result.stdout


def facts(*arguments: str, exit_code: int = 0) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(invoke(*arguments, "--json", exit_code=exit_code))


def test_looking_at_a_cache_that_does_not_exist_does_not_make_it(home: Path) -> None:
    assert "nothing is stored yet" in invoke("stats")
    assert facts("stats")["entries"] == 0
    assert facts("explain", "Who?", *TEXT, exit_code=1)["hit"] is False
    assert facts("verify")["sound"] is True
    invoke("clear", "--yes")
    assert not (home / "cache").exists()


def test_path(home: Path) -> None:
    assert invoke("path") == f"{home / 'cache' / 'format-1'}\n"
    assert facts("path") == {"path": str(home / "cache" / "format-1")}


def test_stats(users_cache: Cache) -> None:
    users_cache.put("a", 1)
    users_cache.get("a")
    users_cache.get("b")
    users_cache.close()
    found = facts("stats")
    assert (found["entries"], found["hit_ratio"], found["faults"], found["state"]) == (1, 0.5, {}, "open")
    text = invoke("stats")
    assert "entries    1" in text
    assert "hit ratio  50.0 % (1 hits, 1 misses)" in text
    assert "faults     none" in text


def test_explain_and_forget(users_cache: Cache) -> None:
    users_cache.put(key_for("Who?"), {"text": "x"})
    users_cache.flush()
    text = invoke("explain", "Who?", *TEXT)
    assert text.startswith("hit\n")
    assert "question   'who?'" in text
    assert "by edgeqa 0.1.0, mini" in text
    assert facts("explain", "Who?", *TEXT)["canonical"] == key_for("Who?").canonical.hex()
    assert facts("forget", "Who?", *TEXT) == {"forgotten": True}
    assert facts("forget", "Who?", *TEXT, exit_code=1) == {"forgotten": False}
    assert invoke("explain", "Who?", *TEXT, exit_code=1).startswith("miss: not stored\n")
    assert users_cache.get(key_for("Who?")) is None


def test_clear_asks_first(users_cache: Cache) -> None:
    users_cache.put("a", 1)
    users_cache.close()
    invoke("clear", answer="n\n", exit_code=1)
    assert facts("stats")["entries"] == 1
    assert invoke("clear", answer="y\n").endswith("cleared\n")
    assert facts("stats")["entries"] == 0


def test_clear_while_others_are_inside(users_cache: Cache) -> None:
    users_cache.put("a", 1)
    users_cache.flush()
    assert users_cache.get("a") == 1
    assert facts("clear", "--yes") == {"cleared": True}
    assert users_cache.get("a") is None
    assert facts("verify")["checked"] == "records only (other processes are using the cache)"


def unchanged(*arguments: str) -> str:
    """Returns what is said where nothing was changed."""
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, CacheUnchanged), result.output
    assert (result.exception.exit_code, result.stdout) == (3, "")
    return str(result.exception)


CHANGES = [("clear", "--yes"), ("forget", "Who?", *TEXT)]


@pytest.mark.parametrize("change", CHANGES)
def test_where_another_process_holds_the_entrance_it_says_which(
    change: tuple[str, ...], users_cache: Cache, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users_cache.put(key_for("Who?"), {"text": "x"})
    users_cache.close()
    monkeypatch.setattr("edgeqa.cache.guard.ENTER_WAIT_S", 0.0)
    monkeypatch.setattr("edgeqa.cache.backend.ENTER_WAIT_S", 0.0)
    with (home / "cache" / "format-1" / "guard").open("a") as entrance:
        assert try_lock(entrance.fileno(), fcntl.LOCK_EX)
        said = unchanged(*change)
    assert "the entrance: " in said
    if Path("/proc/locks").exists():
        assert f"process {os.getpid()} keeps it locked" in said
    assert facts("explain", "Who?", *TEXT)["hit"]


@pytest.mark.parametrize("change", CHANGES)
def test_where_the_cache_cannot_be_written_it_says_why(
    change: tuple[str, ...], users_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    users_cache.put(key_for("Who?"), {"text": "x"})
    users_cache.close()

    opened = os.open

    def refuse(path: str, flags: int, *more: int, **options: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        assert os.strerror(errno.EROFS) in unchanged(*change)
    assert facts("explain", "Who?", *TEXT)["hit"]


@pytest.mark.parametrize("change", CHANGES)
def test_where_the_disk_is_full_while_it_is_done_it_says_so(
    change: tuple[str, ...], users_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    users_cache.put(key_for("Who?"), {"text": "x"})
    users_cache.flush()

    def refuse(*_: object) -> None:
        raise StoreFault(kind="disk_full", reason="No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Commits, change[0] if change[0] == "clear" else "commit", refuse)
        assert "No space left on device" in unchanged(*change)
    users_cache.front.clear()
    assert users_cache.get(key_for("Who?")) == {"text": "x"}


@needs_verifier
def test_verify_puts_a_damaged_file_aside(users_cache: Cache, home: Path) -> None:
    users_cache.put("a", 1)
    users_cache.close()
    assert invoke("verify") == "sound (pages and records)\n"
    (home / "cache" / "format-1" / "data.mdb").write_bytes(b"x" * 10_000)
    assert "damaged" in invoke("verify", exit_code=3)
    assert invoke("verify") == "sound (pages and records)\n"
    assert facts("stats")["faults"] == {}


@pytest.mark.parametrize("name", ["", "stats", "path", "explain", "forget", "verify", "clear"])
def test_help_has_examples(name: str) -> None:
    assert "edgeqa cache " in invoke(*filter(None, [name]), "--help")
