"""The processor: a `Device` in, readings of its cores, of its flags for int8, and of the board's name out.

Cores are physical ones (int8 products gain nothing from a second thread on a core), among those that this process may
run on; where cores differ, only the fast ones, because a matrix product waits for its slowest part; no more than the
control groups' quota pays for. Unknown flags stay unknown (None), and are then taken for the worst; an empty tuple
means that none of them is there. What kernels do may depend on any flag, and on the processor's make: a digest stands
for all of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.capabilities.device import Reading
from edgeqa.capabilities.memory import Group, groups
from edgeqa.capabilities.precision import FLAGS, digest_in, flags_in, make_digest

if TYPE_CHECKING:
    from edgeqa.capabilities.device import Device

# Of the fastest core's speed. Prime and gold cores of phones, and favoured cores of laptops, are within it (0.85 and
# more); silver and efficiency cores are not (0.75 and less).
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
