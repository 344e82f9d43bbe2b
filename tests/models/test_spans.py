"""Tests spans against a search of every pair of tokens, written down as the rules are stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.models.readers import Logits
from edgeqa.models.spans import MAX_ANSWER_TOKENS, Span, best_spans, span_table

# Few distinct values, so that ties and exact sums in float32 are frequent.
Case = tuple[Logits, np.ndarray, np.ndarray, np.ndarray, int]
LOGIT = st.integers(-8, 8).map(lambda n: n / 4)

ONE = np.zeros(64, np.int32)  # all tokens in one paragraph, or word
ALL = np.ones(64, np.bool_)  # each token means something


@st.composite
def cases(draw: st.DrawFn) -> Case:
    pieces = draw(st.lists(st.integers(1, 4), min_size=1, max_size=12))  # tokens of each word
    words = np.repeat(np.arange(len(pieces)), pieces).astype(np.int32)
    tokens = len(words)
    start = draw(st.lists(LOGIT, min_size=tokens, max_size=tokens))
    end = draw(st.lists(LOGIT, min_size=tokens, max_size=tokens))
    logits = Logits(np.array(start, np.float32), np.array(end, np.float32), draw(LOGIT))
    breaks = draw(st.lists(st.sampled_from([0, 0, 0, 1]), min_size=len(pieces), max_size=len(pieces)))
    paragraphs = np.cumsum(breaks, dtype=np.int32)[words]
    meaningful = np.array(draw(st.lists(st.booleans(), min_size=tokens, max_size=tokens)), np.bool_)
    return logits, words, paragraphs, meaningful, draw(st.integers(1, 9))


def every_span(
    logits: Logits, words: np.ndarray, paragraphs: np.ndarray, meaningful: np.ndarray, max_tokens: int
) -> list[Span]:
    """Every span of whole words within the limit with a meaning in it, best first, then earliest, then shortest."""
    found = []
    for first in range(len(words)):
        for last in range(first, len(words)):
            begins_word = first == 0 or words[first - 1] != words[first]
            ends_word = last == len(words) - 1 or words[last + 1] != words[last]
            fits = last - first + 1 <= max_tokens and paragraphs[first] == paragraphs[last]
            means = any(meaningful[i] for i in range(first, last + 1))
            if not (begins_word and ends_word and fits and means):
                continue
            start = max(logits.start[i] for i in range(len(words)) if words[i] == words[first])
            end = max(logits.end[i] for i in range(len(words)) if words[i] == words[last])
            if start + end == -np.inf:  # no logit of it is known
                continue
            found.append(Span(first, last, float(start + end) - logits.no_answer))
    return sorted(found, key=lambda s: (-s.score, s.first, s.last))


def best_of(spans: list[Span], top: int) -> list[Span]:
    chosen: list[Span] = []
    for span in spans:
        if len(chosen) < top and all(span.last < c.first or span.first > c.last for c in chosen):
            chosen.append(span)
    return chosen


@given(cases(), st.integers(1, 5))
def test_equals_a_search_of_every_pair(case: Case, top: int) -> None:
    logits, words, paragraphs, meaningful, max_tokens = case
    found = best_spans(logits, span_table(words, paragraphs, meaningful, max_tokens=max_tokens), top=top)
    assert found == best_of(every_span(*case), top)


@given(cases(), st.integers(1, 5), st.data())
def test_of_some_tokens_logits_only_spans_between_them_are_found(case: Case, top: int, data: st.DataObject) -> None:
    logits, words, paragraphs, meaningful, max_tokens = case
    tokens = np.array(data.draw(st.lists(st.integers(0, len(words) - 1), min_size=1, unique=True)), np.int64)
    some = Logits(logits.start[tokens], logits.end[tokens], logits.no_answer, tokens)
    start, end = np.full((2, len(words)), -np.inf, np.float32)
    start[tokens], end[tokens] = some.start, some.end
    found = best_spans(some, span_table(words, paragraphs, meaningful, max_tokens=max_tokens), top=top)
    known = Logits(start, end, logits.no_answer)
    assert found == best_of(every_span(known, words, paragraphs, meaningful, max_tokens), top)


@given(cases())
def test_scores_fall_and_do_not_depend_on_a_common_shift(case: Case) -> None:
    logits, words, paragraphs, meaningful, max_tokens = case
    spans_there = span_table(words, paragraphs, meaningful, max_tokens=max_tokens)
    spans = best_spans(logits, spans_there, top=5)
    assert [s.score for s in spans] == sorted((s.score for s in spans), reverse=True)
    shifted = Logits(logits.start + 1, logits.end + 1, logits.no_answer + 2)
    assert best_spans(shifted, spans_there, top=5) == spans


def test_the_end_never_precedes_the_start() -> None:
    # The best start stands after the best end: chosen apart, they would give an empty answer.
    logits = Logits(np.array([0, 0, 9], np.float32), np.array([9, 0, 0], np.float32), 0.0)
    assert best_spans(logits, span_table(np.arange(3, dtype=np.int32), ONE[:3], ALL[:3])) == [Span(0, 0, 9.0)]


def test_an_answer_has_at_most_thirty_tokens() -> None:
    start, end = np.zeros(64, np.float32), np.zeros(64, np.float32)
    start[0], end[40] = 5, 5
    (span,) = best_spans(Logits(start, end, 0.0), span_table(np.arange(64, dtype=np.int32), ONE, ALL))
    assert span.last - span.first + 1 <= MAX_ANSWER_TOKENS
    assert span.score == 5.0


@pytest.mark.parametrize("tokens", [0, 31])
def test_a_context_without_a_whole_word_that_fits_has_no_span(tokens: int) -> None:
    nothing = np.zeros(tokens, np.float32)
    assert best_spans(Logits(nothing, nothing, 0.0), span_table(ONE[:tokens], ONE[:tokens], ALL[:tokens])) == []


def test_an_answer_does_not_reach_into_the_next_paragraph() -> None:
    start, end = np.array([5, 0, 0], np.float32), np.array([1, 0, 5], np.float32)
    words, paragraphs = np.arange(3, dtype=np.int32), np.array([0, 1, 1], np.int32)
    assert best_spans(Logits(start, end, 0.0), span_table(words, paragraphs, ALL[:3])) == [Span(0, 0, 6.0)]


def test_punctuation_alone_is_no_answer_however_good_its_score() -> None:
    start, end = np.array([1, 9, 0], np.float32), np.array([0, 9, 2], np.float32)  # Ada . Grace
    words, meaningful = np.arange(3, dtype=np.int32), np.array([True, False, True])
    spans = best_spans(Logits(start, end, 0.0), span_table(words, ONE[:3], meaningful), top=3)
    assert spans == [Span(1, 2, 11.0), Span(0, 0, 1.0)]


def test_spans_of_neighbouring_words_do_not_overlap() -> None:
    start = end = np.array([3, 2, 1], np.float32)
    words = np.arange(3, dtype=np.int32)
    spans = best_spans(Logits(start, end, 0.0), span_table(words, ONE[:3], ALL[:3]), top=3)
    assert spans == [Span(0, 0, 6.0), Span(1, 1, 4.0), Span(2, 2, 2.0)]
