"""The operations of HTTP: each takes a parsed request and returns a response, after it has asked who the caller is.

If a caller hangs up, its work is given up. This module does not read texts itself, and knows no route.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response, StreamingResponse

import edgeqa
from edgeqa.serving import messages, metrics, uploads
from edgeqa.serving.bodies import body_of, until_gone
from edgeqa.serving.callers import ADD, ASK
from edgeqa.serving.errors import (
    Draining,
    Refused,
    RequestInvalid,
    TokenMissing,
    TokenUnknown,
)
from edgeqa.serving.openapi import described
from edgeqa.serving.operations import OPERATIONS
from edgeqa.serving.problems import problem_of
from edgeqa.serving.replies import json_line, json_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from starlette.requests import Request

    from edgeqa.serving.admission import Admission
    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine

JSON_BYTES = 1 << 20
MANY_AT_A_TIME = 4  # so many questions of one request wait or are read at once
UPLOADS_AT_A_TIME = 4
LOCAL_STATE = "local"
"""A key in `scope["state"]`: the request came through a socket to which only this machine can connect."""
MAX_REPLIES = 256
"""The number of answers at hand that are kept in the form in which they are sent, each for one number of candidates."""
COOKIE = "edgeqa_token"


class Api:
    """The operations."""

    def __init__(self, engine: Engine, admission: Admission) -> None:
        self.engine, self.admission = engine, admission
        self._uploads = 0
        self._replies: dict[int, tuple[edgeqa.Answer, bytes]] = {}

    def caller(self, request: Request, scope: str | None = ASK, *, way: str = "http") -> Caller:
        """Returns the caller of a request; raises as `Admission.caller`, and as `Caller.require` does."""
        state = request.scope.get("state", {})
        peer = request.client.host if request.client is not None and request.client.host else "unix"
        caller = self.admission.caller(way, peer, _token(request), is_local=bool(state.get(LOCAL_STATE)))
        if scope is not None:
            caller.require(scope)
        return caller

    async def ask(self, request: Request, message: messages.Ask) -> Response:
        """`POST /v1/ask`."""
        caller = self.caller(request)
        if not message.refresh and message.within is None and not isinstance(message.context, list):
            found = self.engine.remembered(
                caller,
                message.question,
                collection=message.collection,
                context=message.context,
                top=message.top,
                force=message.force,
                contexts=message.contexts,
                reader=message.reader,
            )
            if found is not None:  # the answer is there without a wait
                return self._remembered(found, candidates=message.top > 1)
        answer = await until_gone(request, self._asked(caller, message.question, message))
        return json_response(answer.to_json(candidates=message.top > 1))

    def _remembered(self, answer: edgeqa.Answer, *, candidates: bool) -> Response:
        """Returns the reply for an answer at hand; it is made once, and kept while the answer is asked for often."""
        made = self._replies.get(id(answer))
        if made is None or made[0] is not answer:
            made = answer, msgspec.json.encode(answer.to_json(candidates=candidates))
            if len(self._replies) >= MAX_REPLIES:
                self._replies.clear()
            self._replies[id(answer)] = made
        return Response(made[1], media_type="application/json")

    def _asked(self, caller: Caller, question: str, options: messages.Options) -> Awaitable[edgeqa.Answer]:
        if options.context is not None and options.within is not None:
            raise RequestInvalid("within and context are both given", "leave out one of them")  # noqa: EM101
        return self.engine.ask(
            caller,
            question,
            collection=options.collection,
            context=options.context,
            within=options.within,
            top=options.top,
            force=options.force,
            contexts=options.contexts,
            reader=options.reader,
            refresh=options.refresh,
            timeout_s=options.timeout_s,
        )

    async def ask_many(self, request: Request, message: messages.AskMany) -> Response:
        """`POST /v1/ask-many`."""
        caller = self.caller(request)

        async def line(question: str) -> bytes:
            try:
                answer = await self._asked(caller, question, message)
            except edgeqa.EdgeQAError as error:
                return json_line(problem_of(error) | {"question": question})
            return json_line(answer.to_json(candidates=message.top > 1))

        return StreamingResponse(_in_order(line, message.questions), media_type="application/x-ndjson")

    async def ask_file(self, request: Request, message: messages.AskFile) -> Response:
        """`POST /v1/ask-file`."""
        answer, path, name = await self.asked_file(request, message)
        return json_response(_renamed(answer.to_json(candidates=message.top > 1), path, name))

    async def asked_file(self, request: Request, message: messages.AskFile) -> tuple[edgeqa.Answer, str, str]:
        """Returns the answer from a file in the request, with the file's path and name."""
        caller = self.caller(request)
        name = uploads.file_name(message.name, request.headers.get("content-type", ""))
        async with self._stored(request, name) as path:
            asked = self.engine.ask(
                caller,
                message.question,
                context=path,
                top=message.top,
                force=message.force,
                reader=message.reader,
                timeout_s=message.timeout_s,
            )
            with _named(path, name):
                return await until_gone(request, asked), str(path), name

    async def answer(self, request: Request, message: messages.GetAnswer) -> Response:
        """`GET /v1/answers/{name}`."""
        got = self.engine.get(
            self.caller(request),
            request.path_params["name"],
            collection=message.collection,
            force=message.force,
            timeout_s=message.timeout_s,
        )
        said = (await until_gone(request, got)).to_json()
        lasting = {name: value for name, value in said.items() if name not in {"cached", "timings_ms"}}
        tag = f'"{blake2b(msgspec.json.encode(lasting), digest_size=16).hexdigest()}"'
        seen = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
        if tag in seen or "*" in seen:
            return Response(status_code=304, headers={"ETag": tag})
        return json_response(said, headers={"ETag": tag})

    async def closest(self, request: Request, message: messages.Closest) -> Response:
        """`GET /v1/closest`."""
        found = await self.engine.closest(
            self.caller(request), message.question, message.most, collection=message.collection
        )
        return json_response({"contexts": [passage.to_json() for passage in found]})

    async def context(self, request: Request, message: messages.InCollection) -> Response:
        """`GET /v1/contexts/{address}`."""
        caller, address = self.caller(request), request.path_params["address"]
        shown = await self.engine.passage(caller, address, collection=message.collection)
        start, end = shown.marked
        said = shown.to_json() | {
            "text": shown.text[start:end],
            "before": shown.text[:start],
            "after": shown.text[end:],
            "address": address,
            "source_start": shown.start + start,
            "source_end": shown.start + end,
        }
        return json_response({name: value for name, value in said.items() if name not in {"start", "marked"}})

    async def collections(self, request: Request) -> Response:
        """`GET /v1/collections`."""
        found = await self.engine.collections(self.caller(request))
        return json_response({"served": self.engine.collection_names, "collections": [one.to_json() for one in found]})

    async def documents(self, request: Request, message: messages.ListDocuments) -> Response:
        """`GET /v1/documents`."""
        found = await self.engine.documents(
            self.caller(request), collection=message.collection, after=message.after, most=message.most + 1
        )
        page = found[: message.most]
        after = page[-1].document if len(found) > message.most else None
        return json_response({"documents": [document.to_json() for document in page], "next_after": after})

    async def document(self, request: Request, message: messages.InCollection) -> Response:
        """`GET /v1/documents/{name}`."""
        caller, name = self.caller(request), request.path_params["name"]
        shown = await self.engine.text(caller, name, collection=message.collection)
        return json_response({"document": shown.document, "text": shown.text})

    async def put_document(self, request: Request, message: messages.PutDocument) -> Response:
        """`PUT /v1/documents/{name}`."""
        caller = self.caller(request, ADD)
        name = uploads.checked_name(request.path_params["name"])
        async with contextlib.AsyncExitStack() as stack:
            path = await stack.enter_async_context(self._stored(request, name.rpartition("/")[2]))

            async def added(progress: Callable[[str, int, int], None] | None) -> dict[str, Any]:
                with _named(path, name):
                    report = await self.engine.add(
                        caller, path, name, collection=message.collection, format=message.format, progress=progress
                    )
                said: dict[str, Any] = _renamed(report.to_json(), str(path), name)
                return said

            if "application/x-ndjson" in request.headers.get("accept", ""):
                kept = stack.pop_all()  # it is kept until the last line is sent
                return StreamingResponse(_progress(added, kept), media_type="application/x-ndjson")
            return json_response(await added(None))

    async def delete_document(self, request: Request, message: messages.InCollection) -> Response:
        """`DELETE /v1/documents/{name}`."""
        caller, name = self.caller(request, ADD), request.path_params["name"]
        await self.engine.remove(caller, name, collection=message.collection)
        return Response(status_code=204)

    async def capabilities(self, request: Request) -> Response:
        """`GET /v1/capabilities`."""
        self.caller(request)
        return json_response(await self.engine.look(self.engine.runtime.capabilities))

    async def models(self, request: Request) -> Response:
        """`GET /v1/models`."""
        self.caller(request)
        found = await self.engine.look(edgeqa.models.list)
        said = [
            {
                "name": one.name,
                "is_in_use": one.is_in_use,
                "fault": one.fault or None,
                "version": one.bundle.manifest.version if one.bundle is not None else None,
            }
            for one in found
        ]
        return json_response({"served": self.engine.runtime.bundle.manifest.name, "models": said})

    async def healthz(self, request: Request) -> Response:  # noqa: ARG002 - as all others
        """`GET /healthz`."""
        return json_response({"status": "alive"})

    async def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """`GET /readyz`."""
        if self.engine.draining:
            raise Draining
        return json_response({"status": "ready", "model_loaded": self.engine.model_loaded})

    async def metrics(self, request: Request) -> Response:
        """`GET /metrics`."""
        text = await metrics.text(self.engine, self.caller(request))
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:  # noqa: ARG002
        """`GET /openapi.json`."""
        return Response(_described(), media_type="application/json")

    @contextlib.asynccontextmanager
    async def _stored(self, request: Request, name: str) -> AsyncIterator[Any]:
        if self._uploads >= UPLOADS_AT_A_TIME:
            raise Refused(1, "too many files are being sent")
        self._uploads += 1
        try:
            async with uploads.stored(body_of(request, uploads.MAX_BYTES), name) as path:
                yield path
        finally:
            self._uploads -= 1


