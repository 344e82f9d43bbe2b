"""The address of a cluster: `valkey://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]`.

In: the address from the user or the environment. Out: servers to start with, a user, and whether to use TLS. The
address is never shown with its password. `valkeys`, `redis` and `rediss` are schemes, too; the query names files for
TLS, as in `?ca=ca.pem&cert=client.pem&key=client.key`.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from edgeqa.cluster.errors import ClusterAddressInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
VARIABLE = "EDGEQA_CLUSTER"
DEFAULT_PORT = 6379
_SCHEMES = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
_FILES = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """The address of a cluster, with the user who asks."""

    servers: tuple[tuple[str, int], ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | None = None
    """File of certificates that are trusted; None for those of the system."""
    cert: str | None = None
    """File of the certificate that is shown."""
    key: str | None = None
    """File of its key."""

    def __str__(self) -> str:
        """Returns the servers, without a password."""
        return ",".join(shown(host, port) for host, port in self.servers)

    def context(self) -> ssl.SSLContext:
        """Returns the settings of TLS: the trusted certificates, those of the file or of the system, and what is shown.

        Raises:
            ClusterAddressInvalid: if a file cannot be used.
        """
        made = self._read(f"ca={self.ca}", lambda: ssl.create_default_context(cafile=self.ca))
        if self.cert is not None:
            # Without a password, Python would ask for that of a key on the terminal.
            named = f"cert={self.cert}" if self.key is None else f"cert={self.cert} and key={self.key}"
            self._read(named, lambda: made.load_cert_chain(str(self.cert), self.key, password=""))
        elif self.key is not None:
            raise ClusterAddressInvalid(str(self), f"key={self.key} is of no use without cert=FILE")
        return made

    def check(self) -> None:
        """Raises ClusterAddressInvalid if a file that is named cannot be used: redis-py would not say which it is."""
        if self.ca or self.cert or self.key:
            self.context()

    def _read(self, named: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except OSError as error:  # ssl.SSLError is one
            reason = error.strerror or str(error)
            raise ClusterAddressInvalid(str(self), f"{named} cannot be used: {reason}") from error

    @classmethod
    def parse(cls, text: str) -> ClusterAddress:
        """Returns the address that `text` is.

        Raises:
            ClusterAddressInvalid: if it is none.
        """
        safe = _without_password(text)
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() not in _SCHEMES:
            raise ClusterAddressInvalid(safe, "it does not begin with valkey:// or valkeys://")
        if not text.isprintable():
            raise ClusterAddressInvalid(safe, "it has a line break, or another character that cannot be printed")
        # urlsplit reads brackets as those of IPv6 also in a password, and shows it in its errors.
        front = re.split("[/?#]", rest, maxsplit=1)[0]
        who, at, where = front.rpartition("@")
        if "@" in rest and not at and not _is_servers(where):
            raise ClusterAddressInvalid(safe, "in a user or a password, / ? # are written %2F %3F %23")
        behind = urlsplit(rest[len(front) :])
        if behind.path not in ("", "/", "/0") or behind.netloc or behind.fragment:
            raise ClusterAddressInvalid(safe, "a cluster has only database 0, and nothing stands behind the servers")
        servers = tuple(_server(one, safe) for one in where.split(","))
        user, _, password = who.partition(":")
        files = parse_qs(behind.query, keep_blank_values=True)
        unknown = files.keys() - set(_FILES)
        tls = _SCHEMES[scheme.lower()]
        if unknown or (files and not tls):
            raise ClusterAddressInvalid(safe, "behind ? stand ca, cert and key, files of TLS, with valkeys://")
        if not all(values[-1] for values in files.values()):
            raise ClusterAddressInvalid(safe, "ca, cert and key are names of files")
        return cls(
            servers,
            unquote(user) or None,
            unquote(password) or None,
            tls,
            **{name: values[-1] for name, values in files.items()},
        )


def shown(host: str, port: int) -> str:
    """Returns host and port as they are written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(text: str) -> tuple[str, int]:
    """Returns host and port of HOST:PORT.

    Raises:
        ClusterAddressInvalid: if these are none.
    """
    return _server(text, text)


def is_host(text: str) -> bool:
    """Tells whether something can be a host: Python's sockets raise no OSError for what cannot."""
    try:
        return bool(text.encode("idna")) and "\0" not in text
    except UnicodeError:  # an empty part, or one of more than 63 bytes
        return False


def _server(text: str, safe: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ClusterAddressInvalid(safe, str(error)) from None
    if parts.netloc != text:
        raise ClusterAddressInvalid(safe, "behind the port of a server stands something")
    if not host:
        raise ClusterAddressInvalid(safe, "a host is missing")
    if not is_host(host):
        raise ClusterAddressInvalid(safe, f"{host!r} is no name of a host")
    return host, DEFAULT_PORT if port is None else port


def _is_servers(text: str) -> bool:
    try:
        return bool([_server(one, text) for one in text.split(",")])
    except ClusterAddressInvalid:
        return False


def _without_password(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    _, at, where = rest.rpartition("@")
    return f"{scheme}{separator}{'...@' if at else ''}{where}" if separator else text
