"""Measures `edgeqa serve` under load: hits, hits beside readings, misses, memory, idle connections.

    python benchmarks/serve.py --seconds 5
    python benchmarks/serve.py --hits 20000 --questions 10000 --valkey valkey-server
    python benchmarks/serve.py --only misses

All figures of a table are of one run, so that their ratios hold on a busy machine, too. Hits over HTTP are driven by
wrk, beside a bare Starlette route that gives the same bytes by the same uvicorn; hits over the Redis protocol by
redis-benchmark, beside a real Redis or Valkey that holds the same answer, where there is one. Hits' times beside
readings are those of one client that asks again and again by a plain socket. Misses come by wrk, on as many
connections as the plan has readers, beside `qa.ask` from as many threads in this process; the load comes from the same
cores, and each side remembers what it has read on disk. A question's processor time, the client's left out, is beside:
it holds better where others have a share of the cores. What is not installed is left out, and said.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SENTENCE = "The pump in hall {n} was built by Ada Stone in 1932."
PARAGRAPH = " ".join(
    [
        "The pump in hall {n} was built by Ada Stone in 1932, and overhauled by Otto Brandt thirty years later.",
        "It may be submerged to a depth of 12 metres, and runs at temperatures of up to 40 degrees.",
        "Its housing is of cast iron, its impeller of bronze; both are to be looked at every spring.",
        "Salt water damages the seals within weeks, so that it is not to be used at the coast.",
        "A second pump of the same kind stands in the cellar, and takes over when the first one stops.",
    ]
)
QUESTION = "Who built the pump?"
MISS = """
local asked = 0
function request()
  asked = asked + 1
  local body = '{{"question": "{question}", "timeout_s": 60, "context": "{before}{kind}' .. asked .. '{after}"}}'
  return wrk.format("POST", "/v1/ask", {{["Content-Type"] = "application/json"}}, body)
end
"""
TURNS = 5
MAX_MS = 5.0  # a hit's 99th percentile beside readings is to be below
BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
body = sys.stdin.buffer.read()
async def hit(request):
    await request.body()
    return Response(body, media_type="application/json")
app = Starlette(routes=[Route("/v1/ask", hit, methods=["POST"])])
how = {"http": "h11", "loop": "asyncio", "ws": "none", "lifespan": "off", "access_log": False, "log_level": "error"}
uvicorn.run(app, port=int(sys.argv[1]), **how)
"""


def free_port() -> int:
    """Returns a port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def started(command: list[str], port: int, given: bytes = b"") -> Iterator[psutil.Process]:
    """Runs a server for a while; it listens when this is entered."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        assert process.stdin is not None  # noqa: S101 - for mypy
        process.stdin.write(given)
        process.stdin.close()
        for _ in range(3000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.01)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def serving(*options: str) -> Iterator[tuple[int, int, psutil.Process]]:
    """Runs `edgeqa serve`; gives its ports of HTTP and Redis, and its process."""
    port, redis = free_port(), free_port()
    command = [sys.executable, "-m", "edgeqa", "serve", "--port", str(port), "--redis", str(redis), *options]
    with started(command, port) as process:
        yield port, redis, process


