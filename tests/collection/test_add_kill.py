"""Runs the stress script of adding for seconds, with few rounds, in a process without threads of others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "stress" / "add_kill.py"


def test_killed_at_any_moment_it_holds_whole_documents_and_goes_on() -> None:
    if not SCRIPT.exists():
        pytest.skip("the stress scripts are not here")
    done = subprocess.run(
        [sys.executable, SCRIPT, "-n", "12", "--seed", "3"], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" 0 wrong\n")
