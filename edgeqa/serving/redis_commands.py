"""The commands of the Redis protocol, as a table.

In: the words of a request. Out: a reply, or an awaitable for one. COMMAND describes the table to clients; INFO and
CONFIG give the facts that clients look for before they ask anything. `redis_session` does the work of the commands that
belong to one connection. `redis_server` reads and writes the bytes.
"""

from __future__ import annotations

import inspect
import os
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from edgeqa.errors import EdgeQAError
from edgeqa.serving import joined
from edgeqa.serving.errors import DeadlinePassed, NotAllowed, Refused
from edgeqa.serving.redis_session import REDIS_VERSION, Session
from edgeqa.serving.resp import Error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edgeqa.serving.resp import Reply

    Run = Callable[[Session, list[bytes]], Reply | Awaitable[Reply]]

_NO_AUTH = Error("NOAUTH Authentication required.")
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
    """The number of its words, its name included; a negative number means at least so many."""
    summary: str
    run: Run
    group: str = "connection"
    keys: tuple[int, int, int] = (0, 0, 0)
    """The places of its keys: the first, the last (from the end if negative), and the step."""
    flags: tuple[str, ...] = ("fast", "loading", "stale")
    for_strangers: bool = False
    """Whether a client may give it before it has shown its token."""
    subcommands: dict[str, tuple[int, Run]] = field(default_factory=dict)
    """The subcommands by name: the arity of each, and its function."""


def reply_to(session: Session, words: list[bytes]) -> Reply | Awaitable[Reply]:
    """Returns the reply to a request, or an awaitable for it; neither raises an error."""
    session.door.commands += 1
    session.look_again()
    name = words[0].decode("utf-8", "replace").lower()
    command = COMMANDS.get(name)
    if command is None:
        return _unknown(session, name)
    if session.caller is None and not command.for_strangers:
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
    if session.door.cluster is not None and (named := _keys_of(command, words)):
        elsewhere = joined.moved(session.door.cluster, named)
        if elsewhere is not None:
            return elsewhere
    try:
        found = run(session, words)
    except Exception as error:
        return _said(error)
    if isinstance(found, bytes):  # as most are: to tell otherwise that it need not be awaited takes ten times as long
        return found
    return _awaited(found) if inspect.isawaitable(found) else found


def _unknown(session: Session, name: str) -> Reply:
    """Returns the reply to an unknown command."""
    if name in _OF_HTTP:  # a page elsewhere has made a browser send this; Redis refuses it, too
        session.is_over = True
        return Error("ERR this is no HTTP server")
    if session.caller is None:
        return _NO_AUTH
    if name in _WRITES:
        return Error(f"ERR this server answers questions; it stores nothing by {name.upper()}")
    return Error(f"ERR unknown command '{name[:128]}'")


async def _awaited(found: Awaitable[Reply]) -> Reply:
    try:
        return await found
    except Exception as error:
        return _said(error)


def _said(error: Exception) -> Error:
    """Returns an error whose first word tells clients what to do."""
    if isinstance(error, UnicodeDecodeError):
        return Error("ERR names, questions and options are UTF-8")
    if not isinstance(error, EdgeQAError):
        return Error(f"ERR internal error: {type(error).__name__}: {error}")
    first = next((word for kind, word in _FIRST_WORDS.items() if isinstance(error, kind)), "ERR")
    return Error(f"{first} {error}; {error.hint}" if error.hint else f"{first} {error}")


_FIRST_WORDS: dict[type[EdgeQAError], str] = {Refused: "TRYAGAIN", DeadlinePassed: "TRYAGAIN", NotAllowed: "NOPERM"}


def _command_info(_session: Session, words: list[bytes]) -> Reply:
    """COMMAND, COMMAND INFO [name...]."""
    names = [word.decode("utf-8", "replace").lower() for word in words[2:]] or list(COMMANDS)
    return [_described(COMMANDS[name]) if name in COMMANDS else None for name in names]


def _command_count(_session: Session, _words: list[bytes]) -> Reply:
    """COMMAND COUNT."""
    return len(COMMANDS)


def _command_list(_session: Session, _words: list[bytes]) -> Reply:
    """COMMAND LIST."""
    return [name.encode() for name in COMMANDS]


