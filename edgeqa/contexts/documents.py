"""Where texts come from: strings, files and standard input, each as a `Document` that yields NFC text in blocks.

In: what the user named. Out: blocks of about 64 KB, so that a text of any size takes little memory. A document can be
read more than once. Anything that is not UTF-8 text is a `ContextError` that names the file and the place.
"""

from __future__ import annotations

import codecs
import contextlib
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from edgeqa.contexts.normal import nfc_blocks
from edgeqa.errors import (
    ContextBinary,
    ContextEncoding,
    ContextIsDirectory,
    ContextNotFound,
    ContextType,
    ContextUnreadable,
)

BLOCK_BYTES = 1 << 16
SPOOL_BYTES = 1 << 22  # standard input beyond this goes to a temporary file, to be read again from there

Given: TypeAlias = "str | Path | Document | Sequence[str | Path | Document]"


@dataclass(frozen=True, slots=True)
class Document:
    """A text with a name."""

    name: str
    size_bytes: int
    """Size before normalisation, for showing progress."""
    blocks: Callable[[], Iterator[str]]
    """Begins reading: yields the NFC text in blocks."""


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
        return [from_file(given)]
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
    pieces = range(0, len(text), BLOCK_BYTES)
    return Document(name, len(text), lambda: nfc_blocks(text[i : i + BLOCK_BYTES] for i in pieces))


def from_file(path: Path) -> Document:
    """Returns the UTF-8 file at `path` as a document."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ContextNotFound(path) from error
    except (OSError, ValueError) as error:
        raise ContextUnreadable(path, _reason(error)) from error
    if stat.S_ISDIR(found.st_mode):
        raise ContextIsDirectory(path)

    def blocks() -> Iterator[str]:
        try:
            with path.open("rb") as stream:
                yield from nfc_blocks(_decode(stream, str(path)))
        except OSError as error:
            if isinstance(error, ContextUnreadable):
                raise
            raise ContextUnreadable(path, _reason(error)) from error

    return Document(str(path), found.st_size, blocks)


@contextlib.contextmanager
def from_stream(stream: IO[bytes], name: str) -> Iterator[Document]:
    """Gives what `stream` holds as a document, which lives as long as the context manager."""
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        try:
            while block := stream.read(BLOCK_BYTES):
                spool.write(block)
        except (OSError, ValueError) as error:
            raise ContextUnreadable(name, _reason(error)) from error
        size_bytes = spool.tell()

        def blocks() -> Iterator[str]:
            spool.seek(0)
            yield from nfc_blocks(_decode(spool, name))

        yield Document(name, size_bytes, blocks)


def _decode(stream: IO[bytes], name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset_bytes = 0
    while block := stream.read(BLOCK_BYTES):
        if (nul := block.find(b"\0")) >= 0:
            raise ContextBinary(name, offset_bytes + nul)
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


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
