"""Tests `files`: what it opens, and what it does not open, in the places of edgeqa's own files."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeqa import files, state
from edgeqa.errors import HomeShared, HomeUnsafe
from edgeqa.files import NotOurs, NotPlain

if TYPE_CHECKING:
    from collections.abc import Callable


def pipe(place: Path) -> None:
    os.mkfifo(place)


def folder(place: Path) -> None:
    place.mkdir()


def listener(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:  # its name stays
        made.bind(os.fspath(place))


def link_to_a_file(place: Path) -> None:
    (place.parent.parent / "of the user").write_bytes(b"precious")
    place.symlink_to(place.parent.parent / "of the user")


def link_to_nowhere(place: Path) -> None:
    place.symlink_to(place.parent.parent / "not there yet")


def link_to_a_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def names(place: Path) -> list[str]:
    return [found.name for found in place.iterdir()]


HOSTILE = [pipe, folder, listener, link_to_a_file, link_to_nowhere, link_to_a_device]
WAYS: list[Callable[[Path], object]] = [
    files.read,
    files.reading,
    lambda place: files.opened(place, os.O_RDWR | os.O_CREAT),
    lambda place: files.create(place, replacing=True),
    files.check_plain,
]


@pytest.mark.parametrize("flags", [os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC])
def test_a_file_that_has_another_name_is_read_and_not_written(flags: int, own: Path) -> None:
    """A hard link: whoever put it there, what it is besides is not known."""
    of_the_user = own.parent / "of the user"
    of_the_user.write_bytes(b"precious")
    (own / "ledger").hardlink_to(of_the_user)
    assert files.read(own / "ledger") == b"precious"
    files.check_plain(own / "ledger")
    for way in (lambda: files.opened(own / "ledger", flags), lambda: files.check_plain(own / "ledger", written=True)):
        with pytest.raises(NotPlain, match="ledger has another name besides"):
            way()
    files.replace_file(own / "ledger", b"ours")  # the name alone
    assert (of_the_user.read_bytes(), files.read(own / "ledger")) == (b"precious", b"ours")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own" / "below").mkdir(parents=True)
    return files.own(tmp_path / "own")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("replace", HOSTILE)
def test_nothing_but_a_file_is_opened(
    replace: Callable[[Path], None], way: Callable[[Path], object], own: Path
) -> None:
    replace(own / "ledger")
    with pytest.raises(NotPlain, match="ledger is a"):
        way(own / "ledger")
    assert not (own.parent / "not there yet").exists()
    if replace is link_to_a_file:
        assert (own.parent / "of the user").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "way", [*WAYS, files.delete, lambda place: files.make_folder(place.with_name("new")), files.delete_folder]
)
def test_no_link_is_followed_on_the_way(way: Callable[[Path], object], own: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "ledger").write_bytes(b"precious")
    (own / "below").rmdir()
    (own / "below").symlink_to(tmp_path / "elsewhere")
    if way is files.delete_folder:
        way(own / "below")
        way(own / "below" / "ledger")
    else:
        with pytest.raises(NotPlain, match="below is a link to another place"):
            way(own / "below" / "ledger")
    assert names(tmp_path / "elsewhere") == ["ledger"]
    assert (tmp_path / "elsewhere" / "ledger").read_bytes() == b"precious"


def test_what_is_edgeqas_may_itself_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    own = files.own(tmp_path / "home")
    files.make_folders(own / "a" / "b")
    files.replace_file(own / "a" / "b" / "c", b"1")
    assert files.read(tmp_path / "disk" / "a" / "b" / "c") == b"1"


def test_elsewhere_a_link_is_followed_to_read_and_not_to_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert files.read(tmp_path / "link") == b"1"
    with pytest.raises(NotPlain):
        files.create(tmp_path / "link", replacing=True)
    assert (tmp_path / "file").read_bytes() == b"1"


def test_a_folder_is_deleted_with_its_links_but_not_with_what_they_lead_to(own: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"precious")
    (own / "below" / "deep").mkdir()
    (own / "below" / "deep" / "link").symlink_to(tmp_path / "elsewhere")
    (own / "below" / "file").write_bytes(b"")
    os.mkfifo(own / "below" / "pipe")
    files.delete_folder(own / "below")
    assert names(own) == []
    assert (tmp_path / "elsewhere" / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_what_is_made_is_its_owners_alone(umask: int, own: Path) -> None:
    before = os.umask(umask)
    try:
        files.make_folders(own / "a" / "b")
        files.replace_file(own / "a" / "file", b"1")
        files.replace_file(own / "a" / "other", b"1", alone=False, synced=False)
    finally:
        os.umask(before)
    assert {stat.S_IMODE((own / "a" / name).stat().st_mode) for name in ("", "b")} == {0o700}
    assert {stat.S_IMODE((own / "a" / name).stat().st_mode) for name in ("file", "other")} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_of_another_user_is_read_and_not_written(own: Path) -> None:
    (own / "ledger").write_bytes(b"1")
    os.chown(own / "ledger", 12345, 12345)
    assert files.read(own / "ledger") == b"1"
    for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        with pytest.raises(NotOurs, match=r"ledger belongs to another user \(12345\)"):
            files.opened(own / "ledger", flags)
    assert files.read(own / "ledger") == b"1"
    os.chown(own, 12345, 12345)  # as where a file system has one owner for all that is in it
    os.close(files.opened(own / "ledger", os.O_RDWR))


def test_nothing_is_left_open(own: Path) -> None:
    before = len(names(Path("/dev/fd")))
    for replace in HOSTILE:
        place = own / replace.__name__
        replace(place)
        for way in WAYS:
            with pytest.raises(NotPlain):
                way(place)
    with pytest.raises(FileNotFoundError) as missing:
        files.read(own / "below" / "missing")
    assert missing.value.filename == str(own / "below" / "missing")
    assert len(names(Path("/dev/fd"))) <= before


def test_a_folder_is_locked_once(own: Path) -> None:
    held = files.lock_folder(own / "below")
    assert held is not None
    assert files.lock_folder(own / "below") is None
    files.unlock(held)
    os.close(held)
    again = files.lock_folder(own / "below")
    assert again is not None
    os.close(again)
    assert files.lock_folder(own / "missing") is None


def test_who_waits_for_a_lock_waits_so_long_and_no_longer(own: Path) -> None:
    first, second = (files.opened(own / "guard", os.O_RDWR | os.O_CREAT) for _ in range(2))
    files.lock_within(first, fcntl.LOCK_EX, 0.0)
    with pytest.raises(TimeoutError, match="keeps it locked"):
        files.lock_within(second, fcntl.LOCK_EX, 0.01)
    files.unlock(first)
    files.lock_within(second, fcntl.LOCK_EX, 0.0)
    os.close(first)
    os.close(second)


# --- whose the home is ------------------------------------------------------------------------------------------------


@pytest.fixture
def on_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the tests see none of a container that they may run in."""
    monkeypatch.setattr(state, "_is_container", lambda: False)


