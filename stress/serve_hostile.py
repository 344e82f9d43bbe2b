"""`edgeqa serve` under hostile requests: cut at each byte, wrong late, changed, thousands of connections, a flood.

    python stress/serve_hostile.py --mutations 1500 --connections 3000

A request is cut at each of its bytes, and its connection then closed, shut on one side, or reset; a body goes wrong
once the reply has begun; requests of HTTP, of the Redis and of the Wyoming protocol are changed at random; more
connections are opened than are let in; one address asks on 150 connections as fast as it can, while another asks now
and then. After each of these the server has to answer, and how much memory it takes is printed. At the end it is
stopped. This ends with 1 if anything was not answered, if the server did not end with 0, or if it printed more than
where it serves. It needs Linux, where all addresses of 127.0.0.0/8 are this machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

TEXT = "The pump in hall 1 was built by Ada Stone in 1932. It may be submerged to a depth of 12 metres."
QUESTION = "Who built the pump?"
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER, for no time: what is closed is reset
PIECES = (
    b"\r\n",
    b"\0",
    b"-1",
    b"99999999999999999999",
    b"$-1\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"\xff\xfe",
    b"0x10",
    b"+1",
)
FLOODING, POLITE = 150, 30
OWN_DESCRIPTORS = 64  # what this process has open besides connections
WITHIN_S = 60.0


class Server:
    """The server."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        command = [sys.executable, "-m", "edgeqa", "serve", "--port", "0", "--redis", "0", "--wyoming", "0"]
        home = {"EDGEQA_HOME": str(folder / "home"), "EDGEQA_READER": "fast"}
        subprocess.run([*command[:3], "add", str(folder / "pump.txt")], env=os.environ | home, check=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, "--connections", "400"], env=os.environ | home, stderr=log)
        self.ports: dict[str, int] = {}
        give_up_s = time.monotonic() + WITHIN_S
        while len(self.ports) < 3:
            if time.monotonic() > give_up_s or self._process.poll() is not None:
                sys.exit("\n".join(["it does not listen", *self.stop()]))
            time.sleep(0.05)
            found = re.findall(r"at (http|redis|wyoming)://\S+:(\d+)", self._log.read_text())
            self.ports = {protocol: int(port) for protocol, port in found}

    def connect(self, protocol: str, source: str | None = None) -> socket.socket:
        """Returns a connection, from an address if one is given."""
        address = None if source is None else (source, 0)
        return socket.create_connection(("127.0.0.1", self.ports[protocol]), WITHIN_S, address)

    def answers(self) -> bool:
        """Tells whether it answers."""
        with self.connect("http") as http, self.connect("redis") as redis, self.connect("wyoming") as voice:
            http.sendall(of_http(QUESTION))
            redis.sendall(of_redis(b"EDGEQA.ASK", QUESTION.encode()))
            voice.sendall(of_wyoming())
            replies = http.recv(65536)[:15], redis.recv(65536)[:1], voice.recv(65536)[:18]
        return replies == (b"HTTP/1.1 200 OK", b"$", b'{"type": "handled"')

    def shown(self) -> str:
        """Returns what it takes."""
        process = psutil.Process(self._process.pid)
        return f"{process.memory_info().rss / 2**20:.0f} MiB, {process.num_fds()} descriptors"

    def stop(self) -> list[str]:
        """Ends it; returns what is wrong with its end, and with what it has printed."""
        self._process.terminate()
        try:
            found = [] if self._process.wait(WITHIN_S) == 0 else [f"it ended with {self._process.returncode}"]
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            found = [f"it did not end within {WITHIN_S:.0f} s, and was killed"]
        ours = ("edgeqa: serving", "edgeqa: stopping")
        return found + [f"printed: {line}" for line in self._log.read_text().splitlines() if not line.startswith(ours)]


def of_http(question: str, context: str | None = None, host: str = "localhost") -> bytes:
    """Returns a question over HTTP."""
    body = json.dumps({"question": question, "context": context, "timeout_s": WITHIN_S}).encode()
    return b"POST /v1/ask HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n%b" % (host.encode(), len(body), body)


