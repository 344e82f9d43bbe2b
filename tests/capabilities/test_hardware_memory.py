"""Tests what is read of memory: the least of the host and of every control group, and limits of the address space."""

from __future__ import annotations

import sys

import pytest
from machines import GIB, HYBRID_MOUNTS, MIB, ROOT_MOUNT, V1_MOUNTS, V2_MOUNT, machine

from edgeqa.capabilities.device import Device, RecordedDevice
from edgeqa.capabilities.hardware import address_space, memory

V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"
NO_LIMIT_V1 = "9223372036854771712\n"


def v1_group(path: str, limit: str, used_bytes: int, inactive_bytes: int = 0) -> dict[str, str | None]:
    return {
        f"{path}/memory.limit_in_bytes": limit,
        f"{path}/memory.usage_in_bytes": f"{used_bytes}\n",
        f"{path}/memory.stat": f"inactive_file 1\ntotal_cache 5\ntotal_inactive_file {inactive_bytes}\n",
    }


def v2_group(path: str, limit: str, used_bytes: int, inactive_bytes: int = 0) -> dict[str, str | None]:
    return {
        f"{path}/memory.max": limit,
        f"{path}/memory.current": f"{used_bytes}\n",
        f"{path}/memory.stat": f"anon 3\ninactive_file {inactive_bytes}\n",
    }


def mib(count: int) -> str:
    return f"{count * MIB}\n"


