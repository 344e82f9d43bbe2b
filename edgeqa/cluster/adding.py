"""Adding to a cluster: this module makes documents in Valkey from files. Unchanged files are not read again.

Files are found, read, split and tokenised here, by the readers of `formats` and the model's tokenizer; nothing is
encoded. If it is interrupted at any moment, whole documents stay, and adding the same again goes on from there. A file
is known by the name that was given: paths of other machines mean nothing here.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from edgeqa import forking
from edgeqa.cluster import keys
from edgeqa.cluster.errors import AllGoneFromCluster, NameOfSeveral
from edgeqa.cluster.folders import Folders
from edgeqa.collection.adding import Added
from edgeqa.collection.adding_sources import total_bytes
from edgeqa.collection.errors import ContextGone
from edgeqa.collection.naming import identify
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.contexts.passages import SPLITTER_VERSION
from edgeqa.errors import ContextError, ContextNotFound, NothingToAdd, OptionError, printed
from edgeqa.formats import STANDARD_INPUT
from edgeqa.formats.folders import Skipped, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeqa.cluster.documents import Documents, StoredDocument
    from edgeqa.cluster.valkey import Valkey
    from edgeqa.contexts.windows import Limits
    from edgeqa.formats.blocks import FormatOptions
    from edgeqa.formats.source import Source
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.tokenizer import Tokenizer
    from edgeqa.timing import Progress


BEGUN = b"begun"
"""Stands for the digest of a file until all its documents are there, and while they are removed."""
PIPED = b" piped"
"""Ends what is noted of a text that was no file: no sync finds it gone."""


class Splitter:
    """The parts of a model that cut documents into passages: its tokenizer, and the length of contexts."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @forking.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded when it is first needed."""
        from edgeqa.models.tokenizer import Tokenizer

        return Tokenizer(self._bundle.file("tokenizer.json"))

    @forking.cached_property
    def limits(self) -> Limits:
        """The lengths of contexts: those of a machine with enough memory, since all machines share the contexts."""
        from edgeqa.capabilities.footprint import WINDOW_TOKENS
        from edgeqa.contexts.windows import Limits

        most = self._bundle.manifest.max_context_tokens - 1  # the context takes a [SEP]
        return Limits(most, min(most, WINDOW_TOKENS))


