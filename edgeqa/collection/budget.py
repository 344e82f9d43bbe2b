"""How many bytes of encodings a collection may hold: a share of the disk.

An encoding is forty times as large as the text and token ids that it is made from, and saves half of the time that it
takes to read a context. So it gets a share of the disk, and contexts beyond that do without.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from edgeqa.capabilities.settings import GIB, MIB

if TYPE_CHECKING:
    from edgeqa.collection.writer import Writer

SHARE_PERCENT, MOST_BYTES = 10, 8 * GIB
MOST_BYTES_ON_32_BITS = 512 * MIB  # they are mapped, and address space is short


_FACT = "encodings_budget"


def encodings_budget(writer: Writer, wanted_bytes: int | None) -> int:
    """Returns how many bytes of encodings the collection may hold: what was last asked for, or a share of the disk."""
    if wanted_bytes is not None:
        with writer.catalogue.transaction():
            writer.catalogue.set(_FACT, wanted_bytes)
    asked: int | None = writer.catalogue.get(_FACT, None)
    if asked is not None:
        return asked
    most = MOST_BYTES if sys.maxsize > 1 << 32 else MOST_BYTES_ON_32_BITS
    free = shutil.disk_usage(writer.directory).free
    return min(most, (free + writer.encodings_bytes()) * SHARE_PERCENT // 100)
