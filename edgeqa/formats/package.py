"""Documents that are archives of XML: their parts read as they come, which part is which, and the title they state.

In: an archive. Out: elements and text, handed on; no tree is built, nothing outside of the archive is looked at.
Entities are refused, and so are depth and length that no document has: what is read takes little memory.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote
from xml.parsers import expat

from edgeqa.formats.errors import FileDamaged, FileExcessive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.archive import Archive

MOST_DEPTH = 1000
MOST_PENDING_BYTES = 1 << 23  # of a tag that has not ended
MOST_NAMES = 1 << 12  # kept at hand
OFF = ("0", "false", "off", "none")


class Handler(Protocol):
    """Takes what stands in the XML; names come without their namespaces."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""

    def end(self, name: str) -> None:
        """Takes an end tag."""

    def text(self, text: str) -> None:
        """Takes text."""


def parse(blocks: Iterable[bytes], handler: Handler, name: str, format_name: str) -> Iterator[None]:
    """Hands what is in the blocks to `handler`; yields after each of them.

    Raises:
        FormatError: if it is not XML, or more than a document would be.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    local = _Local()
    depth = 0

    def start(element: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MOST_DEPTH:
            raise FileExcessive(name, f"its elements are nested more than {MOST_DEPTH} deep")
        found = {local[key]: value for key, value in attributes.items()} if attributes else {}
        if len(found) < len(attributes):  # of two that differ in their namespace alone, one without is the lesser
            found |= {local[key]: value for key, value in attributes.items() if " " in key}
        handler.start(local[element], found)

    def end(element: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(local[element])

    def entity(*_: object) -> None:
        raise FileExcessive(name, "it defines entities")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = handler.text
    parser.EntityDeclHandler = entity
    fed_bytes = 0
    try:
        for block in blocks:
            parser.Parse(block, False)  # noqa: FBT003 - whether it is the last
            fed_bytes += len(block)
            if fed_bytes - parser.CurrentByteIndex > MOST_PENDING_BYTES:
                raise FileExcessive(name, f"one of its tags is longer than {MOST_PENDING_BYTES} bytes")
            yield
        parser.Parse(b"", True)  # noqa: FBT003
    except expat.ExpatError as error:
        raise FileDamaged(name, format_name, f"not XML: {error}") from error
    yield


class _Local(dict[str, str]):
    """Names without their namespaces: a document has few, each many times."""

    def __missing__(self, name: str) -> str:
        found = name.rpartition(" ")[2]
        if len(self) < MOST_NAMES:
            self[name] = found
        return found


def is_on(attributes: dict[str, str]) -> bool:
    """Tells whether an element that is there or not, and may say that it does not hold, holds."""
    return attributes.get("val", "true").lower() not in OFF


def number_in(attributes: dict[str, str], name: str = "val") -> int | None:
    """Returns an attribute as a number; None if it is none."""
    text = attributes.get(name, "").strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else None


def take(archive: Archive, part: str, handler: Handler, name: str, format_name: str) -> None:
    """Hands a part to `handler`, if there is one of that name."""
    if part in archive:
        for _ in parse(archive.blocks(part), handler, name, format_name):
            pass


def is_hex(text: str) -> bool:
    """Tells whether text is a short number in hexadecimal digits."""
    return bool(text) and len(text) <= 8 and all(c in "0123456789abcdefABCDEF" for c in text)


class Relations:
    """Which part has which relation to the one whose relations these are."""

    def __init__(self, archive: Archive, part: str, name: str, format_name: str) -> None:
        """Reads the relations of a part, "" for those of the whole package."""
        folder, _, last = part.rpartition("/")
        self._folder = folder
        self.targets: dict[str, list[str]] = {}
        """By the last word of a relation's type, the parts."""
        self.by_id: dict[str, str] = {}
        take(archive, posixpath.join(folder, "_rels", f"{last}.rels"), self, name, format_name)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        target = attributes.get("Target", "")
        if name != "Relationship" or attributes.get("TargetMode") == "External" or not target:
            return
        path = unquote(target.partition("#")[0]).replace("\\", "/")
        path = path.lstrip("/") if path.startswith("/") else posixpath.join(self._folder, path)
        part = posixpath.normpath(path)
        self.targets.setdefault(attributes.get("Type", "").rpartition("/")[2], []).append(part)
        self.by_id.setdefault(attributes.get("Id", ""), part)

    def end(self, _name: str) -> None:
        """Takes an end tag."""

    def text(self, _text: str) -> None:
        """Takes text."""


class Title:
    """Finds the title in the properties."""

    def __init__(self) -> None:
        self.title = ""
        self._within = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        self._within = name == "title"

    def end(self, _name: str) -> None:
        """Takes an end tag."""
        self._within = False

    def text(self, text: str) -> None:
        """Takes text."""
        if self._within and len(self.title) < 1 << 12:
            self.title += text
