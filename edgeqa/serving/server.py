"""The server process: it listens, serves until it is told to stop, finishes the work that it has begun, and ends.

In: the settings of the command line. Out: an exit code. It joins the other modules (sockets, admission, engine, HTTP,
watched folders) and handles signals: SIGTERM and SIGINT drain it, and a second one ends it at once; SIGHUP reads tokens
and certificates anew, and keeps the old ones if the new ones cannot be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import ssl
import sys
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

from uvicorn import Config
from uvicorn.server import ServerState

import edgeqa
from edgeqa.serving import allocator, polling, systemd, uploads
from edgeqa.serving.admission import Admission
from edgeqa.serving.api import LOCAL_STATE
from edgeqa.serving.callers import ADMIN, Caller, Reader, scopes_up_to
from edgeqa.serving.connections import HEAD_WITHIN_S, KEEP_ALIVE_S, Connection
from edgeqa.serving.engine import KEEP_MODEL_S, Engine
from edgeqa.serving.errors import RequestInvalid, VoiceNotSafe
from edgeqa.serving.http import application
from edgeqa.serving.known_heads import Heads
from edgeqa.serving.listening import Listener, address, bound, bound_unix
from edgeqa.serving.redis_server import RedisServer
from edgeqa.serving.tokens import Tokens
from edgeqa.serving.watching import Watcher
from edgeqa.serving.wyoming import WyomingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

    from edgeqa.serving.part import Cluster, Joined

DEFAULT_PORT = 8423
MAX_CONNECTIONS = 256
SWITCH_INTERVAL_S = 0.0005
"""The longest time that a reader keeps the interpreter from the loop; Python's 5 ms would delay a hit by as much."""
LAST_REPLIES_S = 5.0
HUNG_UP_S = 1.0  # for requests to notice that their connections are gone; what is cancelled prints a traceback
OTHER_DESCRIPTORS = 256  # the process has at most so many open besides its connections


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the server."""

    collections: Sequence[str] = ("default",)
    host: str = "127.0.0.1"
    port: int | None = DEFAULT_PORT
    """None for none."""
    uds: Path | None = None
    redis: str | None = None
    """[ADDRESS:]PORT for the Redis protocol."""
    wyoming: str | None = None
    """[ADDRESS:]PORT for the Wyoming protocol."""
    token_file: Path | None = None
    usual_token_file: Path | None = None
    """Taken where no other is named, from when it is there on: at the start, or when tokens are read anew."""
    no_auth: bool = False
    allow_add: bool = False
    allowed_hosts: Sequence[str] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    connections: int = MAX_CONNECTIONS
    keep_model_s: float = KEEP_MODEL_S
    watched: Sequence[Path] = ()
    bundle: str | None = None
    reader: Reader | None = None
    provider: str | None = None


@dataclass
class Server:
    """One run of a server."""

    settings: Settings
    say: Callable[[str], None]
    opened: Callable[[str], None] = lambda _: None
    """A function that is called with the address of the page, once it can be opened."""
    joining: Callable[[Mapping[str, tuple[str, int]]], Joined] | None = None
    """For a worker of a cluster: takes the addresses listened at, by protocol; returns what is served there."""
    _background: set[asyncio.Task[None]] = field(default_factory=set)
    _heads: Heads = field(default_factory=Heads)

    def run(self) -> None:
        """Serves until it is told to stop.

        Raises:
            ServingError: if it cannot listen as it is told to, or would be open to others than it should be.
            EdgeQAError: if the model cannot be opened.
        """
        settings = self.settings
        admission = admission_of(settings)
        context = tls_context(settings)
        listeners = self._listeners(admission)
        joined: Joined | None = None
        try:
            if self.joining is None:
                engine = Engine.open(
                    settings.collections,
                    keep_model_s=settings.keep_model_s,
                    bundle=settings.bundle,
                    reader=settings.reader,
                    provider=settings.provider,
                )
            else:
                places = {protocol: one.socket.getsockname()[:2] for protocol, one in listeners if not one.is_unix}
                joined = self.joining(places)
                engine = joined.engine
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            _allow_descriptors(len(listeners) * settings.connections + OTHER_DESCRIPTORS)
            allocator.share_arenas()
            uploads.sweep()
            # uvicorn logs bugs there, and also invalid requests of strangers, for which the reply says enough.
            logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
            polling.run(self._serve(engine, admission, listeners, context, joined))
        finally:
            if joined is not None:
                joined.stop()
            for _, listener in listeners:
                listener.close()
        if engine.is_busy:  # some work hangs, and would keep the process from ending
            sys.stderr.flush()
            os._exit(0)

    def _listeners(self, admission: Admission) -> list[tuple[str, Listener]]:
        """Returns the places where it listens, each with the protocol that is spoken there: http, redis or wyoming."""
        settings = self.settings
        wanted: dict[str, tuple[str, int] | None] = {
            "http": None if settings.port is None else (settings.host, settings.port),
            "redis": None if settings.redis is None else address(settings.redis, "127.0.0.1"),
            "wyoming": None if settings.wyoming is None else address(settings.wyoming, "127.0.0.1"),
        }
        handed = systemd.handed_over()
        handed["http"] = [*handed.get("http", ()), *handed.pop("unknown", ())]
        listeners = [(protocol, Listener(one)) for protocol in wanted for one in handed.get(protocol, ())]
        try:
            for protocol, place in wanted.items():
                if place is not None and not handed.get(protocol):
                    admission.check_addresses([place[0]])
                    listeners.append((protocol, bound(*place)))
            if settings.uds is not None:
                listeners.append(("http", bound_unix(settings.uds)))
            admission.check_addresses([listener.host for _, listener in listeners if not listener.is_unix])
            for protocol, listener in listeners:
                if protocol == "wyoming" and not (listener.is_local or settings.no_auth):
                    raise VoiceNotSafe(listener.host)
        except edgeqa.EdgeQAError:
            for _, listener in listeners:
                listener.close()
            raise
        return listeners

    async def _serve(
        self,
        engine: Engine,
        admission: Admission,
        listeners: Sequence[tuple[str, Listener]],
        context: ssl.SSLContext | None,
        joined: Joined | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        state = ServerState()
        settings = self.settings
        cluster = None if joined is None else joined.cluster
        app = application(
            engine,
            admission,
            allowed_hosts=settings.allowed_hosts,
            may_add=settings.allow_add,
            cluster=cluster,
        )
        servers = [await self._listen(app, one, state, context) for protocol, one in listeners if protocol == "http"]
        others = [
            await self._listen_for(protocol, one, engine, admission, context, cluster)
            for protocol, one in listeners
            if protocol != "http"
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, partial(self._stop, stop))
        loop.add_signal_handler(signal.SIGHUP, partial(self._reload, admission, context))
        self._begin(_tell_time(state))
        self._begin(_spare_garbage(engine))
        for path in self.settings.watched:
            caller = Caller("watch", scopes_up_to(ADMIN), "watch")
            self._begin(Watcher(engine, caller, path, self.say).run())
        if (period_s := systemd.watchdog_s()) is not None:
            self._begin(_tell_watchdog(period_s))
        shown = self._show(engine, listeners, context)
        if joined is not None:
            joined.start()
        systemd.notify("READY=1")
        if (first := next((place for place in shown if place.startswith("http")), None)) is not None:
            self.opened(f"{first}/")
        await stop.wait()
        systemd.notify("STOPPING=1")
        for task in self._background:
            task.cancel()
        for server in servers:
            server.close()
        closing = [asyncio.ensure_future(other.close()) for other in others]
        await engine.drain()
        for connection in list(state.connections):
            connection.shutdown()
        await _last_replies(state)
        if closing:
            await asyncio.wait(closing, timeout=LAST_REPLIES_S)

    def _show(
        self, engine: Engine, listeners: Sequence[tuple[str, Listener]], context: ssl.SSLContext | None
    ) -> list[str]:
        """Says, and returns, where what is served."""
        shown = [
            listener.shown(protocol if context is None or protocol == "wyoming" else f"{protocol}s")
            for protocol, listener in listeners
        ]
        for place in shown:
            self.say(f"serving {', '.join(engine.collection_names)} at {place}")
        return shown

    async def _listen(
        self, app: ASGIApp, listener: Listener, state: ServerState, context: ssl.SSLContext | None
    ) -> asyncio.AbstractServer:
        config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        config.load()
        made = partial(
            Connection,
            config=config,
            server_state=state,
            app_state={LOCAL_STATE: listener.is_local},
            most_connections=self.settings.connections,
            heads=self._heads,
        )
        secure = context if not listener.is_unix else None
        deadline_s = HEAD_WITHIN_S if secure is not None else None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(made, sock=listener.socket, ssl=secure, ssl_handshake_timeout=deadline_s)
        listener.queue()
        return server

    async def _listen_for(
        self,
        protocol: str,
        listener: Listener,
        engine: Engine,
        admission: Admission,
        context: ssl.SSLContext | None,
        cluster: Cluster | None,
    ) -> RedisServer | WyomingServer:
        """Starts a protocol other than HTTP."""
        most = self.settings.connections
        if protocol == "redis":
            redis = RedisServer(engine, admission, is_local=listener.is_local, most_connections=most, cluster=cluster)
            await redis.listen(listener.socket, context)
            listener.queue()
            return redis
        wyoming = WyomingServer(engine, admission, is_local=listener.is_local, most_connections=most)
        await wyoming.listen(listener.socket)
        listener.queue()
        return wyoming

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _stop(self, stop: asyncio.Event) -> None:
        if stop.is_set():
            os._exit(1)
        self.say("stopping: what is being read is read to its end")
        stop.set()

    def _reload(self, admission: Admission, context: ssl.SSLContext | None) -> None:
        settings = self.settings
        for read in (partial(_read_tokens, admission, settings), partial(_read_certificate, context, settings)):
            try:
                self.say(read())
            except edgeqa.EdgeQAError as error:  # noqa: PERF203 - the other is read all the same
                self.say(f"{error}; what was read before goes on\n  hint: {error.hint}")


def admission_of(settings: Settings) -> Admission:
    """Returns the rules for who may come in.

    Raises:
        TokenFileInvalid: if tokens cannot be read.
    """
    admission = Admission(no_auth=settings.no_auth, allow_add=settings.allow_add)
    _read_tokens(admission, settings)
    return admission


def _read_tokens(admission: Admission, settings: Settings) -> str:
    """Lets in the clients whose tokens are in the file now; returns a report.

    Who has read tokens once never does without: a file that is gone lets nobody in who was not before.

    Raises:
        TokenFileInvalid: if tokens cannot be read.
    """
    if admission.tokens is not None:
        admission.tokens.read()
    else:
        file = settings.token_file
        if file is None and (file := settings.usual_token_file) is not None and not os.path.lexists(file):
            return f"no tokens to read anew: there is no {file}"
        if file is None:
            return "no tokens to read anew: the server was started without --token-file"
        admission.tokens = Tokens(file).read()
    return f"read anew: {len(admission.tokens)} tokens in {admission.tokens.path}"


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Returns the TLS settings; None if connections are not encrypted.

    Raises:
        CertificateInvalid: if the certificate or its key cannot be used.
    """
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _read_certificate(context, settings)
    return context


