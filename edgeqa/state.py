"""Facts that edgeqa remembers between runs: small JSON values under one directory, the *home*.

In: a name (one file each), a key, a JSON value. Out: the value remembered under the key, or None. Facts save time, and
a right answer never needs one. So no function here raises for a home that is read-only, full, damaged or missing; they
do raise for a home that is not a whole path, or that others may write to. Answers are not kept here (`cache` does
that), nor are contexts.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from edgeqa import files
from edgeqa.errors import FilesLimited, HomeShared, HomeUnsafe, OptionError

HOME_VARIABLE, MMAP_VARIABLE = "EDGEQA_HOME", "EDGEQA_MMAP"
NOWHERE = Path(os.devnull, "edgeqa")  # nothing can be made below what is no directory
# Variables and folders of the XDG Base Directory Specification, and macOS's folders.
_PLACES = {
    "cache": ("XDG_CACHE_HOME", "~/.cache", "~/Library/Caches"),
    "data": ("XDG_DATA_HOME", "~/.local/share", "~/Library/Application Support"),
}
MAX_HOME_BYTES = 400  # SQLite opens no path of more than 512, and what lies in the home has names, too
_safe: set[Path] = set()
KEPT_ENTRIES = 32  # a name's oldest keys go first: old versions of bundles and of onnxruntime leave nothing behind


def home() -> Path:
    """Returns the directory of all of edgeqa's state: `$EDGEQA_HOME`, or the user's cache directory.

    `NOWHERE` for a user who has none: what is remembered there is not remembered. It may be a link; what is beneath it
    is edgeqa's, and no link there is followed.

    Raises:
        OptionError: if `$EDGEQA_HOME` is relative, or too long to have files in it.
        HomeUnsafe: if it is another user's, or others may write to it, on a file system that keeps owners and modes.
    """
    return _directory("cache")


def data_home() -> Path:
    """Returns the directory of what the user made and would miss: `$EDGEQA_HOME`, or the user's data directory.

    Unlike `home`, which anybody may empty at any time. `NOWHERE` for a user who has none.
    """
    return _directory("data")


def maps_files() -> bool | None:
    """Returns whether `$EDGEQA_MMAP` says that files are mapped into memory; None if it says nothing.

    Raises:
        OptionError: if it says something else.
    """
    said = os.environ.get(MMAP_VARIABLE, "")
    if said not in {"", "0", "1"}:
        raise OptionError(MMAP_VARIABLE, said, "0, to have files read instead of mapped, or 1")
    return None if not said else said == "1"


def recall(name: str, key: str) -> Any | None:  # noqa: ANN401 - any JSON value
    """Returns what was remembered under `key` of `name`, or None."""
    return _load(_file(name)).get(key)


def remember(name: str, key: str, value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Remembers `value`; returns whether that worked. The file is replaced in one step, never half written."""
    file = _file(name)
    facts = _load(file)
    facts.pop(key, None)
    facts[key] = value
    kept = dict(list(facts.items())[-KEPT_ENTRIES:])
    try:
        files.make_folders(file.parent)
        files.replace_file(file, json.dumps(kept).encode(), alone=False, synced=False)
    except (OSError, FilesLimited):
        return False
    return True


def _directory(kind: str) -> Path:
    if chosen := os.environ.get(HOME_VARIABLE):
        return _checked(_chosen(chosen))
    variable, usual, on_macos = _PLACES[kind]
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():  # the specification has others ignored
        return _checked(Path(named, "edgeqa"))
    try:
        return _checked(Path(on_macos if sys.platform == "darwin" else usual, "edgeqa").expanduser())
    except RuntimeError:  # no HOME, and a user id that has no entry in the system's list, as in many containers
        return NOWHERE


def _checked(home: Path) -> Path:
    """Returns a home that is safe, or not there yet; it is looked at until it has been found safe once."""
    if home not in _safe:
        files.own(home)
        try:
            found = home.stat()
        except OSError:  # it is not there yet, or cannot be used, either
            return home
        if problem := _problem(found):
            if _keeps_modes(home) and not _is_container():
                raise HomeUnsafe(home, problem)
            import warnings

            warnings.warn(HomeShared(home, problem), stacklevel=4)
        _safe.add(home)
    return home


def _problem(found: os.stat_result) -> str:
    """Returns why a home is not its user's alone; "" if it is. Root's folders are safe: root may do anything anyway."""
    if found.st_uid not in (os.geteuid(), 0):
        return f"it belongs to another user ({found.st_uid})"
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid)):
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""


def _is_private(group: int) -> bool:
    """Tells whether a group is this user's own, as many systems make one for each user."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
        return user.pw_gid == group and {*grp.getgrgid(group).gr_mem} <= {user.pw_name}
    except KeyError:
        return False


def _keeps_modes(home: Path) -> bool:
    """Tells whether the file system keeps owners and modes, by a folder that is made; where none can be made, it does.

    FAT, CIFS and much of FUSE do not: everything there is somebody's whom whoever mounted it has named.
    """
    try:
        made = files.new_folder(home, ".edgeqa-")
    except OSError:
        return True
    found = made.lstat()
    files.delete_folder(made)
    return found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == files.PRIVATE_FOLDER


def _is_container() -> bool:
    """Tells whether this is a container, whose users are its own: a folder from outside belongs to a number there."""
    return "container" in os.environ or any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))


def _chosen(home: str) -> Path:
    """Returns the home that the user has named; a relative one would be another home in each folder."""
    path = Path(home)
    if home.startswith("~"):  # as the shell leaves it in quotes
        with contextlib.suppress(RuntimeError):
            path = path.expanduser()
    if not path.is_absolute():
        raise OptionError(HOME_VARIABLE, home, "a whole path, as /home/ada/edgeqa")
    if len(os.fsencode(path)) > MAX_HOME_BYTES:
        raise OptionError(HOME_VARIABLE, home, f"a path of at most {MAX_HOME_BYTES} bytes")
    return path


def _file(name: str) -> Path:
    return home() / f"{name}.json"


def _load(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(files.read(file).decode())
    except (OSError, ValueError, RecursionError, FilesLimited):
        return {}
    return facts if isinstance(facts, dict) else {}
