"""A copy of what can be read only once, so that it can be read again: in memory while it is small, else on disk.

In: blocks of bytes. Out: the same blocks, as often as wanted, also by several readers at a time. The temporary file has
no name, and goes when nothing can read from it any more. It looks at no content.
"""

from __future__ import annotations

import io
import os
import weakref
from typing import IO, TYPE_CHECKING

from edgeqa.errors import ContextTooLong, ContextUncopied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

BLOCK_BYTES = 1 << 16
MOST_BYTES = 1 << 30  # a temporary directory is often in memory, and `yes` never ends


class Spool:
    """Takes all of the blocks when it is made."""

    def __init__(self, blocks: Iterable[bytes], name: str, held_bytes: int) -> None:
        """Copies the blocks.

        Args:
            blocks: what to copy.
            name: what to call it in an error.
            held_bytes: how much to hold in memory; of more, as much is written at a time.

        Raises:
            ContextTooLong: if there are more than MOST_BYTES.
            ContextUncopied: if there is no room for them.
        """
        self.size_bytes = 0
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        for block in blocks:
            self.size_bytes += len(block)
            if self.size_bytes > MOST_BYTES:
                raise ContextTooLong(name, MOST_BYTES)
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
        """Begins reading: returns a file of its own, in which one can seek."""
        return io.BufferedReader(_Copy(self)) if self._file is not None else io.BytesIO(self._held)

    def read_at(self, place: int, size_bytes: int) -> bytes:
        """Returns up to `size_bytes` from `place` on."""
        if self._file is None:
            return bytes(self._held[place : place + size_bytes])
        return os.pread(self._file.fileno(), size_bytes, place)  # not by the position, which another reader moves

    def close(self) -> None:
        """Gives the disk space back now; nothing can be read any more."""
        self.size_bytes = 0
        if self._file is not None:
            self._file.close()

    def _write(self, name: str) -> None:
        import tempfile  # here: it takes longer to import than a remembered answer to find

        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the spool
                weakref.finalize(self, self._file.close)
            written = 0
            while written < len(self._held):
                written += self._file.write(memoryview(self._held)[written:])
        except OSError as error:
            raise ContextUncopied(name, tempfile.gettempdir(), error.strerror or str(error)) from error
        self._held = bytearray()


class _Copy(io.RawIOBase):
    """A spool as a file: holds the spool, and a position of its own."""

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
