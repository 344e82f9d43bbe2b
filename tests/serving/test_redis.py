"""Tests the Redis protocol: a real `edgeqa serve --redis`, asked by clients that are not ours and by raw bytes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import foreign
import pytest
from foreign import DEADLINE_S, ROOT
from running import Running, start, stop

import edgeqa
from edgeqa.collection import shard_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUESTION = "To what depth may the pump be submerged?"
ORIGIN = "bertqa{8YG}_PMC302072.xml:{8YG}:10_Who performs viral transmission among adults"
PYTHON_CLIENTS = {
    "redis2": "redis",
    "redis3": "redis",
    "asyncio": "redis",
    "valkey": "valkey",
    "coredis": "coredis",
    "glide": "glide",
}


@dataclass(frozen=True)
class Place:
    """A home with the examples added, and names in it."""

    home: Path
    answer: str
    none: str

    def names(self) -> str:
        return json.dumps({"answer": self.answer, "none": self.none, "question": QUESTION})


@pytest.fixture(scope="module")
def place(with_examples: Path) -> Place:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEQA_HOME", str(with_examples))
        with edgeqa.open() as qa:
            (tag,) = {one.tag for one in qa.list()}
    name = f"bertqa{{{tag}}}_examples/pump-manual.txt:{{{tag}}}"
    return Place(with_examples, f"{name}:2_{QUESTION}", f"{name}:3_Who is the king of France?")


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[Running]:
    running = start(place.home, "--redis", 0)
    yield running
    stop(running)


@pytest.fixture(scope="module")
def port(server: Running) -> int:
    return port_of(server)


def port_of(running: Running, scheme: str = "redis") -> int:
    return int(running.until_said(rf"at {scheme}://127\.0\.0\.1:(\d+)")[1])


class Raw:
    """A connection that sends what it is told to, as it is."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, *words: str | bytes) -> Any:  # noqa: ANN401 - any reply
        """Sends a request; returns the reply."""
        encoded = [word.encode() if isinstance(word, str) else word for word in words]
        self.send(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in encoded))
        return self.heard()

    def heard(self) -> Any:  # noqa: ANN401 - as above
        """Returns the next reply; the end of the connection is EOFError."""
        line = self.file.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self.heard() for _ in range(int(rest))]
        if kind == b"%":
            return {self.heard(): self.heard() for _ in range(int(rest))}
        return int(rest) if kind == b":" else (None if kind == b"_" else line[:-2].decode())


