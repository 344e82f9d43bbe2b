"""`edgeqa mcp`: the Model Context Protocol on standard input and output, for agents that start their servers."""

from __future__ import annotations

import os
import sys

import click

from edgeqa.commands.options import budget_option, bundle_option, collection_option, named


@click.command("mcp", short_help="Answer agents, over pipes (MCP).")
@collection_option
@click.option("--allow-add", is_flag=True, help="Give agents a tool that adds texts to the collection.")
@bundle_option
@budget_option
def command(*, collection: str | None, allow_add: bool, bundle: str | None, budget_bytes: int | None) -> None:
    """Answer an agent's questions from a collection, by the Model Context Protocol on standard input and output.

    \b
    edgeqa add manuals/
    edgeqa mcp
    edgeqa mcp --collection support --allow-add

    An agent's program starts it. In a file of settings it is
    {"mcpServers": {"edgeqa": {"command": "edgeqa", "args": ["mcp"]}}}

    Its tools are ask, closest, get, read_passage and list_documents, which change nothing, and add_text with
    --allow-add. It needs nothing else installed, loads the model at the first question, and ends when its input does,
    after answering what it has read.

    Exit codes: 0 the input has ended, 2 wrong usage.
    """
    import asyncio

    from edgeqa import runtime, streams
    from edgeqa.serving.callers import Caller, scopes_up_to
    from edgeqa.serving.engine import Engine
    from edgeqa.serving.mcp import McpServer, serve_pipes
    from edgeqa.serving.tools import tools

    if sys.stdin.isatty():
        streams.say("edgeqa: waiting for messages of an agent's program (see edgeqa mcp --help); Ctrl-D ends it")
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no message

    async def serve() -> None:
        name = named(collection)
        engine = Engine({name: runtime.open(bundle=bundle, budget_bytes=budget_bytes, collection=name)})
        caller = Caller("standard input", scopes_up_to("add" if allow_add else "ask"), "mcp")
        try:
            await serve_pipes(McpServer(tools(engine, may_add=allow_add)), caller, sys.stdin.buffer, replies)
        finally:
            await engine.drain()

    asyncio.run(serve())
