"""Passages in their surroundings.

In: an address, or a document and a place in it. Out: the text around that place. A file is read again, in its format,
up to the place. A document of a collection is put together from its passages; everything else that stood between them
(blank lines, the lines between a table's cells) becomes white space. No model is read and no question answered here.
Places count code points of the document's NFC text, as those of answers do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.asking.documents import BETWEEN_RECORDS
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection
from edgeqa.collection.errors import CollectionNotFound, ContextGone
from edgeqa.collection.naming import document_named
from edgeqa.contexts import extent, row_heading
from edgeqa.contexts.passages import HeadingPath
from edgeqa.errors import CollectionError
from edgeqa.formats.blocks import FormatOptions
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from edgeqa.collection.catalogue_rows import DocumentRow
    from edgeqa.collection.naming import Address
    from edgeqa.contexts import Text
    from edgeqa.formats.blocks import Block

AROUND_CHARACTERS = 600  # at least so many are shown before and after a place, if there are so many


@dataclass(frozen=True, slots=True)
class Shown:
    """A place in a document, and what stands around it.

    Examples:
        >>> answer = qa.ask("To what depth may the pump be submerged?")
        >>> shown = qa.show(answer.document, (answer.source_start, answer.source_end))
        >>> start, end = shown.marked
        >>> shown.text[start:end]
        '12 metres'
    """

    document: str
    """Its name."""
    heading: tuple[str, ...]
    """The headings that the place stands under, outermost first."""
    text: str
    """The place with its surroundings."""
    start: int
    """Where `text` begins in the document."""
    marked: tuple[int, int]
    """Where in `text` the place is."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {
            "document": self.document,
            "heading": " > ".join(self.heading) or None,
            "text": self.text,
            "start": self.start,
            "marked": list(self.marked),
        }


def at_address(place: Path, address: Address) -> Shown:
    """Returns the passage of a collection at an address, with those beside it.

    Args:
        place: the collection's directory.
        address: of the passage.

    Raises:
        ContextGone: if there is none.
        CollectionError: if the collection cannot be read.
    """

    def named(catalogue: Catalogue) -> DocumentRow:
        for row in catalogue.documents_named(address.document):
            if row.tag == address.tag and address.number <= row.contexts:
                return row
        raise ContextGone(address)

    row, collection = _found(place, named)
    context = collection.context(row.first + address.number - 1)
    start, end = extent(context.text, context.start, context.pieces)
    found = _around(row.name, _of_collection(collection, row), start, end)
    if found is None:
        raise ContextGone(address)
    return found


def in_document(place: Path, name: str, start: int, end: int, *, files: bool = True) -> Shown:
    """Returns a part of a document with what stands around it.

    Args:
        place: the collection's directory, for what is no file.
        name: of a file, `manual.pdf`, of one of its documents, `manual.pdf#12`, or of a document of the collection.
        start: where the part begins in it.
        end: where it ends.
        files: whether files are read; else it is a document of the collection.

    Raises:
        ContextGone: if there is no such document, or it ends before.
        ContextError: if the file cannot be read.
        CollectionError: if the collection cannot be read.
    """
    found = _around(name, _parts_of(place, name, files=files), start, end)
    if found is None:
        raise ContextGone(what=f"characters {start}-{end}", document=name)
    return found


def text_pieces(place: Path, name: str, *, files: bool = True) -> Iterator[str]:
    """Yields the text of a document that its places count in; arguments and errors as for `in_document`."""
    return (part.text for part in _parts_of(place, name, files=files))


def whole(place: Path, name: str, *, files: bool = True) -> Shown:
    """Returns the text of a document that its places count in, all of it; arguments and errors as for `in_document`."""
    text = "".join(text_pieces(place, name, files=files))
    return Shown(name, (), text, 0, (0, len(text)))


class _Part(NamedTuple):
    """A run of a document's text, and the headings that it stands under."""

    text: str
    heading: tuple[str, ...]


def _parts_of(place: Path, name: str, *, files: bool) -> Iterator[_Part]:
    """Yields the text of a file, of one of its documents, or of a document of the collection."""
    if not files:
        return _of_first(place, name)
    source = name if Path(name).is_file() else name.rpartition("#")[0]
    return _of_file(source, name) if source and Path(source).is_file() else _of_first(place, name)