def until(holds: Callable[[], bool]) -> None:
    """Asks again and again, for so long as a slow machine may take."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline


@pytest.fixture
def raw(port: int) -> Iterator[Raw]:
    with Raw(port) as connection:
        yield connection


# --- clients that are not ours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", PYTHON_CLIENTS)
def test_clients_of_python_are_answered(client: str, place: Place, port: int) -> None:
    found = foreign.python_client("redis_client.py", client, port, place.names(), "{}", needs=PYTHON_CLIENTS[client])
    check(found)
    if client in {"redis2", "redis3", "valkey"}:
        assert found["ping"] is True
        assert (found["exists"], found["ttl"], found["type"], found["strlen"]) == (1, -1, "string", 9)
        assert found["ask"] == "12 metres"
        assert place.answer.endswith(f"{found['closest'][0]}_{QUESTION}")
        assert found["role"] == "master"
        assert "stores nothing by SET" in found["set"]


@pytest.mark.parametrize("client", ["ioredis", "redis"])
def test_clients_of_node_are_answered(client: str, place: Place, port: int) -> None:
    check(foreign.node_client("redis_client.js", client, port, place.names(), "{}", needs=client))


def check(found: dict[str, Any]) -> None:
    assert found["answer"] == "12 metres"
    assert found["none"] is None
    assert "not the name of an answer: 'nonsense'" in found["nonsense"]
    assert found["mget"] == ["12 metres", None]
    assert found["pipelined"] == ["12 metres"]


def redis_cli(port: int, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [foreign.program("redis-cli"), "-p", str(port), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("options", [(), ("-2",), ("-3",), ("-c",), ("-n", "0")])
def test_redis_cli_is_answered(options: tuple[str, ...], place: Place, port: int) -> None:
    assert redis_cli(port, *options, "GET", place.answer) == "12 metres"
    assert redis_cli(port, *options, stdin=f'PING\nget "{place.answer}"\n').splitlines() == ["PONG", "12 metres"]


def test_the_commands_of_the_documentation_are_answered(place: Place, port: int) -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    commands = re.findall(r"^redis-cli -p 6423 (.*)$", page, re.MULTILINE)
    assert len(commands) == 3
    tag = re.findall(r"\{.*?\}", place.answer)[0]
    answers = [redis_cli(port, *shlex.split(command.replace("{8YG}", tag))) for command in commands]
    assert answers[0] == json.loads(answers[1])["answer"] == "12 metres"
    assert answers[2].splitlines()[0] == f"examples/pump-manual.txt:{tag}:2"


def test_redis_cli_says_what_is_wrong(place: Place, port: int) -> None:
    assert redis_cli(port, "GET", "nonsense").startswith("ERR not the name of an answer: 'nonsense'; it is bertqa{TAG}")
    assert redis_cli(port, "--no-raw", "GET", place.none) == "(nil)"
    gone = place.answer.replace("pump-manual", "gone")
    assert redis_cli(port, "GET", gone).startswith("ERR ")


def test_the_origin_s_name_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shard_writer, "numbered_tag", lambda *_: "8YG")  # tags are drawn; it was this one there
    filler = (
        "Paragraph {0} of the article says little that anybody would ask, and takes {0} times longer than others do. "
    )
    others = [filler.format(number) * 3 for number in range(1, 10)]  # long enough to be a passage each
    tenth = (
        "Viral transmission among adults is performed by mosquitoes, which were caught near the river at night. " * 2
    )
    (tmp_path / "PMC302072.xml").write_text("\n\n".join([*others, tenth, *others, ""]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with edgeqa.open() as qa:
        qa.add("PMC302072.xml", format="text")
    running = start(tmp_path / "home", "--redis", 0)
    try:
        assert redis_cli(port_of(running), "GET", ORIGIN) == "mosquitoes"
        with Raw(port_of(running)) as raw:
            raw.send(f'GET "{ORIGIN}"\r\n'.encode())  # as a person types it
            assert raw.heard() == "mosquitoes"
    finally:
        stop(running)


# --- what commands do ------------------------------------------------------------------------------------------------


def test_looking_never_reads_nor_loads_the_model(place: Place) -> None:
    running = start(place.home, "--redis", 0)
    try:
        with Raw(port_of(running)) as raw:
            unread = place.answer.replace("To what depth", "Down to what depth")
            for _ in range(2):
                assert raw.ask("EXISTS", unread, unread) == 0
                assert raw.ask("TTL", unread) == raw.ask("PTTL", unread) == -2
                assert raw.ask("TYPE", unread) == "+none"
                assert raw.ask("STRLEN", unread) == 0
                assert raw.ask("MEMORY", "USAGE", unread) is None
            assert raw.ask("EDGEQA.CLOSEST", QUESTION, "1") == [place.answer.split("_", 1)[1].rpartition("_")[0]]
            assert "edgeqa_model_loaded:0" in raw.ask("INFO", "memory")
            assert raw.ask("GET", unread) == "12 metres"
            assert "edgeqa_model_loaded:1" in raw.ask("INFO", "memory")
            assert raw.ask("EXISTS", unread, unread) == 2
            assert raw.ask("MEMORY", "USAGE", unread) > 1000
            assert raw.ask("EXISTS", "nonsense").startswith("-ERR not the name of an answer")
    finally:
        stop(running)


def test_answers_are_json_where_it_is_asked_for(place: Place, raw: Raw) -> None:
    asked = json.loads(raw.ask("EDGEQA.ASK", QUESTION, "TOP", "2", "COLLECTION", "default"))
    assert asked["answer"] == "12 metres"
    assert len(asked["candidates"]) == 2
    assert json.loads(raw.ask("EDGEQA.GET", place.answer))["address"] == asked["address"]
    assert raw.ask("EDGEQA.ASK", QUESTION, "TOP", "0") == "-ERR value is not an integer or out of range"
    assert raw.ask("EDGEQA.ASK", QUESTION, "TOP") == "-ERR syntax error"
    assert raw.ask("EDGEQA.ASK", QUESTION, "TIMEOUT", "61") == "-ERR value is not an integer or out of range"
    assert raw.ask("EDGEQA.GET", place.answer, "TIMEOUT", "soon") == "-ERR value is not an integer or out of range"
    assert json.loads(raw.ask("EDGEQA.GET", place.answer, "TIMEOUT", "60"))["answer"] == "12 metres"
    assert raw.ask("EDGEQA.ASK", QUESTION, "COLLECTION", "other").startswith(
        "-ERR no collection called other is served"
    )
    assert raw.ask("EDGEQA.CLOSEST", QUESTION, "many") == "-ERR value is not an integer or out of range"


def test_an_mget_is_answered_whole_or_not_at_all(place: Place, raw: Raw) -> None:
    names = [f"{place.answer[:-1]} {number}?" for number in range(100)]  # more than may wait to be read
    assert len(raw.ask("MGET", *names)) == 100
    assert raw.ask("MGET", place.answer, "nonsense").startswith("-ERR not the name of an answer: 'nonsense'")


def test_a_name_in_two_collections_is_an_error_until_one_of_them_is_named(place: Place, tmp_path: Path) -> None:
    environment = {**os.environ, "EDGEQA_HOME": str(place.home)}
    for words in (("export", "default", tmp_path / "it.zip"), ("import", tmp_path / "it.zip", "--as", "twin")):
        subprocess.run(
            [*foreign.EDGEQA, "collections", *words],
            env=environment,
            capture_output=True,
            timeout=DEADLINE_S,
            check=True,
        )
    running = start(place.home, "--redis", 0, "--collection", "default", "--collection", "twin")
    try:
        with Raw(port_of(running)) as raw:
            for command in ("GET", "EXISTS", "EDGEQA.GET"):
                assert raw.ask(command, place.answer).startswith("-ERR in more than one collection: ")
            assert json.loads(raw.ask("EDGEQA.GET", place.answer, "COLLECTION", "twin"))["answer"] == "12 metres"
            assert json.loads(raw.ask("EDGEQA.ASK", QUESTION, "COLLECTION", "twin"))["answer"] == "12 metres"
            assert len(raw.ask("EDGEQA.CLOSEST", QUESTION, "2", "COLLECTION", "twin")) == 2
            assert len(raw.ask("EDGEQA.CLOSEST", QUESTION, "COLLECTION", "twin")) == 4
            assert raw.ask("EDGEQA.CLOSEST", QUESTION, "2", "FROM", "twin") == "-ERR syntax error"
            assert raw.ask("EDGEQA.GET", place.answer, "FROM", "twin") == "-ERR syntax error"
    finally:
        stop(running)


def test_what_is_too_long_to_be_asked_is_refused(raw: Raw, place: Place) -> None:
    for words in (("EDGEQA.ASK",), ("EDGEQA.CLOSEST",), ("GET",), ("EXISTS",)):
        reply = raw.ask(*words, place.answer + "?" * 10_000)
        assert reply.startswith("-ERR ")
        assert " characters long" in reply
        assert len(reply) < 300


def test_names_are_utf_8(raw: Raw) -> None:
    assert raw.ask("GET", b"bertqa{8YG}_\xff") == "-ERR names, questions and options are UTF-8"
    assert raw.ask("PING") == "+PONG"


def test_small_commands_are_as_clients_expect_them(raw: Raw) -> None:
    assert raw.ask("ping", "a\r\nb") == "a\r\nb"
    assert raw.ask("ECHO", "") == ""
    assert raw.ask("SELECT", "0") == "+OK"
    assert raw.ask("SELECT", "1").startswith("-ERR DB index is out of range")
    assert raw.ask("SELECT", "zero").startswith("-ERR value is not an integer")
    assert raw.ask("CLIENT", "SETNAME", "a b").startswith("-ERR Client names")
    assert raw.ask("CLIENT", "SETNAME", "me") == "+OK"
    assert raw.ask("CLIENT", "SETINFO", "LIB-NAME", "mine") == "+OK"
    assert raw.ask("CLIENT", "SETINFO", "LIB-AGE", "1").startswith("-ERR Unrecognized option")
    assert raw.ask("CLIENT", "GETNAME") == "me"
    assert "name=me " in raw.ask("CLIENT", "INFO")
    assert "lib-name=mine" in raw.ask("CLIENT", "LIST")
    assert raw.ask("CLIENT", "NO-EVICT", "on") == "+OK"
    assert raw.ask("CLIENT", "MAINT_NOTIFICATIONS", "ON").startswith("-ERR unknown subcommand")
    assert raw.ask("CLIENT", "TRACKING", "ON").startswith("-ERR unknown subcommand")
    assert raw.ask("CLIENT").startswith("-ERR wrong number of arguments for 'client'")
    assert raw.ask("COMMAND", "COUNT") == len(raw.ask("COMMAND"))
    assert raw.ask("COMMAND", "INFO", "get", "nothing")[0][:2] == ["get", 2]
    assert raw.ask("COMMAND", "GETKEYS", "MGET", "a", "b") == ["a", "b"]
    assert raw.ask("COMMAND", "DOCS", "get")[0] == "get"
    assert raw.ask("CONFIG", "GET", "max*") == ["maxclients", "256", "maxmemory", "0"]
    assert len(raw.ask("TIME")) == 2
    assert raw.ask("CLUSTER", "SLOTS") == "-ERR This instance has cluster support disabled"
    assert raw.ask("SCAN", "0").startswith("-ERR SCAN: names of answers are not listed")
    assert raw.ask("FLUSHALL").startswith("-ERR this server answers questions")
    assert raw.ask("NOTHING") == "-ERR unknown command 'nothing'"
    assert raw.ask("GET").startswith("-ERR wrong number of arguments for 'get'")
    hello = raw.ask("HELLO", "3", "SETNAME", "you")
    assert (hello["server"], hello["proto"], hello["role"]) == ("edgeqa", 3, "master")
    assert raw.ask("CLIENT", "GETNAME") == "you"
    assert raw.ask("HELLO", "4") == "-NOPROTO unsupported protocol version"
    assert raw.ask("HELLO", "3", "MORE").startswith("-ERR Syntax error in HELLO option 'more'")
    assert raw.ask("RESET") == "+RESET"
    assert raw.ask("CLIENT", "GETNAME") is None
    assert raw.ask("QUIT") == "+OK"
    with pytest.raises(EOFError):
        raw.heard()


# --- connections -----------------------------------------------------------------------------------------------------


def test_replies_come_in_order_and_other_connections_go_on(place: Place, port: int) -> None:
    with Raw(port) as first, Raw(port) as second:
        unread = place.answer.replace("To what depth", "How far down")
        for words in ((b"GET", unread.encode()), (b"PING",), (b"GET", place.answer.encode()), (b"ECHO", b"end")):
            first.send(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in words))
        assert second.ask("PING") == "+PONG"
        assert [first.heard() for _ in range(4)][1:] == ["+PONG", "12 metres", "end"]


def test_a_request_is_read_wherever_it_is_cut(place: Place, raw: Raw) -> None:
    name = place.answer.encode()
    for byte in b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\nPING\r\n" % (len(name), name):
        raw.send(bytes([byte]))
    assert [raw.heard(), raw.heard()] == ["12 metres", "+PONG"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"*1\r\n$1073741824\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"*2147483647\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"a" * 70_000, "-ERR Protocol error: too big inline request"),
        (b"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'"),
        (b"POST / HTTP/1.1\r\nHost: edgeqa\r\n\r\nFLUSHALL\r\n", "-ERR this is no HTTP server"),
    ],
)
def test_what_is_no_request_ends_the_connection_alone(raw: Raw, port: int, sent: bytes, said: str) -> None:
    raw.send(sent)
    assert raw.heard() == said
    with pytest.raises((EOFError, ConnectionError)):
        raw.heard()
    with Raw(port) as other:
        assert other.ask("PING") == "+PONG"


def test_what_is_not_finished_in_time_is_given_up(place: Place) -> None:
    hurried = "import edgeqa.serving.redis_server as module; module.RECEIPT_S = 0.2"
    running = start(place.home, "--redis", 0, before=hurried)
    try:
        with Raw(port_of(running)) as raw, Raw(port_of(running)) as idle:
            assert idle.ask("PING") == "+PONG"
            raw.send(b"*2\r\n$3\r\nGET\r\n$5\r\nab")
            assert raw.heard() == "-ERR no whole request within 0.2 s"
            with pytest.raises(EOFError):
                raw.heard()
            assert idle.ask("PING") == "+PONG"  # one that has asked for nothing is left alone
    finally:
        stop(running)


def test_a_connection_too_many_is_told_so(place: Place) -> None:
    running = start(place.home, "--redis", 0, "--connections", 2)
    try:
        port = port_of(running)
        with Raw(port) as first, Raw(port) as second, Raw(port) as third:
            assert first.ask("PING") == second.ask("PING") == "+PONG"
            assert third.heard() == "-ERR max number of clients reached"
    finally:
        stop(running)


def test_a_low_limit_on_open_files_keeps_nobody_out(place: Place) -> None:
    low = "from resource import *; setrlimit(RLIMIT_NOFILE, (64, getrlimit(RLIMIT_NOFILE)[1]))"
    running = start(place.home, "--redis", 0, before=low)
    try:
        with contextlib.ExitStack() as opened:
            many = [opened.enter_context(Raw(port_of(running))) for _ in range(100)]
            assert {raw.ask("PING") for raw in many} == {"+PONG"}
    finally:
        stop(running)


def test_whatever_is_sent_the_server_goes_on(place: Place, port: int) -> None:
    random = Random(23)  # noqa: S311 - the same bytes in each run
    pieces = [
        b"*",
        b"$",
        b"\r\n",
        b"GET",
        b"3",
        b"1",
        b"-",
        b"999999999",
        b"\x00",
        b"\xff",
        b'"',
        place.answer.encode(),
    ]
    for _ in range(150):
        with Raw(port) as raw, contextlib.suppress(OSError):
            raw.send(b"".join(random.choices(pieces, k=random.randint(1, 40))))
    with Raw(port) as raw:
        assert raw.ask("GET", place.answer) == "12 metres"


def test_a_client_that_takes_no_replies_keeps_nobody_waiting(place: Place, port: int) -> None:
    with Raw(port) as greedy, Raw(port) as other:
        request = b"*2\r\n$4\r\nPING\r\n$60000\r\n" + b"a" * 60_000 + b"\r\n"
        greedy.socket.settimeout(2)
        with contextlib.suppress(TimeoutError):  # the server stops reading what it cannot reply to
            for _ in range(2_000):
                greedy.send(request)
            pytest.fail("replies are kept without end")
        assert other.ask("GET", place.answer) == "12 metres"


def test_what_cannot_be_answered_in_time_is_refused_with_tryagain(place: Place) -> None:
    full = "import edgeqa.serving.lanes as module; module.WAITING_PER_READER = 0; "
    full += "module.Lanes.has_free_reader = property(lambda _: False)"
    running = start(place.home, "--redis", 0, before=full)
    try:
        with Raw(port_of(running)) as raw:
            unread = place.answer.replace("To what depth", "Down how far")
            assert raw.ask("GET", unread).startswith("-TRYAGAIN ")
            assert raw.ask("MGET", place.answer, unread).startswith("-TRYAGAIN ")
    finally:
        stop(running)


# Readings wait until a file is there.
WAITING = """
import os, threading
import edgeqa
read = edgeqa.EdgeQA.get
def get(self, name, **options):
    while not os.path.exists({go!r}):
        threading.Event().wait(0.01)
    return read(self, name, **options)
