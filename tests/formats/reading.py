"""Reads a file's records for tests, as values that compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.formats.blocks import FormatOptions, text_of
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Read:
    """A record, read to its end."""

    name: str
    title: str
    text: str


def read(path: Path | str, **options: str) -> list[Read]:
    """Returns the records of all sources under the path."""
    return [
        Read(record.name, record.title, "".join(text_of(record.blocks)))
        for source in walk([path], FormatOptions(**options, exclude=()))
        for record in source.records()
    ]


def text(path: Path | str, **options: str) -> str:
    """Returns the text of the one record."""
    (found,) = read(path, **options)
    return found.text