def of_redis(*words: bytes) -> bytes:
    """Returns a command."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def of_wyoming() -> bytes:
    """Returns a question by voice."""
    data = json.dumps({"text": QUESTION}).encode()
    return json.dumps({"type": "transcript", "data_length": len(data)}).encode() + b"\n" + data


def requests() -> dict[str, list[bytes]]:
    """Returns the requests that are cut and changed, by protocol."""
    chunked = b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    body = json.dumps({"question": QUESTION}).encode()
    return {
        "http": [of_http(QUESTION), of_http(QUESTION, host="elsewhere"), chunked % (len(body), body)],
        "redis": [
            of_redis(b"EDGEQA.ASK", QUESTION.encode()),
            of_redis(b"GET", b"bertqa{8YG}_PMC302072.xml:{8YG}:10_Who?"),
            of_redis(b"MGET", b"a", b"b"),
            of_redis(b"HELLO", b"3"),
            b'EDGEQA.ASK "' + QUESTION.encode() + b'"\r\n',
        ],
        "wyoming": [of_wyoming(), b'{"type": "describe"}\n' * 20],
    }


def cut(server: Server) -> None:
    """Sends each request cut at each byte, and leaves in each way."""
    for protocol, known in requests().items():
        for request in known:
            for end in range(len(request) + 1):
                for leave in ("close", "shut", "reset"):
                    # A server that has answered what was sent, and closed, may not be sent or shut any more.
                    with server.connect(protocol) as client, contextlib.suppress(OSError):
                        client.sendall(request[:end])
                        if leave == "shut":
                            client.shutdown(socket.SHUT_WR)
                            while client.recv(65536):
                                pass
                        elif leave == "reset":
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def wrong_late(server: Server, count: int) -> None:
    """Sends so many times what is wrong in a body once the reply has begun, or once it was sent."""
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    body = json.dumps({"questions": [f"Number {number}?" for number in range(9)], "context": TEXT * 20}).encode()
    whole = b"Connection: close\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for _ in range(count):
        for begun in (
            head % b"/nowhere" + b"\r\n",
            head % b"/v1/ask" + b"\r\nnone\r\n",
            head % b"/v1/ask-many" + whole,
        ):
            for late in (b"none\r\n", b"\0", of_http(QUESTION)):
                with server.connect("http") as client, contextlib.suppress(OSError):
                    client.sendall(begun)
                    client.recv(65536)
                    client.sendall(late)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass


def changed(request: bytes, chance: random.Random) -> bytes:
    """Returns a request with some changes."""
    made = bytearray(request)
    for _ in range(chance.randint(1, 6)):
        at, count = chance.randrange(len(made) + 1), chance.randint(1, 9)
        made[at : at + chance.choice((0, count))] = chance.choice(
            (b"", chance.randbytes(count), bytes(made[chance.randrange(len(made) + 1) :][:99]), chance.choice(PIECES))
        )
    return bytes(made)


def mutate(server: Server, count: int, chance: random.Random) -> None:
    """Sends so many changed requests by each protocol."""
    for protocol, known in requests().items():
        for number in range(count):
            with server.connect(protocol) as client, contextlib.suppress(OSError):
                client.sendall(changed(chance.choice(known), chance))
                if number % 3 == 0:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass


def crowd(server: Server, count: int) -> None:
    """Opens so many connections, or as many as this process may have, and closes them."""
    allowed = allow_descriptors(count + OWN_DESCRIPTORS) - OWN_DESCRIPTORS
    if allowed < count:
        print(f"  {allowed} of the {count} connections alone: this process may have no more (ulimit -Hn)", flush=True)
        count = allowed
    with contextlib.ExitStack() as opened:
        for number in range(count):
            opened.enter_context(server.connect("redis" if number % 2 else "http"))
        print(f"  while they are open: {server.shown()}", flush=True)
    time.sleep(1)


def allow_descriptors(wanted: int) -> int:
    """Raises to so many the descriptors that this process may have, as far as it may; returns how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return wanted
    allowed = wanted if hard == unlimited else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def flood(server: Server) -> bool:
    """Asks without pause from one address, and now and then from another; tells whether each of those was answered."""
    stopping, counts = threading.Event(), Counter[str]()

    def ask(number: int) -> None:
        for turn in range(1_000_000):
            if stopping.is_set():
                return
            with contextlib.suppress(OSError), server.connect("http", "127.0.0.2") as client:
                client.sendall(of_http(f"Number {number}, {turn}?", f"{TEXT} {number} {turn}"))
                counts[client.recv(65536)[9:12].decode()] += 1

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(FLOODING)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    polite, times_s = Counter[str](), []
    for number in range(POLITE):
        with server.connect("http", "127.0.0.3") as client:
            began_s = time.perf_counter()
            client.sendall(of_http(QUESTION, f"{TEXT} {number}"))
            polite[client.recv(65536)[9:12].decode()] += 1
            times_s.append(time.perf_counter() - began_s)
    stopping.set()
    for thread in threads:
        thread.join(WITHIN_S)
    print(f"  flooding {dict(counts)}, polite {dict(polite)}, median {statistics.median(times_s):.2f} s", flush=True)
    return polite == {"200": POLITE}


def main() -> None:
    """Runs all, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=1500, help="by each protocol")
    parser.add_argument("--connections", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pump.txt").write_text(TEXT)
        server = Server(Path(folder))
        try:
            for name, work in (
                ("cut at each byte", lambda: cut(server)),
                ("wrong behind a reply", lambda: wrong_late(server, 50)),
                ("changed at random", lambda: mutate(server, given.mutations, random.Random(given.seed))),
                ("many connections", lambda: crowd(server, given.connections)),
                ("a flood", lambda: flood(server)),
            ):
                print(name, flush=True)
                if work() is False:
                    wrong.append(f"{name}: the polite one was refused")
                if not server.answers():
                    wrong.append(f"{name}: no answer after it")
                print(f"  after it: {server.shown()}", flush=True)
        finally:
            wrong += server.stop()
    for one in wrong[:40]:
        print(f"wrong: {one}")
    print(f"{len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
