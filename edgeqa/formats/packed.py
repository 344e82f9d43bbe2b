"""Files packed with gzip, unpacked as they are read: nothing goes to disk, and what is unpacked is bounded.

In: an open file. Out: a file of what is in it, to be read from beginning to end; a file that is not packed, whatever
its name says, as it is.
"""

from __future__ import annotations

import io
import zlib
from typing import IO, TYPE_CHECKING

from edgeqa.formats.archive import MOST_UNPACKED_BYTES
from edgeqa.formats.errors import FileDamaged, FileExcessive

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MAGIC = b"\x1f\x8b"
_WITH_HEADER = 16 + zlib.MAX_WBITS
_READ_BYTES = 1 << 16


def unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    """Returns what is in a file that gzip made, to be read once; closing it closes the file.

    Raises:
        FormatError: from reading, if it is damaged, cut off, or larger than is read.
    """
    is_packed = stream.read(len(_MAGIC)) == _MAGIC
    stream.seek(0)
    return io.BufferedReader(_Unpacked(stream, name)) if is_packed else stream


class _Unpacked(io.RawIOBase):
    """What is in a packed file."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._left_bytes = MOST_UNPACKED_BYTES
        self._packed = b""
        self._member = zlib.decompressobj(_WITH_HEADER)
        self._is_begun = False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
        super().close()

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        try:
            found = self._next(len(view))
        except zlib.error as error:
            raise FileDamaged(self._name, "gzip", str(error)) from error
        self._left_bytes -= len(found)
        if self._left_bytes < 0:
            raise FileExcessive(self._name, f"it unpacks to more than {MOST_UNPACKED_BYTES} bytes")
        view[: len(found)] = found
        return len(found)

    def _next(self, most_bytes: int) -> bytes:
        """Returns the next bytes, of one member after the other; none at the end."""
        while True:
            if self._member.eof:
                self._packed = self._member.unused_data
                self._member, self._is_begun = zlib.decompressobj(_WITH_HEADER), False
            if not self._packed:
                self._packed = self._stream.read(_READ_BYTES)
                if not self._packed:
                    if self._is_begun:
                        raise FileDamaged(self._name, "gzip", "it ends in the middle")
                    return b""
            if not self._is_begun and not self._packed.strip(b"\0"):  # what tapes and disks are filled up with
                self._packed = b""
                continue
            self._is_begun = True
            found = self._member.decompress(self._packed, most_bytes)
            self._packed = self._member.unconsumed_tail
            if found:
                return found