def _read_certificate(context: ssl.SSLContext | None, settings: Settings) -> str:
    """Encrypts new connections with the certificate that is there now; returns a report.

    Raises:
        CertificateInvalid: if the certificate or its key cannot be used; then the one before still is.
    """
    if context is None or settings.tls_cert is None:
        return "no certificate to read anew: the server was started without --tls-cert"
    try:
        # First elsewhere: a certificate is put in place before its key is looked at, and without a key nobody connects.
        for one in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
            one.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateInvalid(settings.tls_cert, error) from error
    return f"read anew: the certificate {settings.tls_cert}"


class CertificateInvalid(RequestInvalid):
    """The certificate, or its key, cannot be used."""

    def __init__(self, path: Path, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        super().__init__(
            f"cannot use the certificate {path}: {reason}",
            "give --tls-cert and --tls-key as PEM files that belong together, the key without a password",
        )


def _allow_descriptors(count: int) -> None:
    """Raises the soft limit of descriptors to so many, as far as the system allows; it exists for older programs."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _tell_time(state: ServerState) -> None:
    """Adds the date to each reply."""
    while True:
        state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        await asyncio.sleep(1)


async def _spare_garbage(engine: Engine) -> None:
    """Leaves out of Python's search for garbage what is in use once the model is first loaded; most of it stays.

    To look through it takes 25 ms, in which the interpreter is kept from everybody. A model that is let go is freed as
    ever, when nobody refers to it; one that is loaded in its place is searched like all that comes later.
    """
    while not engine.model_loaded:
        await asyncio.sleep(1)
    gc.collect()  # garbage that is left out would never be found
    gc.freeze()


async def _tell_watchdog(period_s: float) -> None:
    while True:
        systemd.notify("WATCHDOG=1")
        await asyncio.sleep(period_s / 2)


async def _last_replies(state: ServerState) -> None:
    """Waits a moment for the requests that are under way, and hangs up on those that keep it waiting."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_ended(state), LAST_REPLIES_S)
    for connection in list(state.connections):  # a body that does not come, a reply that is not taken
        connection.transport.abort()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_ended(state), HUNG_UP_S)


async def _ended(state: ServerState) -> None:
    while state.tasks:
        await asyncio.wait(list(state.tasks))
