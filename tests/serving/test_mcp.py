"""Tests the Model Context Protocol: `edgeqa mcp` as a process, asked by the official client and by hand."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import foreign
import httpx
import pytest
from foreign import DEADLINE_S, EDGEQA
from running import Running, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = "To what depth may the pump be submerged?"
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture(autouse=True)
def in_it(with_examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(with_examples))


def said(*messages: object, arguments: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Returns what a process replies to messages, each a line (bytes as they are), and then the end of its input."""
    lines = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
    done = subprocess.run(
        [*EDGEQA, "mcp", *arguments],
        input=b"\n".join(lines),
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(number: object, method: str, **params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
def test_the_official_client_is_answered_in_each_of_its_modes(mode: str) -> None:
    found = foreign.python_client("mcp_client.py", mode, *EDGEQA, "mcp", needs="mcp")
    assert found["version"] == ("2025-11-25" if mode == "legacy" else "2026-07-28")
    assert found["server"] == (None if mode == "2026-07-28" else "edgeqa")  # that mode never asks who it is
    assert found["tools"] == dict.fromkeys(("ask", "closest", "get", "read_passage", "list_documents"), True)
    assert found["ask"]["answer"] == found["get"]["answer"] == "12 metres"
    assert found["ask"]["document"] == "examples/pump-manual.txt"
    assert found["ask"]["closest"] == []
    assert found["nothing"]["answer"] is None
    assert len(found["closest"]["passages"]) == 2
    shown = found["read_passage"]
    assert shown["text"][shown["start"] : shown["end"]] == found["closest"]["passages"][0]["text"]
    assert found["list_documents"]["next"] == found["list_documents"]["documents"][0]["document"]
    assert found["wrong"][0]
    assert "depth" in found["wrong"][1]
    assert found["gone"][0]
    assert found["many"] == ["12 metres"] * 8


def test_an_agent_may_add_where_it_is_allowed_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path))
    call = request(1, "tools/call", name="add_text", arguments={"name": "minutes", "text": "It rains on Friday."})
    (refused,) = said(call)
    assert refused["error"]["message"].startswith("no such tool: add_text")
    (added,) = said(call, arguments=("--allow-add",))
    assert added["result"]["structuredContent"] == {"document": "minutes", "passages": 1}
    ask = request(2, "tools/call", name="ask", arguments={"question": "When does it rain?"})
    (answered,) = said(ask)
    assert answered["result"]["structuredContent"]["answer"] == "Friday"
    assert answered["result"]["structuredContent"]["document"] == "minutes"


def test_all_that_was_read_is_answered_before_the_end() -> None:
    asked = [request(number, "tools/call", name="ask", arguments={"question": QUESTION}) for number in range(20)]
    replies = said(*asked, request("last", "ping"))
    assert sorted(str(reply["id"]) for reply in replies) == sorted([*map(str, range(20)), "last"])
    answers = {reply["result"]["structuredContent"]["answer"] for reply in replies if reply["id"] != "last"}
    assert answers == {"12 metres"}


def test_what_is_no_request_gets_an_error_and_the_next_its_answer() -> None:
    too_long = b'{"jsonrpc": "2.0", "id": 3, "method": "' + b"a" * (4 << 20) + b'"}'
    replies = said(
        b"no JSON",
        b"[" * 100_000,
        b"",
        too_long,
        [request(1, "ping")],
        {"id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        {"jsonrpc": "2.0", "id": 5},
        {"jsonrpc": "2.0", "id": 6, "method": "ping", "params": []},
        request(7, "prompts/list"),
        request(8, "tools/call", name="nothing"),
        request(9, "tools/call", name="ask", arguments=[]),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "unheard of"}},
        {"jsonrpc": "2.0", "id": 10, "result": {}},
        request("11", "ping"),
    )
    wrong = [(reply["id"], reply["error"]["code"]) for reply in replies if "error" in reply]
    lines = [(None, -32700)] * 3
    assert sorted(wrong, key=str) == sorted(
        [*lines, (None, -32600), (1, -32600), (None, -32600), (5, -32600), (6, -32602), (7, -32601), (8, -32602)],
        key=str,
    )
    assert [reply["result"] for reply in replies if reply["id"] == "11"] == [{}]
    assert [reply["result"]["isError"] for reply in replies if reply["id"] == 9] == [True]


