"""Reads what README.md and the pages of docs/ show: their blocks, commands and snippets, and what these print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PRINTS = re.compile(r"prints:\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Times, sizes, rates and probabilities are the device's; where the home is, each reader's own.
_MEASURED = re.compile(r"\d[\d.,]*(?= (?:ms|s|KiB|passages/s|% likely)\b)|(?<=score )-?[\d.]+")
TAG = re.compile(r"\{\w{3,4}\}")
_TAG_IN_A_LIST = re.compile(r"(?<=\d  )[0-9A-Z]{3,4}(?=  )")


class Step(NamedTuple):
    """A command of a console, or a snippet of Python, with what the page says that it prints; "" says nothing."""

    language: str
    code: str
    printed: str


def text_of(page: str) -> str:
    """Returns a page's text, by its path from the top of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Returns the fenced blocks of one language."""
    return [body for found, body in _BLOCK.findall(text) if found == language]


def steps(text: str) -> list[Step]:
    """Returns all that a reader would type, from top to bottom."""
    found = []
    for block in _BLOCK.finditer(text):
        language, body = block.groups()
        if language == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                found.append(Step(language, command, printed))
        elif language == "python":
            printed = _PRINTS.match(text[block.end() :].lstrip("\n"))
            found.append(Step(language, body, printed[1] if printed else ""))
    return found


def alike(printed: str, home: Path) -> str:
    """Returns what was printed, without what differs from device to device and from time to time."""
    without_home = printed.replace(str(home), "$EDGEQA_HOME")
    return _TAG_IN_A_LIST.sub("TAG", TAG.sub("{TAG}", _MEASURED.sub("N", without_home)))
