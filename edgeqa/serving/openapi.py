"""`/openapi.json`: an OpenAPI 3.1 document, made from the operations and the types of their requests. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import edgeqa
from edgeqa.serving import messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeqa.serving.operations import Operation

_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "The name of the error."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string", "description": "What to do."},
    },
}
_JSON_TYPES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}


def described(operations: Sequence[Operation]) -> dict[str, Any]:
    """Returns the description of all operations, with their requests and responses."""
    kinds = [kind for one in operations for kind in (one.body, one.query) if kind is not None]
    _, components = messages.schemas(list(dict.fromkeys(kinds)))
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        path = re.sub(r":path\}", "}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, path, components)
    used = {kind.__name__ for one in operations if (kind := one.body) is not None}
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgeqa", "version": edgeqa.__version__, "summary": "Short answers cut from your texts"},
        "paths": paths,
        "components": {
            "schemas": {
                **{name: schema for name, schema in components.items() if name in used},
                "Answer": _answer(),
                "Problem": _PROBLEM,
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Operation, path: str, components: dict[str, Any]) -> dict[str, Any]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    said: dict[str, Any] = {"operationId": one.name, "summary": one.summary}
    if one.scope is not None:
        said["security"] = [{}, {"token": [one.scope]}] if one.scope == "ask" else [{"token": [one.scope]}]
    if one.query is not None:
        schema = components[one.query.__name__]
        required = schema.get("required", ())
        named += [
            {"name": name, "in": "query", "required": name in required, "schema": field}
            for name, field in schema["properties"].items()
        ]
    if named:
        said["parameters"] = named
    if one.body is not None:
        reference = {"$ref": f"#/components/schemas/{one.body.__name__}"}
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}
    elif one.sends_file:
        said["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    default = {"description": "What went wrong", "content": {"application/problem+json": problem}}
    said["responses"] = {**_given(one.gives), "default": default}
    return said


def _given(what: str) -> dict[str, Any]:
    if what == "nothing":
        return {"204": {"description": "Done"}}
    kinds = {"lines": "application/x-ndjson", "text": "text/plain"}
    schema = {"$ref": f"#/components/schemas/{what}"} if what == "Answer" else {"type": "object"}
    content = {kinds[what]: {}} if what in kinds else {"application/json": {"schema": schema}}
    return {"200": {"description": "Done", "content": content}}


def _answer() -> dict[str, Any]:
    """Returns an example of an answer, as `edgeqa ask --json` prints it."""
    candidate = edgeqa.Candidate("", 0, 0, "", 0, "", 0, 0.0, 0.0)
    sample = edgeqa.Answer("", "", 0, 0, "", 0, "", 0.0, 0.0, "", (candidate,)).to_json(candidates=True)
    without = edgeqa.Answer("", None, None, None, None, None, None, 0.0, 0.0, "", ()).to_json(candidates=True)
    properties: dict[str, Any] = {}
    for name, value in sample.items():
        kind = _JSON_TYPES.get(type(value), "string")
        may_be_null = value is None or without[name] is None
        properties[name] = {"type": [kind, "null"] if may_be_null else kind}
    about = "An answer, as `edgeqa ask --json` prints it; `answer` is null where there is none."
    return {"type": "object", "description": about, "properties": properties}
