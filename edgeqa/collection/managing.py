"""Changing a collection, as the runtime and the command line do it: add, sync, remove, re-encode, repair.

In: the collection's directory, paths or names, and a function that loads the model, called only where contexts are
made. Out: a report of the changes.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from edgeqa.capabilities import GIB, MIB
from edgeqa.collection.adding import AddingRun, TimedModel
from edgeqa.collection.adding_sources import MissingFiles, PrepareStage, ReEncodeStage, is_still, total_bytes
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.catalogue_rows import PENDING
from edgeqa.collection.collection import Collection
from edgeqa.collection.errors import NameAmbiguous, NameNotUsed
from edgeqa.collection.naming import document_named, file_identity, several
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.collection.verifying import check_there
from edgeqa.collection.writer import Writer
from edgeqa.errors import NothingToAdd, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edgeqa.collection.adding import Added
    from edgeqa.collection.catalogue_rows import DocumentRow, SourceRow
    from edgeqa.formats.blocks import FormatOptions
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.reading import PassageReader
    from edgeqa.timing import Progress

    Later: TypeAlias = Literal["later"]
    Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


LATER: Final = "later"
"""Adds no encodings in this run: contexts can be asked much sooner, and `re_encode` makes what is missing."""
# An encoding is forty times as large as the text and token ids that it is made from, and saves half of the time that
# it takes to read a context. So encodings get a share of the disk, and contexts beyond that have none.
SHARE_PERCENT, MAX_BYTES = 10, 8 * GIB
MAX_BYTES_ON_32_BITS = 512 * MIB  # they are mapped, and address space is short
_FACT = "encodings_budget"


def add(
    place: Path,
    bundle: Bundle,
    load: Callable[[], PassageReader],
    paths: Paths,
    options: FormatOptions,
    *,
    name: str | None = None,
    copied: bool = False,
    drop_gone: bool = False,
    drop_all: bool = False,
    encodings_bytes: int | Later | None = None,
    anew: bool = False,
    progress: Progress | None = None,
) -> Added:
    """Adds what `paths` name to a collection; returns what was done.

    Args:
        place: where the collection lives.
        bundle: the model's.
        load: loads the model, where contexts are to be made.
        paths: files, folders, or "-".
        options: how to read them.
        name: what the one text is called that `paths` name, and that comes through a pipe; None to call it after its
            content.
        copied: whether a file is taken as if it had come through a pipe: known by `name`, and not by its path.
        drop_gone: whether files that are gone from the paths go from the collection too.
        drop_all: whether they do so even where all that was added from a path is gone.
        encodings_bytes: how many bytes of encodings the collection may hold, from now on; None for what was asked for
            before, or a share of the disk; "later" for none in this run, which changes nothing for those to come.
        anew: first re-encode what is there, with whatever model it was made. What an older version of the model made
            is re-encoded without being asked for.
        progress: called as it goes on.

    Raises:
        AllGone: if files would go, and all that was added from one of the paths is gone; then nothing is changed.
        CollectionError: if the collection cannot be opened or written to, or was made with another model.
        ContextError: if nothing could be read at all.
    """
    named = several(paths)
    _check(named, name, encodings_bytes, anew=anew, copied=copied)
    if not named and not anew:
        raise NothingToAdd
    encoder = EncoderIdentity.of(bundle)
    with Writer(place, encoder, anew=anew) as writer, Catalogue.read(place) as catalogue:
        gone = MissingFiles(place, catalogue, even_all=drop_all) if drop_gone else None
        if gone is not None:
            gone.check(named)
        most = 0 if encodings_bytes == LATER else encodings_budget(writer, encodings_bytes)

        def adding(model: TimedModel) -> AddingRun:
            return AddingRun(writer, encoder, model, encodings_left_bytes=most - writer.encodings_bytes())

        model = TimedModel(load)
        made = _make_anew(writer, catalogue, encoder, model, adding(model), progress) if writer.is_anew else None
        if made is not None and not named:
            return made
        model = TimedModel(load)
        run = adding(model)
        if made is not None:
            run.report.files_re_encoded, run.report.failed = made.files_re_encoded, made.failed
        stage = PrepareStage(catalogue, encoder, model, options, run.report)
        stage.take_pipes(named)
        in_all = total_bytes(named, options) if progress is not None else 0

        def watched(done_bytes: int, _: int) -> None:
            if progress is not None:
                progress("adding", min(done_bytes, in_all), in_all)

        report = run.run(stage.events(named, name=name, copied=copied, gone=gone), watched)
    if report.failed and not report.files_done:
        raise report.failed[0][1]
    return report


def _check(named: list[str], name: object, encodings_bytes: object, *, anew: bool, copied: bool) -> None:
    if not all(named):  # an unset variable of the shell gives an empty name, which would mean the working directory
        raise OptionError(name="paths", value="", expected='files, folders, or "-"')
    if encodings_bytes == LATER and anew:
        raise OptionError(name="encodings_bytes", value=LATER, expected="a size, or nothing, where all is re-encoded")
    if encodings_bytes not in {None, LATER} and (type(encodings_bytes) is not int or encodings_bytes < 0):
        expected = f"a number of bytes, 0 to store none, or {LATER!r}"
        raise OptionError(name="encodings_bytes", value=encodings_bytes, expected=expected)
    if name is None and not copied:
        return
    if not isinstance(name, str) or not name.strip():
        raise OptionError(name="name", value=name, expected="what a text is called")
    if len(named) != 1 or os.path.isdir(named[0]) or (is_still(named[0]) and not copied):  # noqa: PTH112 - a str
        raise NameNotUsed(name)


def _make_anew(
    writer: Writer,
    catalogue: Catalogue,
    encoder: EncoderIdentity,
    model: TimedModel,
    run: AddingRun,
    progress: Progress | None,
) -> Added:
    held = Collection(writer.directory)
    anew = ReEncodeStage(catalogue, held, encoder, model)

    def watched(_: int, contexts: int) -> None:
        if progress is not None:
            progress("re-encoding", min(contexts, held.contexts), held.contexts)

    report = run.run(anew.events(), watched)
    lost = {source.name for source in writer.take_places()}
    report.failed = [(name, error) for name, error in report.failed if name in lost]
    return report


def remove(place: Path, names: Paths) -> list[DocumentRow]:
    """Removes files, folders and documents from a collection; returns the documents that are gone.

    Args:
        place: where the collection lives.
        names: as `edgeqa list` shows them, or paths of files and folders, which need not be there any more.

    Raises:
        OptionError: if a name is empty.
        ContextGone: if it holds nothing of a name; then nothing is removed.
        NameAmbiguous: if several files are called so; then, too.
        CollectionError: if it cannot be opened or written to.
    """
    names = several(names)
    if not all(names):  # it would be all beneath the working directory
        raise OptionError(name="names", value="", expected="names as edgeqa list shows them, or paths")
    check_there(place)
    with Writer(place) as writer:
        found = [_sources_or_documents(writer.catalogue, name) for name in names]
        gone: dict[int, DocumentRow] = {}
        sources = {source.id: source for some, _ in found for source in some}
        for source in sources.values():
            gone |= {d.id: d for d in writer.catalogue.documents_of(source.id) if d.whole}
            writer.remove_source(source)
        for document in (document for _, some in found for document in some):
            if document.id not in gone:
                gone[document.id] = document
                writer.remove_document(document)
        writer.commit()
    return list(gone.values())


def _sources_or_documents(catalogue: Catalogue, name: str) -> tuple[list[SourceRow], list[DocumentRow]]:
    """Returns the files, or else the documents, that a name stands for.

    Raises:
        NameAmbiguous: if several files are called so.
        ContextGone: if there is none.
    """
    sources = catalogue.sources_named(name)
    if len({source.path for source in sources}) > 1:
        raise NameAmbiguous(name, [source.full_path for source in sources if source.state > PENDING])
    sources = sources or list(catalogue.sources_below(file_identity(name)))
    return sources, [] if sources else [document_named(catalogue, name)]


def repair(place: Path) -> None:
    """Makes catalogue, snapshot, checksums, manifests and route index again, from the contexts of the collection.

    A collection that edgeqa 0.3 made gets checksums. Damaged contexts of a shard are not mended: only adding their
    texts again brings them back.

    Raises:
        CollectionNotFound: if there is none.
        CollectionError: if it cannot be written to, or the catalogue cannot be made again.
    """
    check_there(place)
    with Writer(place) as writer:
        writer.commit()


def encodings_budget(writer: Writer, wanted_bytes: int | None) -> int:
    """Returns the most bytes of encodings for the collection: the number last asked for, or a share of the disk."""
    if wanted_bytes is not None:
        with writer.catalogue.transaction():
            writer.catalogue.set(_FACT, wanted_bytes)
    asked: int | None = writer.catalogue.get(_FACT, None)
    if asked is not None:
        return asked
    most = MAX_BYTES if sys.maxsize > 1 << 32 else MAX_BYTES_ON_32_BITS
    free = shutil.disk_usage(writer.directory).free
    return min(most, (free + writer.encodings_bytes()) * SHARE_PERCENT // 100)
