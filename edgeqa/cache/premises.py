"""The files around LMDB's own in a cache directory, and the judgement on LMDB's: sound, suspect, or to be put aside.

In: a directory that this process alone is in (see `guard`). Out: whether the data file may be given to LMDB. A file
that fits its seal was closed properly and holds what it held then: a small one is read and hashed at each start, which
takes 0.1 ms a MiB; a large one at the first start of a day, and after each boot. Any other file is walked page by page
without LMDB, and put into quarantine if anything is wrong; where there is no verifier (lmdb before 3.0), it goes there
unseen.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from xxhash import xxh3_64, xxh3_64_intdigest

from edgeqa.cache.environment import DATA_FILE, LOCK_FILE, StoreBusy
from edgeqa.cache.header import META_PROBE_BYTES, Header, Seal, is_lmdb_file

if TYPE_CHECKING:
    from edgeqa.cache.ledger import Ledger

HEADER_FILE, SEAL_FILE = "header", "seal"
HASHED_EACH_TIME_BYTES = 4 << 20
CHECKED_AT_ONCE_BYTES = 4 << 20  # a file to verify that is not larger is verified where it is opened
_BLOCK_BYTES = 1 << 18
_NO_VERIFIER = "cannot be verified: this lmdb has no verifier"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class CheckDue(StoreBusy):
    """The data file may be damaged, and is too large to be verified while a question waits."""

    def __init__(self) -> None:
        super().__init__("it is verified after an unclean end")


class Premises:
    """A cache directory's own files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data_file = directory / DATA_FILE
        self.quarantined: list[str] = []  # why, each time
        self.suspect = False

    def judge(self, ledger: Ledger, most_check_bytes: int | None) -> None:
        """Lets the data file stay only if it is known to be sound and for this machine.

        Where the ledger says that somebody has died inside, the seal does not count.

        Args:
            ledger: of the directory.
            most_check_bytes: the largest file to verify here; None for any.

        Raises:
            CheckDue: the file has to be verified, and is larger.
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
        elif ledger.get("inside") > 0 or not self._fits_its_seal(status, ledger):
            if most_check_bytes is not None and status.st_size > most_check_bytes:
                raise CheckDue
            self.suspect = True
            self.break_seal()  # it is sealed anew when it has turned out to be sound
            if find_damage(self.data_file):
                self.quarantine("damaged")

    def _read_seal(self) -> Seal | None:
        return Seal.decode(_read(self.directory / SEAL_FILE))

    def _fits_its_seal(self, status: os.stat_result, ledger: Ledger) -> bool:
        seal = self._read_seal()
        if seal is None or not seal.fits_outside(status):
            return False
        if status.st_size <= HASHED_EACH_TIME_BYTES:
            return seal.content == _hash(self.data_file)
        today = xxh3_64_intdigest(b"%b %d %b" % (_read(_BOOT_ID), time.time() // 86400, seal.encode()))
        if ledger.get("hashed") == today:
            return True
        fits = seal.content == _hash(self.data_file)
        ledger.set("hashed", today if fits else 0)
        return fits

    def verify(self) -> list[str]:
        """Returns what is wrong with the data file, and puts it aside if anything is."""
        problems = find_damage(self.data_file) if self.data_file.exists() else []
        if problems == [_NO_VERIFIER]:
            seal = self._read_seal()
            if seal is not None and seal.content == _hash(self.data_file):
                problems = []
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
        """Seals the data file as it is now, unless nobody has broken the seal; it must be synced and closed."""
        status, seal = self.data_file.stat(), self._read_seal()
        if seal is None or not seal.fits_outside(status):
            seal = Seal(status.st_size, status.st_mtime_ns, _hash(self.data_file))
            _replace(self.directory / SEAL_FILE, seal.encode())

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
        return [_NO_VERIFIER]
    try:
        return [str(problem) for problem in verify.verify(str(data_file), subdir=False)]  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever stops the verifier: the file is not sound
        return [f"{type(error).__name__}: {error}"]


def _hash(path: Path) -> str:
    """Returns the hash of a file, which is read and not mapped: a page that the disk cannot give is then an error."""
    hashed, block = xxh3_64(), bytearray(_BLOCK_BYTES)
    view = memoryview(block)
    with path.open("rb", buffering=0) as stream:
        while size := stream.readinto(block):
            hashed.update(view[:size])
    return hashed.hexdigest()


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
