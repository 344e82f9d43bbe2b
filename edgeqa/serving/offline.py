"""`edgeqa serve --get PATH`: it makes one request to the application, without a server, and returns status and body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from edgeqa.serving.api import LOCAL_STATE

if TYPE_CHECKING:
    from starlette.types import ASGIApp


async def got(app: ASGIApp, target: str) -> tuple[int, bytes]:
    """Returns the status and the body of a GET, as if it came over a Unix socket.

    Args:
        app: the application.
        target: path and query: "/v1/closest?question=..."; the first slash may be left out.
    """
    path, _, query = f"/{target.removeprefix('/')}".partition("?")
    parts: list[bytes] = []
    status = 0

    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return requests.pop() if requests else await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:  # noqa: ANN401 - an ASGI message
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "client": None,
        "server": None,
        "state": {LOCAL_STATE: True},
    }
    await app(scope, receive, send)
    return status, b"".join(parts)
