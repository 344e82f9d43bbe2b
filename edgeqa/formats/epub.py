"""EPUB: each chapter of a book is a record, in the order of reading.

A record is called `FILE#3` after its place in that order, and titled after the book and the chapter. Each chapter is a
page of HTML, and is read as such. The package that lists the chapters is read as leniently as pages, because e-book
readers do so, too. A chapter that is missing or damaged is a record with a note. The book's style sheets decide which
text is hidden. A chapter that is listed twice is read once, at its first place. Books with copy protection cannot be
read.
"""

from __future__ import annotations

import codecs
import contextlib
import posixpath
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, unquote

from edgeqa.formats.archive import Archive, folded
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
from edgeqa.formats.markup import IN_WINDOWS, MAX_SHEET_CHARACTERS, Tag, Tokenizer, decode_page
from edgeqa.formats.webpage import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.blocks import Block

MAX_PACKAGE_BYTES = 1 << 24
MAX_SHEETS = 100
MAX_FALLBACKS = 10

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
    missing: list[str] = []
    damaged: list[str] = []
    for number, href in enumerate(package.chapters(), 1):
        part = package.part(href)
        if (one := part or href) in named:
            continue
        named.add(one)
        if part is None:
            missing.append(href)
            yield Record(f"{name}#{number}", "", (), note=f"the book names {href!r}, but has no such part")
            continue
        if part in package.encrypted:
            raise FileEncrypted(name, "it is copy-protected")
        if not archive.is_sound(part):
            damaged.append(part)
            yield Record(f"{name}#{number}", "", (), note=f"its part {part!r} is damaged")
            continue
        page = Page(is_xml=True, sheet=partial(package.sheet, part))
        source = decode_page(_without_nul(archive.blocks(part)), f"{name}, {part}", errors=IN_WINDOWS)
        blocks, characters = _begin_chapter(page, source)
        if characters:
            has_text = True
            yield Record(f"{name}#{number}", _title(package.title, page), blocks)
    if not has_text and damaged:
        raise FileDamaged(name, "EPUB", f"its chapters are damaged, as {damaged[0]!r}")
    if not has_text and missing:
        raise FileDamaged(name, "EPUB", f"it names chapters that are not in it, as {missing[0]!r}")
    if not has_text:
        raise TextMissing(name)


