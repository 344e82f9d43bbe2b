"""Files: this is the one place where edgeqa's files are opened, locked, renamed and deleted; a test makes sure of it.

In: paths of edgeqa's own files. A user's documents, and files into which a user has output written, do not pass here.
Out: bytes, descriptors, folders. The rules that keep everybody safe are kept here, once:

- Beneath a folder of edgeqa's (`own`) no link is followed, neither for a file nor for a folder. Links may lead to such
  a folder itself; from there on, each name is opened in the folder before. Elsewhere, as for a model in a folder of the
  user's own, a link is followed to read, and never to write.
- Only plain files are opened, without waiting: a pipe, a socket, a device or a folder in their place is `NotPlain`.
- A file is written, locked or deleted only if it belongs to this user, or to the owner of its folder.
- A file that is written in its place (O_CREAT) has no other name: it could be that of another's file.
- A new file is its owner's alone, whatever the umask, if the file system knows modes.

Files are written whole or not at all (`replace_file`), so that they outlast a power cut. JSON files end in a checksum:

    {"format": 2, ..., "check": "<XXH3-128 in hex>"}

The checksum covers all bytes before it, white space too, so that it shows any changed bit. On macOS, `fsync` hands data
to the drive, which may keep it in its memory; F_FULLFSYNC makes the drive write it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from edgeqa.errors import FilesLimited

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    AnyPath = str | os.PathLike[str]

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_CHECK = b', "check": "'
_END = b'"}\n'
_FULL: int | None = getattr(fcntl, "F_FULLFSYNC", None)
# A folder on the way need not be readable. If the system can open one without reading it (O_PATH), that is used.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS = {
    stat.S_IFLNK: "a link to another place",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
TOO_MANY = (errno.EMFILE, errno.ENFILE)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_roots: set[str] = set()
_modeless: set[str] = set()  # folders whose file system knows no modes


class NotPlain(OSError):
    """Something else is in the place of a file or a folder: a link, a pipe, a socket, a device."""


class NotOurs(PermissionError):
    """A file cannot be written or locked, because it belongs to another user."""


def own(folder: Path) -> Path:
    """Declares everything beneath a folder as edgeqa's, so that no link is followed there; returns the folder."""
    _roots.add(os.fspath(folder))
    return folder


# --- opening ---------------------------------------------------------------------------------------------------------


def opened(file: AnyPath, flags: int = os.O_RDONLY) -> int:
    """Returns a descriptor of a plain file, which programs that are started do not inherit.

    Args:
        file: a file of edgeqa's.
        flags: those of `os.open`. With O_CREAT, a new file is its owner's alone. O_TRUNC takes effect once the file is
            known to be plain.

    Raises:
        NotPlain: if a link, a pipe, a socket, a device or a folder is there, or a folder on the way is a link; with
            O_CREAT, if it has another name, a hard link.
        NotOurs: if it is opened to be written, and belongs to another user.
        FilesLimited: if this process may open no more files, which says nothing about this one.
        OSError: if it cannot be opened for another reason.
    """
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    with _at(file) as (folder, name, is_own):
        follow = 0 if writes or is_own else os.O_NOFOLLOW
        try:
            descriptor = os.open(name, (flags & ~os.O_TRUNC | _PLAIN) ^ follow, PRIVATE_FILE, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EMLINK, errno.EOPNOTSUPP, errno.ENODEV):
                _refuse(folder, name, file)
            raise
        try:
            found = os.fstat(descriptor)
            _check_plain(found, file)
            if writes:
                _check_ours(found, folder, file)
                if flags & os.O_CREAT:
                    _check_one_name(found, file)
                if flags & os.O_TRUNC and found.st_size:
                    os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def read(file: AnyPath) -> bytes:
    """Returns the content of a file; raises the same errors as `opened`."""
    with reading(file) as stream:
        return stream.read()


def reading(file: AnyPath) -> BufferedReader:
    """Opens a file to be read; raises the same errors as `opened`."""
    return os.fdopen(opened(file), "rb")


