"""Where answers can be kept: a `Source` in, readings of the home directory's disk and of the RAM disk out."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from edgeqa.capabilities.cgroups import mounts
from edgeqa.capabilities.readings import Reading

if TYPE_CHECKING:
    from edgeqa.capabilities.source import Source

RAM_DISK = "/dev/shm"  # noqa: S108 - looked at, not written to


def home_free(source: Source, home: str) -> Reading[int]:
    """Returns the reading of the space that can be written to in `home`."""
    disk = source.disk(home)
    return Reading(disk.free_bytes, home) if disk.writable else Reading(None, f"{home} is read-only")


def file_system(source: Source, home: str) -> Reading[str]:
    """Returns the reading of the type of the file system that `home` is on."""
    around = [m for m in mounts(source) if PurePath(home).is_relative_to(m.point)]
    if not around:
        return Reading(None, "no mount holds it")
    # Of equally deep mounts the last one hides the others.
    innermost = max(enumerate(around), key=lambda pair: (len(PurePosixPath(pair[1].point).parts), pair[0]))[1]
    return Reading(innermost.file_system, f"mounted on {innermost.point}")


def ram_disk(source: Source) -> Reading[int]:
    """Returns the reading of the space on the RAM disk."""
    if not any(m.point == RAM_DISK and m.file_system == "tmpfs" for m in mounts(source)):
        return Reading(None, f"no RAM disk on {RAM_DISK}")
    disk = source.disk(RAM_DISK)
    return Reading(disk.free_bytes, RAM_DISK) if disk.writable else Reading(None, f"{RAM_DISK} is read-only")
