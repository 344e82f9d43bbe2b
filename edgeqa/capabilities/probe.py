"""`probe`: reads the device. A `Device` in, `Capabilities` out, each field a value or None with the reason.

It never raises, and never imports onnxruntime into this process: its library is tens of MB, and may be built for a
newer CPU, so that importing it ends in an illegal instruction. A subprocess asks it for its execution providers. The
answer is remembered for each onnxruntime and processor, since the import takes 0.1 s and more. Memory, disks and
processor are read by `hardware`. Nothing is decided here: `plan` does.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from edgeqa import state
from edgeqa.capabilities.computing import onnxruntime_build, onnxruntime_version, this_platform, unsupported
from edgeqa.capabilities.device import Capabilities, Device, Reading
from edgeqa.capabilities.hardware import (
    address_space,
    board,
    cores,
    cpu_flags,
    file_system,
    home_free,
    memory,
    processor_digest,
    ram_disk,
)
from edgeqa.errors import OnnxruntimeUnusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from edgeqa.capabilities.device import Finished

T = TypeVar("T")

_PLAUSIBLE_C = (1.0, 150.0)  # broken sensors say 0, or thousands
# The device nodes of accelerators, with names that people know; the driver tells the name if the kernel names it.
NODES = {
    "/dev/dri/renderD*": "GPU",
    "/dev/nvidia[0-9]*": "NVIDIA GPU",
    "/dev/nvhost-gpu": "NVIDIA Jetson GPU",
    "/dev/nvgpu/*": "NVIDIA Jetson GPU",
    "/dev/kfd": "AMD GPU",
    "/dev/dxg": "GPU of Windows, through WSL",
    "/dev/mali*": "Arm Mali GPU",
    "/dev/kgsl-3d0": "Qualcomm Adreno GPU",
    "/dev/fastrpc-*": "Qualcomm Hexagon DSP",
    "/dev/adsprpc-smd*": "Qualcomm Hexagon DSP",
    "/dev/galcore": "VeriSilicon GPU or NPU",
    "/dev/rknpu*": "Rockchip NPU",
    "/dev/ethosu*": "Arm Ethos-U NPU",
    "/dev/accel/*": "NPU",
    "/dev/apex_*": "Google Coral Edge TPU",
    "/dev/hailo*": "Hailo NPU",
}
DRIVERS = {
    "amdgpu": "AMD GPU",
    "amdxdna": "AMD Ryzen NPU",
    "etnaviv": "VeriSilicon GPU or NPU",
    "ethosu": "Arm Ethos-U NPU",
    "i915": "Intel GPU",
    "intel_vpu": "Intel NPU",
    "msm": "Qualcomm Adreno GPU",
    "nouveau": "NVIDIA GPU",
    "nvidia": "NVIDIA GPU",
    "panfrost": "Arm Mali GPU",
    "panthor": "Arm Mali GPU",
    "rknpu": "Rockchip NPU",
    "rocket": "Rockchip NPU",
    "v3d": "Broadcom VideoCore GPU",
    "xe": "Intel GPU",
}
_REMEMBERED = "providers"
_ILLEGAL_INSTRUCTION = {-getattr(signal, "SIGILL", 4), 0xC000001D}  # killed by the signal; Windows' status


def probe(
    source: Device | None = None, *, directory: str | PathLike[str] | None = None, providers: bool = True
) -> Capabilities:
    """Returns the facts of this device.

    Examples:
        >>> device = edgeqa.probe()
        >>> device.cores.value is None or device.cores.value >= 1
        True

    Args:
        source: the device to look at; this one by default.
        directory: where edgeqa keeps its state, if not at home.
        providers: ask onnxruntime what it offers; without it, nothing is started or remembered.
    """
    device = Device() if source is None else source
    system = _guarded(lambda: Reading(device.system(), "operating system"))
    machine = _guarded(lambda: Reading(device.machine() or None, "operating system"))
    flags = _guarded(lambda: cpu_flags(device, system.value))
    processor = _guarded(lambda: processor_digest(device, system.value))
    home = _guarded(lambda: Reading(str(Path(directory).resolve()) if directory else device.home(), "edgeqa's state"))
    total, available = _memory(device)

    def offered() -> Reading[tuple[str, ...]]:
        if not providers:
            return Reading(None, "not asked")
        if source is None:
            return remembered_providers(device, f"{machine.value or 'unknown'}: {processor.value or 'unknown'}")
        return _reading(device.ask_providers())

    return Capabilities(
        board=_guarded(lambda: board(device, system.value)),
        os=system,
        machine=machine,
        pointer_bits=_guarded(lambda: Reading(device.pointer_bits(), "this Python")),
        page_size_bytes=_guarded(lambda: Reading(device.page_size_bytes(), "operating system")),
        memory_total_bytes=total,
        memory_available_bytes=available,
        address_space_bytes=_guarded(lambda: address_space(device)),
        cores=_guarded(lambda: cores(device)),
        cpu_flags=flags,
        processor_digest=processor,
        providers=_guarded(offered),
        accelerators=_guarded(lambda: _accelerators(device, system.value)),
        home=home,
        home_free_bytes=_of_home(home, lambda path: home_free(device, path)),
        home_file_system=_of_home(home, lambda path: file_system(device, path)),
        ram_disk_free_bytes=_guarded(lambda: ram_disk(device)),
        temperature_c=_guarded(lambda: _temperature(device)),
    )


def _guarded(read: Callable[[], Reading[T]]) -> Reading[T]:
    """Returns the reading; of one that fails, whatever the way, the failure is the reason."""
    try:
        return read()
    except Exception as error:
        return Reading(None, f"unknown: {error}")


def _of_home(home: Reading[str], read: Callable[[str], Reading[T]]) -> Reading[T]:
    if (path := home.value) is None:
        return Reading(None, home.reason)
    return _guarded(lambda: read(path))


def _memory(device: Device) -> tuple[Reading[int], Reading[int]]:
    try:
        return memory(device)
    except Exception as error:
        unknown = Reading[int](None, f"unknown: {error}")
        return unknown, unknown


def _temperature(device: Device) -> Reading[float]:
    readable = []
    for path in device.glob("/sys/class/thermal/thermal_zone*/temp"):
        try:
            celsius = int(device.read(path)) / 1000
        except (OSError, ValueError):
            continue
        if _PLAUSIBLE_C[0] <= celsius <= _PLAUSIBLE_C[1]:
            readable.append((celsius, path))
    return Reading(*max(readable)) if readable else Reading(None, "no readable sensor")


def _accelerators(device: Device, system: str | None) -> Reading[tuple[str, ...]]:
    """Returns the reading of the device nodes of accelerators, with their names in the reason; of a Mac, of names."""
    if system == "Darwin":
        return _of_macos(device)
    found = {node: _driven(device, node) or name for pattern, name in NODES.items() for node in device.glob(pattern)}
    if not found:
        return Reading((), "no device node of any")
    names = ", ".join(dict.fromkeys(found.values()))
    return Reading(tuple(found), f"{names}; used if a provider for it is quicker")


def _of_macos(device: Device) -> Reading[tuple[str, ...]]:
    """Returns the reading of a Mac, which has no device nodes of its accelerators: what its kind of processor has."""
    if device.machine() != "arm64":
        return Reading(("GPU",), "of an Intel Mac, for which onnxruntime has no provider")
    names = ("Apple GPU", "Apple Neural Engine")
    return Reading(names, "of every Mac with Apple's processors; used if CoreML is quicker")


def _driven(device: Device, node: str) -> str | None:
    """Returns the name of what a node's driver drives, if the kernel says which that is."""
    kind = {"/dev/dri": "drm", "/dev/accel": "accel"}.get(str(PurePosixPath(node).parent))
    try:
        lines = device.read(f"/sys/class/{kind}/{PurePosixPath(node).name}/device/uevent").splitlines()
    except OSError:
        return None
    driver = next((line.removeprefix("DRIVER=") for line in lines if line.startswith("DRIVER=")), "")
    return DRIVERS.get(driver.lower())


