"""Connections of the Redis protocol: bytes from clients to their sessions, replies back, in order on each connection.

In: an engine, and a socket to listen at. Out: a server in the event loop. A question whose answer is at hand is
answered within the loop; while a question is read, only its own connection waits. A client that hangs up, takes no
replies, or does not finish a request is disconnected; one that shuts its own side gets its replies first. The commands
are in `redis_commands`, and the grammar is in `resp`.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from edgeqa.serving.connections import HalfOpen
from edgeqa.serving.redis_commands import reply_to
from edgeqa.serving.redis_session import Door, Session
from edgeqa.serving.resp import Error, ProtocolError, Requests, encoded

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable

    from edgeqa.serving.admission import Admission
    from edgeqa.serving.engine import Engine
    from edgeqa.serving.part import Cluster
    from edgeqa.serving.resp import Reply

RECEIPT_S = 10.0  # within this time a request must be complete, and a client must have shown its token
SENDING_S = 60.0  # a client that takes no replies for so long is disconnected
MAX_IN_A_TURN = 64  # so many requests of one connection are answered before others get their turn
MAX_UNREAD_BYTES = 1 << 16  # so many are taken in while a reply is being made; the rest stays with the system
_BEGINNINGS = {b"get": b"$", b"edgeqa.get": b"$", b"edgeqa.ask": b"$", b"mget": b"*"}  # of replies that are read


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, door: Door, connections: set[Connection]) -> None:
        """Makes a connection.

        Args:
            door: the state that all connections share.
            connections: the set of open connections, to which it belongs while it is open.
        """
        self._door = door
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._unread_bytes = 0  # bytes taken in while the task runs
        self._is_full = False  # whether the client leaves replies untaken
        self._is_half_open = False  # whether the client has shut its own side
        self._half_open: HalfOpen | None = None  # while such a client waits for a reply
        self._asked = b""  # the command whose reply is awaited
        self._receipt: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets nobody: clients speak first."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy
        self._transport = transport
        name = transport.get_extra_info("peername")
        self.session = Session(self._door, name[:2] if isinstance(name, tuple) else ("unix", 0))
        self._requests = Requests(self.session.limits)
        if len(self._door.sessions) >= self._door.most_connections:
            self._end(Error("ERR max number of clients reached"))
            return
        self._door.sessions[self.session.number] = self.session
        self._connections.add(self)
        self._watch()

    def connection_lost(self, _error: Exception | None) -> None:
        """Gives up the work that the client waits for."""
        self._door.sessions.pop(self.session.number, None)
        self._connections.discard(self)
        if self._task is not None:
            self._task.cancel()
        for timer in (self._receipt, self._sending):
            if timer is not None:
                timer.cancel()
        if self._half_open is not None:
            self._half_open.end()

    def eof_received(self) -> bool:
        """Keeps the connection of a client that may wait for replies; TLS knows no half of a connection."""
        if self._transport.get_extra_info("sslcontext") is None and (self._task is not None or self._is_full):
            self._is_half_open = True
            self._watch_half_open()
        return self._is_half_open

    def _watch_half_open(self) -> None:
        """Looks whether a client that has shut its side is gone, while a reply is awaited."""
        beginning = _BEGINNINGS.get(self._asked)
        if self._is_half_open and self._task is not None and beginning is not None:
            self._half_open = HalfOpen(self._transport, self._loop, beginning)

    def data_received(self, data: bytes) -> None:
        """Takes new bytes, and answers the requests that are complete."""
        self._requests.feed(data)
        if self._task is None and not self._is_full:
            self._go_on()
            return
        self._unread_bytes += len(data)  # it reads on to notice a hang-up, but not without end
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Answers nothing more as long as the client takes nothing."""
        self._is_full = True
        self._sending = self._loop.call_later(SENDING_S, self._transport.abort)

    def resume_writing(self) -> None:
        """Goes on."""
        self._is_full = False
        if self._sending is not None:
            self._sending.cancel()
        if self._task is None:
            self._go_on()

    def _go_on(self) -> None:
        """Answers requests until there is none, or a reply has to be awaited, or others have their turn."""
        if self._transport.is_closing():
            return
        replies: list[bytes] = []
        try:
            for words in self._requests:
                reply = reply_to(self.session, words)
                if not isinstance(reply, bytes) and inspect.isawaitable(reply):
                    self._task = self._loop.create_task(self._later(reply))
                    self._asked = words[0].lower()
                    break
                replies.append(encoded(reply, self.session.protocol))
                self._requests.limits = self.session.limits
                self._in_time()
                if self.session.is_over or self._is_full:
                    break
                if len(replies) == MAX_IN_A_TURN:
                    self._task = self._loop.create_task(self._next_turn())
                    break
        except ProtocolError as error:
            self._transport.write(b"".join(replies))
            self._end(Error(f"ERR Protocol error: {error}"))
            return
        if replies:
            self._transport.write(b"".join(replies))
        self._watch_half_open()
        if self.session.is_over or (self._is_half_open and self._task is None and not self._is_full):
            self._close()
        elif self._task is None and not self._is_full:
            self._unread_bytes = 0
            self._transport.resume_reading()
        self._watch()

    async def _later(self, reply: Awaitable[Reply]) -> None:
        """Sends a reply once it is there, and goes on."""
        found = await reply
        self._send(found)
        self._requests.limits = self.session.limits
        self._in_time()
        await self._next_turn()

    def _send(self, reply: Reply) -> None:
        self._asked = b""
        half_open, self._half_open = self._half_open, None
        if half_open is None:
            self._transport.write(encoded(reply, self.session.protocol))
            return
        sent, said = half_open.end(), encoded(reply, 2)  # in which even no answer begins as an answer does
        if said.startswith(sent):
            self._transport.write(said[len(sent) :])
        else:
            self.session.is_over = True  # an answer was begun, and cannot become an error

    async def _next_turn(self) -> None:
        self._task = None
        if self.session.is_over:
            self._close()
        elif not self._is_full:
            self._go_on()

    def _in_time(self) -> None:
        """Starts the clock anew, because a request was complete and its sender is known."""
        if self._receipt is not None and self.session.caller is not None:
            self._receipt.cancel()
            self._receipt = None

    def _watch(self) -> None:
        """Makes sure that a request which has begun is completed in time."""
        begun = self._task is None and self._requests.unfinished
        if self._receipt is None and (begun or self.session.caller is None):
            self._receipt = self._loop.call_later(RECEIPT_S, self._too_slow)

    def _too_slow(self) -> None:
        self._receipt = None
        self._end(Error(f"ERR no whole request within {RECEIPT_S:g} s"))

    def end(self) -> asyncio.Task[None] | None:
        """Closes the connection after the current reply; returns the task to wait for."""
        self.session.is_over = True
        if self._task is None:
            self._close()
        return self._task

    def _end(self, error: Error) -> None:
        """Sends an error, and closes the connection."""
        self._transport.write(encoded(error, self.session.protocol))
        self._close()

    def _close(self) -> None:
        """Closes, once what was sent is taken, but not later than it has to be."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(SENDING_S, self._transport.abort)


class RedisServer:
    """The listening server."""

    def __init__(
        self,
        engine: Engine,
        admission: Admission,
        *,
        is_local: bool,
        most_connections: int,
        cluster: Cluster | None = None,
    ) -> None:
        """Makes one.

        Args:
            engine: the engine that answers.
            admission: the rules for who may come in.
            is_local: whether only this machine can connect.
            most_connections: the limit on connections at a time.
            cluster: the cluster that it belongs to; None for none.
        """
        self.door = Door(engine, admission, is_local, 0, most_connections, cluster)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Begins to take connections.

        Args:
            listener: a bound socket.
            tls: the server's TLS; None for none.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self.door, self._connections),
            sock=listener,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else RECEIPT_S,
        )
        self.door.port = listener.getsockname()[1]

    async def close(self) -> None:
        """Takes no more connections, lets each finish its current reply, and closes them."""
        if self._server is not None:
            self._server.close()
        busy = [connection.end() for connection in [*self._connections]]
        waited = [task for task in busy if task is not None]
        if waited:
            await asyncio.wait(waited)  # what they are at has a deadline; and who closes waits no longer than that
