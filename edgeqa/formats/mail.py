"""Mails: EML, a mail a file, and MBOX, the mails of a folder one after the other, each a record.

In: bytes. Out: records named `FILE`, or `FILE#3` after their place in a folder, titled after the subject. From, To,
Date and Subject come first, as rows; then the text as it was written, quotes included, or what the page says where
there is no text; then the names of what is attached. Attachments are not read: their bytes are left out before the mail
is parsed, by Python's `email`, so that a mail of any size takes little memory.

The formats: RFC 5322, RFC 2045 and 2046, RFC 4155.
"""

from __future__ import annotations

import codecs
import contextlib
import email.errors
import email.policy
import re
from dataclasses import dataclass, field, replace
from email.parser import BytesFeedParser
from itertools import chain
from typing import TYPE_CHECKING, TypeVar, cast

from edgeqa.formats import plain, webpage
from edgeqa.formats.blocks import Block, FileDamaged, FileExcessive, FormatOptions, Record, one_line
from edgeqa.formats.markup import known_encoding
from edgeqa.formats.prose import Draft
from edgeqa.formats.text import BLOCK_BYTES, lines_of, nfc, nfc_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage, MIMEPart

MAX_HEADER_BYTES = 1 << 18  # of a mail or a part of one
MAX_FIELD_BYTES = 4000  # of one field: parsing takes time that grows with the square
MAX_TEXT_BYTES = 1 << 24  # of the text of a mail, without what is attached
MAX_PARTS = 500
MAX_LINE_BYTES = 1 << 20
MAX_ATTACHMENTS = 100  # named
MAX_STUB_CHARACTERS = 500
MAX_DEPTH = 5  # of mails within mails
_FIELDS = ("From", "To", "Cc", "Date", "Subject")
_BEGINS = re.compile(rb"From .*[0-9]:[0-9]{2}")  # with a time; a sentence may begin with the word
_KIND = re.compile(rb"^content-type:[ \t]*([\w.+-]+)/([\w.+-]+)", re.IGNORECASE | re.MULTILINE)
_UNQUOTED = re.compile(rb"(boundary[ \t]*=[ \t]*)([^\";\s]+)", re.IGNORECASE)
_XHTML = (b"application", b"xhtml+xml")
_BOUNDARY = re.compile(rb"boundary[ \t]*=[ \t]*\"?([^\";\r\n]{1,200})", re.IGNORECASE)
_ATTACHED = re.compile(rb"^content-disposition:[ \t]*attachment", re.IGNORECASE | re.MULTILINE)
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_CUT = re.compile(r"(?<!^--) \n(?!>|-- )", re.MULTILINE)

_PAGE = "application/xhtml+xml"
_NOT_SHOWN = ("text/css", "text/javascript", "text/x-amp-html")  # how a page looks; what it says, once more

_T = TypeVar("_T")


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a mail; those without text and subject are left out.

    Raises:
        FormatError: if it is no mail, or more than is read of one.
    """
    long = FileExcessive(name, f"one of its lines is longer than {MAX_LINE_BYTES} bytes")
    lines = lines_of(blocks, b"\n", MAX_LINE_BYTES, lambda _: long)
    first = next(lines, b"").removeprefix(codecs.BOM_UTF8)
    while first and not first.strip():
        first = next(lines, b"")
    if _BEGINS.match(first):
        yield from _folder(lines, name)
        return
    if not _FIELD.match(first):
        raise FileDamaged(name, "mail", "it does not begin with the fields of a mail")
    yield from _mail(chain([first], lines), name, name)


def _folder(lines: Iterator[bytes], name: str) -> Iterator[Record]:
    """Yields the mails of a folder, the first of which has begun."""
    number = 0
    more = True
    while more:
        number += 1
        one = _One(lines)
        try:
            yield from _mail(one, f"{name}#{number}", name)
        except FileExcessive as error:  # this one; the others are read
            yield Record(f"{name}#{number}", "", (), note=str(error))
        for _ in one:
            pass
        more = one.another_follows


class _One:
    """The lines of one mail of a folder: up to a line that begins with "From ", after a blank one."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._after_blank = False
        self.another_follows = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.another_follows:
            raise StopIteration
        line = next(self._lines)
        if self._after_blank and _BEGINS.match(line):
            self.another_follows = True
            raise StopIteration
        self._after_blank = not line.strip()
        # What begins with "From " within a mail was marked when it was put into the folder.
        return line[1:] if line.startswith(b">From ") else line


