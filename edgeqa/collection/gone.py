"""What was added from a path and is not there any more, and when that is so much that nothing is removed unasked.

In: a catalogue and paths. Out: the files that are gone. Gone is what the system says is not there; what it cannot look
at (on a share that does not answer, in a folder that may not be read) is not. A path of which all is gone is likelier a
disk that is not mounted than a wish, and is refused, whatever else lies there now. Where one file still is, the disk is
there: how many of the others are gone would say no more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgeqa.collection.errors import AllGone
from edgeqa.collection.naming import file_identity
from edgeqa.collection.rows import PENDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.collection.rows import SourceRow


class Gone:
    """What a collection holds and the disk does not, path by path."""

    def __init__(self, directory: Path, catalogue: Catalogue, *, even_all: bool) -> None:
        """Prepares to look.

        Args:
            directory: where the collection lives.
            catalogue: of the collection.
            even_all: whether all that was added from a path may be gone.
        """
        self._directory, self._catalogue, self._even_all = directory, catalogue, even_all

    def check(self, paths: Iterable[str]) -> None:
        """Refuses paths of which everything is gone.

        Raises:
            AllGone: if files were added from one of them, none is there, and that may not be.
        """
        for path in () if self._even_all else paths:
            files = 0
            for source in self._catalogue.sources_below(file_identity(path)):
                if not _is_gone(source.path):
                    break
                files += source.state > PENDING  # what was begun to replace one is none of its own
            else:
                if files:
                    raise AllGone(self._directory, path, files)

    def below(self, path: str) -> Iterator[SourceRow]:
        """Yields the files that were added from `path` and are gone.

        Raises:
            AllGone: as `check` does: a disk may go at any time.
        """
        self.check([path])
        for source in self._catalogue.sources_below(file_identity(path)):
            if _is_gone(source.path):
                yield source


def _is_gone(path: bytes) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    # Where case makes no difference, a file that is called otherwise now still answers to its old name.
    return path.startswith(b"/") and file_identity(os.fsdecode(path)) != path