def _of_file(source: str, name: str) -> Iterator[_Part]:
    """Yields the text of a whole file, or of its document of this name."""
    found = False
    for record in (record for one in walk([source], FormatOptions()) for record in one.records()):
        if name not in (source, record.name):
            for _ in record.blocks:
                pass
            continue
        if found:
            yield _Part(BETWEEN_RECORDS, ())
        found = True
        yield from _headed(record.blocks)
    if not found:
        raise ContextGone(name)


def _headed(blocks: Iterable[Block]) -> Iterator[_Part]:
    """Yields the text of blocks, each with the headings above it."""
    path = HeadingPath()
    for block in blocks:
        if block.kind == "heading":
            path.leave(block.level)
        row = (row_heading(block.row),) if block.row else ()
        yield _Part(block.before + block.text, (*path.titles, *row))
        if block.kind == "heading":
            path.enter(block.level, block.text)


def _of_first(place: Path, name: str) -> Iterator[_Part]:
    try:
        row, collection = _found(place, lambda catalogue: document_named(catalogue, name))
    except CollectionError as error:
        if isinstance(error, CollectionNotFound):  # there is no collection, and no file of this name
            raise ContextGone(name) from error
        raise
    yield from _of_collection(collection, row)


def _found(place: Path, find: Callable[[Catalogue], DocumentRow]) -> tuple[DocumentRow, Collection]:
    """Returns a document of the catalogue, and the collection, which has all of its passages.

    A writer may put another in the document's place between the one and the other: then it is looked up again.
    """
    former = None
    while True:
        with Catalogue.read(place) as catalogue:
            row = find(catalogue)
        collection = Collection(place)
        try:
            if row.contexts:
                collection.context(row.first + row.contexts - 1)  # a merge drops whole documents
        except ContextGone:
            if row == former:
                raise
            former = row
        else:
            return row, collection


def _of_collection(collection: Collection, row: DocumentRow) -> Iterator[_Part]:
    """Yields what a collection holds of a document, in its places; passages overlap, and leave out what parts them."""
    return _of_passages(collection.context(row.first + number) for number in range(row.contexts))


def _of_passages(passages: Iterable[Text]) -> Iterator[_Part]:
    done = 0
    for context in passages:
        for begin, end, at in context.pieces or ((0, len(context.text), context.start),):
            text = context.text[begin + max(0, done - at) : end]
            if text:
                yield _Part("\n" * max(0, at - done) + text, context.heading)
                done = at + end - begin


def of_passages(name: str, passages: Sequence[Text], place: tuple[int, int] | None = None) -> Shown | None:
    """Returns a part of a document that is put together of its passages; None if it ends before.

    Args:
        name: of the document.
        passages: all of them, in order.
        place: where the part begins and ends; None for all of it.
    """
    if place is not None:
        return _around(name, _of_passages(passages), *place)
    text = "".join(part.text for part in _of_passages(passages))
    return Shown(name, (), text, 0, (0, len(text)))


def _around(name: str, parts: Iterable[_Part], start: int, end: int) -> Shown | None:
    """Returns the place with at least AROUND_CHARACTERS on either side, whole parts; None if the text ends before."""
    held: deque[tuple[int, _Part]] = deque()
    place = 0
    heading: tuple[str, ...] = ()
    for part in parts:
        held.append((place, part))
        if place <= start < place + len(part.text):
            heading = part.heading
        place += len(part.text)
        while held and held[0][0] + len(held[0][1].text) <= start - AROUND_CHARACTERS:
            held.popleft()
        if place >= end + AROUND_CHARACTERS:
            break
    if not 0 <= start < end <= place:
        return None
    text, first = "".join(part.text for _, part in held), held[0][0]
    # A part may be a page of text without a blank line.
    low = max(0, start - first - 2 * AROUND_CHARACTERS)
    high = min(len(text), end - first + 2 * AROUND_CHARACTERS)
    return Shown(name, heading, text[low:high], first + low, (start - first - low, end - first - low))
