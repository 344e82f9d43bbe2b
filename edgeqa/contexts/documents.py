"""Where texts come from: strings, files and standard input, each as a `Document` that yields NFC text in blocks.

In: what the user named. Out: blocks of about 64 KB, so that a text of any size takes little memory. A document can be
read more than once. Anything that is not UTF-8 text is a `ContextError` that names the file and the place.
"""

from __future__ import annotations

import codecs
import contextlib
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from edgeqa.contexts.normal import nfc_blocks
from edgeqa.contexts.spool import BLOCK_BYTES, Spool
from edgeqa.errors import (
    ContextBinary,
    ContextEncoding,
    ContextIsDirectory,
    ContextNotFound,
    ContextType,
    ContextUnreadable,
    ContextUTF16,
)

if TYPE_CHECKING:
    from edgeqa.formats.blocks import Block

BETWEEN_RECORDS = "\n\n"
HELD_BYTES = 1 << 22  # what is larger is read from its file again, or from a copy on disk

Given: TypeAlias = "str | Path | Document | Sequence[str | Path | Document]"


@dataclass(frozen=True, slots=True)
class Document:
    """A text with a name."""

    name: str
    size_bytes: int
    """Size in UTF-8, before normalisation."""
    blocks: Callable[[], Iterator[str]]
    """Begins reading: yields the NFC text in blocks."""
    raw: Callable[[], Iterator[bytes]]
    """Begins reading: yields what the text depends on: the bytes as they are, unchecked, or a digest of them."""
    records: Callable[[], Iterator[Iterable[Block]]]
    """Begins reading: yields the text's structure, a record after the other, "\n\n" between them in the text."""
    part_at: Callable[[int], tuple[str, int]] | None = None
    """Of a file of several parts, as pages, tells which one a place in the text is in, as far as it was read: what its
    name has beyond the file's, `#12`, and where it begins."""
    left_out: Callable[[], list[tuple[str, str]]] | None = None
    """Of such a file, returns which parts have no text, `#13`, each with why, as far as it was last read."""


def documents(given: Given) -> list[Document]:
    """Returns the documents that `given` names: a str is a text, a Path a file.

    Raises:
        ContextError: for a file that is not there, or a value of another type. Contents are checked when they are read.
    """
    if isinstance(given, Document):
        return [given]
    if isinstance(given, str):
        return [from_text(given)]
    if isinstance(given, Path):
        return [from_path(given)]
    if not isinstance(given, Sequence) or isinstance(given, (bytes, bytearray)):
        raise ContextType(given)
    found: list[Document] = []
    for number, one in enumerate(given, 1):
        if isinstance(one, str):
            found.append(from_text(one, f"text {number}"))
        elif isinstance(one, (Path, Document)):
            found += documents(one)
        else:
            raise ContextType(one)
    return found


def from_text(text: str, name: str = "text") -> Document:
    """Returns `text` as a document."""

    def pieces() -> Iterator[str]:
        return (text[i : i + BLOCK_BYTES] for i in range(0, len(text), BLOCK_BYTES))

    def raw() -> Iterator[bytes]:
        return (piece.encode("utf-8", "surrogatepass") for piece in pieces())

    if text.isascii():  # in NFC already
        return Document(name, len(text), pieces, raw, lambda: _structure(pieces()))
    return Document(
        name, sum(map(len, raw())), lambda: nfc_blocks(pieces()), raw, lambda: _structure(nfc_blocks(pieces()))
    )


def _structure(pieces: Iterable[str]) -> Iterator[Iterable[Block]]:
    """Yields the structure of a plain text, which is one record."""
    from edgeqa.formats.plain import structured  # here: a remembered answer does without

    yield structured(pieces)


def from_path(path: Path) -> Document:
    """Returns the file at `path` as a document, in the format that its ending or its content says, else as text."""
    if path.suffix.lower() == ".txt":
        return from_file(path)
    from edgeqa.formats import kinds  # here: a text that is given as such does without

    is_known = kinds.by_name(path.name) is not None
    if kinds.is_asked_as_it_stands(path.name) and (is_known or not kinds.is_formatted(_head(path, kinds.HEAD_BYTES))):
        return from_file(path)
    from edgeqa.formats.whole import from_formatted

    return from_formatted(path)


def _head(path: Path, most_bytes: int) -> bytes:
    """Returns the beginning of a file; nothing of a pipe, or of what cannot be read, which is said when it is."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb", buffering=0) as stream:
            return stream.read(most_bytes)
    except (OSError, ValueError):
        return b""


def from_file(path: Path) -> Document:
    """Returns the UTF-8 file at `path` as a document, as it stands."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ContextNotFound(path) from error
    except (OSError, ValueError) as error:
        raise ContextUnreadable(path, reason(error)) from error
    if stat.S_ISDIR(found.st_mode):
        raise ContextIsDirectory(path)

    def raw() -> Iterator[bytes]:
        try:
            with path.open("rb") as stream:
                yield from blocks_of(stream)
        except OSError as error:
            raise ContextUnreadable(path, reason(error)) from error

    if found.st_size <= HELD_BYTES or not stat.S_ISREG(found.st_mode):
        # Read once: a pipe cannot be read again, and what is hashed must be what is read, whoever writes meanwhile.
        return _copy(Spool(checked(raw(), str(path)), str(path), HELD_BYTES), str(path))

    def text() -> Iterator[str]:
        return nfc_blocks(decode(raw(), str(path)))

    return Document(str(path), found.st_size, text, raw, lambda: _structure(text()))


@contextlib.contextmanager
def from_stream(stream: IO[bytes], name: str) -> Iterator[Document]:
    """Gives what `stream` holds as a document, which lives as long as the context manager."""

    def raw() -> Iterator[bytes]:
        try:
            yield from blocks_of(stream)
        except OSError as error:
            raise ContextUnreadable(name, reason(error)) from error

    with contextlib.closing(Spool(checked(raw(), name), name, HELD_BYTES)) as spool:
        yield _copy(spool, name)


def _copy(spool: Spool, name: str) -> Document:
    def text() -> Iterator[str]:
        return nfc_blocks(decode(spool.read(), name))

    return Document(name, spool.size_bytes, text, spool.read, lambda: _structure(text()))


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yields what is left of the stream."""
    while block := stream.read(BLOCK_BYTES):
        yield block


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
        ContextError: naming `name` and the offset of what is not UTF-8 text.
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
    waiting = len(decoder.getstate()[0])  # bytes of a character that the block before cut in two
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise ContextEncoding(name, offset_bytes - waiting + error.start, error.object[error.start]) from error


def reason(error: Exception) -> str:
    """Returns why the operating system refused, in its words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
