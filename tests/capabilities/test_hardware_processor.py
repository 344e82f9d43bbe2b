"""Tests what is read of processors: cores by affinity, quota and kind, CPU flags, and the board's name."""

from __future__ import annotations

import pytest
from machines import V1_MOUNTS, machine, siblings

from edgeqa.capabilities.hardware import board, cores, cpu_flags

CPU = "/sys/devices/system/cpu/cpu"


def speeds(name: str, *values: int) -> dict[str, str | None]:
    return {f"{CPU}{cpu}/{name}": f"{value}\n" for cpu, value in enumerate(values)}


def test_equal_cores_all_count() -> None:
    assert cores(machine()).value == 4


def test_two_threads_of_a_core_are_one_core() -> None:
    assert cores(machine(siblings("0,2", "1,3", "0,2", "1,3"))).value == 2


def test_only_allowed_processors_count() -> None:
    reading = cores(machine(siblings("0-1", "0-1", "2-3", "2-3"), affinity=[0, 1]))
    assert (reading.value, reading.reason) == (1, "physical cores of 2 allowed processors")


@pytest.mark.parametrize(
    ("values", "fast"),
    [
        ((1024, 1024, 1024, 1024), 4),
        ((250, 250, 871, 1024), 2),  # silver, silver, gold, prime
        ((400, 400, 400, 1024), 1),
    ],
)
def test_of_different_cores_only_the_fast_ones_count(values: tuple[int, ...], fast: int) -> None:
    assert cores(machine(speeds("cpu_capacity", *values))).value == fast


def test_where_capacity_is_unreadable_the_clock_tells() -> None:
    source = machine(
        speeds("cpufreq/cpuinfo_max_freq", 1_800_000, 1_800_000, 2_400_000, 2_800_000),
        unreadable=tuple(f"{CPU}{cpu}/cpu_capacity" for cpu in range(4)),
    )
    reading = cores(source)
    assert (reading.value, reading.reason) == (2, "the fast cores among 4 allowed processors")


def test_a_process_confined_to_slow_cores_uses_them() -> None:
    assert cores(machine(speeds("cpu_capacity", 400, 400, 1024, 1024), affinity=[0, 1])).value == 2


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("garbage", 4), ("1 0", 4)]
)
def test_v2_quota(quota: str, expected: int) -> None:
    files = {"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/cpu.max": f"{quota}\n"}
    assert cores(machine({**files, "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n"})).value == expected


@pytest.mark.parametrize(("quota_us", "expected"), [("-1", 4), ("300000", 3), ("20000", 1)])
def test_v1_quota(quota_us: str, expected: int) -> None:
    folder = "/sys/fs/cgroup/cpu,cpuacct/a"
    files: dict[str, str | None] = {
        "/proc/self/mountinfo": V1_MOUNTS,
        "/proc/self/cgroup": "3:cpu,cpuacct:/a\n",
        f"{folder}/cpu.cfs_quota_us": f"{quota_us}\n",
        f"{folder}/cpu.cfs_period_us": "100000\n",
    }
    reading = cores(machine(files))
    assert reading.value == expected
    assert (folder in reading.reason) == (expected < 4)


def test_without_topology_the_system_is_asked() -> None:
    nowhere = dict.fromkeys(siblings("0", "1", "2", "3"))
    assert cores(machine(nowhere, physical_cores=2)).value == 2
    assert cores(machine(nowhere, physical_cores={"failed": "no"})).value == 4


def test_flags_are_those_of_every_processor_in_a_fixed_order() -> None:
    text = "flags : i8mm avx_vnni avx2 sse\n\nflags : avx2 avx512f avx_vnni\n"
    assert cpu_flags(machine({"/proc/cpuinfo": text}), "Linux").value == ("avx2", "avx_vnni")


def test_arm_calls_them_features() -> None:
    text = "Features : fp asimd asimddp i8mm\n"
    assert cpu_flags(machine({"/proc/cpuinfo": text}), "Linux").value == ("asimddp", "i8mm")


def test_no_interesting_flag_is_known_and_not_unknown() -> None:
    assert cpu_flags(machine({"/proc/cpuinfo": "Features : fp asimd\n"}), "Linux").value == ()


def test_no_line_of_flags_is_unknown() -> None:
    reading = cpu_flags(machine({"/proc/cpuinfo": "processor : 0\n"}), "Linux")
    assert reading.value is None
    assert "no flags" in reading.reason


def test_macos_is_asked_by_sysctl() -> None:
    apple = "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nmachdep.cpu.brand_string: Apple M1\n"
    assert cpu_flags(machine(sysctl=apple), "Darwin").value == ("asimddp",)
    assert board(machine(sysctl=apple), "Darwin").value == "Apple M1"
    intel = "hw.optional.avx2_0: 1\nmachdep.cpu.leaf7_features: BMI2 AVX512VNNI\n"
    assert cpu_flags(machine(sysctl=intel), "Darwin").value == ("avx2", "avx512_vnni")


def test_a_board_is_named_by_its_device_tree_before_its_processor() -> None:
    named: dict[str, str | None] = {"/proc/device-tree/model": "Some Board Rev 1.0\0"}
    assert board(machine(named), "Linux").value == "Some Board Rev 1.0"
    assert board(machine(), "Linux").value == "Test CPU"
    assert board(machine({"/proc/cpuinfo": "processor : 0\n"}), "Linux").value is None
