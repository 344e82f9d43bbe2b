"""`POST /mcp`: the route for the Model Context Protocol over HTTP, with one reply for each request.

Messages are handled in `mcp`. Callers are let in as everywhere else. A body must be JSON, and its header must say so,
which a form of another site cannot do. Nothing is streamed, so that `GET` is not allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from edgeqa.serving.bodies import body_of, until_gone
from edgeqa.serving.mcp import MESSAGE_BYTES, McpServer
from edgeqa.serving.tools import tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine


def mcp_route(engine: Engine, caller_of: Callable[[Request], Caller], *, may_add: bool) -> Route:
    """Returns the route.

    Args:
        engine: the engine that answers.
        caller_of: a function that returns the caller of a request, or raises.
        may_add: whether there is a tool that adds, for callers who may.
    """
    server = McpServer(tools(engine, may_add=may_add))

    async def endpoint(request: Request) -> Response:
        caller = caller_of(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "the body has to be application/json")
        body = b"".join([block async for block in body_of(request, MESSAGE_BYTES)])
        reply = await until_gone(request, server.post(body, request.headers, caller))
        return Response(reply.body, reply.status, media_type="application/json" if reply.body else None)

    return Route("/mcp", endpoint, methods=["POST"])
