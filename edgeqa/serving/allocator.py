"""The C library's memory: few arenas for all threads, and what is free given back. glibc only.

glibc gives each thread an arena of its own, up to eight a core, and keeps what was freed in them: a server whose
threads read in turn grows by what each once needed. Where there is another C library, nothing is done: mallopt(3).
"""

from __future__ import annotations

import contextlib
import ctypes

ARENAS = 2
_M_ARENA_MAX = -8


def share_arenas() -> None:
    """Has all threads that are started from now on share a few arenas."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Gives what is free back to the system."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
