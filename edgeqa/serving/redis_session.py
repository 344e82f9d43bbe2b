"""One connection of the Redis protocol: its client, and the work of its commands.

In: the words of a request. Out: a reply. GET asks: the keys are the names of answers, and a client never stores
anything. An answer that can be looked up is sent at once. A reading is awaited, and the other connections go on
meanwhile. Replies have the form that today's client libraries expect, which was found by recording them. The table of
commands is in `redis_commands`.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeqa.serving.callers import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from edgeqa.serving.errors import ServingError, TokenMissing, TokenUnknown
from edgeqa.serving.resp import KNOWN, STRANGERS, Error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from edgeqa.answer import Answer
    from edgeqa.serving.admission import Admission
    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine
    from edgeqa.serving.part import Cluster
    from edgeqa.serving.resp import Limits, Reply

# The replies are those of this version: below 7.4, redis-py's cache in the client refuses to work.
REDIS_VERSION = "7.4.0"
MAX_AT_ONCE = 8  # so many names of an MGET are read at once; all of them would be refused as too many

_WRONG_PASS = Error("WRONGPASS invalid username-password pair or user is disabled.")
_SYNTAX = Error("ERR syntax error")
_NOT_INTEGER = Error("ERR value is not an integer or out of range")


@dataclass(slots=True)
class Door:
    """The state that all connections share."""

    engine: Engine
    admission: Admission
    is_local: bool
    """Whether only this machine can connect."""
    port: int
    most_connections: int
    cluster: Cluster | None = None
    """The cluster that this server belongs to."""
    sessions: dict[int, Session] = field(default_factory=dict)
    connections: int = 0
    """The number of connections so far."""
    commands: int = 0
    """The number of commands so far."""
    started: float = field(default_factory=time.monotonic)


class Session:
    """One connection's side of it."""

    def __init__(self, door: Door, peer: tuple[str, int]) -> None:
        """Makes a session.

        Args:
            door: the state that all connections share.
            peer: the client's address and port.
        """
        door.connections += 1
        self.door = door
        self.peer = peer
        self.number = door.connections
        self.protocol = 2
        self.name = ""
        self.library = ["", ""]
        self.is_over = False
        """Whether the connection closes after this reply."""
        self.since = time.monotonic()
        self.caller = self._stranger()
        """The caller; None until the client has shown a token, if it must."""
        self._token, self._as_of = "", 0

    def _stranger(self) -> Caller | None:
        """Returns the caller for a client without a token; None if it needs one."""
        try:
            return self.door.admission.caller("redis", self.peer[0], None, is_local=self.door.is_local)
        except TokenMissing:
            return None

    def look_again(self) -> None:
        """Drops the caller if its token was removed: a connection may last longer than its token."""
        tokens = self.door.admission.tokens
        if not self._token or tokens is None or tokens.reads == self._as_of:
            return
        self._as_of = tokens.reads
        try:
            self.caller = self.door.admission.caller("redis", self.peer[0], self._token, is_local=self.door.is_local)
        except ServingError:
            self.caller, self._token = None, ""

    @property
    def limits(self) -> Limits:
        """The limits of a request."""
        return STRANGERS if self.caller is None else KNOWN

    # --- answers -----------------------------------------------------------------------------------------------------

    def get(self, words: list[bytes]) -> Reply | Awaitable[Reply]:
        """GET name."""
        name = words[1].decode()
        found = self.door.engine.name_at_hand(self._known, name)
        return self._got(name) if found is None else _text(found)

    async def _got(self, name: str) -> Reply:
        return _text(await self.door.engine.get(self._known, name))

    async def mget(self, words: list[bytes]) -> Reply:
        """MGET name...: all answers or, if one is wrong or refused, an error that names it."""
        names = [word.decode() for word in words[1:]]
        room = asyncio.Semaphore(MAX_AT_ONCE)
        found = await asyncio.gather(*(self._one_of(name, room) for name in names), return_exceptions=True)
        wrong = next((one for one in found if isinstance(one, BaseException)), None)
        if wrong is not None:
            raise wrong
        return [one for one in found if not isinstance(one, BaseException)]

    async def _one_of(self, name: str, room: asyncio.Semaphore) -> bytes | None:
        async with room:
            return _text(await self.door.engine.get(self._known, name))

    async def _remembered(self, name: bytes) -> bytes | None:
        """Returns the text of an answer that is remembered; nothing is read for it."""
        found = await self.door.engine.look_up_name(self._known, name.decode())
        return None if found is None else _text(found)

    async def exists(self, words: list[bytes]) -> Reply:
        """EXISTS name...: how many of the answers are remembered."""
        return sum([await self._remembered(name) is not None for name in words[1:]])

    async def ttl(self, words: list[bytes]) -> Reply:
        """TTL name, PTTL name: -1 of an answer that is remembered, else -2, as of keys that do not end, or are not."""
        return -2 if await self._remembered(words[1]) is None else -1

    async def type(self, words: list[bytes]) -> Reply:
        """TYPE name."""
        return "none" if await self._remembered(words[1]) is None else "string"

    async def strlen(self, words: list[bytes]) -> Reply:
        """STRLEN name."""
        return len(await self._remembered(words[1]) or b"")

    async def delete(self, words: list[bytes]) -> Reply:
        """DEL name...: forgets answers, for who may add; tells how many were remembered."""
        return sum([await self.door.engine.forget_name(self._known, word.decode()) for word in words[1:]])

    async def memory_usage(self, words: list[bytes]) -> Reply:
        """MEMORY USAGE name: bytes that an answer takes, about, where it is remembered."""
        found = await self.door.engine.look_up_name(self._known, words[2].decode())
        return None if found is None else found.size_bytes

    async def ask(self, words: list[bytes]) -> Reply:
        """EDGEQA.ASK question [COLLECTION name] [TOP n] [TIMEOUT seconds]: what `edgeqa ask --json` prints."""
        options = _options(words[2:], "collection", "top", "timeout")
        if options is None:
            return _SYNTAX
        top = _integer(options.get("top", b"1"), 1, 100)
        timeout_s = _integer(options.get("timeout", b"%d" % DEFAULT_TIMEOUT_S), 1, int(MAX_TIMEOUT_S))
        if top is None or timeout_s is None:
            return _NOT_INTEGER
        answer = await self.door.engine.ask(
            self._known,
            words[1].decode(),
            collection=_decoded(options.get("collection")),
            top=top,
            timeout_s=timeout_s,
        )
        return _as_json(answer, top)

    async def get_json(self, words: list[bytes]) -> Reply:
        """EDGEQA.GET name [COLLECTION name] [TIMEOUT seconds]: what `edgeqa get --json` prints."""
        options = _options(words[2:], "collection", "timeout")
        if options is None:
            return _SYNTAX
        timeout_s = _integer(options.get("timeout", b"%d" % DEFAULT_TIMEOUT_S), 1, int(MAX_TIMEOUT_S))
        if timeout_s is None:
            return _NOT_INTEGER
        collection = _decoded(options.get("collection"))
        answer = await self.door.engine.get(self._known, words[1].decode(), collection=collection, timeout_s=timeout_s)
        return _as_json(answer, 1)

    async def closest(self, words: list[bytes]) -> Reply:
        """EDGEQA.CLOSEST question [n] [COLLECTION name]: the addresses of the closest passages, best first."""
        counted = len(words) % 2 == 1
        most = _integer(words[2], 1, 1000) if counted else 5
        if most is None:
            return _NOT_INTEGER
        options = _options(words[3 if counted else 2 :], "collection")
        if options is None:
            return _SYNTAX
        collection = _decoded(options.get("collection"))
        found = await self.door.engine.closest(self._known, words[1].decode(), most, collection=collection)
        return [one.address.encode() for one in found if one.address is not None]

    # --- who is there ------------------------------------------------------------------------------------------------

    @property
    def _known(self) -> Caller:
        """The caller; only a known one gets so far."""
        if self.caller is None:  # pragma: no cover - `reply` has made sure of it
            raise AssertionError
        return self.caller

    def auth(self, words: list[bytes]) -> Reply:
        """AUTH [name] token."""
        if len(words) > 3:
            return _SYNTAX
        return self._authenticated(words[1] if len(words) == 3 else b"", words[-1]) or "OK"

    def _authenticated(self, name: bytes, token: bytes) -> Error | None:
        """Lets a client in by its token, and by the token's name if one is given; returns the error, if any."""
        try:
            caller = self.door.admission.caller("redis", self.peer[0], token.decode(), is_local=self.door.is_local)
        except (TokenUnknown, UnicodeDecodeError):
            return _WRONG_PASS
        if name not in (b"", b"default", caller.name.encode()):
            return _WRONG_PASS
        self.caller, self._token = caller, token.decode()
        self._as_of = self.door.admission.tokens.reads if self.door.admission.tokens is not None else 0
        return None

    def hello(self, words: list[bytes]) -> Reply:
        """HELLO [2|3 [AUTH name token] [SETNAME name]]."""
        protocol = self.protocol
        if len(words) > 1:
            if words[1] not in (b"2", b"3"):
                return Error("NOPROTO unsupported protocol version")
            protocol = int(words[1])
        at, name = 2, None
        while at < len(words):
            option = words[at].lower()
            if option == b"auth" and at + 2 < len(words):
                if wrong := self._authenticated(words[at + 1], words[at + 2]):
                    return wrong
                at += 3
            elif option == b"setname" and at + 1 < len(words):
                name = words[at + 1].decode()
                at += 2
            else:
                return Error(f"ERR Syntax error in HELLO option '{option[:128].decode(errors='replace')}'")
        if self.caller is None:
            return Error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
                "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at "
                "the same time"
            )
        self.protocol = protocol
        self.name = self.name if name is None else name
        return {
            b"server": b"edgeqa",
            b"version": REDIS_VERSION.encode(),
            b"proto": protocol,
            b"id": self.number,
            b"mode": b"standalone" if self.door.cluster is None else b"cluster",
            b"role": b"master",
            b"modules": [],
        }

    def ping(self, words: list[bytes]) -> Reply:
        """PING [text]."""
        return words[1] if len(words) > 1 else "PONG"

    def echo(self, words: list[bytes]) -> Reply:
        """ECHO text."""
        return words[1]

    def quit(self, _words: list[bytes]) -> Reply:
        """QUIT."""
        self.is_over = True
        return "OK"

    def reset(self, _words: list[bytes]) -> Reply:
        """RESET: the connection is as new."""
        self.protocol, self.name, self.caller, self._token = 2, "", self._stranger(), ""
        return "RESET"

    def select(self, words: list[bytes]) -> Reply:
        """SELECT 0: there is only this database."""
        number = _integer(words[1], -(2**31), 2**31 - 1)
        if number is None:
            return _NOT_INTEGER
        return "OK" if number == 0 else Error("ERR DB index is out of range; a collection is named by EDGEQA.ASK")

    def client_id(self, _words: list[bytes]) -> Reply:
        """CLIENT ID."""
        return self.number

    def client_get_name(self, _words: list[bytes]) -> Reply:
        """CLIENT GETNAME."""
        return self.name.encode() or None

    def client_set_name(self, words: list[bytes]) -> Reply:
        """CLIENT SETNAME name."""
        if not _is_word(words[2]):
            return Error("ERR Client names cannot contain spaces, newlines or special characters.")
        self.name = words[2].decode()
        return "OK"

    def client_set_info(self, words: list[bytes]) -> Reply:
        """CLIENT SETINFO LIB-NAME name, CLIENT SETINFO LIB-VER version."""
        fields = (b"lib-name", b"lib-ver")
        if words[2].lower() not in fields:
            return Error(f"ERR Unrecognized option '{words[2][:128].decode(errors='replace')}'")
        if not _is_word(words[3]):
            return Error("ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.")
        self.library[fields.index(words[2].lower())] = words[3].decode()
        return "OK"

    def client_info(self, _words: list[bytes]) -> Reply:
        """CLIENT INFO."""
        return f"{self.line()}\n".encode()

    def client_list(self, _words: list[bytes]) -> Reply:
        """CLIENT LIST: an admin sees all connections, others see their own."""
        sessions = self.door.sessions.values() if "admin" in self._known.scopes else [self]
        return "".join(f"{one.line()}\n" for one in sessions).encode()

    def line(self) -> str:
        """Returns the line of CLIENT INFO for this connection."""
        age = int(time.monotonic() - self.since)
        return (
            f"id={self.number} addr={self.peer[0]}:{self.peer[1]} name={self.name} age={age} db=0 resp={self.protocol} "
            f"lib-name={self.library[0]} lib-ver={self.library[1]}"
        )

    def client_ok(self, _words: list[bytes]) -> Reply:
        """CLIENT NO-EVICT on|off, CLIENT NO-TOUCH on|off: there is nothing to do."""
        return "OK"


def _text(answer: Answer) -> bytes | None:
    """Returns the bare answer, on one line, as `--quiet` prints it; None if there is none."""
    return None if answer.text is None else " ".join(answer.text.split()).encode()


def _as_json(answer: Answer, top: int) -> bytes:
    text = json.dumps(answer.to_json(candidates=top > 1), ensure_ascii=False)
    return text.encode(errors="backslashreplace")


def _options(words: Sequence[bytes], *names: str) -> dict[str, bytes] | None:
    """Returns the values of options, each of which follows its name; None if there is anything else."""
    found = {}
    for name, value in zip(words[::2], words[1::2], strict=False):
        known = name.decode("utf-8", "replace").lower()
        if known not in names or known in found:
            return None
        found[known] = value
    return None if len(words) % 2 else found


def _decoded(word: bytes | None) -> str | None:
    return None if word is None else word.decode()


def _integer(word: bytes, least: int, most: int) -> int | None:
    digits = word.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 18:
        return None
    return number if least <= (number := int(word)) <= most else None


def _is_word(word: bytes) -> bool:
    return all(0x21 <= byte <= 0x7E for byte in word)