def test_the_version_is_the_client_s_or_the_newest_of_its_era() -> None:
    replies = said(
        request(1, "initialize", protocolVersion="2024-11-05", capabilities={}, clientInfo={}),
        request(2, "initialize", protocolVersion="1999-01-01", capabilities={}, clientInfo={}),
        request(3, "tools/list", _meta=MODERN | {"io.modelcontextprotocol/protocolVersion": "2027-01-01"}),
        request(4, "tools/list", _meta={"io.modelcontextprotocol/protocolVersion": "2026-07-28"}),
        request(5, "ping", _meta={"progressToken": 1}),
        request(6, "server/discover", _meta=MODERN),
        request(7, "initialize", _meta=MODERN),
    )
    of = {reply["id"]: reply for reply in replies}
    assert of[1]["result"]["protocolVersion"] == "2024-11-05"
    assert of[2]["result"]["protocolVersion"] == "2025-11-25"
    assert of[3]["error"]["code"] == -32022
    assert "2026-07-28" in of[3]["error"]["data"]["supported"]
    assert of[4]["error"]["code"] == -32602
    assert of[5]["result"] == {}  # with nothing that a client of that era does not know
    assert (of[6]["result"]["resultType"], of[6]["result"]["supportedVersions"]) == ("complete", ["2026-07-28"])
    assert of[7]["error"]["code"] == -32601


def test_nothing_but_messages_is_on_standard_output_and_the_model_waits_for_a_question() -> None:
    (listed,) = said(request(1, "tools/call", name="list_documents"))
    documents = listed["result"]["structuredContent"]["documents"]
    assert [one["document"] for one in documents] == ["examples/pump-manual.txt", "examples/voyage-of-the-beagle.txt"]


def test_where_nothing_was_added_the_agent_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path))
    ask = request(1, "tools/call", name="ask", arguments={"question": QUESTION})
    (reply,) = said(ask)
    assert reply["result"]["isError"]
    assert "edgeqa add" in reply["result"]["content"][0]["text"]


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(with_examples: Path) -> Iterator[Running]:
    running = start(with_examples)
    yield running
    stop(running)


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as opened:
        yield opened


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
def test_the_official_client_is_answered_over_http_in_each_of_its_modes(mode: str, server: Running) -> None:
    found = foreign.python_client("mcp_client.py", mode, f"{server.url}/mcp", needs="mcp")
    assert found["version"] == ("2025-11-25" if mode == "legacy" else "2026-07-28")
    assert set(found["tools"]) == {"ask", "closest", "get", "read_passage", "list_documents"}
    assert found["ask"]["answer"] == found["get"]["answer"] == "12 metres"
    assert found["wrong"][0]
    assert found["many"] == ["12 metres"] * 8


def test_agents_add_over_http_where_the_server_allows_it(tmp_path: Path, http: httpx.Client) -> None:
    call = request(1, "tools/call", name="add_text", arguments={"name": "minutes", "text": "It rains on Friday."})
    assert http.post("/mcp", json=call).json()["error"]["code"] == -32602
    running = start(tmp_path, "--allow-add")
    try:
        with httpx.Client(base_url=running.url, timeout=DEADLINE_S) as other:
            added = other.post("/mcp", json=call).json()["result"]
            assert added["structuredContent"] == {"document": "minutes", "passages": 1}
            call["params"]["arguments"]["name"] = "../minutes"
            assert other.post("/mcp", json=call).json()["result"]["isError"]
    finally:
        stop(running)


HEADERS = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "ask"}


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({}, 200, None),
        ({"Mcp-Name": "=?base64?YXNr?="}, 200, None),
        ({"Mcp-Name": "=?base64?!?="}, 400, -32020),
        ({"Mcp-Name": "get"}, 400, -32020),
        ({"Mcp-Method": "tools/list"}, 400, -32020),
        ({"MCP-Protocol-Version": "2027-01-01"}, 400, -32022),
    ],
)
def test_headers_say_what_the_body_says(
    http: httpx.Client, changed: dict[str, str], status: int, code: int | None
) -> None:
    body = request(7, "tools/call", name="ask", arguments={"question": QUESTION}, _meta=MODERN)
    response = http.post("/mcp", json=body, headers=HEADERS | changed)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert response.json()["id"] == 7
    assert response.json().get("error", {}).get("code") == code


def test_what_is_not_asked_by_a_message_is_refused(http: httpx.Client) -> None:
    ping = request(1, "ping")
    assert http.post("/mcp", json=ping).json() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert http.get("/mcp").status_code == 405
    assert http.post("/mcp", content=json.dumps(ping), headers={"Content-Type": "text/plain"}).status_code == 415
    assert http.post("/mcp", json=ping, headers={"Origin": "https://example.org"}).status_code == 403
    assert http.post("/mcp", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert http.post("/mcp", json=[ping]).status_code == 400
    assert http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
    unknown = http.post("/mcp", json=request(2, "prompts/list"))  # where 404 would end the connection
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (200, -32601)
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "prompts/list"}
    assert http.post("/mcp", json=request(2, "prompts/list", _meta=MODERN), headers=headers).status_code == 404
    assert http.post("/mcp", json=ping, headers={"MCP-Protocol-Version": "2026-07-28"}).status_code == 400
