"""Tests the home of a user's files, and facts kept between runs: a damaged file is no memory, and is mended."""

from __future__ import annotations

import errno
import os
import pwd
import sys
from typing import TYPE_CHECKING

import pytest

from edgeqa import OptionError, state
from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.models.bundle import BUNDLED
from edgeqa.models.shelf import IN_USE, in_use
from edgeqa.runtime import open as open_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.models.bundle import Bundle


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom the system knows nothing, as in a container that is run under any number."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in (state.HOME_VARIABLE, "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_what_would_be_missed_does_not_lie_among_what_may_be_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(state.HOME_VARIABLE, raising=False)
    assert state.data_home() != state.home()
    monkeypatch.setenv(state.HOME_VARIABLE, "/somewhere")
    assert state.data_home() == state.home()


@pytest.mark.parametrize(
    ("system", "named", "cache", "data"),
    [
        ("linux", "", "/home/ada/.cache/edgeqa", "/home/ada/.local/share/edgeqa"),
        ("linux", "/big", "/big/edgeqa", "/big/edgeqa"),
        ("linux", "here", "/home/ada/.cache/edgeqa", "/home/ada/.local/share/edgeqa"),
        ("darwin", "", "/home/ada/Library/Caches/edgeqa", "/home/ada/Library/Application Support/edgeqa"),
    ],
)
def test_the_home_is_where_a_users_programs_keep_such_things(
    monkeypatch: pytest.MonkeyPatch, system: str, named: str, cache: str, data: str
) -> None:
    monkeypatch.delenv(state.HOME_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, named)
    monkeypatch.setattr(sys, "platform", system)
    assert (str(state.home()), str(state.data_home())) == (cache, data)


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_remembers_nothing() -> None:
    assert state.home() == state.data_home() == state.NOWHERE
    assert not state.remember("facts", "key", 1)
    assert state.recall("facts", "key") is None


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_is_told_so_and_answered(bundle: Bundle) -> None:
    device = probe(providers=False)
    assert (device.home.value, device.home_free_bytes.value, device.home_file_system.value) == (None, None, None)
    for reading in (device.home, device.home_free_bytes, device.home_file_system):
        assert "no home directory" in reading.reason
    plan = make_plan(device, bundle.needs())
    assert plan.persist.value != "disk"
    assert "no home directory" in plan.persist.reason
    with open_runtime(persist="disk") as qa:  # even where it is insisted on
        assert qa.ask("Who built the bridge?", "The bridge was built by Dorman Long.").text == "Dorman Long"


def test_a_home_that_cannot_be_looked_at_is_none_and_a_question_is_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As root's is for another user, whose $HOME may still say that it is his; here by a name that no disk can have."""
    monkeypatch.setenv(state.HOME_VARIABLE, str(tmp_path / ("x" * 256)))
    with open_runtime() as qa:
        answer = qa.ask("Who built the bridge?", "The bridge was built by Dorman Long.")
    assert (answer.text, answer.cached) == ("Dorman Long", False)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to nowhere"])
def test_what_is_no_file_is_neither_waited_for_nor_read(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(state.HOME_VARIABLE, str(tmp_path))
    text = tmp_path / "bridge.txt"
    text.write_text("The bridge was built by Dorman Long.")
    with open_runtime(persist="disk") as qa:
        qa.add(text)
    collection = tmp_path / "collections" / "default"
    named = [tmp_path / "self-tests.json", tmp_path / "models" / IN_USE, collection / "snapshot.json"]
    named += [tmp_path / "cache" / "format-1" / name for name in ("header", "seal")]
    for file in [*named, collection / "seals.json"]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        else:
            file.symlink_to("/dev/zero" if kind == "device" else tmp_path / "nowhere")
    assert in_use() == BUNDLED
    assert state.recall("self-tests", "key") is None
    with open_runtime(persist="disk") as qa:
        assert qa.ask("Who built the bridge?").text == "Dorman Long"
        assert len(qa.list()) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\ufeff{}", "[" * 100_000, "1" * 5000])
def test_a_damaged_file_is_no_memory_and_is_mended(home: Path, text: str) -> None:
    home.mkdir()
    (home / "facts.json").write_text(text, encoding="utf-8")
    assert state.recall("facts", "key") is None
    assert state.remember("facts", "key", {"a": 1})
    assert state.recall("facts", "key") == {"a": 1}


def test_a_disk_that_fills_up_while_writing_leaves_what_was_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    state.remember("facts", "key", 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        assert not state.remember("facts", "key", 2)
    assert state.recall("facts", "key") == 1
    assert [file.name for file in home.iterdir()] == ["facts.json"]


def test_a_home_is_a_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for home in ("here", "./here", "../there", ""):
        monkeypatch.setenv(state.HOME_VARIABLE, home)
        if home:
            with pytest.raises(OptionError, match="EDGEQA_HOME cannot be"):
                state.home()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(state.HOME_VARIABLE, "~/answers")
    assert state.home() == tmp_path / "answers"


def test_a_home_that_is_too_long_for_its_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(state.HOME_VARIABLE, "/" + "é" * 250)
    with pytest.raises(OptionError) as refused:
        state.data_home()
    assert refused.value.hint == "EDGEQA_HOME is a path of at most 400 bytes"
