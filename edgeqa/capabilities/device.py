"""A device: `Device` has every look at it, and `Capabilities` has the readings that the probe made of these looks.

A look reads a file, or makes one of the few calls that no file answers, on this device or on one that was recorded.
Readers take a `Device` and nothing else of the system, so that a test, or `--device`, can put a recorded machine in the
place of this one. A look that fails raises OSError with the reason. The reader decides what a failure means: it gives a
value and says where that comes from, or None with a reason that a person can read. `Device` interprets nothing.
Recorded boards are data in `devices/`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass
from errno import EACCES, EIO, ENODATA, ENOENT, ENOSYS, ETIMEDOUT
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edgeqa import state
from edgeqa.errors import DeviceUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

T = TypeVar("T")
NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"  # onnxruntime's own variable
_ASK_PROVIDERS = "import onnxruntime; print(*onnxruntime.get_available_providers())"
_ASK_LIMIT_S = 60.0  # the first import, from a slow card on a board that is busy with other work
NUMPY_ADDRESS_BYTES = 84 << 20  # of its libraries, and of the buffer of one thread; 84.6 MiB measured
# These facts of a recorded device are given as they were recorded.
_CALLS = (
    *("system", "machine", "pointer_bits", "page_size_bytes", "home", "affinity", "physical_cores"),
    *("virtual_memory", "address_space_limit_bytes", "sysctl"),
)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """One fact about the device."""

    value: T | None
    """None where it is unknown, or where there is no such thing."""
    reason: str
    """Where a value comes from, or why there is none."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a device, as far as edgeqa is concerned."""

    board: Reading[str]
    os: Reading[str]
    machine: Reading[str]
    pointer_bits: Reading[int]
    page_size_bytes: Reading[int]
    memory_total_bytes: Reading[int]
    """The least of the host's memory and the limits of the control groups around this process."""
    memory_available_bytes: Reading[int]
    address_space_bytes: Reading[int]
    """The address space that RLIMIT_AS leaves to this process; None if there is no such limit."""
    cores: Reading[int]
    """Fast physical cores that this process may use."""
    cpu_flags: Reading[tuple[str, ...]]
    processor_digest: Reading[str]
    """A digest of its maker's numbers and of all its flags: another processor may compute otherwise."""
    providers: Reading[tuple[str, ...]]
    """Execution providers that onnxruntime offers."""
    accelerators: Reading[tuple[str, ...]]
    """Device nodes; on a Mac, names. One is used where a provider for it was tried and is quicker."""
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


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that a directory is, or would be made, on."""

    free_bytes: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """A subprocess that ended; `exit_code` is -N if signal N killed it."""

    exit_code: int
    output: str
    error: str


class Device:
    """This device, now. Every method may raise OSError."""

    def read(self, path: str) -> str:
        """Returns the text of a file; bytes that are not UTF-8 become replacement characters."""
        return Path(path).read_text(encoding="utf-8", errors="replace")

    def glob(self, pattern: str) -> list[str]:
        """Returns the paths that match, in order; none is not an error."""
        return sorted(str(found) for found in Path("/").glob(pattern.lstrip("/")))

    def system(self) -> str:
        """Returns the operating system as Python knows it: Linux, Darwin, Windows."""
        return platform.system()

    def machine(self) -> str:
        """Returns the architecture as the kernel names it: x86_64, aarch64, armv7l."""
        return platform.machine()

    def pointer_bits(self) -> int:
        """Returns 32 or 64: this Python's, which may be less than the processor's."""
        return sys.maxsize.bit_length() + 1

    def page_size_bytes(self) -> int:
        """Returns the size of a memory page."""
        import mmap

        return mmap.PAGESIZE

    def home(self) -> str:
        """Returns the directory of edgeqa's state, with symbolic links followed."""
        if (home := state.home()) == state.NOWHERE:
            message = f"this user has no home directory, and ${state.HOME_VARIABLE} is not set"
            raise FileNotFoundError(message)
        return str(home.resolve())

    def affinity(self) -> list[int]:
        """Returns the numbers of the processors that this process may run on; of all where the system does not say."""
        if hasattr(os, "sched_getaffinity"):  # Android's Linux has another name in Python
            return sorted(os.sched_getaffinity(0))
        return list(range(os.cpu_count() or 1))

    def physical_cores(self) -> int:
        """Returns the number of physical cores; asked where no file tells, as psutil takes 25 ms to import."""
        import psutil

        count = psutil.cpu_count(logical=False)
        if count is None:
            raise OSError(ENODATA, "psutil does not know")
        return count

    def virtual_memory(self) -> tuple[int, int]:
        """Returns total and available memory in bytes; asked where no file tells."""
        import psutil

        found = psutil.virtual_memory()
        return found.total, found.available

    def address_space_limit_bytes(self) -> int | None:
        """Returns the soft RLIMIT_AS, None if there is no limit, as on Windows."""
        if sys.platform == "win32":
            return None
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if soft == resource.RLIM_INFINITY else soft

    def own_address_bytes(self) -> int:
        """Returns the address space that this process has taken of what a plan asks for."""
        return NUMPY_ADDRESS_BYTES if "numpy" in sys.modules else 0

    def disk(self, path: str) -> Disk:
        """Returns the disk that `path` is on; of a path that is not there, the disk it would be made on."""
        import shutil

        there = next(p for p in (Path(path), *Path(path).parents) if p.exists())
        return Disk(shutil.disk_usage(there).free, os.access(there, os.W_OK))

    def sysctl(self) -> str:
        """Returns macOS's `name: value` lines on its hardware."""
        return _run(["/usr/sbin/sysctl", "hw", "machdep.cpu"]).output

    def ask_providers(self) -> Finished:
        """Imports onnxruntime in a process of its own and has it print its execution providers."""
        return _run([sys.executable, "-c", f"import os; os.environ[{NO_TELEMETRY!r}] = '1'; {_ASK_PROVIDERS}"])


