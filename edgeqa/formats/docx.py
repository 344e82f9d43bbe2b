"""DOCX: the text of a Word document as Word shows it, then its notes, is one record.

Headings and lists come with their levels and numbers, tables as rows with their header; text boxes stand after the
paragraph that holds them. What Word does not show is left out: hidden text and rows, what was deleted or moved away,
the prompts of fields that nobody has filled in, the codes of fields. Its title is the first heading, else the one in
its properties. Read by the standard library, as the XML comes: linear in time, and small in memory.

The format: ECMA-376, WordprocessingML.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from edgeqa.formats.archive import Archive
from edgeqa.formats.blocks import FormatOptions, Record, begun, one_line
from edgeqa.formats.errors import FileDamaged
from edgeqa.formats.package import Relations, Title, parse, take
from edgeqa.formats.wordlists import Numbering
from edgeqa.formats.wordparts import Styles
from edgeqa.formats.wordtext import WordText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.blocks import Block

_PROPERTIES, _MAIN = "docProps/core.xml", "word/document.xml"
_ROOTS = ("", "document", "footnotes", "endnotes")
_NOTES = ("footnotes", "endnotes")


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the document as one record.

    Raises:
        FormatError: if it is no DOCX file.
    """
    archive = Archive(stream, name, "DOCX")
    package = Relations(archive, "", name, "DOCX")
    main = package.targets.get("officeDocument", [_MAIN])[0]
    document = _opened(archive, main, name)
    blocks, _ = begun(_blocks(archive, document, main, name), lambda: bool(document.heading))
    yield Record(name, document.heading or _title(archive, package, name), blocks)


def _opened(archive: Archive, main: str, name: str) -> WordText:
    relations = Relations(archive, main, name, "DOCX")
    styles = Styles()
    numbering = Numbering(styles)
    folder = main.rpartition("/")[0]
    for kind, handler in (("styles", styles), ("numbering", numbering)):
        for part in relations.targets.get(kind, [f"{folder}/{kind}.xml"])[:1]:
            take(archive, part, handler, name, "DOCX")
    notes = [part for kind in _NOTES for part in relations.targets.get(kind, [f"{folder}/{kind}.xml"])]
    return WordText(name, styles, numbering, notes)


def _blocks(archive: Archive, document: WordText, main: str, name: str) -> Iterator[Block]:
    for part in (main, *(part for part in document.notes if part in archive)):
        for _ in parse(archive.blocks(part), document, name, "DOCX"):
            if document.root not in _ROOTS:
                raise FileDamaged(name, "DOCX", "it is another program's document")
            yield from document.taken()
    yield from document.ended()


def _title(archive: Archive, package: Relations, name: str) -> str:
    found = Title()
    take(archive, package.targets.get("core-properties", [_PROPERTIES])[0], found, name, "DOCX")
    return one_line(found.title)
