"""The files around LMDB's own in a cache directory, and the judgement on LMDB's: sound, suspect, or to be put aside.

In: a directory that this process alone is in (see `guard`). Out: whether the data file may be given to LMDB. A file
that fits its seal was closed properly and not touched since. Any other is walked page by page without LMDB, and put
into quarantine if anything is wrong; where there is no verifier (lmdb before 3.0), it goes there unseen.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from edgeqa.cache.environment import DATA_FILE, LOCK_FILE
from edgeqa.cache.header import META_PROBE_BYTES, Header, is_lmdb_file, seal_of

if TYPE_CHECKING:
    from pathlib import Path

HEADER_FILE, SEAL_FILE = "header", "seal"


class Premises:
    """A cache directory's own files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data_file = directory / DATA_FILE
        self.quarantined: list[str] = []  # why, each time
        self.suspect = False

    def judge(self, *, unclean: bool) -> None:
        """Lets the data file stay only if it is known to be sound and for this machine.

        Args:
            unclean: whether somebody is known to have died inside, so that the seal does not count.
        """
        try:
            status = self.data_file.stat()
        except FileNotFoundError:
            return
        header = self.read_header()
        with self.data_file.open("rb") as stream:
            start = stream.read(META_PROBE_BYTES)
        foreign = header is None or not header.fits_this_machine() or not is_lmdb_file(start, header.page_bytes)
        if foreign and start:  # an empty file is what a death at the very start leaves; LMDB makes it anew
            self.quarantine("foreign")
        elif unclean or _read(self.directory / SEAL_FILE) != seal_of(status):
            self.suspect = True
            if find_damage(self.data_file):
                self.quarantine("damaged")

    def verify(self) -> list[str]:
        """Returns what is wrong with the data file, and puts it aside if anything is."""
        problems = find_damage(self.data_file) if self.data_file.exists() else []
        if problems:
            self.quarantine("damaged")
        return problems

    def quarantine(self, kind: str) -> None:
        """Puts the data file aside, in place of the one that was put aside before."""
        import shutil

        self.quarantined.append(kind)
        self.suspect = False
        for former in self.directory.glob("quarantine-*"):
            shutil.rmtree(former, ignore_errors=True)
        aside = self.directory / f"quarantine-{int(time.time())}"
        aside.mkdir(mode=0o700, exist_ok=True)
        for name in (DATA_FILE, HEADER_FILE, SEAL_FILE):
            with contextlib.suppress(FileNotFoundError):
                (self.directory / name).replace(aside / name)
        (self.directory / LOCK_FILE).unlink(missing_ok=True)

    def discard(self) -> None:
        """Deletes the data file and what was put aside."""
        import shutil

        for aside in self.directory.glob("quarantine-*"):
            shutil.rmtree(aside, ignore_errors=True)
        for name in (SEAL_FILE, DATA_FILE, LOCK_FILE, HEADER_FILE):
            (self.directory / name).unlink(missing_ok=True)

    def read_header(self) -> Header | None:
        """Returns the directory's header, or None if there is none that can be understood."""
        return Header.decode(_read(self.directory / HEADER_FILE))

    def write_header(self, header: Header) -> None:
        """Writes the header, unless it is there."""
        _replace(self.directory / HEADER_FILE, header.encode())

    def seal(self) -> None:
        """Seals the data file as it is now; it must be synced and closed."""
        _replace(self.directory / SEAL_FILE, seal_of(self.data_file.stat()))

    def break_seal(self) -> None:
        """Removes the seal, and waits until it is gone from the disk: only then may the data file change there."""
        with contextlib.suppress(OSError):
            (self.directory / SEAL_FILE).unlink(missing_ok=True)
            fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def find_damage(data_file: Path) -> list[str]:
    """Returns what is wrong with a data file, found without LMDB; it must not be open in this process."""
    if data_file.stat().st_size == 0:
        return []
    try:
        from lmdb import verify
    except ImportError:
        return ["cannot be verified: this lmdb has no verifier"]
    try:
        return [str(problem) for problem in verify.verify(str(data_file), subdir=False)]  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever stops the verifier: the file is not sound
        return [f"{type(error).__name__}: {error}"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _replace(path: Path, data: bytes) -> None:
    if _read(path) != data:
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)
