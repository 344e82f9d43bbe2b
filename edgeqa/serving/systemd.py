"""The service manager: this module tells it readiness and liveness, and takes listening sockets from it.

It needs no library: the protocols of sd_notify(3) and sd_listen_fds(3) are environment variables, a datagram, and
descriptors from 3 on. Without a service manager, nothing is sent, and there are no sockets to take.
"""

from __future__ import annotations

import contextlib
import os
import socket

_FIRST_DESCRIPTOR = 3


def notify(state: str) -> bool:
    """Tells the service manager a state, as `READY=1`; returns whether there is one that was told.

    Args:
        state: one or more lines.
    """
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return False
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.setblocking(False)  # noqa: FBT003 - Python's signature; a manager that is stopped is not waited for
        told.connect("\0" + place[1:] if place.startswith("@") else place)  # "@" marks a name that is no file
        told.sendall(state.encode())
        return True
    return False


def watchdog_s() -> float | None:
    """Returns the period in seconds within which `WATCHDOG=1` must be sent each time; None if nobody waits for it."""
    period = os.environ.get("WATCHDOG_USEC", "")
    if not period.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(period) / 1e6


def handed_over() -> dict[str, list[socket.socket]]:
    """Returns the listening sockets from the service manager, by the names that their units gave them.

    It may be called once: the variables are taken out of the environment, so that no child takes them for its own.
    """
    ours = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count, names = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_FDNAMES", "")
    if not ours or not count.isdigit():
        return {}
    found: dict[str, list[socket.socket]] = {}
    named = names.split(":") if names else []
    for number in range(int(count)):
        listener = socket.socket(fileno=_FIRST_DESCRIPTOR + number)
        os.set_inheritable(listener.fileno(), False)  # noqa: FBT003 - Python's signature
        found.setdefault(named[number] if number < len(named) else "unknown", []).append(listener)
    return found
