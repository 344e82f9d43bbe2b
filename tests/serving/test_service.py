"""Tests what `service/` has, as far as it can be checked and run without a system booted into it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import foreign
import httpx
import pytest
from foreign import DEADLINE_S, EDGEQA, ROOT
from running import start, stop

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = ROOT / "service"
UNIT = (SERVICE / "edgeqa.service").read_text(encoding="utf-8")
CONTAINER = (SERVICE / "Containerfile").read_text(encoding="utf-8")
QUESTION = {
    "question": "Who built the bridge?",
    "context": "The bridge was built in 1932 by Dorman Long.",
    "timeout_s": 60,  # the model is loaded first, on a machine that runs other tests
}


def test_the_units_are_what_systemd_takes(tmp_path: Path) -> None:
    program = shutil.which("true")
    (tmp_path / "edgeqa.service").write_text(UNIT.replace("/opt/edgeqa/bin/edgeqa", str(program)), encoding="utf-8")
    shutil.copy(SERVICE / "edgeqa.socket", tmp_path)
    done = subprocess.run(
        [foreign.program("systemd-analyze"), "verify", "--man=no", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_runs_nothing_that_a_slim_system_lacks() -> None:
    run = re.findall(r"^Exec\w+=(\S+)", UNIT, re.MULTILINE)
    assert set(run) == {"/opt/edgeqa/bin/edgeqa", "/bin/sh"}  # `kill` is of procps, and a builtin of the shell


def test_edgeqa_fits_into_the_memory_that_the_unit_gives_it() -> None:
    (most,) = re.findall(r"^MemoryMax=(\S+)$", UNIT, re.MULTILINE)
    done = subprocess.run(
        [*EDGEQA, "capabilities", "--budget", most, "--json"], capture_output=True, timeout=DEADLINE_S, check=True
    )
    plan = json.loads(done.stdout)["plan"]
    assert plan["needed_bytes"] < plan["available_bytes"]["value"]


def test_the_service_manager_is_told_when_it_is_ready_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        manager.settimeout(DEADLINE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(place))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        running = start(tmp_path)
        try:
            assert manager.recv(100) in {b"READY=1", b"WATCHDOG=1"}
            assert httpx.get(f"{running.url}/readyz", timeout=DEADLINE_S).status_code == 200
            running.process.terminate()
            said = {manager.recv(100)}
            while b"STOPPING=1" not in said:
                said.add(manager.recv(100))
            assert said <= {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}
            assert running.ended() == 0
        finally:
            stop(running)


def test_it_is_started_by_the_first_who_asks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [
        *(foreign.program("systemd-socket-activate"), f"--listen=127.0.0.1:{port}", "--fdname=http"),
        *("-E", f"EDGEQA_HOME={tmp_path}", "-E", f"PATH={os.environ['PATH']}", "-E", "EDGEQA_READER=fast"),
        *(*EDGEQA, "serve"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert str(port) in process.stderr.readline()  # it listens, and nothing else runs yet
        asked = httpx.post(f"http://127.0.0.1:{port}/v1/ask", json=QUESTION, timeout=DEADLINE_S)
        assert asked.json()["answer"] == "Dorman Long"
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


# What MemoryDenyWriteExecute= does, by the kernel's own means: no memory becomes executable from here on.
DENY = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    print("edgeqa: no such protection", file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's protection is Linux's")
def test_it_answers_where_no_memory_may_become_code(tmp_path: Path) -> None:
    assert "\nMemoryDenyWriteExecute=yes\n" in UNIT
    running = start(tmp_path, before=DENY)
    try:
        asked = httpx.post(f"{running.url}/v1/ask", json=QUESTION, timeout=DEADLINE_S)
        if any("no such protection" in line for line in running.said):
            pytest.skip("this kernel cannot deny it (Linux before 6.3)")
        assert asked.json()["answer"] == "Dorman Long"
    finally:
        stop(running)


def test_the_container_installs_what_there_is_and_lets_nobody_in_without_a_token(tmp_path: Path) -> None:
    (extras,) = re.findall(r"\.whl\)\[([a-z,]+)\]", CONTAINER)
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras.split(","))
    (line,) = re.findall(r"^CMD (.*)$", CONTAINER, re.MULTILINE)
    command, *options = (word.replace("/data", str(tmp_path)) for word in json.loads(line))
    assert command == "serve"
    (adding,) = re.findall(r"edgeqa (serve token add .*)$", CONTAINER, re.MULTILINE)
    words = shlex.split(adding.replace("/data", str(tmp_path)))
    done = subprocess.run([*EDGEQA, *words], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    running = start(tmp_path, *options)
    try:
        url = f"http://127.0.0.1:{running.port}"
        assert httpx.post(f"{url}/v1/ask", json=QUESTION, timeout=DEADLINE_S).status_code == 401
        headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
        reply = httpx.post(f"{url}/v1/ask", json=QUESTION, headers=headers, timeout=DEADLINE_S)
        assert reply.json()["answer"] == "Dorman Long"
    finally:
        stop(running)
