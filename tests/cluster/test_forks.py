"""A process that forks with a cluster open: its child takes over no lock, thread or connection of its parent's."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import threading
from typing import TYPE_CHECKING, Any

from edgeqa.cluster.nodes import RemoteNode, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.cluster.runtime import ClusterQA

DEADLINE_S = 30


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:  # noqa: ANN401 - a Lock or an RLock
    """Has another thread hold a lock."""
    taken, go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            go.wait(DEADLINE_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(DEADLINE_S)
    try:
        yield
    finally:
        go.set()
        thread.join()


def in_child(holds: Callable[[], bool]) -> int:
    """Returns how a forked child ends: with 0 if it finds that something holds, by SIGALRM if it waits for ever."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(DEADLINE_S)
            code = 0 if holds() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_asks_the_servers_without_the_threads_of_its_parent(qa: ClusterQA) -> None:
    names = [f"of-a-fork-{number}" for number in range(24)]  # on all masters, which are asked at a time
    reads = [(name, ("GET", name)) for name in names]
    qa.valkey.many([(name, ("SET", name, name)) for name in names])
    expected: list[Any] = [name.encode() for name in names]
    assert qa.valkey.many(reads) == expected
    with held(qa.valkey._lock):
        assert in_child(lambda: qa.valkey.many(reads) == expected) == 0
    assert qa.valkey.many(reads) == expected
    qa.valkey.many([(name, ("DEL", name)) for name in names])


def test_a_forked_child_asks_a_worker_over_a_connection_of_its_own(qa: ClusterQA) -> None:
    node = RemoteNode(qa.membership.members()[0], qa.secrets, ssl.create_default_context)
    message = Search("Who built the bridge?", ("built", "bridge"), 3)
    expected = node.search(message)
    (kept,) = node._free

    def asks_over_another() -> bool:
        found = node.search(message)
        return found == expected and node._free[0].sock.getsockname() != kept.sock.getsockname()

    with held(node._lock):
        assert in_child(asks_over_another) == 0
    assert node.search(message) == expected
    assert node._free == [kept]
    node.close()
