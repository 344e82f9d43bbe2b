"""The errors of a collection: each names the collection, shard, document or index, and the remedy."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from edgeqa.errors import EXIT_USAGE, CollectionError, EdgeQAError, OptionError, without_home

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def option(directory: Path) -> str:
    """Returns the option that names a collection in a command; it is empty for the default collection."""
    return "" if directory.name == "default" else f" --collection {directory.name}"


class CollectionNameInvalid(CollectionError):
    """This cannot be a collection's name."""

    exit_code = EXIT_USAGE

    def __init__(self, name: object) -> None:
        super().__init__(
            f"not a name for a collection: {name!r}", "use letters, digits, '.', '_' and '-', at most 64 of them"
        )


class NameNotUsed(OptionError):
    """A name was given, but not for one text that comes through a pipe."""

    def __init__(self, name: str) -> None:
        EdgeQAError.__init__(
            self,
            f"nothing can be called {name!r}: a name is for one text that comes through a pipe",
            "name nothing but the pipe: edgeqa add - --name NAME; a file is called by its path",
        )


class CollectionNotFound(CollectionError, LookupError):
    """Nothing was ever added to a collection of this name."""

    exit_code = EXIT_USAGE

    def __init__(self, directory: Path) -> None:
        super().__init__(f"no collection called {directory.name}", f"make it: edgeqa add{option(directory)} PATH...")


class CollectionForeign(CollectionError):
    """The directory of a collection is not edgeqa's alone: it is not deleted."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"the collection {directory.name} is not deleted: {reason}",
            f"look at {directory}, and move away what is not edgeqa's, or delete the directory yourself",
        )


class FolderTaken(CollectionError):
    """A folder is not made a collection of: what lies there is not edgeqa's."""

    exit_code = EXIT_USAGE

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"{directory} is no place for a collection: {reason}",
            "give the collection a folder of its own: one that is empty, or not there yet",
        )


class CollectionExists(CollectionError):
    """There is a collection of this name already: an import takes no other's place."""

    exit_code = EXIT_USAGE

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"there is a collection called {directory.name} already: {directory}",
            f"give it another name: --as NAME; or delete that one: edgeqa collections delete {directory.name}",
        )


class CarriedDamaged(CollectionError):
    """A file to import is not what `edgeqa collections export` wrote."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(
            f"{file} is not imported: {what}",
            "copy it again, or export it again where it was made: edgeqa collections export NAME FILE",
        )


class CarriedUnsupported(CollectionError):
    """A file to import is of a format that this version does not know."""

    def __init__(self, file: Path, found: object, known: int) -> None:
        super().__init__(
            f"{file} is not imported: format {found!r}, this edgeqa reads format {known}",
            "use an edgeqa as new as the one that made it",
        )


class CarriedInaccessible(CollectionError, OSError):
    """The system refused to read or write a file that carries a collection."""

    def __init__(self, file: Path, doing: str, reason: str) -> None:
        super().__init__(
            f"cannot {doing} {file}: {reason}", "check its name, its permissions, and the room on the disk"
        )


class CollectionFormatUnsupported(CollectionError):
    """The collection is of a format that this version does not know."""

    def __init__(self, path: Path, found: object, known: int) -> None:
        super().__init__(
            f"{path}: format {found!r}, this edgeqa reads format {known}",
            "use the edgeqa that made it, or delete the directory and add the texts again",
        )


class CollectionOtherBundle(CollectionError):
    """The collection was made with another bundle: its token ids or encodings would be read as something else."""

    exit_code = EXIT_USAGE

    def __init__(self, directory: Path, made_with: str) -> None:
        super().__init__(
            f"the collection {directory.name} was made with another bundle ({made_with})",
            f"make it anew for this one: edgeqa add --re-encode{option(directory)}; "
            "or use the bundle that it was made with",
        )


class CollectionBusy(CollectionError):
    """Another process is adding to the collection, or removing from it."""

    def __init__(self, directory: Path, process: str) -> None:
        super().__init__(
            f"the collection {directory.name} is being changed by another process{f' ({process})' if process else ''}",
            "wait until it has finished, and run this again",
        )


class AllGone(CollectionError):
    """Nothing that was added from a path is there any more: it is removed only where that is asked for."""

    def __init__(self, directory: Path, path: str, files: int) -> None:
        super().__init__(
            f"all that was added from {path} is gone: {files} file{'' if files == 1 else 's'}; nothing is removed",
            "if it is on a disk or a share, see that this is mounted, and run this again; "
            f"to remove it: edgeqa sync --drop-all{option(directory)} {path}",
        )


class CollectionUnreadable(CollectionError, OSError):
    """The system refused to read the collection."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"cannot read the collection {directory.name}: {reason}",
            f"check the permissions of {directory}, and the disk",
        )