def _command_docs(_session: Session, words: list[bytes]) -> Reply:
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


def _command_getkeys(_session: Session, words: list[bytes]) -> Reply:
    """COMMAND GETKEYS command..."""
    command = COMMANDS.get(words[2].decode("utf-8", "replace").lower())
    if command is None:
        return Error("ERR Invalid command specified")
    if not command.keys[0]:
        return Error("ERR The command has no key arguments")
    return _keys_of(command, words[2:]) or Error("ERR Invalid number of arguments specified for command")


def _keys_of(command: Command, words: list[bytes]) -> list[bytes]:
    """Returns the keys that a request names."""
    first, last, step = command.keys
    return words[first : (last if last >= 0 else len(words) + last) + 1 : step] if first else []


def _info(session: Session, words: list[bytes]) -> Reply:
    """INFO [section...]."""
    wanted = {word.decode("utf-8", "replace").lower() for word in words[1:]} or {"default"}
    everything = not wanted.isdisjoint({"all", "default", "everything"})
    sections = _sections(session)
    shown = [
        f"# {name}\r\n" + "".join(f"{key}:{value}\r\n" for key, value in facts.items())
        for name, facts in sections.items()
        if everything or name.lower() in wanted
    ]
    return "\r\n".join(shown).encode()


def _sections(session: Session) -> dict[str, dict[str, object]]:
    import resource

    door, engine = session.door, session.door.engine
    up = int(time.monotonic() - door.started)
    memory = _resident_bytes()
    return {
        "Server": {
            "redis_version": REDIS_VERSION,
            "redis_mode": "standalone" if door.cluster is None else "cluster",
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
        "Cluster": {"cluster_enabled": int(door.cluster is not None)},
        "Keyspace": {},
    }


def _config_get(session: Session, words: list[bytes]) -> Reply:
    """CONFIG GET pattern...: what clients look for."""
    facts = {
        "appendonly": "no",
        "databases": "1",
        "maxclients": str(session.door.most_connections),
        "maxmemory": "0",
        "port": str(session.door.port),
        "save": "",
    }
    patterns = [word.decode("utf-8", "replace").lower() for word in words[2:]]
    return {
        name.encode(): value.encode()
        for name, value in facts.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _now(_session: Session, _words: list[bytes]) -> Reply:
    """TIME: seconds since 1970, and microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return [b"%d" % seconds, b"%d" % (nanoseconds // 1000)]


def _unlisted(_session: Session, words: list[bytes]) -> Reply:
    """KEYS, SCAN, DBSIZE, RANDOMKEY: there are as many names as questions."""
    name = words[0].decode("utf-8", "replace").upper()
    return Error(f"ERR {name}: names of answers are not listed; any question makes one: bertqa{{TAG}}_ADDRESS_QUESTION")


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
        Command("mget", -2, "The answers to several names, or an error.", Session.mget, "string", _ALL_KEYS, _READS),
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
            _command_info,
            _SERVER,
            subcommands={
                "count": (2, _command_count),
                "docs": (-2, _command_docs),
                "getkeys": (-3, _command_getkeys),
                "info": (-2, _command_info),
                "list": (-2, _command_list),
            },
        ),
        Command("info", -1, "Figures of the server.", _info, _SERVER),
        Command("config", -2, "Settings.", _config_get, _SERVER, subcommands={"get": (-3, _config_get)}),
        Command("time", 1, "The server's time.", _now, _SERVER),
        Command(
            "memory", -2, "Memory.", Session.memory_usage, _SERVER, subcommands={"usage": (-3, Session.memory_usage)}
        ),
        Command("keys", -1, "Names are not listed.", _unlisted, "generic"),
        Command("scan", -1, "Names are not listed.", _unlisted, "generic"),
        Command("dbsize", -1, "Names are not listed.", _unlisted, "generic"),
        Command("randomkey", -1, "Names are not listed.", _unlisted, "generic"),
        Command("cluster", -1, "Who serves which slot, where this is a worker.", joined.command, "cluster"),
        Command("readonly", -1, "Nothing to do.", joined.mode, "cluster"),
        Command("readwrite", -1, "Nothing to do.", joined.mode, "cluster"),
        Command("asking", -1, "Nothing to do.", joined.mode, "cluster"),
    )
}
