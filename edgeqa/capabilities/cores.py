"""How many cores to count on: a `Source` in, a reading out.

Physical cores (int8 products gain nothing from a second thread on a core), among those that this process may run on;
where cores differ, only the fast ones, because a matrix product waits for its slowest part; no more than the control
groups' quota pays for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.capabilities.cgroups import Group, groups
from edgeqa.capabilities.readings import Reading

if TYPE_CHECKING:
    from edgeqa.capabilities.source import Source

# Of the fastest core's speed. Prime and gold cores of phones, and favoured cores of laptops, are within it (0.85 and
# more); silver and efficiency cores are not (0.75 and less).
FAST_FROM = 0.8
_CPU = "/sys/devices/system/cpu/cpu"
_SPEEDS = ("cpu_capacity", "cpufreq/cpuinfo_max_freq")


def cores(source: Source) -> Reading[int]:
    """Returns the reading of the cores that are worth using."""
    allowed = source.affinity()
    fast = _fast(source, allowed)
    count = _physical(source, fast)
    reason = f"physical cores of {len(allowed)} allowed processors"
    if len(fast) < len(allowed):
        reason = f"the fast cores among {len(allowed)} allowed processors"
    quota = _quota(source)
    if quota is not None and quota[0] < count:
        return Reading(quota[0], f"cpu quota of {quota[1].directory}")
    return Reading(count, reason)


def _fast(source: Source, allowed: list[int]) -> list[int]:
    for name in _SPEEDS:
        try:
            speed = {cpu: int(source.read(f"{_CPU}{cpu}/{name}")) for cpu in allowed}
        except (OSError, ValueError):
            continue
        return [cpu for cpu in allowed if speed[cpu] >= FAST_FROM * max(speed.values())]
    return allowed


def _physical(source: Source, processors: list[int]) -> int:
    try:
        # Numbers of cores repeat from cluster to cluster; the list of a core's siblings is its own.
        return len({source.read(f"{_CPU}{cpu}/topology/thread_siblings_list").strip() for cpu in processors})
    except OSError:
        pass
    try:
        return min(len(processors), source.physical_cores())
    except OSError:
        return len(processors)


def _quota(source: Source) -> tuple[int, Group] | None:
    """Returns the smallest quota in whole cores, at least 1, and whose it is."""
    limited = ((_whole_cores(source, group), group) for group in groups(source, "cpu"))
    found = [(count, group) for count, group in limited if count is not None]
    return min(found, key=lambda pair: pair[0], default=None)


def _whole_cores(source: Source, group: Group) -> int | None:
    try:
        if group.version == 2:
            quota_us, period_us = source.read(f"{group.directory}/cpu.max").split()
        else:
            quota_us = source.read(f"{group.directory}/cpu.cfs_quota_us")
            period_us = source.read(f"{group.directory}/cpu.cfs_period_us")
        return max(1, int(quota_us) // int(period_us)) if int(quota_us) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no such controller here, or "max"
        return None
