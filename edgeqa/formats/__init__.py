"""Formats: text, code, manuals, pages, mails, documents and tables, each with a reader of its own.

In: files. Out: records. `folders.walk` finds the sources that paths name. Each `source.Source` gives its
`blocks.Record`s, as `blocks.FormatOptions` say. The format of a file is known quickly, without its reader.

This module decodes bytes and normalises text to NFC, piece by piece; every format begins with it. In: blocks of bytes,
or pieces of a text, cut anywhere. Out: blocks whose concatenation is the NFC form of the whole text. So a text larger
than memory can be normalised, and offsets count characters of one well-defined string. Bytes that are no UTF-8 are an
error that names the file and the place; formats that declare another encoding decode it themselves.
"""

from __future__ import annotations

import codecs
import re
import select
import unicodedata
from typing import IO, TYPE_CHECKING, Any, AnyStr

from edgeqa.errors import ContextBinary, ContextEncoding, ContextUTF16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import FileIO

    from edgeqa.errors import EdgeQAError

STANDARD_INPUT = "-"
"""The name of standard input among the names of files."""
PIPED_NAME = "standard input"
"""The words for standard input in messages, in the place of a file's name."""
BLOCK_BYTES = 1 << 16
SIGNALS_SEEN_MS = 200  # no wait for a pipe is longer
MAX_RUN_CHARACTERS = 1024  # a letter of a living language has a few marks
_UNDECODED = "[\udc80-\udcff]+"
_LONE_SURROGATE = "[\ud800-\udfff]"  # undecodable bytes of an argument become these; they are no text


def nfc(text: str) -> str:
    """Returns `text` in Unicode's normal form C, with U+FFFD for code points that are no character."""
    if text.isascii():  # most texts are, and the test is fast
        return text
    return unicodedata.normalize("NFC", re.sub(_LONE_SURROGATE, "\ufffd", in_utf8(text)))


def in_utf8(text: str) -> str:
    """Returns `text` with bytes that Python could not decode read as UTF-8: an ASCII locale leaves such arguments."""
    return re.sub(
        _UNDECODED, lambda found: found.group().encode("ascii", "surrogateescape").decode("utf-8", "replace"), text
    )


def nfc_blocks(pieces: Iterable[str]) -> Iterator[str]:
    """Yields blocks that together are the NFC form of all `pieces` together.

    A run of more than MAX_RUN_CHARACTERS, in which each composes with the character before, is no text. It is
    normalised in parts of that length, wherever the pieces end: the time to sort its marks grows with the square of its
    length.
    """
    kept = ""
    for piece in pieces:
        text = kept + piece
        parts, place = [], 0
        while (cut := _next_cut(text, place)) > place:
            parts.append(nfc(text[place:cut]))
            place = cut
        kept = text[place:]
        if parts:
            yield "".join(parts)
    if kept:
        yield nfc(kept)


def _next_cut(text: str, place: int) -> int:
    """Returns the end of a part from `place` on that can be normalised by itself; `place` if more text is needed."""
    if not place and text.isascii():
        return max(0, len(text) - 1)
    for cut in range(min(place + MAX_RUN_CHARACTERS, len(text) - 1), place, -1):
        if _begins_anew(text[cut]):
            return cut
    return place + MAX_RUN_CHARACTERS if len(text) > place + MAX_RUN_CHARACTERS else place


def _begins_anew(character: str) -> bool:
    # Only marks, and the vowels and finals of Hangul in single jamo, join the character before them.
    if character.isascii():
        return True
    return not ("\u1100" <= character <= "\u11ff") and unicodedata.category(character)[0] != "M"


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yields the rest of the stream, also where whoever opened it has it not wait for what is to come."""
    while True:
        block: bytes | None = stream.read(BLOCK_BYTES)
        if block is None:
            _has_come(stream)
        elif block:
            yield block
        else:
            return


def arriving(pipe: FileIO) -> Iterator[bytes]:
    """Yields what comes through a pipe, and waits for a short time again and again.

    A signal that comes between two steps of Python's, just before a wait begins, does not end that wait.
    """
    block = bytearray()
    while True:
        some: bytes | None = pipe.read(BLOCK_BYTES) if _has_come(pipe) else None
        block += some or b""
        if len(block) >= BLOCK_BYTES or some == b"":
            yield bytes(block)
            block.clear()
        if some == b"":
            return


def _has_come(stream: IO[bytes]) -> bool:
    """Waits for a short time; tells whether a stream can be read now without waiting."""
    ready = select.poll()
    ready.register(stream, select.POLLIN)
    return bool(ready.poll(SIGNALS_SEEN_MS))


def checked(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yields the blocks as long as they may be text in UTF-8; else raises ContextUTF16 or ContextBinary."""
    offset_bytes = 0
    for block in blocks:
        if not offset_bytes and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ContextUTF16(name)
        if (nul := block.find(b"\0")) >= 0:
            raise ContextBinary(name, offset_bytes + nul)
        yield block
        offset_bytes += len(block)


def decode(blocks: Iterable[bytes], name: str) -> Iterator[str]:
    """Yields text in UTF-8, without its byte order mark.

    Raises:
        ContextError: naming `name` and the offset of the first bytes that are no UTF-8 text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset_bytes = 0
    for block in checked(blocks, name):
        yield _text(decoder, block, name, offset_bytes).removeprefix("" if offset_bytes else "\ufeff")
        offset_bytes += len(block)
    yield _text(decoder, b"", name, offset_bytes, final=True)


def _text(
    decoder: codecs.IncrementalDecoder, block: bytes, name: str, offset_bytes: int, *, final: bool = False
) -> str:
    waiting = len(decoder.getstate()[0])  # bytes of a character that the end of the last block has cut
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise ContextEncoding(name, offset_bytes - waiting + error.start, error.object[error.start]) from error


def reason(error: Exception) -> str:
    """Returns the operating system's own words for its refusal."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def lines_of(
    blocks: Iterable[AnyStr], end: AnyStr, most: int, refused: Callable[[int], EdgeQAError]
) -> Iterator[AnyStr]:
    """Yields lines with their ends; the last line may have none.

    Args:
        blocks: text or bytes, cut anywhere.
        end: the end of a line.
        most: the greatest length of a line.
        refused: a function that makes the error for a longer line, from its number.
    """
    number, held = 1, 0
    parts: list[Any] = []  # all parts are text, or all are bytes
    for block in blocks:
        first, *others = block.split(end)
        parts.append(first)
        held += len(first)
        for line in others:
            yield end[:0].join((*parts, end))
            number, parts, held = number + 1, [line], len(line)
        if held > most:
            raise refused(number)
    if last := end[:0].join(parts):
        yield last
