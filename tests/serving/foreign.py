"""Starts clients that are not ours, each as a process, in an environment of their own (`make clients`).

Where one is not installed its test is skipped with the reason; with EDGEQA_CLIENTS_REQUIRED set, it fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

EDGEQA = (sys.executable, "-m", "edgeqa")
ROOT = Path(__file__).parent.parent.parent
INSTALLED = Path(os.environ.get("EDGEQA_CLIENTS", ROOT / ".clients"))
PYTHON = INSTALLED / "python" / "bin" / "python"
NODE_MODULES = INSTALLED / "node" / "node_modules"
SCRIPTS = Path(__file__).parent / "clients"
DEADLINE_S = 120
REQUIRED = "EDGEQA_CLIENTS_REQUIRED"


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where everything has to be there."""
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but {reason}")
    pytest.skip(reason)


def python_client(script: str, *arguments: object, needs: str) -> Any:  # noqa: ANN401 - whatever the script prints
    """Runs a script of `clients` in the clients' Python; returns the JSON that it prints."""
    need_python(needs)
    return _printed([PYTHON, SCRIPTS / script, *arguments])


def need_python(module: str) -> None:
    """Goes on only where the clients' Python has a module."""
    if not PYTHON.exists():
        missing(f"the clients are not installed ({module}): make clients")
    looked = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    if subprocess.run([PYTHON, "-c", looked], capture_output=True, check=False).returncode:
        missing(f"{module} is not installed in {INSTALLED}: make clients")


def node_client(script: str, *arguments: object, needs: str) -> Any:  # noqa: ANN401 - as above
    """Runs a script of `clients` in Node; returns the JSON that it prints."""
    node = program("node")
    if not (NODE_MODULES / needs).exists():
        missing(f"{needs} is not installed in {INSTALLED}: make clients")
    return _printed([node, SCRIPTS / script, *arguments], NODE_PATH=str(NODE_MODULES))


def program(name: str) -> str:
    """Returns the path of a program."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return found


def _printed(command: list[object], **variables: str) -> Any:  # noqa: ANN401 - as above
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
