"""Tests that heads which are known already change nothing but the time: h11 alone says the same of every exchange."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("h11", reason="needs the extra edgeqa[serve]: h11 is not installed")

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from edgeqa.serving.known_heads import MAX_HEAD_BYTES, MAX_HEADS, Heads, KnownHeads

if TYPE_CHECKING:
    from collections.abc import Sequence

    Reply = tuple[int, Sequence[tuple[bytes, bytes]], Sequence[bytes]]

HEAD_BYTES = 16 << 10
ASK = b"POST /v1/ask HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
REQUESTS = [
    ASK + b"text",
    ASK + b"also",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\n\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n!",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\n!\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n!!",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"\r\n",
    b"nonsense\r\n\r\n",
]
REPLIES: list[Reply] = [
    (200, [(b"content-length", b"2")], [b"ok"]),
    (200, [(b"Content-Length", b"4"), (b"date", b"now")], [b"in ", b"two"]),
    (200, [(b"content-length", b"2"), (b"connection", b"close")], [b"ok"]),
    (200, [], [b"as long ", b"as it is"]),
    (204, [], []),
    (304, [(b"content-length", b"2")], []),
    (200, [(b"content-length", b"2")], [b"too long"]),
    (200, [(b"content-length", b"9")], [b"too short"[:3]]),
]
REFUSAL = [
    h11.Response(status_code=400, headers=[(b"connection", b"close")], reason=b"so"),
    h11.Data(data=b"no"),
    h11.EndOfMessage(),
]


class Exchange:
    """What is said on a connection. Its server replies at once, perhaps only once, or when everything has come."""

    def __init__(
        self, connection: h11.Connection, pieces: Sequence[bytes], replies: Sequence[Reply], when: str
    ) -> None:
        self.connection, self.replies, self.when = connection, [*replies], when
        self.said: list[object] = []
        try:
            for piece in pieces:
                connection.receive_data(piece)
                self.look()
                while when != "late" and self.reply():
                    self.look()
            while self.reply():
                self.look()
            self.said.append((connection.send(h11.ConnectionClosed()), *self.states))
        except h11.ProtocolError as error:
            self.said.append((type(error), *self.states))
            if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                for part in REFUSAL:
                    self.send(part)

    @property
    def states(self) -> tuple[object, object]:
        """How both sides are."""
        return self.connection.our_state, self.connection.their_state

    def look(self) -> None:
        """Takes all that has come; blocks of a body are one block, however they are cut."""
        while (event := self.connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Data):
                event = h11.Data(data=bytes(event.data))
                if isinstance(last := self.said[-1], h11.Data):
                    event = h11.Data(data=last.data + event.data)
                    self.said.pop()
            self.said.append(event)
        self.said.append((event, *self.states, self.connection.trailing_data))

    def reply(self) -> bool:
        """Replies to a request that has come, if any; returns whether more may come."""
        if self.states != (h11.SEND_RESPONSE, h11.DONE):
            return False
        status, headers, blocks = self.replies.pop(0)
        self.send(h11.Response(status_code=status, headers=[*headers], reason=b"so"))
        for block in blocks:
            self.send(h11.Data(data=block))
        self.send(h11.EndOfMessage())
        if self.when == "once" or self.connection.our_state is not h11.DONE:
            return False
        self.connection.start_next_cycle()
        return True

    def send(self, event: h11.Event) -> None:
        """Sends a part of a reply."""
        self.said.append((self.connection.send(event), *self.states))


TWO, END = [ASK + b"text"] * 2, len(ASK) + 4


@given(
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4),
    st.lists(st.sampled_from(REPLIES), min_size=8, max_size=8),
    st.lists(st.integers(0, 400), max_size=2),
    st.sampled_from(["at once", "once", "late"]),
)
@example(TWO, REPLIES, [END], "at once")
@example(TWO[:1], REPLIES, [], "once")
@example(TWO, REPLIES, [], "late")
@example(TWO, REPLIES, [END], "late")
@example(TWO, REPLIES[3:], [END], "at once")
@example(TWO, REPLIES[5:], [END], "at once")
@example(TWO, REPLIES[6:], [END], "at once")
@example(TWO, REPLIES[7:], [END], "at once")
@example([REQUESTS[9]], REPLIES, [], "at once")
@example([*TWO[:1], b"nonsense\r\n\r\n"], REPLIES, [END], "at once")
def test_an_exchange_is_as_with_h11_alone(
    requests: list[bytes], replies: list[Reply], cuts: list[int], when: str
) -> None:
    whole = b"".join(requests)
    pieces = [whole[a:b] for a, b in pairwise(sorted({0, len(whole), *(cut % len(whole) for cut in cuts)}))]
    heads = Heads()
    for request in REQUESTS:  # h11 parses each, so that those are known that may be
        Exchange(KnownHeads(heads, HEAD_BYTES), [request], REPLIES, when)
    assert len(heads) == 3
    expected = Exchange(h11.Connection(h11.SERVER, HEAD_BYTES), pieces, replies, when)
    assert Exchange(KnownHeads(heads, HEAD_BYTES), pieces, replies, when).said == expected.said


def test_a_head_that_is_known_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = Heads()
    Exchange(KnownHeads(heads, HEAD_BYTES), [ASK + b"text"], REPLIES, "at once")
    monkeypatch.setattr(h11.Connection, "receive_data", lambda *_: pytest.fail("h11 was given it again"))
    request, data, end, *_ = Exchange(KnownHeads(heads, HEAD_BYTES), [ASK + b"also"], REPLIES, "at once").said
    assert isinstance(request, h11.Request)
    assert isinstance(end, h11.EndOfMessage)
    assert data == h11.Data(data=b"also")


def test_few_heads_are_kept_and_no_long_ones() -> None:
    heads = Heads()
    for number in range(MAX_HEADS + 1):
        Exchange(KnownHeads(heads, HEAD_BYTES), [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number], REPLIES, "at once")
    assert len(heads) == 1
    long = b"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"x" * MAX_HEAD_BYTES)
    Exchange(KnownHeads(heads, HEAD_BYTES), [long], REPLIES, "at once")
    assert len(heads) == 1


def test_a_server_that_has_failed_takes_no_request() -> None:
    heads = Heads()
    Exchange(KnownHeads(heads, HEAD_BYTES), [ASK + b"text"], REPLIES, "at once")
    connection = KnownHeads(heads, HEAD_BYTES)
    with pytest.raises(h11.LocalProtocolError):
        connection.send(h11.EndOfMessage())
    connection.receive_data(ASK + b"text")
    assert (connection.our_state, connection.their_state) == (h11.ERROR, h11.IDLE)
