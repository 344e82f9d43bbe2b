"""Which control groups limit this process: a `Source` in, directories out, from the innermost to the outermost.

Covers version 1, version 2, both at once, and containers, where /proc/self/cgroup names a path of the host that the
container does not see. Limits are read by `memory` and `cores`; here nothing but places is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.capabilities.source import Source


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo."""

    root: str
    point: str
    file_system: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True)
class Group:
    """A control group's directory."""

    version: int
    directory: str


def mounts(source: Source) -> list[Mount]:
    """Returns what is mounted; raises OSError if that cannot be read."""
    found = []
    for line in source.read("/proc/self/mountinfo").splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if separator and len(fields) >= 5 and len(kind) >= 3:
            found.append(Mount(_plain(fields[3]), _plain(fields[4]), kind[0], frozenset(kind[-1].split(","))))
    return found


def groups(source: Source, controller: str) -> Iterator[Group]:
    """Yields the groups that may limit `controller` ("memory", "cpu"), innermost first, of both versions.

    A directory need not exist: where the path is the host's, only its last one, the mount point, does.
    """
    for version, path in _memberships(source, controller):
        for mount in _mounted(source, version, controller):
            inside = _below(mount.root, path)
            for part in (inside, *inside.parents):
                yield Group(version, str(PurePosixPath(mount.point, part)))


def _memberships(source: Source, controller: str) -> list[tuple[int, str]]:
    try:
        lines = source.read("/proc/self/cgroup").splitlines()
    except OSError:
        return [(1, "/"), (2, "/")]  # the mount points may still tell
    found = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            found.append((2, path))
        elif controller in controllers.split(","):
            found.append((1, path))
    return found


def _mounted(source: Source, version: int, controller: str) -> list[Mount]:
    try:
        mounted = mounts(source)
    except OSError:
        usual = f"/sys/fs/cgroup/{controller}" if version == 1 else "/sys/fs/cgroup"
        return [Mount("/", usual, "", frozenset())]
    if version == 2:
        return [m for m in mounted if m.file_system == "cgroup2"]
    return [m for m in mounted if m.file_system == "cgroup" and controller in m.options]


def _below(root: str, path: str) -> PurePosixPath:
    """Returns `path` as seen from the mount's root; "." if it lies elsewhere, as it does in a container."""
    try:
        inside = PurePosixPath(path).relative_to(root)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in inside.parts else inside


def _plain(field: str) -> str:
    # The kernel writes blanks in paths as \040.
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
