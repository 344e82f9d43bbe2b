"""The tools for agents: the types of their arguments and results, and their calls of the engine.

In: the arguments of a call, as parsed JSON. Out: an object, which an agent reads. JSON schemas describe both to agents;
they are made from the types that parse the arguments and write the results. A tool quotes the documents, and never
makes anything up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from edgeqa.errors import OptionError
from edgeqa.serving.callers import MAX_QUESTION_CHARACTERS
from edgeqa.serving.uploads import checked_name, own_folder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edgeqa.answer import Answer, Candidate, ClosePassage
    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine

_In = TypeVar("_In", bound=Struct)

Question = Annotated[
    str,
    Meta(
        description="A question in plain English, with the words that the documents would use.",
        max_length=MAX_QUESTION_CHARACTERS,
    ),
]
Address = Annotated[str, Meta(description="Where a passage is, as other tools give it: DOCUMENT:{TAG}:N.")]


class Ask(Struct, forbid_unknown_fields=True):
    """What `ask` takes."""

    question: Question
    top: Annotated[int, Meta(ge=1, le=20, description="How many distinct answers to give, best first.")] = 1


class Closest(Struct, forbid_unknown_fields=True):
    """What `closest` takes."""

    question: Question
    most: Annotated[int, Meta(ge=1, le=50, description="How many passages to give.")] = 5


class Get(Struct, forbid_unknown_fields=True):
    """What `get` takes."""

    address: Address
    question: Question


class ReadPassage(Struct, forbid_unknown_fields=True):
    """What `read_passage` takes."""

    address: Address


class ListDocuments(Struct, forbid_unknown_fields=True):
    """What `list_documents` takes."""

    after: Annotated[str, Meta(description="Give those after this document, as the last page's `next` says.")] = ""
    most: Annotated[int, Meta(ge=1, le=1000, description="How many to give.")] = 100


class AddText(Struct, forbid_unknown_fields=True):
    """What `add_text` takes."""

    name: Annotated[str, Meta(description="What the text is called. A text of this name is replaced.", max_length=200)]
    text: Annotated[str, Meta(description="The text, as Markdown; plain, where the name ends in .txt.")]


class Quotation(Struct):
    """Another answer."""

    answer: str
    document: str
    heading: Annotated[str | None, Meta(description="The headings that the passage stands under.")]
    passage: Annotated[str, Meta(description="The passage that the answer is cut from, as it was read.")]
    address: str | None
    score: Annotated[float, Meta(description="Higher is better; to be compared within one question.")]


class Passage(Struct):
    """A passage that is close to a question."""

    text: str
    heading: str | None
    document: str
    address: str | None
    score: float


class Found(Struct):
    """An answer, quoted, or that there is none."""

    question: str
    answer: Annotated[str | None, Meta(description="The words of the document, or null: the documents do not say it.")]
    probability: Annotated[float, Meta(description="How likely the answer is right, from 0 to 1.")]
    document: str | None
    heading: str | None
    passage: Annotated[str | None, Meta(description="The passage that the answer is cut from, as it was read.")]
    address: str | None
    notes: Annotated[list[str], Meta(description="What speaks against the answer.")]
    others: Annotated[list[Quotation], Meta(description="With `top`, the next best answers.")]
    closest: Annotated[list[Passage], Meta(description="Where there is no answer, the passages closest to it.")]


class ClosestFound(Struct):
    """Passages, the closest first."""

    passages: list[Passage]


class PassageRead(Struct):
    """A passage where it stands."""

    document: str
    heading: str | None
    text: Annotated[str, Meta(description="The passage with what stands around it.")]
    start: Annotated[int, Meta(description="Where the passage begins in `text`, in characters.")]
    end: Annotated[int, Meta(description="Where it ends.")]


class Document(Struct):
    """A document that can be asked."""

    document: str
    title: str | None
    passages: int


class DocumentsListed(Struct):
    """A page of documents, by name."""

    documents: list[Document]
    next: Annotated[str | None, Meta(description="Where the next page begins, as `after`; null: that was all.")]


class TextAdded(Struct):
    """The result of adding a text."""

    document: str
    passages: Annotated[int, Meta(description="How many passages it was split into; 0: it was there already.")]


@dataclass(frozen=True, slots=True)
class Tool(Generic[_In]):
    """A tool, as it is described to agents."""

    name: str
    title: str
    description: str
    takes: type[_In]
    gives: type[Struct]
    run: Callable[[_In, Caller], Awaitable[Struct]]
    read_only: bool = True

    async def call(self, arguments: object, caller: Caller) -> dict[str, Any]:
        """Returns the result of the tool, as JSON values.

        Raises:
            OptionError: for arguments that the tool does not take.
            EdgeQAError: for the same reasons as the engine.
        """
        try:
            given = msgspec.convert(arguments, self.takes)
        except msgspec.ValidationError as error:
            raise OptionError(name="arguments", value=arguments, expected=f"what {self.name} takes: {error}") from None
        result: dict[str, Any] = msgspec.to_builtins(await self.run(given, caller))
        return result

    def to_json(self) -> dict[str, Any]:
        """Returns the tool as `tools/list` gives it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": _schema(self.takes),
            "outputSchema": _schema(self.gives),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.read_only,
                "destructiveHint": False,
                "idempotentHint": True,
                "openWorldHint": False,
            },
        }


