"""Folders: this module finds the sources that a command line names: files, folders of files, and `-`, standard input.

In: paths and options. Out: sources in a fixed order, made one by one, so that a folder of a million files takes little
memory. Only the beginning of a file is read, to know its format. Files that are left out of a folder are reported:
unknown formats, files that a `.gitignore` or the user leaves out, files of package managers. Only hidden files are left
out without a report.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from edgeqa import state
from edgeqa.errors import (
    ContextEmpty,
    ContextError,
    ContextMissing,
    ContextNotFound,
    ContextType,
    ContextUnreadable,
    LibraryMissing,
    OptionError,
)
from edgeqa.formats import PIPED_NAME, STANDARD_INPUT, arriving, blocks_of, checked, kinds, reason
from edgeqa.formats.blocks import FormatOld, FormatUnknown
from edgeqa.formats.source import HELD_BYTES, Source, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pathspec

    from edgeqa.formats.blocks import FormatOptions
    from edgeqa.formats.kinds import Kind

# A shell may have opened these from a file, but not from the file at that path.
_HANDLES = ("/dev/stdin", "/dev/fd/", "/proc/")
_HIDDEN = (".", "~$")  # office programs mark open files with the latter
_INSTALLED = frozenset(("node_modules", "__pycache__"))  # programs fill these folders, not people


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in a folder that is not read."""

    name: str
    reason: str
    is_kind: bool = False
    """Whether only its kind is the reason: such files are counted by their endings, and not named one by one."""
    is_folder: bool = False

    @property
    def ending(self) -> str:
        """The ending of its name, in lower case, "" if there is none; the whole name of a folder."""
        name = os.path.basename(self.name)
        if self.is_folder:
            return name + os.sep
        return name if name in _INSTALLED else os.path.splitext(name)[1].lower()


def is_pipe(path: str, found: os.stat_result) -> bool:
    """Tells whether `path` can be read only once, or leads to something else each time."""
    return not stat.S_ISREG(found.st_mode) or os.path.abspath(path).startswith(_HANDLES)


def walk(
    paths: Iterable[str | os.PathLike[str]],
    options: FormatOptions,
    on_skipped: Callable[[Skipped], None] = lambda _: None,
) -> Iterator[Source]:
    """Yields the sources that `paths` name, in their order, those in folders sorted by name.

    Args:
        paths: files, folders, or "-" for standard input.
        options: how to read them all.
        on_skipped: a function that is called for each file that is left out of a folder: of an unknown format, a broken
            or looping link, or one that cannot be opened.

    Raises:
        ContextError: for a path that does not exist or cannot be opened, or for a named file in no known format.
        OptionError: for a format that does not exist.
    """
    return _Walk(options, on_skipped).sources([_path(path) for path in paths])


def _path(path: str | os.PathLike[str]) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise ContextType(path)
    path = os.fspath(path)
    if path == STANDARD_INPUT:
        return path
    # pathlib's form gives `./manuals/` and `manuals` the same names; it keeps "..", which matters with links.
    parts = [part for part in path.split(os.sep) if part not in ("", ".")]
    shortened = (os.sep if path.startswith(os.sep) else "") + os.sep.join(parts) or "."
    return path if shortened == STANDARD_INPUT else shortened  # a file of this name is written `./-`


