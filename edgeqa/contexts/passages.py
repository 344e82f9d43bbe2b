"""A document's text to passages: contexts of a length that the reader takes, cut where sentences and paragraphs end.

Pure. In: blocks of NFC text and a function that tokenises. Out: passages in order, each with its text, its place in the
document and its tokens. They overlap, so that every run of OVERLAP_TOKENS tokens lies whole in at least one of them:
no answer is lost on a border. The passages depend on the text alone, not on how it came in blocks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeqa.contexts.meaning import meaningful
from edgeqa.contexts.sentences import line_ends, paragraph_ends, sentence_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from edgeqa.contexts.pieces import Piece
    from edgeqa.models.tokenizer import Tokens

    Indexes = NDArray[np.int32]
    Tokenize = Callable[[str], Tokens]

OVERLAP_TOKENS = 30  # the longest answer
LOOKAHEAD_TOKENS = 64  # what may still change at the end of a text that goes on: a word cut in two, a border
LONGEST_PENDING = 1 << 20  # characters; more than this without a passage's worth of tokens is not prose


@dataclass(frozen=True, slots=True)
class Passage:
    """A context: a slice of a document's NFC text."""

    text: str
    start: int
    """Place of its first character in the document."""
    tokens: Tokens
    """Its tokens, with offsets into `text`."""
    heading: tuple[str, ...] = ()
    """The headings that it stands under, outermost first."""
    kind: str = "paragraph"
    """One of `pieces.KINDS`."""
    pieces: tuple[Piece, ...] = ()
    """Where what of its text stands in the document, rising; empty where all of it stands there as it is."""

    @property
    def paragraphs(self) -> Indexes:
        """Number of each token's paragraph, int32 [tokens], rising from 0."""
        ends = np.fromiter(paragraph_ends(self.text), np.int32)
        return np.searchsorted(ends, self.tokens.offsets[:, 0], side="right").astype(np.int32)

    @property
    def meaningful(self) -> NDArray[np.bool_]:
        """Whether each token is more than punctuation, bool [tokens]."""
        return meaningful(self.text, self.tokens.offsets)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long passages are."""

    whole_tokens: int
    """A document of at most so many tokens is one passage."""
    window_tokens: int
    """A longer document's passages have at most so many; from 4 * OVERLAP_TOKENS + 8 on they overlap as promised."""


def least_stride_tokens(limits: Limits) -> int:
    """Returns how many tokens at least lie between the beginnings of two passages of a document."""
    return max(1, limits.window_tokens // 4)


def passages(blocks: Iterable[str], tokenize: Tokenize, limits: Limits) -> Iterator[Passage]:
    """Yields the passages of the document whose text comes in `blocks`; none if it has no token."""
    # A token has about four characters. Tokenising more at a time only costs memory, less would tokenise twice.
    enough = wanted = 16 * (limits.whole_tokens + limits.window_tokens)
    pending, place, whole = "", 0, True
    for block in blocks:
        pending += block
        if len(pending) < wanted:
            continue
        tokens = tokenize(pending)
        settled = len(tokens) - LOOKAHEAD_TOKENS
        if settled <= limits.whole_tokens and len(pending) < LONGEST_PENDING:
            wanted = 2 * len(pending)
            continue
        whole = False
        done = 0
        for passage, next_token in _windows(pending, place, tokens, limits, settled):
            yield passage
            done = int(tokens.offsets[next_token, 0])
        if not done and len(pending) >= LONGEST_PENDING:  # white space, or one endless word
            yield from _rest(pending, place, tokens, limits)
            done = len(pending)
        pending, place, wanted = pending[done:], place + done, enough
    if pending:
        tokens = tokenize(pending)
        if whole and 0 < len(tokens) <= limits.whole_tokens:
            yield Passage(pending, place, tokens)
        else:
            yield from _rest(pending, place, tokens, limits)


def _rest(text: str, place: int, tokens: Tokens, limits: Limits) -> Iterator[Passage]:
    """Yields all passages of `text`, which ends here."""
    first = 0
    for passage, then in _windows(text, place, tokens, limits, len(tokens)):
        yield passage
        first = then
    if first < len(tokens):
        yield _passage(text, place, tokens, first, len(tokens))


def _windows(text: str, place: int, tokens: Tokens, limits: Limits, settled: int) -> Iterator[tuple[Passage, int]]:
    """Yields passages and the token where the next one begins, as long as a whole window lies before `settled`."""
    borders = _Borders(text, tokens)
    first = 0
    while first + limits.window_tokens < settled:
        after = borders.end(first + limits.window_tokens // 2, first + limits.window_tokens)
        # Not from the first quarter: `text` may begin there, and what stood before it must not matter.
        low = first + least_stride_tokens(limits)
        then = borders.begin(low, max(low, after - OVERLAP_TOKENS))
        yield _passage(text, place, tokens, first, after), then
        first = then


def _passage(text: str, place: int, tokens: Tokens, first: int, after: int) -> Passage:
    begin = int(tokens.offsets[first, 0])
    end = int(tokens.offsets[after, 0]) if after < len(tokens) else len(text)
    return Passage(text[begin:end], place + begin, tokens.part(first, after, begin))


class _Borders:
    """Token numbers at which a passage may begin, by how good a place it is."""

    def __init__(self, text: str, tokens: Tokens) -> None:
        begins = tokens.offsets[:, 0].tolist()
        self._words = tokens.words
        kinds = (paragraph_ends(text), sentence_ends(text), line_ends(text))
        self._kinds = [[bisect_left(begins, place) for place in kind] for kind in kinds]

    def end(self, low: int, high: int) -> int:
        """Returns where to end, in (low, high]: after the last paragraph there, else sentence, else line, else word."""
        for kind in self._kinds:
            if (border := _last(kind, low, high)) is not None:
                return border
        return self._word(low, high)

    def begin(self, low: int, high: int) -> int:
        """Returns where to begin, in [low, high]: at the last sentence or line that is near, else at a word."""
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
