"""DOCX: the text of a Word document, paragraph by paragraph, then its notes, is one record.

Its title is the first heading, else the one in its properties. Of tables, each row is a line; what was deleted while
changes were tracked is left out. Read by the standard library, as the XML comes: linear in time, and small in memory.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from edgeqa.formats.archive import Archive
from edgeqa.formats.errors import FileDamaged
from edgeqa.formats.prose import Prose
from edgeqa.formats.records import FormatOptions, Record, begun, one_line
from edgeqa.formats.xmlparts import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.blocks import Block

_RELATIONS, _PROPERTIES = "_rels/.rels", "docProps/core.xml"
_HEADINGS = ("heading", "title")  # how the names of their styles begin
# The second form of what is there in a first, and the place that text was moved from.
_ROOTS = ("", "document", "footnotes", "endnotes")
_SKIPPED = frozenset(("Fallback", "moveFrom"))


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the document as one record.

    Raises:
        FormatError: if it is no DOCX file.
    """
    archive = Archive(stream, name, "DOCX")
    document = _Document()
    blocks, _ = begun(_blocks(archive, document, name), lambda: bool(document.heading))
    yield Record(name, document.heading or _title(archive, name), blocks)


def _blocks(archive: Archive, document: _Document, name: str) -> Iterator[Block]:
    found = _Main()
    if _RELATIONS in archive:
        for _ in parse(archive.blocks(_RELATIONS), found, name, "DOCX"):
            pass
    main = found.part
    folder = main.rpartition("/")[0]
    notes = [part for part in (f"{folder}/footnotes.xml", f"{folder}/endnotes.xml") if part in archive]
    for part in (main, *notes):
        for _ in parse(archive.blocks(part), document, name, "DOCX"):
            if document.root not in _ROOTS:
                raise FileDamaged(name, "DOCX", "it is another program's document")
            yield from document.prose.taken()
    yield from document.prose.ended()


def _title(archive: Archive, name: str) -> str:
    found = _Title()
    if _PROPERTIES in archive:
        for _ in parse(archive.blocks(_PROPERTIES), found, name, "DOCX"):
            pass
    return one_line(found.title)


class _Main:
    """Finds the part that holds the text."""

    def __init__(self) -> None:
        self.part = "word/document.xml"

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            self.part = attributes.get("Target", "").lstrip("/") or self.part

    def end(self, name: str) -> None:
        pass

    def text(self, text: str) -> None:
        pass


class _Title:
    """Finds the title in the properties."""

    def __init__(self) -> None:
        self.title = ""
        self._within = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._within = name == "title"

    def end(self, _name: str) -> None:
        self._within = False

    def text(self, text: str) -> None:
        if self._within:
            self.title += text


class _Document:
    """Writes the text of WordprocessingML down."""

    def __init__(self) -> None:
        self.prose = Prose()
        self.heading = ""
        """The first heading, as soon as it was read."""
        self.root = ""
        """The first element."""
        self._in_text = False
        self._in_heading = False
        self._named: list[str] = []
        self._is_item = self._in_items = False
        self._skipped_depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.root = self.root or name
        if self._skipped_depth or name in _SKIPPED:
            self._skipped_depth += 1
        elif name == "t":
            self._in_text = True
        elif name == "p":
            self.prose.paragraph()
            self._is_item = self._in_heading = False
        elif name == "pStyle":
            self._in_heading = attributes.get("val", "").lower().startswith(_HEADINGS)
        elif name == "numId":
            self._is_item = attributes.get("val") != "0" and not self._in_heading
            if self._is_item:
                self.prose.item()
                self._in_items = True
        else:
            self._within(name)

    def _within(self, name: str) -> None:
        if name == "tab":
            self.text_of(" ")
        elif name in ("br", "cr"):
            self.prose.line()
        elif name == "noBreakHyphen":
            self.text_of("-")
        elif name == "tbl":
            self.prose.table()
        elif name == "tr":
            self.prose.row()
        elif name == "tc":
            self.prose.cell()

    def end(self, name: str) -> None:
        if self._skipped_depth:
            self._skipped_depth -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            self.prose.paragraph()
            if self._in_heading and not self.heading:
                self.heading = one_line("".join(self._named))
            self._named.clear()
        elif name == "tbl":
            self.prose.end_table()

    def text(self, text: str) -> None:
        if self._in_text and not self._skipped_depth:
            self.text_of(text)

    def text_of(self, text: str) -> None:
        """Adds text to the paragraph."""
        if self._in_items and not self._is_item:
            self.prose.end()
            self._in_items = False
        if self._in_heading and not self.heading:
            self._named.append(text)
        self.prose.text(text)