class _Walk:
    """One walk, which remembers the folders that it has been in."""

    def __init__(self, options: FormatOptions, on_skipped: Callable[[Skipped], None]) -> None:
        self._options = options
        self._kind = None if options.format is None else kinds.named(options.format)
        self._on_skipped = on_skipped
        self._roots: list[str] = []
        self._seen: set[tuple[int, int]] = set()
        self._own = set(_own_folders())
        self._ignored = IgnoreRules(options.exclude)

    def sources(self, paths: list[str]) -> Iterator[Source]:
        self._roots = [os.path.realpath(path) for path in paths if path != STANDARD_INPUT]
        for path in paths:
            if path == STANDARD_INPUT:
                yield self._standard_input()
                continue
            try:
                found = os.stat(path)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise ContextNotFound(path) from error
            except (OSError, ValueError) as error:
                raise ContextUnreadable(path, reason(error)) from error
            if stat.S_ISDIR(found.st_mode):
                yield from self._folder(path, found)
            else:
                yield self._named(path, found)

    def _standard_input(self) -> Source:
        if sys.stdin is None or sys.stdin.closed:
            raise ContextMissing
        source = self._copied(PIPED_NAME, blocks_of(sys.stdin.buffer), self._kind or kinds.TEXT)
        if not source.size_bytes:  # the program that should have written to it has failed
            raise ContextEmpty(source.name)
        return source

    def _named(self, path: str, found: os.stat_result) -> Source:
        kind = self._kind or kinds.by_name(path)
        if is_pipe(path, found):
            try:
                with open(path, "rb", buffering=0) as stream:
                    return self._copied(path, arriving(stream), kind or kinds.TEXT)
            except OSError as error:
                raise ContextUnreadable(path, reason(error)) from error
        if self._kind is None and kinds.needs_look(kind):
            try:
                head = _head(path)
                if head.startswith(kinds.OLD_OFFICE):
                    raise FormatOld(path)
                kind = kinds.by_head(kind, head, is_named=True)
            except OSError as error:
                raise error if isinstance(error, ContextError) else ContextUnreadable(path, reason(error)) from error
        if kind is None or (kind.seeks and kinds.is_packed(path)):
            raise FormatUnknown(path, kinds.KINDS)
        return self._source(path, found, kind)

    def _folder(self, path: str, found: os.stat_result) -> Iterator[Source]:
        """Yields what is in the folder and below it, depth first, without recursion."""
        self._seen.add((found.st_dev, found.st_ino))
        self._ignored.begin(path)
        waiting = self._entries(path)
        while waiting:
            path = waiting.pop()
            try:
                found = os.lstat(path)
                if is_link := stat.S_ISLNK(found.st_mode):
                    found = os.stat(path)
            except OSError as error:
                self._skip(path, f"broken link: {reason(error)}" if os.path.islink(path) else reason(error))
                continue
            is_folder = stat.S_ISDIR(found.st_mode)
            if (why := self._ignored.reason(path, is_folder=is_folder)) is not None:
                self._skip(path, why, is_kind=True, is_folder=is_folder)
            elif is_folder:
                if self._is_gone_into(path, (found.st_dev, found.st_ino), is_link=is_link):
                    waiting += self._entries(path)
            elif not stat.S_ISREG(found.st_mode):
                self._skip(path, "not a regular file")
            elif (source := self._below(path, found)) is not None:
                yield source

    def _is_gone_into(self, path: str, place: tuple[int, int], *, is_link: bool) -> bool:
        """Tells whether the walk enters a folder, which it does once; reports the reason if it does not."""
        if os.path.basename(path) in _INSTALLED:
            self._skip(path, "what programs have put there", is_kind=True)
        elif place in self._own:
            self._skip(path, "what edgeqa keeps itself")
        elif is_link and self._is_below_a_root(path):
            self._skip(path, "a link into what is read anyway")
        elif place in self._seen:
            self._skip(path, "the same folder as one that was read")
        else:
            self._seen.add(place)
            return True
        return False

    def _entries(self, folder: str) -> list[str]:
        """Returns the paths in a folder, last first."""
        try:
            names = os.listdir(folder)
        except OSError as error:
            self._skip(folder, reason(error))
            return []
        if IGNORE_FILE in names:
            self._ignored.read(folder)
        names = [name for name in names if not name.startswith(_HIDDEN)]
        names.sort(reverse=True)
        return [os.path.join(folder, name) for name in names] if folder != "." else names

    def _is_below_a_root(self, link: str) -> bool:
        target = os.path.realpath(link)
        return any(target == root or target.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots)

    def _below(self, path: str, found: os.stat_result) -> Source | None:
        kind = self._kind or kinds.by_name(path)
        try:
            if self._kind is None and kinds.needs_look(kind):
                is_read = os.path.splitext(path)[1].lower() not in kinds.UNREAD
                kind = kinds.by_head(kind, _head(path), is_named=False) if is_read else None
        except ContextError as error:
            self._skip(path, str(error))
            return None
        except OSError as error:
            self._skip(path, reason(error))
            return None
        if kind is None or (kind.seeks and kinds.is_packed(path)):
            self._skip(path, "unknown format", is_kind=True)
            return None
        return self._source(path, found, kind)

    def _source(self, path: str, found: os.stat_result, kind: Kind) -> Source:
        return Source(path, found.st_size, kind, self._options, lambda: _opened(path))

    def _copied(self, name: str, blocks: Iterator[bytes], kind: Kind) -> Source:
        # A stream that cannot be text is refused at once: /dev/zero never ends.
        spool = Spool(blocks if kind.seeks else checked(blocks, name), name, HELD_BYTES)
        return Source(name, spool.size_bytes, kind, self._options, spool.open, is_piped=True)

    def _skip(self, path: str, why: str, *, is_kind: bool = False, is_folder: bool = False) -> None:
        self._on_skipped(Skipped(path, why, is_kind, is_folder))


def _own_folders() -> Iterator[tuple[int, int]]:
    for folder in (state.home(), state.data_home()):
        with contextlib.suppress(OSError):
            found = os.stat(folder)
            yield found.st_dev, found.st_ino


def _opened(path: str) -> IO[bytes]:
    stream = open(path, "rb", opener=_regular)  # noqa: SIM115 - the caller closes it
    if not kinds.is_packed(path):
        return stream
    from edgeqa.formats.archive import unpacked  # here, with all kinds of archives, for those few files

    return unpacked(stream, path)


