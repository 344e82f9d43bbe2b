"""Tests that the picture of a terminal in README is what a terminal shows today."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pages import alike, steps, text_of
from terminal_picture import COMMAND, PICTURE, drawn, shown

if TYPE_CHECKING:
    from pathlib import Path


def text_in(picture: str) -> str:
    lines = ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314 - our own picture
    return "\n".join("".join(line.itertext()) for line in lines) + "\n"


def test_the_picture_of_the_terminal_is_true(home: Path) -> None:
    picture = PICTURE.read_text(encoding="utf-8")
    assert alike(picture, home) == alike("".join(drawn(shown())), home), "python tools/terminal_picture.py"


def test_the_picture_shows_what_the_first_page_says(home: Path) -> None:
    (step,) = [one for one in steps(text_of("docs/index.md")) if one.code == COMMAND]
    assert alike(text_in(PICTURE.read_text(encoding="utf-8")), home) == alike(f"$ {COMMAND}\n{step.printed}", home)
