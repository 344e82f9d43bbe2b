"""Makes machines for tests: a plain one, and what turns it into another. Records are as `RecordedDevice` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeqa.capabilities.device import RecordedDevice
from edgeqa.capabilities.footprint import ModelNeeds
from edgeqa.capabilities.probe import probe

if TYPE_CHECKING:
    from edgeqa.capabilities.device import Capabilities

MIB, GIB = 1 << 20, 1 << 30

# The facts of edgeqa-mini, so that plans in tests are plans for a real model.
MINI = ModelNeeds(
    file_bytes=23_511_149,
    tokenizer_bytes=711_396,
    width=384,
    max_context_tokens=448,
    precision="int8",
    kind="split",
)

V2_MOUNT = "30 26 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1_MOUNTS = (
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)
HYBRID_MOUNTS = V1_MOUNTS + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
ROOT_MOUNT = "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
SHM_MOUNT = "28 26 0:24 / /dev/shm rw - tmpfs tmpfs rw\n"


def machine(
    files: dict[str, str | None] | None = None, unreadable: tuple[str, ...] = (), **calls: object
) -> RecordedDevice:
    """Returns four equal x86 cores with VNNI, 8 GiB and no limits, changed; a file of None is taken away."""
    plain: dict[str, str | None] = {
        "/proc/meminfo": f"MemTotal: {8 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {6 * GIB // 1024} kB\n",
        "/proc/cpuinfo": "model name\t: Test CPU\nflags\t\t: fpu avx2 avx512f avx512_vnni\n" * 4,
        "/proc/self/mountinfo": ROOT_MOUNT + SHM_MOUNT + V2_MOUNT,
        "/proc/self/cgroup": "0::/\n",
        "/proc/self/statm": "5000 800 800 1 0 500 0\n",
        **siblings("0", "1", "2", "3"),
    }
    kept = {path: text for path, text in {**plain, **(files or {})}.items() if text is not None}
    record: dict[str, Any] = {
        "calls": {
            "system": "Linux",
            "machine": "x86_64",
            "pointer_bits": 64,
            "page_size_bytes": 4096,
            "home": "/home/user/.cache/edgeqa",
            "affinity": [0, 1, 2, 3],
            "address_space_limit_bytes": None,
            "disk": {
                "/": {"free_bytes": 50 * GIB, "writable": True},
                "/dev/shm": {"free_bytes": 4 * GIB, "writable": True},  # noqa: S108 - the machine's, not ours
            },
            "ask_providers": {"exit_code": 0, "output": "CPUExecutionProvider\n", "error": ""},
            **calls,
        },
        "files": {path: text for path, text in kept.items() if path not in unreadable},
        "unreadable": dict.fromkeys(unreadable, "Permission denied"),
    }
    return RecordedDevice(record)


def siblings(*lists: str) -> dict[str, str | None]:
    """Returns the topology of processors whose core's siblings are `lists`, from processor 0 on."""
    return {
        f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{listed}\n"
        for cpu, listed in enumerate(lists)
    }


def with_memory(available_bytes: int, *, total_bytes: int | None = None) -> Capabilities:
    """Returns the plain machine with this much memory, probed."""
    total_kib, available_kib = (total_bytes or available_bytes) // 1024, available_bytes // 1024
    meminfo = f"MemTotal: {total_kib} kB\nMemAvailable: {available_kib} kB\n"
    return probe(machine({"/proc/meminfo": meminfo}))