def _mail(lines: Iterator[bytes], record_name: str, name: str) -> Iterator[Record]:
    which = f"mail {record_name[len(name) + 1 :]}" if record_name != name else "the mail"
    parser = BytesFeedParser(policy=email.policy.default)
    try:
        for line in _without_attachments(lines, name, which):
            parser.feed(line)
        message = cast("EmailMessage", parser.close())
        blocks = [block for block in _blocks(message, name) if block.text]
    except RecursionError as error:
        raise FileExcessive(name, f"{which}: parts within parts") from error
    if blocks:
        blocks[0] = replace(blocks[0], before="")
        yield Record(record_name, one_line(_field(message, "Subject")), iter(blocks))


# --- bytes -----------------------------------------------------------------------------------------------------------


def _without_attachments(lines: Iterator[bytes], name: str, which: str) -> Iterator[bytes]:
    """Yields the lines of a mail but those that its attachments, pictures and the like consist of."""
    boundaries: set[bytes] = set()
    headers: list[bytes] = []
    in_headers, is_left_out = True, False
    header_bytes = text_bytes = parts = 0
    for line in lines:
        if in_headers:
            header_bytes += len(line)
            if header_bytes > MAX_HEADER_BYTES:
                raise FileExcessive(name, f"{which}: headers of more than {MAX_HEADER_BYTES} bytes")
            headers.append(line)
            if line.strip():
                continue
            whole = _FOLDED.sub(b" ", b"".join(headers))
            yield from _cut(whole)
            headers, header_bytes = [], 0
            found = _KIND.search(whole)
            kind, more = (found[1].lower(), found[2].lower()) if found is not None else (b"text", b"plain")
            in_headers = kind == b"message"  # a mail within: its headers follow
            is_text = kind in (b"text", b"multipart", b"message") or (kind, more) == _XHTML
            is_left_out = not is_text or _ATTACHED.search(whole) is not None
            boundaries |= {boundary.strip() for boundary in _BOUNDARY.findall(whole)[:1] if boundary.strip()}
            parts += 1
            if parts > MAX_PARTS:
                raise FileExcessive(name, f"{which}: more than {MAX_PARTS} parts")
        elif line.startswith(b"--") and (rest := line[2:].rstrip()) and _is_boundary(rest, boundaries):
            is_left_out, in_headers = False, rest in boundaries
            yield line
        elif not is_left_out:
            text_bytes += len(line)
            if text_bytes > MAX_TEXT_BYTES:
                raise FileExcessive(name, f"{which}: text of more than {MAX_TEXT_BYTES} bytes")
            yield line
    yield from headers


def _cut(headers: bytes) -> Iterator[bytes]:
    """Yields the fields of headers, none longer than is parsed in a moment."""
    for line in headers.splitlines():
        # What is not in quotes may have signs that belong in some.
        whole = _UNQUOTED.sub(rb'\1"\2"', line) if line[:13].lower() == b"content-type:" else line
        yield whole[:MAX_FIELD_BYTES] + b"\n"


def _is_boundary(rest: bytes, boundaries: set[bytes]) -> bool:
    return rest in boundaries or rest.removesuffix(b"--") in boundaries


# --- parts -----------------------------------------------------------------------------------------------------------


def _safely(function: Callable[[], _T]) -> _T | None:
    """Returns what a function of `email` returns, None where it stumbles over headers that are none."""
    try:
        return function()
    except (email.errors.MessageError, LookupError, ValueError, AttributeError, TypeError, AssertionError):
        return None


def _field(message: MIMEPart, wanted: str) -> str:
    """Returns a field of the headers, on one line."""
    for called, raw in message.raw_items():
        if called.lower() == wanted.lower():
            text = _safely(lambda: str(email.policy.default.header_fetch_parse(wanted, str(raw))))  # noqa: B023 - now
            return " ".join((text if text is not None else str(raw)).split())
    return ""


def _blocks(message: MIMEPart, name: str, depth: int = 0) -> Iterator[Block]:
    """Yields the fields of a mail, its text, the mails within it, and what is attached."""
    draft = Draft()
    for name_of_field in _FIELDS:
        if text := _field(message, name_of_field):
            draft.row([name_of_field, text], begins=not draft.rows)
    yield from draft.pop()
    mail = _Mail(name, depth, _sheets(message))
    yield from _shown(message, mail)
    if mail.attached:
        yield Block(nfc(f"Attachments: {', '.join(mail.attached)}"), "\n\n")


