"""The files of a cache directory, on disk or in RAM: they are made, judged, put aside and deleted here.

In: a directory that only this process is in (see `guard`). Out: whether LMDB may be given the data file. A damaged
file, or one of another kind of machine, can kill LMDB. The inside of LMDB's file is changed by LMDB alone.

- The header, a small text, is written once, when a cache is made, and says for what machine and with what map size.
- The seal, a small text, is written by the last process that leaves and names the size, the time and the XXH3-64 of the
  data file: one that fits its seal was closed cleanly, not written since, and holds what it held. A small file is read
  and hashed at each start, which takes 0.1 ms a MiB; a large one at the first start of a day, and after each boot. The
  hash is for damage, not for forgery: who may write the file may write the seal too.
- Any other file is walked page by page without LMDB, and put into quarantine if anything is wrong; where there is no
  verifier (lmdb before 3.0), it goes there unseen.
- A directory in RAM is owned by the processes inside it and removed when the last of them has left; what crashed
  processes left behind is removed when another one is made.

All is read, nothing mapped: a page that the disk cannot give, or that somebody cuts off, is an error and not a signal.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xxhash import xxh3_64, xxh3_64_intdigest

from edgeqa import files
from edgeqa.cache.store import DATA_FILE, LOCK_FILE, StoreBusy
from edgeqa.errors import FilesLimited

if TYPE_CHECKING:
    from edgeqa.cache.ledger import Ledger

GUARD_FILE, USERS_FILE = "guard", "users"  # `guard` locks them
HEADER_FILE, SEAL_FILE = "header", "seal"
HASHED_EACH_TIME_BYTES = 4 << 20
CHECKED_AT_ONCE_BYTES = 4 << 20  # a file to verify that is not larger is verified where it is opened
_BLOCK_BYTES = 1 << 18
_NO_VERIFIER = "cannot be verified: this lmdb has no verifier"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STORE_FORMAT = 1
PAGE_BYTES = min(mmap.PAGESIZE, 0x8000)  # LMDB makes its files with the machine's pages, up to this size
_SEAL = "edgeqa seal 2"
_LMDB_MAGIC, _LMDB_VERSION = 0xBEEFC0DE, 1
_META_PROBE = struct.Struct("=16xII16xI")  # page header; magic, version; address, map size; page size
META_PROBE_BYTES = _META_PROBE.size
_RAM_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
_MAKING_S = 60


class Header(NamedTuple):
    """The machine that a cache was made for, and its size. It is a tuple, since each process that hits makes one."""

    map_bytes: int
    page_bytes: int = PAGE_BYTES
    word_bits: int = sys.maxsize.bit_length() + 1
    byte_order: str = sys.byteorder
    format: int = STORE_FORMAT

    def encode(self) -> bytes:
        """Returns the header file's bytes."""
        return (
            f"edgeqa cache {self.format}\nword_bits {self.word_bits}\nbyte_order {self.byte_order}\n"
            f"page_bytes {self.page_bytes}\nmap_bytes {self.map_bytes}\n"
        ).encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> Header | None:
        """Returns the header, or None if these bytes are not one."""
        try:
            found = [line.rpartition(" ")[2] for line in data.decode("ascii").splitlines()]
            header = cls(int(found[4]), int(found[3]), int(found[1]), found[2], int(found[0]))
        except (ValueError, IndexError):
            return None
        return header if header.encode() == data else None

    def fits_this_machine(self) -> bool:
        """Returns whether a process like this one may map the data file."""
        return self == Header(self.map_bytes) and self.map_bytes > 0


class Seal(NamedTuple):
    """The state of a data file when it was closed."""

    size_bytes: int
    mtime_ns: int
    content: str  # XXH3-64 of the whole file, in hexadecimal digits

    def encode(self) -> bytes:
        """Returns the seal file's bytes."""
        return f"{_SEAL}\nsize_bytes {self.size_bytes}\nmtime_ns {self.mtime_ns}\nxxh3_64 {self.content}\n".encode(
            "ascii"
        )

    @classmethod
    def decode(cls, data: bytes) -> Seal | None:
        """Returns the seal, or None if these bytes are not one."""
        try:
            found = [line.rpartition(" ")[2] for line in data.decode("ascii").splitlines()]
            seal = cls(int(found[1]), int(found[2]), found[3])
        except (ValueError, IndexError):
            return None
        return seal if seal.encode() == data else None

    def fits_outside(self, data_file: os.stat_result) -> bool:
        """Returns whether the file has the size and the time of the seal; what it holds is not looked at."""
        return (self.size_bytes, self.mtime_ns) == (data_file.st_size, data_file.st_mtime_ns)


def is_lmdb_file(start: bytes, page_bytes: int) -> bool:
    """Returns whether a file that starts so is of LMDB's format 1 with pages of this size."""
    return len(start) >= META_PROBE_BYTES and _META_PROBE.unpack_from(start) == (_LMDB_MAGIC, _LMDB_VERSION, page_bytes)