def read_at(descriptor: int, offset: int, size_bytes: int) -> bytes:
    """Returns bytes of an open file; fewer if it ends before."""
    found = os.pread(descriptor, size_bytes, offset)
    while len(found) < size_bytes and (more := os.pread(descriptor, size_bytes - len(found), offset + len(found))):
        found += more
    return found


def create(file: AnyPath, *, replacing: bool = False) -> BinaryIO:
    """Opens a file to be written from its beginning; it is its owner's alone, whatever the umask.

    Args:
        file: the file, which must not exist.
        replacing: the file may exist.

    Raises:
        OSError: for the same reasons as `opened`.
    """
    descriptor = opened(file, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replacing else os.O_EXCL))
    with contextlib.suppress(OSError):  # some file systems know no modes
        os.fchmod(descriptor, PRIVATE_FILE)
    return os.fdopen(descriptor, "wb", buffering=1 << 18)


def check_plain(*paths: AnyPath, written: bool = False) -> None:
    """Refuses paths that are no plain files, just before a library opens them; it does not refuse missing files.

    Args:
        paths: files of edgeqa's.
        written: whether the library writes to them.

    Raises:
        NotPlain: if one is no plain file, or has another name and is written; or a folder on the way to it is a link.
    """
    for file in paths:
        with contextlib.suppress(FileNotFoundError), _at(file) as (folder, name, is_own):
            found = os.stat(name, dir_fd=folder, follow_symlinks=not is_own)
            _check_plain(found, file)
            if written:
                _check_one_name(found, file)


def check_folder(folder: AnyPath) -> None:
    """Refuses a folder that is a link, just before a library or a program gets its path; it may be missing.

    Raises:
        NotPlain: if a link is in its place, or on the way to it.
    """
    with contextlib.suppress(FileNotFoundError), _at(folder) as (above, name, is_own):
        if is_own:
            os.close(_enter(above, name, folder))


def _open_folder(folder: str) -> tuple[int, bool]:
    """Returns a descriptor of a folder, and whether it is edgeqa's; if so, each name is opened in the folder before."""
    at, names, root, below, is_own = folder, list[str](), folder, 0, False
    while True:
        if at in _roots:
            root, below, is_own = at, len(names), True
        up, name = os.path.split(at)
        if up == at or not name:
            break
        names.append(name)
        at = up
    descriptor = os.open(root or ".", _FOLDER)
    for name in reversed(names[:below]):
        above = descriptor
        try:
            descriptor = _enter(above, name, folder)
        finally:
            os.close(above)
    return descriptor, is_own


