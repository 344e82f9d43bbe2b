"""Logits to spans: which tokens of a context are the best answers, and where in its text those are.

Pure. In: start and end logits of a context's tokens, the no-answer logit, and the table of its spans, which is made
once from the word of each token. Out: spans of whole words, not of punctuation alone, best first, no two of them
overlapping; and their places, in whole characters of a reader, with the signs that belong to them. A span's start logit
is the best among its first word's pieces, its end logit the best among its last word's; the score is their sum minus
the same context's no-answer logit, so that scores of different contexts can be compared. Start and end are chosen
together (end >= start), within `max_tokens` tokens and one paragraph.

A place may be wider than its tokens, and is never narrower: it takes in the rest of a character as people see it, and
the signs that belong to its words. It does not go over white space, except to the other end of code in backticks.

The search is plain Python: few tokens may begin or end an answer, their best pairs are tried first, and most pairs need
not be tried. Arrays were slower: they took a dozen steps of numpy, whose code was not in the processor's cache any more
after the model had run.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeqa.contexts import Place

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


# The next functions find characters as people see them. The tokenizer drops combining marks, joiners and variation
# selectors, so that a token's last offset may stand before them. These are the rules of Unicode (UAX 29) that matter
# here.

_JOINER = "\u200d"


def widen(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns `start` and `end`, moved outwards until `text[start:end]` cuts no character that people see as one."""
    while 0 < start < len(text) and _continues(text, start):
        start -= 1
    while end < len(text) and _continues(text, end):
        end += 1
    return start, end


def _continues(text: str, place: int) -> bool:
    """Tells whether the code point at `place` belongs to the same character as the one before it."""
    character = text[place]
    if character.isascii():
        return False
    return (
        unicodedata.category(character)[0] == "M"
        or character in (_JOINER, "\u200c")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags, as in the flags of regions
        or text[place - 1] == _JOINER
    )


# The next functions add signs. The reader chooses words, which are letters and digits. In "-38.8 °C", "<1 %",
# "/etc/apt/sources.list" or "C++" it may leave out the signs around the letters, and the meaning is lost with them.

_OPENING, _CLOSING = "([{«“\u2018\"'`|,;:=", ")]}»”’\"'`|,;:.!?"
_CURRENCIES = "$€£¥₹₽₩"
_BEFORE_DIGITS = frozenset("-\u2212+<>=~≤≥≈±.#№§@^" + _CURRENCIES)
_BEFORE_LETTERS = frozenset("-+~$#@%.&\\/")
_AFTER = frozenset("%‰°+#\u2033\u2032" + _CURRENCIES)
# A path, an address or a name in code: a part of it does not mean the same as the whole.
_WHOLE = re.compile(
    r"(?<![\w/.~)\]}%°<])(?:~|\.{1,2})?/[^\s/<>]+(?:/[^\s/<>]*)*"
    r"|\b[A-Za-z]:\\\S+"
    r"|\b[a-z][a-z+.-]*://\S+"
    r"|[^\s@<>(\[]+@[^\s@]+\.\w+"
    r"|(?<![\w-])[a-z]+(?:-[a-z]+)+(?![\w-])"  # not of "41-yard" and "Spanish-language", whose parts are answers
    r"|\b[A-Z][A-Z0-9_]+=[^\s,;]+"
    r"|\b\d{4}-\d\d-\d\d\b"
    r"|\b[A-Za-z][\w-]{2,}(?:\.[a-z]\w*)+"
    r"|__\w+__|\w*[^\W_]_+[^\W_]\w*"
)
_CODE = re.compile(r"`([^`\n]{1,80})`")
_MAX_WORD_CHARACTERS = 256  # on each side: nobody reads a longer run without a blank as a word


