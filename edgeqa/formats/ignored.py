"""What is left out of folders: by the `.gitignore` files in them and above them, and by what the user excludes.

In: folders, as they are gone into, and paths below them. Out: why a path is left out. Patterns mean what they mean to
git, worked out by pathspec, which is loaded where there are any.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pathspec

IGNORE_FILE = ".gitignore"
MOST_BYTES = 1 << 16  # of an ignore file
MOST_LINE_CHARACTERS, MOST_STARS = 1000, 12  # of a pattern: more would take long to compare with long paths


class Ignored:
    """The rules that hold while folders are walked through, one after the other."""

    def __init__(self, exclude: Sequence[str]) -> None:
        """Takes what the user excludes.

        Raises:
            OptionError: if it is no list of patterns.
        """
        if isinstance(exclude, str) or not all(isinstance(pattern, str) and pattern.strip() for pattern in exclude):
            raise OptionError(name="exclude", value=exclude, expected="a list of patterns as in a .gitignore")
        self._excluded = _compiled(exclude)
        self._root = ""
        self._files: dict[str, pathspec.GitIgnoreSpec] = {}
        """By the folder that it lies in, with a separator at its end, what an ignore file says."""

    def begin(self, root: str) -> None:
        """Begins with a folder that was named: what lies above it in the same repository holds, too."""
        self._root = _whole(root)
        self._files.clear()
        above: list[str] = []
        folder = self._root
        while True:
            if os.path.isdir(os.path.join(folder, ".git")):
                break
            parent = os.path.dirname(folder.rstrip(os.sep)) or os.sep
            if parent == folder.rstrip(os.sep) or folder == os.sep:
                above.clear()  # no repository: what lies above says nothing
                break
            folder = _whole(parent)
            above.append(folder)
        for one in reversed(above):
            self.read(one)
            # Who names a folder that is left out wants it all the same.
            if self._match(self._root.rstrip(os.sep), is_folder=True):
                self._files.clear()

    def read(self, folder: str) -> None:
        """Takes the ignore file of a folder, if it has one that can be read."""
        folder = _whole(folder)
        try:
            with open(os.path.join(folder, IGNORE_FILE), "rb") as stream:
                lines = stream.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
        except OSError:
            return
        if (found := _compiled(lines)) is not None:
            self._files[folder] = found

    def reason(self, path: str, *, is_folder: bool) -> str | None:
        """Returns why a path below the folder that was begun with is left out; None if it is not."""
        if self._excluded is None and not self._files:
            return None
        whole = os.path.abspath(path)
        if self._excluded is not None and self._excluded.match_file(_below(self._root, whole, is_folder=is_folder)):
            return "excluded"
        return f"named in {IGNORE_FILE}" if self._match(whole, is_folder=is_folder) else None

    def _match(self, whole: str, *, is_folder: bool) -> bool:
        """Tells whether ignore files leave a path out: the innermost that says anything about it decides."""
        folder = os.path.dirname(whole)
        while self._files:
            spec = self._files.get(_whole(folder))
            if spec is not None:
                found = spec.check_file(_below(_whole(folder), whole, is_folder=is_folder)).include
                if found is not None:
                    return found
            if folder == os.path.dirname(folder):
                break
            folder = os.path.dirname(folder)
        return False


def several(patterns: str | Iterable[str]) -> tuple[str, ...]:
    """Returns one pattern or several as several."""
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _whole(folder: str) -> str:
    return os.path.join(os.path.abspath(folder), "")


def _below(folder: str, whole: str, *, is_folder: bool) -> str:
    return whole.removeprefix(folder).replace(os.sep, "/") + ("/" if is_folder else "")


def _compiled(lines: Iterable[str]) -> pathspec.GitIgnoreSpec | None:
    """Returns patterns, ready to be compared; None if there is none."""
    usable = [line for line in lines if len(line) <= MOST_LINE_CHARACTERS and line.count("*") <= MOST_STARS]
    if not any(line.strip() and not line.startswith("#") for line in usable):
        return None
    import pathspec  # here: most folders do without

    kept = []
    for line in usable:
        try:
            pathspec.GitIgnoreSpec.from_lines([line])
        except ValueError:  # a pattern that git takes for nothing, too
            continue
        kept.append(line)
    return pathspec.GitIgnoreSpec.from_lines(kept)
