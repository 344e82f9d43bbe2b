"""Tests that the manual page that ships says what the commands' help says now, and shows it as it stands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from man_page import page

from edgeqa.cli import COMMANDS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "man" / "edgeqa.1"


def test_it_says_what_the_commands_say() -> None:
    assert SHIPPED.read_text(encoding="utf-8").splitlines() == list(page()), "make man"


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_it_is_shown_as_it_stands_without_a_warning() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", "-rLL=200n", str(SHIPPED)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for name in COMMANDS:
        assert f"   edgeqa {name}" in done.stdout
    assert 'edgeqa ask "Who designed the machine?" notes.txt' in done.stdout
    assert "--text-field FIELD" in done.stdout
    assert "--questions FILE" in done.stdout


def test_it_is_installed_where_man_looks() -> None:
    shared = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("wheel.shared-data]")[2].partition("[")[0]
    assert '"man/edgeqa.1" = "share/man/man1/edgeqa.1"\n' in shared
