"""What each command of the Redis protocol does here: a request's words in, a reply out, or one that is on its way.

GET asks. The names of answers are the keys; nothing is ever stored by a client. What can be looked up is replied to at
once, what has to be read is awaited, and meanwhile the other connections go on. Replies are what the client libraries
in use expect, which was found by recording them. Bytes are read and written in `redis_server`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from edgeqa.errors import EdgeQAError
from edgeqa.serving.errors import DeadlinePassed, NotAllowed, Refused, TokenMissing, TokenUnknown
from edgeqa.serving.resp import KNOWN, STRANGERS, Error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from edgeqa.answer import Answer
    from edgeqa.serving.admission import Admission
    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine
    from edgeqa.serving.resp import Limits, Reply

    Run = Callable[["Session", list[bytes]], "Reply | Awaitable[Reply]"]

# Of this version is what is replied: below 7.4, redis-py's cache on the client refuses to work.
REDIS_VERSION = "7.4.0"

MOST_AT_ONCE = 8  # of an MGET's names that are being read: all of them at once would be refused as too many

_NO_AUTH = Error("NOAUTH Authentication required.")
_WRONG_PASS = Error("WRONGPASS invalid username-password pair or user is disabled.")
_NO_CLUSTER = Error("ERR This instance has cluster support disabled")
_SYNTAX = Error("ERR syntax error")
_NOT_INTEGER = Error("ERR value is not an integer or out of range")
_OF_HTTP = frozenset({"post", "put", "options", "head", "host:"})
_WRITES = frozenset(
    {
        *("append", "copy", "decr", "decrby", "expire", "expireat", "flushall", "flushdb", "getdel", "getex", "getset"),
        *("hset", "incr", "incrby", "incrbyfloat", "lpush", "mset", "msetnx", "persist", "pexpire", "pexpireat"),
        *("psetex", "rename", "renamenx", "restore", "rpush", "sadd", "set", "setex", "setnx", "setrange", "touch"),
        *("xadd", "zadd"),
    }
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command, as COMMAND tells clients of it."""

    name: str
    arity: int
    """Words of it, its name included; negative: at least as many."""
    summary: str
    run: Run
    group: str = "connection"
    keys: tuple[int, int, int] = (0, 0, 0)
    """Where its keys are: the first, the last (negative: from the end), and how far apart."""
    flags: tuple[str, ...] = ("fast", "loading", "stale")
    for_strangers: bool = False
    """Whether who has yet to say who he is may give it."""
    subcommands: dict[str, tuple[int, Run]] = field(default_factory=dict)
    """By name, the arity of each, and what it does."""


@dataclass(slots=True)
class Door:
    """What all connections share."""

    engine: Engine
    admission: Admission
    is_local: bool
    """Whether only this machine can connect."""
    port: int
    most_connections: int
    sessions: dict[int, Session] = field(default_factory=dict)
    connections: int = 0
    """All that there were."""
    commands: int = 0
    """All that were given."""
    started: float = field(default_factory=time.monotonic)


