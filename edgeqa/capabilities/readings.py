"""What the probe found: `Capabilities`, a record of `Reading`s, each a value or None with the reason.

Values only. `probe` fills them, `plan` and `report` read them; None always has a reason that a person can read, and a
known value says where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """One fact about the device."""

    value: T | None
    """None where it is unknown, or where there is no such thing."""
    reason: str
    """Where a value comes from, or why there is none."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device has, as far as edgeqa is concerned."""

    board: Reading[str]
    os: Reading[str]
    machine: Reading[str]
    pointer_bits: Reading[int]
    page_size_bytes: Reading[int]
    memory_total_bytes: Reading[int]
    """The least of the host's memory and the limits of the control groups around this process."""
    memory_available_bytes: Reading[int]
    address_space_bytes: Reading[int]
    """What RLIMIT_AS leaves to this process; None if there is no such limit."""
    cores: Reading[int]
    """Fast physical cores that this process may use."""
    cpu_flags: Reading[tuple[str, ...]]
    processor_digest: Reading[str]
    """Of its maker's numbers and of all its flags: another one may compute otherwise."""
    providers: Reading[tuple[str, ...]]
    """Execution providers that onnxruntime offers."""
    accelerators: Reading[tuple[str, ...]]
    """Device nodes; edgeqa runs on the CPU and uses none of them."""
    home: Reading[str]
    """Directory of edgeqa's state."""
    home_free_bytes: Reading[int]
    """Disk space that edgeqa can write to there; None if it cannot write."""
    home_file_system: Reading[str]
    ram_disk_free_bytes: Reading[int]
    """Space on the RAM file system that shared memory lives on."""
    temperature_c: Reading[float]

    @property
    def kernels(self) -> str:
        """The processor as onnxruntime's kernels see it, in one line: what a self-test is remembered under."""
        return f"{self.machine.value or 'unknown'}: {self.processor_digest.value or 'unknown'}"
