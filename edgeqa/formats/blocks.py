"""Blocks: the values that all formats produce, with the options of a user and the errors of files.

A record is one document, made of blocks in their order. The document's text, in which places count, is all blocks one
after the other, each after its `before`: "".join(block.before + block.text for block in blocks). A block is a heading,
a paragraph, an item of a list, a term with its explanation below, a row of a table, or code. Order, kind and level tell
which blocks belong together; `contexts` makes passages of them. Each error names the file and the place in it. Nothing
here reads a file or knows a format.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal, TypeAlias

from edgeqa.errors import FormatError
from edgeqa.formats import nfc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BlockKind: TypeAlias = Literal["heading", "paragraph", "item", "term", "header", "row", "code"]
"""`header` is a table's row of column names; `term` an option, a glossary's word or an FAQ's question."""
MAX_TITLE_CHARACTERS = 300
MAX_AHEAD_CHARACTERS = 1 << 16  # a title is searched within the first so many
MAX_RECORD_BYTES = 1 << 24  # a line, or an element of an array, is held in memory up to this size
# These are the usual names, the likeliest first; upper and lower case are alike.
TEXT_FIELDS = ("text", "content", "contents", "body", "context", "passage", "paragraph", "document", "article")
TITLE_FIELDS = ("title", "headline", "heading", "subject")
_SHOWN_FIELDS = 30


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document that a person would point at; a long one goes on in the next block."""

    text: str
    """NFC text, as it stands in the document's text; a row has its cells, with separators between them."""
    before: str = ""
    """White space between the previous block and this one; "" if this one directly continues that one."""
    kind: BlockKind = "paragraph"
    level: int = 0
    """A heading has a level from 1 (outermost) to 6. Other blocks have their depth in lists, from 0: a paragraph of
    level 1 belongs to the item or term of level 1 before it."""
    cells: tuple[tuple[int, int], ...] = ()
    """The place in `text` of each column's cell, empty cells too; only for a row and a header."""
    begins: bool = False
    """Whether a table or list begins here, instead of going on from the previous one."""
    row: int = 0
    """The number of a row in its spreadsheet or CSV file, from 1."""


def text_of(blocks: Iterable[Block]) -> Iterator[str]:
    """Yields the document's text in pieces, none of them empty."""
    for block in blocks:
        if piece := block.before + block.text:
            yield piece


@dataclass(frozen=True, slots=True)
class Record:
    """One document."""

    name: str
    """The source's name, or `NAME#12` or `NAME#Title/3` for one of many in a file."""
    title: str
    """A title, heading or article name, which a search may weigh besides the text: one line of NFC text, or ""."""
    blocks: Iterable[Block]
    """Its text with its structure; to be consumed once, in order, before the next record is asked for."""
    note: str = ""
    """The reason why this part of the file has no text: it is missing, or a picture. Such a record has a name, but is
    no document."""


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """The user's options for reading files."""

    text_field: str | None = None
    """The field of JSON Lines, JSON and CSV that holds the text; None: a field with one of the usual names."""
    title_field: str | None = None
    """The field that holds the title; None: a field with one of the usual names, if there is one."""
    format: str | None = None
    """Name of the format of everything named; None: by each file's name and content, standard input being text."""
    exclude: tuple[str, ...] = ()
    """Patterns of files to leave out, as in a `.gitignore`; they count from each named folder on."""


def one_line(title: str) -> str:
    """Returns a title in the form that records have."""
    return " ".join(nfc(title[: 4 * MAX_TITLE_CHARACTERS]).split())[:MAX_TITLE_CHARACTERS].rstrip()


def first_heading(blocks: Iterator[Block]) -> tuple[str, Iterator[Block]]:
    """Returns the first heading, "" if there is none in MAX_AHEAD_CHARACTERS, and all blocks."""
    seen, characters, title = [], 0, ""
    while not title and characters < MAX_AHEAD_CHARACTERS and (block := next(blocks, None)) is not None:
        seen.append(block)
        characters += len(block.text)
        title = one_line(block.text) if block.kind == "heading" else ""
    return title, chain(seen, blocks)


