"""Tests what is said to a service manager, and what it hands over, by a stand-in with real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgeqa.serving import systemd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_reaches_the_service_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool
) -> None:
    place = f"@edgeqa-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + place[1:] if abstract else place)
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", place)
        assert systemd.notify("READY=1\nSTATUS=ready")
        assert manager.recv(100) == b"READY=1\nSTATUS=ready"


def test_a_service_manager_that_takes_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        told = [systemd.notify("WATCHDOG=1" + " " * 4000) for _ in range(1000)]
    assert told[0]
    assert not told[-1]


@pytest.mark.parametrize("place", ["", "relative", "/nowhere/at/all"])
def test_where_nobody_listens_nothing_is_said(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", place)
    assert not systemd.notify("READY=1")


def test_the_watchdog_is_ours_or_nobody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert systemd.watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert systemd.watchdog_s() == 30.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog_s() is None


HANDED = """
import json, os, sys
os.environ["LISTEN_PID"] = str(os.getpid()) if sys.argv[1] == "ours" else "1"
from edgeqa.serving import systemd
found = systemd.handed_over()
left = [name for name in os.environ if name.startswith("LISTEN_")]
print(json.dumps([{name: [s.getsockname()[1] for s in sockets] for name, sockets in found.items()}, left]))
"""


@pytest.mark.parametrize("whose", ["ours", "another's"])
def test_sockets_are_taken_over_by_name(whose: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as redis:
        # As the service manager does: they are 3 and 4 in the child.
        child = (
            "import os, sys\n"
            f"fds = [os.dup({http.fileno()}), os.dup({redis.fileno()})]\n"
            "fds = [os.dup2(fd, 20 + n) for n, fd in enumerate(fds)]\n"
            "[os.dup2(fd, 3 + n, True) for n, fd in enumerate(fds)]\n"
            f"os.execv(sys.executable, [sys.executable, '-c', {HANDED!r}, {whose!r}])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", child],
            pass_fds=(http.fileno(), redis.fileno()),
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:redis"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        ports = {"http": [http.getsockname()[1]], "redis": [redis.getsockname()[1]]}
    assert json.loads(done.stdout) == [ports if whose == "ours" else {}, []]