async def _in_order(line: Callable[[str], Awaitable[bytes]], questions: Iterable[str]) -> AsyncIterator[bytes]:
    """Yields a line for each question, in their order; a few are asked at the same time."""
    waiting: list[asyncio.Future[bytes]] = []
    rest = iter(questions)
    try:
        for question in rest:
            waiting.append(asyncio.ensure_future(line(question)))
            if len(waiting) >= MANY_AT_A_TIME:
                yield await waiting.pop(0)
        while waiting:
            yield await waiting.pop(0)
    finally:
        for task in waiting:
            task.cancel()


async def _progress(
    work: Callable[[Any], Awaitable[dict[str, Any]]], kept: contextlib.AsyncExitStack
) -> AsyncIterator[bytes]:
    """Yields lines of how far something is, then what has come of it; what was kept for it is let go at the end."""
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def step(doing: str, done: int, total: int) -> None:
        loop.call_soon_threadsafe(steps.put_nowait, {"doing": doing, "done": done, "total": total})

    async with kept:
        task = asyncio.ensure_future(work(step))
        task.add_done_callback(lambda _: steps.put_nowait(None))
        while (said := await steps.get()) is not None:
            yield json_line(said)
        try:
            yield json_line(await task)
        except edgeqa.EdgeQAError as error:
            yield json_line(problem_of(error))


