"""What a question is read against: a passage of a text that was given, or a context of a collection; and its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeqa.contexts.pieces import Piece
    from edgeqa.contexts.windows import Indexes

    Ids = NDArray[np.int64]
    Offsets = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens, without special ones."""

    ids: Ids
    """int64 [tokens]"""
    offsets: Offsets
    """int32 [tokens, 2]: first character and the one after the last"""
    words: Offsets
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
        """What it is, one of `pieces.KINDS`."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Where what of its text stands in its document; empty where all of it does as it is, from `start` on."""


class Context(Text, Protocol):
    """What is read."""

    @property
    def tokens(self) -> Tokens:
        """Its tokens, with offsets into `text`."""

    @property
    def paragraphs(self) -> Indexes:
        """Number of each token's paragraph, int32 [tokens], rising from 0."""

    @property
    def meaningful(self) -> NDArray[np.bool_]:
        """Whether each token is more than punctuation, bool [tokens]."""
