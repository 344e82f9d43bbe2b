"""Tests that probing raises nothing, imports nothing slow, and gives a reason for each fact that is unknown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import ROOT_MOUNT, SHM_MOUNT, machine

from edgeqa import state
from edgeqa.capabilities.computing import onnxruntime_version
from edgeqa.capabilities.device import Capabilities, Device, Finished, RecordedDevice
from edgeqa.capabilities.probe import probe

if TYPE_CHECKING:
    from pathlib import Path

HOME = "/home/user/.cache/edgeqa"
GIB = 1 << 30


def test_a_device_that_says_nothing_is_all_unknown_with_reasons() -> None:
    found = probe(RecordedDevice({}))
    for field in fields(Capabilities):
        reading = getattr(found, field.name)
        assert reading.reason, field.name
        if field.name != "accelerators":  # none found is an answer too
            assert reading.value is None, field.name


FILES = (
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/self/mountinfo",
    "/proc/self/cgroup",
    "/proc/self/statm",
    "/proc/device-tree/model",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory.stat",
    "/sys/fs/cgroup/cpu.max",
    "/sys/devices/system/cpu/cpu0/cpu_capacity",
    "/sys/class/thermal/thermal_zone0/temp",
)
TEXTS = st.text() | st.sampled_from(
    ["", "0", "-1 0", "a:b:c\n", ": - \n", "MemTotal:\n", "0::\n", "max", "1 2 3 4 5 - a b c"]
)


@given(st.dictionaries(st.sampled_from(FILES), TEXTS))
def test_whatever_the_files_hold_probing_does_not_raise(files: dict[str, str]) -> None:
    changed: dict[str, str | None] = {**files}
    found = probe(machine(changed, address_space_limit_bytes=GIB))
    assert all(getattr(found, field.name).reason for field in fields(Capabilities))


def test_this_device_is_known() -> None:
    found = probe(providers=False)
    for name in (
        "os",
        "pointer_bits",
        "page_size_bytes",
        "memory_total_bytes",
        "memory_available_bytes",
        "cores",
        "home",
    ):
        assert getattr(found, name).value, name
    assert found.providers.reason == "not asked"
    assert found.home.value == str(state.home())


def test_a_directory_of_ones_own(tmp_path: Path) -> None:
    found = probe(providers=False, directory=tmp_path / "not" / "there")
    assert found.home.value == str(tmp_path / "not" / "there")
    assert (found.home_free_bytes.value or 0) > 0


def test_probing_imports_neither_onnxruntime_nor_other_slow_things() -> None:
    script = (
        "import json, sys\n"
        "from edgeqa.capabilities.probe import probe\n"
        "cheap = probe(providers=False)\n"
        "slow = sorted({'numpy', 'onnxruntime', 'psutil', 'tokenizers'} & set(sys.modules))\n"
        "full = probe()\n"
        "print(json.dumps([slow, 'onnxruntime' in sys.modules, full.providers.value]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    slow, imported, offered = json.loads(done.stdout)
    assert not imported
    assert "CPUExecutionProvider" in offered
    if sys.platform == "linux":
        assert slow == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux's alone")
def test_the_processors_that_may_be_used_are_known_on_android_too(monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.sched_getaffinity(0)
    one = max(own)
    try:
        os.sched_setaffinity(0, {one})
        monkeypatch.setattr(sys, "platform", "android")
        assert Device().affinity() == [one]
    finally:
        os.sched_setaffinity(0, own)


def test_providers_are_asked_once_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def once(_: Device) -> Finished:
        asked.append(1)
        return Finished(0, "CPUExecutionProvider OtherExecutionProvider\n", "")

    monkeypatch.setattr(Device, "ask_providers", once)
    assert probe().providers == probe().providers
    assert probe().providers.value == ("CPUExecutionProvider", "OtherExecutionProvider")
    assert len(asked) == 1


def test_another_distribution_of_the_same_version_is_asked_anew(tmp_path: Path) -> None:
    """As where onnxruntime gives way to onnxruntime-openvino, which may be of the same version."""
    for distribution in ("onnxruntime", "onnxruntime-board"):
        folder = tmp_path / distribution
        module = folder / "onnxruntime"
        (module / "capi").mkdir(parents=True)
        offered = f'def get_available_providers(): return ["{distribution}"]'
        (module / "__init__.py").write_text(f'"""A module."""\n__version__ = "1.2.3"\n{offered}\n')
        (module / "capi" / "build_and_package_info.py").write_text(f"package_name = '{distribution}'\n")
        code = "import edgeqa; print(*edgeqa.probe().providers.value)"
        unusable = "n" * 300  # as the home of another user is, where a service was started in it
        (tmp_path / "sources" / "onnxruntime").mkdir(parents=True, exist_ok=True)  # no module
        path = os.pathsep.join(
            [unusable, str(tmp_path / "sources"), str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        environment = {**os.environ, "PYTHONPATH": path}
        said = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        assert said.stdout.split() == [distribution]


def test_a_failure_to_ask_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "ask_providers", lambda _: Finished(-4, "", ""))
    assert probe().providers.value is None
    monkeypatch.setattr(Device, "ask_providers", lambda _: Finished(0, "CPUExecutionProvider", ""))
    assert probe().providers.value == ("CPUExecutionProvider",)


def test_what_was_remembered_may_be_damaged(home: Path) -> None:
    probe()
    remembered = home / "providers.json"
    for text in ("not JSON", json.dumps(dict.fromkeys(json.loads(remembered.read_text()), 3))):
        remembered.write_text(text)
        assert "CPUExecutionProvider" in (probe().providers.value or ())


def test_a_recorded_machine_leaves_nothing_behind(home: Path) -> None:
    assert probe(machine()).providers.value == ("CPUExecutionProvider",)
    assert not home.exists()


@pytest.mark.parametrize(
    ("exit_code", "error", "reason"),
    [
        (-4, "", "illegal instruction: the onnxruntime wheel is built for a newer CPU"),
        (-9, "", "importing onnxruntime was killed by signal 9"),
        (
            1,
            "Traceback\nModuleNotFoundError: no onnxruntime\n",
            "importing onnxruntime failed: ModuleNotFoundError: no onnxruntime",
        ),
        (1, "", "importing onnxruntime failed: no message"),
    ],
)
def test_why_there_are_no_providers(exit_code: int, error: str, reason: str) -> None:
    found = probe(machine(ask_providers={"exit_code": exit_code, "output": "", "error": error}))
    assert (found.providers.value, found.providers.reason) == (None, reason)


def test_a_real_illegal_instruction_kills_the_subprocess_only(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(__import__("signal"), "SIGILL") or sys.platform == "win32":
        pytest.skip("no such signal here")
    monkeypatch.setattr(
        "edgeqa.capabilities.device._ASK_PROVIDERS", "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    )
    assert probe().providers.reason.startswith("illegal instruction")


def test_an_onnxruntime_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeqa.capabilities.device._ASK_PROVIDERS", "import threading; threading.Event().wait()")
    monkeypatch.setattr("edgeqa.capabilities.device._ASK_LIMIT_S", 0.5)
    assert "no answer within" in probe().providers.reason


def test_a_module_that_lies_in_the_working_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise SystemExit('run')\n")
    monkeypatch.chdir(tmp_path)
    assert "CPUExecutionProvider" in (probe().providers.value or ())


def test_accelerators_are_device_nodes_with_names_that_a_person_knows() -> None:
    record = {
        "nodes": ["/dev/nvidia0", "/dev/nvidiactl", "/dev/dri/renderD128", "/dev/dri/card0", "/dev/hailo0"],
    }
    found = probe(RecordedDevice(record)).accelerators
    assert found.value == ("/dev/dri/renderD128", "/dev/nvidia0", "/dev/hailo0")
    assert found.reason == "GPU, NVIDIA GPU, Hailo NPU; used if a provider for it is quicker"


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("/dev/rknpu", "Rockchip NPU"),
        ("/dev/galcore", "VeriSilicon GPU or NPU"),
        ("/dev/ethosu0", "Arm Ethos-U NPU"),
        ("/dev/fastrpc-cdsp", "Qualcomm Hexagon DSP"),
        ("/dev/adsprpc-smd-secure", "Qualcomm Hexagon DSP"),
        ("/dev/dxg", "GPU of Windows, through WSL"),
        ("/dev/nvgpu/igpu0", "NVIDIA Jetson GPU"),
    ],
)
def test_an_accelerator_of_a_board_is_known(node: str, name: str) -> None:
    found = probe(RecordedDevice({"nodes": [node]})).accelerators
    assert (found.value, found.reason.partition(";")[0]) == ((node,), name)


@pytest.mark.parametrize(
    ("machine", "first", "where"),
    [("arm64", "Apple GPU", "used if CoreML is quicker"), ("x86_64", "GPU", "for which onnxruntime has no provider")],
)
def test_a_macs_accelerators_are_told_by_its_processor(machine: str, first: str, where: str) -> None:
    found = probe(RecordedDevice({"calls": {"system": "Darwin", "machine": machine}})).accelerators
    assert found.value is not None
    assert found.value[0] == first
    assert found.reason.endswith(where)


@pytest.mark.parametrize(
    ("node", "driver", "name"),
    [
        ("dri/renderD129", "RKNPU", "Rockchip NPU"),
        ("dri/renderD129", "amdgpu", "AMD GPU"),
        ("dri/renderD129", "unheard-of", "GPU"),
        ("accel/accel0", "intel_vpu", "Intel NPU"),
        ("accel/accel0", "rocket", "Rockchip NPU"),
        ("accel/accel0", "unheard-of", "NPU"),
    ],
)
def test_a_node_of_the_kernels_is_called_by_its_driver(node: str, driver: str, name: str) -> None:
    place = f"/sys/class/{node.replace('dri/', 'drm/')}/device/uevent"
    files = {place: f"OF_NAME=x\nDRIVER={driver}\n"}
    found = probe(RecordedDevice({"nodes": [f"/dev/{node}"], "files": files})).accelerators
    assert found.reason.partition(";")[0] == name


def test_temperature_is_the_hottest_plausible_sensor() -> None:
    zone = "/sys/class/thermal/thermal_zone{}/temp"
    readings = {zone.format(0): "41000\n", zone.format(1): "52500\n", zone.format(2): "0\n", zone.format(3): "900000\n"}
    found = probe(machine({**readings, zone.format(4): "n/a\n"}, unreadable=(zone.format(5),))).temperature_c
    assert (found.value, found.reason) == (52.5, zone.format(1))


@pytest.mark.parametrize(
    ("mountinfo", "expected"),
    [
        (ROOT_MOUNT, "ext4"),
        (ROOT_MOUNT + "27 26 8:2 / /home rw - btrfs /dev/sda2 rw\n", "btrfs"),
        (ROOT_MOUNT + "27 26 8:2 / /hom rw - btrfs /dev/sda2 rw\n", "ext4"),
        (ROOT_MOUNT + "27 26 8:2 / /home rw - xfs a rw\n28 27 0:9 / /home rw - nfs4 b rw\n", "nfs4"),
        ("27 26 8:2 / /mnt rw - btrfs /dev/sda2 rw\n", None),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount(mountinfo: str, expected: str | None) -> None:
    assert probe(machine({"/proc/self/mountinfo": mountinfo})).home_file_system.value == expected


def test_a_read_only_disk_has_no_room() -> None:
    found = probe(machine(disk={"/": {"free_bytes": GIB, "writable": False}})).home_free_bytes
    assert (found.value, found.reason) == (None, f"{HOME} cannot be written to")


def test_the_ram_disk_must_be_mounted() -> None:
    disks = {"/": {"free_bytes": GIB, "writable": True}}
    assert probe(machine({"/proc/self/mountinfo": ROOT_MOUNT}, disk=disks)).ram_disk_free_bytes.value is None
    assert probe(machine({"/proc/self/mountinfo": SHM_MOUNT}, disk=disks)).ram_disk_free_bytes.value == GIB
    read_only = {"/": {"free_bytes": GIB, "writable": False}}
    assert probe(machine(disk=read_only)).ram_disk_free_bytes.value is None


def test_a_processor_that_differs_in_anything_is_another_for_the_self_test() -> None:
    block = (
        "processor\t: {n}\nFeatures\t: fp asimd {flags}\nCPU implementer\t: 0x41\nCPU part\t: {part}\nBogoMIPS\t: {n}\n"
    )

    def kernels(flags: str, *parts: str) -> str:
        blocks = [block.format(n=n, flags=flags, part=part) for n, part in enumerate(parts)]
        return probe(machine({"/proc/cpuinfo": "\n".join(blocks)}, machine="aarch64")).kernels

    assert kernels("asimddp", "0xd08", "0xd08") == kernels("asimddp", "0xd08")
    assert len({kernels("asimddp", "0xd08"), kernels("asimddp sme", "0xd08"), kernels("asimddp", "0xd4d")}) == 3
    assert kernels("asimddp", "0xd08", "0xd05") not in {kernels("asimddp", "0xd08"), kernels("asimddp", "0xd05")}
    assert kernels("asimddp", "0xd08").startswith("aarch64: ")
    assert probe(machine(unreadable=("/proc/cpuinfo",))).kernels == "x86_64: unknown"
    assert probe(machine({"/proc/cpuinfo": "nothing\n"})).kernels == "x86_64: unknown"
    assert probe(RecordedDevice({})).kernels == "unknown: unknown"
    apple, other = "machdep.cpu.brand_string: Apple M1\nhw.memsize: {}\n", "machdep.cpu.brand_string: Apple M4\n"
    darwin = [
        probe(machine(system="Darwin", sysctl=said)).kernels for said in (apple.format(1), apple.format(2), other)
    ]
    assert darwin[0] == darwin[1] != darwin[2]


def test_onnxruntime_is_asked_for_by_its_module_whatever_distribution_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `onnxruntime-openvino` is, which leaves no distribution called onnxruntime."""
    module = tmp_path / "onnxruntime"
    module.mkdir()
    facts = tmp_path / "onnxruntime_board-1.2.3.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-board\nVersion: 1.2.3\n")
    (facts / "RECORD").write_text("onnxruntime/__init__.py,,\n")
    (facts / "top_level.txt").write_text(
        "onnxruntime\n"
    )  # as onnxruntime's wheels have it: Python 3.10 reads nothing else
    for text, expected in (('"""A module."""\n__version__ = "1.2.4"\n', "1.2.4"), ("# says nothing\n", "1.2.3")):
        (module / "__init__.py").write_text(text)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [str(tmp_path)])
            onnxruntime_version.cache_clear()
            assert onnxruntime_version() == expected
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [])
        onnxruntime_version.cache_clear()
        assert onnxruntime_version() is None
        assert probe().providers.reason == "onnxruntime is not installed"
    onnxruntime_version.cache_clear()
