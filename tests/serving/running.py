"""Runs a real `edgeqa serve` process, with what it needs to be there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("starlette", reason="needs the extra edgeqa[serve]: starlette is not installed")
pytest.importorskip("uvicorn", reason="needs the extra edgeqa[serve]: uvicorn is not installed")

STARTED_WITHIN_S, ENDED_WITHIN_S = 60, 60


@dataclass
class Running:
    """A server that runs."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    _lines: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        """Notes what the server says, until it ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._lines:
                self.said.append(line.rstrip("\n"))
                self._lines.notify_all()
        with self._lines:
            self.said.append("")
            self._lines.notify_all()

    def until_said(self, pattern: str) -> re.Match[str]:
        """Waits for a line; returns what it matched."""

        def found() -> re.Match[str] | None:
            return next((m for line in self.said if (m := re.search(pattern, line))), None)

        with self._lines:
            self._lines.wait_for(lambda: found() or "" in self.said, STARTED_WITHIN_S)
            matched = found()
        assert matched is not None, self.said
        return matched

    @property
    def url(self) -> str:
        """Where it is."""
        return self.until_said(r"at (https?://\S+)")[1]

    @property
    def port(self) -> int:
        """Where it listens at 127.0.0.1."""
        return int(self.url.rpartition(":")[2])

    def ended(self) -> int:
        """Waits for its end; returns the exit code."""
        return self.process.wait(ENDED_WITHIN_S)


def start(home: Path, *arguments: object, before: str = "", port: int | None = 0) -> Running:
    """Starts a server in a home of its own; `before` is run in its process first."""
    ports = [] if port is None else ["--port", str(port)]
    command = [
        sys.executable,
        "-c",
        f"{before}\nimport sys; from edgeqa.cli import run; sys.exit(run())",
        "serve",
        *ports,
        *map(str, arguments),
    ]
    environment = {**os.environ, "EDGEQA_HOME": str(home)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    running = Running(process)
    threading.Thread(target=running.read, daemon=True).start()
    return running


def stop(running: Running) -> None:
    """Ends a server however it is: as it is told to, so that what it did is measured, else at once."""
    running.process.terminate()
    try:
        running.ended()
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
    if running.process.stderr is not None:
        running.process.stderr.close()
