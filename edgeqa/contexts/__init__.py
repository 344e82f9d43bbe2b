"""Contexts: the room makes passages and windows from the blocks of a document; this module holds their common values.

A question is read against a passage of a given text, or against a context of a collection, with its tokens. Most
passages stand in their document as they are, from their `start` on, and have no pieces. The passage of a table's row
reads "Header: cell; Header: cell": each header and each cell is a piece, and the signs between them stand nowhere in
the document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Offsets = NDArray[np.int32]


KINDS: Final = ("paragraph", "row", "entry", "list", "code")
"""The kinds of passages. A collection stores the number of a kind, so that new kinds come at the end."""


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


class Tokens:
    """A text's tokens, without special ones.

    This is no dataclass, because it takes 0.5 ms to make one, and every start of a process loads this module.
    """

    __slots__ = ("ids", "offsets", "words")

    def __init__(self, ids: Ids, offsets: Offsets, words: Offsets) -> None:
        self.ids: Final = ids
        """int64 [tokens]"""
        self.offsets: Final = offsets
        """int32 [tokens, 2]: the first character of each token, and the one after its last"""
        self.words: Final = words
        """int32 [tokens]: the number of each token's word, counted from 0"""

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, first: int, after: int, shift: int) -> Tokens:
        """Returns tokens `first` to `after` of a text that begins at character `shift` of this one."""
        words = self.words[first:after]
        return Tokens(self.ids[first:after], self.offsets[first:after] - shift, words - words[0])


class Text(Protocol):
    """A text that an answer is cut from."""

    @property
    def text(self) -> str:
        """Its NFC text."""

    @property
    def start(self) -> int:
        """Place of its first character in its document; repeated headers and terms do not count as the first."""

    @property
    def heading(self) -> tuple[str, ...]:
        """The headings that it stands under, outermost first."""

    @property
    def kind(self) -> str:
        """Its kind, one of `KINDS`."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The parts of its text that stand in its document; empty if the whole text stands there, from `start` on."""


class Context(Text, Protocol):
    """A text with its tokens, ready for a reader."""

    @property
    def tokens(self) -> Tokens:
        """Its tokens, with offsets into `text`."""

    @property
    def paragraphs(self) -> Offsets:
        """Number of each token's paragraph, int32 [tokens], rising from 0."""

    @property
    def meaningful(self) -> NDArray[np.bool_]:
        """Whether each token is more than punctuation, bool [tokens]."""


def place_of(start: int, pieces: tuple[Piece, ...], begin: int, end: int) -> tuple[int, int]:
    """Returns the place in the document, from and to, of `text[begin:end]` of a passage.

    Args:
        start: of the passage.
        pieces: of the passage.
        begin: first character of the range. The range should lie within one piece; if it does not, the result covers
            all of its parts that stand in the document.
        end: the character after the last one of the range.
    """
    if not pieces:
        return start + begin, start + end
    touched = [piece for piece in pieces if piece.start < end and begin < piece.end] or [pieces[0]]
    first, last = touched[0], touched[-1]
    places = (first.place + max(0, begin - first.start), last.place + min(end, last.end) - last.start)
    return min(places), max(places)


def row_heading(number: int) -> str:
    """Returns the innermost heading of a row in a spreadsheet: its number."""
    return f"row {number}"


def searched(heading: tuple[str, ...]) -> str:
    """Returns the words of a heading path that a search looks at: nobody looks for a row by its number."""
    return " ".join([one for one in heading if not (one.startswith("row ") and one[4:].isdecimal())])


def extent(text: str, start: int, pieces: tuple[Piece, ...]) -> tuple[int, int]:
    """Returns the beginning and end of a passage in its document, without the headers and terms that it repeats.

    Args:
        text: the passage's text.
        start: the place where it begins.
        pieces: its pieces, if it has any.
    """
    if not pieces:
        return start, start + len(text)
    own = [piece for piece in pieces if piece.place >= start] or pieces
    return min(piece.place for piece in own), max(piece.place + piece.end - piece.start for piece in own)
