"""Logits to spans: which tokens of a context are the best answers.

Pure. In: start and end logits of a context's tokens, the no-answer logit, the word of each token. Out: spans of whole
words, not of punctuation alone, best first, no two of them overlapping. A span's start logit is the best among its
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


def best_spans(
    logits: Logits,
    words: Indexes,
    paragraphs: Indexes,
    meaningful: Mask,
    *,
    top: int = 1,
    max_tokens: int = MAX_ANSWER_TOKENS,
) -> list[Span]:
    """Returns at most `top` spans, best first; of equal scores the earlier and shorter one.

    Args:
        logits: start and end logits, float32 [tokens], and the no-answer logit.
        words: int32 [tokens], number of each token's word, rising from 0.
        paragraphs: int32 [tokens], number of each token's paragraph, rising from 0.
        meaningful: bool [tokens], whether a token means something by itself; a span has at least one that does.
        top: how many spans; after the first, each is the best that overlaps none before it.
        max_tokens: longest span, in tokens.
    """
    return list(_best(logits, words, paragraphs, meaningful, top, max_tokens))


def _best(
    logits: Logits, words: Indexes, paragraphs: Indexes, meaningful: Mask, top: int, max_tokens: int
) -> Iterator[Span]:
    if not len(words):
        return
    first = np.flatnonzero(np.diff(words, prepend=-1))  # first token of each word
    last = np.append(first[1:], len(words)) - 1
    starts = np.maximum.reduceat(logits.start, first)
    ends = np.maximum.reduceat(logits.end, first)
    # scores[w, k]: the span from word w to word w + k. A band instead of the whole square: k < max_tokens.
    band = min(max_tokens, len(first))
    until = np.arange(len(first))[:, None] + np.arange(band)
    inside = until < len(first)
    until = np.minimum(until, len(first) - 1)
    fits = inside & (last[until] - first[:, None] < max_tokens)
    fits &= paragraphs[first][:, None] == paragraphs[last][until]
    meant = np.cumsum(meaningful)  # how many up to and with each token
    fits &= meant[last][until] > (meant - meaningful)[first][:, None]
    scores = np.where(fits, starts[:, None] + ends[until], -np.inf)
    for _ in range(top):
        word, more = np.unravel_index(int(scores.argmax()), scores.shape)
        score = scores[word, more]
        if score == -np.inf:
            return
        to = int(word + more)
        yield Span(int(first[word]), int(last[to]), float(score) - logits.no_answer)
        scores[: to + 1][until[: to + 1] >= word] = -np.inf
