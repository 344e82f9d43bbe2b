"""Tests the process, with raw sockets: where it listens, who gets in, what hostile clients get, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from foreign import program
from office import pdf
from pages import blocks, text_of
from running import Running, start, stop

pytest.importorskip("httpx", reason="httpx is not installed")
import httpx

from edgeqa.cli import commands
from edgeqa.serving.errors import AddressInvalid
from edgeqa.serving.listening import bound_unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUESTION = "Who designed the machine?"
TEXT = "The machine itself was designed by Charles Babbage and never finished."
DEADLINE_S = 60
ROOT = Path(__file__).parent.parent.parent
# Readings begin, and go on when a file is there; which questions were begun with is in another.
GATED = """
import pathlib, time
from edgeqa.models.reading import PassageReader
begun, gate = pathlib.Path({begun!r}), pathlib.Path({gate!r})
question = PassageReader.question
def held(self, asked):
    with begun.open("a") as file:
        file.write(asked + "\\n")
    while not gate.exists():
        time.sleep(0.01)
    return question(self, asked)
PassageReader.question = held
"""


@contextlib.contextmanager
def running(home: Path, *arguments: object, **options: Any) -> Iterator[Running]:  # noqa: ANN401 - as `start` takes them
    started = start(home, *arguments, **options)
    try:
        yield started
    finally:
        stop(started)


def until(holds: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever holds
    """Waits for what another process does; returns what there is then."""
    give_up_s = time.monotonic() + DEADLINE_S
    while not (found := holds()):
        assert time.monotonic() < give_up_s, "it does not come"
        time.sleep(0.02)
    return found


def command(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeqa", *map(str, arguments)],
        env={**os.environ, "EDGEQA_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def raw(server: Running, data: bytes) -> bytes:
    """Returns all that comes back for bytes, until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as client:
        client.sendall(data)
        received = b""
        while block := client.recv(65536):
            received += block
        return received


def test_it_starts_without_the_model_says_where_it_is_and_ends_with_0(home: Path) -> None:
    with running(home) as server:
        ready = httpx.get(f"{server.url}/readyz", timeout=DEADLINE_S).json()
        assert ready == {"status": "ready", "model_loaded": False}
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 0
        assert server.until_said("serving default at")


def test_it_finishes_what_is_being_read(home: Path, tmp_path: Path) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    with running(home, before=GATED.format(begun=str(begun), gate=str(gate))) as server:
        body = json.dumps({"question": QUESTION, "context": TEXT, "timeout_s": 60})  # the model is loaded in it, too
        head = f"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        address = ("127.0.0.1", server.port)
        kept = httpx.Limits(keepalive_expiry=None)  # by default httpx lets a connection go that was idle for 5 s
        with (
            httpx.Client(base_url=server.url, limits=kept, timeout=DEADLINE_S) as idle,
            socket.create_connection(address, DEADLINE_S) as client,
        ):
            assert idle.get("/readyz").status_code == 200
            client.sendall(head.encode() + body.encode())
            until(begun.exists)
            server.process.send_signal(signal.SIGTERM)
            server.until_said("stopping")
            draining = idle.get("/readyz")
            assert (draining.status_code, draining.json()["type"]) == (503, "Draining")
            assert draining.headers["retry-after"]
            gate.touch()
            received = b""
            while block := client.recv(65536):
                received += block
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"Charles Babbage" in received
        assert server.ended() == 0


def test_a_body_that_is_on_its_way_does_not_keep_it_from_ending_quietly(home: Path) -> None:
    quick = "import edgeqa.serving.server as server; server.LAST_REPLIES_S = 0.5"
    with running(home, "--allow-add", before=quick) as server, contextlib.ExitStack() as opened:
        for request in (b"POST /v1/ask", b"PUT /v1/documents/a.txt", b"POST /v1/ask-file?question=Who%3F"):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), DEADLINE_S))
            head = b" HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n"
            client.sendall(request + head)
            assert client.recv(12) == b"HTTP/1.1 100"  # it waits for the body
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 0
        server.until_said("^$")
        assert [line for line in server.said if line and not line.startswith("edgeqa: ")] == []


