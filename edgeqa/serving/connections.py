"""Connections of HTTP: this class adds to uvicorn's deadlines, a limit on connections, and whole replies.

uvicorn waits for ever for the rest of a head, for a silent connection, and for a client that does not take its reply;
here all three are closed after a while. A connection above the limit is refused at once, and the others go on. The head
of a reply is sent together with its body, while uvicorn sends it alone. A client that shuts its own side gets the reply
to what it has asked; uvicorn would hang up. `HalfOpen` tells such a client from one that is gone, for other protocols,
too. h11 does all parsing; `known_heads` spares it what it has parsed before.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeqa.serving.bodies import HANG_UP, HangUp
from edgeqa.serving.known_heads import KnownHeads

if TYPE_CHECKING:
    import asyncio

    from edgeqa.serving.known_heads import Heads

HEAD_BYTES, HEAD_WITHIN_S = 16 << 10, 10.0
KEEP_ALIVE_S = 75
TAKEN_BYTES, TAKEN_WITHIN_S = 256 << 10, 30.0  # who takes less of a reply than that in this time is let go
LOOK_AFTER_S = 0.05  # then ever more seldom
_BEGINNING = b"HTTP/1.1 "  # of every reply
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connection(H11Protocol):
    """One connection."""

    def __init__(self, *arguments: Any, most_connections: int, heads: Heads, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self.conn = KnownHeads(heads, HEAD_BYTES)
        self._most_connections = most_connections
        self._hang_up = HangUp(self._look_for_hang_up)
        self.app_state = {**self.app_state, HANG_UP: self._hang_up}
        self._head_deadline: asyncio.TimerHandle | None = None
        self._taking_deadline: asyncio.TimerHandle | None = None
        self._is_half_open = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's is
        """Begins to wait for a head, or says that there is no room."""
        self._gathering = _Gathering(transport, self.loop)
        transport = cast("asyncio.Transport", self._gathering)
        super().connection_made(transport)
        if len(self.connections) > self._most_connections:
            transport.write(_FULL)
            transport.close()
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Takes what comes, if it still may."""
        if self.transport.is_closing():
            return
        if self._is_head_too_long(data):
            self.transport.write(_LONG)
            self.transport.close()
            return
        super().data_received(data)
        self._look_for_hang_up()
        self._watch_head()

    def send_400_response(self, msg: str) -> None:
        """Says what is wrong in place of the reply that is being made, or hangs up if a part of that was sent.

        To go on with the reply, or to begin another behind it, would be an error, and be printed.
        """
        if not self._waits_for_head:
            self.cycle.disconnected = True
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Waits for the next request; a half one that is there already has its deadline, too."""
        super().on_response_complete()
        if self._is_half_open:
            self._go_on_half_open()
        elif self.conn.trailing_data[0]:
            self._watch_head()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio's is
        """Keeps the connection of a client that may wait for a reply; TLS knows no half of a connection."""
        if self._is_half_open:  # asyncio says so again each time that reading goes on
            return not self.transport.is_closing()
        if self.transport.get_extra_info("sslcontext") is None:
            self._is_half_open = True
            self._go_on_half_open()
        return self._is_half_open and not self.transport.is_closing()

    def _go_on_half_open(self) -> None:
        """Sees to it that a client that says no more gets the reply it waits for, if any, and nothing else."""
        if self._waits_for_head or self.cycle.more_body:
            self.transport.close()
        else:
            self._gathering.watch_half_open(b"" if self.cycle.response_started else _BEGINNING)

    def pause_writing(self) -> None:
        """Sees to it that what waits to be taken is taken."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """Goes on."""
        self._unwatch_taking()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends all waits for it."""
        self._unwatch_head()
        self._unwatch_taking()
        self._gathering.unwatch_half_open()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._hang_up.come()

    @property
    def _waits_for_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _look_for_hang_up(self) -> None:
        """Has it noticed if the client hangs up, where somebody waits for that: what is not read has no end, either.

        uvicorn reads no more behind a large body, and behind a request that comes before the reply to another, until
        that is made.
        """
        if (
            self.flow.read_paused
            and self._hang_up.is_awaited
            and not self.cycle.more_body
            and len(self.conn.trailing_data[0]) <= HEAD_BYTES  # who sends ever more must not fill the memory
        ):
            self.flow.resume_reading()

    def _is_head_too_long(self, data: bytes) -> bool:
        """Tells whether a head is longer than it may be; h11 looks only at those that come in parts."""
        if self.conn.their_state is not h11.IDLE:  # a body is coming
            return False
        before = self.conn.trailing_data[0]
        if len(before) + len(data) <= HEAD_BYTES:
            return False
        return not -1 < (before + data).find(b"\r\n\r\n") <= HEAD_BYTES

    def _watch_head(self) -> None:
        if not self._waits_for_head or self.transport.is_closing():
            self._unwatch_head()
        elif self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_WITHIN_S, self._close_slow)

    def _unwatch_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _watch_taking(self) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        self._taking_deadline = self.loop.call_later(TAKEN_WITHIN_S, self._look_at_taking, left_bytes)

    def _unwatch_taking(self) -> None:
        if self._taking_deadline is not None:
            self._taking_deadline.cancel()
            self._taking_deadline = None

    def _look_at_taking(self, left_bytes: int) -> None:
        if left_bytes - self.transport.get_write_buffer_size() < TAKEN_BYTES:
            self.transport.abort()  # to close it would be to wait for the rest to be taken
        else:
            self._watch_taking()

    def _close_slow(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self.transport.write(_SLOW)
            self.transport.close()


class HalfOpen:
    """A client that has shut its own side of the connection while its reply is being made.

    It may wait for the reply, or be gone. That looks the same until something is sent to it: if the client is gone, its
    system answers with a reset. So the bytes that the reply begins with in any case are sent before it, one by one.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, beginning: bytes) -> None:
        """Begins to look whether the client is gone; the connection is aborted if so.

        Args:
            transport: the transport to the client, through which nothing else is sent until `end`.
            loop: the event loop.
            beginning: the bytes that the reply begins with in any case; none if a part of it was sent.
        """
        self._transport, self._loop, self._beginning = transport, loop, beginning
        self.sent = b""
        """The bytes that were sent before the reply."""
        self._timer = loop.call_later(LOOK_AFTER_S, self._look, LOOK_AFTER_S)

    def end(self) -> bytes:
        """Looks no more; returns the bytes that were sent before the reply."""
        self._timer.cancel()
        return self.sent

    def _look(self, after_s: float) -> None:
        if self._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
            return
        next_byte = self._beginning[len(self.sent) : len(self.sent) + 1]
        self.sent += next_byte
        self._transport.write(next_byte)
        self._timer = self._loop.call_later(after_s, self._look, 2 * after_s)


class _Gathering:
    """A transport that sends at once what one turn of the loop has written.

    Each send costs a system call and a packet, wakes the client, and lets a reader take the interpreter, for which the
    loop must then wait.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written: list[bytes] = []
        self._half_open: HalfOpen | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Takes bytes to be sent before the loop waits again."""
        if data:
            if not self._written:
                self._loop.call_soon(self._send)
            self._written.append(data)

    def close(self) -> None:
        """Sends what was written, and closes."""
        self._send()
        self._transport.close()

    def watch_half_open(self, beginning: bytes) -> None:
        """Looks whether a client is gone that has shut its side, until the reply is sent, which begins like this."""
        self._send()
        self.unwatch_half_open()
        self._half_open = HalfOpen(self._transport, self._loop, beginning)

    def unwatch_half_open(self) -> bytes:
        """Looks no more; returns the bytes that were sent before the reply."""
        half_open, self._half_open = self._half_open, None
        return b"" if half_open is None else half_open.end()

    def _send(self) -> None:
        if self._written:
            written, self._written = b"".join(self._written), []
            self._transport.write(written[len(self.unwatch_half_open()) :])
