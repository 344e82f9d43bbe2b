"""`KnownHeads`: a connection of h11 that does not parse a head again which h11 has parsed before.

In and out: what h11 takes and gives. A client sends the same head with all questions of one length, and to parse it and
to follow the parts of both messages takes h11 a fifth of the time that the server needs for a question. A request is
plain if it is here whole, and h11 has parsed the same head before, byte for byte. Its reply is plain if it says how
long it is, and leaves the connection open. All else is left to h11: there is no second parser, and nothing is taken
that h11 would refuse.
"""

from __future__ import annotations

from typing import Any, TypeAlias, overload

import h11

State: TypeAlias = type[Any]  # h11 does not say the type of its states
Part: TypeAlias = h11.Request | h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage

MAX_HEADS, MAX_HEAD_BYTES = 256, 1024
_END = b"\r\n\r\n"
_KEEPS_OPEN = (b"connection", b"keep-alive")
_MORE_THAN_TEXT = frozenset((b"connection", b"expect", b"transfer-encoding", b"upgrade"))  # headers that h11 acts on


class Heads(dict[bytes, tuple[h11.Request, int]]):
    """The heads of plain requests that were parsed, with the lengths of their bodies; connections share them."""

    def note(self, head: bytes, request: h11.Request) -> None:
        """Keeps a head, if requests with it can be plain."""
        if request.method not in {b"GET", b"POST"} or request.http_version != b"1.1":
            return
        if any(name in _MORE_THAN_TEXT and (name, value) != _KEEPS_OPEN for name, value in request.headers):
            return
        if len(self) >= MAX_HEADS:
            self.clear()
        self[head] = request, _length(request) or 0


class KnownHeads(h11.Connection):
    """The server's side of a connection."""

    def __init__(self, heads: Heads, max_incomplete_event_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size)
        self._heads = heads
        self._new: tuple[bytes, int] | None = None  # a head that h11 is to parse, and how many bytes came behind it
        self._plain = self._behind = b""  # the plain request that is replied to, and what has come after it
        self._to_come: list[h11.Event] = []  # its parts, the last one first
        self._come = 0  # so many of them are known to the caller
        self._our: State = h11.IDLE
        self._left_bytes = 0  # of its reply's body

    @property
    def our_state(self) -> State:
        """The state of this side."""
        return self._our if self._plain else super().our_state

    @property
    def their_state(self) -> State:
        """The state of the client."""
        if self._plain:
            return h11.SEND_BODY if self._to_come else h11.DONE
        return super().their_state

    @property
    def trailing_data(self) -> tuple[bytes, bool]:
        """What has come and is not parsed yet, and whether it is known that nothing more comes."""
        return (self._behind, False) if self._plain else super().trailing_data

    def receive_data(self, data: bytes) -> None:
        """Takes what has come, which is something."""
        if self._plain:
            self._behind += data
            return
        self._new = None
        if super().our_state is super().their_state is h11.IDLE and not super().trailing_data[0]:
            head_bytes = data.find(_END, 0, MAX_HEAD_BYTES) + len(_END)
            head, body = data[:head_bytes], data[head_bytes:]
            request, length = self._heads.get(head, (None, 0))
            if request is not None and len(body) == length:
                self._plain, self._our, self._come = data, h11.SEND_RESPONSE, 0
                self.their_http_version = request.http_version  # by it h11 frames what it says to nonsense behind
                self._to_come = [h11.EndOfMessage(), *([h11.Data(data=body)] if body else ()), request]
                return
            if request is None and head.endswith(_END):
                self._new = head, len(body)
        super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Returns the next part of what has come; raises as h11 does."""
        if self._plain:
            if self._to_come:
                self._come += 1
                return self._to_come.pop()
            return h11.PAUSED if self._behind else h11.NEED_DATA
        event = super().next_event()
        if self._new is not None:
            (head, behind_bytes), self._new = self._new, None
            # h11 also ends a head where there is another sign of its end: then this one is none.
            if type(event) is h11.Request and len(super().trailing_data[0]) == behind_bytes:
                self._heads.note(head, event)
        return event

    @overload
    def send(self, event: h11.ConnectionClosed) -> None: ...
    @overload
    def send(self, event: Part) -> bytes: ...
    @overload
    def send(self, event: h11.Event) -> bytes | None: ...

    def send(self, event: h11.Event) -> bytes | None:
        """Returns the bytes of a part of the reply; raises as h11 does."""
        if self._our is h11.DONE and type(event) is h11.ConnectionClosed:
            self._plain = b""
        if not self._plain:
            return super().send(event)
        if self._our is h11.SEND_RESPONSE:
            return self._begin(event)
        if self._our is h11.SEND_BODY and type(event) is h11.Data and len(event.data) <= self._left_bytes:
            self._left_bytes -= len(event.data)
            return event.data
        if self._our is h11.SEND_BODY and type(event) is h11.EndOfMessage and not self._left_bytes:
            self._our = h11.DONE
            return b""
        self._leave()
        super().send_failed()
        reason = f"{type(event).__name__} does not fit a reply with {self._left_bytes} more bytes"
        raise h11.LocalProtocolError(reason)

    def start_next_cycle(self) -> None:
        """Goes on with the next request; raises as h11 does."""
        if not self._plain or self._our is not h11.DONE:
            super().start_next_cycle()
            return
        self._plain, behind, self._behind = b"", self._behind, b""
        if behind:
            self.receive_data(behind)

    def _begin(self, event: h11.Event) -> bytes | None:
        """Begins a reply; one that is not plain is left to h11, with the request."""
        if type(event) is h11.Response and (length := _plain_length(event)) is not None:
            self._our, self._left_bytes = h11.SEND_BODY, length
            lines = [b"%s: %s\r\n" % header for header in event.headers.raw_items()]
            return b"HTTP/1.1 %d %s\r\n%s\r\n" % (event.status_code, event.reason, b"".join(lines))
        self._leave()
        return super().send(event)

    def _leave(self) -> None:
        """Leaves the request to h11, as far as its parts have come."""
        request, self._plain, behind, self._behind = self._plain, b"", self._behind, b""
        super().receive_data(request + behind)
        for _ in range(self._come):
            super().next_event()


def _length(message: h11.Request | h11.Response) -> int | None:
    """Returns the length of a message's body, as its head says it."""
    return next((int(value) for name, value in message.headers if name == b"content-length"), None)


def _plain_length(reply: h11.Response) -> int | None:
    """Returns the length of a reply's body; None if it is not plain."""
    if reply.status_code in {204, 304} or any(name in _MORE_THAN_TEXT for name, _ in reply.headers):
        return None
    return _length(reply)
