"""What edgeqa remembers between runs: small JSON facts under one directory, the *home*.

In: a name (one file each), a key, a JSON value. Out: the value remembered under the key, or None. A fact is never
needed for a right answer, only to save time, so that nothing here raises for a home that is read-only, full, damaged
or not there at all; only for one that is no whole path. It does not hold answers (that is `cache`) nor contexts.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from edgeqa.errors import OptionError

HOME_VARIABLE = "EDGEQA_HOME"
NOWHERE = Path(os.devnull, "edgeqa")  # nothing can be made below what is no directory
# Variables and folders of the XDG Base Directory Specification, and macOS's folders.
_PLACES = {
    "cache": ("XDG_CACHE_HOME", "~/.cache", "~/Library/Caches"),
    "data": ("XDG_DATA_HOME", "~/.local/share", "~/Library/Application Support"),
}
MAX_HOME_BYTES = 400  # SQLite opens no path of more than 512, and what lies in the home has names, too
KEPT_ENTRIES = 32  # a name's oldest keys go first: old versions of bundles and of onnxruntime leave nothing behind


def home() -> Path:
    """Returns the directory of all of edgeqa's state: `$EDGEQA_HOME`, or the user's cache directory.

    `NOWHERE` for a user who has none: what is remembered there is not remembered.

    Raises:
        OptionError: if `$EDGEQA_HOME` is relative, or too long to have files in it.
    """
    return _directory("cache")


def data_home() -> Path:
    """Returns the directory of what the user made and would miss: `$EDGEQA_HOME`, or the user's data directory.

    Unlike `home`, which anybody may empty at any time. `NOWHERE` for a user who has none.
    """
    return _directory("data")


class NotPlain(OSError):
    """In the place of a file is a pipe, a socket or a device."""


def read_plain(file: Path) -> bytes:
    """Returns what is in a file of edgeqa's; never waits, nor reads without end, where it was replaced by a pipe.

    Raises:
        NotPlain: if it is a pipe, a socket or a device.
        OSError: if it cannot be read for another reason.
    """
    with open(file, "rb", buffering=0, opener=_open_at_once) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise NotPlain(errno.EINVAL, "not a plain file", str(file))
        return stream.read()


def _open_at_once(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NONBLOCK)


def recall(name: str, key: str) -> Any | None:  # noqa: ANN401 - any JSON value
    """Returns what was remembered under `key` of `name`, or None."""
    return _load(_file(name)).get(key)


def remember(name: str, key: str, value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Remembers `value`; returns whether that worked. The file is replaced in one step, never half written."""
    import tempfile  # here: what is only recalled, at every start, does without it

    file = _file(name)
    facts = _load(file)
    facts.pop(key, None)
    facts[key] = value
    kept = dict(list(facts.items())[-KEPT_ENTRIES:])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    except OSError:
        return False
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(kept, stream)
        Path(partial).replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            Path(partial).unlink()
        return False
    return True


def _directory(kind: str) -> Path:
    if chosen := os.environ.get(HOME_VARIABLE):
        return _chosen(chosen)
    variable, usual, on_macos = _PLACES[kind]
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():  # the specification has others ignored
        return Path(named, "edgeqa")
    try:
        return Path(on_macos if sys.platform == "darwin" else usual, "edgeqa").expanduser()
    except RuntimeError:  # no HOME, and a user id that has no entry in the system's list, as in many containers
        return NOWHERE


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
        facts = json.loads(read_plain(file).decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
