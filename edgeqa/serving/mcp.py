"""The Model Context Protocol, by which agents ask, over pipes and over HTTP's POST.

In: JSON-RPC messages. Out: replies. Both eras of the protocol are spoken: the one with a handshake (`initialize`,
2024-11-05 to 2025-11-25), and the one in which each request names its version and `server/discover` lists the abilities
(2026-07-28). Neither keeps a session here, so that any request may come at any time
(https://modelcontextprotocol.io/specification). The tools are in `tools`; the engine does their work. The server sends
only replies: no notifications, and no requests to the client.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import edgeqa

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from edgeqa.serving.callers import Caller
    from edgeqa.serving.tools import Tool

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS_VERSIONS = ("2026-07-28",)
MESSAGE_BYTES = 4 << 20  # a line of standard input is not longer; HTTP has its own limit on bodies
MAX_AT_ONCE = 64  # so many requests from standard input are answered at once; the next ones are read later

_PARSE, _INVALID, _NO_METHOD, _PARAMS, _INTERNAL = -32700, -32600, -32601, -32602, -32603
_HEADERS_DIFFER, _VERSION_UNKNOWN = -32020, -32022
_STATUSES = {_PARSE: 400, _INVALID: 400, _PARAMS: 400, _HEADERS_DIFFER: 400, _VERSION_UNKNOWN: 400, _NO_METHOD: 404}
_META = "io.modelcontextprotocol/"
_VERSION, _CAPABILITIES = f"{_META}protocolVersion", f"{_META}clientCapabilities"
_FRESH_MS = 60_000  # how long a list of tools may be kept: it is the same as long as the server runs

_INSTRUCTIONS = (
    "Answers questions from the user's own documents, offline. Every answer is a quotation from a passage, with its "
    "document and a probability; nothing is made up. A null answer means that the documents do not say it."
)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """The response to a POST; it has no body if there is nothing to reply."""

    status: int
    body: bytes


class _Refused(Exception):
    """A request whose reply is an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class McpServer:
    """A server that replies to messages; it keeps nothing between them, and takes any number at once."""

    def __init__(self, tools: Sequence[Tool[Any]]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._listed = [tool.to_json() for tool in tools]
        self._info = {"name": "edgeqa", "title": "EdgeQA", "version": edgeqa.__version__}

    async def reply(self, message: object, caller: Caller) -> dict[str, Any] | None:
        """Returns the reply to a message; None to a notification, and to what is itself a reply.

        Args:
            message: parsed JSON.
            caller: who asks.
        """
        number = message.get("id") if isinstance(message, dict) else None
        if not _is_number(number):
            number = None
        try:
            if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
                raise _Refused(_INVALID, "not a JSON-RPC 2.0 message; batches are not taken")  # noqa: TRY301 - answered below
            method = message.get("method")
            if method is None and ("result" in message or "error" in message):
                return None
            if not isinstance(method, str) or ("id" in message and number is None):
                raise _Refused(_INVALID, "a request has a method, and an id that is a string or an integer")  # noqa: TRY301
            if "id" not in message:
                return None
            params = message.get("params", {})
            if not isinstance(params, dict):
                raise _Refused(_PARAMS, "params are an object")  # noqa: TRY301
            result = await self._result(method, params, caller)
        except _Refused as refused:
            return _error(refused.code, refused.message, refused.data, number)
        except Exception as error:  # any error is reported to the client, and the next request is answered
            return _error(_INTERNAL, f"internal error: {type(error).__name__}: {error}", number=number)
        return {"jsonrpc": "2.0", "id": number, "result": result}

    async def _result(self, method: str, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        meta = params.get("_meta")
        stateless = False
        if isinstance(meta, dict) and _VERSION in meta:
            stateless = True
            _check_version(meta[_VERSION])
            if _CAPABILITIES not in meta:
                raise _Refused(_PARAMS, f"params._meta has no {_CAPABILITIES}")
        capabilities = {"tools": {"listChanged": False}}
        result: dict[str, Any]
        if method == "server/discover":
            result = {
                "supportedVersions": list(STATELESS_VERSIONS),
                "capabilities": capabilities,
                "instructions": _INSTRUCTIONS,
                "_meta": {f"{_META}serverInfo": self._info},
            } | _KEPT
            return result | _COMPLETE
        if method == "initialize" and not stateless:
            wanted = params.get("protocolVersion")
            result = {
                "protocolVersion": wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1],
                "capabilities": capabilities,
                "serverInfo": self._info,
                "instructions": _INSTRUCTIONS,
            }
        elif method == "ping":
            result = {}
        elif method == "tools/list":
            result = {"tools": self._listed} | (_KEPT if stateless else {})
        elif method == "tools/call":
            result = await self._call(params, caller)
        else:
            raise _Refused(_NO_METHOD, f"no such method: {method}")
        return result | _COMPLETE if stateless else result  # some clients of the first era take no key they do not know

    async def _call(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Returns the result of a tool; a fault in it is a text for the agent, and no error of the protocol."""
        name, arguments = params.get("name"), params.get("arguments")
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise _Refused(_PARAMS, f"no such tool: {name}; there are {', '.join(self._tools)}")
        try:
            found = await tool.call({} if arguments is None else arguments, caller)
        except edgeqa.EdgeQAError as error:
            text = f"{error}\nhint: {error.hint}" if error.hint else str(error)
            return {"content": [{"type": "text", "text": text}], "isError": True}
        return {
            "content": [{"type": "text", "text": _json(found)}],
            "structuredContent": found,
            "isError": False,
        }

    async def post(self, body: bytes, headers: Mapping[str, str], caller: Caller) -> HttpReply:
        """Returns the reply to a POST; the caller is known already, and the body's length is within limits.

        Args:
            body: a JSON-RPC message.
            headers: of the request, by names in lower case.
            caller: who asks.
        """
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return _posted(_error(_PARSE, "the body is no JSON"))
        version = headers.get("mcp-protocol-version")
        try:
            if version in STATELESS_VERSIONS:
                _check_headers(message, headers)
            elif version is not None and version not in HANDSHAKE_VERSIONS:
                _check_version(version)
        except _Refused as refused:
            number = message.get("id") if isinstance(message, dict) else None
            return _posted(_error(refused.code, refused.message, refused.data, number if _is_number(number) else None))
        replied = await self.reply(message, caller)
        return HttpReply(202, b"") if replied is None else _posted(replied, stateless=version in STATELESS_VERSIONS)


_COMPLETE = {"resultType": "complete"}
_KEPT = {"ttlMs": _FRESH_MS, "cacheScope": "private"}


def _is_number(value: object) -> bool:
    """Tells whether a value can be the id of a request."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _check_version(version: object) -> None:
    if not isinstance(version, str):
        raise _Refused(_PARAMS, "the protocol's version is a string")
    if version not in STATELESS_VERSIONS:
        data = {"supported": [*HANDSHAKE_VERSIONS, *STATELESS_VERSIONS], "requested": version}
        raise _Refused(_VERSION_UNKNOWN, "Unsupported protocol version", data)


def _check_headers(message: object, headers: Mapping[str, str]) -> None:
    """Refuses a request whose headers differ from its body, since a proxy may have acted on the headers."""
    if not isinstance(message, dict) or "id" not in message:
        return
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    if not isinstance(params, dict) or not isinstance(meta, dict) or _VERSION not in meta:
        raise _Refused(_PARAMS, f"params._meta has no {_VERSION}")
    if meta[_VERSION] != headers["mcp-protocol-version"]:
        raise _Refused(_HEADERS_DIFFER, "MCP-Protocol-Version is not the version in params._meta")
    if headers.get("mcp-method") != message.get("method"):
        raise _Refused(_HEADERS_DIFFER, "Mcp-Method is not the method of the body")
    if message["method"] == "tools/call" and _decoded(headers.get("mcp-name")) != params.get("name"):
        raise _Refused(_HEADERS_DIFFER, "Mcp-Name is not the name of the tool in the body")


def _decoded(value: str | None) -> str | None:
    """Returns a header's value; clients send a value that no header can hold in base64, as =?base64?...?=."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except ValueError:
        return None


def _error(code: int, message: str, data: object = None, number: object = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _posted(reply: Mapping[str, Any], *, stateless: bool = True) -> HttpReply:
    """Returns a reply as HTTP.

    To clients of the first era, a status other than 200 means that the connection is at its end.
    """
    code = reply.get("error", {}).get("code")
    status = _STATUSES.get(code, 200) if stateless or code == _INVALID else 200
    return HttpReply(status, _json(reply).encode())


def _json(value: object) -> str:
    """Returns JSON on one line; half a surrogate pair, as in a name that is no UTF-8, is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


# --- over pipes ------------------------------------------------------------------------------------------------------


async def serve_pipes(server: McpServer, caller: Caller, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answers the messages on `requests`, a line each, on `replies`; ends when all that was read is answered.

    Requests are answered side by side, each as soon as possible. If the client reads no replies, no more requests are
    read.

    Args:
        server: the server that replies.
        caller: who asks.
        requests: standard input.
        replies: standard output; nothing else may write to it.
    """
    tasks: dict[object, asyncio.Task[None]] = {}

    async def answer(message: object) -> None:
        reply = await server.reply(message, caller)
        if reply is not None:
            _say(reply, replies)

    async for line in _lines(requests):
        try:
            message = json.loads(line or b"")
        except (ValueError, RecursionError):
            _say(
                _error(_PARSE, "the line is no JSON" if line else f"the line is longer than {MESSAGE_BYTES} bytes"),
                replies,
            )
            continue
        if (cancelled := _cancelled(message)) is not None:
            if cancelled in tasks:
                tasks[cancelled].cancel()
            continue
        number = message.get("id") if isinstance(message, dict) else None
        key = number if _is_number(number) and number not in tasks else object()
        tasks[key] = asyncio.create_task(answer(message))
        tasks[key].add_done_callback(partial(_forget, tasks, key))
        while len(tasks) >= MAX_AT_ONCE:  # they end: a question has its deadline, and adding ends with what is added
            await asyncio.wait([*tasks.values()], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*tasks.values(), return_exceptions=True)


def _forget(tasks: dict[object, asyncio.Task[None]], key: object, _: asyncio.Task[None]) -> None:
    del tasks[key]


def _say(reply: Mapping[str, Any], replies: BinaryIO) -> None:
    # This waits as long as whoever started this takes nothing, which is nobody else's loss; its end is an error here.
    replies.write(_json(reply).encode() + b"\n")
    replies.flush()


def _cancelled(message: object) -> str | int | None:
    """Returns the id of the request that a message cancels, if it cancels one."""
    if not isinstance(message, dict) or message.get("method") != "notifications/cancelled" or "id" in message:
        return None
    params = message.get("params")
    number = params.get("requestId") if isinstance(params, dict) else None
    return number if _is_number(number) else None


async def _lines(stream: BinaryIO) -> AsyncIterator[bytes | None]:
    """Yields the lines of a stream that blocks; None for one that is too long."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(1)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the program ends
            for line in _read(stream):
                asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(b""), loop).result()

    # It is no thread of the loop's own, because the end waits for those, and this one may wait for ever: for a line,
    # or for a loop that has ended.
    threading.Thread(target=read, daemon=True, name="edgeqa-stdin").start()
    while (line := await lines.get()) != b"":
        yield line


def _read(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yields each line that is not blank; None for one that is too long."""
    while line := stream.readline(MESSAGE_BYTES):
        if len(line) < MESSAGE_BYTES or line.endswith(b"\n"):
            if line.strip():
                yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MESSAGE_BYTES)
        yield None
