"""How much room there really is: a `Device` in, readings of memory, address space, disk and RAM disk out.

Inside a container the host's figures are wrong in the reassuring direction. So those of memory are the least over the
host and every control group around this process. A group's inactive file cache counts as available: the kernel drops it
before it refuses memory.

Control groups are found for versions 1 and 2, both at once, and containers, where /proc/self/cgroup names a path of the
host that the container does not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from edgeqa.capabilities.device import Reading
from edgeqa.capabilities.settings import show_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.capabilities.device import Device

RAM_DISK = "/dev/shm"  # noqa: S108 - looked at, not written to
MOST_OWN_BYTES = 16 << 20  # more than that is of the program that edgeqa is used in
UNLIMITED_FROM_BYTES = 1 << 62  # version 1 says "no limit" with the largest multiple of a page
_LIMITS = {1: ("memory.limit_in_bytes",), 2: ("memory.max", "memory.high")}
_USED = {1: "memory.usage_in_bytes", 2: "memory.current"}
_INACTIVE_FILE = {1: "total_inactive_file", 2: "inactive_file"}


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


@dataclass(frozen=True, slots=True)
class _Figures:
    total_bytes: int
    available_bytes: int | None
    origin: str


def memory(device: Device) -> tuple[Reading[int], Reading[int]]:
    """Returns the readings of total and available memory."""
    figures, refused = [], ""
    try:
        figures.append(_host(device))
    except (OSError, ValueError) as error:
        refused = f"the host's memory is unreadable: {error}"
    figures += [one for group in groups(device, "memory") if (one := _group(device, group))]
    if not figures:
        return Reading(None, refused), Reading(None, refused)
    total = min(figures, key=lambda one: one.total_bytes)
    own_bytes = _own(device)
    known = [
        (min(one.total_bytes, one.available_bytes + own_bytes), one.origin)
        for one in figures
        if one.available_bytes is not None
    ]
    available = Reading(*min(known)) if known else Reading[int](None, f"{total.origin} does not say what is available")
    return Reading(total.total_bytes, total.origin), available


def address_space(device: Device) -> Reading[int]:
    """Returns the reading of what RLIMIT_AS leaves to this process."""
    limit = device.address_space_limit_bytes()
    if limit is None:
        return Reading(None, "no limit")
    used = int(device.read("/proc/self/statm").split()[0]) * device.page_size_bytes()
    return Reading(max(0, limit - used), f"RLIMIT_AS {show_bytes(limit)}, {show_bytes(used)} used")


def home_free(device: Device, home: str) -> Reading[int]:
    """Returns the reading of the space that can be written to in `home`."""
    disk = device.disk(home)
    return Reading(disk.free_bytes, home) if disk.writable else Reading(None, f"{home} is read-only")


def file_system(device: Device, home: str) -> Reading[str]:
    """Returns the reading of the type of the file system that `home` is on."""
    around = [m for m in mounts(device) if PurePath(home).is_relative_to(m.point)]
    if not around:
        return Reading(None, "no mount holds it")
    # Of equally deep mounts the last one hides the others.
    innermost = max(enumerate(around), key=lambda pair: (len(PurePosixPath(pair[1].point).parts), pair[0]))[1]
    return Reading(innermost.file_system, f"mounted on {innermost.point}")


def ram_disk(device: Device) -> Reading[int]:
    """Returns the reading of the space on the RAM disk."""
    if not any(m.point == RAM_DISK and m.file_system == "tmpfs" for m in mounts(device)):
        return Reading(None, f"no RAM disk on {RAM_DISK}")
    disk = device.disk(RAM_DISK)
    return Reading(disk.free_bytes, RAM_DISK) if disk.writable else Reading(None, f"{RAM_DISK} is read-only")


def mounts(device: Device) -> list[Mount]:
    """Returns what is mounted; raises OSError if that cannot be read."""
    found = []
    for line in device.read("/proc/self/mountinfo").splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if separator and len(fields) >= 5 and len(kind) >= 3:
            found.append(Mount(_plain(fields[3]), _plain(fields[4]), kind[0], frozenset(kind[-1].split(","))))
    return found


def groups(device: Device, controller: str) -> Iterator[Group]:
    """Yields the groups that may limit `controller` ("memory", "cpu"), innermost first, of both versions.

    A directory need not exist: where the path is the host's, only its last one, the mount point, does.
    """
    for version, path in _memberships(device, controller):
        for mount in _mounted(device, version, controller):
            inside = _below(mount.root, path)
            for part in (inside, *inside.parents):
                yield Group(version, str(PurePosixPath(mount.point, part)))


def _memberships(device: Device, controller: str) -> list[tuple[int, str]]:
    try:
        lines = device.read("/proc/self/cgroup").splitlines()
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


def _mounted(device: Device, version: int, controller: str) -> list[Mount]:
    try:
        mounted = mounts(device)
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


def _host(device: Device) -> _Figures:
    try:
        lines = device.read("/proc/meminfo").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest.strip()}
        return _Figures(kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024, "/proc/meminfo")
    except (OSError, ValueError, KeyError):  # not Linux, a kernel before 3.14, or not for us to read
        total, available = device.virtual_memory()
        return _Figures(total, available, "operating system")


def _group(device: Device, group: Group) -> _Figures | None:
    limits = [limit for name in _LIMITS[group.version] if (limit := _number(device, group, name)) is not None]
    limit = min(limits, default=UNLIMITED_FROM_BYTES)
    if limit >= UNLIMITED_FROM_BYTES:
        return None
    origin = f"cgroup v{group.version} {group.directory}"
    used = _number(device, group, _USED[group.version])
    if used is None:
        return _Figures(limit, limit, f"{origin}, its use unreadable")
    return _Figures(limit, max(0, limit - max(0, used - _inactive_file(device, group))), origin)


def _own(device: Device) -> int:
    """Returns what of this process counts as used, and is in a plan's sum, too: Python, and edgeqa up to there."""
    try:
        _, resident, shared = map(int, device.read("/proc/self/statm").split()[:3])
        return min(MOST_OWN_BYTES, max(0, resident - shared) * device.page_size_bytes())
    except (OSError, ValueError):
        return 0


def _number(device: Device, group: Group, name: str) -> int | None:
    try:
        return int(device.read(f"{group.directory}/{name}"))
    except (OSError, ValueError):  # missing, unreadable, or "max"
        return None


def _inactive_file(device: Device, group: Group) -> int:
    try:
        lines = device.read(f"{group.directory}/memory.stat").splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[:1] == [_INACTIVE_FILE[group.version]])
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