class AddingToCluster:
    """One run over paths."""

    def __init__(self, valkey: Valkey, documents: Documents, bundle: Bundle, splitter: Splitter) -> None:
        self._documents, self._folders, self._splitter = documents, Folders(valkey), splitter
        self._encoder = EncoderIdentity.of(bundle)
        self._report = Added(str(valkey.address))
        self._done_bytes = 0
        self._is_again = False
        """Whether files were known already, of which documents may have been removed, by an interrupted run, too."""

    def run(
        self,
        paths: Sequence[str],
        options: FormatOptions,
        *,
        name: str | None,
        copied: bool = False,
        drop_gone: bool = False,
        drop_all: bool = False,
        progress: Progress,
    ) -> Added:
        """Adds the files that paths name; returns a report.

        Args:
            paths: files, folders, or "-".
            options: how to read them.
            name: the name of a text that comes through a pipe, or of the one file that is added.
            copied: whether a file is treated as if it had come through a pipe.
            drop_gone: whether to remove documents whose files are gone from the paths.
            drop_all: whether to do so even if all files of a path are gone.
            progress: a function that is called as the work goes on.

        Raises:
            ClusterError: if the cluster cannot be written to; documents that were added before stay.
            ContextError: if no file could be read.
            OptionError: if there is a name for several files.
            AllGoneFromCluster: if `drop_gone` would remove all documents of a path.
        """
        began = time.perf_counter()
        if not paths:
            raise NothingToAdd
        if name is not None:
            _check_name(paths, name)
            copied = True  # a path means nothing here, so that a file may be called otherwise
        self._documents.bind(self._encoder)
        in_all = total_bytes(paths, options)
        gone = self._gone(paths) if drop_gone else {}
        for path, (missing, there) in () if drop_all else gone.items():
            if missing and not there:
                raise AllGoneFromCluster(path, len({one.source for _, one in missing}))
        for path in paths:
            self._path(path, options, name, copied=copied, is_gone=bool(gone.get(path, ((), 0))[0]))
            progress("adding", min(self._done_bytes, in_all), in_all)
        self._folders.settle()
        for missing, _ in gone.values():
            self._report.files_removed += self._drop(missing)
        if drop_gone or self._is_again:
            self._documents.settle(paths[0])
        self._report.timings_ms = {"load": 0.0, "total": 1e3 * (time.perf_counter() - began)}
        if self._report.failed and not self._report.files_done:
            raise self._report.failed[0][1]
        return self._report

    def _path(self, path: str, options: FormatOptions, name: str | None, *, copied: bool, is_gone: bool) -> None:
        try:
            for source in walk([path], options, self._report.skip):
                source.is_piped |= copied
                self._source(source, name)
                self._done_bytes += source.size_bytes
        except (ContextError, OptionError) as error:  # other errors are not the path's fault
            if not (is_gone and isinstance(error, ContextNotFound)):
                self._report.failed.append((path, error))

    def _drop(self, gone: Iterable[tuple[str, StoredDocument]]) -> int:
        """Removes documents; returns how many files they are of. If it is interrupted, adding brings them back."""
        documents = list(gone)
        sources = {one.source for _, one in documents}
        for source in sources:
            self._folders.note(source, BEGUN)
        self._folders.settle()
        for tag, one in documents:
            self._documents.drop(tag, one.name)
        for source in sources:
            self._folders.forget(source)
        return len(sources)

    def _source(self, source: Source, given: str | None) -> None:
        try:
            name = printed(identify(source, given).name)
            end = PIPED if source.is_piped else b""
            made = f"{source.digest().hex()} {source.reader} {SPLITTER_VERSION}".encode() + end
            known = self._folders.noted(name)
            if known == made:
                self._report.files_unchanged += 1
            else:
                self._is_again |= known is not None
                self._folders.note(name, BEGUN + end)
                self._records(source, name, is_new=known is None)
                self._folders.note(name, made)
                is_added = known is None or known.startswith(BEGUN)
                self._report.files_changed += not is_added
                self._report.files_added += is_added
            if source.is_piped:
                self._report.piped.append(name)
        except ContextError as error:
            self._report.failed.append((source.name, error))
        for part, why in source.notes:
            self._report.skip(Skipped(part, why))

    def _records(self, source: Source, name: str, *, is_new: bool) -> None:
        """Puts the documents of a file into Valkey, and removes those that the file no longer has."""
        from edgeqa.contexts.windows import all_windows

        former = {} if is_new else self._of_source(name, self._folders.tags(name))
        now = set()
        for record in source.records():
            windows = list(all_windows(record.blocks, self._splitter.tokenizer.tokenize, self._splitter.limits))
            called = name + record.name.removeprefix(source.name)
            now.add(called)
            tag = former.pop(called, None) or self._folders.tag_for(called, len(windows))
            self._folders.settle()
            self._documents.put(tag, called, title=record.title, source=name, windows=windows)
            self._report.documents += 1
            self._report.contexts += len(windows)
        folder = keys.folder_of(name)
        if not (is_new or (now and all(keys.folder_of(called) == folder for called in now))):
            every = self._of_source(name, self._documents.tags())  # an article of a file has a folder of its own
            former |= {called: tag for called, tag in every.items() if called not in now}
        for called, tag in former.items():
            self._documents.drop(tag, called)

    def _of_source(self, name: str, tags: Sequence[str]) -> dict[str, str]:
        """Returns the tag of each document of a file that is in one of some tags."""
        return {one.name: tag for tag, some in self._documents.of_tags(tags) for one in some if one.source == name}

    def _gone(self, paths: Sequence[str]) -> dict[str, tuple[list[tuple[str, StoredDocument]], int]]:
        """Returns, by path, the documents whose files are gone, and the number of those that are still there."""
        every = [(tag, one) for tag, some in self._documents.of_tags(self._documents.tags()) for one in some]
        found = {}
        for path in paths:
            if path in {STANDARD_INPUT, ""}:
                continue
            below = [(tag, one) for tag, one in every if is_within(one.source, printed(path))]
            gone = {one.source for _, one in below if not _is_there(one.source)}
            known = self._folders.known(sorted(gone))
            # What came through a pipe, or raw, never was a file.
            gone = {source for source, made in known.items() if made is not None and not made.endswith(PIPED)}
            there = sum(one.source not in known for _, one in below)
            found[path] = [(tag, one) for tag, one in below if one.source in gone], there
        return found

    def remove(self, names: Sequence[str]) -> list[StoredDocument]:
        """Removes files, folders and documents; returns the documents that are gone.

        Raises:
            OptionError: if a name is empty.
            ContextGone: if there is nothing of a name; then nothing is removed.
        """
        if not all(names):  # it would be all that there is
            raise OptionError(name="names", value="", expected="names as edgeqa list shows them, or paths")
        every = [(tag, one) for tag, some in self._documents.of_tags(self._documents.tags()) for one in some]
        gone: dict[tuple[str, str], StoredDocument] = {}
        for name in map(printed, names):
            found = {(tag, one.name): one for tag, one in every if one.name == name or is_within(one.source, name)}
            if not found:
                self._documents.settle(name)
                raise ContextGone(name)
            gone |= found
        self._drop((tag, one) for (tag, _), one in gone.items())
        self._documents.settle(names[0])
        return list(gone.values())


def _is_there(source: str) -> bool:
    """Tells whether there is a file of a name that is kept as `printed` returns it."""
    undecoded = re.sub(r"\\x([89a-f][0-9a-f])", lambda found: chr(0xDC00 + int(found[1], 16)), source)
    return os.path.lexists(source) or os.path.lexists(undecoded)


def _check_name(paths: Sequence[str], name: str) -> None:
    """Raises an error for a name that is none, or that would be that of several files."""
    if not name.strip():
        raise OptionError(name="name", value=name, expected="what a text is called")
    if len(paths) != 1 or os.path.isdir(paths[0]):  # noqa: PTH112 - a str
        raise NameOfSeveral(name)


def is_within(source: str, path: str) -> bool:
    """Tells whether a file is a path, or below it, by its name."""
    folder = os.path.normpath(path)
    return source in (path, folder) or os.path.normpath(source).startswith(f"{folder.rstrip('/')}/") or folder == "."


def is_part(document: str, name: str) -> bool:
    """Tells whether a document is called so, or is of a file or below a folder that is."""
    return is_within(document, name) or document.startswith(f"{name}#")
