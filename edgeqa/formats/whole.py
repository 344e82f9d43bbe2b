"""A file of any format as one document: what a question about the file is asked of.

In: a path. Out: a document whose text is that of all its records, a blank line between them, read from the file anew
each time. What an answer is remembered under is the digest of the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.contexts.documents import Document
from edgeqa.errors import ContextIsDirectory
from edgeqa.formats.folders import walk
from edgeqa.formats.records import FormatOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.formats.source import Source


def from_formatted(path: Path) -> Document:
    """Returns the file as a document.

    Raises:
        ContextError: if it is not there. What is in it is read, and found to be wrong, with the text.
    """
    if path.is_dir():
        raise ContextIsDirectory(path)
    (source,) = walk([path], FormatOptions())
    return Document(source.name, source.size_bytes, lambda: _blocks(source), lambda: iter([source.digest()]))


def _blocks(source: Source) -> Iterator[str]:
    between = ""
    for record in source.records():
        yield between
        between = "\n\n"
        yield from record.blocks
