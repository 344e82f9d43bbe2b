"""What a passage says of itself besides its text: its kind, and where in the document the pieces of its text stand.

Values only. A passage whose text stands in the document as it is, from its `start` on, has no pieces. That of a table's
row reads "Header: cell; Header: cell": each header and each cell is a piece, and what parts them stands nowhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

KINDS: Final = ("paragraph", "row", "entry", "list", "code")
"""What a passage may be. Collections keep its number: new ones come at the end."""
SPLITTER_VERSION: Final = 2
"""Raised whenever the same blocks become other passages: what a collection holds is then read again when it is next
added."""


class Piece(NamedTuple):
    """A run of a passage's text that stands in the document as it is."""

    start: int
    """Where in the passage's text it begins."""
    end: int
    """Where in the passage's text it ends."""
    place: int
    """Where in the document's text it begins."""


class Place(NamedTuple):
    """A span in characters of its passage."""

    start: int
    end: int
    score: float


def place_of(start: int, pieces: tuple[Piece, ...], begin: int, end: int) -> tuple[int, int]:
    """Returns where in the document `text[begin:end]` of a passage stands.

    Args:
        start: of the passage.
        pieces: of the passage.
        begin: within one piece, and so is `end`; of a range that is not, where what of it stands in the document ends.
        end: see `begin`.
    """
    if not pieces:
        return start + begin, start + end
    touched = [piece for piece in pieces if piece.start < end and begin < piece.end] or [pieces[0]]
    first, last = touched[0], touched[-1]
    places = (first.place + max(0, begin - first.start), last.place + min(end, last.end) - last.start)
    return min(places), max(places)


def extent(text: str, start: int, pieces: tuple[Piece, ...]) -> tuple[int, int]:
    """Returns where a passage begins and ends in its document, without what is said again of what stands above it.

    Args:
        text: the passage's.
        start: where it begins.
        pieces: where its pieces stand, if it does not stand there as it is.
    """
    if not pieces:
        return start, start + len(text)
    own = [piece for piece in pieces if piece.place >= start] or pieces
    return min(piece.place for piece in own), max(piece.place + piece.end - piece.start for piece in own)
