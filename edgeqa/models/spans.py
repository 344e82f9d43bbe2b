"""Logits to spans: which tokens of a context are the best answers, and where in its text those are.

Pure. In: start and end logits of a context's tokens, the no-answer logit, and the table of its spans, which is made
once from the word of each token. Out: spans of whole words, not of punctuation alone, best first, no two of them
overlapping; and their places, in whole characters of a reader, with the signs that belong to them. A span's start logit
is the best among its first word's pieces, its end logit the best among its last word's; the score is their sum minus
the same context's no-answer logit, so that scores of different contexts can be compared. Start and end are chosen
together (end >= start), within `max_tokens` tokens and one paragraph.

The search is plain Python: few tokens may begin or end an answer, their best pairs are tried first, and most pairs need
not be tried. Arrays were slower: they took a dozen steps of numpy, whose code was not in the processor's cache any more
after the model had run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeqa.contexts import Place
from edgeqa.contexts.borders import widen, with_signs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edgeqa.contexts import Context
    from edgeqa.models.readers import Logits

    Indexes = NDArray[np.int32]
    Mask = NDArray[np.bool_]
    Scored = list[tuple[float, int]]

MAX_ANSWER_TOKENS = 30
MAX_SHARED_INT = 256  # Python shares integers up to this one


class Span(NamedTuple):
    """Tokens `first` to `last`, both included, of a context."""

    first: int
    last: int
    score: float


@dataclass(frozen=True, slots=True)
class SpanTable:
    """The possible spans of a context, which do not depend on the question: made once, used for any logits.

    Of each word, counted from 0: a span that begins with it ends with one of the words from `nearest` to `farthest`.
    """

    words: list[int]
    """The word of each token."""
    first: list[int]
    """First token of each word."""
    last: list[int]
    """Last token of each word."""
    nearest: list[int]
    """The first word up to which there is a token that means something."""
    farthest: list[int]
    """The last word within the limit and the paragraph; before the word itself if there is none."""

    @property
    def size_bytes(self) -> int:
        """Memory that the lists take; small numbers are there once for all."""
        numbers = chain(self.words, self.first, self.last, self.nearest, self.farthest)
        return sum(8 if number <= MAX_SHARED_INT else 40 for number in numbers)


def span_table(
    words: Indexes, paragraphs: Indexes, meaningful: Mask, *, max_tokens: int = MAX_ANSWER_TOKENS
) -> SpanTable:
    """Returns the possible spans of a context.

    Args:
        words: int32 [tokens], number of each token's word, rising from 0.
        paragraphs: int32 [tokens], number of each token's paragraph, rising from 0.
        meaningful: bool [tokens], whether a token means something by itself; a span has at least one that does.
        max_tokens: longest span, in tokens.
    """
    if not len(words):
        return SpanTable([], [], [], [], [])
    first = np.flatnonzero(np.diff(words, prepend=-1))
    last = np.append(first[1:], len(words)) - 1
    meant = np.cumsum(meaningful)  # the count of meaningful tokens up to each token, itself included
    # All values that are looked up rise from word to word.
    meant_before: NDArray[np.int64] = (meant - meaningful)[first]
    nearest = np.searchsorted(meant[last], meant_before, side="right")
    in_paragraph = np.searchsorted(paragraphs[last], paragraphs[first], side="right") - 1
    in_limit = np.searchsorted(last, first + max_tokens) - 1
    farthest = np.minimum(in_paragraph, in_limit)
    return SpanTable(words.tolist(), first.tolist(), last.tolist(), nearest.tolist(), farthest.tolist())


def best_spans(logits: Logits, of_context: SpanTable, *, top: int = 1) -> list[Span]:
    """Returns at most `top` spans, best first; of equal scores the earlier and shorter one.

    Args:
        logits: of all the context's tokens, or of some: no span begins or ends with another.
        of_context: which spans there are.
        top: how many spans; after the first, each is the best that overlaps none before it.
    """
    return [*islice(spans_in_order(logits, of_context), top)]


def spans_in_order(logits: Logits, of_context: SpanTable) -> Iterator[Span]:
    """Yields the same spans, each looked for when it is wanted."""
    tokens = range(len(logits.start)) if logits.tokens is None else logits.tokens.tolist()
    starts = sorted(zip(logits.start.tolist(), tokens, strict=True), reverse=True)
    ends = sorted(zip(logits.end.tolist(), tokens, strict=True), reverse=True)
    taken: list[tuple[int, int]] = []
    while best := _best(starts, ends, of_context, taken):
        score, word, to = best
        taken.append((word, to))
        yield Span(of_context.first[word], of_context.last[to], score - logits.no_answer)


def locate(spans: Iterable[Span], context: Context) -> list[Place]:
    """Returns the places of a context's spans in its text."""
    offsets, text, found = context.tokens.offsets, context.text, []
    for span in spans:
        start, end = widen(text, *with_signs(text, offsets.item(span.first, 0), offsets.item(span.last, 1)))
        found.append(Place(start, end, span.score))
    return found


def _best(
    starts: Scored, ends: Scored, of_context: SpanTable, taken: list[tuple[int, int]]
) -> tuple[float, int, int] | None:
    """Returns score, first and last word of the best span that overlaps none of those taken; None if there is none."""
    words = of_context.words
    best, at = -math.inf, (0, 0)
    for start, first in starts:
        if start + ends[0][0] < best:
            break
        word = words[first]
        nearest, farthest = of_context.nearest[word], of_context.farthest[word]
        for begin, after in taken:
            if word <= after and farthest >= begin:
                farthest = begin - 1  # before the word itself, if that is taken
        if farthest < nearest:
            continue
        for end, last in ends:
            score = start + end
            if score < best:
                break
            to = words[last]
            if nearest <= to <= farthest and (score > best or (word, to) < at):
                best, at = score, (word, to)
    return None if best == -math.inf else (best, *at)
