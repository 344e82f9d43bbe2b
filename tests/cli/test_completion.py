"""Tests what shells complete, by the scripts that ship and by what the program tells them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import DEADLINE_S, edgeqa

COMPLETIONS = Path(__file__).parent.parent.parent / "completions"


def completed(line: str) -> list[str]:
    words = line.split(" ")
    asked = {"_EDGEQA_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = edgeqa(env={**os.environ, **asked})
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_ships_for_each_shell(shell: str) -> None:
    assert f"_EDGEQA_COMPLETE={shell}_complete" in (COMPLETIONS / f"edgeqa.{shell}").read_text()


def test_bash_completes_with_the_script_that_ships() -> None:
    script = f"source {COMPLETIONS}/edgeqa.bash; COMP_WORDS=(edgeqa cap) COMP_CWORD=1; _edgeqa_completion edgeqa"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-c", f'{script}; echo "${{COMPREPLY[@]}}"'],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("capabilities\n", "")


def test_commands_and_options_are_completed() -> None:
    assert completed("edgeqa cap") == ["capabilities"]
    assert completed("edgeqa models us") == ["use"]
    assert "--contexts" in completed("edgeqa ask --con")
