"""The guard: every request passes its checks of host and origin, and every response gets its headers.

A page from elsewhere gets nothing. Somebody else's name server may let a name lead here (DNS rebinding): so the server
answers only to addresses, to this machine's own name, and to names that the user allows. `admission` decides who the
caller is, and what it may do.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

import edgeqa
from edgeqa.serving.errors import HostRefused, OriginRefused, RequestInvalid
from edgeqa.serving.problems import problem_of
from edgeqa.serving.replies import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_HEADERS = [  # a reply may set another value itself
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


def guarded(inner: ASGIApp, names: frozenset[str]) -> ASGIApp:
    """Returns the application behind the checks that every request has to pass, with the headers of every response."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [*message.get("headers", ())]
                names_given = {name for name, _ in given}
                message["headers"] = given + [header for header in _HEADERS if header[0] not in names_given]
            await send(message)

        try:
            _check_headers(scope, names)
        except edgeqa.EdgeQAError as error:
            await problem_response(problem_of(error), {"Connection": "close"})(scope, receive, sent)
            return
        with contextlib.suppress(ClientDisconnect):
            await inner(scope, receive, sent)

    return checked


def _check_headers(scope: Scope, names: frozenset[str]) -> None:
    """Checks that a request is made to this server, and not by another site's page.

    Raises:
        RequestInvalid: if two of its headers say how long its body is.
        HostRefused: if it is made to a name that is not this server's.
        OriginRefused: if a page of another site changes or asks something.
    """
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers and b"content-length" in headers:
        reason = "Transfer-Encoding and Content-Length both say how long the body is"
        raise RequestInvalid(
            reason, "send one of them: where a proxy takes the other, a second request hides in the body"
        )
    host = headers.get(b"host", b"").decode("latin-1").lower()
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # it is half an IPv6 address
        raise HostRefused(host) from None
    is_unix = scope.get("client") is None or not scope["client"][0]
    if not (is_unix or name in names or is_address(name)):
        raise HostRefused(name)
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    if origin and scope["method"] not in SAFE_METHODS and urlsplit(origin).netloc != host:
        raise OriginRefused(origin)


def is_address(name: str) -> bool:
    """Tells whether a host is an address, to which no name server can give another meaning."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, name)
            return True
    return False


def own_names() -> frozenset[str]:
    """Returns the names of this machine."""
    own = socket.gethostname().lower()
    return frozenset(("localhost", own, f"{own.partition('.')[0]}.local"))
