"""The memory of the C library: this module sets few arenas for all threads, and returns free memory. glibc only.

glibc gives each thread an arena of its own, up to eight for each core, and keeps freed memory in them. So a server
whose threads read in turn would keep the memory that each once needed. With another C library, nothing is done
(mallopt(3)).
"""

from __future__ import annotations

import contextlib
import ctypes

ARENAS = 2
_M_ARENA_MAX = -8


def share_arenas() -> None:
    """Makes all threads that start from now on share a few arenas."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Returns free memory to the system."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
