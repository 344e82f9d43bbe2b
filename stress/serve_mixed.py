"""`edgeqa serve` under mixed load for a long time: what was acknowledged is there, also after SIGKILL; memory is flat.

    python stress/serve_mixed.py --minutes 60
    python stress/serve_mixed.py --minutes 5 --kill-every 20

Clients of all kinds work at once, each at its own pace: hits and misses over HTTP and over the Redis protocol, files
that are asked and not kept, documents that are put, changed and deleted, agents, floods of questions beyond what can be
read, heads that are cut off, callers who hang up, connections that do nothing, and a folder that is watched.

Questions on given texts are new, and the texts come back: how many of their encodings are kept is the plan's to say
(`encoding store`), and until that is full memory grows with each text that is new. A document is noted once its PUT is
acknowledged, and must be there as it was put last from then on; one whose DELETE is acknowledged must not. Where the
server is killed, that holds for the next one, too. Every reply is one that the request may get. Each minute says how
much memory the server takes; it ends with 1 if memory of the last third is more than GROWTH above that of the middle
third, if anything was lost, or if a reply was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

GROWTH = 1.05
TEXT = (
    "The pump in hall {n} was built by {name} in 1932, and overhauled by Otto Brandt thirty years later. It may be "
    "submerged to a depth of {n} metres. Its housing is of cast iron, its impeller of bronze. Salt water damages seals."
)
NAMES = ["Ada Stone", "Paul Berg", "Clara Lindholm", "Mary Frost", "Hans Keller", "Ines Marchetti"]
QUESTION = "Who built the pump in hall {n}?"
DOCUMENTS, TEXTS = 40, 200
WATCHED = 10
READY_WITHIN_S = 120.0
NOTHING_YET = (b"-ERR no collection called default", b"-ERR the collection default is empty")


class Server:
    """One server after the other, in one home, at the same ports."""

    def __init__(self, home: Path, watched: Path) -> None:
        self.port, self.redis = _free_port(), _free_port()
        self._command = [sys.executable, "-m", "edgeqa", "serve", "--port", str(self.port), "--redis", str(self.redis)]
        self._command += ["--allow-add", "--watch", str(watched), "--connections", "400"]
        self._environment = {**os.environ, "EDGEQA_HOME": str(home)}
        self._log = (home.parent / "log").open("ab")
        self.up = threading.Event()
        self.start()

    def start(self) -> None:
        """Starts one, and waits until it is ready."""
        self._process = subprocess.Popen(self._command, env=self._environment, stderr=self._log)
        give_up_s = time.monotonic() + READY_WITHIN_S
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if asked(self.port, "GET", "/readyz")[0] == 200:
                    break
            if time.monotonic() > give_up_s:
                sys.exit("it does not get ready")
            time.sleep(0.05)
        self.up.set()

    def kill(self) -> None:
        """Kills it."""
        self.up.clear()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """Ends it as a user does; returns its exit code."""
        self.up.clear()
        self._process.terminate()
        return self._process.wait()

    @property
    def memory_mib(self) -> float:
        """The memory that the process takes, in MiB."""
        rss: int = psutil.Process(self._process.pid).memory_info().rss
        return rss / 2**20


class Kept:
    """What was acknowledged: by name, the text, or None where it is deleted; unsure while a change is on its way."""

    def __init__(self) -> None:
        self.texts: dict[str, str | None] = {}
        self.unsure: set[str] = set()
        self.changes: Counter[str] = Counter()
        """The number of changes that were begun, by document."""

    def wrong(self, port: int) -> list[str]:
        """Returns what is not as it was acknowledged; what is changed while it is looked at is left out."""
        found = []
        for name in sorted([*self.texts]):
            changes = self.changes[name]
            if name in self.unsure:
                continue
            text = self.texts[name]
            status, said = asked(port, "GET", f"/v1/documents/{name}")
            if changes != self.changes[name]:
                continue
            if text is None and status != 404:
                found.append(f"{name} was deleted, and there is {status} {said}")
            if text is not None and (status, said.get("text")) != (200, text):
                found.append(f"{name} was put, and there is {status} {said}")
        return found


class Load:
    """The clients."""

    def __init__(self, server: Server, kept: Kept, watched: Path, chance: random.Random) -> None:
        self.server, self.kept, self.watched, self.chance = server, kept, watched, chance
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> list[threading.Thread]:
        """Starts all of them."""
        kinds: list[tuple[Callable[[], None], float]] = [
            (self.hit, 0.02),
            (self.hit_redis, 0.02),
            (self.miss, 0.2),
            (self.miss_redis, 0.4),
            (self.file, 2.0),
            (self.document, 1.0),
            (self.folder, 5.0),
            (self.agent, 1.0),
            (self.flood, 20.0),
            (self.hang_up, 0.5),
            (self.half_a_head, 1.0),
            (self.idle, 10.0),
        ]
        threads = [threading.Thread(target=self._again, args=kind, daemon=True) for kind in kinds]
        for thread in threads:
            thread.start()
        return threads

    def _again(self, work: Callable[[], None], pause_s: float) -> None:
        while not self.stopping.wait(pause_s * random.uniform(0.5, 1.5)):
            if not self.server.up.wait(1):
                continue
            try:
                work()
                self.counts[work.__name__] += 1
            except (OSError, http.client.HTTPException) as error:
                # Where it was killed meanwhile, nothing else can come; otherwise it is counted, and shown.
                self.counts[f"{work.__name__}: {type(error).__name__}"] += 1

    def expect(self, what: str, status: int, said: object, *allowed: int) -> None:
        """Notes a reply that the request may not get."""
        if status not in allowed:
            self.wrong.append(f"{what}: {status} {said}")

    def _new(self) -> tuple[str, str, str]:
        """Returns a question that nobody has asked, a text, and whose name it gives."""
        n = self.chance.randrange(TEXTS)
        name = NAMES[n % len(NAMES)]
        return (
            f"Who built the pump in hall {n}, asked {self.chance.randrange(10**9)}?",
            TEXT.format(n=n, name=name),
            name,
        )

    def hit(self) -> None:
        """Asks what is remembered, again and again on one connection."""
        for n in range(20):
            asks(self, {"question": QUESTION.format(n=n % 5), "context": TEXT.format(n=n % 5, name=NAMES[n % 5])})

    def miss(self) -> None:
        """Asks what nobody has asked."""
        question, text, name = self._new()
        status, said = asks(self, {"question": question, "context": text})
        if status == 200 and said["answer"] not in (name, None):
            self.counts["other answers"] += 1

    def hit_redis(self) -> None:
        """Asks the collection the same."""
        self._redis(b"EDGEQA.ASK", QUESTION.format(n=1).encode())

    def miss_redis(self) -> None:
        """Asks the collection what nobody has asked."""
        self._redis(b"EDGEQA.ASK", QUESTION.format(n=self.chance.randrange(10**9)).encode())

    def _redis(self, *words: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.server.redis), 90) as client:
            client.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in words))
            reply = client.recv(65536)
        if not reply.startswith((b"$", b"_", b"-TRYAGAIN", *NOTHING_YET)):
            if reply:
                self.wrong.append(f"{words!r}: {reply!r}")
            else:
                raise ConnectionResetError

    def file(self) -> None:
        """Asks a file that is not kept."""
        question, text, _ = self._new()
        path = f"/v1/ask-file?name=a.txt&question={quote(question)}"
        self.expect("file", *asked(self.server.port, "POST", path, text.encode(), "text/plain"), 200, 503, 504)

    def document(self) -> None:
        """Puts, changes and deletes documents."""
        n = self.chance.randrange(DOCUMENTS)
        name = f"made/{n}.txt"
        may_lack = () if name not in self.kept.unsure else (404,)
        self.kept.unsure.add(name)
        self.kept.changes[name] += 1
        if self.chance.random() < 0.3 and self.kept.texts.get(name) is not None:
            status, said = asked(self.server.port, "DELETE", f"/v1/documents/{name}")
            self.expect(f"delete {name}", status, said, 204, 503, *may_lack)
            if status in (204, 404):
                self.kept.texts[name] = None
        else:
            text = TEXT.format(n=self.chance.randrange(10**6), name=self.chance.choice(NAMES))
            status, said = asked(self.server.port, "PUT", f"/v1/documents/{name}", text.encode(), "text/plain")
            self.expect(f"put {name}", status, said, 200, 503)
            if status == 200:
                self.kept.texts[name] = text
        if status in (200, 204, 404):
            self.kept.unsure.discard(name)

    def folder(self) -> None:
        """Changes a file that is watched."""
        n = self.chance.randrange(WATCHED)
        text = TEXT.format(n=self.chance.randrange(10**6), name=self.chance.choice(NAMES))
        (self.watched / f"{n}.txt").write_text(text)

    def agent(self) -> None:
        """Calls a tool."""
        called = {"name": "closest", "arguments": {"question": QUESTION.format(n=self.chance.randrange(50))}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": called}
        self.expect("agent", *asked(self.server.port, "POST", "/mcp", json.dumps(body).encode()), 200, 503)

    def flood(self) -> None:
        """Asks far more than can be read, and hangs up on half of it."""
        clients = []
        for _ in range(100):
            question, text, _ = self._new()
            body = json.dumps({"question": question, "context": text}).encode()
            clients.append(socket.create_connection(("127.0.0.1", self.server.port), 90))
            clients[-1].sendall(_request(body))
        for number, client in enumerate(clients):
            with client:
                if number % 2 == 0:
                    status = client.recv(65536)[9:12]
                    if status and status not in (b"200", b"503", b"504"):
                        self.wrong.append(f"flood: {status!r}")

    def hang_up(self) -> None:
        """Asks, and does not wait."""
        question, text, _ = self._new()
        body = json.dumps({"question": question, "context": text}).encode()
        with socket.create_connection(("127.0.0.1", self.server.port), 90) as client:
            client.sendall(_request(body)[: self.chance.randrange(1, 400)])

    def half_a_head(self) -> None:
        """Begins a request, and leaves it."""
        client = socket.create_connection(("127.0.0.1", self.server.port), 90)
        client.sendall(b"POST /v1/ask HTTP/1.1\r\nHost: 127")
        timer = threading.Timer(15, client.close)
        timer.daemon = True
        timer.start()

    def idle(self) -> None:
        """Connects, and says nothing for a while."""
        port = self.chance.choice((self.server.port, self.server.redis))
        clients = [socket.create_connection(("127.0.0.1", port), 90) for _ in range(20)]
        time.sleep(1)
        for client in clients:
            client.close()


def asks(load: Load, message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Asks, and sees to it that the reply is one that a question may get."""
    status, said = asked(load.server.port, "POST", "/v1/ask", json.dumps(message).encode())
    load.expect("ask", status, said, 200, 503, 504)
    if status == 503:
        load.counts["refused"] += 1
    return status, said


