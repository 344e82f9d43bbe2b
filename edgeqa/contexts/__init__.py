"""Contexts: blocks of a document in, passages and windows of them out; and what all of these have in common.

What a question is read against is a passage of a text that was given, or a context of a collection, with its tokens.
A passage whose text stands in the document as it is, from its `start` on, has no pieces. That of a table's row reads
"Header: cell; Header: cell": each header and each cell is a piece, and what parts them stands nowhere. Values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Offsets = NDArray[np.int32]


KINDS: Final = ("paragraph", "row", "entry", "list", "code")
"""What a passage may be. Collections keep its number: new ones come at the end."""


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

    No dataclass: every start waits for this module, also where an answer is remembered, and making one takes 0.5 ms.
    """

    __slots__ = ("ids", "offsets", "words")

    def __init__(self, ids: Ids, offsets: Offsets, words: Offsets) -> None:
        self.ids: Final = ids
        """int64 [tokens]"""
        self.offsets: Final = offsets
        """int32 [tokens, 2]: first character and the one after the last"""
        self.words: Final = words
        """int32 [tokens]: number of the word, counted from 0, that the token is a piece of"""

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, first: int, after: int, shift: int) -> Tokens:
        """Returns tokens `first` to `after` of a text that begins at character `shift` of this one."""
        words = self.words[first:after]
        return Tokens(self.ids[first:after], self.offsets[first:after] - shift, words - words[0])


class Text(Protocol):
    """What an answer is cut from."""

    @property
    def text(self) -> str:
        """Its NFC text."""

    @property
    def start(self) -> int:
        """Place of its first character in its document; of one with pieces, of the first that is not said again."""

    @property
    def heading(self) -> tuple[str, ...]:
        """The headings that it stands under, outermost first."""

    @property
    def kind(self) -> str:
        """What it is, one of `KINDS`."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Where what of its text stands in its document; empty where all of it does as it is, from `start` on."""


class Context(Text, Protocol):
    """What is read."""

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


def row_heading(number: int) -> str:
    """Returns what a row of a spreadsheet stands under, below its headings."""
    return f"row {number}"


def searched(heading: tuple[str, ...]) -> str:
    """Returns a path of headings as it is searched: no row is looked for by its number."""
    return " ".join([one for one in heading if not (one.startswith("row ") and one[4:].isdecimal())])


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
