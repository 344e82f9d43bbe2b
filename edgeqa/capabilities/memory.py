"""How much memory there really is: a `Source` in, readings of total, available and address space out.

Inside a container the host's figures are wrong in the reassuring direction. So both figures are the least over the
host and every control group around this process. A group's inactive file cache counts as available: the kernel drops it
before it refuses memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.capabilities.cgroups import Group, groups
from edgeqa.capabilities.readings import Reading
from edgeqa.capabilities.sizes import show_bytes

if TYPE_CHECKING:
    from edgeqa.capabilities.source import Source

UNLIMITED_FROM_BYTES = 1 << 62  # version 1 says "no limit" with the largest multiple of a page
_LIMITS = {1: ("memory.limit_in_bytes",), 2: ("memory.max", "memory.high")}
_USED = {1: "memory.usage_in_bytes", 2: "memory.current"}
_INACTIVE_FILE = {1: "total_inactive_file", 2: "inactive_file"}


@dataclass(frozen=True, slots=True)
class _Room:
    total_bytes: int
    available_bytes: int | None
    origin: str


def memory(source: Source) -> tuple[Reading[int], Reading[int]]:
    """Returns the readings of total and available memory."""
    rooms, refused = [], ""
    try:
        rooms.append(_host(source))
    except (OSError, ValueError) as error:
        refused = f"the host's memory is unreadable: {error}"
    rooms += [room for group in groups(source, "memory") if (room := _group(source, group))]
    if not rooms:
        return Reading(None, refused), Reading(None, refused)
    total = min(rooms, key=lambda room: room.total_bytes)
    known = [(room.available_bytes, room.origin) for room in rooms if room.available_bytes is not None]
    available = Reading(*min(known)) if known else Reading[int](None, f"{total.origin} does not say what is available")
    return Reading(total.total_bytes, total.origin), available


def address_space(source: Source) -> Reading[int]:
    """Returns the reading of what RLIMIT_AS leaves to this process."""
    limit = source.address_space_limit_bytes()
    if limit is None:
        return Reading(None, "no limit")
    used = int(source.read("/proc/self/statm").split()[0]) * source.page_size_bytes()
    return Reading(max(0, limit - used), f"RLIMIT_AS {show_bytes(limit)}, {show_bytes(used)} used")


def _host(source: Source) -> _Room:
    try:
        lines = source.read("/proc/meminfo").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest.strip()}
        return _Room(kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024, "/proc/meminfo")
    except (OSError, ValueError, KeyError):  # not Linux, a kernel before 3.14, or not for us to read
        total, available = source.virtual_memory()
        return _Room(total, available, "operating system")


def _group(source: Source, group: Group) -> _Room | None:
    limits = [limit for name in _LIMITS[group.version] if (limit := _number(source, group, name)) is not None]
    limit = min(limits, default=UNLIMITED_FROM_BYTES)
    if limit >= UNLIMITED_FROM_BYTES:
        return None
    origin = f"cgroup v{group.version} {group.directory}"
    used = _number(source, group, _USED[group.version])
    if used is None:
        return _Room(limit, limit, f"{origin}, its use unreadable")
    return _Room(limit, max(0, limit - max(0, used - _inactive_file(source, group))), origin)


def _number(source: Source, group: Group, name: str) -> int | None:
    try:
        return int(source.read(f"{group.directory}/{name}"))
    except (OSError, ValueError):  # missing, unreadable, or "max"
        return None


def _inactive_file(source: Source, group: Group) -> int:
    try:
        lines = source.read(f"{group.directory}/memory.stat").splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[:1] == [_INACTIVE_FILE[group.version]])
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