def asked(
    port: int, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
) -> tuple[int, Any]:
    """Returns the status and what is said, of a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        response = connection.getresponse()
        said = response.read()
        return response.status, json.loads(said) if said else None
    finally:
        connection.close()


def _request(body: bytes) -> bytes:
    head = f"POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def run(minutes: float, kill_every_s: float, seed: int, folder: Path) -> list[str]:
    """Runs all of it; returns what is wrong."""
    watched, home = folder / "watched", folder / "home"
    watched.mkdir()
    home.mkdir()
    for n in range(WATCHED):
        (watched / f"{n}.txt").write_text(TEXT.format(n=n, name=NAMES[n % len(NAMES)]))
    chance, kept = random.Random(seed), Kept()
    server = Server(home, watched)
    load = Load(server, kept, watched, chance)
    threads = load.run()
    began_s, memory_mib, kills, found = time.monotonic(), [], 0, []
    while (passed_s := time.monotonic() - began_s) < 60 * minutes:
        time.sleep(min(kill_every_s or 60.0, 60.0, 60 * minutes - passed_s + 0.01))
        memory_mib.append(server.memory_mib)
        print(
            f"{(time.monotonic() - began_s) / 60:5.1f} min  {memory_mib[-1]:6.1f} MiB  {dict(load.counts)}", flush=True
        )
        if kill_every_s:
            server.kill()
            kills += 1
            time.sleep(0.5)
            server.start()
            found += kept.wrong(server.port)
    load.stopping.set()
    for thread in threads:
        thread.join(120)
    found += kept.wrong(server.port)
    code = server.stop()
    if code:
        found.append(f"it ended with {code}")
    verified = subprocess.run(
        [sys.executable, "-m", "edgeqa", "verify"],
        env={**os.environ, "EDGEQA_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if verified.returncode:
        found.append(f"edgeqa verify: {verified.stdout}{verified.stderr}")
    third = len(memory_mib) // 3
    if third and not kill_every_s:
        middle, last = (statistics.median(memory_mib[at : at + third]) for at in (third, len(memory_mib) - third))
        print(f"memory: {middle:.1f} MiB in the middle third, {last:.1f} MiB in the last: {last / middle:.3f}")
        if last > GROWTH * middle:
            found.append("memory grows")
    if b"Traceback" in (log := (folder / "log").read_bytes()):
        found.append(log.decode()[-4000:])
    print(f"{len(kept.texts)} documents put or deleted, {kills} kills")
    return found + load.wrong


def main() -> None:
    """Runs, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--kill-every", type=float, default=0, help="seconds; 0 for never")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(given.minutes, given.kill_every, given.seed, Path(folder))
    for one in found[:20]:
        print(f"wrong: {one}")
    print(f"{len(found)} wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
