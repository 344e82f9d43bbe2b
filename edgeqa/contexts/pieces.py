"""What a passage says of itself besides its text: its kind, and where in the document the pieces of its text stand.

Values only. A passage whose text stands in the document as it is, from its `start` on, has no pieces. That of a table's
row reads "Header: cell; Header: cell": each header and each cell is a piece, and what parts them stands nowhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

KINDS: Final = ("paragraph", "row", "entry", "list", "code")
"""What a passage may be. Collections keep its number: new ones come at the end."""
SPLITTER_VERSION: Final = 1
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


def extent(text: str, start: int, pieces: tuple[Piece, ...]) -> tuple[int, int]:
    """Returns where a passage begins and ends in its document.

    Args:
        text: the passage's.
        start: where it begins, if it stands there as it is.
        pieces: where its pieces stand, if not.
    """
    if not pieces:
        return start, start + len(text)
    return min(piece.place for piece in pieces), max(piece.place + piece.end - piece.start for piece in pieces)
