"""The address of a cluster: `valkey://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]`.

In: the address from the user or the environment. Out: servers to start with, a user, and whether to use TLS. The
address is never shown with its password. `valkeys`, `redis` and `rediss` are schemes, too; the query names files for
TLS, as in `?ca=ca.pem&cert=client.pem&key=client.key`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from edgeqa.cluster.errors import ClusterAddressInvalid

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

    @classmethod
    def parse(cls, text: str) -> ClusterAddress:
        """Returns the address that `text` is.

        Raises:
            ClusterAddressInvalid: if it is none.
        """
        safe = _without_password(text)
        scheme, separator, _ = text.partition("://")
        if not separator or scheme.lower() not in _SCHEMES:
            raise ClusterAddressInvalid(safe, "it does not begin with valkey:// or valkeys://")
        parts = urlsplit(text)
        who, _, where = parts.netloc.rpartition("@")
        if parts.path not in ("", "/", "/0") or parts.fragment:
            raise ClusterAddressInvalid(safe, "a cluster has only database 0, and nothing stands behind the servers")
        servers = tuple(_server(one, safe) for one in where.split(","))
        user, _, password = who.partition(":")
        files = parse_qs(parts.query)
        unknown = files.keys() - set(_FILES)
        tls = _SCHEMES[scheme.lower()]
        if unknown or (files and not tls):
            raise ClusterAddressInvalid(safe, "behind ? stand ca, cert and key, files of TLS, with valkeys://")
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
    if not host:
        raise ClusterAddressInvalid(safe, "a host is missing")
    if not is_host(host):
        raise ClusterAddressInvalid(safe, f"{host!r} is no name of a host")
    return host, DEFAULT_PORT if port is None else port


def _without_password(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    _, at, where = rest.rpartition("@")
    return f"{scheme}{separator}{'...@' if at else ''}{where}" if separator else text