def with_signs(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns `start` and `end`, moved outwards over the signs that belong to the span's first and last word."""
    if _stands_free(text, start, end):  # most spans do; a closer look takes longer than the rest of decoding
        return start, end
    low, high = _word_begin(text, start), _word_end(text, end)
    start, end = _whole(text, start, end, low, high)
    start = _bracket_begin(text, _signs_begin(text, start, low), end)
    while end < high and text[end] in _AFTER and _is_word(text[end - 1], _AFTER):
        if end + 1 < high and text[end + 1].isalnum() and text[end] not in "°%":
            break  # the sign stands between two words, as in "1+2" and "a#b"
        end += 1
        if text[end - 1] == "°" and end < high and text[end] in "CFK" and not text[end + 1 : end + 2].isalnum():
            end += 1
    return start, _bracket_end(text, start, end, high)


def _stands_free(text: str, start: int, end: int) -> bool:
    """Tells, after a quick look, that nothing around the span can belong to it."""
    before, after = text[start - 1 : start], text[end : end + 2]
    return (
        (not before or before.isspace())
        and (not after or after[0].isspace() or (after[0] in ".,;" and not after[1:].strip()))
        and "`" not in text[max(0, start - 80) : end + 80]
        and "(" not in text[start:end]
    )


def _word_begin(text: str, place: int) -> int:
    least = max(0, place - _MAX_WORD_CHARACTERS)
    while place > least and not text[place - 1].isspace():
        place -= 1
    return place


def _word_end(text: str, place: int) -> int:
    most = min(len(text), place + _MAX_WORD_CHARACTERS)
    while place < most and not text[place].isspace():
        place += 1
    return place


def _whole(text: str, start: int, end: int, low: int, high: int) -> tuple[int, int]:
    """Returns the span, widened so that it cuts no path, address, name or code."""
    first, last = start, end
    for found in _WHOLE.finditer(text, low, _word_end(text, start)):
        begins = found.start() + _leading(found[0])
        if begins < start < _trimmed(text, found):
            first = min(first, begins)
    for found in _WHOLE.finditer(text, _word_begin(text, end), high):
        if found.start() < end < (after := _trimmed(text, found)):
            last = max(last, after)
    for found in _CODE.finditer(text, max(0, start - 80), min(len(text), end + 80)):
        if found.start(1) <= first and last <= found.end(1):
            return found.start(1), found.end(1)
    return first, last


def _leading(word: str) -> int:
    """Returns the number of opening brackets and quotes that a word begins with."""
    return len(word) - len(word.lstrip(_OPENING + "<"))


def _trimmed(text: str, found: re.Match[str]) -> int:
    """Returns the end of a match, without the punctuation of the sentence around it."""
    end = found.end()
    while end > found.start() + 1 and text[end - 1] in _CLOSING + ">":
        end -= 1
    return end


def _signs_begin(text: str, start: int, low: int) -> int:
    """Returns the beginning of the signs directly before `start` that belong to the word there, or `start` itself."""
    signs = _BEFORE_DIGITS if text[start : start + 1].isdigit() else _BEFORE_LETTERS
    begin = start
    while begin > low and text[begin - 1] in signs:
        begin -= 1
    if begin == start:
        return start
    if begin == low or text[begin - 1] in _OPENING or (text[begin - 1] in "/" and text[begin] in _CURRENCIES):
        return begin
    # Within a word, as in "10-20" and "and/or", only a currency belongs to the number behind it.
    while begin < start and text[begin] not in _CURRENCIES:
        begin += 1
    return begin


def _bracket_begin(text: str, start: int, end: int) -> int:
    """Returns `start`, moved before a bracket that the span closes, as in "(n + 1) * 4"."""
    opening = text[start - 1 : start]
    closing = {"(": ")", "[": "]"}.get(opening)
    if closing is None or text.count(closing, start, end) <= text.count(opening, start, end):
        return start
    return start - 1


def _bracket_end(text: str, start: int, end: int, high: int) -> int:
    """Returns `end`, moved behind the bracket that closes one in the span's last word, as in "printf()"."""
    begin = max(start, _word_begin(text, end))
    while end < high and text[end] in ")]" and not text[begin : end + 1].startswith(tuple("([")):
        opening = "(" if text[end] == ")" else "["
        if text.count(opening, begin, end) <= text.count(text[end], begin, end):
            break
        end += 1
    return end


def _is_word(character: str, signs: frozenset[str]) -> bool:
    return character.isalnum() or character in signs
