"""The hardware that this process may use: a `Device` in, readings of memory, disks and processor out.

Inside a container the host's figures are too good. So memory is the least over the host and every control group around
this process, and no more cores count than the groups' quota pays for. A group's inactive file cache counts as
available: the kernel drops it before it refuses memory. Control groups are found for version 1, for version 2, for both
at once, and in containers, where /proc/self/cgroup names a path of the host that the container does not see.

Only physical cores count (int8 products gain nothing from a second thread on a core), among those that this process may
run on. Where cores differ, only the fast ones count, because a matrix product waits for its slowest part. Unknown flags
stay unknown (None), and the plan takes them for the worst; an empty tuple means that none of them is there. Kernels may
depend on any flag, and on the processor's make: one digest stands for all of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from edgeqa.capabilities import show_bytes
from edgeqa.capabilities.device import Reading
from edgeqa.capabilities.precision import FLAGS, digest_in, flags_in, make_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.capabilities.device import Device

RAM_DISK = "/dev/shm"  # noqa: S108 - looked at, not written to
MAX_OWN_BYTES = 16 << 20  # more memory than that belongs to the program around edgeqa
UNLIMITED_FROM_BYTES = 1 << 62  # version 1 says "no limit" with the largest multiple of a page
_LIMITS = {1: ("memory.limit_in_bytes",), 2: ("memory.max", "memory.high")}
_USED = {1: "memory.usage_in_bytes", 2: "memory.current"}
_INACTIVE_FILE = {1: "total_inactive_file", 2: "inactive_file"}
# Fast cores have at least this part of the fastest core's speed: prime and gold cores of phones and favoured cores of
# laptops do (0.85 and more); silver and efficiency cores do not (0.75 and less).
FAST_FROM = 0.8
_CPU = "/sys/devices/system/cpu/cpu"
_SPEEDS = ("cpu_capacity", "cpufreq/cpuinfo_max_freq")
_CPUINFO = "/proc/cpuinfo"
# macOS: the line of `sysctl` that holds a flag, and the word in it (its own line if it is "1").
_DARWIN = {
    "avx2": ("hw.optional.avx2_0", "1"),
    "avx512f": ("hw.optional.avx512f", "1"),
    "avx512_vnni": ("machdep.cpu.leaf7_features", "AVX512VNNI"),
    "asimddp": ("hw.optional.arm.FEAT_DotProd", "1"),
    "i8mm": ("hw.optional.arm.FEAT_I8MM", "1"),
}
# What `sysctl` says of a processor's make and abilities.
_DARWIN_MAKE = ("machdep.cpu.", "hw.optional.", "hw.cputype", "hw.cpusubtype", "hw.cpufamily", "hw.cpusubfamily")


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
    others = max(0, used - device.own_address_bytes())
    return Reading(max(0, limit - others), f"RLIMIT_AS {show_bytes(limit)}, {show_bytes(others)} used")


def home_free(device: Device, home: str) -> Reading[int]:
    """Returns the reading of the space that can be written to in `home`."""
    disk = device.disk(home)
    return Reading(disk.free_bytes, home) if disk.writable else Reading(None, f"{home} cannot be written to")


def file_system(device: Device, home: str) -> Reading[str]:
    """Returns the reading of the type of the file system that `home` is on."""
    around = [m for m in mounts(device) if PurePath(home).is_relative_to(m.point)]
    if not around:
        return Reading(None, "no mount holds it")
    # Among equally deep mounts, the last one hides the others.
    innermost = max(enumerate(around), key=lambda pair: (len(PurePosixPath(pair[1].point).parts), pair[0]))[1]
    return Reading(innermost.file_system, f"mounted on {innermost.point}")


def ram_disk(device: Device) -> Reading[int]:
    """Returns the reading of the space on the RAM disk."""
    if not any(m.point == RAM_DISK and m.file_system == "tmpfs" for m in mounts(device)):
        return Reading(None, f"no RAM disk on {RAM_DISK}")
    disk = device.disk(RAM_DISK)
    return Reading(disk.free_bytes, RAM_DISK) if disk.writable else Reading(None, f"{RAM_DISK} cannot be written to")


def mounts(device: Device) -> list[Mount]:
    """Returns the mounted file systems; raises OSError if they cannot be read."""
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
    """Returns the bytes of this process that count as used and are in a plan's sum, too: Python, and edgeqa so far."""
    try:
        _, resident, shared = map(int, device.read("/proc/self/statm").split()[:3])
        return min(MAX_OWN_BYTES, max(0, resident - shared) * device.page_size_bytes())
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


