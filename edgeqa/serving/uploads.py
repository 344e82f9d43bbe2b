"""Uploads: this module checks the names of documents from the network, and keeps their files while they are read.

In: a name, as a caller gave it; a body, block by block. Out: a checked name; a file in a folder of its own, which is
deleted afterwards, or by the next server if this one is killed. The rules for names are those of folders: a file that
would be left out of an added folder cannot be sent either. The engine adds the document.
"""

from __future__ import annotations

import contextlib
import mimetypes
import os
import tempfile
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa import files
from edgeqa.serving.errors import DocumentNameInvalid, TooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MAX_BYTES = 64 << 20
MAX_NAME_BYTES, MAX_PART_BYTES = 1024, 255
_PREFIX = "edgeqa-upload-"
_INSTALLED = frozenset(("node_modules", "__pycache__"))
# `mimetypes` does not know these everywhere.
_ENDINGS = {
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "application/jsonl": ".jsonl",
    "application/epub+zip": ".epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}


def checked_name(name: str) -> str:
    """Returns a document's name in NFC.

    Raises:
        DocumentNameInvalid: if no file in a folder could have this name.
    """
    name = unicodedata.normalize("NFC", name)
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise DocumentNameInvalid(name[:80], f"it has from 1 to {MAX_NAME_BYTES} bytes")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name):
        raise DocumentNameInvalid(name, "it has a character that is none")
    for part in name.split("/"):
        if part in {"", ".", ".."}:
            raise DocumentNameInvalid(name, f"a part of it is {part!r}")
        if part.startswith((".", "~$")) or part in _INSTALLED:
            raise DocumentNameInvalid(name, f"{part} is left out of folders")
        if len(part.encode()) > MAX_PART_BYTES:
            raise DocumentNameInvalid(name, f"a part of it has more than {MAX_PART_BYTES} bytes")
    if "\\" in name or "#" in name:
        raise DocumentNameInvalid(name, "it has a backslash or a #")
    return name


def file_name(name: str, content_type: str) -> str:
    """Returns the name of a file while it is read, from its own name or from its declared type."""
    if name:
        return checked_name(name).rpartition("/")[2]
    kind = content_type.partition(";")[0].strip().lower()
    return f"file{_ENDINGS.get(kind) or mimetypes.guess_extension(kind) or '.txt'}"


@contextlib.asynccontextmanager
async def stored(blocks: AsyncIterator[bytes], name: str, most_bytes: int = MAX_BYTES) -> AsyncIterator[Path]:
    """Yields the path of a file with the uploaded bytes, in a private folder; it is deleted afterwards.

    Args:
        blocks: the bytes.
        name: the name of the file, without a folder.
        most_bytes: the greatest size of the file.

    Raises:
        TooLarge: if it is larger.
    """
    with own_folder() as folder:
        path = folder / name
        size_bytes = 0
        with path.open("wb") as file:
            async for block in blocks:
                size_bytes += len(block)
                if size_bytes > most_bytes:
                    raise TooLarge(most_bytes)
                file.write(block)
        yield path


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Yields a new folder that nobody else may read; it is deleted afterwards, with all in it.

    It is locked meanwhile, so that `sweep` recognises the folders of processes that were killed.
    """
    above, lock = Path(tempfile.gettempdir()), None
    while lock is None:
        made = files.new_folder(above, _PREFIX)
        lock = files.lock_folder(made)
        if lock is None and made.exists():
            break  # there are no locks, and nothing is swept
    try:
        yield made
    finally:
        files.delete_folder(made)
        if lock is not None:
            _unlock(lock)


def sweep() -> None:
    """Deletes the folders of this user's processes that were killed while they read an upload."""
    with contextlib.suppress(OSError):
        for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if left.lstat().st_uid == os.geteuid() and (lock := files.lock_folder(left)) is not None:
                files.delete_folder(left)
                _unlock(lock)


def _unlock(lock: int) -> None:
    files.unlock(lock)
    os.close(lock)
