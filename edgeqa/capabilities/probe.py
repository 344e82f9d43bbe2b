"""`probe`: reads the device. A `Device` in, `Capabilities` out, each field a value or None with the reason.

It never raises, and never imports onnxruntime into this process: its library is tens of MB, and may be built for a
newer CPU. It decides nothing: `plan` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgeqa.capabilities.accelerators import accelerators, remembered_providers
from edgeqa.capabilities.accelerators import providers as ask_providers
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

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

T = TypeVar("T")

_PLAUSIBLE_C = (1.0, 150.0)  # broken sensors say 0, or thousands


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
        return ask_providers(device)

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
        accelerators=_guarded(lambda: accelerators(device, system.value)),
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
