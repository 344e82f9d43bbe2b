"""The grammar of the Redis protocol, as a server needs it: it reads requests and writes replies. Pure.

`Requests` takes a client's bytes, cut anywhere, and gives requests as lists of byte strings. `encoded` writes a reply
in protocol 2 or 3. Both forms of request are read: arrays of bulk strings, which libraries send, and lines, which a
person types (https://redis.io/docs/latest/develop/reference/protocol-spec/). A part that is longer than `Limits` allows
is refused before it is kept: a client that announces a gigabyte gets an error. The grammar knows no command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD_BYTES = 32  # heads such as `*3` and `$12` are not longer, if their number is within limits
_COUNT = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
# The heads of requests and members that are within all limits, as most are.
_ARRAY, _BULK = re.compile(rb"\*([1-9][0-9]{0,3})\r\n"), re.compile(rb"\$(0|[1-9][0-9]{0,6})\r\n")
_BREAKS = re.compile(r"[\r\n]+")
# A piece of a line is a gap, a run in double quotes (with escapes), a run in single quotes, or a run without quotes.
_PIECE = re.compile(
    rb"""(?P<gap>[ \t]+) | "(?P<double>(?:[^"\\]|\\.)*)"(?=[ \t]|$) | '(?P<single>(?:[^'\\]|\\.)*)'(?=[ \t]|$)
    | (?P<bare>[^ \t"']+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}

Reply: TypeAlias = "bytes | str | int | Error | Sequence[Reply] | Mapping[bytes, Reply] | None"
"""A reply: bytes are a bulk string, a str is a status such as `OK`, None is nil; other values stand for themselves."""


@dataclass(frozen=True, slots=True)
class Error:
    """A reply with an error, whose first word tells clients what to do (ERR, NOAUTH, TRYAGAIN)."""

    text: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request."""

    members: int = 1024
    """The number of its words."""
    request_bytes: int = 1 << 20
    """The size of all words together."""
    line_bytes: int = 1 << 16
    """The size of a request that is typed as a line."""


KNOWN = Limits()
STRANGERS = Limits(members=10, request_bytes=1 << 14, line_bytes=1 << 14)  # for those without a token, as in Redis


class ProtocolError(Exception):
    """The client sent no valid request, and nothing after it can be understood either."""


class Requests:
    """A parser, which finds requests in bytes that are cut anywhere."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        """The limits, which may be changed between requests."""
        self._buffer = bytearray()
        self._at = 0  # the bytes before this place have been read
        self._looked = 0  # the end of the line is not before this place
        self._members: list[bytes] = []
        self._missing = 0  # so many members of the current request are still to come
        self._length = -1  # the length of the current member
        self._bytes = 0  # the size of all its members so far

    @property
    def unfinished(self) -> bool:
        """Whether a part of a request is here, and its end is not."""
        return self._missing > 0 or self._at < len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes new bytes."""
        if self._at:
            del self._buffer[: self._at]
            self._looked -= self._at
            self._at = 0
        self._buffer += data

    def __iter__(self) -> Iterator[list[bytes]]:
        """Yields the complete requests.

        Raises:
            ProtocolError: for a request that is invalid, or larger than allowed.
        """
        while (request := self._next()) is not None:
            if request:  # an empty request gets no reply
                yield request

    def _next(self) -> list[bytes] | None:
        if self._missing == 0:
            if self._at == len(self._buffer):
                return None
            if (whole := self._whole()) is not None:
                return whole
            if self._buffer[self._at] != ord("*"):
                line = self._line(self.limits.line_bytes, b"\n", "too big inline request")
                return None if line is None else _words(line.removesuffix(b"\r"), self.limits.members)
            head = self._line(_HEAD_BYTES, b"\r\n", "too big mbulk count string")
            if head is None:
                return None
            if _COUNT.fullmatch(head, 1) is None or int(head[1:]) > self.limits.members:
                raise ProtocolError("invalid multibulk length")  # noqa: EM101 - in Redis's words, which clients know
            self._members, self._missing, self._bytes = [], max(0, int(head[1:])), 0
        while self._missing:
            if not self._member():
                return None
        return self._members

    def _whole(self) -> list[bytes] | None:
        """Returns the next request if all of it is here and nothing is unusual about it, in a third of the time.

        It is tried once a request: what comes in parts goes on where it is.
        """
        buffer, limits = self._buffer, self.limits
        head = _ARRAY.match(buffer, self._at)
        if head is None or (count := int(head[1])) > limits.members:
            return None
        at, most = head.end(), head.end() + limits.request_bytes
        members = []
        for _ in range(count):
            bulk = _BULK.match(buffer, at)
            if bulk is None:
                return None
            start = bulk.end()
            at = start + int(bulk[1])
            if at > most or buffer[at : at + 2] != b"\r\n":
                return None
            members.append(bytes(buffer[start:at]))
            at += 2
        self._at = self._looked = at
        return members

    def _member(self) -> bool:
        """Reads one member; tells whether it is here."""
        if self._length < 0:
            head = self._line(_HEAD_BYTES, b"\r\n", "too big bulk count string")
            if head is None:
                return False
            if not head.startswith(b"$"):
                raise ProtocolError(f"expected '$', got {chr(head[0])!a}" if head else "expected '$'")
            if _LENGTH.fullmatch(head, 1) is None or self._bytes + int(head[1:]) > self.limits.request_bytes:
                raise ProtocolError("invalid bulk length")  # noqa: EM101 - as above
            self._length = int(head[1:])
        end = self._at + self._length
        if len(self._buffer) < end + 2:
            return False
        if self._buffer[end : end + 2] != b"\r\n":
            raise ProtocolError("a bulk is longer than it says")  # noqa: EM101 - Redis itself does not look
        self._members.append(bytes(self._buffer[self._at : end]))
        self._bytes += self._length
        self._at = self._looked = end + 2
        self._missing -= 1
        self._length = -1
        return True

    def _line(self, most: int, ending: bytes, too_long: str) -> bytes | None:
        """Returns the next line without its ending; None if that has yet to come."""
        start = self._at
        end = self._buffer.find(ending, max(start, self._looked - 1), start + most + len(ending))
        if end < 0:
            if len(self._buffer) - start >= most + len(ending):
                raise ProtocolError(too_long)
            self._looked = len(self._buffer)
            return None
        self._at = self._looked = end + len(ending)
        return bytes(self._buffer[start:end])


def _words(line: bytes, most: int) -> list[bytes]:
    """Returns the words of a line that was typed, as redis-cli and Redis split one."""
    words: list[bytes] = []
    at, in_word = 0, False
    while at < len(line):
        piece = _PIECE.match(line, at)
        if piece is None:
            raise ProtocolError("unbalanced quotes in request")  # noqa: EM101 - in Redis's words
        at = piece.end()
        if piece["gap"] is not None:
            in_word = False
            continue
        if piece["double"] is not None:
            text = _ESCAPE.sub(_unescaped, piece["double"])
        elif piece["single"] is not None:
            text = piece["single"].replace(b"\\'", b"'")
        else:
            text = piece["bare"]
        if in_word:
            words[-1] += text
        elif len(words) == most:
            raise ProtocolError("invalid multibulk length")  # noqa: EM101 - as for arrays
        else:
            words.append(text)
        in_word = True
    return words


def _unescaped(found: re.Match[bytes]) -> bytes:
    code, character = found.groups()
    return bytes.fromhex(code.decode()) if code is not None else _ESCAPED.get(character, character)


def encoded(reply: Reply, protocol: int) -> bytes:
    """Returns the bytes of a reply.

    Args:
        reply: the reply.
        protocol: 2 or 3; in 2, a mapping is a list of keys and values.
    """
    if isinstance(reply, bytes):  # as most are: what is asked for
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    parts: list[bytes] = []
    _encode(reply, protocol, parts)
    return b"".join(parts)


def _encode(reply: Reply, protocol: int, parts: list[bytes]) -> None:
    if isinstance(reply, bytes):
        parts.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
    elif isinstance(reply, str):
        parts.append(b"+%b\r\n" % reply.encode())
    elif reply is None:
        parts.append(b"_\r\n" if protocol == 3 else b"$-1\r\n")
    elif isinstance(reply, int):
        parts.append(b":%d\r\n" % reply)
    elif isinstance(reply, Error):  # an error is one line, whatever a name in it holds
        parts.append(b"-%b\r\n" % _BREAKS.sub(" ", reply.text).encode(errors="backslashreplace"))
    elif isinstance(reply, Mapping):
        parts.append(b"%%%d\r\n" % len(reply) if protocol == 3 else b"*%d\r\n" % (2 * len(reply)))
        for key, value in reply.items():
            _encode(key, protocol, parts)
            _encode(value, protocol, parts)
    else:
        parts.append(b"*%d\r\n" % len(reply))
        for one in reply:
            _encode(one, protocol, parts)
