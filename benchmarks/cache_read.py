"""Measures what a hit costs, at hand in this process or written by another one, beside diskcache and Redis.

    python benchmarks/cache_read.py -n 20000

All hold the same values and are asked for the same keys in turn, in one run: medians and 99th percentiles, and ratios.
The keys are ready, but in the line that says otherwise, where one is made of the question first. diskcache is compared
if it can be imported, Redis if there is a `redis-server`: by its client library, if that can be imported, and by a bare
socket, which does less than any client can. Two lines are floors: "LMDB alone" is a transaction, two gets, and nothing
done with what they give; "LMDB, least code" checks and decodes it too, but counts nothing, and looks at no table in
front, at no write that is under way, and at no fault.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb
import msgspec
from xxhash import xxh3_64_digest

from edgeqa.asking.records import answer_keys
from edgeqa.cache import FORMAT_DIRECTORY, Cache, records, values
from edgeqa.cache.records import PAYLOAD_AT, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.cache import Key

    Read = Callable[[int], object]


ALONE, LEAST = "LMDB alone", "LMDB, least code"


def question(number: int) -> str:
    """Returns a question."""
    return f"Who performs viral transmission among adults in ward {number}?"


def key(number: int) -> Key:
    """Returns the key of a question's answer."""
    return _KEY_OF(question(number))


_KEY_OF = answer_keys(
    bundle_digest="ab" * 32,
    computed="int8",
    options={"top": 1, "force": False},
    scope_digest="cd" * 32,
    lowercase=True,
)


def answer(number: int) -> dict[str, object]:
    """Returns an answer as the cache holds it, about 400 bytes."""
    return {
        "text": f"the nurses of ward {number}",
        "start": number,
        "end": number + 20,
        "probability": 0.875,
        "source": "notes/transmission.txt",
        "context": "Viral transmission among adults is performed by the nurses of the ward, who wash their hands. " * 3,
        "candidates": [],
    }


def fill_edgeqa(directory: str, count: str) -> None:
    """Stores the answers; run in a process of its own."""
    with Cache.open(directory) as cache:
        for number in range(int(count)):
            cache.put(key(number), answer(number))