class Client:
    """One connection that asks."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, question: str, context: str | None = None) -> dict[str, Any]:
        """Returns the answer, or the problem."""
        said = {"question": question, "timeout_s": 60} | ({"context": context} if context is not None else {})
        self._connection.request("POST", "/v1/ask", json.dumps(said), {"Content-Type": "application/json"})
        found: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return found


def request_of(question: str) -> bytes:
    """Returns the bytes of a request."""
    body = json.dumps({"question": question}).encode()
    lines = [
        "POST /v1/ask HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def wrk(port: int, question: str, seconds: int, folder: Path) -> tuple[float, float, float]:
    """Returns hits a second, and the median and the 99th percentile in ms, of 8 connections."""
    script = folder / "ask.lua"
    body = json.dumps({"question": question})
    script.write_text(f'wrk.method = "POST"\nwrk.body = [[{body}]]\nwrk.headers["Content-Type"] = "application/json"\n')
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "--latency", "-s", str(script), f"http://127.0.0.1:{port}/v1/ask"]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1])  # type: ignore[index]  # it is there
    median, slow = (_ms(re.search(rf"{percent}%\s+(\S+)", done)[1]) for percent in (50, 99))  # type: ignore[index]
    return rate, median, slow


def _ms(shown: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", shown).groups()  # type: ignore[union-attr]  # as wrk shows it
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def redis_benchmark(port: int, key: str, requests: int) -> tuple[float, float, float]:
    """Returns GETs a second, and the median and the 99th percentile in ms, of 8 connections."""
    command = ["redis-benchmark", "-p", str(port), "-c", "8", "-n", str(requests), "--csv", "GET", key]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names, values = (line.replace('"', "").rsplit(",", 7) for line in done.strip().splitlines()[-2:])
    found = dict(zip(names[1:], values[1:], strict=True))
    return float(found["rps"]), float(found["p50_latency_ms"]), float(found["p99_latency_ms"])


def redis_command(port: int, *parts: str) -> bytes:
    """Returns the reply to one command."""
    written = [one.encode() for one in parts]
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"*%d\r\n" % len(written) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in written))
        return client.recv(65536)


def table(title: str, rows: list[tuple[str, float, float, float]], unit: str) -> None:
    """Prints rows of a rate and two times, each beside the first."""
    print(f"\n{title}\n  {'':34} {unit:>12} {'p50 ms':>9} {'p99 ms':>9} {'ratio':>7}")
    for name, rate, median, slow in rows:
        print(f"  {name:34} {rate:12,.0f} {median:9.2f} {slow:9.2f} {rate / rows[0][1]:7.2f}")


def hits(seconds: int, folder: Path, valkey: str | None) -> None:
    """Prints how fast hits are."""
    with serving() as (port, redis, _):
        client = Client(port)
        body = json.dumps(client.ask(QUESTION)).encode()
        answer = client.ask(QUESTION)
        name = f"bertqa{{{answer['address'].split('{')[1].split('}')[0]}}}_{answer['address']}_{QUESTION}"
        bare = free_port()
        with started([sys.executable, "-c", BARE, str(bare)], bare, body):
            if shutil.which("wrk"):
                rows = [("a bare Starlette route", *wrk(bare, QUESTION, seconds, folder))]
                rows.append(("edgeqa serve, HTTP", *wrk(port, QUESTION, seconds, folder)))
                table(f"hits over HTTP, wrk, 8 connections, {len(body)} bytes", rows, "a second")
            else:
                print("\nhits over HTTP: left out, there is no wrk")
        if not shutil.which("redis-benchmark"):
            print("\nhits over the Redis protocol: left out, there is no redis-benchmark")
            return
        rows = []
        if valkey is not None:
            other = free_port()
            with started([valkey, "--port", str(other), "--save", ""], other):
                redis_command(other, "SET", name, answer["answer"])
                rows.append((Path(valkey).name, *redis_benchmark(other, name, 20_000)))
        redis_command(redis, "GET", name)
        rows.append(("edgeqa serve, Redis protocol", *redis_benchmark(redis, name, 20_000)))
        table("hits over the Redis protocol, redis-benchmark, 8 connections", rows, "a second")


def hits_beside_readings(count: int) -> None:
    """Prints how long hits take while all readers are busy, one client asking again and again."""
    with serving() as (port, _, _):
        Client(port).ask(QUESTION)
        stop = threading.Event()
        misses = [0]

        def miss(reader: int) -> None:
            client = Client(port)
            for number in range(1_000_000):
                if stop.is_set():
                    return
                client.ask(f"Who overhauled pump {reader}-{number}?")
                misses[0] += 1

        # In a process of its own, so that this one's threads are not what is measured.
        pid = os.fork()
        if not pid:
            threads = [threading.Thread(target=miss, args=(reader,), daemon=True) for reader in range(8)]
            for thread in threads:
                thread.start()
            while True:
                time.sleep(1)
        try:
            time.sleep(2)
            times_ms = asked_again(port, count)
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        alone_ms = asked_again(port, min(count, 5000))
    print(f"\nhits beside 8 clients of misses, one client, {count:,} hits")
    for name, found in (("alone", alone_ms), ("beside readings", times_ms)):
        slow = sum(one > MAX_MS for one in found) / len(found)
        cuts = statistics.quantiles(found, n=1000)
        print(
            f"  {name:16} p50 {cuts[499]:6.2f} ms  p99 {cuts[989]:6.2f} ms  p99.9 {cuts[998]:6.2f} ms  "
            f"max {max(found):7.2f} ms  above {MAX_MS:g} ms: {slow:.2%}"
        )


def asked_again(port: int, count: int) -> list[float]:
    """Returns how long hits take, in ms."""
    request, times_ms = request_of(QUESTION), []
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            began = time.perf_counter()
            client.sendall(request)
            received = client.recv(65536)
            head, _, body = received.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]  # it is there
            while len(body) < length:
                body += client.recv(65536)
            times_ms.append(1000 * (time.perf_counter() - began))
    return times_ms


def misses(seconds: int, folder: Path) -> None:
    """Prints how many questions a second are read, over HTTP and in one process."""
    if not shutil.which("wrk"):
        print("\nmisses: left out, there is no wrk")
        return
    print(f"\nmisses, text with the question, medians of {TURNS} turns")
    print(f"  {'':12} {'qa.ask, threads':>28} {'edgeqa serve':>28} {'ratio':>7} {'of processor time':>18}")
    with edgeqa.open() as qa, serving() as (port, _, process):
        Client(port).ask(QUESTION, SENTENCE.format(n="with the model"))
        for name, text in (("paragraphs", PARAGRAPH), ("sentences", SENTENCE)):
            here, there = [], []
            for turn in range(TURNS):  # in turn, so that what else the machine does falls on both
                here.append(read_here(qa, f"here {turn} ", text, seconds))
                there.append(read_there(port, process, qa.plan.callers.value, f"there {turn} ", text, seconds, folder))
            both = list(zip(here, there, strict=True))
            ratios = [
                statistics.median(one) for one in ([t[0] / h[0] for h, t in both], [h[1] / t[1] for h, t in both])
            ]
            shown = [
                f"{statistics.median(rates):.1f}/s, {statistics.median(times):.2f} ms"
                for rates, times in (zip(*side, strict=True) for side in (here, there))
            ]
            print(f"  {name:12} {shown[0]:>28} {shown[1]:>28} {ratios[0]:7.2f} {ratios[1]:18.2f}")


def read_here(qa: edgeqa.EdgeQA, kind: str, text: str, seconds: int) -> tuple[float, float]:
    """Returns how many texts a second are asked by threads, and the processor time of one, in ms."""
    counts = [0] * qa.plan.callers.value
    end_s = time.perf_counter() + seconds

    def work(thread: int) -> None:
        while time.perf_counter() < end_s:
            qa.ask(QUESTION, text.format(n=f"{kind}{thread}-{counts[thread]}"))
            counts[thread] += 1

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(len(counts))]
    began_s, used_s = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - began_s), 1000 * (time.process_time() - used_s) / sum(counts)


def read_there(
    port: int, process: psutil.Process, connections: int, kind: str, text: str, seconds: int, folder: Path
) -> tuple[float, float]:
    """Returns how many texts a second are asked of a server, and its processor time of one, in ms."""
    script = folder / "miss.lua"
    before, after = (json.dumps(part)[1:-1] for part in text.split("{n}"))
    script.write_text(MISS.format(question=QUESTION, before=before, after=after, kind=kind))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script)]
    used_s = sum(process.cpu_times()[:2])
    done = subprocess.run([*command, f"http://127.0.0.1:{port}/v1/ask"], capture_output=True, text=True, check=True)
    used_s = sum(process.cpu_times()[:2]) - used_s
    if "Non-2xx" in done.stdout:
        sys.exit(done.stdout)
    count = int(re.search(r"(\d+) requests in", done.stdout)[1])  # type: ignore[index]  # it is there
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])  # type: ignore[index]
    return rate, 1000 * used_s / count


def memory(questions: int) -> None:
    """Prints what the server takes, and how long it takes to be there."""
    began = time.perf_counter()
    with serving("--keep-model", "1s", "--connections", "1200") as (port, _, process):
        start_s = time.perf_counter() - began

        def mib() -> float:
            found: float = process.memory_info().rss / 2**20
            return found

        at_start = mib()
        client = Client(port)
        client.ask("Who overhauled the pump?")
        with_model = mib()
        seen = []
        for number in range(questions):
            client.ask(f"Who overhauled pump {number}?")
            if number % max(1, questions // 5) == 0:
                seen.append(mib())
        after = mib()
        time.sleep(4)
        without = mib()
        idle = []
        for _ in range(1000):
            idle.append(socket.create_connection(("127.0.0.1", port)))
            idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            idle[-1].recv(4096)
        with_idle = mib()
        hit_ms = asked_again(port, 200)
        for one in idle:
            one.close()
    print(f"\nmemory (RSS), MiB; it listens after {start_s:.2f} s")
    print(f"  at start {at_start:.0f}, with the model {with_model:.0f}, after {questions:,} questions {after:.0f}")
    print(f"  on the way: {', '.join(f'{one:.0f}' for one in seen)}")
    print(f"  without the model again {without:.0f}, with 1,000 idle connections {with_idle:.0f}")
    print(f"  a hit beside 1,000 idle connections: p50 {statistics.median(hit_ms):.2f} ms")


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of wrk, for each line")
    parser.add_argument("--hits", type=int, default=20_000, help="beside readings")
    parser.add_argument("--questions", type=int, default=1000, help="for memory; 10000 for what is claimed")
    parser.add_argument("--valkey", default=shutil.which("valkey-server") or shutil.which("redis-server"))
    parser.add_argument("--only", choices=["hits", "beside", "misses", "memory"], help="one part, not all four")
    given = parser.parse_args()
    documents = Path(__file__).parent / "documents" / "docs"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"EDGEQA_HOME": str(Path(folder, "home")), "EDGEQA_READER": "fast"}
        Path(folder, "pump.txt").write_text(PARAGRAPH.format(n=1))
        with edgeqa.open() as qa:
            qa.add([Path(folder, "pump.txt"), *sorted(documents.iterdir())[:20]])
        parts: dict[str, Callable[[], None]] = {
            "hits": lambda: hits(given.seconds, Path(folder), given.valkey),
            "beside": lambda: hits_beside_readings(given.hits),
            "misses": lambda: misses(given.seconds, Path(folder)),
            "memory": lambda: memory(given.questions),
        }
        for part in [given.only] if given.only else parts:
            parts[part]()


if __name__ == "__main__":
    main()