MACHINES: dict[str, tuple[RecordedDevice, int, int, str]] = {
    "the host alone": (machine(), 8 * GIB, 6 * GIB, "/proc/meminfo"),
    "v2, inactive file cache is available": (
        machine({"/proc/self/cgroup": "0::/a\n", **v2_group(f"{V2}/a", mib(512), 300 * MIB, 100 * MIB)}),
        512 * MIB,
        312 * MIB,
        f"cgroup v2 {V2}/a",
    ),
    "v2, nested, the ancestor is the tighter": (
        machine(
            {
                "/proc/self/cgroup": "0::/a/b/c\n",
                **v2_group(f"{V2}/a", mib(400), 350 * MIB),
                **v2_group(f"{V2}/a/b", "max\n", 340 * MIB),
                **v2_group(f"{V2}/a/b/c", mib(600), 10 * MIB),
            }
        ),
        400 * MIB,
        50 * MIB,
        f"cgroup v2 {V2}/a",
    ),
    "v2, total and available limited by different groups": (
        machine(
            {
                "/proc/self/cgroup": "0::/a/b\n",
                **v2_group(f"{V2}/a", mib(1000), 990 * MIB),
                **v2_group(f"{V2}/a/b", mib(500), 100 * MIB),
            }
        ),
        500 * MIB,
        10 * MIB,
        f"cgroup v2 {V2}/a",
    ),
    "v2, max": (
        machine({"/proc/self/cgroup": "0::/a\n", **v2_group(f"{V2}/a", "max\n", 7 * GIB)}),
        8 * GIB,
        6 * GIB,
        "/proc/meminfo",
    ),
    "v2, high below max": (
        machine({"/proc/self/cgroup": "0::/a\n", **v2_group(f"{V2}/a", mib(512), 0), f"{V2}/a/memory.high": mib(256)}),
        256 * MIB,
        256 * MIB,
        f"cgroup v2 {V2}/a",
    ),
    "v2, more in use than the limit": (
        machine({"/proc/self/cgroup": "0::/a\n", **v2_group(f"{V2}/a", mib(100), 120 * MIB)}),
        100 * MIB,
        0,
        f"cgroup v2 {V2}/a",
    ),
    "v2 in a container: the path is the host's": (
        machine({"/proc/self/cgroup": "0::/docker/1234\n", **v2_group(V2, mib(512), 12 * MIB)}),
        512 * MIB,
        500 * MIB,
        f"cgroup v2 {V2}",
    ),
    "v2 in a namespace: the path leads upwards": (
        machine(
            {
                "/proc/self/cgroup": "0::/../../x\n",
                **v2_group(V2, mib(512), 12 * MIB),
                **v2_group(f"{V2}/../../x", mib(1), 0),  # not a group of ours, whatever it is
            }
        ),
        512 * MIB,
        500 * MIB,
        f"cgroup v2 {V2}",
    ),
    "v1": (
        machine(
            {
                "/proc/self/mountinfo": V1_MOUNTS,
                "/proc/self/cgroup": "9:memory:/a\n1:name=systemd:/a\n",
                **v1_group(V1, NO_LIMIT_V1, 5 * GIB),
                **v1_group(f"{V1}/a", mib(512), 200 * MIB, 50 * MIB),
            }
        ),
        512 * MIB,
        362 * MIB,
        f"cgroup v1 {V1}/a",
    ),
    "v1, no limit": (
        machine(
            {
                "/proc/self/mountinfo": V1_MOUNTS,
                "/proc/self/cgroup": "9:memory:/\n",
                **v1_group(V1, NO_LIMIT_V1, 5 * GIB),
            }
        ),
        8 * GIB,
        6 * GIB,
        "/proc/meminfo",
    ),
    "v1 in a container: the mount's root is the group": (
        machine(
            {
                "/proc/self/mountinfo": f"35 31 0:32 /docker/1 {V1} rw - cgroup cgroup rw,memory\n",
                "/proc/self/cgroup": "4:memory:/docker/1/inner\n",
                **v1_group(V1, mib(900), 0),
                **v1_group(f"{V1}/inner", mib(700), 0),
            }
        ),
        700 * MIB,
        700 * MIB,
        f"cgroup v1 {V1}/inner",
    ),
    "hybrid: memory is v1, v2 has no controllers": (
        machine(
            {
                "/proc/self/mountinfo": HYBRID_MOUNTS,
                "/proc/self/cgroup": "4:memory:/a\n0::/a\n",
                **v1_group(f"{V1}/a", mib(300), 0),
            }
        ),
        300 * MIB,
        300 * MIB,
        f"cgroup v1 {V1}/a",
    ),
    "mounted at a path with a blank": (
        machine(
            {
                "/proc/self/mountinfo": V2_MOUNT.replace(V2, "/my\\040groups"),
                "/proc/self/cgroup": "0::/a\n",
                **v2_group("/my groups/a", mib(128), 0),
            }
        ),
        128 * MIB,
        128 * MIB,
        "cgroup v2 /my groups/a",
    ),
    "mounts unreadable: the usual place": (
        machine(
            {"/proc/self/cgroup": "0::/a\n", **v2_group(f"{V2}/a", mib(128), 0)}, unreadable=("/proc/self/mountinfo",)
        ),
        128 * MIB,
        128 * MIB,
        f"cgroup v2 {V2}/a",
    ),
    "membership unreadable: the mount point": (
        machine(v2_group(V2, mib(128), 28 * MIB), unreadable=("/proc/self/cgroup",)),
        128 * MIB,
        100 * MIB,
        f"cgroup v2 {V2}",
    ),
    "a group's use unreadable": (
        machine({"/proc/self/cgroup": "0::/a\n", f"{V2}/a/memory.max": mib(128)}),
        128 * MIB,
        128 * MIB,
        f"cgroup v2 {V2}/a, its use unreadable",
    ),
    "nonsense in a limit": (
        machine({"/proc/self/cgroup": "0::/a\n", **v2_group(f"{V2}/a", "lots\n", 0)}),
        8 * GIB,
        6 * GIB,
        "/proc/meminfo",
    ),
    "an old kernel without MemAvailable": (
        machine({"/proc/meminfo": "MemTotal: 999 kB\n"}, virtual_memory=[2 * GIB, 1 * GIB]),
        2 * GIB,
        1 * GIB,
        "operating system",
    ),
    "no /proc at all": (
        machine({"/proc/self/mountinfo": ROOT_MOUNT, "/proc/meminfo": None}, virtual_memory=[2 * GIB, 1 * GIB]),
        2 * GIB,
        1 * GIB,
        "operating system",
    ),
    "the host unreadable, the group not": (
        machine(
            {"/proc/self/cgroup": "0::/a\n", **v2_group(f"{V2}/a", mib(128), 0)},
            unreadable=("/proc/meminfo",),
            virtual_memory={"failed": "not here"},
        ),
        128 * MIB,
        128 * MIB,
        f"cgroup v2 {V2}/a",
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_memory_is_the_least_of_host_and_groups(name: str) -> None:
    source, total_bytes, available_bytes, origin = MACHINES[name]
    total, available = memory(source)
    assert (total.value, available.value, available.reason) == (total_bytes, available_bytes, origin)


def test_unknown_memory_says_why() -> None:
    source = machine(unreadable=("/proc/meminfo",), virtual_memory={"failed": "not here"})
    for reading in memory(source):
        assert reading.value is None
        assert "not here" in reading.reason


def test_address_space_without_limit_is_none() -> None:
    assert address_space(machine()).value is None


def test_address_space_is_the_limit_less_what_is_used() -> None:
    reading = address_space(machine(address_space_limit_bytes=512 * MIB))
    assert reading.value == 512 * MIB - 5000 * 4096
    assert reading.reason == "RLIMIT_AS 512 MiB, 19.5 MiB used"


def test_address_space_that_numpy_has_taken_is_in_the_plan_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "address_space_limit_bytes", lambda _: 100 << 30)
    assert "numpy" in sys.modules
    used = int(Device().read("/proc/self/statm").split()[0]) * Device().page_size_bytes()
    found = address_space(Device()).value
    assert found is not None
    assert found > (100 << 30) - used
    assert RecordedDevice({}).own_address_bytes() == 0


def test_address_space_is_never_below_nothing() -> None:
    assert address_space(machine(address_space_limit_bytes=MIB)).value == 0


@pytest.mark.parametrize(
    ("statm", "own_pages"), [("5000 1000 800 1 0 500 0", 200), ("5000 100000 800 1", 4096), ("5000 1 2 3", 0), ("x", 0)]
)
def test_what_this_process_has_already_is_not_asked_for_twice(statm: str, own_pages: int) -> None:
    without, found = memory(machine())[1].value, memory(machine({"/proc/self/statm": statm}))[1].value
    assert without is not None
    assert found == without + own_pages * 4096