@pytest.mark.usefixtures("on_a_machine")
def test_a_home_that_others_may_write_to_is_refused(home: Path) -> None:
    home.mkdir()
    home.chmod(0o1777)
    with pytest.raises(HomeUnsafe, match=r"others may write to it \(mode 1777\)") as refused:
        state.home()
    assert f"chmod go-w {home}" in refused.value.hint
    assert names(home) == []
    home.chmod(0o755)
    assert state.home() == state.data_home() == home


@pytest.mark.usefixtures("on_a_machine")
def test_a_home_that_a_group_may_write_to_is_refused_unless_it_is_the_users_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    home.chmod(0o775)
    monkeypatch.setattr(state, "_is_private", lambda _: False)
    with pytest.raises(HomeUnsafe, match="mode 0775"):
        state.home()
    monkeypatch.setattr(state, "_is_private", lambda _: True)
    assert state.home() == home


@pytest.mark.usefixtures("on_a_machine")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_home_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    os.chown(home, 12345, 12345)
    with pytest.raises(HomeUnsafe, match=r"it belongs to another user \(12345\)"):
        state.data_home()
    os.chown(home, 0, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)  # what is root's is safe for all
    assert state.data_home() == home


def test_where_modes_mean_nothing_there_is_one_warning(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setattr(state, "_keeps_modes", lambda _: False)
    with pytest.warns(HomeShared, match="whoever can write there decides what edgeqa answers") as warned:
        assert state.home() == state.home() == home
    assert len(warned) == 1


def test_in_a_container_there_is_a_warning(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv("container", "podman")
    with pytest.warns(HomeShared):
        assert state.data_home() == home


def test_a_file_system_keeps_modes_if_a_folder_is_its_makers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state._keeps_modes(tmp_path)
    assert names(tmp_path) == []
    assert state._keeps_modes(tmp_path / "where none can be made")
    monkeypatch.setattr(files, "new_folder", lambda above, _: above)
    tmp_path.chmod(0o777)
    monkeypatch.setattr(files, "delete_folder", lambda _: None)
    assert not state._keeps_modes(tmp_path)
