"""What else than the CPU could compute here: a `Device` in, readings of execution providers and of device nodes out.

Providers are what onnxruntime offers. It is asked in a subprocess: a wheel built for a newer processor dies of an
illegal instruction when it is imported, and that must not be the caller. The answer is remembered per onnxruntime and
processor, since the import takes 0.1 s and more.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from edgeqa import state
from edgeqa.capabilities.readings import Reading

if TYPE_CHECKING:
    from edgeqa.capabilities.device import Device, Finished

NODES = (
    "/dev/dri/renderD*",
    "/dev/nvidia[0-9]*",
    "/dev/nvhost-gpu",
    "/dev/kfd",
    "/dev/accel/*",
    "/dev/apex_*",
    "/dev/hailo*",
    "/dev/mali*",
    "/dev/kgsl-3d0",
)
_REMEMBERED = "providers"
_ILLEGAL_INSTRUCTION = {-getattr(signal, "SIGILL", 4), 0xC000001D}  # killed by the signal; Windows' status


def providers(device: Device) -> Reading[tuple[str, ...]]:
    """Returns the reading, asked now."""
    return _reading(device.ask_providers())


def remembered_providers(device: Device, processor: str) -> Reading[tuple[str, ...]]:
    """Returns the reading remembered for this onnxruntime on `processor`; asks and remembers if there is none.

    Only for the live device: a recorded one must leave nothing behind.
    """
    from importlib.metadata import PackageNotFoundError, version  # 20 ms that a question need not wait for

    try:
        key = f"onnxruntime {version('onnxruntime')} on {processor}"
    except PackageNotFoundError:
        return Reading(None, "onnxruntime is not installed")
    known = state.recall(_REMEMBERED, key)
    if isinstance(known, dict) and isinstance(known.get("names"), list):
        return Reading(tuple(known["names"]), str(known.get("reason", "")))
    found = providers(device)
    if found.value is not None:
        state.remember(_REMEMBERED, key, {"names": list(found.value), "reason": found.reason})
    return found


def accelerators(device: Device) -> Reading[tuple[str, ...]]:
    """Returns the reading of the device nodes of accelerators."""
    found = tuple(node for pattern in NODES for node in device.glob(pattern))
    return Reading(found, "present, not used: edgeqa runs on the CPU" if found else "no device node of any")


def _reading(finished: Finished) -> Reading[tuple[str, ...]]:
    if finished.exit_code in _ILLEGAL_INSTRUCTION:
        return Reading(None, "illegal instruction: the onnxruntime wheel is built for a newer CPU")
    if finished.exit_code < 0:
        return Reading(None, f"importing onnxruntime was killed by signal {-finished.exit_code}")
    if finished.exit_code:
        last = (finished.error.strip().splitlines() or ["no message"])[-1]
        return Reading(None, f"importing onnxruntime failed: {last}")
    return Reading(tuple(finished.output.split()), "offered by onnxruntime; CPU is used")