def _enter(above: int, name: str, path: AnyPath) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            found = os.stat(name, dir_fd=above, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                raise _not_plain(found.st_mode, path, name) from None
        raise


@contextlib.contextmanager
def _at(path: AnyPath) -> Iterator[tuple[int, str, bool]]:
    """Yields a descriptor of the folder of a path, the name in it, and whether the folder is edgeqa's."""
    whole = os.fspath(path)
    folder, name = os.path.split(whole)
    descriptor = -1
    try:
        descriptor, is_own = _open_folder(folder)
        yield descriptor, name, is_own
    except OSError as error:
        if error.errno in TOO_MANY:
            raise FilesLimited from error
        if not isinstance(error, (NotPlain, NotOurs)):
            error.filename = whole  # the error had the last name alone
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _refuse(folder: int, name: str, file: AnyPath) -> None:
    """Raises NotPlain if a file could not be opened for that reason."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode):
        raise _not_plain(mode, file) from None


def _check_plain(found: os.stat_result, file: AnyPath) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _not_plain(found.st_mode, file)


def _check_one_name(found: os.stat_result, file: AnyPath) -> None:
    if found.st_nlink > 1:
        what = f"{Path(file).name} has another name besides (a hard link): to write to it would change that file, too"
        raise NotPlain(errno.EMLINK, what, str(file))


def _not_plain(mode: int, path: AnyPath, name: str = "") -> NotPlain:
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.ELOOP if stat.S_ISLNK(mode) else errno.EINVAL
    what = _KINDS.get(stat.S_IFMT(mode), "no plain file")
    return NotPlain(number, f"{name or Path(path).name} is {what}, and not what edgeqa puts there", str(path))


def _check_ours(found: os.stat_result, folder: int, file: AnyPath) -> None:
    if found.st_uid != os.geteuid() and found.st_uid != os.fstat(folder).st_uid:
        raise NotOurs(errno.EPERM, f"{Path(file).name} belongs to another user ({found.st_uid})", str(file))


# --- folders ---------------------------------------------------------------------------------------------------------


def make_folder(folder: Path) -> None:
    """Makes a folder in an existing one, for its owner alone, whatever the umask.

    Raises:
        OSError: if it exists, or cannot be made.
    """
    with _at(folder) as (above, name, _):
        os.mkdir(name, PRIVATE_FOLDER, dir_fd=above)
    make_private(folder, PRIVATE_FOLDER)


def make_folders(folder: Path) -> None:
    """Makes a folder and its parents, as `make_folder` does; an existing folder stays as it is.

    Raises:
        OSError: if it cannot be made; NotPlain for a link beneath a folder of edgeqa's.
    """
    if folder.is_dir():
        check_folder(folder)
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):  # another process was faster
        make_folder(folder)
    check_folder(folder)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def new_folder(above: Path, prefix: str) -> Path:
    """Makes a folder with a new name, and returns it.

    Raises:
        OSError: if it cannot be made.
    """
    made = above / f"{prefix}{os.urandom(8).hex()}"
    make_folder(made)
    return made


def make_private(path: Path, mode: int = PRIVATE_FILE) -> None:
    """Makes a file, or with PRIVATE_FOLDER a folder, its owner's alone, if the file system knows modes."""
    kind = os.O_DIRECTORY if mode == PRIVATE_FOLDER else 0
    with contextlib.suppress(OSError), _at(path) as (folder, name, _):
        descriptor = os.open(name, os.O_RDONLY | kind | _PLAIN, dir_fd=folder)
        try:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, mode)
            if kind and stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
                _modeless.add(os.fspath(path))
        finally:
            os.close(descriptor)


def is_exposed(folder: Path) -> bool:
    """Tells whether others may look into a folder of this user's, as older versions left that to the umask."""
    try:
        found = folder.stat()
    except OSError:
        return False
    is_open = found.st_uid == os.geteuid() and bool(found.st_mode & 0o077)
    return is_open and os.fspath(folder) not in _modeless


def lock_folder(folder: Path) -> int | None:
    """Locks a folder and returns its descriptor; None if another process has locked it, or it is gone.

    On a file system without locks, the lock always succeeds: see `try_lock`.
    """
    with contextlib.suppress(OSError), _at(folder) as (above, name, _):
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            if try_lock(descriptor, fcntl.LOCK_EX):
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
    return None


# --- names -----------------------------------------------------------------------------------------------------------


