"""What comes out of files: records, each one document; and what a user may say about how to read.

Values only, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from edgeqa.formats.text import nfc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edgeqa.formats.blocks import Block


@dataclass(frozen=True, slots=True)
class Record:
    """One document."""

    name: str
    """The source's name, or `NAME#12` or `NAME#Title/3` for one of many in a file."""
    title: str
    """What routing may weigh besides the text: title, heading, article. One line of NFC text, "" if there is none."""
    blocks: Iterable[Block]
    """Its text with its structure; to be consumed once, in order, before the next record is asked for."""
    note: str = ""
    """Why a part of the file, which has a name like any other, has no text: it is missing, or a picture. Such a record
    is no document."""


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """How to read what is named."""

    text_field: str | None = None
    """The field of JSON Lines, JSON and CSV that holds the text; None: a field with one of the usual names."""
    title_field: str | None = None
    """The field that holds the title; None: a field with one of the usual names, if there is one."""
    format: str | None = None
    """Name of the format of everything named; None: by each file's name and content, standard input being text."""
    exclude: tuple[str, ...] = ()
    """What is left out of folders: patterns as in a `.gitignore`, from each folder named on."""


MOST_TITLE_CHARACTERS = 300
MOST_AHEAD_CHARACTERS = 1 << 16  # in which a title is looked for


def one_line(title: str) -> str:
    """Returns a title as records have it."""
    return " ".join(nfc(title[: 4 * MOST_TITLE_CHARACTERS]).split())[:MOST_TITLE_CHARACTERS].rstrip()


def begun(blocks: Iterator[Block], is_enough: Callable[[], bool]) -> tuple[Iterator[Block], int]:
    """Reads ahead until it is enough, at most MOST_AHEAD_CHARACTERS; returns all blocks, and how much was read."""
    seen, characters = [], 0
    while not is_enough() and characters < MOST_AHEAD_CHARACTERS and (block := next(blocks, None)) is not None:
        seen.append(block)
        characters += len(block.text)
    return chain(seen, blocks), characters
