"""Windows: the reader takes one at a time, with its tokens. Most passages are one window.

Pure. In: a passage and a function that tokenises. Out: windows in order. The windows of a long passage overlap: every
run of OVERLAP_TOKENS tokens lies whole in at least one of them, so that no answer is lost on a border.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeqa.contexts import Piece
from edgeqa.contexts.passages import (
    Passage,
    line_ends,
    paragraph_ends,
    passages,
    sentence_ends,
    sure_sentence_ends,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from edgeqa.contexts import Context, Tokens
    from edgeqa.formats.blocks import Block

    Indexes = NDArray[np.int32]
    Tokenize = Callable[[str], Tokens]

OVERLAP_TOKENS = 30  # the longest answer
_MEANINGLESS = "PZC"  # Unicode's categories of punctuation, separators, and controls


@dataclass(frozen=True, slots=True)
class Window:
    """A context: a passage, or a part of one that is short enough for the reader."""

    text: str
    start: int
    """Place of its first character in the document."""
    tokens: Tokens
    """Its tokens, with offsets into `text`."""
    heading: tuple[str, ...] = ()
    """The headings that it stands under, outermost first."""
    kind: str = "paragraph"
    """One of `context.KINDS`."""
    pieces: tuple[Piece, ...] = ()
    """The parts of its text that stand in the document, in rising order; empty if the whole text stands there."""
    borders: tuple[int, ...] = ()
    """The places in its text where an item, a term or a line of code begins, in rising order."""

    @property
    def paragraphs(self) -> Indexes:
        """The number of each token's stretch, int32 [tokens], rising from 0. No span reaches over two stretches.

        A stretch is a sentence, an item, a term, a line of code or a piece.
        """
        borders = {*self.borders, *paragraph_ends(self.text), *sure_sentence_ends(self.text)}
        for piece in self.pieces:
            borders |= {piece.start, piece.end}
        ends = np.array(sorted(borders), np.int32)
        return np.searchsorted(ends, self.tokens.offsets[:, 0], side="right").astype(np.int32)

    @property
    def meaningful(self) -> NDArray[np.bool_]:
        """Whether each token may be an answer, bool [tokens]: punctuation and the headers of a row's cells may not."""
        found = meaningful(self.text, self.tokens.offsets)
        if self.kind == "row":
            begins = self.tokens.offsets[:, 0]
            for piece in self.pieces:
                if piece.place < self.start:  # the piece is a header, above the row
                    found &= (begins < piece.start) | (begins >= piece.end)
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """The lengths of windows."""

    whole_tokens: int
    """A passage of at most so many tokens is one window."""
    window_tokens: int
    """A window of a longer passage has at most so many: 4 * OVERLAP_TOKENS + 8 or more, for the promised overlap."""


def windows(passage: Passage, tokenize: Tokenize, limits: Limits) -> Iterator[Window]:
    """Yields the windows of a passage; none if it has no token."""
    tokens = tokenize(passage.text)
    if 0 < len(tokens) <= limits.whole_tokens:
        yield Window(
            passage.text, passage.start, tokens, passage.heading, passage.kind, passage.pieces, passage.borders
        )
        return
    borders = _Borders(passage.text, tokens)
    first = 0
    while first + limits.window_tokens < len(tokens):
        after = borders.end(first + limits.window_tokens // 2, first + limits.window_tokens)
        low = first + max(1, limits.window_tokens // 4)
        yield _window(passage, tokens, first, after)
        first = borders.begin(low, max(low, after - OVERLAP_TOKENS))
    if first < len(tokens):
        yield _window(passage, tokens, first, len(tokens))


def again(context: Context) -> Passage:
    """Returns a context as a passage, so that another model can read it; its stretches stay the same."""
    numbers, begins = context.paragraphs, context.tokens.offsets[:, 0]
    borders = begins[1:][np.diff(numbers) > 0].tolist()
    return Passage(context.text, context.start, context.heading, context.kind, context.pieces, tuple(borders))


def all_windows(blocks: Iterable[Block], tokenize: Tokenize, limits: Limits) -> Iterator[Window]:
    """Yields the windows of a document."""
    for passage in passages(blocks):
        yield from windows(passage, tokenize, limits)


def _window(passage: Passage, tokens: Tokens, first: int, after: int) -> Window:
    text = passage.text
    begin = int(tokens.offsets[first, 0])
    end = int(tokens.offsets[after, 0]) if after < len(tokens) else len(text)
    pieces = tuple(
        Piece(max(piece.start, begin) - begin, min(piece.end, end) - begin, piece.place + max(0, begin - piece.start))
        for piece in passage.pieces
        if piece.start < end and piece.end > begin
    )
    borders = tuple(border - begin for border in passage.borders if begin < border < end)
    start = passage.start if passage.pieces else passage.start + begin
    return Window(
        text[begin:end], start, tokens.part(first, after, begin), passage.heading, passage.kind, pieces, borders
    )


def meaningful(text: str, offsets: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Returns, bool [tokens], whether each token means something by itself.

    A full stop, a quotation mark or a dash is a part of many answers, but no answer alone. Letters, digits and symbols
    (currencies, emoji) may be one.

    Args:
        text: the text.
        offsets: int32 [tokens, 2]: first character of each token, and the one after the last.
    """
    pieces = (text[begin:end] for begin, end in offsets.tolist())
    return np.fromiter((piece.isalnum() or any(map(_means, piece)) for piece in pieces), np.bool_, len(offsets))


def _means(character: str) -> bool:
    return unicodedata.category(character)[0] not in _MEANINGLESS


class _Borders:
    """The tokens at which a window may begin or end, sorted by the kind of border."""

    def __init__(self, text: str, tokens: Tokens) -> None:
        begins = tokens.offsets[:, 0].tolist()
        self._words = tokens.words
        kinds = (paragraph_ends(text), sentence_ends(text), line_ends(text))
        self._kinds = [[bisect_left(begins, place) for place in kind] for kind in kinds]

    def end(self, low: int, high: int) -> int:
        """Returns the best end in (low, high]: after the last paragraph, else the last sentence, line or word."""
        for kind in self._kinds:
            if (border := _last(kind, low, high)) is not None:
                return border
        return self._word(low, high)

    def begin(self, low: int, high: int) -> int:
        """Returns the best beginning in [low, high]: at the last sentence or line nearby, else at a word."""
        for kind in self._kinds[1:]:
            if (border := _last(kind, max(low - 1, high - 2 * OVERLAP_TOKENS), high)) is not None:
                return border
        return self._word(low - 1, high)

    def _word(self, low: int, high: int) -> int:
        """Returns the last beginning of a word in (low, high], or `high` where a word is longer than that."""
        place = high
        while place > low + 1 and self._words[place] == self._words[place - 1]:
            place -= 1
        return place if self._words[place] != self._words[place - 1] else high


def _last(borders: list[int], low: int, high: int) -> int | None:
    """Returns the last of the rising `borders` in (low, high]."""
    at = bisect_right(borders, high)
    return borders[at - 1] if at and borders[at - 1] > low else None
