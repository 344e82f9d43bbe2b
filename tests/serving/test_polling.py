"""Tests that the loop asks what has come in only when nothing is left to do, or after a few turns."""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys

import pytest

from edgeqa.serving import polling
from edgeqa.serving.polling import MAX_TURNS, Polling


def test_what_came_in_is_seen_after_a_few_turns_that_have_something_to_do() -> None:
    here, there = socket.socketpair()
    with here, there, Polling() as selector:
        selector.register(here, selectors.EVENT_READ)
        there.sendall(b"a request")
        for _ in range(2):
            assert [selector.select(0) for _ in range(MAX_TURNS)] == [[]] * MAX_TURNS
            assert [key.fileobj for key, _ in selector.select(0)] == [here]


def test_a_loop_that_would_wait_looks_at_once() -> None:
    here, there = socket.socketpair()
    with here, there, Polling() as selector:
        selector.register(here, selectors.EVENT_READ)
        there.sendall(b"a request")
        assert len(selector.select(None)) == 1
        assert len(selector.select(60)) == 1


def test_a_loop_that_is_never_idle_still_reads() -> None:
    async def served() -> bytes:
        here, there = socket.socketpair()
        with here, there:
            here.settimeout(0)
            reading = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(here, 64))
            there.sendall(b"a request")
            while not reading.done():
                await asyncio.sleep(0)  # there is always a next step
            return reading.result()

    assert polling.run(served()) == b"a request"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="loops are not to be chosen on Python 3.10")
def test_the_loop_of_a_server_polls_so() -> None:
    async def selector() -> object:
        return asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # asyncio keeps it there

    assert isinstance(polling.run(selector()), Polling)