@dataclass(frozen=True, slots=True)
class _Mail:
    """What holds for all parts of a mail."""

    name: str
    depth: int
    sheets: dict[str, str]
    """The style sheets in a saved page, by their places."""
    attached: list[str] = field(default_factory=list)


def _sheets(message: MIMEPart) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in message.walk():
        if part.get_content_type() == "text/css":
            for place in (part.get("content-location"), part.get("content-id")):
                if place is not None:
                    found[str(place).strip(" <>\r\n").removeprefix("cid:")] = _content(part)
    return found


def _parts(part: MIMEPart) -> list[MIMEPart]:
    return _safely(lambda: list(part.iter_parts())) or []


def _shown(part: MIMEPart, mail: _Mail) -> Iterator[Block]:
    """Yields what a part says, of several forms one; notes the names of what is attached."""
    kind = part.get_content_type()
    if kind == "message/rfc822" and part.is_multipart():
        for inner in _parts(part) if mail.depth < MAX_DEPTH else ():
            yield from _apart(_blocks(inner, mail.name, mail.depth + 1))
    elif kind == "multipart/alternative" and part.is_multipart():
        yield from _alternative(_parts(part), mail)
    elif part.is_multipart():
        for inner in _parts(part):
            yield from _shown(inner, mail)
    elif part.get_content_disposition() == "attachment" or not kind.startswith(("text/", "multipart/", _PAGE)):
        filename = _safely(part.get_filename)
        if filename and len(mail.attached) < MAX_ATTACHMENTS:
            mail.attached.append(" ".join(str(filename).split()))
    elif kind not in _NOT_SHOWN and (text := _content(part)).strip():
        yield from _apart(_text(part, text, mail))


def _alternative(parts: list[MIMEPart], mail: _Mail) -> Iterator[Block]:
    """Yields the text as it was written; what the page says where there is none, or where that says far more."""
    best: list[Block] = []
    for part in parts:
        found = [*_shown(part, mail)]
        if not best or _is_stub(best, found):
            best = found
    yield from best


def _is_stub(written: list[Block], page: list[Block]) -> bool:
    """Tells whether a text only says that there is a page."""
    characters = sum(len(block.text) for block in written)
    return characters < MAX_STUB_CHARACTERS and sum(len(block.text) for block in page) > 4 * characters + 100


def _apart(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yields blocks, the first of them after a blank line."""
    first = next(blocks, None)
    if first is not None:
        yield replace(first, before="\n\n")
        yield from blocks


def _content(part: MIMEPart) -> str:
    """Returns the text of a part, in the character set that it declares; in UTF-8 where it declares none or another."""
    data = _safely(lambda: part.get_payload(decode=True))
    if not isinstance(data, bytes):
        payload = part.get_payload()  # of several parts, where the mail says so and there are none
        data = payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else b""
    found = _decoded(data, str(_safely(part.get_content_charset) or "us-ascii").lower())
    found = found.replace("\r\n", "\n").replace("\0", "")
    return _flowed(found) if _safely(lambda: part["content-type"].params["format"]) == "flowed" else found


def _decoded(data: bytes, charset: str) -> str:
    """Returns text: what is declared as ASCII, or in no way that is known, is in UTF-8, or as Windows has it."""
    known = known_encoding(charset)
    if charset in ("us-ascii", "ascii", "ansi_x3.4-1968") or known == "utf-8":
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("utf-8")
    return data.decode("cp1252" if known == "utf-8" and charset != "utf-8" else known, "replace")


def _flowed(text: str) -> str:
    """Returns text with the lines put together that a mail program has cut (RFC 3676)."""
    return _CUT.sub(" ", text)


def _text(part: MIMEPart, text: str, mail: _Mail) -> Iterator[Block]:
    kind = part.get_content_type()
    if kind in ("text/html", _PAGE):
        page = webpage.Page(is_xml=kind == _PAGE, sheet=lambda href: mail.sheets.get(href.removeprefix("cid:"), ""))
        yield from page.blocks([text])
    else:
        lines = text.strip("\n").rstrip()
        pieces = (lines[at : at + BLOCK_BYTES] for at in range(0, len(lines), BLOCK_BYTES))
        yield from plain.structured(nfc_blocks(pieces))