def _head(path: str) -> bytes:
    with _opened(path) if kinds.is_packed(path) else open(path, "rb", buffering=0, opener=_regular) as stream:
        return stream.read(kinds.HEAD_BYTES)


def _regular(path: str, flags: int) -> int:
    """Opens a file without waiting: a pipe that took its place since it was looked at may never be written to."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return descriptor


IGNORE_FILE = ".gitignore"
MAX_IGNORE_BYTES = 1 << 16  # an ignore file is read up to this size
MAX_LINE_CHARACTERS, MAX_STARS = 1000, 12  # a pattern with more would take long to compare with long paths


class IgnoreRules:
    """The rules that hold while folders are walked through, one after the other."""

    def __init__(self, exclude: Sequence[str]) -> None:
        """Takes the user's own patterns.

        Raises:
            OptionError: if it is no list of patterns.
        """
        if isinstance(exclude, str) or not all(isinstance(pattern, str) and pattern.strip() for pattern in exclude):
            raise OptionError(name="exclude", value=exclude, expected="a list of patterns as in a .gitignore")
        self._excluded = _compiled(exclude)
        self._root = ""
        self._files: dict[str, pathspec.GitIgnoreSpec] = {}
        """The patterns of each ignore file, by its folder with a separator at its end."""

    def begin(self, root: str) -> None:
        """Begins with a named folder: the ignore files above it in the same repository count, too."""
        self._root = _whole(root)
        self._files.clear()
        above: list[str] = []
        folder = self._root
        while True:
            if os.path.isdir(os.path.join(folder, ".git")):
                break
            parent = os.path.dirname(folder.rstrip(os.sep)) or os.sep
            if parent == folder.rstrip(os.sep) or folder == os.sep:
                above.clear()  # outside a repository, files above do not count
                break
            folder = _whole(parent)
            above.append(folder)
        for one in reversed(above):
            self.read(one)
            # A user who names a folder wants it, even if an ignore file leaves it out.
            if self._match(self._root.rstrip(os.sep), is_folder=True):
                self._files.clear()

    def read(self, folder: str) -> None:
        """Takes the ignore file of a folder, if it has one that can be read."""
        folder = _whole(folder)
        try:
            with open(os.path.join(folder, IGNORE_FILE), "rb", opener=_regular) as stream:
                lines = stream.read(MAX_IGNORE_BYTES).decode("utf-8", "replace").splitlines()
        except OSError:
            return
        if (found := _compiled(lines)) is not None:
            self._files[folder] = found

    def reason(self, path: str, *, is_folder: bool) -> str | None:
        """Returns why a path below the named folder is left out; None if it is read."""
        if self._excluded is None and not self._files:
            return None
        whole = os.path.abspath(path)
        if self._excluded is not None and self._excluded.match_file(_relative(self._root, whole, is_folder=is_folder)):
            return "excluded"
        return f"named in {IGNORE_FILE}" if self._match(whole, is_folder=is_folder) else None

    def _match(self, whole: str, *, is_folder: bool) -> bool:
        """Tells whether ignore files leave a path out: the innermost file with a pattern for it decides."""
        folder = os.path.dirname(whole)
        while self._files:
            spec = self._files.get(_whole(folder))
            if spec is not None:
                found = spec.check_file(_relative(_whole(folder), whole, is_folder=is_folder)).include
                if found is not None:
                    return found
            if folder == os.path.dirname(folder):
                break
            folder = os.path.dirname(folder)
        return False


def several(patterns: str | Iterable[str]) -> tuple[str, ...]:
    """Returns one pattern, or several, as a tuple."""
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _whole(folder: str) -> str:
    return os.path.join(os.path.abspath(folder), "")


def _relative(folder: str, whole: str, *, is_folder: bool) -> str:
    return whole.removeprefix(folder).replace(os.sep, "/") + ("/" if is_folder else "")


def _compiled(lines: Iterable[str]) -> pathspec.GitIgnoreSpec | None:
    """Returns patterns, ready to be compared; None if there is none."""
    usable = [line for line in lines if len(line) <= MAX_LINE_CHARACTERS and line.count("*") <= MAX_STARS]
    if not any(line.strip() and not line.startswith("#") for line in usable):
        return None
    try:
        import pathspec  # imported here, because most folders need no patterns
    except ImportError as error:  # to add what git leaves out would be worse than not to add
        what = "leaving files out, by a .gitignore or --exclude,"
        raise LibraryMissing(library="pathspec", what=what) from error

    kept = []
    for line in usable:
        try:
            pathspec.GitIgnoreSpec.from_lines([line])
        except ValueError:  # git ignores such a pattern, too
            continue
        kept.append(line)
    return pathspec.GitIgnoreSpec.from_lines(kept)
