"""Tests voice: a real `edgeqa serve --wyoming`, asked by the client that Home Assistant uses, and by raw bytes."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import foreign
import pytest
from foreign import DEADLINE_S
from running import Running, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = "To what depth may the pump be submerged?"
UNKNOWN = "Who is the king of France?"


@pytest.fixture(scope="module")
def server(with_examples: Path) -> Iterator[Running]:
    running = start(with_examples, "--wyoming", 0)
    yield running
    stop(running)


@pytest.fixture(scope="module")
def port(server: Running) -> int:
    return port_of(server)


def port_of(running: Running) -> int:
    return int(running.until_said(r"at wyoming://\S+:(\d+)")[1])


def said(port: int, *events: bytes) -> list[dict[str, Any]]:
    """Returns the events that come back until the server closes the connection, or all are answered."""
    found = []
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(b"".join(events))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            for line in file:
                event = json.loads(line)
                found.append({"type": event["type"], **json.loads(file.read(event["data_length"]))})
    return found


def test_the_client_of_home_assistant_is_answered(port: int) -> None:
    found = foreign.python_client("wyoming_client.py", port, json.dumps([QUESTION, UNKNOWN, ""]), needs="wyoming")
    assert found["program"] == ["edgeqa", True, ["en"], False]
    assert found["pong"] == "here"
    assert found[QUESTION] == ["handled", "12 metres", {"conversation_id": "7"}]
    assert found[UNKNOWN] == ["not-handled", "The documents do not say.", {"conversation_id": "7"}]
    assert found[""][:2] == ["error", "the question is empty"]


@pytest.mark.parametrize(
    "sent",
    [
        b"no event\n",
        b"\n",
        b"[]\n",
        b'{"type": 1}\n',
        b'{"type": "ping", "data": []}\n',
        b'{"type": "ping", "data_length": 1000000000}\n',
        b'{"type": "ping", "data_length": -1}\n',
        b'{"type": "ping", "data_length": 2}\n[]',
        b'{"type": "ping", "payload_length": 1000000000}\n',
        b'{"type": "ping", "data_length": 10}\n{}',
        b'{"type": "' + b"a" * 100_000,
        b"POST / HTTP/1.1\r\nHost: edgeqa\r\n\r\n",
    ],
)
def test_what_is_no_event_ends_the_connection_alone(port: int, sent: bytes) -> None:
    with contextlib.suppress(ConnectionResetError):  # more was sent than is read
        assert said(port, sent) == []
    assert said(port, b'{"type": "ping", "data": {"text": "still here"}}\n') == [{"type": "pong", "text": "still here"}]


def test_events_that_it_does_not_know_are_passed_over(port: int) -> None:
    audio = b'{"type": "audio-chunk", "data": {"rate": 16000}, "payload_length": 4}\nabcd'
    assert said(port, audio, b'{"type": "ping"}\n') == [{"type": "pong", "text": None}]


def test_a_connection_too_many_is_told_so(with_examples: Path) -> None:
    running = start(with_examples, "--wyoming", 0, "--connections", 1)
    try:
        port = port_of(running)
        with socket.create_connection(("127.0.0.1", port)) as first, first.makefile("rb") as file:
            first.sendall(b'{"type": "ping"}\n')
            assert b"pong" in file.readline()
            assert said(port, b"")[0]["code"] == "Refused"
    finally:
        stop(running)


def test_who_has_to_show_a_token_cannot_ask_by_voice(with_examples: Path) -> None:
    running = start(with_examples, "--wyoming", "0.0.0.0:0")
    try:
        assert running.ended() == 2
    finally:
        stop(running)
    running = start(with_examples, "--wyoming", "0.0.0.0:0", "--no-auth")
    try:
        event = json.dumps({"type": "transcript", "data": {"text": QUESTION}}).encode() + b"\n"
        with socket.create_connection(("127.0.0.1", port_of(running)), timeout=DEADLINE_S) as connection:
            connection.sendall(event)
            with connection.makefile("rb") as file:
                assert json.loads(file.readline())["type"] == "handled"
    finally:
        stop(running)


def test_sigterm_ends_it_with_connections_open(with_examples: Path) -> None:
    running = start(with_examples, "--wyoming", 0)
    try:
        with socket.create_connection(("127.0.0.1", port_of(running))) as connection, connection.makefile("rb") as file:
            connection.sendall(b'{"type": "ping"}\n')
            assert b"pong" in file.readline()
            running.process.terminate()
            assert running.ended() == 0
            running.until_said("^$")
            assert [line for line in running.said if line and not line.startswith("edgeqa: ")] == []
    finally:
        stop(running)


def test_nothing_is_printed_of_a_client_that_hangs_up_while_it_is_answered(with_examples: Path) -> None:
    running = start(with_examples, "--wyoming", 0)
    try:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port_of(running)), timeout=DEADLINE_S) as connection:
                connection.sendall(b'{"type": "describe"}\n' * 50)
        assert said(port_of(running), b'{"type": "ping"}\n')[0]["type"] == "pong"
        running.process.terminate()
        assert running.ended() == 0
        running.until_said("^$|Traceback")
        assert not [line for line in running.said if "Traceback" in line or "never retrieved" in line]
    finally:
        stop(running)