def cores(device: Device) -> Reading[int]:
    """Returns the reading of the cores that are worth using."""
    allowed = device.affinity()
    fast = _fast(device, allowed)
    count = _physical(device, fast)
    reason = f"physical cores of {len(allowed)} allowed processors"
    if len(fast) < len(allowed):
        reason = f"the fast cores among {len(allowed)} allowed processors"
    quota = _quota(device)
    if quota is not None and quota[0] < count:
        return Reading(quota[0], f"cpu quota of {quota[1].directory}")
    return Reading(count, reason)


def cpu_flags(device: Device, system: str | None) -> Reading[tuple[str, ...]]:
    """Returns the reading of those of `FLAGS` that every processor has."""
    if system == "Darwin":
        lines = _pairs(device.sysctl())
        found = {flag for flag, (name, word) in _DARWIN.items() if word in dict(lines).get(name, "").split()}
        return Reading(tuple(flag for flag in FLAGS if flag in found), "sysctl")
    flags = flags_in(device.read(_CPUINFO))
    return Reading(flags, _CPUINFO if flags is not None else f"{_CPUINFO} lists no flags")


def processor_digest(device: Device, system: str | None) -> Reading[str]:
    """Returns the reading of the digest of all that is said of the make and the flags of the processors."""
    if system == "Darwin":
        said = (pair for pair in _pairs(device.sysctl()) if pair[0].startswith(_DARWIN_MAKE))
        origin, found = "sysctl", make_digest(said)
    else:
        origin, found = _CPUINFO, digest_in(device.read(_CPUINFO))
    return Reading(found, origin if found is not None else f"{origin} says nothing of the processor")


def board(device: Device, system: str | None) -> Reading[str]:
    """Returns the reading of what the device calls itself."""
    if system == "Darwin":
        return Reading(dict(_pairs(device.sysctl()))["machdep.cpu.brand_string"], "sysctl")
    tree = "/proc/device-tree/model"
    try:
        return Reading(device.read(tree).strip("\0\n "), tree)
    except OSError:
        named = dict(_pairs(device.read(_CPUINFO)))
        for key in ("model name", "Model", "Hardware"):
            if named.get(key):
                return Reading(named[key], _CPUINFO)
    return Reading(None, f"{_CPUINFO} names none")


def _fast(device: Device, allowed: list[int]) -> list[int]:
    for name in _SPEEDS:
        try:
            speed = {cpu: int(device.read(f"{_CPU}{cpu}/{name}")) for cpu in allowed}
        except (OSError, ValueError):
            continue
        return [cpu for cpu in allowed if speed[cpu] >= FAST_FROM * max(speed.values())]
    return allowed


def _physical(device: Device, processors: list[int]) -> int:
    try:
        # Numbers of cores repeat from cluster to cluster; the list of a core's siblings is its own.
        return len({device.read(f"{_CPU}{cpu}/topology/thread_siblings_list").strip() for cpu in processors})
    except OSError:
        pass
    try:
        return min(len(processors), device.physical_cores())
    except OSError:
        return len(processors)


def _quota(device: Device) -> tuple[int, Group] | None:
    """Returns the smallest quota in whole cores, at least 1, and whose it is."""
    limited = ((_whole_cores(device, group), group) for group in groups(device, "cpu"))
    found = [(count, group) for count, group in limited if count is not None]
    return min(found, key=lambda pair: pair[0], default=None)


def _whole_cores(device: Device, group: Group) -> int | None:
    try:
        if group.version == 2:
            quota_us, period_us = device.read(f"{group.directory}/cpu.max").split()
        else:
            quota_us = device.read(f"{group.directory}/cpu.cfs_quota_us")
            period_us = device.read(f"{group.directory}/cpu.cfs_period_us")
        return max(1, int(quota_us) // int(period_us)) if int(quota_us) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no such controller here, or "max"
        return None


def _pairs(text: str) -> list[tuple[str, str]]:
    split = (line.partition(":") for line in text.splitlines())
    return [(name.strip(), value.strip()) for name, _, value in split]
