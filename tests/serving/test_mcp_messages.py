"""Tests that whatever JSON comes as a message of MCP, each request gets one reply with its id, and others none."""

from __future__ import annotations

import asyncio
import io
import json
import os

from hypothesis import given
from hypothesis import strategies as st

from edgeqa.serving.callers import Caller
from edgeqa.serving.mcp import HANDSHAKE_VERSIONS, STATELESS_VERSIONS, McpServer, serve_pipes
from edgeqa.serving.tools import ListDocuments, TextAdded, Tool

SERVER, CALLER = McpServer([]), Caller("somebody", way="mcp")
VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
versions = st.sampled_from([*HANDSHAKE_VERSIONS, *STATELESS_VERSIONS, "2031-01-01"])
metas = st.fixed_dictionaries({}, optional={VERSION: versions | values, CAPABILITIES: values, "progressToken": values})
params = st.fixed_dictionaries(
    {}, optional={"_meta": metas | values, "name": values, "arguments": values, "protocolVersion": versions | values}
)
methods = st.sampled_from(
    ["initialize", "ping", "server/discover", "tools/list", "tools/call", "notifications/initialized", "prompts/list"]
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | values,
        "id": st.integers() | st.text(max_size=4) | values,
        "method": methods | values,
        "params": params | values,
        "result": values,
    },
)


@given(messages | values)
def test_a_request_gets_one_reply_and_nothing_else_gets_any(message: object) -> None:
    reply = asyncio.run(SERVER.reply(message, CALLER))
    if reply is None:
        assert isinstance(message, dict)
        assert "id" not in message or "result" in message or "error" in message
        return
    assert ("result" in reply) != ("error" in reply)
    assert reply["jsonrpc"] == "2.0"
    number = message.get("id") if isinstance(message, dict) else None
    known = isinstance(number, (str, int)) and not isinstance(number, bool)
    assert reply["id"] == (number if known else None)
    assert reply.get("error", {}).get("code") != -32603


@given(messages | values, st.none() | versions, st.none() | methods, st.none() | st.text(max_size=8))
def test_a_post_gets_a_status_and_json(
    message: object, version: str | None, method: str | None, name: str | None
) -> None:
    given_headers = {"mcp-protocol-version": version, "mcp-method": method, "mcp-name": name}
    headers = {header: value for header, value in given_headers.items() if value is not None}
    reply = asyncio.run(SERVER.post(json.dumps(message).encode(), headers, CALLER))
    assert reply.status in {200, 202, 400, 404}
    assert (reply.status == 202) == (reply.body == b"")
    if reply.body:
        assert json.loads(reply.body)["jsonrpc"] == "2.0"


@given(st.binary(max_size=60))
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    assert asyncio.run(SERVER.post(body, {}, CALLER)).status in {200, 202, 400}


async def never(_given: ListDocuments, _caller: Caller) -> TextAdded:
    await asyncio.Event().wait()
    raise AssertionError


async def wrong(_given: ListDocuments, _caller: Caller) -> TextAdded:
    raise RuntimeError("a mistake in the program")  # noqa: EM101


def call(number: int, name: str) -> bytes:
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name}}
    return json.dumps(message).encode() + b"\n"


def test_a_call_that_is_called_off_is_given_up_and_one_that_fails_gets_an_error() -> None:
    tools = [
        Tool(name, name, name, ListDocuments, TextAdded, run) for name, run in (("never", never), ("wrong", wrong))
    ]
    off = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    reads, writes = os.pipe()
    os.write(writes, call(1, "never") + call(2, "wrong") + json.dumps(off).encode() + b"\n")
    os.close(writes)
    replies = io.BytesIO()
    with open(reads, "rb") as requests:  # noqa: PTH123 - a descriptor
        asyncio.run(asyncio.wait_for(serve_pipes(McpServer(tools), CALLER, requests, replies), 60))
    (reply,) = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert (reply["id"], reply["error"]["code"]) == (2, -32603)
    assert "a mistake in the program" in reply["error"]["message"]
