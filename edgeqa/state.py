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
NOWHERE = Path(os.devnull, "edgeqa")  # the null device is no directory, so that nothing can be made below it
# These are the variables and folders of the XDG Base Directory Specification, and the folders of macOS.
_PLACES = {
    "cache": ("XDG_CACHE_HOME", "~/.cache", "~/Library/Caches"),
    "data": ("XDG_DATA_HOME", "~/.local/share", "~/Library/Application Support"),
}
MAX_HOME_BYTES = 400  # SQLite opens no path of more than 512 bytes, names within the home included
_safe: set[Path] = set()
KEPT_ENTRIES = 32  # the oldest keys of a name are dropped, so that old bundles and old onnxruntimes leave nothing


def home() -> Path:
    """Returns the directory of all of edgeqa's state: `$EDGEQA_HOME`, or the user's cache directory.

    It is `NOWHERE` for a user without one, and nothing is remembered then. It may be a link; everything beneath it is
    edgeqa's, and no link there is followed.

    Raises:
        OptionError: if `$EDGEQA_HOME` is relative, or too long to have files in it.
        HomeUnsafe: if it is another user's, or others may write to it, on a file system that keeps owners and modes.
    """
    return _directory("cache")


def data_home() -> Path:
    """Returns the directory of things that the user made and would miss: `$EDGEQA_HOME`, or the user's data directory.

    It may not be emptied like `home`, which loses nothing by that. It is `NOWHERE` for a user without one.
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
    """Returns the fact that was remembered under `key` in the file `name`, or None."""
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
    if Path(named).is_absolute():  # the specification says to ignore relative paths
        return _checked(Path(named, "edgeqa"))
    try:
        return _checked(Path(on_macos if sys.platform == "darwin" else usual, "edgeqa").expanduser())
    except RuntimeError:  # HOME is not set, and the system does not know the user id, as in many containers
        return NOWHERE


def _checked(home: Path) -> Path:
    """Returns a home that is safe, or does not exist yet; it is checked until it has been found safe once."""
    if home not in _safe:
        files.own(home)
        try:
            found = home.stat()
        except OSError:  # it does not exist yet, or cannot be used at all
            return home
        if problem := _problem(found):
            if _keeps_modes(home) and not _is_container():
                raise HomeUnsafe(home, problem)
            import warnings

            warnings.warn(HomeShared(home, problem), stacklevel=4)
        _safe.add(home)
    return home


def _problem(found: os.stat_result) -> str:
    """Returns why a home is not safe from others; "" if it is. Root's folders are safe: root may do anything anyway."""
    if found.st_uid not in (os.geteuid(), 0):
        return f"it belongs to another user ({found.st_uid})"
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid)):
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""


def _is_private(group: int) -> bool:
    """Tells whether a group is this user's own: many systems make one for each user."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
        return user.pw_gid == group and {*grp.getgrgid(group).gr_mem} <= {user.pw_name}
    except KeyError:
        return False


def _keeps_modes(home: Path) -> bool:
    """Tells, by making a folder, whether the file system keeps owners and modes; True if no folder can be made.

    FAT, CIFS and much of FUSE do not keep them: all files there have the owner that the mount names.
    """
    try:
        made = files.new_folder(home, ".edgeqa-")
    except OSError:
        return True
    found = made.lstat()
    files.delete_folder(made)
    return found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == files.PRIVATE_FOLDER


def _is_container() -> bool:
    """Tells whether this is a container, which has users of its own: the owner of a folder from outside is a number."""
    return "container" in os.environ or any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))


def _chosen(home: str) -> Path:
    """Returns the home that the user has named; a relative one would be a different home in each folder."""
    path = Path(home)
    if home.startswith("~"):  # the shell leaves a tilde in quotes as it is
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
