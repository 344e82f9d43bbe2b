"""Zip archives of documents: their parts, read in blocks, with all that can be wrong as errors of ours.

In: a file that can be seeked in. Out: blocks of a part's bytes. Nothing is unpacked to disk, and no more is unpacked
than MOST_UNPACKED_BYTES, whatever the archive says about itself.
"""

from __future__ import annotations

import contextlib
import errno
import lzma
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

from edgeqa.formats.errors import FileDamaged, FileEncrypted, FileExcessive
from edgeqa.formats.text import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

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