class CollectionUnwritable(CollectionError, OSError):
    """The disk is full, or the directory cannot be written to."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"cannot write to the collection {directory.name}: {reason}",
            without_home(directory) or (_NO_LOCKS if reason == os.strerror(errno.ENOLCK) else _no_room(directory)),
        )


_NO_LOCKS = (
    "its file system has no locks, so that two processes could write at once: keep it on a disk of this machine "
    "(EDGEQA_HOME); what was added elsewhere can be copied there, and asked"
)


def _no_room(directory: Path) -> str:
    return (
        f"make room in {directory}, or see to its permissions, and run this again: what was added so far is kept; "
        "--encodings takes less"
    )


class CatalogueDamaged(CollectionError):
    """The list of documents is not what was written."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"the catalogue is damaged: {file}: {reason}",
            f"make it again from the shards: edgeqa verify --repair{option(file.parent)}; "
            f"if that cannot be done, delete {file.parent}, and add the texts again",
        )


class CatalogueLost(CollectionError):
    """The list of documents is damaged, and cannot be made again."""

    def __init__(self, damage: CatalogueDamaged, reason: str) -> None:
        super().__init__(
            f"{damage}; it cannot be made again: {reason}", "delete the directory, and add the texts again"
        )


class FileDamaged(CollectionError):
    """A file of a collection is not what was written. The catalogue has its content, too."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(
            f"{file.name} is damaged: {file}: {what}",
            f"`edgeqa add` on any text writes it anew, and so does `edgeqa verify --repair{option(file.parent)}`",
        )


class ShardDamaged(CollectionError):
    """A part of a shard is not what was written. Its contexts are left out until they are mended."""

    def __init__(self, tag: str, file: Path, what: str) -> None:
        self.tag, self.file, self.what = tag, file, what
        super().__init__(
            f"shard {tag} is damaged: {file.name}: {what}",
            "`edgeqa add` on the texts that it holds mends it; `edgeqa verify` names them",
        )


class NameAmbiguous(CollectionError):
    """Several texts of the collection are called alike."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str, paths: Sequence[str | None]) -> None:
        files = " or ".join(path or "what came through a pipe" for path in paths)
        super().__init__(f"{name} means {len(paths)} texts of the collection", f"give its full path: {files}")


class ContextGone(CollectionError, LookupError):
    """The collection does not hold this context, or not any more."""

    exit_code = EXIT_USAGE

    def __init__(self, what: object, document: str | None = None) -> None:
        shows = "`edgeqa list` shows what is there" if document is None else f"all of it: edgeqa show {document} --text"
        super().__init__(f"not in {'the collection' if document is None else document}: {what}", shows)


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


class CollectionEmpty(CollectionError):
    """There is nothing in the collection to ask."""

    exit_code = EXIT_USAGE

    def __init__(self, directory: Path) -> None:
        super().__init__(f"the collection {directory.name} is empty", f"fill it: edgeqa add{option(directory)} PATH...")
