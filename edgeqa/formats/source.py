"""A file that records come from: its name, its digest, and its records, read anew each time.

In: a file or a copy of a stream, and its format. Out: records, one at a time, so that a file of any size takes little
memory. A file is read twice, for its digest and for its records; if it changed between or meanwhile, that is an error.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from edgeqa.contexts.documents import blocks_of, reason
from edgeqa.digests import blake2b
from edgeqa.errors import ContextChanged, ContextError, ContextNotFound, ContextUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.kinds import Kind
    from edgeqa.formats.records import FormatOptions, Record

DIGEST_BYTES = 16


class Source:
    """One file, or standard input. Opens nothing before it is asked for its digest or its records."""

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
        """As a user would write it: the path given, joined with what is below it."""
        self.size_bytes = size_bytes
        self.format = kind.name
        self.reader = f"{kind.name} {kind.version}"
        """Which reader makes its records, and of which version."""
        self.is_piped = is_piped
        """Whether it came through a pipe: its name says from where, but there is nothing there any more."""
        self._kind = kind
        self._open_content = open_content
        self._options = options
        self._content_digest: bytes | None = None
        self.notes: list[tuple[str, str]] = []
        """What has no text in what was read, by its name, and why: a part that is missing, or a picture of text."""

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.format})"

    def digest(self) -> bytes:
        """Returns 16 bytes that change with the content, its format, and the options that matter for it.

        Raises:
            ContextError: if it cannot be read.
        """
        return self._digest_by(self._kind.version)

    def was_read_by(self, reader: str, digest: bytes) -> bool:
        """Tells whether `digest` is that of this very content, read with these options by its reader of any version.

        Args:
            reader: its name and version, as `reader` has them; "" for what edgeqa 0.3 had, all of version 1.
            digest: what was noted then.

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
            ContextChanged: at the end, if it is not what `digest` saw.
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
                for _ in blocks:  # what the reader had no need of
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
        """Yields what is left of the stream; wherever it is consumed, an error is ours."""
        try:
            for block in blocks_of(stream):
                hashed.update(block)
                yield block
        except OSError as error:
            raise ContextUnreadable(self.name, reason(error)) from error
