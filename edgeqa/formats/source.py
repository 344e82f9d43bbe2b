"""Sources: a source is a file, or a copy of a stream, with its name, its digest and its records.

In: a file or a stream, and its format. Out: records, one at a time, so that a file of any size takes little memory. A
file is read twice, for its digest and for its records; if it changes before the end of the second reading, that is an
error. A stream can be read only once, and is copied first: to memory if it is small, else to a temporary file without a
name.
"""

from __future__ import annotations

import io
import os
import weakref
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from edgeqa.digests import blake2b
from edgeqa.errors import (
    ContextChanged,
    ContextError,
    ContextNotFound,
    ContextTooLong,
    ContextUncopied,
    ContextUnreadable,
)
from edgeqa.formats import BLOCK_BYTES, blocks_of, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

    from edgeqa.formats.blocks import FormatOptions, Record
    from edgeqa.formats.kinds import Kind

DIGEST_BYTES = 16
HELD_BYTES = 1 << 22  # a copy is held in memory up to this size; the rest is on disk
MAX_BYTES = 1 << 30  # a copy is not larger: a temporary directory is often in memory, and `yes` never ends


class Source:
    """One file, or standard input. It is opened only once its digest or its records are needed."""

    def __init__(
        self,
        name: str,
        size_bytes: int,
        kind: Kind,
        options: FormatOptions,
        open_content: Callable[[], IO[bytes]],
        *,
        is_piped: bool = False,
    ) -> None:
        self.name = name
        """The name as a user would write it: the given path, joined with the path below it."""
        self.size_bytes = size_bytes
        self.format = kind.name
        self.reader = f"{kind.name} {kind.version}"
        """The name and the version of the reader that makes its records."""
        self.is_piped = is_piped
        """Whether it came through a pipe, so that nothing can be read again under its name."""
        self._kind = kind
        self._open_content = open_content
        self._options = options
        self._content_digest: bytes | None = None
        self.notes: list[tuple[str, str]] = []
        """The parts without text, by name, with the reason: they are missing, or pictures of text."""

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.format})"

    def digest(self) -> bytes:
        """Returns 16 bytes that change with the content, its format, and the options that matter for it.

        Raises:
            ContextError: if it cannot be read.
        """
        return self._digest_by(self._kind.version)

    def was_read_by(self, reader: str, digest: bytes) -> bool:
        """Tells whether `digest` is that of this content, read with these options by any version of its reader.

        Args:
            reader: the reader's name and version, in the form of `reader`; "" for edgeqa 0.3, which had version 1.
            digest: the digest that was noted then.

        Raises:
            ContextError: if the content cannot be read.
        """
        name, _, version = (reader or f"{self.format} 1").rpartition(" ")
        return name == self.format and version.isdecimal() and digest == self._digest_by(int(version))

    def _digest_by(self, version: int) -> bytes:
        kind, options = self._kind, self._options
        fields = (options.text_field, options.title_field) if kind.has_fields else ()
        reading = repr((kind.name, version, *fields)).encode()
        return blake2b(self.content_digest() + reading, digest_size=DIGEST_BYTES).digest()

    def content_digest(self) -> bytes:
        """Returns 16 bytes that change with the content alone.

        Raises:
            ContextError: if it cannot be read.
        """
        if self._content_digest is None:
            with self._opened() as stream:
                self._content_digest = self._digest(stream)
        return self._content_digest

    def records(self) -> Iterator[Record]:
        """Yields the documents in the file, in its order.

        Raises:
            FormatError: naming the place, if it is not in its format.
            ContextError: if it cannot be read, or is not the text that its format needs.
            ContextChanged: at the end, if the content is not the one of `digest`.
        """
        seen = self.content_digest()
        with self._opened() as stream:
            if self._kind.seeks:
                yield from self._with_text(self._kind.reader()(stream, self.name, self._options))
                stream.seek(0)
                found = self._digest(stream)
            else:
                hashed = blake2b(digest_size=DIGEST_BYTES)
                blocks = self._hashing(stream, hashed)
                yield from self._with_text(self._kind.reader()(blocks, self.name, self._options))
                for _ in blocks:  # the reader did not need this rest
                    pass
                found = hashed.digest()
            if found != seen:
                raise ContextChanged(self.name)

    def _with_text(self, records: Iterator[Record]) -> Iterator[Record]:
        self.notes = []
        for record in records:
            if record.note:
                self.notes.append((record.name, record.note))
            else:
                yield record

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with self._open_content() as stream:
                yield stream
        except FileNotFoundError as error:
            raise ContextNotFound(self.name) from error
        except OSError as error:
            if isinstance(error, ContextError):
                raise
            raise ContextUnreadable(self.name, reason(error)) from error

    def _digest(self, stream: IO[bytes]) -> bytes:
        hashed = blake2b(digest_size=DIGEST_BYTES)
        for _ in self._hashing(stream, hashed):
            pass
        return hashed.digest()

    def _hashing(self, stream: IO[bytes], hashed: blake2b) -> Iterator[bytes]:
        """Yields the rest of the stream; an error becomes one of ours, wherever the rest is consumed."""
        try:
            for block in blocks_of(stream):
                hashed.update(block)
                yield block
        except OSError as error:
            raise ContextUnreadable(self.name, reason(error)) from error


class Spool:
    """A copy of a stream, which takes all blocks when it is made."""

    def __init__(self, blocks: Iterable[bytes], name: str, held_bytes: int) -> None:
        """Copies the blocks.

        Args:
            blocks: the bytes to copy.
            name: the name in an error.
            held_bytes: how much to hold in memory; a larger copy is written in blocks of this size.

        Raises:
            ContextTooLong: if there are more than MAX_BYTES.
            ContextUncopied: if there is no room for them.
        """
        self.size_bytes = 0
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        for block in blocks:
            self.size_bytes += len(block)
            if self.size_bytes > MAX_BYTES:
                raise ContextTooLong(name, MAX_BYTES)
            self._held += block
            if len(self._held) > held_bytes:
                self._write(name)
        if self._file is not None:
            self._write(name)

    def read(self) -> Iterator[bytes]:
        """Begins reading: yields the bytes in blocks."""
        for place in range(0, self.size_bytes, BLOCK_BYTES):
            yield self.read_at(place, BLOCK_BYTES)

    def open(self) -> IO[bytes]:
        """Begins reading: returns a file with a position of its own, which can seek."""
        return io.BufferedReader(_Copy(self)) if self._file is not None else io.BytesIO(self._held)

    def read_at(self, place: int, size_bytes: int) -> bytes:
        """Returns up to `size_bytes` from `place` on."""
        if self._file is None:
            return bytes(self._held[place : place + size_bytes])
        return os.pread(self._file.fileno(), size_bytes, place)  # no use of the position, which another reader moves

    def close(self) -> None:
        """Frees the disk space; nothing can be read any more."""
        self.size_bytes = 0
        if self._file is not None:
            self._file.close()

    def _write(self, name: str) -> None:
        import tempfile  # imported here: that takes longer than to find a remembered answer

        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as the spool
                weakref.finalize(self, self._file.close)
            written = 0
            while written < len(self._held):
                written += self._file.write(memoryview(self._held)[written:])
        except OSError as error:
            raise ContextUncopied(name, tempfile.gettempdir(), error.strerror or str(error)) from error
        self._held = bytearray()


class _Copy(io.RawIOBase):
    """A spool as a file, with a position of its own."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._spool.size_bytes}[whence]
        self._place = max(0, origin + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        data = self._spool.read_at(self._place, len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)