def tools(engine: Engine, *, collection: str | None = None, may_add: bool = False) -> list[Tool[Any]]:
    """Returns the tools on an engine.

    Args:
        engine: the engine that answers.
        collection: the collection to ask; by default the engine's first.
        may_add: whether there is a tool that adds.
    """

    async def ask(given: Ask, caller: Caller) -> Found:
        return _found(await engine.ask(caller, given.question, collection=collection, top=given.top))

    async def closest(given: Closest, caller: Caller) -> ClosestFound:
        passages = await engine.closest(caller, given.question, given.most, collection=collection)
        return ClosestFound([_passage(one) for one in passages])

    async def get(given: Get, caller: Caller) -> Found:
        tag = given.address.rpartition(":{")[2].partition("}")[0]
        name = f"bertqa{{{tag}}}_{given.address}_{given.question}"
        return _found(await engine.get(caller, name, collection=collection))

    async def read_passage(given: ReadPassage, caller: Caller) -> PassageRead:
        shown = await engine.passage(caller, given.address, collection=collection)
        return PassageRead(shown.document, _heading(shown.heading), shown.text, *shown.marked)

    async def list_documents(given: ListDocuments, caller: Caller) -> DocumentsListed:
        page = await engine.documents(caller, collection=collection, after=given.after, most=given.most + 1)
        listed = [Document(one.document, one.title, one.contexts) for one in page]
        more = len(listed) > given.most
        return DocumentsListed(listed[: given.most], listed[given.most - 1].document if more else None)

    async def add_text(given: AddText, caller: Caller) -> TextAdded:
        name = checked_name(given.name)
        ending = ".txt" if name.endswith(".txt") else ".md"
        with own_folder() as folder:
            path = folder / f"text{ending}"
            path.write_text(given.text, encoding="utf-8")
            added = await engine.add(caller, path, name, collection=collection)
        for _, error in added.failed:
            raise error
        return TextAdded(name, added.contexts)

    found: list[Tool[Any]] = [
        Tool(
            "ask",
            "Ask the documents",
            "Answers a question from the user's documents. The answer is quoted from a passage, word for word, with "
            "its document and how likely it is right; it is never made up. A null answer means that the documents do "
            "not say it; the closest passages are given then. Made for short factual answers (who, when, how much); "
            "ask one thing at a time.",
            Ask,
            Found,
            ask,
        ),
        Tool(
            "closest",
            "Find passages",
            "Finds the passages of the user's documents that share most with a question, best first, without reading "
            "them: for reading more than one answer, and for questions that no single passage answers.",
            Closest,
            ClosestFound,
            closest,
        ),
        Tool(
            "get",
            "Ask one passage",
            "Answers a question from one passage alone, which is named by its address. Null means that this passage "
            "does not say it.",
            Get,
            Found,
            get,
        ),
        Tool(
            "read_passage",
            "Read a passage where it stands",
            "Gives a passage with the text around it, by its address.",
            ReadPassage,
            PassageRead,
            read_passage,
        ),
        Tool(
            "list_documents",
            "List the documents",
            "Lists the documents that are asked, by name, a page at a time.",
            ListDocuments,
            DocumentsListed,
            list_documents,
        ),
    ]
    if may_add:
        about = "Adds a text to the user's documents, so that it can be asked. A text of the same name is replaced."
        found.append(Tool("add_text", "Add a text", about, AddText, TextAdded, add_text, read_only=False))
    return found


def _found(answer: Answer) -> Found:
    best = answer.candidates[0] if answer.text is not None else None
    return Found(
        question=answer.question,
        answer=answer.text,
        probability=round(answer.probability, 4),
        document=answer.document,
        heading=_heading(best.heading) if best else None,
        passage=answer.context,
        address=answer.address,
        notes=list(answer.notes),
        others=[_quotation(one) for one in answer.candidates[1:]] if best else [],
        closest=[] if best else [_passage(one) for one in answer.closest],
    )


def _quotation(one: Candidate) -> Quotation:
    return Quotation(one.text, one.document, _heading(one.heading), one.context, one.address, round(one.score, 4))


def _passage(one: ClosePassage) -> Passage:
    return Passage(one.text, _heading(one.heading), one.document, one.address, round(one.score, 4))


def _heading(heading: tuple[str, ...]) -> str | None:
    return " > ".join(heading) or None


def _schema(of: type[Struct]) -> dict[str, Any]:
    """Returns a type's JSON schema, an object at its root; the types within it are beside it."""
    _, components = msgspec.json.schema_components([of], ref_template="#/$defs/{name}")
    root: dict[str, Any] = components.pop(of.__name__)
    return root | {"$defs": components} if components else root
