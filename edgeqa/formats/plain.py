"""Plain text in UTF-8: the whole file is one record, as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.contexts.documents import decode
from edgeqa.contexts.normal import nfc_blocks
from edgeqa.formats.blocks import Block
from edgeqa.formats.records import FormatOptions, Record

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the file as one record."""
    yield Record(name, "", map(Block, nfc_blocks(decode(blocks, name))))
