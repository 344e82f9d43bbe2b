"""Which formats there are, and which one a file is in: by its name, and where that says nothing, by its beginning.

Pure. The readers themselves are imported when a file of their format is read.
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.records import FormatOptions, Record

HEAD_BYTES = 1 << 15  # of a file's beginning are looked at
_ARRAY = re.compile(rb"\[\s*(?:\{|\]|\Z)")
_SQUAD = re.compile(rb'"data"\s*:\s*\[')
_ZIP = b"PK\x03\x04"
_IS_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,999}?-->\s*)?<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A format. The function `read` of its module in this room takes the content, the name and the options."""

    name: str
    module: str
    suffixes: tuple[str, ...]
    version: int = 1
    """To be raised when the reader gives other text for the same file, so that it is read again."""
    seeks: bool = False
    """Whether the content is given as a file that it can seek in, rather than as blocks from beginning to end."""
    has_fields: bool = False
    """Whether the options that name fields matter."""

    def reader(self) -> Callable[[Any, str, FormatOptions], Iterator[Record]]:
        """Returns the module's function `read`, which yields the records of a file."""
        read: Callable[[Any, str, FormatOptions], Iterator[Record]] = importlib.import_module(
            f"edgeqa.formats.{self.module}"
        ).read
        return read


TEXT = Kind("text", "plain", (".txt", ".text", ".log", ".rst", ".adoc", ".asciidoc", ".org"), version=2)
MARKDOWN = Kind("markdown", "markdown", (".md", ".markdown", ".mdown", ".mkd"))
HTML = Kind("html", "webpage", (".html", ".htm", ".xhtml"))
JSON_LINES = Kind("jsonl", "jsonlines", (".jsonl", ".ndjson"), has_fields=True)
CSV = Kind("csv", "tables", (".csv", ".tsv", ".tab"), has_fields=True)
JSON = Kind("json", "jsonfile", (".json",), has_fields=True)
PDF = Kind("pdf", "pdf", (".pdf",), seeks=True)
DOCX = Kind("docx", "docx", (".docx", ".docm"), seeks=True)
EPUB = Kind("epub", "epub", (".epub",), seeks=True)

KINDS = {kind.name: kind for kind in (TEXT, MARKDOWN, HTML, JSON_LINES, CSV, JSON, PDF, DOCX, EPUB)}
_BY_SUFFIX = {suffix: kind for kind in KINDS.values() for suffix in kind.suffixes}


def named(name: str) -> Kind:
    """Returns the format of this name.

    Raises:
        OptionError: if there is none.
    """
    try:
        return KINDS[name]
    except (KeyError, TypeError):
        raise OptionError(name="format", value=name, expected=f"one of {', '.join(KINDS)}") from None


def by_name(name: str) -> Kind | None:
    """Returns the format that a file's name says, None if it says nothing."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower())


def by_content(head: bytes) -> Kind | None:
    """Returns the format that a file's first HEAD_BYTES look like, None if they are not text.

    Text in another encoding than UTF-8 passes as text, so that reading it says what is wrong with it.
    """
    if head.startswith(b"%PDF-"):
        return PDF
    if head.startswith(_ZIP):
        return EPUB if b"mimetypeapplication/epub+zip" in head else DOCX if b"[Content_Types].xml" in head else None
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    return HTML if _IS_PAGE.match(head) else TEXT


def of_json(head: bytes) -> Kind | None:
    """Returns how a file named as JSON is read, by its beginning; None if it is no lines, no SQuAD and no array."""
    head = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _ARRAY.match(head) or _SQUAD.search(head):
        return JSON
    first, _, rest = head.partition(b"\n")
    try:
        is_line = isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return None
    return JSON_LINES if is_line and rest.lstrip().startswith(b"{") else None
