"""Kinds: the table of all formats, and the rules that find the format of a file. Pure.

A file's name decides; if it says nothing, the file's beginning does. The table of endings is only here. A reader is
imported when a file of its format is read.
"""

from __future__ import annotations

import codecs
import importlib
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.blocks import FormatOptions, Record

HEAD_BYTES = 1 << 15  # the beginning of a file that is looked at
PACKED = ".gz"
"""The ending of files that gzip made: their content is read, in the format that the name has without this ending."""
_ARRAY = re.compile(rb"\[\s*(?:\{|\]|\Z)")
_SQUAD = re.compile(rb'"data"\s*:\s*\[')
_ZIP = b"PK\x03\x04"
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The first bytes of files of an Office before 2007."""
_IS_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml\s.{0,200}?\?>\s*)?(?:<!--.{0,999}?-->\s*)?<(?:!doctype\s+html|html)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_MAN_SUFFIX = re.compile(r"\.[1-9][a-z]{0,9}")  # `.3`, `.3pm`: a section of the manual, or a version's end
_IS_MAN_PAGE = re.compile(rb"""(?m)^(?:[.'][ \t]*(?:TH|Dd|Dt)[ \t]|\.so[ \t]+man|'\\"|\.\\")""")
_IS_MAIL = re.compile(rb"(?:From .*[0-9].*\n)?[A-Za-z][A-Za-z0-9-]*:")
_MAIL_FIELDS = re.compile(rb"(?im)^(?:from|to|date|subject|message-id|received|mime-version|return-path):")
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class Kind:
    """A format."""

    name: str
    place: str
    """The module in this room, and the name of its function for content, name and options, if that is not `read`."""
    suffixes: tuple[str, ...]
    version: int = 1
    """The reader's version. It rises when the reader gives other text for the same file, which is then read again."""
    seeks: bool = False
    """Whether the reader gets a file that can seek, instead of blocks from beginning to end."""
    has_fields: bool = False
    """Whether the options that name fields matter."""
    is_asked_as_it_stands: bool = False
    """Whether a question about such a file is asked of its text as it stands, not of the reader's text."""

    def reader(self) -> Callable[[Any, str, FormatOptions], Iterator[Record]]:
        """Returns the function that yields the records of a file."""
        module, _, function = self.place.partition(".")
        read: Callable[[Any, str, FormatOptions], Iterator[Record]] = getattr(
            importlib.import_module(f"edgeqa.formats.{module}"), function or "read"
        )
        return read


_PROSE = ".txt .text .log .rst .adoc .asciidoc .org .tex .sty .bib .texi .texinfo .po .pot .srt .vtt .diff .patch"
_CODE = (
    ".py .pyi .pyx .ipy .c .h .cc .cpp .cxx .hh .hpp .hxx .m .mm .cs .java .kt .kts .scala .groovy .gradle .go "
    ".rs .zig .swift .js .mjs .cjs .jsx .ts .mts .cts .tsx .vue .svelte .dart .php .rb .pl .pm .lua .r .jl .hs "
    ".ml .mli .fs .ex .exs .erl .clj .cljs .lisp .el .scm .f .f90 .f95 .for .pas .ada .adb .ads .vb .bas .asm .s "
    ".sql .sh .bash .zsh .fish .ksh .csh .ps1 .bat .cmd .awk .sed .vim .tcl .proto .graphql .cmake .mk .mak "
    ".bazel .bzl .nix .tf .hcl .v .sv .vhd .vhdl .ino .cu .css .scss .sass .less"
)
_CONFIGURATION = (
    ".ini .cfg .conf .config .toml .yaml .yml .xml .properties .env .desktop .service .socket .timer .mount .target "
    ".rules .list .sources .plist .reg .rc .xsd .xsl .xslt .dtd .rng"
)

UNREAD = frozenset([".svg", ".map", ".lock", ".pem", ".key", ".crt", ".cer", ".csr", ".asc", ".sig", ".gpg", ".pub"])
"""The endings of text for programs: drawings, keys, checksums. Such files in folders are left out."""

TEXT = Kind("text", "plain", tuple(f"{_PROSE} {_CONFIGURATION}".split()), version=2, is_asked_as_it_stands=True)
CODE = Kind("code", "plain.read_code", tuple(_CODE.split()), is_asked_as_it_stands=True)
MARKDOWN = Kind("markdown", "markdown", (".md", ".markdown", ".mdown", ".mkd"), version=6)
HTML = Kind("html", "webpage", (".html", ".htm", ".xhtml", ".xht"), version=5)
JSON_LINES = Kind("jsonl", "jsonfile.read_lines", (".jsonl", ".ndjson"), version=3, has_fields=True)
CSV = Kind("csv", "tables", (".csv", ".tsv", ".tab"), version=5, has_fields=True)
JSON = Kind("json", "jsonfile", (".json",), version=3, has_fields=True)
PDF = Kind("pdf", "pdf", (".pdf",), version=3, seeks=True)
DOCX = Kind("docx", "docx", (".docx", ".docm", ".dotx", ".dotm"), version=6, seeks=True)
EPUB = Kind("epub", "epub", (".epub",), seeks=True, version=5)
XLSX = Kind("xlsx", "spreadsheets", (".xlsx", ".xlsm", ".xltx", ".xltm"), seeks=True, version=4)
PPTX = Kind("pptx", "slides", (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"), seeks=True, version=3)
ODT = Kind("odt", "opendocument", (".odt", ".ott", ".odp", ".otp"), seeks=True, version=3)
ODS = Kind("ods", "spreadsheets.read_ods", (".ods", ".ots"), seeks=True, version=4)
RTF = Kind("rtf", "rtf", (".rtf",), version=4)
MAIL = Kind("mail", "mail", (".eml", ".mbox", ".mbx", ".mht", ".mhtml"), version=4)
MAN = Kind("man", "manpage", (), version=2)  # known by _MAN_SUFFIX

_ALL = (TEXT, CODE, MARKDOWN, HTML, JSON_LINES, CSV, JSON, PDF, DOCX, EPUB, XLSX, PPTX, ODT, ODS, RTF, MAIL, MAN)
KINDS = {kind.name: kind for kind in _ALL}
# These names stand at the beginning of an archive; the last is in all archives of Office.
_IN_ARCHIVES = (
    (b"mimetypeapplication/epub+zip", EPUB),
    (b"mimetypeapplication/vnd.oasis.opendocument.text", ODT),
    (b"mimetypeapplication/vnd.oasis.opendocument.presentation", ODT),
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", ODS),
    (b"xl/workbook.xml", XLSX),
    (b"ppt/presentation.xml", PPTX),
    (b"[Content_Types].xml", DOCX),
)
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


def is_packed(name: str) -> bool:
    """Tells whether a file's name says that gzip made it."""
    return name.lower().endswith(PACKED)


def by_name(name: str) -> Kind | None:
    """Returns the format that a file's name says, None if it says nothing."""
    suffix = PurePath(name[: -len(PACKED)] if is_packed(name) else name).suffix.lower()
    return _BY_SUFFIX.get(suffix) or (MAN if _MAN_SUFFIX.fullmatch(suffix) else None)


def is_asked_as_it_stands(name: str) -> bool:
    """Tells whether a question about a file of this name is asked of its text as it stands."""
    kind = by_name(name)
    return not is_packed(name) and (kind is None or kind.is_asked_as_it_stands)


def needs_look(kind: Kind | None) -> bool:
    """Tells whether the file's beginning must confirm the format that its name says."""
    return kind is None or kind in (JSON, MAN)


def by_head(kind: Kind | None, head: bytes, *, is_named: bool) -> Kind | None:
    """Returns the format of a file whose name said `kind`, by its first HEAD_BYTES; None if it is not read.

    Args:
        kind: the name's format, for which `needs_look` is true.
        head: the file's beginning.
        is_named: whether the user named the file itself. Then text in another encoding than UTF-8 passes as text, and
            any JSON passes as JSON, so that its reader can report the fault.
    """
    if kind is JSON:
        return of_json(head) or (kind if is_named else None)
    if kind is MAN and _IS_MAN_PAGE.search(head) and b"\0" not in head:
        return MAN
    found = by_content(head)
    return None if found is TEXT and not is_named and not _is_text(head) else found


def is_formatted(head: bytes) -> bool:
    """Tells whether a file that begins so is in a format other than text that is read."""
    return head.startswith(OLD_OFFICE) or by_content(head) not in (None, TEXT)


def by_content(head: bytes) -> Kind | None:
    """Returns the format that a file's first HEAD_BYTES look like, None if they are not text."""
    if head.startswith(b"%PDF-"):
        return PDF
    if head.startswith(_ZIP):
        return next((kind for mark, kind in _IN_ARCHIVES if mark in head), None)
    if head.lstrip().startswith(b"{\\rtf"):
        return RTF
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    if _IS_MAIL.match(head) and len(_MAIL_FIELDS.findall(head.partition(b"\n\n")[0])) > 2:
        return MAIL
    return HTML if _IS_PAGE.match(head) else TEXT


def _is_text(head: bytes) -> bool:
    """Tells whether a file begins with text in UTF-8, and is not empty."""
    if not head or _CONTROL.search(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def of_json(head: bytes) -> Kind | None:
    """Returns the format of a file named as JSON, by its beginning; None if it has no lines, no SQuAD and no array."""
    import json  # imported here, because other formats do not need it

    head = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _ARRAY.match(head) or _SQUAD.search(head):
        return JSON
    first, _, rest = head.partition(b"\n")
    try:
        is_line = isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return None
    return JSON_LINES if is_line and rest.lstrip().startswith(b"{") else None
