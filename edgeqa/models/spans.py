"""Logits to spans: which tokens of a context are the best answers.

Pure. In: start and end logits of a context's tokens, the no-answer logit, and the layout of its spans, which is made
once from the word of each token. Out: spans of whole words, not of punctuation alone, best first, no two of them
overlapping. A span's start logit is the best among its
first word's pieces, its end logit the best among its last word's; the score is their sum minus the same context's
no-answer logit, so that scores of different contexts can be compared. Start and end are chosen together (end >= start),
within `max_tokens` tokens and one paragraph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgeqa.models.reader import Logits

    Indexes = NDArray[np.int32]
    Mask = NDArray[np.bool_]

MAX_ANSWER_TOKENS = 30


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `first` to `last`, both included, of a context."""

    first: int
    last: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Which spans a context has: what does not depend on the question. Made once, used for any logits."""

    first: Indexes
    """int32 [words]: first token of each word"""
    last: Indexes
    """int32 [words]: last token of each word"""
    barred: Mask
    """bool [words, longest]: whether the span from word w to word w + k is none. A band, not the whole square."""
    words: NDArray[np.intp]
    """intp [tokens]: the word of each token"""

    @property
    def size_bytes(self) -> int:
        """Memory that the arrays take."""
        return self.first.nbytes + self.last.nbytes + self.barred.nbytes + self.words.nbytes


def layout(words: Indexes, paragraphs: Indexes, meaningful: Mask, *, max_tokens: int = MAX_ANSWER_TOKENS) -> Layout:
    """Returns which spans a context has.

    Args:
        words: int32 [tokens], number of each token's word, rising from 0.
        paragraphs: int32 [tokens], number of each token's paragraph, rising from 0.
        meaningful: bool [tokens], whether a token means something by itself; a span has at least one that does.
        max_tokens: longest span, in tokens.
    """
    if not len(words):
        return Layout(words, words, np.empty((0, 0), np.bool_), words.astype(np.intp))
    first = np.flatnonzero(np.diff(words, prepend=-1))
    last = np.append(first[1:], len(words)) - 1
    band = min(max_tokens, len(first))
    until = np.arange(len(first))[:, None] + np.arange(band)
    inside = until < len(first)
    until = np.minimum(until, len(first) - 1)
    fits = inside & (last[until] - first[:, None] < max_tokens)
    fits &= paragraphs[first][:, None] == paragraphs[last][until]
    meant = np.cumsum(meaningful)  # how many up to and with each token
    fits &= meant[last][until] > (meant - meaningful)[first][:, None]
    return Layout(first.astype(np.int32), last.astype(np.int32), ~fits, words.astype(np.intp))


def best_spans(logits: Logits, of_context: Layout, *, top: int = 1) -> list[Span]:
    """Returns at most `top` spans, best first; of equal scores the earlier and shorter one.

    Args:
        logits: of all the context's tokens, or of some: no span begins or ends with another.
        of_context: which spans there are.
        top: how many spans; after the first, each is the best that overlaps none before it.
    """
    return list(_best(logits, of_context, top))


def _best(logits: Logits, of_context: Layout, top: int) -> Iterator[Span]:
    first, last = of_context.first, of_context.last
    if not len(first):
        return
    words = of_context.words if logits.tokens is None else of_context.words[logits.tokens]
    count, band = of_context.barred.shape
    best = np.empty((2, count + band), np.float32)  # start and end logit of each word, and of none after the last
    best.fill(-np.inf)
    starts, ends = best[0], best[1]
    np.maximum.at(starts, words, logits.start)
    np.maximum.at(ends, words, logits.end)
    begins = words.copy()
    begins.sort()
    # scores[n, k]: the span from word w = begins[n] to word w + k. Row w of the windows begins at the end logit of w.
    windows = np.ndarray((count, band), np.float32, ends, strides=(ends.itemsize, ends.itemsize))
    scores = windows[begins]
    scores += starts[begins][:, None]
    scores[of_context.barred.take(begins, axis=0)] = -np.inf
    for number in range(top):
        row, more = divmod(int(scores.argmax()), band)
        score = scores[row, more]
        if score == -np.inf:
            return
        word = int(begins[row])
        to = word + more
        yield Span(int(first[word]), int(last[to]), float(score) - logits.no_answer)
        if number + 1 < top:
            until = begins[:, None] + np.arange(band)
            scores[(begins[:, None] <= to) & (until >= word)] = -np.inf
