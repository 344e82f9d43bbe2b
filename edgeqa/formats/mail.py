"""Mails: EML is a file of one mail, and MBOX a file with the mails of a folder. Each mail is a record.

In: bytes. Out: records called `FILE`, or `FILE#3` after their place in a folder, and titled after the subject. From,
To, Date and Subject come first, as rows. Then comes the text as it was written, quotes included, or the text of the
HTML page if there is no plain text. The names of the attachments come last. Attachments are not read: their bytes are
left out before Python's `email` parses the mail, so that a mail of any size takes little memory.

The formats are defined in RFC 5322, RFC 2045 and 2046, and RFC 4155.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import email.errors
import email.policy
import re
from dataclasses import dataclass, field, replace
from email.parser import BytesFeedParser
from itertools import chain
from typing import TYPE_CHECKING, TypeVar, cast

from edgeqa.formats import BLOCK_BYTES, lines_of, nfc, nfc_blocks, plain, webpage
from edgeqa.formats.blocks import Block, FileDamaged, FileExcessive, FormatOptions, Record, one_line
from edgeqa.formats.markup import known_encoding
from edgeqa.formats.prose import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from email.message import EmailMessage, MIMEPart

MAX_HEADER_BYTES = 1 << 18  # the headers of a mail, or of a part of one, have so many at most
MAX_FIELD_BYTES = 4000  # one field has so many at most: the time to parse it grows with the square
MAX_TEXT_BYTES = 1 << 24  # the text of a mail, without attachments, has so many at most
MAX_PARTS = 500
MAX_LINE_BYTES = 1 << 20
MAX_ATTACHMENTS = 100  # so many are named
MAX_STUB_CHARACTERS = 500
MAX_DEPTH = 5  # mails within mails are read so deep
_FIELDS = ("From", "To", "Cc", "Date", "Subject")
_BEGINS = re.compile(rb"From .*[0-9]:[0-9]{2}")  # a time must follow, since a sentence may begin with the word, too
_KIND = re.compile(rb"^content-type:[ \t]*([\w.+-]+)/([\w.+-]+)", re.IGNORECASE | re.MULTILINE)
_UNQUOTED = re.compile(rb"(boundary[ \t]*=[ \t]*)([^\";\s]+)", re.IGNORECASE)
_XHTML = (b"application", b"xhtml+xml")
_BOUNDARY = re.compile(rb"boundary[ \t]*=[ \t]*\"?([^\";\r\n]{1,200})", re.IGNORECASE)
_ATTACHED = re.compile(rb"^content-disposition:[ \t]*attachment", re.IGNORECASE | re.MULTILINE)
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_QUOTED = re.compile(r"(>*) ?(.*)")
_UNDECODED = re.compile("[\udc80-\udcff]")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_REPORTS = ("message/delivery-status", "message/disposition-notification")  # fields alone

_PAGE = "application/xhtml+xml"
_NOT_SHOWN = ("text/css", "text/javascript", "text/x-amp-html")  # these hold the look of a page, or its text once more

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
        except FileExcessive as error:  # only this mail is left out
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
        # A line of a mail that begins with "From " was marked when the mail was put into the folder.
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
    """Yields the lines of a mail without the content of its attachments, pictures and the like."""
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
            in_headers = kind == b"message"  # it is a mail within the mail, whose headers follow
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
    """Yields the fields of headers; each is short enough to be parsed in a moment."""
    for line in headers.splitlines():
        # What is not in quotes may have signs that belong in some.
        whole = _UNQUOTED.sub(rb'\1"\2"', line) if line[:13].lower() == b"content-type:" else line
        yield whole[:MAX_FIELD_BYTES] + b"\n"


def _is_boundary(rest: bytes, boundaries: set[bytes]) -> bool:
    return rest in boundaries or rest.removesuffix(b"--") in boundaries


# --- parts -----------------------------------------------------------------------------------------------------------


def _safely(function: Callable[[], _T]) -> _T | None:
    """Returns the result of a function of `email`; None if it fails on damaged headers."""
    try:
        return function()
    except (email.errors.MessageError, LookupError, ValueError, AttributeError, TypeError, AssertionError):
        return None


def _field(message: MIMEPart, wanted: str) -> str:
    """Returns a field of the headers, on one line."""
    for called, raw in message.raw_items():
        if called.lower() == wanted.lower():
            source = str(raw)
            if _UNDECODED.search(source):  # not encoded, against the rules
                source = _decoded(source.encode("utf-8", "surrogateescape"), "us-ascii")
            text = _safely(lambda: str(email.policy.default.header_fetch_parse(wanted, source)))  # noqa: B023 - now
            return " ".join((text if text is not None else source).split())
    return ""


def _blocks(message: MIMEPart, name: str, depth: int = 0) -> Iterator[Block]:
    """Yields the fields of a mail, its text, the mails within it, and the names of attachments."""
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
    """The state that all parts of a mail share."""

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
    """Yields the text of a part, in one of its forms; notes the names of attachments."""
    kind = part.get_content_type()
    if kind == "message/rfc822" and part.is_multipart():
        for inner in _parts(part) if mail.depth < MAX_DEPTH else ():
            yield from _apart(_blocks(inner, mail.name, mail.depth + 1))
    elif kind in _REPORTS and part.is_multipart():
        yield from _apart(iter(_reported(_parts(part))))
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


def _reported(parts: list[MIMEPart]) -> list[Block]:
    """Returns the fields of a delivery report, one table for each recipient."""
    draft = Draft()
    for part in parts:
        for number, (name, value) in enumerate(part.raw_items()):
            draft.row([name, " ".join(str(value).split())], begins=not number)
    return draft.pop()


def _alternative(parts: list[MIMEPart], mail: _Mail) -> Iterator[Block]:
    """Yields the text as it was written, or the text of the page if there is no other, or if it says far more."""
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
    """Returns the text of a part in its declared character set; in UTF-8 if it declares none or an unknown one."""
    data = _safely(lambda: part.get_payload(decode=True))
    if not isinstance(data, bytes):
        payload = part.get_payload()  # it is no text if the mail declares several parts and has none
        data = payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else b""
    charset = str(_safely(part.get_content_charset) or "us-ascii").lower()
    found = _decoded(data, charset)
    if str(_safely(lambda: part["content-transfer-encoding"]) or "").strip().lower() == "base64":
        found = _with_footer(part, found, charset)
    found = found.replace("\r\n", "\n").replace("\0", "")
    parameters: Mapping[str, str] = _safely(lambda: part["content-type"].params) or {}
    if str(parameters.get("format", "")).lower() != "flowed":
        return found
    return _flowed(found, deletes_space=str(parameters.get("delsp", "")).lower() == "yes")


def _with_footer(part: MIMEPart, found: str, charset: str) -> str:
    """Returns the text of a part in base64, and below it the lines that a mailing list has added as they stand."""
    lines = str(part.get_payload()).splitlines()
    end = next((number for number, line in enumerate(lines) if not _BASE64.fullmatch(line)), len(lines))
    if end == len(lines):
        return found
    data = "".join("".join(lines[:end]).split()).rstrip("=")
    with contextlib.suppress(ValueError):
        found = _decoded(base64.b64decode(data + "=" * (-len(data) % 4)), charset)
        return f"{found.rstrip()}\n\n" + "\n".join(lines[end:])
    return found


def _decoded(data: bytes, charset: str) -> str:
    """Returns text; without a known encoding other than ASCII, it is taken for UTF-8, else for that of Windows."""
    known = known_encoding(charset)
    if charset in ("us-ascii", "ascii", "ansi_x3.4-1968") or known == "utf-8":
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("utf-8")
    return data.decode("cp1252" if known == "utf-8" and charset != "utf-8" else known, "replace")


def _flowed(text: str, *, deletes_space: bool) -> str:
    """Returns text with the lines joined again that a mail program has cut, at each depth of quoting (RFC 3676).

    Args:
        text: the text of the mail.
        deletes_space: whether the blank at the end of a cut line is no part of the text.
    """
    written: list[str] = []
    open_depth = -1  # the depth of the last line, if it goes on
    for line in text.split("\n"):
        found = _QUOTED.fullmatch(line)
        marks, content = found.groups() if found is not None else ("", line)
        goes_on = content.endswith(" ") and content != "-- "
        content = content[:-1] if goes_on and deletes_space else content
        if len(marks) == open_depth and content != "-- ":
            written[-1] += content
        else:
            written.append(f"{marks} {content}" if marks else content)
        open_depth = len(marks) if goes_on else -1
    return "\n".join(line if line == "-- " else line.rstrip() for line in written)


def _text(part: MIMEPart, text: str, mail: _Mail) -> Iterator[Block]:
    kind = part.get_content_type()
    if kind in ("text/html", _PAGE):
        page = webpage.Page(is_xml=kind == _PAGE, sheet=lambda href: mail.sheets.get(href.removeprefix("cid:"), ""))
        yield from page.blocks([text])
    else:
        lines = text.strip("\n").rstrip()
        pieces = (lines[at : at + BLOCK_BYTES] for at in range(0, len(lines), BLOCK_BYTES))
        yield from plain.structured(nfc_blocks(pieces))