class RecordedDevice(Device):
    """A device that was written down: a JSON object, and nothing of this device.

    It has `calls` (method name to what it returns, or `{"failed": reason}`), `files` (path to text), `unreadable` (path
    to reason) and `nodes` (further paths that exist). No other path exists on that device.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._calls: Mapping[str, Any] = record.get("calls", {})
        self._files: Mapping[str, str] = record.get("files", {})
        self._unreadable: Mapping[str, str] = record.get("unreadable", {})
        self._nodes = [*self._files, *self._unreadable, *record.get("nodes", ())]
        for name in _CALLS:
            setattr(self, name, partial(self._call, name))

    def read(self, path: str) -> str:
        """Returns the text that is recorded in `files`."""
        if path in self._unreadable:
            raise PermissionError(EACCES, self._unreadable[path], path)
        if path not in self._files:
            raise FileNotFoundError(ENOENT, "no such file", path)
        return self._files[path]

    def glob(self, pattern: str) -> list[str]:
        """Returns those that match of all paths of the record."""
        return sorted(path for path in self._nodes if PurePosixPath(path).match(pattern))

    def own_address_bytes(self) -> int:
        """Returns nothing: no process ran on it."""
        return 0

    def disk(self, path: str) -> Disk:
        """Returns the disk recorded for `path`, or for the nearest directory above."""
        disks = self._call("disk")
        for parent in (PurePosixPath(path), *PurePosixPath(path).parents):
            if str(parent) in disks:
                return Disk(**disks[str(parent)])
        raise FileNotFoundError(ENOENT, "no disk recorded", path)

    def ask_providers(self) -> Finished:
        """Returns the recorded reply."""
        return Finished(**self._call("ask_providers"))

    def _call(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        if name not in self._calls:
            raise OSError(ENOSYS, "not recorded", name)
        result = self._calls[name]
        if isinstance(result, dict) and "failed" in result:
            raise OSError(EIO, result["failed"], name)
        return result


def device_names() -> list[str]:
    """Returns the names of all recorded boards."""
    return sorted(entry.name.removesuffix(".json") for entry in _boards().iterdir() if entry.name.endswith(".json"))


def recorded_device(name: str) -> RecordedDevice:
    """Returns the recorded board called `name`.

    Raises:
        DeviceUnknown: if none is.
    """
    known = device_names()
    if name not in known:
        raise DeviceUnknown(name, known)
    return RecordedDevice(json.loads((_boards() / f"{name}.json").read_text(encoding="utf-8")))


def _boards() -> Traversable:
    from importlib.resources import files  # imported here, because this device's own facts do not need it

    return files("edgeqa.capabilities") / "devices"


def _run(command: list[str]) -> Finished:
    import subprocess

    try:
        # It runs in a directory of our own choice: Python would import an onnxruntime.py from the user's directory.
        done = subprocess.run(  # noqa: S603 - both commands are constants
            command,
            capture_output=True,
            text=True,
            timeout=_ASK_LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=sys.prefix,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # or numpy reserves address space for every core
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(ETIMEDOUT, f"no answer within {_ASK_LIMIT_S:.0f} s") from error
    return Finished(done.returncode, done.stdout, done.stderr)
