"""Asks each peer that remembers answers for the answer to a question and a context that were asked before.

    python benchmarks/peers/hits.py NAME

All are asked with the strings, as a caller has them, and give the answer back.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turns import serve

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[str, str], Any]

ENTRIES = 4096


def answer(question: str, context: str) -> dict[str, object]:
    """Stands for the work: an answer as a program would keep it."""
    return {"question": question, "text": context[:20], "start": 0, "end": 20, "context": context, "probability": 0.9}


def of_edgeqa(stack: ExitStack) -> Answer:
    """Returns `qa.ask`."""
    return stack.enter_context(edgeqa.open(reader="fast", persist="memory")).ask


def of_lru_cache(_: ExitStack) -> Answer:
    """Returns the standard library's."""
    return functools.lru_cache(maxsize=ENTRIES)(answer)


def of_cachetools(_: ExitStack) -> Answer:
    """Returns that of cachetools, with the lock that it needs among threads."""
    import cachetools

    decorated: Answer = cachetools.cached(cachetools.LRUCache(ENTRIES), lock=threading.Lock())(answer)
    return decorated


def of_diskcache(stack: ExitStack) -> Answer:
    """Returns that of diskcache, on the disk."""
    import diskcache

    directory = stack.enter_context(tempfile.TemporaryDirectory())
    memoized: Answer = stack.enter_context(closing(diskcache.Cache(directory))).memoize()(answer)
    return memoized


def of_redis(stack: ExitStack) -> Answer:
    """Returns answers as JSON from Redis on loopback, under a digest of question and context."""
    import redis

    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, directory = shutil.which("redis-server"), stack.enter_context(tempfile.TemporaryDirectory())
    if program is None:
        sys.exit("there is no redis-server")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(Path(directory))]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    stack.callback(server.wait)
    stack.callback(server.kill)
    client = stack.enter_context(redis.Redis(port=port))
    for _ in range(100):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)

    def ask(question: str, context: str) -> Any:  # noqa: ANN401 - JSON
        key = hashlib.sha256(f"{len(question)} {question}{context}".encode()).digest()
        found = client.get(key)
        if found is None:
            found = json.dumps(answer(question, context))
            client.set(key, found)
        return json.loads(found)

    return ask


KINDS = {
    "edgeqa": (of_edgeqa, 1000),
    "functools.lru_cache": (of_lru_cache, 1000),
    "cachetools": (of_cachetools, 1000),
    "diskcache": (of_diskcache, 100),
    "Redis": (of_redis, 100),
}
_DISTRIBUTIONS = {"edgeqa": "edgeqa", "cachetools": "cachetools", "diskcache": "diskcache", "Redis": "redis"}


def main() -> None:
    """Serves turns."""
    name = sys.argv[1]
    make, loops = KINDS[name]
    versions = {_DISTRIBUTIONS[name]: version(_DISTRIBUTIONS[name])} if name in _DISTRIBUTIONS else {}
    with ExitStack() as stack:
        ask = make(stack)
        about = {"precision": "-", "batch": 1, "versions": versions}
        serve(lambda question, contexts: ask(question, contexts[0]), about=about, loops=loops)


if __name__ == "__main__":
    main()