def round_map(map_bytes: int) -> int:
    """Returns a map size that LMDB can use: whole pages, not absurdly few, and not more than a word can address."""
    ceiling = (256 << 20) if sys.maxsize < 2**32 else 1 << 40
    wanted = min(ceiling, max(map_bytes, 1 << 20, 256 * mmap.PAGESIZE))
    return -(-wanted // mmap.PAGESIZE) * mmap.PAGESIZE


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

    def judge(self, ledger: Ledger, max_check_bytes: int | None) -> None:
        """Lets the data file stay only if it is known to be sound and for this machine.

        Where the ledger says that somebody has died inside, the seal does not count.

        Args:
            ledger: of the directory.
            max_check_bytes: the largest file to verify here; None for any.

        Raises:
            CheckDue: the file has to be verified, and is larger.
        """
        try:
            with files.reading(self.data_file) as stream:
                status, start = os.fstat(stream.fileno()), stream.read(META_PROBE_BYTES)
        except FileNotFoundError:
            return
        header = self.read_header()
        foreign = header is None or not header.fits_this_machine() or not is_lmdb_file(start, header.page_bytes)
        if foreign and start:  # a death at the very start leaves an empty file, which LMDB makes anew
            self.quarantine("foreign")
        elif ledger.get("inside") > 0 or not self._fits_its_seal(status, ledger):
            if max_check_bytes is not None and status.st_size > max_check_bytes:
                raise CheckDue
            self.suspect = True
            self.break_seal()  # it is sealed anew once it is known to be sound
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
        """Puts the data file aside if it is damaged, and returns the damage, a line each."""
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
        self.quarantined.append(kind)
        self.suspect = False
        for former in self.directory.glob("quarantine-*"):
            files.delete_folder(former)
        aside = self.directory / f"quarantine-{int(time.time())}"
        files.make_folders(aside)
        for name in (DATA_FILE, HEADER_FILE, SEAL_FILE):
            with contextlib.suppress(FileNotFoundError):
                files.rename(self.directory / name, aside / name)
        files.delete(self.directory / LOCK_FILE)

    def discard(self) -> None:
        """Deletes the data file and what was put aside."""
        for aside in self.directory.glob("quarantine-*"):
            files.delete_folder(aside)
        for name in (SEAL_FILE, DATA_FILE, LOCK_FILE, HEADER_FILE):
            files.delete(self.directory / name)

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
            files.delete(self.directory / SEAL_FILE)
            files.sync_directory(self.directory)


def find_damage(data_file: Path) -> list[str]:
    """Returns the damage of a data file, found without LMDB; the file must not be open in this process."""
    if data_file.stat().st_size == 0:
        return []
    try:
        from lmdb import verify
    except ImportError:
        return [_NO_VERIFIER]
    try:
        return [str(problem) for problem in verify.verify(str(data_file), subdir=False)]  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever else stops the verifier: the file is not sound
        if getattr(error, "errno", None) in files.TOO_MANY:
            raise FilesLimited from error
        return [f"{type(error).__name__}: {error}"]


def _hash(path: Path) -> str:
    """Returns the hash of a file."""
    hashed, block = xxh3_64(), bytearray(_BLOCK_BYTES)
    view = memoryview(block)
    with files.reading(path) as stream:
        while size := stream.readinto(block):
            hashed.update(view[:size])
    return hashed.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return files.read(path)
    except FileNotFoundError:
        return b""


def _replace(path: Path, data: bytes) -> None:
    if _read(path) != data:
        files.replace_file(path, data, synced=False)


def make_directory_in_ram(mounts: Path = Path("/proc/self/mounts")) -> Path | None:
    """Returns a new private directory in RAM, or None where no RAM file system is that this user may write to."""
    for parent in _candidates(mounts):
        remove_leftovers(parent)
        with contextlib.suppress(OSError):
            return files.own(files.new_folder(parent, _prefix()))
    return None


def remove_leftovers(parent: Path) -> int:
    """Removes this user's directories in RAM that no process is in; returns how many."""
    removed = 0
    for directory in parent.glob(_prefix() + "*"):
        with contextlib.suppress(OSError):
            status = directory.lstat()
            # A directory without locks is just being made, or its maker died at once; an empty one is left for a while.
            is_new = len(_locks(directory)) < 2 and time.time() - status.st_mtime < _MAKING_S
            if status.st_uid == os.getuid() and not directory.is_symlink() and not is_new:
                removed += remove_unless_used(directory)
    return removed


def remove_unless_used(directory: Path) -> bool:
    """Removes a directory in RAM if no process is in it; returns whether that is done."""
    for path in _locks(directory):
        with files.reading(path) as stream:
            if not files.try_lock(stream.fileno(), fcntl.LOCK_EX):
                return False
    files.delete_folder(directory)
    return True


def _locks(directory: Path) -> list[Path]:
    return [*directory.glob(f"*/{GUARD_FILE}"), *directory.glob(f"*/{USERS_FILE}")]


def _prefix() -> str:
    return f"edgeqa-cache-{os.getuid()}-"


def _candidates(mounts: Path) -> list[Path]:
    """Returns the usual RAM-backed places, as far as the table of mounts says that they are that."""
    try:
        table = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []
    in_ram = {Path(fields[1]) for fields in table if len(fields) > 2 and fields[2] in _RAM_FILE_SYSTEMS}
    named = [Path("/dev/shm"), *map(Path, filter(None, [os.environ.get("XDG_RUNTIME_DIR")]))]  # noqa: S108 - mkdtemp inside
    return [path for path in named if path in in_ram and os.access(path, os.W_OK | os.X_OK)]