def read_ahead(blocks: Iterator[Block], is_enough: Callable[[], bool]) -> tuple[Iterator[Block], int]:
    """Reads ahead until it is enough, at most MAX_AHEAD_CHARACTERS; returns all blocks, and how much was read."""
    seen, characters = [], 0
    while not is_enough() and characters < MAX_AHEAD_CHARACTERS and (block := next(blocks, None)) is not None:
        seen.append(block)
        characters += len(block.text)
    return chain(seen, blocks), characters


def find(names: Iterable[object], options: FormatOptions, source: str, place: str) -> tuple[str, str | None] | None:
    """Returns the fields of the text and of the title, the latter None if there is none; None if no field holds text.

    Args:
        names: the names of the fields.
        options: the user's options.
        source: the name of the file, for an error.
        place: the place in the file, for an error.

    Raises:
        FieldUnknown: if a field that the user named does not exist, or the user named a field for the title only.
    """
    known = [name for name in names if isinstance(name, str)]
    for field, option in ((options.text_field, "--text-field"), (options.title_field, "--title-field")):
        if field is not None and field not in known:
            raise FieldUnknown(source, place, field, option, known[:_SHOWN_FIELDS])
    text = options.text_field if options.text_field is not None else _usual(known, TEXT_FIELDS)
    if text is None:
        if options.title_field is None:
            return None
        raise FieldUnknown(source, place, None, "--text-field", known[:_SHOWN_FIELDS])
    title = options.title_field if options.title_field is not None else _usual(known, TITLE_FIELDS)
    return text, title if title != text else None


def _usual(names: list[str], usual: tuple[str, ...]) -> str | None:
    found = {name.strip().casefold(): name for name in reversed(names)}
    return next((found[name] for name in usual if name in found), None)


class FormatUnknown(FormatError):
    """The file is in none of the formats that are read."""

    def __init__(self, name: str, formats: Iterable[str]) -> None:
        super().__init__(
            f"in none of the formats that edgeqa reads: {name}", f"convert it to one of these: {', '.join(formats)}"
        )


class FormatOld(FormatError):
    """The file is in a format that Office had before 2007."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"in a format that Office had before 2007: {name}",
            "save it as .docx, .xlsx or .pptx, or have LibreOffice do it: soffice --headless --convert-to docx FILE",
        )


class ExtraMissing(FormatError, ImportError):
    """The library that reads this format is not installed."""

    def __init__(self, name: str, format_name: str, package: str, install: str = "'edgeqa[docs]'") -> None:
        super().__init__(
            f"cannot read {name}: {format_name} files need {package}, which is not installed", f"pip install {install}"
        )


class FileDamaged(FormatError):
    """The file is not what its format says, or is cut off."""

    def __init__(self, name: str, format_name: str, reason: str) -> None:
        super().__init__(
            f"not a readable {format_name} file: {name}: {reason}",
            "check that it opens in its own program; get it again if it does not",
        )


class FileEncrypted(FormatError):
    """The file can only be read with a password."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"encrypted: {name}: {how}", "save a copy without password or copy protection, and give that")


class FileExcessive(FormatError):
    """The file unpacks to more than is read: it is damaged, or was made to fill memory or disk."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"refused: {name}: {what}", "do not trust this file; its text can be given as plain text")


class TextMissing(FormatError):
    """The file is a document, but holds no text."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no text in {name}: its pages are empty, or pictures of text",
            "have a program for OCR add the text, for example: ocrmypdf in.pdf out.pdf",
        )


class RecordInvalid(FormatError):
    """A record of a file cannot be understood."""

    def __init__(self, name: str, place: str, reason: str, hint: str) -> None:
        super().__init__(f"{name}, {place}: {reason}", hint)


class RecordTooLong(FormatError):
    """A record is longer than the memory that one may take."""

    def __init__(self, name: str, place: str, most_bytes: int) -> None:
        super().__init__(
            f"{name}, {place}: the record is longer than {most_bytes} bytes",
            "is a line end, a quote or a bracket missing before it? Else give this text as a file of its own",
        )


class FieldUnknown(FormatError):
    """A named field does not exist, or none of the fields has a usual name."""

    def __init__(self, name: str, place: str, field: str | None, option: str, fields: Iterable[str]) -> None:
        known = ", ".join(map(repr, fields))
        missing = "which field holds the text is not clear" if field is None else f"there is no field {field!r}"
        super().__init__(f"{name}, {place}: {missing}; its fields are {known or 'none'}", f"name one with {option}")
