"""Starts the installed program as a real process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

EDGEQA = (sys.executable, "-m", "edgeqa")
DEADLINE_S = 120


def edgeqa(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Returns the finished process; no traceback is ever on its screen."""
    done = subprocess.run(
        [*EDGEQA, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=env,
        timeout=DEADLINE_S,
        check=False,
    )
    result = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.stderr
    return result