def remembered_providers(device: Device, processor: str) -> Reading[tuple[str, ...]]:
    """Returns the reading remembered for this onnxruntime on `processor`; asks and remembers if there is none.

    Only for the live device: a recorded one must leave nothing behind.
    """
    if onnxruntime_version() is None:
        return Reading(None, ": ".join(filter(None, ("onnxruntime is not installed", unsupported(this_platform())))))
    key = f"{onnxruntime_build()} on {processor}"
    known = state.recall(_REMEMBERED, key)
    if isinstance(known, dict) and isinstance(known.get("names"), list):
        return Reading(tuple(known["names"]), str(known.get("reason", "")))
    found = _reading(device.ask_providers())
    if found.value is not None:
        state.remember(_REMEMBERED, key, {"names": list(found.value), "reason": found.reason})
    return found


def assure_onnxruntime(processor: str) -> None:
    """Sees that onnxruntime can be imported into this process: in another one, the first time on `processor`.

    Raises:
        OnnxruntimeUnusable: if it cannot; the import might have killed the process. Also without /proc.
    """
    if sys.platform == "linux" and not os.path.exists("/proc/self/stat"):  # noqa: PTH110 - a path that is no file's
        reason = "/proc is not mounted, which onnxruntime reads"
        raise OnnxruntimeUnusable(reason, "mount it: mount -t proc proc /proc")
    if "onnxruntime" in sys.modules:
        return
    try:
        found = remembered_providers(Device(), processor)
    except OSError:  # no process could be started, which says nothing about onnxruntime
        return
    if found.value is None:
        raise OnnxruntimeUnusable(found.reason)


def _reading(finished: Finished) -> Reading[tuple[str, ...]]:
    if finished.exit_code in _ILLEGAL_INSTRUCTION:
        return Reading(None, "illegal instruction: the onnxruntime wheel is built for a newer CPU")
    if finished.exit_code < 0:
        return Reading(None, f"importing onnxruntime was killed by signal {-finished.exit_code}")
    if finished.exit_code:
        last = (finished.error.strip().splitlines() or ["no message"])[-1]
        return Reading(None, f"importing onnxruntime failed: {last}")
    return Reading(tuple(finished.output.split()), "offered by onnxruntime")
