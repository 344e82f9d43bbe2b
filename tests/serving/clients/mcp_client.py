"""Runs the official client of MCP. Arguments: its mode, then a URL, or a command with arguments."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from mcp import StdioServerParameters
from mcp.client import Client

QUESTION = "To what depth may the pump be submerged?"


async def main() -> None:
    mode, *command = sys.argv[1:]
    server = (
        command[0]
        if command[0].startswith("http")
        else StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    )
    async with Client(server, mode=mode) as client:
        tools = (await client.list_tools()).tools
        found = {
            "version": client.protocol_version,
            "server": client.server_info.name if client.server_info else None,
            "tools": {tool.name: tool.annotations.read_only_hint for tool in tools},
        }
        asked = await client.call_tool("ask", {"question": QUESTION})
        found["ask"] = asked.structured_content
        assert json.loads(asked.content[0].text) == asked.structured_content
        found["nothing"] = (await client.call_tool("ask", {"question": "Who won the cup?"})).structured_content
        closest = (await client.call_tool("closest", {"question": QUESTION, "most": 2})).structured_content
        found["closest"] = closest
        address = closest["passages"][0]["address"]
        found["get"] = (await client.call_tool("get", {"address": address, "question": QUESTION})).structured_content
        found["read_passage"] = (await client.call_tool("read_passage", {"address": address})).structured_content
        found["list_documents"] = (await client.call_tool("list_documents", {"most": 1})).structured_content
        wrong = await client.call_tool("ask", {"question": "", "depth": 3})
        found["wrong"] = [wrong.is_error, wrong.content[0].text]
        gone = await client.call_tool("read_passage", {"address": "nothing.txt:{000}:1"})
        found["gone"] = [gone.is_error, gone.content[0].text]
        if "add_text" in found["tools"]:
            added = await client.call_tool("add_text", {"name": "minutes", "text": "The meeting is on Friday."})
            found["add_text"] = added.structured_content
            asked = await client.call_tool("ask", {"question": "When is the meeting?"})
            found["ask_added"] = asked.structured_content["answer"]
        # Several at once, on one connection.
        many = await asyncio.gather(*(client.call_tool("ask", {"question": QUESTION}) for _ in range(8)))
        found["many"] = [one.structured_content["answer"] for one in many]
    print(json.dumps(found))


asyncio.run(main())
