"""Tests that the picture of the page in README is what the page shows today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from page_picture import PICTURE, QUESTION, digest, noted
from pages import ROOT
from running import start, stop

import edgeqa

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_picture_of_the_page_is_true(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with edgeqa.open() as qa:
        qa.add("examples")
        qa.ask(QUESTION)  # what is remembered is answered in time on a busy machine, too
    server = start(home)
    try:
        found = digest(server.url)
    finally:
        stop(server)
    assert noted(PICTURE.read_bytes()) == found, f"edgeqa serve, asked {QUESTION}: python tools/page_picture.py URL"
