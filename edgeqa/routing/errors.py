"""What can be wrong with a route index: each error names the index and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.collection.errors import option
from edgeqa.errors import EXIT_USAGE, CollectionError

if TYPE_CHECKING:
    from pathlib import Path


class RouteDamaged(CollectionError):
    """The route index cannot be read."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"the route index is damaged: {directory}: {reason}",
            "run `edgeqa add` on any text, or on the same again: the index is made again from what is stored",
        )


class RouteUnreadable(CollectionError, OSError):
    """The route index cannot be opened where it is: nothing can be written there, nor anywhere else."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"cannot read the route index {directory}: nothing can be written there, nor to a temporary directory",
            "set TMPDIR to a directory that can be written to: a few links are made there for a moment",
        )


class RouteUnwritable(CollectionError, OSError):
    """The route index cannot be written to: the disk is full, or read-only."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"cannot write to the route index {directory}: {reason}",
            f"make room in {directory} and run this again: what was added before is kept",
        )


class AnswerNameInvalid(CollectionError, ValueError):
    """This is not the name of an answer."""

    exit_code = EXIT_USAGE

    def __init__(self, name: object) -> None:
        super().__init__(
            f"not the name of an answer: {name!r}",
            'it is bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION; `edgeqa ask --json` shows DOCUMENT:{TAG}:N as "address"',
        )


class CollectionEmpty(CollectionError):
    """There is nothing in the collection to ask."""

    exit_code = EXIT_USAGE

    def __init__(self, directory: Path) -> None:
        super().__init__(f"the collection {directory.name} is empty", f"fill it: edgeqa add{option(directory)} PATH...")
