"""Replies of HTTP: this module makes responses from JSON values."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


def json_response(said: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401 - JSON
    """Returns a response of JSON."""
    return Response(msgspec.json.encode(said), status, headers, "application/json")


def json_line(said: Any) -> bytes:  # noqa: ANN401 - JSON
    """Returns a line of JSON."""
    return msgspec.json.encode(said) + b"\n"


def problem_response(said: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """Returns a response with a problem."""
    status = said["status"]
    more = {"WWW-Authenticate": 'Bearer realm="edgeqa"'} if status == 401 else {}
    return Response(msgspec.json.encode(said), status, {**(headers or {}), **more}, "application/problem+json")