edgeqa.EdgeQA.get = get
"""


def test_who_has_hung_up_is_not_read_for(place: Place, tmp_path: Path) -> None:
    go = tmp_path / "go"
    running = start(place.home, "--redis", 0, before=WAITING.format(go=str(go)))
    try:
        port = port_of(running)
        with contextlib.ExitStack() as opened:
            watching = opened.enter_context(Raw(port))

            def begin(number: int) -> Raw:
                raw = opened.enter_context(Raw(port))
                name = place.answer.replace("To what", f"Number {number}: to what").encode()
                raw.send(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(name), name))
                return raw

            def until_blocked(count: int) -> None:
                until(lambda: f"blocked_clients:{count}\r\n" in watching.ask("INFO", "clients"))

            stay = [begin(number) for number in range(10)]  # more than are read at a time
            until_blocked(10)
            gone = begin(10)
            until_blocked(11)
            impatient = opened.enter_context(Raw(port))
            late = place.answer.replace("To what", "Too late: to what")
            assert impatient.ask("EDGEQA.GET", late, "TIMEOUT", "1").startswith("-TRYAGAIN no answer within 1 s")
            gone.socket.shutdown(socket.SHUT_RDWR)
            until_blocked(10)
            go.touch()
            assert [raw.heard() for raw in stay] == ["12 metres"] * 10
            assert "edgeqa_read_by_redis:10\r\n" in watching.ask("INFO", "stats")
    finally:
        stop(running)


def test_who_shuts_its_own_side_gets_its_replies_and_is_not_read_for_once_it_is_gone(
    place: Place, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    running = start(place.home, "--redis", 0, before=WAITING.format(go=str(go)))
    try:
        port = port_of(running)
        with contextlib.ExitStack() as opened:
            watching = opened.enter_context(Raw(port))

            def begin(*lines: str) -> Raw:
                raw = opened.enter_context(Raw(port))
                raw.send("".join(f"{line}\r\n" for line in lines).encode())
                raw.socket.shutdown(socket.SHUT_WR)
                return raw

            def until_blocked(count: int) -> None:
                until(lambda: f"blocked_clients:{count}\r\n" in watching.ask("INFO", "clients"))

            def name(number: int, of: str = place.answer) -> str:
                return of.replace("_To what", f"_Side {number}: to what").replace("_Who", f"_Side {number}: who")

            one = begin(f'GET "{name(0)}"')
            several = begin(f'GET "{name(1)}"', f'MGET "{name(2)}" "{name(0)}"', "PING", f'GET "{name(3)}"')
            none = begin(f'GET "{name(4, place.none)}"')
            until_blocked(3)
            stay = [begin(f'GET "{name(number)}"') for number in range(5, 15)]  # more than are read at a time
            until_blocked(13)
            gone = begin(f'GET "{name(15)}"')
            until_blocked(14)
            assert gone.socket.recv(1, socket.MSG_PEEK) == b"$"  # it was looked at, and waits
            gone.file.close()
            gone.socket.close()
            until_blocked(13)
            go.touch()
            assert one.heard() == "12 metres"
            assert [several.heard() for _ in range(4)] == ["12 metres", ["12 metres"] * 2, "+PONG", "12 metres"]
            assert none.heard() is None
            assert [raw.heard() for raw in stay] == ["12 metres"] * 10
            for raw in (one, several, none, *stay):
                with pytest.raises(EOFError):
                    raw.heard()
            until_blocked(0)
            assert watching.ask("EXISTS", name(15)) == 0
            for said in (b"", b"PING", b"*1\r\n$4\r\nPI"):
                with Raw(port) as unasked:
                    unasked.send(said)
                    unasked.socket.shutdown(socket.SHUT_WR)
                    with pytest.raises(EOFError):
                        unasked.heard()
    finally:
        stop(running)


def test_who_shuts_its_own_side_is_told_what_is_wrong_and_nothing_once_an_answer_was_begun(
    place: Place, tmp_path: Path
) -> None:
    never_begun = "\nimport edgeqa.serving.connections as module; module.LOOK_AFTER_S = 3600"
    for more, said in (("", b"$"), (never_begun, b"-TRYAGAIN no answer within 1 s")):
        running = start(place.home, "--redis", 0, before=WAITING.format(go=str(tmp_path / "go")) + more)
        try:
            with Raw(port_of(running)) as raw:
                name = place.answer.replace("To what depth", "Which depth")
                raw.send(f'EDGEQA.GET "{name}" TIMEOUT 1\r\n'.encode())
                raw.socket.shutdown(socket.SHUT_WR)
                received = raw.file.read()
                assert received == said if said == b"$" else received.startswith(said)
        finally:
            stop(running)


def test_sigterm_finishes_what_is_being_read(place: Place) -> None:
    running = start(place.home, "--redis", 0)
    try:
        with Raw(port_of(running)) as raw, Raw(port_of(running)) as idle:
            assert idle.ask("PING") == "+PONG"
            name = place.answer.replace("To what depth", "Until which depth").encode()
            raw.send(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(name), name))
            until(lambda: "blocked_clients:0\r\n" not in idle.ask("INFO", "clients"))
            running.process.terminate()
            assert raw.heard() == "12 metres"
            assert running.ended() == 0
    finally:
        stop(running)


# --- who is let in ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokens(place: Place) -> dict[str, str]:
    """A token of each scope."""
    return {scope: token(place.home, f"a-{scope}", scope) for scope in ("ask", "add")}


def token(home: Path, name: str, scope: str) -> str:
    done = subprocess.run(
        [*foreign.EDGEQA, "serve", "token", "add", name, "--scope", scope, "--token-file", home / "tokens"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def guarded(place: Place, tokens: dict[str, str]) -> Iterator[Running]:
    """A server that other machines could reach: who asks shows a token."""
    assert tokens
    running = start(place.home, "--host", "127.0.0.1", "--redis", "0.0.0.0:0", "--token-file", place.home / "tokens")
    yield running
    stop(running)


@pytest.fixture(scope="module")
def guarded_port(guarded: Running) -> int:
    return int(guarded.until_said(r"at redis://0\.0\.0\.0:(\d+)")[1])


def test_who_shows_no_token_gets_nothing_and_little_is_read_of_it(guarded_port: int, place: Place) -> None:
    with Raw(guarded_port) as raw:
        for words in (("GET", place.answer), ("PING",), ("INFO",), ("COMMAND",), ("NOTHING",)):
            assert raw.ask(*words) == "-NOAUTH Authentication required."
        assert raw.ask("HELLO", "3").startswith("-NOAUTH HELLO must be called")
        assert raw.ask("AUTH", "wrong") == "-WRONGPASS invalid username-password pair or user is disabled."
        raw.send(b"*1\r\n$20000\r\n")
        assert raw.heard() == "-ERR Protocol error: invalid bulk length"


def test_tokens_open_what_their_scope_says(guarded_port: int, place: Place, tokens: dict[str, str]) -> None:
    with Raw(guarded_port) as asks, Raw(guarded_port) as adds:
        assert asks.ask("AUTH", "another", tokens["ask"]).startswith("-WRONGPASS")
        assert asks.ask("AUTH", tokens["ask"]) == "+OK"
        assert asks.ask("GET", place.answer) == "12 metres"
        assert asks.ask("DEL", place.answer).startswith("-NOPERM ")
        assert isinstance(adds.ask("HELLO", "3", "AUTH", "a-add", tokens["add"]), dict)
        assert [adds.ask("DEL", place.answer), adds.ask("DEL", place.answer)] == [1, 0]
        assert adds.ask("EXISTS", place.answer) == 0
        assert adds.ask("GET", place.answer) == "12 metres"
        assert adds.ask("RESET") == "+RESET"
        assert adds.ask("GET", place.answer).startswith("-NOAUTH")


def test_a_token_that_is_removed_lets_nobody_in_who_is_in_already(place: Place, tmp_path: Path) -> None:
    shown = token(tmp_path, "phone", "add")
    running = start(place.home, "--redis", 0, "--token-file", tmp_path / "tokens")
    try:
        with Raw(port_of(running)) as raw:
            assert raw.ask("AUTH", "phone", shown) == "+OK"
            assert raw.ask("DEL", place.answer) in {0, 1}
            removing = [*foreign.EDGEQA, "serve", "token", "remove", "phone", "--token-file", str(tmp_path / "tokens")]
            subprocess.run(removing, timeout=DEADLINE_S, check=True)
            assert raw.ask("DEL", place.answer) in {0, 1}
            running.process.send_signal(signal.SIGHUP)
            running.until_said("read anew")
            assert raw.ask("DEL", place.answer) == "-NOAUTH Authentication required."
    finally:
        stop(running)


@pytest.mark.parametrize("client", [*PYTHON_CLIENTS])
def test_clients_show_their_token(client: str, guarded_port: int, place: Place, tokens: dict[str, str]) -> None:
    options = json.dumps({"token": tokens["ask"]})
    found = foreign.python_client(
        "redis_client.py", client, guarded_port, place.names(), options, needs=PYTHON_CLIENTS[client]
    )
    check(found)


@pytest.mark.parametrize("protocol", ["redis", "wyoming"])
def test_another_address_needs_a_token_file_or_no_auth(tmp_path: Path, protocol: str) -> None:
    running = start(tmp_path, f"--{protocol}", "0.0.0.0:0")
    try:
        assert running.ended() == 2
        assert "--no-auth" in running.until_said("hint: .*")[0]
    finally:
        stop(running)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost's own, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *(foreign.program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", path, "-out", f"{path}.crt"),
        ],
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    with path.open("a") as file:
        file.write(path.with_name("both.pem.crt").read_text())
    return path


def test_what_is_said_is_encrypted_where_there_is_a_certificate(place: Place, certificate: Path) -> None:
    running = start(place.home, "--redis", 0, "--tls-cert", certificate)
    try:
        port = port_of(running, "rediss")
        with Raw(port, tls=ssl.create_default_context(cafile=str(certificate))) as raw:
            assert raw.ask("GET", place.answer) == "12 metres"
        options = json.dumps({"ca": str(certificate)})
        check(foreign.python_client("redis_client.py", "redis3", port, place.names(), options, needs="redis"))
    finally:
        stop(running)
