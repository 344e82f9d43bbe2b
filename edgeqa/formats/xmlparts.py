"""XML, read as it comes: elements and text are handed on, no tree is built, nothing outside of it is looked at.

Entities are refused, and so are depth and length that no document has: what is read takes little memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from xml.parsers import expat

from edgeqa.formats.errors import FileDamaged, FileExcessive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_DEPTH = 1000
MOST_PENDING_BYTES = 1 << 23  # of a tag that has not ended
MOST_NAMES = 1 << 12  # kept at hand


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