@pytest.mark.parametrize(
    ("protocol", "sent"),
    [
        ("redis", b'EDGEQA.ASK "Who designed the machine?"\r\n'),
        ("wyoming", b'{"type": "transcript", "data": {"text": "Who designed the machine?"}}\n'),
    ],
)
def test_it_finishes_what_is_being_read_by_other_protocols(
    home: Path, tmp_path: Path, protocol: str, sent: bytes
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    (tmp_path / "machine.txt").write_text(TEXT)
    assert command(home, "add", tmp_path / "machine.txt").returncode == 0
    held = GATED.format(begun=str(begun), gate=str(gate))
    with running(home, f"--{protocol}", 0, before=held) as server:
        port = int(server.until_said(rf"at {protocol}://\S+:(\d+)")[1])
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE_S) as idle,
            socket.create_connection(("127.0.0.1", port), DEADLINE_S) as client,
        ):
            client.sendall(sent)
            until(begun.exists)
            server.process.send_signal(signal.SIGTERM)
            assert idle.recv(1) == b""
            gate.touch()
            received = b""
            while block := client.recv(65536):
                received += block
        assert b"Charles Babbage" in received
        assert server.ended() == 0


def test_who_has_hung_up_is_not_read_for_and_a_hit_passes_all(home: Path, tmp_path: Path) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    with running(home, before=GATED.format(begun=str(begun), gate=str(gate))) as server:
        gate.touch()
        known = {"question": QUESTION, "context": TEXT, "timeout_s": 60}
        httpx.post(f"{server.url}/v1/ask", json=known, timeout=DEADLINE_S)
        gate.unlink()
        clients = []
        for number in range(20):  # more than read at a time
            body = json.dumps({"question": f"Number {number}?", "context": TEXT, "timeout_s": 60})
            clients.append(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S))
            head = f"POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
            clients[-1].sendall(head.encode() + body.encode())
        until(lambda: metric(server, "waiting") + metric(server, "reading") == len(clients))
        waiting = metric(server, "waiting")
        assert waiting > 0
        hit = httpx.post(f"{server.url}/v1/ask", json={"question": QUESTION, "context": TEXT}, timeout=DEADLINE_S)
        assert hit.json()["cached"]
        assert metric(server, "waiting") == waiting
        soon = {"question": "Soon?", "context": TEXT, "timeout_s": 0.01}
        refused = httpx.post(f"{server.url}/v1/ask", json=soon, timeout=DEADLINE_S)
        assert (refused.status_code, refused.json()["type"]) == (503, "Refused")
        assert int(refused.headers["retry-after"]) >= 1
        for client in clients:
            client.close()
        until(lambda: metric(server, "waiting") == 0)
        gate.touch()
        until(lambda: metric(server, "reading") == 0)
        assert len(begun.read_text().splitlines()) == 1 + len(clients) - waiting


