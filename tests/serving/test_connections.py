"""Tests a connection of HTTP: what it sends, and when. `test_server` has what hostile clients get."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra edgeqa[serve]: uvicorn is not installed")

from edgeqa.serving.connections import _Gathering


class Transport:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


def test_a_head_and_its_body_are_sent_together_and_all_before_the_connection_is_closed() -> None:
    async def work() -> None:
        transport: Any = Transport()
        gathering = _Gathering(transport, asyncio.get_running_loop())
        gathering.write(b"head ")
        gathering.write(b"")
        gathering.write(b"body")
        assert transport.done == []
        await asyncio.sleep(0)
        assert transport.done == [b"head body"]
        gathering.write(b"another")
        assert not gathering.is_closing()
        gathering.close()
        assert gathering.is_closing()
        await asyncio.sleep(0)
        assert transport.done == [b"head body", b"another", "closed"]

    asyncio.run(work())
