"""Voice: a *handle* service of the Wyoming protocol, which Home Assistant can ask.

In: the words that were said. Out: the words to say. An event is a line of JSON, followed by as many bytes of data and
of payload as the line says (https://github.com/OHF-Voice/wyoming). `transcript` is answered with `handled` and the
answer, or with `not-handled` if the documents do not have it; `describe` describes this service. Other services turn
speech into text, and text into speech.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import edgeqa

if TYPE_CHECKING:
    import socket

    from edgeqa.serving.admission import Admission
    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine

EVENT_BYTES = 1 << 16  # an event's line, its data and its payload have at most so many each
RECEIPT_S = 10.0  # an event must be complete within this time
SENDING_S = 60.0  # a client that does not take a reply for so long is disconnected
IDLE_S = 3600.0  # a connection without an event for so long is closed


class EventInvalid(Exception):
    """The client did not send a valid event."""


async def read_event(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Returns the next event, with its data joined; None at the end.

    Raises:
        EventInvalid: if it is no event, or is too long.
    """
    line = await _line(reader)
    if not line:
        return None
    try:
        event = _object(json.loads(line))
        data = _object(event.get("data", {}))
        extra = await _exactly(reader, event.get("data_length"))
        data |= _object(json.loads(extra)) if extra else {}
        await _exactly(reader, event.get("payload_length"))
        if not isinstance(event.get("type"), str):
            raise ValueError  # noqa: TRY004, TRY301 - one error for all that is no event
    except (ValueError, RecursionError) as error:
        raise EventInvalid from error
    return {"type": event["type"], "data": data}


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - as above
    return value


def _read_on(reader: asyncio.StreamReader) -> asyncio.Task[dict[str, Any] | None]:
    """Reads the next event; asyncio prints no traceback of a client that hangs up, if nobody waits for it any more."""
    following = asyncio.ensure_future(read_event(reader))
    following.add_done_callback(lambda done: done.cancelled() or done.exception())
    return following


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Returns a line; an empty one at the end."""
    try:
        first = await asyncio.wait_for(reader.read(1), IDLE_S)
        return first and first + await asyncio.wait_for(reader.readuntil(b"\n"), RECEIPT_S)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError) as error:
        raise EventInvalid from error


async def _exactly(reader: asyncio.StreamReader, length: object) -> bytes:
    if length is None:
        return b""
    if not isinstance(length, int) or not 0 <= length <= EVENT_BYTES:
        raise ValueError
    try:
        return await asyncio.wait_for(reader.readexactly(length), RECEIPT_S)
    except (asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        raise EventInvalid from error


def written(kind: str, data: dict[str, Any]) -> bytes:
    """Returns an event as it is sent."""
    body = json.dumps(data).encode()
    return json.dumps({"type": kind, "version": "1.10.0", "data_length": len(body)}).encode() + b"\n" + body


class WyomingServer:
    """The listening server."""

    def __init__(self, engine: Engine, admission: Admission, *, is_local: bool, most_connections: int) -> None:
        """Makes one.

        Args:
            engine: the engine that answers.
            admission: the rules for who may come in. The protocol has no tokens, so only clients who need none may.
            is_local: whether only this machine can connect.
            most_connections: the limit on connections at a time.
        """
        self._engine, self._admission, self._is_local = engine, admission, is_local
        self._most = most_connections
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._answering: set[asyncio.Task[None]] = set()  # those of them that something is read for
        self._is_closing = False
        self._server: asyncio.Server | None = None
        about = {
            "name": "edgeqa",
            "description": "Answers quoted from your own documents",
            "attribution": {"name": "edgeqa", "url": "https://pypi.org/project/edgeqa/"},
            "installed": True,
            "version": edgeqa.__version__,
        }
        self._info = written(
            "info",
            {
                "handle": [
                    {
                        **about,
                        "models": [{**about, "languages": ["en"]}],
                        "supports_handled_streaming": False,
                        "supports_home_control": False,
                    }
                ]
            },
        )

    async def listen(self, listener: socket.socket) -> None:
        """Begins to take connections on a bound socket."""
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=EVENT_BYTES)

    async def close(self) -> None:
        """Takes no more connections, lets each finish what it is at, and closes them."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        for connection, writer in self._connections.items():
            if connection not in self._answering:
                writer.close()  # it ends as if hung up; asyncio prints a traceback of a connection that is cancelled
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers a connection until it ends."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for mypy
        self._connections[task] = writer
        name = writer.get_extra_info("peername")
        peer = name[0] if isinstance(name, tuple) else "unix"
        try:
            if len(self._connections) > self._most:
                writer.write(written("error", {"text": "too many connections", "code": "Refused"}))
            else:
                caller = self._admission.caller("wyoming", peer, None, is_local=self._is_local)
                await self._converse(reader, writer, caller, task)
            await writer.drain()
        except edgeqa.EdgeQAError as error:  # the client may not come in
            writer.write(written("error", {"text": str(error), "code": type(error).__name__}))
        except (EventInvalid, ConnectionError, asyncio.TimeoutError):
            pass
        finally:
            del self._connections[task]
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError, asyncio.TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), SENDING_S)
            writer.transport.abort()  # nothing where it is closed by now

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller, task: asyncio.Task[None]
    ) -> None:
        following = _read_on(reader)
        try:
            while not self._is_closing and (event := await following) is not None:
                # It reads on while it answers, to notice a hang-up.
                following = _read_on(reader)
                answering = asyncio.ensure_future(self._reply(event, caller))
                self._answering.add(task)
                try:
                    await asyncio.wait({following, answering}, return_when=asyncio.FIRST_COMPLETED)
                    if not answering.done() and (following.exception() or following.result() is None):
                        return
                    writer.write(await answering)
                    await asyncio.wait_for(writer.drain(), SENDING_S)
                finally:
                    self._answering.discard(task)
                    answering.cancel()
        finally:
            following.cancel()

    async def _reply(self, event: dict[str, Any], caller: Caller) -> bytes:
        """Returns the reply to an event; None for an unknown one."""
        kind, data = event["type"], event["data"]
        if kind == "describe":
            return self._info
        if kind == "ping":
            return written("pong", {"text": data.get("text")})
        if kind != "transcript":
            return b""
        context = {"context": data["context"]} if isinstance(data.get("context"), dict) else {}
        try:
            answer = await self._engine.ask(caller, str(data.get("text") or ""))
        except edgeqa.EdgeQAError as error:
            return written("error", {"text": str(error), "code": type(error).__name__})
        if answer.text is None:
            return written("not-handled", {"text": "The documents do not say.", **context})
        return written("handled", {"text": " ".join(answer.text.split()), **context})