def test_who_hangs_up_after_a_large_body_or_behind_another_request_is_not_read_for(home: Path, tmp_path: Path) -> None:
    begun, gate, unix = tmp_path / "begun", tmp_path / "gate", tmp_path / "edgeqa.sock"
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(
            running(home, "--uds", unix, before=GATED.format(begun=str(begun), gate=str(gate)))
        )
        readers = [opened.enter_context(connected(server)) for _ in range(20)]  # more than read at a time
        for number, client in enumerate(readers):
            client.sendall(asking(f"Number {number}?"))
        until(lambda: metric(server, "waiting") + metric(server, "reading") == len(readers))
        waiting = metric(server, "waiting")

        def let_go(*late: socket.socket) -> None:
            for client in late:
                client.close()
            until(lambda: metric(server, "waiting") == waiting)

        large = socket.socket(socket.AF_UNIX)  # which holds so much, and gives it at once
        large.settimeout(DEADLINE_S)
        large.connect(str(unix))
        head, _, body = asking("Large?", text=f"{TEXT} {'a' * 100_000}").partition(b"\r\n\r\n")
        large.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert large.recv(12) == b"HTTP/1.1 100"  # it waits for the body
        server.process.send_signal(signal.SIGSTOP)
        large.sendall(body)
        server.process.send_signal(signal.SIGCONT)
        until(lambda: metric(server, "waiting") == waiting + 1)
        let_go(large)

        late = [connected(server) for _ in range(3)]
        for number, client in enumerate(late):
            client.sendall(asking(f"Late {number}?"))
        until(lambda: metric(server, "waiting") == waiting + len(late))
        for client in late:
            client.sendall(asking("Behind?"))
        metric(server, "waiting")  # when this is answered, those are taken
        late[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # it is reset
        late[2].sendall(asking("Behind those?"))
        let_go(*late)

        gate.touch()
        until(lambda: metric(server, "reading") == 0)
        assert all(question.startswith("Number ") for question in begun.read_text().splitlines())


def asking(question: str, version: str = "1.1", text: str = TEXT) -> bytes:
    """Returns the bytes of a request."""
    body = json.dumps({"question": question, "context": text, "timeout_s": 60})
    return f"POST /v1/ask HTTP/{version}\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def connected(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)


def rest_of(client: socket.socket) -> bytes:
    """Returns what comes until the server closes."""
    received = b""
    while block := client.recv(65536):
        received += block
    return received


def test_who_shuts_its_own_side_gets_its_replies_and_is_not_read_for_once_it_is_gone(
    home: Path, tmp_path: Path
) -> None:
    begun, gate, unix = tmp_path / "begun", tmp_path / "gate", tmp_path / "edgeqa.sock"
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(
            running(home, "--uds", unix, before=GATED.format(begun=str(begun), gate=str(gate)))
        )

        def ask(sent: bytes, client: socket.socket | None = None) -> socket.socket:
            client = opened.enter_context(connected(server) if client is None else client)
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            return client

        assert server.port  # it listens
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(DEADLINE_S)
        local.connect(str(unix))
        asked = [QUESTION.replace("Who", f"{number}: Who") for number in range(5)]
        three = ask(asking(asked[0]) + asking(asked[1]) + asking(asked[4]))
        one = [ask(asking(asked[2], "1.0")), ask(asking(asked[3]), local)]
        until(lambda: metric(server, "waiting") + metric(server, "reading") == 3)
        readers = [opened.enter_context(connected(server)) for _ in range(20)]  # more than read at a time
        for number, client in enumerate(readers):
            client.sendall(asking(f"Number {number}?"))
        until(lambda: metric(server, "waiting") + metric(server, "reading") == 3 + len(readers))
        waiting = metric(server, "waiting")
        late = [ask(asking("Late?")), ask(asking("Later?"))]
        until(lambda: metric(server, "waiting") == waiting + len(late))
        assert late[0].recv(1, socket.MSG_PEEK) == b"H"  # it was looked at, and waits
        late[0].close()
        late[1].close()
        until(lambda: metric(server, "waiting") == waiting)
        gate.touch()
        for received in (rest_of(client) for client in one):
            head, _, body = received.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert json.loads(body)["answer"] == "Charles Babbage"
        received = rest_of(three)
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert received.count(b"HTTP/1.1 200 OK\r\n") == received.count(b'"answer":"Charles Babbage"') == 3
        assert not {"Late?", "Later?"} & {*begun.read_text().splitlines()}


# The page begins to wait for a hang-up when a file is there.
LATE = """
import asyncio, pathlib
from edgeqa.serving.engine import Engine
looked = Engine.is_looked_at_again
async def held(self, *asked, **options):
    while not pathlib.Path({gate!r}).exists():
        await asyncio.sleep(0.01)
    return await looked(self, *asked, **options)
Engine.is_looked_at_again = held
"""


def test_a_client_that_has_shut_its_side_gets_each_byte_once_however_often_its_end_is_seen(
    home: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    (tmp_path / "machine.txt").write_text(TEXT)
    assert command(home, "add", tmp_path / "machine.txt").returncode == 0
    page = b"GET /?q=Who+designed+the+machine%3F&first=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with running(home, before=LATE.format(gate=str(gate))) as server, connected(server) as client:
        client.sendall(asking(QUESTION) + page + asking(QUESTION))  # reading stops for the third, and goes on
        client.shutdown(socket.SHUT_WR)
        received = b""
        while not received.endswith(b"}H"):  # the second reply is begun with, to see whether the client is there
            received += client.recv(1)
        gate.touch()
        received += rest_of(client)
        assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert b"HHTTP" not in received


def test_who_shuts_its_own_side_and_has_not_asked_is_let_go(home: Path) -> None:
    whole = asking(QUESTION)
    with running(home) as server:
        for sent in (b"", whole[:20], whole[:-1]):
            with connected(server) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                assert rest_of(client) == b""


def test_nothing_is_printed_of_a_wrong_body_behind_a_head_that_is_refused(home: Path) -> None:
    with running(home) as server:
        for target, host in (("/v1/ask", "elsewhere"), ("/nowhere", "localhost"), ("/v1/ask", "localhost")):
            head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert raw(server, f"{head}none\r\n".encode()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        ended_quietly(server)


CHUNKED = "POST {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
MANY = json.dumps({"questions": [QUESTION], "context": TEXT})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (CHUNKED.format("/nowhere") + "\r\n", "404"),  # it is all there
        (  # it has begun
            CHUNKED.format("/v1/ask-many") + f"Connection: close\r\n\r\n{len(MANY):x}\r\n{MANY}\r\n0\r\n\r\n",
            "200",
        ),
    ],
    ids=["whole", "begun"],
)
def test_nothing_is_printed_of_a_wrong_body_that_comes_behind_a_reply(
    home: Path, tmp_path: Path, sent: str, status: str
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    with running(home, before=GATED.format(begun=str(begun), gate=str(gate))) as server:
        with connected(server) as client:
            client.sendall(sent.encode())
            assert client.recv(65536).startswith(f"HTTP/1.1 {status} ".encode())
            client.sendall(b"none\r\n")
            assert b"HTTP/1.1 " not in rest_of(client)
        gate.touch()
        ended_quietly(server)


def ended_quietly(server: Running) -> None:
    """Ends it; sees that it has printed nothing but where it serves."""
    server.process.send_signal(signal.SIGTERM)
    assert server.ended() == 0
    server.until_said("^$|Traceback")
    ours = ("edgeqa: serving", "edgeqa: stopping")
    assert not [line for line in server.said if line and not line.startswith(ours)]


# Says how many objects are left out of the search for garbage, and whether some that was made before is still there.
SPARED = """
import gc, sys, weakref
gc.disable()
class Ring: pass
ring = Ring()
ring.itself = ring
garbage = weakref.ref(ring)
del ring
freeze = gc.freeze
def said():
    freeze()
    print("spared", gc.get_freeze_count(), len(gc.get_objects()), garbage(), file=sys.stderr, flush=True)
gc.freeze = said
"""


def test_what_is_in_use_is_not_searched_for_garbage_once_the_model_is_loaded(home: Path) -> None:
    with running(home, before=SPARED) as server:
        known = {"question": QUESTION, "context": TEXT, "timeout_s": 60}
        assert httpx.post(f"{server.url}/v1/ask", json=known, timeout=DEADLINE_S).status_code == 200
        spared, searched, garbage = server.until_said(r"spared (\d+) (\d+) (.+)").groups()
        assert int(spared) > 20 * int(searched)
        assert garbage == "None"


def test_who_has_waited_long_enough_is_told(home: Path, tmp_path: Path) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    with running(home, before=GATED.format(begun=str(begun), gate=str(gate))) as server:
        asked = {"question": QUESTION, "context": TEXT, "timeout_s": 0.5}
        late = httpx.post(f"{server.url}/v1/ask", json=asked, timeout=DEADLINE_S)
        assert (late.status_code, late.json()["type"]) == (504, "DeadlinePassed")
        gate.touch()
        until(lambda: metric(server, "reading") == 0)
        again = httpx.post(f"{server.url}/v1/ask", json=asked | {"timeout_s": 60}, timeout=DEADLINE_S)
        assert again.json()["answer"] == "Charles Babbage"
        assert len(set(begun.read_text().splitlines())) == 1


def metric(server: Running, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics", timeout=DEADLINE_S).text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"edgeqa_{name} "))


@pytest.mark.parametrize("head", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"])
def test_half_a_head_is_not_waited_for(home: Path, head: bytes) -> None:
    quick = "import edgeqa.serving.connections as connections; connections.HEAD_WITHIN_S = 0.5"
    with running(home, before=quick) as server:
        assert raw(server, head).startswith(b"HTTP/1.1 408 ")


def test_half_a_body_is_not_waited_for(home: Path) -> None:
    quick = "import edgeqa.serving.bodies as bodies; bodies.BODY_WITHIN_S = 0.5"
    with running(home, before=quick) as server:
        half = b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 50\r\n\r\n{"
        assert raw(server, half).startswith(b"HTTP/1.1 408 ")


def test_who_takes_nothing_of_its_replies_is_let_go(home: Path) -> None:
    quick = "import edgeqa.serving.connections as connections; connections.TAKEN_WITHIN_S = 0.5"
    with running(home, "--connections", 1, before=quick) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(DEADLINE_S)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)  # more than the system holds

        def is_answered() -> bool:
            with contextlib.suppress(httpx.TransportError):  # it was closed before it was asked
                return httpx.get(f"{server.url}/healthz", timeout=DEADLINE_S).status_code == 200
            return False

        until(is_answered)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(65536):  # what the system had taken for it
                pass


def test_heads_are_within_their_limits(home: Path) -> None:
    with running(home) as server:
        large = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (32 << 10) + b"\r\n\r\n"
        assert raw(server, large).startswith(b"HTTP/1.1 4")
        for hostile in (b"\x00\xff" * 100 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"*1\r\n$4\r\nPING\r\n\r\n\r\n"):
            assert raw(server, hostile).startswith(b"HTTP/1.1 400 ")
        smuggled = b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
        assert raw(server, smuggled).startswith(b"HTTP/1.1 400 ")
        both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        received = raw(server, b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\n" + both + hidden)
        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"alive" not in received
        asked = {"Connection": "Upgrade, close", "Upgrade": "websocket"}
        assert httpx.get(f"{server.url}/healthz", headers=asked, timeout=DEADLINE_S).status_code == 200
        stop(server)
        assert all(line.startswith("edgeqa: ") for line in server.said if line)  # nothing of what strangers sent


def test_a_file_that_was_being_asked_goes_with_the_next_server_where_one_is_killed(home: Path, tmp_path: Path) -> None:
    begun, gate, scratch = tmp_path / "begun", tmp_path / "gate", tmp_path / "scratch"
    scratch.mkdir()
    there = f"import tempfile; tempfile.tempdir = {str(scratch)!r}\n"
    with running(home, before=there + GATED.format(begun=str(begun), gate=str(gate))) as server:
        target = "/v1/ask-file?question=Who%3F&timeout_s=60"  # the other server may take long to start
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(TEXT)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as client:
            client.sendall(head.encode() + TEXT.encode())
            until(begun.exists)
            with running(home, before=there) as other:  # what is still read by another stays
                httpx.get(f"{other.url}/healthz", timeout=DEADLINE_S)
                assert [path.read_text() for path in scratch.glob("*/*")] == [TEXT]
            server.process.kill()
            server.ended()
    (scratch / "edgeqa-upload-of-nobody").symlink_to(tmp_path)
    with running(home, before=there) as server:
        httpx.get(f"{server.url}/healthz", timeout=DEADLINE_S)
        assert list(scratch.glob("*/*.txt")) == []
    assert begun.exists()


def test_connections_above_the_limit_are_told_so_and_the_others_go_on(home: Path) -> None:
    with running(home, "--connections", 2) as server:
        with (
            httpx.Client(base_url=server.url, timeout=DEADLINE_S) as first,
            httpx.Client(base_url=server.url, timeout=DEADLINE_S) as second,
        ):
            assert first.get("/healthz").status_code == second.get("/healthz").status_code == 200
            assert raw(server, b"").startswith(b"HTTP/1.1 503 ")
            assert first.get("/healthz").status_code == 200
        until(lambda: httpx.get(f"{server.url}/healthz", timeout=DEADLINE_S).status_code == 200)


@pytest.mark.parametrize("protocol", ["http", "redis", "wyoming"])
def test_many_connections_wait_while_the_server_is_busy(protocol: str, home: Path) -> None:
    options = () if protocol == "http" else (f"--{protocol}", 0)
    with running(home, *options) as server, contextlib.ExitStack() as opened:
        port = int(server.until_said(rf"at {protocol}://127\.0\.0\.1:(\d+)")[1])
        until(lambda: httpx.get(f"{server.url}/readyz", timeout=DEADLINE_S).status_code == 200)
        server.process.send_signal(signal.SIGSTOP)  # it accepts nobody
        opened.callback(server.process.send_signal, signal.SIGCONT)
        for _ in range(200):
            opened.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE_S))


def test_a_unix_socket_is_its_owners_alone_and_goes_with_the_server(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for is_killed in (True, False):
        with running(home, "--uds", path, "--no-http", port=None) as server:
            server.until_said("unix:")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=DEADLINE_S) as client:
                asked = {"question": QUESTION, "context": TEXT}
                answer = client.post("http://anything/v1/ask", json=asked, timeout=DEADLINE_S)
                assert answer.json()["answer"] == "Charles Babbage"
                assert client.put("http://a/v1/documents/a.txt", content=b"a").status_code == 403
            again = command(home, "serve", "--uds", path, "--no-http")
            assert (again.returncode, "cannot listen" in again.stderr) == (2, True)
            if is_killed:
                server.process.kill()
        assert path.exists() == is_killed  # where it was killed, the next one takes its place


def test_a_unix_socket_whose_server_was_stopped_is_not_taken_over(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    code = f"""
import os, signal, socket
with socket.socket(socket.AF_UNIX) as made:
    made.bind({str(place)!r})
    made.listen(0)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as server, contextlib.ExitStack() as opened:
        opened.callback(server.kill)
        assert os.WIFSTOPPED(os.waitpid(server.pid, os.WUNTRACED)[1])
        with contextlib.suppress(BlockingIOError):
            while True:  # until it takes nobody any more
                client = opened.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(0)
                client.connect(str(place))
        with pytest.raises(AddressInvalid, match="in use"):
            bound_unix(place)
        assert place.exists()


TAKES_NOTHING = """
import os, signal, socket, sys
client = socket.socket()
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
client.connect(("127.0.0.1", int(sys.argv[1])))
client.settimeout(0.2)
try:
    while True:
        client.sendall({request!r})
except (TimeoutError, ConnectionError):  # what is sent is not taken any more: no reply is, either
    pass
print("full", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.parametrize("protocol", ["http", "wyoming"])
def test_a_client_that_was_stopped_and_takes_no_replies_is_let_go(protocol: str, home: Path) -> None:
    module, option = ("connections", ()) if protocol == "http" else ("wyoming", ("--wyoming", 0))
    limit = "TAKEN_WITHIN_S" if protocol == "http" else "SENDING_S"
    quick = f"import edgeqa.serving.{module} as module; module.{limit} = 2"
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    if protocol == "wyoming":
        request = b'{"type": "ping", "data": {"text": "' + b"a" * 60_000 + b'"}}\n'
    with running(home, "--connections", 1, *option, before=quick) as server:
        place = server.port if protocol == "http" else int(server.until_said(r"at wyoming://\S+:(\d+)")[1])
        code = TAKES_NOTHING.format(request=request * (1 if protocol == "wyoming" else 20))
        client = subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "full\n"
            assert os.WIFSTOPPED(os.waitpid(client.pid, os.WUNTRACED)[1])

            def is_let_in() -> bool:
                if protocol == "http":
                    return httpx.get(f"{server.url}/healthz", timeout=DEADLINE_S).status_code == 200
                with socket.create_connection(("127.0.0.1", place), timeout=DEADLINE_S) as other:
                    other.sendall(b'{"type": "ping"}\n')
                    return b"pong" in other.makefile("rb").readline()

            until(is_let_in)
        finally:
            client.kill()
            client.communicate()
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 0


def test_other_machines_are_let_in_only_by_what_is_said(home: Path) -> None:
    refused = command(home, "serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it is refused
    assert refused.returncode == 2
    assert "serve token add" in refused.stderr
    assert "--no-auth" in refused.stderr
    with running(home, "--host", "0.0.0.0", "--no-auth") as server:  # noqa: S104 - for a test
        url = f"http://127.0.0.1:{server.port}"
        asked = {"question": QUESTION, "context": TEXT}
        assert httpx.post(f"{url}/v1/ask", json=asked, timeout=DEADLINE_S).json()["answer"] == "Charles Babbage"
        assert httpx.put(f"{url}/v1/documents/a.txt", content=b"a", timeout=DEADLINE_S).status_code == 403


def test_a_token_file_that_is_a_pipe_is_not_waited_for(home: Path) -> None:
    home.mkdir(exist_ok=True)
    os.mkfifo(home / "tokens", 0o600)
    done = command(home, "serve", "token", "list")
    assert (done.returncode, "tokens: it is not a plain file" in done.stderr) == (2, True)


def test_tokens_are_shown_once_kept_as_hashes_and_read_anew_on_sighup(home: Path) -> None:
    path = home / "tokens"
    token = command(home, "serve", "token", "add", "kitchen").stdout.strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    assert command(home, "serve", "token", "list").stdout.startswith("kitchen  ask  ")
    listed = json.loads(command(home, "serve", "token", "list", "--json").stdout)
    assert [set(one) for one in listed["tokens"]] == [{"name", "scope", "added_at"}]
    again = command(home, "serve", "token", "add", "kitchen")
    assert (again.returncode, "remove it first" in again.stderr) == (2, True)
    for wrong in ("127.0.0.1", "a b", ""):
        assert command(home, "serve", "token", "add", wrong).returncode == 2
    with running(home, "--host", "0.0.0.0") as server:  # noqa: S104 - for a test
        url = f"http://127.0.0.1:{server.port}/v1/documents"
        assert httpx.get(url, timeout=DEADLINE_S).status_code == 401
        assert httpx.get(f"http://127.0.0.1:{server.port}/healthz", timeout=DEADLINE_S).status_code == 200
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(url, headers=headers, timeout=DEADLINE_S).status_code == 200
        assert httpx.get(url, cookies={"edgeqa_token": token}, timeout=DEADLINE_S).status_code == 200
        assert command(home, "serve", "token", "remove", "kitchen").stdout == "kitchen: removed\n"
        new = command(home, "serve", "token", "add", "hall", "--scope", "add").stdout.strip()
        server.process.send_signal(signal.SIGHUP)
        server.until_said("read anew: 1 tokens in")
        assert httpx.get(url, headers=headers, timeout=DEADLINE_S).status_code == 401
        headers = {"Authorization": f"Bearer {new}"}
        assert httpx.put(f"{url}/a.txt", content=TEXT, headers=headers, timeout=DEADLINE_S).status_code == 200
        kept = path.read_text()
        for is_gone, said in ((False, "it is none that edgeqa has written; what was"), (True, "No such file")):
            path.unlink() if is_gone else path.write_text("nonsense")
            server.process.send_signal(signal.SIGHUP)
            server.until_said(f"cannot use the token file .*{said}")
            assert httpx.get(url, headers=headers, timeout=DEADLINE_S).status_code == 200  # what was good goes on
            assert httpx.get(url, timeout=DEADLINE_S).status_code == 401
    path.write_text(kept)
    path.chmod(0o644)
    refused = command(home, "serve", "--port", "0")
    assert (refused.returncode, "chmod 600" in refused.stderr) == (2, True)


def test_a_token_file_that_has_appeared_is_taken_on_sighup_and_one_that_is_gone_opens_nothing(home: Path) -> None:
    with running(home) as server:
        url = f"{server.url}/v1/documents/a.txt"
        server.process.send_signal(signal.SIGHUP)
        server.until_said("no tokens to read anew: there is no .*tokens$")
        token = command(home, "serve", "token", "add", "laptop", "--scope", "add").stdout.strip()
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.put(url, content=TEXT, headers=headers, timeout=DEADLINE_S).status_code == 401
        server.process.send_signal(signal.SIGHUP)
        server.until_said("read anew: 1 tokens in .*tokens$")
        assert httpx.put(url, content=TEXT, headers=headers, timeout=DEADLINE_S).status_code == 200
        (home / "tokens").unlink()
        server.process.send_signal(signal.SIGHUP)
        server.until_said("cannot use the token file .*tokens: No such file")
        assert httpx.delete(url, timeout=DEADLINE_S).status_code == 403
        assert httpx.delete(url, headers=headers, timeout=DEADLINE_S).status_code == 204
    (home / "tokens").symlink_to(home / "not-mounted")  # where it should be is no file: not the same as none
    refused = command(home, "serve", "--port", "0")
    assert (refused.returncode, "tokens is a link" in refused.stderr) == (2, True)


def test_with_allow_add_whoever_may_ask_may_add(home: Path) -> None:
    with running(home, "--allow-add") as server:
        assert httpx.put(f"{server.url}/v1/documents/a.txt", content=TEXT, timeout=DEADLINE_S).status_code == 200


def test_several_collections_are_served_with_one_model(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    assert command(home, "add", tmp_path / "a.txt", "--collection", "second").returncode == 0
    with running(home, "--collection", "first", "--collection", "second") as server:
        url = f"{server.url}/v1/ask"
        nothing = httpx.post(url, json={"question": QUESTION, "timeout_s": 60}, timeout=DEADLINE_S)
        assert (nothing.status_code, nothing.json()["type"]) == (404, "CollectionNotFound")
        assert command(home, "add", tmp_path / "a.txt", "--collection", "first").returncode == 0
        assert command(home, "remove", "--collection", "first", tmp_path / "a.txt").returncode == 0
        nothing = httpx.post(url, json={"question": QUESTION, "timeout_s": 60}, timeout=DEADLINE_S)
        assert (nothing.status_code, nothing.json()["type"]) == (404, "CollectionEmpty")
        answer = httpx.post(
            url, json={"question": QUESTION, "collection": "second", "timeout_s": 60}, timeout=DEADLINE_S
        )
        assert answer.json()["answer"] == "Charles Babbage"


def test_connections_are_encrypted_where_there_is_a_certificate(home: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"

    def make() -> None:
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(made, check=True, capture_output=True)

    make()
    import ssl  # here: where there is a certificate

    with running(home, "--tls-cert", certificate, "--tls-key", key) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{server.url}/healthz", verify=context, timeout=DEADLINE_S).json() == {"status": "alive"}
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not client.recv(10).startswith(b"HTTP/1.1 2")
        first = ssl.get_server_certificate(("127.0.0.1", server.port))
        make()
        server.process.send_signal(signal.SIGHUP)
        server.until_said("read anew: the certificate")
        assert ssl.get_server_certificate(("127.0.0.1", server.port)) != first
        context = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{server.url}/healthz", verify=context, timeout=DEADLINE_S).json() == {"status": "alive"}
        kept = certificate.read_text()
        make()
        key.write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        server.until_said("cannot use the certificate .*; what was read before goes on")
        assert ssl.get_server_certificate(("127.0.0.1", server.port)) == kept
    refused = command(home, "serve", "--port", "0", "--tls-cert", certificate, "--tls-key", key)
    assert (refused.returncode, "cannot use the certificate" in refused.stderr) == (2, True)


def test_a_watched_folder_is_answered_from_within_seconds_and_an_unmounted_one_empties_nothing(
    home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "manuals"
    folder.mkdir()
    (folder / "machine.txt").write_text(TEXT)
    quick = "import edgeqa.serving.watching as watching; watching.EVERY_S = watching.SETTLED_S = 0.1"
    with running(home, "--watch", folder, before=quick) as server:

        def documents() -> list[str]:
            listed = httpx.get(f"{server.url}/v1/documents", timeout=DEADLINE_S).json()["documents"]
            return [one["document"].rpartition("/")[2] for one in listed]

        until(lambda: documents() == ["machine.txt"])
        (folder / "bridge.txt").write_text("The bridge was built by Ada Stone.")
        until(lambda: documents() == ["bridge.txt", "machine.txt"])
        (folder / "machine.txt").unlink()
        until(lambda: documents() == ["bridge.txt"])
        (folder / "bridge.txt").rename(tmp_path / "bridge.txt")
        server.until_said("nothing is removed")
        assert documents() == ["bridge.txt"]
        folder.rmdir()
        (tmp_path / "other").mkdir()
        assert documents() == ["bridge.txt"]


def test_one_request_can_be_made_without_a_server(home: Path) -> None:
    done = command(home, "serve", "--get", "/healthz")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"status": "alive"})
    done = command(home, "serve", "--get", "v1/closest?question=Who%3F")  # no path begins otherwise
    assert (done.returncode, json.loads(done.stdout)["type"]) == (1, "CollectionNotFound")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tls-key", "key.pem"),
        ("--no-http",),
        ("--keep-model", "soon"),
        ("--host", "256.1.1.1"),
        ("--host", "192.0.2.1", "--no-auth"),
        ("--token-file", "/nowhere/tokens"),
        ("--collection", "no/name"),
        ("nonsense",),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_served(home: Path, arguments: tuple[str, ...]) -> None:
    done = command(home, "serve", "--port", "0", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(("edgeqa: ", "Usage: ", "Error: "))


def test_a_port_that_is_taken_is_said(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = command(home, "serve", "--port", taken.getsockname()[1])
    assert (done.returncode, "cannot listen at 127.0.0.1" in done.stderr) == (2, True)
    assert "--port 0 takes any" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"), [(["serve"], "serve"), (["worker", "--cluster", "valkey://127.0.0.1:1"], "cluster")]
)
def test_the_command_can_be_looked_at_without_what_it_needs(
    arguments: list[str], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in [name for name in sys.modules if name.startswith("edgeqa.serving.")]:
        monkeypatch.delitem(sys.modules, name)
    from edgeqa.errors import EdgeQAError

    with pytest.raises(EdgeQAError) as caught:
        commands.main([*arguments, "--port", "0"], prog_name="edgeqa", standalone_mode=False)
    assert type(caught.value).__name__.endswith("ExtraMissing")
    assert caught.value.hint == f"pip install 'edgeqa[{extra}]'"


def test_the_two_commands_of_the_documentation_lead_to_an_answer_in_a_browser(home: Path) -> None:
    (block,) = [one for one in blocks(text_of("README.md"), "sh") if "--watch" in one]
    install, serve = block.splitlines()
    assert f"{serve}\n" in blocks(text_of("docs/server.md"), "sh")
    assert install == "pip install '.[serve]'"
    assert serve.split()[:2] == ["edgeqa", "serve"]
    # A browser that notes what it is to open.
    noted = home.with_name("opened")
    browser = f"import webbrowser, pathlib; webbrowser.open = pathlib.Path({str(noted)!r}).write_text"
    with running(home, *serve.split()[2:], before=f"import os; os.chdir({str(ROOT)!r}); {browser}") as server:
        address = until(lambda: noted.exists() and noted.read_text())
        assert address == f"{server.url}/"
        server.until_said("files read")
        shown = httpx.get(address, params={"q": "To what depth may the pump be submerged?"}, timeout=DEADLINE_S)
        assert re.search("<mark[^>]*>12 metres</mark>", shown.text)


def test_the_requests_of_the_documentation_are_answered(home: Path, tmp_path: Path) -> None:
    program("curl")
    (block,) = [one for one in blocks(text_of("docs/server.md"), "sh") if one.startswith("curl")]
    tokens = tmp_path / "tokens"
    made = command(home, "serve", "token", "add", "kitchen", "--scope", "add", "--token-file", tokens)
    (tmp_path / "pump.pdf").write_bytes(pdf([["The pump weighs 14 kg."]]))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert command(home, "add", ROOT / "examples").returncode == 0
    with running(home, "--token-file", tokens) as server:
        found = []
        for line in block.splitlines():
            done = subprocess.run(
                [
                    "/bin/sh",
                    "-c",
                    line.replace("http://127.0.0.1:8423", server.url).replace("curl ", "curl -sSf --retry 5 ", 1),
                ],
                cwd=tmp_path,
                env={**os.environ, "TOKEN": made.stdout.split()[-1]},
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
            assert done.returncode == 0, (line, done.stderr)
            found.append(json.loads(done.stdout))
    asked, closest, file, added = found
    assert asked["answer"] == "12 metres"
    assert len(closest["contexts"]) == 3
    assert file["answer"] == "Captain Fitz Roy, R. N."
    assert added["files_added"] == 1
