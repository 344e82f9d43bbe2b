"""Documents of the strings, files and streams that a caller gives, and the question on one line.

In: the caller's arguments. Out: documents that yield NFC text in blocks of about 64 KB, so that a text of any size
takes little memory. Each document can be read more than once. A file in a format of its own is one document, too: the
text of all its records, with a blank line between them. Reading notes where each record begins, so that a place in the
text has a page or a chapter; the answers on such a file are remembered under the digest of the file. A text that cannot
be read is a `ContextError` that names the file and the place.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from edgeqa.errors import (
    ContextIsDirectory,
    ContextNotFound,
    ContextType,
    ContextUnreadable,
    EmptyQuestion,
    QuestionType,
)
from edgeqa.formats import BLOCK_BYTES, arriving, blocks_of, checked, decode, nfc, nfc_blocks, reason
from edgeqa.formats.source import HELD_BYTES, Spool

if TYPE_CHECKING:
    from edgeqa.formats.blocks import Block
    from edgeqa.formats.source import Source

BETWEEN_RECORDS = "\n\n"

Given: TypeAlias = "str | Path | Document | Sequence[str | Path | Document]"


class Document:
    """A text with a name.

    This is no dataclass, nor is `SourcePassage`: every start makes these classes, and dataclasses take 0.9 ms longer.
    """

    __slots__ = ("blocks", "left_out", "name", "part_at", "raw", "records", "size_bytes")

    def __init__(
        self,
        name: str,
        size_bytes: int,
        blocks: Callable[[], Iterator[str]],
        raw: Callable[[], Iterator[bytes]],
        records: Callable[[], Iterator[Iterable[Block]]],
        part_at: Callable[[int], tuple[str, int]] | None = None,
        left_out: Callable[[], list[tuple[str, str]]] | None = None,
    ) -> None:
        self.name: Final = name
        self.size_bytes: Final = size_bytes
        """Size in UTF-8, before normalisation."""
        self.blocks: Final = blocks
        """Begins reading: yields the NFC text in blocks."""
        self.raw: Final = raw
        """Begins reading: yields what the text depends on: the bytes as they are, unchecked, or a digest of them."""
        self.records: Final = records
        """Begins reading: yields the text's structure, a record after the other, "\n\n" between them in the text."""
        self.part_at: Final = part_at
        """Tells which part of the file a place in the text is in, for files of several parts, such as pages.

        It returns the part's name behind the file's, `#12`, and where the part begins; it knows the parts read so far.
        """
        self.left_out: Final = left_out
        """Returns the parts of such a file that have no text, `#13`, each with the reason, as far as last read."""


def on_one_line(question: str) -> str:
    """Returns the question as it is asked: NFC, its white space collapsed.

    Raises:
        QuestionError: if nothing is left of it, or it is no string.
    """
    if not isinstance(question, str):
        raise QuestionType(question)
    asked = " ".join(nfc(question).split())
    if not asked:
        raise EmptyQuestion
    return asked


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
    from edgeqa.formats.plain import structured  # imported here: a remembered answer does not need it

    yield structured(pieces)


def from_path(path: Path) -> Document:
    """Returns the file at `path` as a document, in the format that its ending or its content says, else as text."""
    if path.suffix.lower() == ".txt":
        return from_file(path)
    from edgeqa.formats import kinds  # here: a text that is given as such does without

    is_known = kinds.by_name(path.name) is not None
    if kinds.is_asked_as_it_stands(path.name) and (is_known or not kinds.is_formatted(_head(path, kinds.HEAD_BYTES))):
        return from_file(path)
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
            with path.open("rb", buffering=0) as stream:
                yield from blocks_of(stream) if stat.S_ISREG(found.st_mode) else arriving(stream)
        except OSError as error:
            raise ContextUnreadable(path, reason(error)) from error

    if found.st_size <= HELD_BYTES or not stat.S_ISREG(found.st_mode):
        # It is read once: a pipe cannot be read again, and the hashed text must be the text that is read.
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


def from_formatted(path: Path) -> Document:
    """Returns the file as a document.

    Raises:
        ContextError: if it is not there. Faults within the file are found later, when its text is read.
    """
    if path.is_dir():
        raise ContextIsDirectory(path)
    from edgeqa.formats.blocks import FormatOptions  # here: a text that is given as such does without
    from edgeqa.formats.folders import walk

    (source,) = walk([path], FormatOptions())
    whole = _WholeSource(source)
    raw = lambda: iter([source.digest()])  # noqa: E731 - as short as it is
    return Document(source.name, source.size_bytes, whole.blocks, raw, whole.records, whole.part_at, whole.left_out)


class _WholeSource:
    """The records of a source as one text."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: dict[int, str] = {}
        """The part of each record's name beyond the source's, by the place where the record begins."""

    def blocks(self) -> Iterator[str]:
        between = ""
        for blocks in self.records():
            yield between
            between = BETWEEN_RECORDS
            yield from (piece for block in blocks if (piece := block.before + block.text))

    def records(self) -> Iterator[Iterable[Block]]:
        place = 0

        def counted(blocks: Iterable[Block]) -> Iterator[Block]:
            nonlocal place
            for block in blocks:
                yield block
                place += len(block.before) + len(block.text)

        for number, record in enumerate(self._source.records()):
            place += len(BETWEEN_RECORDS) if number else 0
            self._parts[place] = record.name.removeprefix(self._source.name)
            yield counted(record.blocks)

    def left_out(self) -> list[tuple[str, str]]:
        return [(name.removeprefix(self._source.name), why) for name, why in self._source.notes]

    def part_at(self, place: int) -> tuple[str, int]:
        begins = max(begin for begin in list(self._parts) if begin <= place)
        return self._parts[begins], begins
