"""The operations of HTTP: a table by which requests are routed, parsed and described. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.serving import messages
from edgeqa.serving.callers import ADD, ASK

if TYPE_CHECKING:
    from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation."""

    method: str
    path: str
    name: str
    """The name of the method of `Api` that does it."""
    summary: str
    scope: str | None = ASK
    """The scope that its caller needs; None if anybody may call it."""
    body: type[Struct] | None = None
    query: type[Struct] | None = None
    sends_file: bool = False
    gives: str = "object"
    """The kind of response: the name of a schema, "lines" of JSON, "text", or "nothing"."""


OPERATIONS = (
    Operation("POST", "/v1/ask", "ask", "The answer to a question", body=messages.Ask, gives="Answer"),
    Operation("POST", "/v1/ask-many", "ask_many", "Answers, a line each", body=messages.AskMany, gives="lines"),
    Operation(
        "POST",
        "/v1/ask-file",
        "ask_file",
        "The answer from a file that is not kept",
        query=messages.AskFile,
        sends_file=True,
        gives="Answer",
    ),
    Operation(
        "GET", "/v1/answers/{name:path}", "answer", "The answer of a name", query=messages.GetAnswer, gives="Answer"
    ),
    Operation("GET", "/v1/closest", "closest", "The passages closest to a question", query=messages.Closest),
    Operation("GET", "/v1/contexts/{address:path}", "context", "A passage", query=messages.InCollection),
    Operation("GET", "/v1/collections", "collections", "What can be asked"),
    Operation("GET", "/v1/documents", "documents", "Documents, by name", query=messages.ListDocuments),
    Operation("GET", "/v1/documents/{name:path}", "document", "A document's text", query=messages.InCollection),
    Operation(
        "PUT",
        "/v1/documents/{name:path}",
        "put_document",
        "Adds a document, or replaces it",
        scope=ADD,
        query=messages.PutDocument,
        sends_file=True,
    ),
    Operation(
        "DELETE",
        "/v1/documents/{name:path}",
        "delete_document",
        "Removes a document",
        scope=ADD,
        query=messages.InCollection,
        gives="nothing",
    ),
    Operation("GET", "/v1/capabilities", "capabilities", "What the device has, and what is done with it"),
    Operation("GET", "/v1/models", "models", "The models that there are"),
    Operation("GET", "/healthz", "healthz", "Whether it is alive", scope=None),
    Operation("GET", "/readyz", "readyz", "Whether answers can be given", scope=None),
    Operation("GET", "/metrics", "metrics", "Counters, as Prometheus reads them", gives="text"),
    Operation("GET", "/openapi.json", "openapi", "This description", scope=None),
)