def _without_nul(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the blocks without NUL, which is no text."""
    first = next(blocks, b"")
    is_wide = first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for block in chain([first], blocks):
        yield block if is_wide else block.replace(b"\0", b"")


def _begin_chapter(page: Page, source: Iterator[str]) -> tuple[Iterator[Block], int]:
    return read_ahead(page.blocks(source), lambda: bool(page.heading))


def _title(book: str, page: Page) -> str:
    chapter = page.heading or page.title
    return one_line(book if chapter.casefold() == one_line(book).casefold() else f"{book}: {chapter}".strip(": "))


@dataclass(frozen=True, slots=True)
class _Item:
    """An item that the package names."""

    href: str
    media_type: str = ""
    fallback: str = ""
    """The id of its fallback."""

    @property
    def is_no_page(self) -> bool:
        """Whether its media type is not that of a page."""
        return self.media_type.startswith(_NO_PAGES) or any(word in self.media_type for word in _NO_PAGE_WORDS)


class _Package:
    """The package of a book: the places of its chapters, their order, and which parts are encrypted."""

    def __init__(self, archive: Archive, name: str) -> None:
        """Reads container, package and encryption.

        Raises:
            FormatError: if there is no package.
        """
        self.title = ""
        self.encrypted: set[str] = set()
        self._archive = archive
        self._name = name
        self._items: dict[str, _Item] = {}
        self._sheets: dict[str, str] = {}
        self._last_names: dict[str, str | None] = {}  # parts by bare name; filled once one was not found
        self._order: list[str] = []
        path = self._package_path()
        self._folder = posixpath.dirname(path)
        self._take_package(path)
        self._take_encryption()

    def chapters(self) -> list[str]:
        """Returns the paths of the chapters in the package, in their order."""
        ordered = [self._page(self._items.get(item, _Item(item))) for item in self._order]
        if not any(item in self._items for item in self._order):  # then the items are read as they are listed
            ordered = [item for item in self._items.values() if item.href.lower().endswith(_PAGE_SUFFIXES)]
        return [item.href for item in ordered if not item.is_no_page]

    def _page(self, item: _Item) -> _Item:
        """Returns the item, or its fallback if it is no page."""
        for _ in range(MAX_FALLBACKS):
            other = self._items.get(item.fallback)
            if not item.is_no_page or other is None:
                break
            item = other
        return item

    def part(self, href: str, folder: str | None = None) -> str | None:
        """Returns the part that a link means, None if there is none. A leading slash means the archive's root.

        Args:
            href: the link as the book has it.
            folder: the folder of the part with the link; None for the package.
        """
        path = href.strip().partition("#")[0].replace("\\", "/")
        if not path:
            return None
        here = self._folder if folder is None else folder
        forms = (unquote(path), path, unquote(path).partition("?")[0], unquote(unquote(path)), quote(unquote(path)))
        for form in forms:
            for above in ("", here) if form.startswith("/") else (here, ""):
                found = self._archive.named(posixpath.join(above, form.lstrip("/")))
                if found is not None:
                    return found
        return self._by_last_name(posixpath.basename(unquote(path)))

    def _by_last_name(self, name: str) -> str | None:
        """Returns the only part of this name, in whatever folder; None if there is none, or more than one."""
        if not self._last_names:
            for part in self._archive.parts:
                last = folded(posixpath.basename(part.replace("\\", "/")))
                self._last_names[last] = None if last in self._last_names else part
        return self._last_names.get(folded(name))

    def sheet(self, page: str, href: str) -> str:
        """Returns the style sheet that a page names; "" if it cannot be read. A book has one or two of them."""
        part = self.part(href, posixpath.dirname(page))
        if part is None or len(self._sheets) == MAX_SHEETS:
            return self._sheets.get(part or "", "")
        if part not in self._sheets:
            data = b""
            with contextlib.suppress(FileDamaged, FileEncrypted):
                for block in self._archive.blocks(part):
                    data += block
                    if len(data) > MAX_SHEET_CHARACTERS:
                        break
            self._sheets[part] = data.decode("utf-8", "replace")
        return self._sheets[part]

    def _package_path(self) -> str:
        container = self._archive.named(_CONTAINER)
        packages = [part for part in self._archive.parts if part.lower().endswith(".opf")]
        if container is None and not packages:
            raise FileDamaged(self._name, "EPUB", f"it has no part {_CONTAINER!r}")
        if container is not None:
            others = []
            for tag in self._tags(container):
                if isinstance(tag, Tag) and _local(tag) == "rootfile" and not tag.is_end:
                    attributes = tag.attributes()
                    path = unquote(attributes.get("full-path", "")).lstrip("/")
                    if (found := self._archive.named(path)) is None:
                        continue
                    if "package" in attributes.get("media-type", "") or path.lower().endswith(".opf"):
                        return found
                    others.append(found)  # a book may be in the file as something else, too
            if others and not packages:
                return others[0]
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
            if local == "title":
                in_title = not token.is_end and not self.title.strip()
            if token.is_end:
                continue
            if local == "item":
                attributes = token.attributes()
                media_type = attributes.get("media-type", "").partition(";")[0].strip().lower()
                item = _Item(attributes.get("href", ""), media_type, attributes.get("fallback", ""))
                self._items[attributes.get("id", "")] = item
            elif local == "itemref":
                self._order.append(token.attributes().get("idref", ""))

    def _take_encryption(self) -> None:
        part = self._archive.named(_ENCRYPTION)
        if part is not None:
            for tag in self._tags(part):
                if isinstance(tag, Tag) and _local(tag) == "cipherreference" and not tag.is_end:
                    found = self._archive.named(unquote(tag.attributes().get("uri", "")))
                    self.encrypted.update(() if found is None else (found,))

    def _tags(self, part: str) -> Iterator[str | Tag]:
        data = bytearray()
        for block in self._archive.blocks(part):
            data += block
            if len(data) > MAX_PACKAGE_BYTES:
                raise FileExcessive(self._name, f"its part {part!r} is larger than {MAX_PACKAGE_BYTES} bytes")
        tokenizer = Tokenizer(is_xml=True)
        for piece in decode_page(_without_nul(iter([bytes(data)])), self._name, errors="replace"):
            yield from tokenizer.feed(piece)
        yield from tokenizer.feed("", is_last=True)


def _local(tag: Tag) -> str:
    return tag.name.rpartition(":")[2]
