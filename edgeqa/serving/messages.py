"""The types of HTTP requests: they parse requests, and `/openapi.json` is made from them. Pure."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from edgeqa.serving.callers import (
    DEFAULT_TIMEOUT_S,
    MAX_NAME_CHARACTERS,
    MAX_QUESTION_CHARACTERS,
    MAX_TIMEOUT_S,
    Reader,
)
from edgeqa.serving.errors import RequestInvalid

MAX_QUESTIONS = 64
MAX_TEXTS = 64
MAX_LISTED = 10_000

Question = Annotated[str, Meta(min_length=1, max_length=MAX_QUESTION_CHARACTERS, description="What is asked.")]
Collection = Annotated[str, Meta(max_length=64, description="The collection that is meant; by default the first.")]
Within = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]],
    Meta(min_length=1, max_length=64, description="Files, folders or documents of the collection: nothing else of it."),
]
Top = Annotated[int, Meta(ge=1, le=100, description="How many distinct answers to give as candidates.")]
Most = Annotated[int, Meta(ge=1, le=100, description="How many passages.")]
Timeout = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S, description="How many seconds to wait for the answer.")]
Contexts = Annotated[int, Meta(ge=1, le=1000, description="Read exactly so many passages, those closest.")]
By = Annotated[
    Reader, Meta(description="Who decides: the fast reader, the careful one, or as the plan says; see capabilities.")
]
Texts = Annotated[
    str | Annotated[list[str], Meta(min_length=1, max_length=MAX_TEXTS)],
    Meta(description="A text, or several, to ask instead of the collection. Never a path."),
]


class Options(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The options of any question."""

    collection: Collection | None = None
    within: Within | None = None
    context: Texts | None = None
    top: Top = 1
    force: Annotated[bool, Meta(description='Give the best answer even where "no answer" is likelier.')] = False
    contexts: Contexts | None = None
    reader: By | None = None
    refresh: Annotated[bool, Meta(description="Read anew even if the answer is remembered.")] = False
    timeout_s: Timeout = DEFAULT_TIMEOUT_S


class Ask(Options, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A question."""

    question: Question


class AskMany(Options, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Questions on the same texts; answered in their order, one JSON object a line."""

    questions: Annotated[list[Question], Meta(min_length=1, max_length=MAX_QUESTIONS)]


class AskFile(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A question about a file."""

    question: Question
    name: Annotated[str, Meta(max_length=255, description="What the file is called: its ending tells its format.")] = ""
    top: Top = 1
    force: bool = False
    reader: By | None = None
    timeout_s: Timeout = DEFAULT_TIMEOUT_S


class GetAnswer(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The options for the answer of a name."""

    collection: Collection | None = None
    force: bool = False
    timeout_s: Timeout = DEFAULT_TIMEOUT_S


class Closest(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A search for passages."""

    question: Question
    most: Most = 5
    collection: Collection | None = None


class InCollection(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The choice of a collection."""

    collection: Collection | None = None


class ListDocuments(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A page of documents to list."""

    collection: Collection | None = None
    after: Annotated[
        str, Meta(max_length=MAX_NAME_CHARACTERS, description="Only documents whose names come after this one.")
    ] = ""
    most: Annotated[int, Meta(ge=1, le=MAX_LISTED, description="How many documents.")] = 1000


class PutDocument(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The options for a document that is added."""

    collection: Collection | None = None
    format: (
        Annotated[
            str,
            Meta(max_length=32, description="Its format, as for `edgeqa add --format`; by default its name tells."),
        ]
        | None
    ) = None


Message = TypeVar("Message", bound=Struct)


def from_json(body: bytes, kind: type[Message]) -> Message:
    """Returns the request in a JSON body.

    Raises:
        RequestInvalid: naming the field that is wrong.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(str(error), kind) from None


def from_query(pairs: list[tuple[str, str]], kind: type[Message]) -> Message:
    """Returns the request in a query (`?question=...&most=3`); the last value of a name counts.

    Raises:
        RequestInvalid: naming the field that is wrong.
    """
    try:
        return msgspec.convert(dict(pairs), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None


def schemas(kinds: list[type[Struct]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Returns the JSON schemas of the types, and the components that they refer to."""
    found, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return list(found), components


def _invalid(reason: str, kind: type[Struct]) -> RequestInvalid:
    fields = ", ".join(kind.__struct_fields__)
    return RequestInvalid(f"not a request of this kind: {reason}", f"there may be: {fields}; /openapi.json says more")
