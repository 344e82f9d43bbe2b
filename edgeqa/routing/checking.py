"""Whether a route index is what was written: every byte of its files against the checksums that they end in.

In: the index's directory. Out: what is wrong. The library writes the CRC-32 of a file's content into a line of JSON at
its end, then the length of that and a number (tantivy, src/directory/footer.rs), and does not compare them when it
opens an index. It mends nothing: the next writer makes an index that was found damaged from what is stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING

from edgeqa.routing.errors import RouteDamaged
from edgeqa.routing.index import META, Index, files_of

if TYPE_CHECKING:
    from pathlib import Path

MANAGED = ".managed.json"  # of the library: what may be deleted when it is not in use any more
_END = struct.Struct("<II")  # length of the line of JSON, and what shows that there is one
_MAGIC = 1337
_BLOCK_BYTES = 1 << 20
_ATTEMPTS = 10  # at an index that somebody writes to meanwhile


def check(directory: Path) -> int:
    """Reads the whole index in `directory`; returns how many contexts it has.

    Raises:
        RouteDamaged: if it is not what was written.
    """
    for attempt in range(_ATTEMPTS):
        name = META
        try:
            meta = (directory / META).read_bytes()
            files = files_of(meta)
            for name in sorted(files):
                _check(directory / name)
            name = MANAGED
            with contextlib.suppress(FileNotFoundError):  # the library does without
                _check_listed({META, *files}, directory / MANAGED)
            return Index(directory).contexts
        except RouteDamaged:
            raise
        except FileNotFoundError as error:
            # Gone since its name was read, if somebody else writes there: then there are other names now.
            if name == META or attempt + 1 == _ATTEMPTS or (directory / META).read_bytes() == meta:
                raise RouteDamaged(directory, f"{name} is missing") from error
        except OSError as error:
            raise RouteDamaged(directory, f"{name}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RouteDamaged(directory, f"{name}: {error}") from error
    raise RouteDamaged(directory, "it changes all the time")


def _check_listed(files: set[str], file: Path) -> None:
    """Raises ValueError if what the library lists to delete some day lacks a file that is in use."""
    if files - set(json.loads(file.read_bytes())):
        message = "it lacks files"
        raise ValueError(message)


def _check(file: Path) -> None:
    """Raises ValueError if a file's content is not that of its checksum."""
    with file.open("rb") as stream:
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size_bytes - _END.size))
        end = stream.read()
        length, magic = _END.unpack(end) if len(end) == _END.size else (0, 0)
        left_bytes = size_bytes - _END.size - length
        if magic != _MAGIC or left_bytes < 0:
            message = "it is cut off"
            raise ValueError(message)
        stream.seek(left_bytes)
        wanted = json.loads(stream.read(length))["crc"]
        stream.seek(0)
        found = 0
        while left_bytes and (block := stream.read(min(left_bytes, _BLOCK_BYTES))):
            found = zlib.crc32(block, found)
            left_bytes -= len(block)
    if found != wanted:
        message = "wrong checksum"
        raise ValueError(message)