def _token(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    return request.cookies.get(COOKIE)


def token_dropped(request: Request, error: edgeqa.EdgeQAError) -> dict[str, str]:
    """Returns the header by which a browser lets go of a token that is known no more, and would be refused for ever."""
    is_unknown = isinstance(error, TokenUnknown) and not isinstance(error, TokenMissing)
    if not is_unknown or COOKIE not in request.cookies:
        return {}
    return {"Set-Cookie": f"{COOKIE}=; Path=/; Max-Age=0; SameSite=Strict"}


@contextlib.contextmanager
def _named(path: Any, name: str) -> Any:  # noqa: ANN401
    """Makes errors name a file by its own name, not by its temporary path."""
    try:
        yield
    except edgeqa.EdgeQAError as error:
        error.message = error.message.replace(str(path), name)
        if error.hint:
            error.hint = error.hint.replace(str(path), name)
        raise


def _renamed(said: Any, path: str, name: str) -> Any:  # noqa: ANN401 - JSON
    """Returns JSON values that name a file by its own name, without its temporary path."""
    if isinstance(said, dict):
        renamed = {key: _renamed(value, path, name) for key, value in said.items()}
        return renamed | {"path": None} if "path" in renamed else renamed
    if isinstance(said, list):
        return [_renamed(value, path, name) for value in said]
    return name + said.removeprefix(path) if isinstance(said, str) and said.startswith(path) else said


@lru_cache(maxsize=1)
def _described() -> bytes:
    return msgspec.json.encode(described(OPERATIONS))
