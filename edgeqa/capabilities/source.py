"""Every look at the device: files, and the few calls that no file answers.

Readers take a `Source` and nothing else of the system, so that a test, or `--device`, can put a recorded machine in
the place of this one. Each look that fails raises OSError with the reason; what a failure means is the reader's
matter. Nothing is interpreted here.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from errno import ENODATA, ETIMEDOUT
from pathlib import Path
from typing import Protocol

from edgeqa import state

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"  # onnxruntime's own variable
_ASK_PROVIDERS = "import onnxruntime; print(*onnxruntime.get_available_providers())"
_ASK_LIMIT_S = 20.0


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


class Source(Protocol):
    """A device to look at. Every method may raise OSError."""

    def read(self, path: str) -> str:
        """Returns the text of a file."""
        ...

    def glob(self, pattern: str) -> list[str]:
        """Returns the paths that match, in order; none is not an error."""
        ...

    def system(self) -> str:
        """Returns the operating system: Linux, Darwin, Windows."""
        ...

    def machine(self) -> str:
        """Returns the architecture: x86_64, aarch64, armv7l."""
        ...

    def pointer_bits(self) -> int:
        """Returns 32 or 64: the process's, which may be less than the processor's."""
        ...

    def page_size_bytes(self) -> int:
        """Returns the size of a memory page."""
        ...

    def home(self) -> str:
        """Returns the directory of edgeqa's state, with symbolic links followed."""
        ...

    def affinity(self) -> list[int]:
        """Returns the numbers of the processors that this process may run on."""
        ...

    def physical_cores(self) -> int:
        """Returns the number of physical cores; asked where no file tells."""
        ...

    def virtual_memory(self) -> tuple[int, int]:
        """Returns total and available memory in bytes; asked where no file tells."""
        ...

    def address_space_limit_bytes(self) -> int | None:
        """Returns the soft RLIMIT_AS, None if there is no limit."""
        ...

    def disk(self, path: str) -> Disk:
        """Returns the disk that `path` is on; of a path that is not there, the disk it would be made on."""
        ...

    def sysctl(self) -> str:
        """Returns macOS's `name: value` lines on its hardware."""
        ...

    def ask_providers(self) -> Finished:
        """Imports onnxruntime in a process of its own and has it print its execution providers."""
        ...


class DeviceSource:
    """This device, now."""

    def read(self, path: str) -> str:
        """Reads it; bytes that are not UTF-8 become replacement characters."""
        return Path(path).read_text(encoding="utf-8", errors="replace")

    def glob(self, pattern: str) -> list[str]:
        """Looks below the root directory."""
        return sorted(str(found) for found in Path("/").glob(pattern.lstrip("/")))

    def system(self) -> str:
        """As Python knows it."""
        return platform.system()

    def machine(self) -> str:
        """As the kernel names it."""
        return platform.machine()

    def pointer_bits(self) -> int:
        """This Python's."""
        return sys.maxsize.bit_length() + 1

    def page_size_bytes(self) -> int:
        """The kernel's."""
        import mmap

        return mmap.PAGESIZE

    def home(self) -> str:
        """`state.home()`."""
        if (home := state.home()) == state.NOWHERE:
            message = f"this user has no home directory, and ${state.HOME_VARIABLE} is not set"
            raise FileNotFoundError(message)
        return str(home.resolve())

    def affinity(self) -> list[int]:
        """The scheduler's mask on Linux; elsewhere all processors."""
        if sys.platform == "linux":
            return sorted(os.sched_getaffinity(0))
        return list(range(os.cpu_count() or 1))

    def physical_cores(self) -> int:
        """By psutil, which takes 25 ms to import: not needed where there is a /proc."""
        import psutil

        count = psutil.cpu_count(logical=False)
        if count is None:
            raise OSError(ENODATA, "psutil does not know")
        return count

    def virtual_memory(self) -> tuple[int, int]:
        """By psutil."""
        import psutil

        found = psutil.virtual_memory()
        return found.total, found.available

    def address_space_limit_bytes(self) -> int | None:
        """By getrlimit; Windows has none."""
        if sys.platform == "win32":
            return None
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if soft == resource.RLIM_INFINITY else soft

    def disk(self, path: str) -> Disk:
        """Of the nearest directory above that is there."""
        import shutil

        there = next(p for p in (Path(path), *Path(path).parents) if p.exists())
        return Disk(shutil.disk_usage(there).free, os.access(there, os.W_OK))

    def sysctl(self) -> str:
        """By macOS's own program."""
        return _run(["/usr/sbin/sysctl", "hw", "machdep.cpu"]).output

    def ask_providers(self) -> Finished:
        """With the same Python as this one."""
        return _run([sys.executable, "-c", f"import os; os.environ[{NO_TELEMETRY!r}] = '1'; {_ASK_PROVIDERS}"])


def _run(command: list[str]) -> Finished:
    import subprocess

    try:
        # In a directory of our own choice: Python would import an onnxruntime.py that happens to lie in the user's.
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
