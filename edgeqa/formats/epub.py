"""EPUB: the chapters of a book, in the order in which they are read, are a record each.

Named `FILE#3` after their place in that order, titled after the book and the chapter. Each is a page of HTML, and read
as such. Books with copy protection cannot be read.
"""

from __future__ import annotations

import posixpath
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from edgeqa.formats.archive import Archive
from edgeqa.formats.charsets import decode_page
from edgeqa.formats.errors import FileDamaged, FileEncrypted
from edgeqa.formats.records import FormatOptions, Record, begun, one_line
from edgeqa.formats.webpage import Page
from edgeqa.formats.xmlparts import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.blocks import Block

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html")


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a chapter; those without text are left out.

    Raises:
        FormatError: if it is no EPUB file, or copy-protected.
    """
    archive = Archive(stream, name, "EPUB")
    package = _Package()
    _take(archive, _CONTAINER, package, name)
    if not package.path:
        raise FileDamaged(name, "EPUB", "it does not say where its package is")
    _take(archive, package.path, package, name)
    if _ENCRYPTION in archive:
        _take(archive, _ENCRYPTION, package, name)
    for number, part in enumerate(package.parts(), 1):
        if part in package.encrypted:
            raise FileEncrypted(name, "it is copy-protected")
        page = Page(is_xml=True)
        blocks, characters = _begun(page, decode_page(archive.blocks(part), f"{name}, {part}"))
        if characters:
            yield Record(f"{name}#{number}", _title(package.title, page), blocks)


def _begun(page: Page, source: Iterator[str]) -> tuple[Iterator[Block], int]:
    return begun(page.blocks(source), lambda: bool(page.heading))


def _take(archive: Archive, part: str, package: _Package, name: str) -> None:
    for _ in parse(archive.blocks(part), package, name, "EPUB"):
        pass


def _title(book: str, page: Page) -> str:
    chapter = page.heading or page.title
    return one_line(book if chapter.casefold() == one_line(book).casefold() else f"{book}: {chapter}".strip(": "))


class _Package:
    """Takes container, package and encryption: where the chapters are, and in which order."""

    def __init__(self) -> None:
        self.path = ""
        self.title = ""
        self.encrypted: set[str] = set()
        self._pages: dict[str, str] = {}
        self._order: list[str] = []
        self._in_title = False

    def parts(self) -> list[str]:
        """Returns the parts that hold the chapters, in order."""
        folder = posixpath.dirname(self.path)
        paths = (self._pages[item] for item in self._order if item in self._pages)
        return [posixpath.normpath(posixpath.join(folder, unquote(path.partition("#")[0]))) for path in paths]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if name == "rootfile" and not self.path:
            self.path = attributes.get("full-path", "")
        elif name == "item" and attributes.get("media-type") in _PAGES:
            self._pages[attributes.get("id", "")] = attributes.get("href", "")
        elif name == "itemref":
            self._order.append(attributes.get("idref", ""))
        elif name == "CipherReference":
            self.encrypted.add(posixpath.normpath(unquote(attributes.get("URI", ""))))
        self._in_title = name == "title" and not self.title

    def end(self, _name: str) -> None:
        """Takes an end tag."""
        self._in_title = False

    def text(self, text: str) -> None:
        """Takes text."""
        if self._in_title:
            self.title += text
