"""Archives: the parts of a zip archive, read in blocks, and what gzip packed; all that can be wrong as errors of ours.

In: a file that can be seeked in, or one that gzip made. Out: blocks of a part's bytes; a file of what is packed, to be
read from beginning to end. Nothing is unpacked to disk, and no more is unpacked than MOST_UNPACKED_BYTES, whatever the
archive says about itself.
"""

from __future__ import annotations

import contextlib
import errno
import io
import lzma
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

from edgeqa.formats.errors import FileDamaged, FileEncrypted, FileExcessive
from edgeqa.formats.text import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

MOST_UNPACKED_BYTES = 1 << 29  # of one file; the text of a thousand novels
MOST_DIRECTORY_BYTES = 1 << 24  # the list of parts is held in memory, ten times as large
_OLE = b"\xd0\xcf\x11\xe0"
_END = b"PK\x05\x06"
_END_WITHIN_BYTES = 22 + 0xFFFF

_FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,
    NotImplementedError,  # a way of packing that is not known
    RuntimeError,  # a part with a password
    UnicodeDecodeError,
    ValueError,
    struct.error,
)


class Archive:
    """An open archive."""

    def __init__(self, stream: IO[bytes], name: str, format_name: str) -> None:
        """Reads the list of parts.

        Args:
            stream: the file.
            name: what to call it in an error.
            format_name: what it should be.

        Raises:
            FormatError: if it is no archive.
        """
        self._name = name
        self._format_name = format_name
        self._left_bytes = MOST_UNPACKED_BYTES
        if stream.read(len(_OLE)) == _OLE:
            raise FileEncrypted(name, "with a password, or in the format that Office had before 2007")
        self._check_directory(stream)
        with self._faults():
            self._zip = zipfile.ZipFile(stream)

    @property
    def parts(self) -> list[str]:
        """The names of its parts, in their order."""
        return list(self._zip.NameToInfo)

    def __contains__(self, part: str) -> bool:
        return part in self._zip.NameToInfo

    def blocks(self, part: str) -> Iterator[bytes]:
        """Yields the bytes of a part.

        Raises:
            FormatError: if it is missing, damaged, encrypted, or larger than is read.
        """
        with self._faults():
            if part not in self:
                raise FileDamaged(self._name, self._format_name, f"it has no part {part!r}")
            info = self._zip.getinfo(part)
            if info.flag_bits & 1:
                raise FileEncrypted(self._name, f"its part {part!r} has a password")
            with self._zip.open(info) as stream:
                while block := stream.read(BLOCK_BYTES):
                    self._left_bytes -= len(block)
                    if self._left_bytes < 0:
                        raise FileExcessive(self._name, f"it unpacks to more than {MOST_UNPACKED_BYTES} bytes")
                    yield block

    def _check_directory(self, stream: IO[bytes]) -> None:
        size_bytes = stream.seek(0, 2)
        stream.seek(max(0, size_bytes - _END_WITHIN_BYTES))
        tail = stream.read(_END_WITHIN_BYTES)
        at = tail.rfind(_END)
        directory = tail[at + 12 : at + 16]
        if at >= 0 and len(directory) == 4 and int.from_bytes(directory, "little") > MOST_DIRECTORY_BYTES:
            raise FileExcessive(self._name, "its list of parts is too long")
        stream.seek(0)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (FileDamaged, FileEncrypted, FileExcessive):
            raise
        except OSError as error:
            if error.errno != errno.EINVAL:  # what seeking to before the beginning gives
                raise
            raise FileDamaged(self._name, self._format_name, "it points to outside of itself") from error
        except _FAULTS as error:
            raise FileDamaged(self._name, self._format_name, str(error) or type(error).__name__) from error


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
