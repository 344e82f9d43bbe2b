"""`edgeqa serve`, which everybody in the house can ask, and who may do what there; `edgeqa mcp`, which agents start.

`edgeqa worker`: such a server beside each server of a Valkey Cluster, which serves its slots.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeqa import streams
from edgeqa.commands import (
    budget_option,
    bundle_option,
    check_provider,
    cluster_option,
    collection_option,
    named,
    provider_option,
    reader_option,
)
from edgeqa.errors import EXIT_ANSWERED, EXIT_NO_ANSWER, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.capabilities import Reader
    from edgeqa.serving.part import Joined
    from edgeqa.serving.server import Settings

_DURATION = re.compile(r"(\d{1,9})(s|m|h)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}


def _duration(_ctx: click.Context, param: click.Parameter, value: str) -> float:
    matched = _DURATION.fullmatch(value.strip().lower())
    if matched is None:
        raise OptionError(name=param.opts[0], value=value, expected="a time: 90s, 10m, 1h")
    return float(int(matched[1]) * _SECONDS[matched[2]])


_path = click.Path(path_type=Path)
token_file_option = click.option(
    "--token-file",
    type=_path,
    metavar="FILE",
    help='The file of tokens; by default "tokens" in the home of edgeqa.',
)


@click.group(
    "serve",
    short_help="Answer the whole house, over HTTP.",
    invoke_without_command=True,
    context_settings={"max_content_width": 100},
)
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), default=8423, show_default=True, help="0: any free one.")
@click.option("--uds", type=_path, metavar="PATH", help="Listen at a Unix socket, too, that only you may use.")
@click.option("--redis", metavar="[ADDR:]PORT", help="Speak the Redis protocol there, too: GET asks.")
@click.option("--wyoming", metavar="[ADDR:]PORT", help="Answer voice assistants there, too (Home Assistant).")
@click.option("--no-http", is_flag=True, help="Speak no HTTP at a port: --uds, --redis or --wyoming is given.")
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="NAME",
    help="Serve this collection; may be repeated. The first is asked if a question names none.",
)
@click.option("--watch", "watched", multiple=True, type=_path, metavar="PATH", help="Add what changes there, at once.")
@click.option(
    "--token-file",
    type=_path,
    metavar="FILE",
    help='Let in clients with a token of this file; by default "tokens" in the home of edgeqa, if it is there.',
)
@click.option("--no-auth", is_flag=True, help="Let anybody ask who can connect, from wherever.")
@click.option("--allow-add", is_flag=True, help="Let whoever may ask add and remove documents, too.")
@click.option("--allow-host", "allowed_hosts", multiple=True, metavar="NAME", help="Answer to this name, too.")
@click.option("--tls-cert", type=_path, metavar="FILE", help="Encrypt, with this certificate (PEM).")
@click.option("--tls-key", type=_path, metavar="FILE", help="The certificate's key, if it is in another file.")
@click.option(
    "--connections", type=click.IntRange(min=1), default=256, show_default=True, help="The most connections at a time."
)
@click.option(
    "--keep-model",
    "keep_model_s",
    default="10m",
    show_default=True,
    metavar="TIME",
    callback=_duration,
    help="Free the model when nothing was read for so long.",
)
@click.option("--browse", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--get", "target", metavar="PATH", help="Print the response to a GET of PATH, and end; no server is started."
)
@bundle_option
@reader_option
@provider_option
@click.pass_context
def command(ctx: click.Context, /, *, no_http: bool, browse: bool, target: str | None, **options: Any) -> None:  # noqa: ANN401
    """Answer questions over HTTP, and on a page, until it is told to stop.

    \b
    edgeqa serve
    edgeqa serve --watch manuals/ --browse
    edgeqa serve --redis 6423 --wyoming 10423
    edgeqa serve --get "/v1/closest?question=How+deep"
    edgeqa serve token add kitchen --scope ask
    edgeqa serve --host 0.0.0.0

    Everybody on this machine may ask at its own address, 127.0.0.1. Any other address needs tokens, or --no-auth.
    To change documents takes a token of the scope add, or --allow-add, with which everybody who may ask may add.

    SIGTERM ends it after the current readings; SIGHUP reads tokens and certificates anew.

    Needs the extra edgeqa[serve]. Exit codes: 0 stopped, 2 wrong usage, 3 model or device.
    """
    if ctx.invoked_subcommand is not None:
        return
    try:
        from edgeqa.serving.server import Server, Settings
    except ModuleNotFoundError as error:
        from edgeqa.serving.errors import ExtraMissing

        if error.name is not None and error.name.startswith("edgeqa"):
            raise
        raise ExtraMissing(str(error.name)) from error
    _check_key(options)
    check_provider(options["provider"])
    if no_http and not any(options[name] for name in ("uds", "redis", "wyoming")):
        raise OptionError(name="--no-http", value="alone", expected="given with --uds, --redis or --wyoming")
    options["collections"] = options["collections"] or ("default",)
    port = None if no_http else options["port"]
    settings = Settings(**{**options, "port": port, "usual_token_file": _default_file()})
    if target is not None:
        ctx.exit(_get(settings, target))
    opened = _browse if browse else lambda _: None
    Server(settings, lambda what: streams.say(f"edgeqa: {what}"), opened).run()


def _get(settings: Settings, target: str) -> int:
    """Prints what a GET gives; returns the exit code."""
    import asyncio

    from edgeqa.serving.engine import Engine
    from edgeqa.serving.http import application
    from edgeqa.serving.offline import got
    from edgeqa.serving.server import admission_of

    async def asked() -> tuple[int, bytes]:
        engine = Engine.open(
            settings.collections, bundle=settings.bundle, reader=settings.reader, provider=settings.provider
        )
        try:
            return await got(application(engine, admission_of(settings)), target)
        finally:
            await engine.drain()

    status, body = asyncio.run(asked())
    click.echo(body.decode("utf-8", "replace").removesuffix("\n"))
    return EXIT_ANSWERED if status < 400 else EXIT_NO_ANSWER


def _check_key(options: Mapping[str, Any]) -> None:
    if options["tls_key"] is not None and options["tls_cert"] is None:
        raise OptionError(name="--tls-key", value=str(options["tls_key"]), expected="given with --tls-cert")


def _browse(address: str) -> None:
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


@command.group("token", short_help="Make, list and remove tokens.")
def tokens() -> None:
    """Make, list and remove tokens, which clients show to be let in.

    \b
    edgeqa serve token add kitchen --scope ask
    edgeqa serve token list
    edgeqa serve token remove kitchen

    A running server reads the tokens anew at SIGHUP.
    """


@tokens.command("add", short_help="Make a token, and show it once.")
@click.argument("name")
@click.option("--scope", type=click.Choice(["ask", "add", "admin"]), default="ask", show_default=True)
@token_file_option
def add_token(*, name: str, scope: str, token_file: Path | None) -> None:
    """Make a token, and print it, this once: only its hash is kept.

    \b
    edgeqa serve token add phone
    edgeqa serve token add laptop --scope add
    """
    from edgeqa.serving import tokens as kept

    path = token_file or _default_file()
    click.echo(kept.add(path, name, scope))
    streams.say(f"edgeqa: it is not shown again; its hash is in {path}")


@tokens.command("list", short_help="List the tokens.")
@token_file_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_tokens(*, token_file: Path | None, as_json: bool) -> None:
    """Show the names and scopes of tokens.

    \b
    edgeqa serve token list
    edgeqa serve token list --json
    """
    from edgeqa.serving import tokens as kept

    path = token_file or _default_file()
    found = kept.load(path) if path.exists() else []
    if as_json:
        said = [{"name": one.name, "scope": one.scope, "added_at": one.added_at} for one in found]
        streams.print_json({"token_file": str(path), "tokens": said})
        return
    for one in found:
        click.echo(f"{one.name}  {one.scope}  {one.added_at}")


@tokens.command("remove", short_help="Remove a token.")
@click.argument("name")
@token_file_option
def remove_token(*, name: str, token_file: Path | None) -> None:
    """Remove a token by its name.

    \b
    edgeqa serve token remove kitchen
    """
    from edgeqa.serving import tokens as kept

    kept.remove(token_file or _default_file(), name)
    click.echo(f"{name}: removed")


def _default_file() -> Path:
    from edgeqa import state

    return state.data_home() / "tokens"


@click.command("mcp", short_help="Answer agents, over pipes (MCP).")
@collection_option
@click.option("--allow-add", is_flag=True, help="Give agents a tool that adds texts to the collection.")
@bundle_option
@reader_option
@budget_option
def mcp(
    *, collection: str | None, allow_add: bool, bundle: str | None, reader: Reader | None, budget_bytes: int | None
) -> None:
    """Answer an agent's questions from a collection, by the Model Context Protocol on standard input and output.

    \b
    edgeqa add manuals/
    edgeqa mcp
    edgeqa mcp --collection support --allow-add

    An agent's program starts it. In a file of settings it is
    {"mcpServers": {"edgeqa": {"command": "edgeqa", "args": ["mcp"]}}}

    Its tools are ask, closest, get, read_passage and list_documents, which change nothing, and add_text with
    --allow-add. It needs no other package, loads the model at the first question, and ends with its input, after it has
    answered all messages.

    Exit codes: 0 the input has ended, 2 wrong usage.
    """
    import asyncio
    import os
    import sys

    from edgeqa import runtime
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
        engine = Engine({name: runtime.open(bundle=bundle, budget_bytes=budget_bytes, collection=name, reader=reader)})
        caller = Caller("standard input", scopes_up_to("add" if allow_add else "ask"), "mcp")
        try:
            await serve_pipes(McpServer(tools(engine, may_add=allow_add)), caller, sys.stdin.buffer, replies)
        finally:
            await engine.drain()

    asyncio.run(serve())


_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - which nobody can connect to


def _encodings(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    from edgeqa.capabilities import parse_bytes

    return None if value is None else 0 if value.strip() == "0" else parse_bytes(value, "--encodings")


@click.command("worker", short_help="Serve slots of a Valkey Cluster.")
@cluster_option
@click.option("--node", metavar="HOST:PORT", help="The server of the cluster that it is beside; by default the freest.")
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), default=0, help="Of HTTP; by default any free one.")
@click.option("--redis", metavar="[ADDR:]PORT", default="0", help="Of the Redis protocol; by default any free one.")
@click.option("--advertise", metavar="HOST", help="Where others find it, if not at --host.")
@click.option("--store", type=_path, metavar="FOLDER", help="Keep index and encodings there; one folder a worker.")
@click.option(
    "--encodings", "encodings_bytes", callback=_encodings, metavar="SIZE", help="Let encodings take at most SIZE."
)
@click.option("--token-file", type=_path, metavar="FILE", help="Let in clients with a token of this file.")
@click.option("--no-auth", is_flag=True, help="Let anybody ask who can connect, from wherever.")
@click.option("--allow-add", is_flag=True, help="Let whoever may ask add and remove documents, too.")
@click.option("--tls-cert", type=_path, metavar="FILE", help="Encrypt, with this certificate (PEM).")
@click.option("--tls-key", type=_path, metavar="FILE", help="The certificate's key, if it is in another file.")
@bundle_option
def worker(
    *,
    cluster: str | None,
    node: str | None,
    advertise: str | None,
    store: Path | None,
    encodings_bytes: int | None,
    bundle: str | None,
    **options: Any,  # noqa: ANN401 - those of the server, by their names
) -> None:
    """Serve the slots of one server of a Valkey Cluster: index and encode its documents, answer over HTTP and Redis.

    \b
    edgeqa worker --cluster valkey://127.0.0.1:7001 --node 127.0.0.1:7001
    edgeqa worker --cluster valkeys://valkey1:6379,valkey2:6379 --host 0.0.0.0 --advertise worker1 --token-file tokens
    EDGEQA_CLUSTER=valkey://edgeqa:PASSWORD@valkey1:6379 edgeqa worker

    Start one beside each server. The worker with the most room takes slots without a worker within 10 s. A worker makes
    all its data from Valkey, so that its folder may be deleted. Whoever may read in Valkey may ask it. With --tls-cert,
    it speaks TLS alone, with clients and other workers; these trust what the address names (valkeys://...?ca=FILE).

    Needs the extra edgeqa[cluster]. Exit codes: 0 stopped, 2 wrong usage, 3 model, device or cluster.
    """
    if cluster is None:
        raise OptionError(name="--cluster", value="none", expected="valkey://HOST:PORT, or EDGEQA_CLUSTER")
    _check_key(options)
    try:
        from edgeqa.serving.engine import Engine
        from edgeqa.serving.part import Joined
        from edgeqa.serving.server import Server, Settings
    except ModuleNotFoundError as error:
        from edgeqa.cluster.errors import ClusterExtraMissing

        if error.name is not None and error.name.startswith("edgeqa"):
            raise
        raise ClusterExtraMissing(str(error.name)) from error
    from edgeqa import state
    from edgeqa.capabilities import Overrides
    from edgeqa.cluster.address import ClusterAddress, host_and_port, is_host
    from edgeqa.cluster.runtime import ClusterQA
    from edgeqa.cluster.worker import Worker
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.shelf import find_bundle

    address = ClusterAddress.parse(cluster)
    beside = None if node is None else host_and_port(node)
    host = advertise or options["host"]
    if host in _ANYWHERE:
        raise OptionError(name="--advertise", value="none", expected="the host by which others find this worker")
    if not is_host(host):
        raise OptionError(name="--advertise", value=host, expected="the name or address of a host")

    def say(what: str) -> None:
        streams.say(f"edgeqa: {what}")

    def joining(places: Mapping[str, tuple[str, int]]) -> Joined:
        qa = ClusterQA(Bundle.load(find_bundle(bundle)), Overrides(), address, members_s=1.0)
        name = re.sub(r"[^A-Za-z0-9.]+", "-", node or str(places["http"][1]))
        worker = Worker(
            qa,
            store or state.data_home() / "workers" / name,
            node=beside,
            http=(host, places["http"][1]),
            redis=(host, places["redis"][1]) if "redis" in places else None,
            tls=options["tls_cert"] is not None,
            encodings_bytes=encodings_bytes,
            say=say,
        )
        return Joined(Engine({"cluster": qa}), worker, worker.start, worker.stop)

    Server(Settings(bundle=bundle, **options), say, joining=joining).run()
