"""EPUB: the chapters of a book, in the order in which they are read, are a record each.

Named `FILE#3` after their place in that order, titled after the book and the chapter. Each is a page of HTML, and read
as such. What says where the chapters are is read as leniently as pages are, since readers of books do; a chapter that
is not in the file is a record with a note. What is named again is read once, where it is named first. Books with copy
protection cannot be read.
"""

from __future__ import annotations

import codecs
import posixpath
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from edgeqa.formats.archive import Archive
from edgeqa.formats.blocks import (
    FileDamaged,
    FileEncrypted,
    FileExcessive,
    FormatOptions,
    Record,
    TextMissing,
    one_line,
    read_ahead,
)
from edgeqa.formats.markup import Tag, Tokenizer, decode_page
from edgeqa.formats.webpage import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.blocks import Block

MAX_PACKAGE_BYTES = 1 << 24

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_NO_PAGES = ("image/", "audio/", "video/", "font/", "text/css", "text/javascript")
_NO_PAGE_WORDS = ("font", "opentype", "truetype", "javascript", "ecmascript", "dtbncx", "smil", "pdf", "pls+xml")
_PAGE_SUFFIXES = (".xhtml", ".html", ".htm", ".xht", ".xml")


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a chapter; those without text are left out.

    Raises:
        FormatError: if it is no EPUB file, has no chapter with text, or is copy-protected.
    """
    archive = Archive(stream, name, "EPUB")
    package = _Package(archive, name)
    has_text = False
    named: set[str] = set()
    for number, href in enumerate(package.chapters(), 1):
        part = package.part(href)
        if (one := part or href) in named:
            continue
        named.add(one)
        if part is None:
            yield Record(f"{name}#{number}", "", (), note=f"the book names {href!r}, but has no such part")
            continue
        if part in package.encrypted:
            raise FileEncrypted(name, "it is copy-protected")
        page = Page(is_xml=True)
        source = decode_page(archive.blocks(part), f"{name}, {part}", errors="replace")
        blocks, characters = _begun(page, source)
        if characters:
            has_text = True
            yield Record(f"{name}#{number}", _title(package.title, page), blocks)
    if not has_text:
        raise TextMissing(name)


def _begun(page: Page, source: Iterator[str]) -> tuple[Iterator[Block], int]:
    return read_ahead(page.blocks(source), lambda: bool(page.heading))


def _title(book: str, page: Page) -> str:
    chapter = page.heading or page.title
    return one_line(book if chapter.casefold() == one_line(book).casefold() else f"{book}: {chapter}".strip(": "))


class _Package:
    """What a book says about itself: where its chapters are, in which order, and what of it is encrypted."""

    def __init__(self, archive: Archive, name: str) -> None:
        """Reads container, package and encryption.

        Raises:
            FormatError: if there is no package.
        """
        self.title = ""
        self.encrypted: set[str] = set()
        self._archive = archive
        self._name = name
        self._folded = {_folded(part): part for part in archive.parts}
        self._items: dict[str, tuple[str, str]] = {}
        self._order: list[str] = []
        path = self._package_path()
        self._folder = posixpath.dirname(path)
        self._take_package(path)
        self._take_encryption()

    def chapters(self) -> list[str]:
        """Returns the places of the chapters, as the package has them, in their order."""
        ordered = [self._items.get(item, (item, "")) for item in self._order]
        if not any(item in self._items for item in self._order):  # a book without an order: as they are listed
            ordered = [(href, kind) for href, kind in self._items.values() if href.lower().endswith(_PAGE_SUFFIXES)]
        return [href for href, kind in ordered if not _is_no_page(kind)]

    def part(self, href: str) -> str | None:
        """Returns the part that is meant, None if there is none. A leading slash means the archive's root."""
        path = href.partition("#")[0].replace("\\", "/")
        for form in (unquote(path), path):
            for folder in ("", self._folder) if form.startswith("/") else (self._folder, ""):
                found = self._folded.get(_folded(posixpath.join(folder, form.lstrip("/"))))
                if found is not None:
                    return found
        return None

    def _package_path(self) -> str:
        container = self._folded.get(_folded(_CONTAINER))
        packages = [part for part in self._archive.parts if part.lower().endswith(".opf")]
        if container is None and not packages:
            raise FileDamaged(self._name, "EPUB", f"it has no part {_CONTAINER!r}")
        if container is not None:
            for tag in self._tags(container):
                if isinstance(tag, Tag) and _local(tag) == "rootfile":
                    path = unquote(tag.attributes().get("full-path", "")).lstrip("/")
                    if (found := self._folded.get(_folded(path))) is not None:
                        return found
        if not packages:
            raise FileDamaged(self._name, "EPUB", "it does not say where its package is")
        return packages[0]

    def _take_package(self, path: str) -> None:
        in_title = False
        for token in self._tags(path):
            if not isinstance(token, Tag):
                if in_title:
                    self.title += token
                continue
            local = _local(token)
            in_title = local == "title" and not token.is_end and not self.title.strip()
            if token.is_end:
                continue
            if local == "item":
                attributes = token.attributes()
                media_type = attributes.get("media-type", "").partition(";")[0].strip().lower()
                self._items[attributes.get("id", "")] = (attributes.get("href", ""), media_type)
            elif local == "itemref":
                self._order.append(token.attributes().get("idref", ""))

    def _take_encryption(self) -> None:
        part = self._folded.get(_folded(_ENCRYPTION))
        if part is not None:
            for tag in self._tags(part):
                if isinstance(tag, Tag) and _local(tag) == "cipherreference" and not tag.is_end:
                    found = self._folded.get(_folded(unquote(tag.attributes().get("uri", ""))))
                    self.encrypted.update(() if found is None else (found,))

    def _tags(self, part: str) -> Iterator[str | Tag]:
        data = bytearray()
        for block in self._archive.blocks(part):
            data += block
            if len(data) > MAX_PACKAGE_BYTES:
                raise FileExcessive(self._name, f"its part {part!r} is larger than {MAX_PACKAGE_BYTES} bytes")
        encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
        tokenizer = Tokenizer(is_xml=True)
        yield from tokenizer.feed(data.decode(encoding, "replace"))
        yield from tokenizer.feed("", is_last=True)


def _local(tag: Tag) -> str:
    return tag.name.rpartition(":")[2]


def _folded(part: str) -> str:
    return posixpath.normpath("/" + part.replace("\\", "/")).casefold()


def _is_no_page(media_type: str) -> bool:
    return media_type.startswith(_NO_PAGES) or any(word in media_type for word in _NO_PAGE_WORDS)
