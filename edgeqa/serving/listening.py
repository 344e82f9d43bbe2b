"""Listening: this module makes bound sockets from addresses, and knows which ones only this machine can connect to."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.serving.admission import is_loopback
from edgeqa.serving.errors import AddressInvalid

if TYPE_CHECKING:
    from pathlib import Path

BACKLOG = 1024
"""The most connections that wait to be accepted; who finds no room waits a second, and asks again."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that is bound."""

    socket: socket.socket
    path: Path | None = None
    """The path of a Unix socket that was made here, and is deleted when it is closed."""

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.socket.family == getattr(socket, "AF_UNIX", None)

    @property
    def host(self) -> str:
        """The address; "" of a Unix socket."""
        return "" if self.is_unix else str(self.socket.getsockname()[0])

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect to it."""
        return self.is_unix or is_loopback(self.host)

    def shown(self, scheme: str) -> str:
        """Returns its address for people: a URL, or a path."""
        name = self.socket.getsockname()
        if self.is_unix:
            return f"unix:{name.decode() if isinstance(name, bytes) else name}"
        host, port = name[:2]
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def queue(self) -> None:
        """Lets more connections wait than the hundred for which asyncio leaves room when it begins to listen."""
        self.socket.listen(BACKLOG)

    def close(self) -> None:
        """Closes it, and deletes the path that was made for it."""
        self.socket.close()
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()


def bound(host: str, port: int) -> Listener:
    """Returns a socket for an address and a port; port 0 means any free port.

    Raises:
        AddressInvalid: if it cannot be bound.
    """
    shown = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError) as error:
        raise AddressInvalid(shown, getattr(error, "strerror", None) or str(error)) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()
    except (OSError, OverflowError) as error:
        made.close()
        raise AddressInvalid(shown, getattr(error, "strerror", None) or str(error)) from error
    made.setblocking(False)  # noqa: FBT003 - Python's signature
    return Listener(made)


def bound_unix(path: Path) -> Listener:
    """Returns a Unix socket that its owner alone may use; it replaces one at which nobody listens any more.

    Raises:
        AddressInvalid: if it cannot be bound.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.lstat().st_mode) and not _is_listened_at(path):
            path.unlink()
        before = os.umask(0o177)  # so the socket is private from its first moment on
        try:
            made.bind(os.fspath(path))
        finally:
            os.umask(before)
        made.listen()
    except OSError as error:
        made.close()
        raise AddressInvalid(str(path), error.strerror or str(error)) from error
    made.setblocking(False)  # noqa: FBT003 - Python's signature
    return Listener(made, path)


def address(text: str, default_host: str) -> tuple[str, int]:
    """Returns the host and port of `[ADDR:]PORT`.

    Raises:
        AddressInvalid: if it is none.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or default_host
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise AddressInvalid(text, "it has no port")
    return host, int(port)


def _is_listened_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # it takes nobody at the moment, as where it was stopped
            return True
        return True