class Session:
    """One connection's side of it."""

    def __init__(self, door: Door, peer: tuple[str, int]) -> None:
        """Begins one.

        Args:
            door: what is shared.
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
        """Whether the connection is to be closed, once this has been replied."""
        self.since = time.monotonic()
        self.caller = self._stranger()
        """Who it is; None until it has said so, where it has to."""

    def _stranger(self) -> Caller | None:
        """Returns who a client is that has shown no token; None where it has to."""
        try:
            return self.door.admission.caller("redis", self.peer[0], None, is_local=self.door.is_local)
        except TokenMissing:
            return None

    @property
    def limits(self) -> Limits:
        """What a request may take."""
        return STRANGERS if self.caller is None else KNOWN

    def reply(self, words: list[bytes]) -> Reply | Awaitable[Reply]:
        """Returns the reply to a request, or what gives it once it is there; no error leaves either."""
        self.door.commands += 1
        name = words[0].decode("utf-8", "replace").lower()
        command = COMMANDS.get(name)
        if command is None:
            if name in _OF_HTTP:  # a browser, made to by a page elsewhere; Redis does the same
                self.is_over = True
                return Error("ERR this is no HTTP server")
            if self.caller is None:
                return _NO_AUTH
            if name in _WRITES:
                return Error(f"ERR this server answers questions; it stores nothing by {name.upper()}")
            return Error(f"ERR unknown command '{name[:128]}'")
        if self.caller is None and not command.for_strangers:
            return _NO_AUTH
        run, arity = command.run, command.arity
        if command.subcommands and len(words) > 1:
            sub = words[1].decode("utf-8", "replace").lower()
            if sub not in command.subcommands:
                return Error(f"ERR unknown subcommand '{sub[:128]}'. Try COMMAND INFO {name.upper()}.")
            arity, run = command.subcommands[sub]
            name = f"{name}|{sub}"
        if len(words) != arity if arity > 0 else len(words) < -arity:
            return Error(f"ERR wrong number of arguments for '{name}' command")
        try:
            found = run(self, words)
        except Exception as error:
            return _said(error)
        return self._awaited(found) if inspect.isawaitable(found) else found

    async def _awaited(self, found: Awaitable[Reply]) -> Reply:
        try:
            return await found
        except Exception as error:
            return _said(error)

    # --- answers -----------------------------------------------------------------------------------------------------

    def get(self, words: list[bytes]) -> Reply | Awaitable[Reply]:
        """GET name."""
        name = words[1].decode()
        found = self.door.engine.name_at_hand(self._known, name)
        return self._got(name) if found is None else _text(found)

    async def _got(self, name: str) -> Reply:
        return _text(await self.door.engine.get(self._known, name))

    async def mget(self, words: list[bytes]) -> Reply:
        """MGET name...: all of them or, where one is wrong or refused, an error that tells which."""
        names = [word.decode() for word in words[1:]]
        room = asyncio.Semaphore(MOST_AT_ONCE)
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

    async def ask(self, words: list[bytes]) -> Reply:
        """EDGEQA.ASK question [COLLECTION name] [TOP n]: what `edgeqa ask --json` prints."""
        options = _options(words[2:], "collection", "top")
        if options is None:
            return _SYNTAX
        top = _integer(options.get("top", b"1"), 1, 100)
        if top is None:
            return _NOT_INTEGER
        collection = _decoded(options.get("collection"))
        answer = await self.door.engine.ask(self._known, words[1].decode(), collection=collection, top=top)
        return _as_json(answer, top)

    async def get_json(self, words: list[bytes]) -> Reply:
        """EDGEQA.GET name [COLLECTION name]: what `edgeqa get --json` prints."""
        options = _options(words[2:], "collection")
        if options is None:
            return _SYNTAX
        collection = _decoded(options.get("collection"))
        return _as_json(await self.door.engine.get(self._known, words[1].decode(), collection=collection), 1)

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
        """Who asks; only who is known gets so far."""
        if self.caller is None:  # pragma: no cover - `reply` has seen to it
            raise AssertionError
        return self.caller

    def auth(self, words: list[bytes]) -> Reply:
        """AUTH [name] token."""
        if len(words) > 3:
            return _SYNTAX
        return self._authenticated(words[1] if len(words) == 3 else b"", words[-1]) or "OK"

    def _authenticated(self, name: bytes, token: bytes) -> Error | None:
        """Takes somebody in by a token, and by its name where one is given; returns what is wrong with it."""
        try:
            caller = self.door.admission.caller("redis", self.peer[0], token.decode(), is_local=self.door.is_local)
        except (TokenUnknown, UnicodeDecodeError):
            return _WRONG_PASS
        if name not in (b"", b"default", caller.name.encode()):
            return _WRONG_PASS
        self.caller = caller
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
            b"mode": b"standalone",
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
        """RESET: as if newly connected."""
        self.protocol, self.name, self.caller = 2, "", self._stranger()
        return "RESET"

    def select(self, words: list[bytes]) -> Reply:
        """SELECT 0: there is only this."""
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
        """CLIENT LIST: all connections for who administers, for others their own."""
        sessions = self.door.sessions.values() if "admin" in self._known.scopes else [self]
        return "".join(f"{one.line()}\n" for one in sessions).encode()

    def line(self) -> str:
        """Returns what CLIENT INFO says of the connection."""
        age = int(time.monotonic() - self.since)
        return (
            f"id={self.number} addr={self.peer[0]}:{self.peer[1]} name={self.name} age={age} db=0 resp={self.protocol} "
            f"lib-name={self.library[0]} lib-ver={self.library[1]}"
        )

    def client_ok(self, _words: list[bytes]) -> Reply:
        """CLIENT NO-EVICT on|off, CLIENT NO-TOUCH on|off: there is nothing to do."""
        return "OK"

    # --- what is here ------------------------------------------------------------------------------------------------

    def command(self, words: list[bytes]) -> Reply:
        """COMMAND, COMMAND INFO [name...]."""
        names = [word.decode("utf-8", "replace").lower() for word in words[2:]] or list(COMMANDS)
        return [_described(COMMANDS[name]) if name in COMMANDS else None for name in names]

    def command_count(self, _words: list[bytes]) -> Reply:
        """COMMAND COUNT."""
        return len(COMMANDS)

    def command_list(self, _words: list[bytes]) -> Reply:
        """COMMAND LIST."""
        return [name.encode() for name in COMMANDS]

    def command_docs(self, words: list[bytes]) -> Reply:
        """COMMAND DOCS [name...]."""
        names = [word.decode("utf-8", "replace").lower() for word in words[2:]] or list(COMMANDS)
        return {
            name.encode(): {
                b"summary": COMMANDS[name].summary.encode(),
                b"since": b"1.0.0",
                b"group": COMMANDS[name].group.encode(),
            }
            for name in names
            if name in COMMANDS
        }

    def command_getkeys(self, words: list[bytes]) -> Reply:
        """COMMAND GETKEYS command..."""
        command = COMMANDS.get(words[2].decode("utf-8", "replace").lower())
        given = words[2:]
        if command is None:
            return Error("ERR Invalid command specified")
        first, last, step = command.keys
        if not first:
            return Error("ERR The command has no key arguments")
        keys = given[first : (last if last >= 0 else len(given) + last) + 1 : step]
        return keys or Error("ERR Invalid number of arguments specified for command")

    def info(self, words: list[bytes]) -> Reply:
        """INFO [section...]."""
        wanted = {word.decode("utf-8", "replace").lower() for word in words[1:]} or {"default"}
        everything = not wanted.isdisjoint({"all", "default", "everything"})
        sections = self._sections()
        shown = [
            f"# {name}\r\n" + "".join(f"{key}:{value}\r\n" for key, value in facts.items())
            for name, facts in sections.items()
            if everything or name.lower() in wanted
        ]
        return "\r\n".join(shown).encode()

    def _sections(self) -> dict[str, dict[str, object]]:
        import resource

        door, engine = self.door, self.door.engine
        up = int(time.monotonic() - door.started)
        memory = _resident_bytes()
        return {
            "Server": {
                "redis_version": REDIS_VERSION,
                "redis_mode": "standalone",
                "server_name": "edgeqa",
                "os": " ".join((os.uname().sysname, os.uname().release, os.uname().machine)),
                "process_id": os.getpid(),
                "tcp_port": door.port,
                "uptime_in_seconds": up,
                "uptime_in_days": up // 86400,
            },
            "Clients": {
                "connected_clients": len(door.sessions),
                "maxclients": door.most_connections,
                "blocked_clients": engine.waiting + engine.reading,
            },
            "Memory": {
                "used_memory": memory,
                "used_memory_human": f"{memory / 2**20:.2f}M",
                "used_memory_rss": memory,
                "used_memory_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "maxmemory": 0,
                "edgeqa_model_loaded": int(any(one.model_loaded for one in engine.counters().values())),
            },
            "Persistence": {"loading": 0},
            "Stats": {
                "total_connections_received": door.connections,
                "total_commands_processed": door.commands,
                **{f"edgeqa_{outcome}_by_{way}": count for (way, outcome), count in sorted(engine.outcomes.items())},
            },
            "Replication": {"role": "master", "connected_slaves": 0},
            "Cluster": {"cluster_enabled": 0},
            "Keyspace": {},
        }

    def config_get(self, words: list[bytes]) -> Reply:
        """CONFIG GET pattern...: what clients look for."""
        facts = {
            "appendonly": "no",
            "databases": "1",
            "maxclients": str(self.door.most_connections),
            "maxmemory": "0",
            "port": str(self.door.port),
            "save": "",
        }
        patterns = [word.decode("utf-8", "replace").lower() for word in words[2:]]
        return {
            name.encode(): value.encode()
            for name, value in facts.items()
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        }

    def time(self, _words: list[bytes]) -> Reply:
        """TIME: seconds since 1970, and microseconds."""
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        return [b"%d" % seconds, b"%d" % (nanoseconds // 1000)]

    async def memory_usage(self, words: list[bytes]) -> Reply:
        """MEMORY USAGE name: bytes that an answer takes, about, where it is remembered."""
        found = await self.door.engine.look_up_name(self._known, words[2].decode())
        return None if found is None else found.size_bytes

    def unlisted(self, words: list[bytes]) -> Reply:
        """KEYS, SCAN, DBSIZE, RANDOMKEY: there are as many names as questions."""
        name = words[0].decode("utf-8", "replace").upper()
        return Error(
            f"ERR {name}: names of answers are not listed; any question makes one: bertqa{{TAG}}_ADDRESS_QUESTION"
        )

    def no_cluster(self, _words: list[bytes]) -> Reply:
        """CLUSTER, READONLY, READWRITE, ASKING."""
        return _NO_CLUSTER


def _said(error: Exception) -> Error:
    """Returns an error as clients act on it, by its first word."""
    if isinstance(error, UnicodeDecodeError):
        return Error("ERR names, questions and options are UTF-8")
    if not isinstance(error, EdgeQAError):
        return Error(f"ERR internal error: {type(error).__name__}: {error}")
    first = next((word for kind, word in _FIRST_WORDS.items() if isinstance(error, kind)), "ERR")
    return Error(f"{first} {error}; {error.hint}" if error.hint else f"{first} {error}")


_FIRST_WORDS: dict[type[EdgeQAError], str] = {Refused: "TRYAGAIN", DeadlinePassed: "TRYAGAIN", NotAllowed: "NOPERM"}


def _text(answer: Answer) -> bytes | None:
    """Returns the bare answer, on one line, as `--quiet` prints it; None where there is none."""
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


def _resident_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _described(command: Command) -> Reply:
    """Returns a command as COMMAND INFO tells of it."""
    key_flags: list[Reply] = ["RO", "access"]
    first, last, step = command.keys
    specifications: list[Reply] = []
    if first:
        begin: Reply = {b"type": b"index", b"spec": {b"index": first}}
        relative = last if last < 0 else last - first
        find: Reply = {b"type": b"range", b"spec": {b"lastkey": relative, b"keystep": step, b"limit": 0}}
        specifications.append({b"flags": key_flags, b"begin_search": begin, b"find_keys": find})
    flags: list[Reply] = list(command.flags)
    below: list[Reply] = [
        [f"{command.name}|{name}".encode(), arity, flags, 0, 0, 0, [], [], [], []]
        for name, (arity, _) in command.subcommands.items()
    ]
    return [command.name.encode(), command.arity, flags, first, last, step, [], [], specifications, below]


_KEY, _ALL_KEYS = (1, 1, 1), (1, -1, 1)
_READS = ("readonly",)
_FAST = ("readonly", "fast")
_SERVER = "server"

COMMANDS = {
    one.name: one
    for one in (
        Command(
            "get",
            2,
            "The answer to a question on one passage, read if need be.",
            Session.get,
            "string",
            _KEY,
            _READS,
        ),
        Command(
            "mget", -2, "The answers to several; an error if one has none.", Session.mget, "string", _ALL_KEYS, _READS
        ),
        Command("exists", -2, "How many of these answers are remembered.", Session.exists, "generic", _ALL_KEYS, _FAST),
        Command("ttl", 2, "-1 if the answer is remembered, else -2.", Session.ttl, "generic", _KEY, _FAST),
        Command("pttl", 2, "-1 if the answer is remembered, else -2.", Session.ttl, "generic", _KEY, _FAST),
        Command("type", 2, "string if the answer is remembered, else none.", Session.type, "generic", _KEY, _FAST),
        Command("strlen", 2, "Bytes of a remembered answer.", Session.strlen, "string", _KEY, _FAST),
        Command("del", -2, "Forgets answers.", Session.delete, "generic", _ALL_KEYS, ("write",)),
        Command("unlink", -2, "Forgets answers.", Session.delete, "generic", _ALL_KEYS, ("write",)),
        Command("edgeqa.ask", -2, "Asks a collection; the answer as JSON.", Session.ask, "module", flags=_READS),
        Command("edgeqa.get", -2, "As GET; the answer as JSON.", Session.get_json, "module", _KEY, _READS),
        Command("edgeqa.closest", -2, "Addresses of the closest passages.", Session.closest, "module", flags=_READS),
        Command("auth", -2, "Says who asks.", Session.auth, for_strangers=True),
        Command("hello", -1, "Chooses the protocol.", Session.hello, for_strangers=True),
        Command("ping", -1, "Whether the server is there.", Session.ping),
        Command("echo", 2, "The same text.", Session.echo),
        Command("quit", -1, "Closes the connection.", Session.quit, for_strangers=True),
        Command("reset", 1, "Makes the connection as new.", Session.reset, for_strangers=True),
        Command("select", 2, "Chooses database 0, the only one.", Session.select),
        Command(
            "client",
            -2,
            "What is known of connections.",
            Session.client_id,
            subcommands={
                "getname": (2, Session.client_get_name),
                "id": (2, Session.client_id),
                "info": (2, Session.client_info),
                "list": (-2, Session.client_list),
                "no-evict": (3, Session.client_ok),
                "no-touch": (3, Session.client_ok),
                "setinfo": (4, Session.client_set_info),
                "setname": (3, Session.client_set_name),
            },
        ),
        Command(
            "command",
            -1,
            "What commands there are.",
            Session.command,
            _SERVER,
            subcommands={
                "count": (2, Session.command_count),
                "docs": (-2, Session.command_docs),
                "getkeys": (-3, Session.command_getkeys),
                "info": (-2, Session.command),
                "list": (-2, Session.command_list),
            },
        ),
        Command("info", -1, "Figures of the server.", Session.info, _SERVER),
        Command("config", -2, "Settings.", Session.config_get, _SERVER, subcommands={"get": (-3, Session.config_get)}),
        Command("time", 1, "The server's time.", Session.time, _SERVER),
        Command(
            "memory", -2, "Memory.", Session.memory_usage, _SERVER, subcommands={"usage": (-3, Session.memory_usage)}
        ),
        Command("keys", -1, "Names are not listed.", Session.unlisted, "generic"),
        Command("scan", -1, "Names are not listed.", Session.unlisted, "generic"),
        Command("dbsize", -1, "Names are not listed.", Session.unlisted, "generic"),
        Command("randomkey", -1, "Names are not listed.", Session.unlisted, "generic"),
        Command("cluster", -1, "Not in this mode.", Session.no_cluster, "cluster"),
        Command("readonly", -1, "Not in this mode.", Session.no_cluster, "cluster"),
        Command("readwrite", -1, "Not in this mode.", Session.no_cluster, "cluster"),
        Command("asking", -1, "Not in this mode.", Session.no_cluster, "cluster"),
    )
}