def delete(file: Path) -> None:
    """Deletes a file, or a link in its place, if it exists; the target of a link stays.

    Raises:
        OSError: if it cannot be deleted, or is a folder.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), _at(file) as (folder, name, _):
        os.unlink(name, dir_fd=folder)


def delete_empty(folder: Path) -> None:
    """Deletes an empty folder.

    Raises:
        OSError: if it is not empty, or cannot be deleted.
    """
    with _at(folder) as (above, name, _):
        os.rmdir(name, dir_fd=above)


def delete_folder(folder: Path) -> None:
    """Deletes a folder that edgeqa has made, with all in it, as far as it can; no link is followed."""
    with contextlib.suppress(OSError), _at(folder) as (above, name, _):
        _delete_all(above, name)


def _delete_all(above: int, name: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            for found in os.scandir(descriptor):
                if found.is_dir(follow_symlinks=False):
                    _delete_all(descriptor, found.name)
                else:
                    os.unlink(found.name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        os.rmdir(name, dir_fd=above)


def rename(source: Path, target: Path) -> None:
    """Gives a file or a folder another name on the same file system; a file of that name is replaced in one step.

    Raises:
        OSError: if it cannot be renamed.
    """
    with _at(source) as (folder, name, _):
        if source.parent == target.parent:  # one descriptor is enough, and a process may have few left
            os.rename(name, target.name, src_dir_fd=folder, dst_dir_fd=folder)
            return
        with _at(target) as (other, new, _):
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=other)


def link(source: Path, target: Path) -> None:
    """Gives a file a second name.

    Raises:
        OSError: if the file system cannot do it.
    """
    with _at(source) as (folder, name, _), _at(target) as (other, new, _):
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=other, follow_symlinks=False)


# --- locks -----------------------------------------------------------------------------------------------------------


def lock_within(descriptor: int, kind: int, wait_s: float) -> None:
    """Takes a lock of `flock` on an open file.

    Args:
        descriptor: the file.
        kind: LOCK_EX or LOCK_SH.
        wait_s: the longest wait for others who hold it.

    Raises:
        TimeoutError: if they still hold it then.
    """
    give_up_at_s, pause_s = time.monotonic() + wait_s, 0.0005
    while not try_lock(descriptor, kind):
        left_s = give_up_at_s - time.monotonic()
        if left_s <= 0:
            message = f"{_holder(descriptor)} keeps it locked"
            raise TimeoutError(message)
        time.sleep(min(pause_s, left_s))
        pause_s = min(0.02, pause_s * 2)


def try_lock(descriptor: int, kind: int) -> bool:
    """Takes a lock of `flock`; returns False if somebody else holds it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Releases a lock by a call of its own: to close the file would leave the lock with a child forked meanwhile."""
    with contextlib.suppress(OSError):  # of a file system without locks: none was taken
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def has_locks(folder: Path) -> bool:
    """Tells whether the file system of a folder has locks; some of a network, and some of FUSE, have none."""
    try:
        with _at(folder) as (above, name, _):
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno not in _NO_LOCKS
    return True


def _holder(descriptor: int) -> str:
    """Returns a name for the holder of a lock on an open file, as far as the kernel tells."""
    status = os.fstat(descriptor)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with contextlib.suppress(OSError), Path("/proc/locks").open(encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place and int(fields[4]) > 0:
                return f"process {fields[4]}"
    return "another process"


# --- content ---------------------------------------------------------------------------------------------------------


def sync(descriptor: int) -> None:
    """Waits until the content of a file is on disk."""
    if _FULL is not None:
        with contextlib.suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, _FULL)
            return
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Waits until the names in a directory are on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(file: Path, content: bytes, *, alone: bool = True, synced: bool = True) -> None:
    """Writes a file anew, whole or not at all.

    Args:
        file: its path.
        content: its new content.
        alone: whether this is the only writer; among several writers, the last one's content stays.
        synced: whether it must be on disk before it takes its place; a file that may be lost needs no wait.

    Raises:
        OSError: if it cannot be written; then the old file stays.
    """
    partial = file.with_name(f"{file.name}.partial" if alone else f"{file.name}.{os.urandom(4).hex()}.partial")
    try:
        with create(partial, replacing=alone) as stream:
            stream.write(content)
            if synced:
                stream.flush()
                sync(stream.fileno())
        rename(partial, file)
    except BaseException:
        with contextlib.suppress(OSError, FilesLimited):
            delete(partial)
        raise


def pack_checked(facts: dict[str, Any]) -> bytes:
    """Returns the bytes of a file with these facts; there must be at least one."""
    return _ended(json.dumps(facts).encode()[:-1])


def unpack_checked(raw: bytes) -> dict[str, Any]:
    """Returns the facts in the bytes of a file.

    Raises:
        ValueError: if the bytes are not those that were written.
    """
    body = raw.rpartition(_CHECK)[0]
    if not body or _ended(body) != raw:
        message = "wrong checksum"
        raise ValueError(message)
    facts: dict[str, Any] = json.loads(body + b"}")
    return facts


def _ended(body: bytes) -> bytes:
    import xxhash  # imported here, because the Makefile uses this module before anything is installed

    return body + _CHECK + xxhash.xxh3_128_hexdigest(body).encode() + _END
