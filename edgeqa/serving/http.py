"""HTTP: this module makes the application.

In: the table of operations. Out: an ASGI application with a route for each. A request is parsed by the type that its
operation names; an error becomes a problem as in RFC 9457. The operations are in `api`, the page is in `pages`, and the
checks for every request are in `guard`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

import edgeqa
from edgeqa.serving import joined, messages, pages
from edgeqa.serving.api import JSON_BYTES, Api, token_dropped
from edgeqa.serving.bodies import body_of
from edgeqa.serving.errors import (
    Refused,
)
from edgeqa.serving.guard import guarded, own_names
from edgeqa.serving.mcp_route import mcp_route
from edgeqa.serving.operations import OPERATIONS
from edgeqa.serving.problems import problem, problem_of
from edgeqa.serving.replies import problem_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from edgeqa.serving.admission import Admission
    from edgeqa.serving.engine import Engine
    from edgeqa.serving.operations import Operation
    from edgeqa.serving.part import Cluster


def application(
    engine: Engine,
    admission: Admission,
    *,
    allowed_hosts: Iterable[str] = (),
    may_add: bool = False,
    cluster: Cluster | None = None,
) -> ASGIApp:
    """Returns the ASGI application.

    Args:
        engine: that answers.
        admission: who is let in.
        allowed_hosts: names that it answers to, besides addresses and this machine's own name.
        may_add: whether agents are given a tool that adds.
        cluster: what it is a part of; None if it is of none.
    """
    api = Api(engine, admission)
    routes = [Route(one.path, _endpoint(api, one), methods=[one.method]) for one in OPERATIONS]
    routes += [] if cluster is None else joined.routes(cluster)
    inner = Starlette(
        routes=[*routes, *pages.routes(api), mcp_route(engine, partial(api.caller, way="mcp"), may_add=may_add)],
        exception_handlers={edgeqa.EdgeQAError: _said, HTTPException: _said_by_starlette, Exception: _said_of_bug},
    )
    return guarded(inner, frozenset(host.lower() for host in allowed_hosts) | own_names())


def _endpoint(api: Api, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    do = getattr(api, operation.name)

    async def endpoint(request: Request) -> Response:
        if operation.body is not None:
            kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
            if kind != "application/json":  # a form of another site cannot send JSON without the browser asking first
                raise HTTPException(415, "the body has to be application/json")
            body = b"".join([block async for block in body_of(request, JSON_BYTES)])
            found: Response = await do(request, messages.from_json(body, operation.body))
        elif operation.query is not None:
            found = await do(request, messages.from_query(request.query_params.multi_items(), operation.query))
        else:
            found = await do(request)
        return found

    return endpoint


async def _said(request: Request, error: Exception) -> Response:
    if not isinstance(error, edgeqa.EdgeQAError):
        raise error
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Refused) else {}
    return problem_response(problem_of(error), headers | token_dropped(request, error))


async def _said_by_starlette(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return problem_response(problem(status, getattr(error, "detail", "")), getattr(error, "headers", None))


async def _said_of_bug(_: Request, error: Exception) -> Response:
    return problem_response(
        problem(500, f"internal error: {type(error).__name__}", "this is a bug: the server's log says more")
    )
