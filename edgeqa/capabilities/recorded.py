"""A device that was written down: a JSON object in, a `Source` out. Pure.

The object has `calls` (method name to what it returns, or `{"failed": reason}`), `files` (path to text), `unreadable`
(path to reason) and `nodes` (further paths that exist). What is not in it does not exist on that device.
"""

from __future__ import annotations

from errno import EACCES, EIO, ENOENT, ENOSYS
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgeqa.capabilities.source import Disk, Finished

if TYPE_CHECKING:
    from collections.abc import Mapping


class RecordedSource:
    """A recorded device."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._calls: Mapping[str, Any] = record.get("calls", {})
        self._files: Mapping[str, str] = record.get("files", {})
        self._unreadable: Mapping[str, str] = record.get("unreadable", {})
        self._nodes = [*self._files, *self._unreadable, *record.get("nodes", ())]

    def read(self, path: str) -> str:
        """From `files`."""
        if path in self._unreadable:
            raise PermissionError(EACCES, self._unreadable[path], path)
        if path not in self._files:
            raise FileNotFoundError(ENOENT, "no such file", path)
        return self._files[path]

    def glob(self, pattern: str) -> list[str]:
        """Among all paths of the record."""
        return sorted(path for path in self._nodes if PurePosixPath(path).match(pattern))

    def system(self) -> str:
        """The recorded result."""
        return str(self._call("system"))

    def machine(self) -> str:
        """The recorded result."""
        return str(self._call("machine"))

    def pointer_bits(self) -> int:
        """The recorded result."""
        return int(self._call("pointer_bits"))

    def page_size_bytes(self) -> int:
        """The recorded result."""
        return int(self._call("page_size_bytes"))

    def home(self) -> str:
        """The recorded result."""
        return str(self._call("home"))

    def affinity(self) -> list[int]:
        """The recorded result."""
        return list(self._call("affinity"))

    def physical_cores(self) -> int:
        """The recorded result."""
        return int(self._call("physical_cores"))

    def virtual_memory(self) -> tuple[int, int]:
        """The recorded result."""
        total, available = self._call("virtual_memory")
        return total, available

    def address_space_limit_bytes(self) -> int | None:
        """The recorded result."""
        limit: int | None = self._call("address_space_limit_bytes")
        return limit

    def disk(self, path: str) -> Disk:
        """The call's result is a disk for each path; the nearest above counts."""
        disks = self._call("disk")
        for parent in (PurePosixPath(path), *PurePosixPath(path).parents):
            if str(parent) in disks:
                return Disk(**disks[str(parent)])
        raise FileNotFoundError(ENOENT, "no disk recorded", path)

    def sysctl(self) -> str:
        """The recorded result."""
        return str(self._call("sysctl"))

    def ask_providers(self) -> Finished:
        """The recorded result."""
        return Finished(**self._call("ask_providers"))

    def _call(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        if name not in self._calls:
            raise OSError(ENOSYS, "not recorded", name)
        result = self._calls[name]
        if isinstance(result, dict) and "failed" in result:
            raise OSError(EIO, result["failed"], name)
        return result