def edgeqa_readers(place: Path, count: int, stack: ExitStack) -> dict[str, Read]:
    """Returns how to read what another process wrote: with keys that are ready, and with keys made of questions."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import cache_read as b; b.fill_edgeqa(*sys.argv[2:])"
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", code, here, str(place / "edgeqa"), str(count)], check=True)
    # Two backends, so that neither finds at hand what the other has read.
    shutil.copytree(place / "edgeqa", place / "edgeqa too")
    cache, other = (stack.enter_context(Cache.open(place / name)) for name in ("edgeqa", "edgeqa too"))
    keys = [key(number) for number in range(count)]
    questions = [question(number) for number in range(count)]
    return {
        "edgeqa, first read": lambda number: cache.get(keys[number]),
        "edgeqa, key made too": lambda number: other.get(_KEY_OF(questions[number])),
    }


def lmdb_readers(place: Path, count: int, stack: ExitStack) -> dict[str, Read]:
    """Returns how to read the records without looking at them, and with the least that makes values of them."""
    begins = []
    for name in (ALONE, LEAST):
        shutil.copytree(place / "edgeqa", place / name)
        begins.append(stack.enter_context(lmdb.open(str(place / name / FORMAT_DIRECTORY), max_readers=512)).begin)
    alone, least = begins
    decode, seed, keys = msgspec.msgpack.Decoder().decode, records.seed(expires=False), list(map(key, range(count)))

    def read(number: int) -> object:
        txn = alone()
        sequence = txn.get(keys[number].digest)
        return txn.get(sequence) if sequence else None

    def read_and_check(number: int) -> object:
        asked, txn = keys[number], least()
        sequence: Any = txn.get(asked.digest)
        stored: Any = txn.get(sequence)
        payload = stored[stored[PAYLOAD_AT] :]
        return decode(payload) if xxh3_64_digest(payload, seed) + asked.check == stored[WHOLE] else None

    return {ALONE: read, LEAST: read_and_check}


def diskcache_reader(place: Path, count: int, stack: ExitStack) -> Read | None:
    """Returns how to read the same from diskcache, if it is there."""
    try:
        diskcache = importlib.import_module("diskcache")
    except ImportError:
        return None
    cache = stack.enter_context(closing(diskcache.Cache(str(place / "diskcache"))))
    with cache.transact():
        for number in range(count):
            cache.set(key(number).digest, answer(number))
    digests = [key(number).digest for number in range(count)]
    return lambda number: cache.get(digests[number])


def redis_readers(place: Path, count: int, stack: ExitStack) -> dict[str, Read]:
    """Returns how to read the same from Redis on loopback: by its client library, and by a bare socket."""
    program = shutil.which("redis-server")
    if program is None:
        return {}
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(place)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    stack.callback(server.wait)
    stack.callback(server.kill)
    connection = _connect(port)
    stack.callback(connection.close)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    digests = [key(number).digest for number in range(count)]
    for number, digest in enumerate(digests):
        payload = values.encode(answer(number))
        head = b"*3\r\n$3\r\nSET\r\n$16\r\n" + digest + b"\r\n$%d\r\n" % len(payload)
        connection.sendall(head + payload + b"\r\n")
        connection.recv(100)
    requests = [b"*2\r\n$3\r\nGET\r\n$16\r\n" + digest + b"\r\n" for digest in digests]

    def read(number: int) -> object:
        connection.sendall(requests[number])
        reply = connection.recv(65536)
        size, _, payload = reply.partition(b"\r\n")
        return values.decode(payload[: int(size[1:])])

    readers: dict[str, Read] = {"Redis, bare socket": read}
    with contextlib.suppress(ImportError):
        client = importlib.import_module("redis").Redis(port=port)
        stack.callback(client.close)
        readers["Redis, its client"] = lambda number: values.decode(client.get(digests[number]))
    return readers


def _connect(port: int) -> socket.socket:
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.05)
    raise TimeoutError


def measure(readers: dict[str, Read], count: int) -> dict[str, list[int]]:
    """Returns sorted times in ns; the readers take turns in blocks, and every value is compared afterwards."""
    times: dict[str, list[int]] = {name: [] for name in readers}
    for start in range(0, count, 500):
        for name, read in readers.items():
            taken = times[name]
            for number in range(start, min(count, start + 500)):
                before_ns = time.perf_counter_ns()
                value = read(number)
                taken.append(time.perf_counter_ns() - before_ns)
                if name != ALONE and value != answer(number):
                    sys.exit(f"{name} gave a wrong value: {value!r}")
                del value  # not in the time of the next
    return {name: sorted(taken) for name, taken in times.items()}


def at_hand(count: int) -> list[int]:
    """Returns sorted times in ns of hits in the table in front, by an alias that needs no key."""
    with Cache.open(persist="memory") as cache:
        cache.put(key(0), answer(0))
        cache.bind((question(0), "context"), key(0), "the answer")
        get, asked, taken = cache.front.get, question(0), []
        for _ in range(count):
            before_ns = time.perf_counter_ns()
            entry = get((asked, "context"))
            taken.append(time.perf_counter_ns() - before_ns)
            if entry is None or entry.value != "the answer":
                sys.exit("the table in front gave a wrong value")
    return sorted(taken)


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=20_000, help="values")
    count = parser.parse_args().n
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        readers = edgeqa_readers(Path(place), count, stack)
        readers |= lmdb_readers(Path(place), count, stack)
        disk = diskcache_reader(Path(place), count, stack)
        others = ({"diskcache": disk} if disk else {}) | redis_readers(Path(place), count, stack)
        if len(others) < 3:
            print(f"not everything is installed to compare with; there is: {', '.join(others) or 'nothing'}")
        readers |= others
        times = measure(readers, count)
    times["edgeqa, at hand"] = at_hand(count)
    ours = times["edgeqa, first read"]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, lmdb {lmdb.__version__}")
    print(f"{'hit':<22}{'median us':>11}{'p99 us':>9}{'ratio of medians':>18}")
    for name, taken in times.items():
        median, p99 = taken[len(taken) // 2] / 1000, taken[int(len(taken) * 0.99)] / 1000
        print(f"{name:<22}{median:>11.2f}{p99:>9.2f}{median / (ours[len(ours) // 2] / 1000):>17.2f}x")


if __name__ == "__main__":
    main()
