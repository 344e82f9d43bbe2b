from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.contexts.passages import Passage
from edgeqa.models.manifest import Calibration
from edgeqa.models.ranking import Ranking, places, probability
from edgeqa.models.spans import Span
from edgeqa.models.tokenizer import Tokens

if TYPE_CHECKING:
    from random import Random

    from edgeqa.answer import Candidate

TEXT = "abcdefghijklmnopqrstuvwxyz"


def offer(ranking: Ranking, spans: list[Span], context: Passage, source: str, number: int) -> None:
    ranking.offer(places(spans, context), context, source, number)


def passage(start: int, length: int) -> Passage:
    """A passage of TEXT with one token a letter."""
    places = np.arange(length, dtype=np.int32)
    tokens = Tokens(places.astype(np.int64), np.stack([places, places + 1], axis=1), places)
    return Passage(TEXT[start : start + length], start, tokens)


def test_the_same_place_seen_from_two_windows_is_one_candidate() -> None:
    ranking = Ranking(3)
    offer(ranking, [Span(4, 6, 5.0)], passage(0, 10), "a", 0)
    offer(ranking, [Span(0, 2, 4.0), Span(8, 9, 1.0)], passage(4, 10), "a", 0)
    found = ranking.candidates(Calibration())
    assert [(c.text, c.source_start, c.source_end) for c in found] == [("efg", 4, 7), ("mn", 12, 14)]


def test_the_same_words_elsewhere_are_another_candidate() -> None:
    ranking = Ranking(3)
    for number, name in enumerate(("a", "b")):
        offer(ranking, [Span(0, 1, 5.0)], passage(0, 4), name, number)
    assert [c.source for c in ranking.candidates(Calibration())] == ["a", "b"]


def test_of_what_two_windows_show_enough_is_kept_for_every_candidate_asked_for() -> None:
    ranking = Ranking(2)
    for start, score in ((0, 5.0), (2, 4.5), (4, 4.0)):  # three windows show "ghi"
        offer(ranking, [Span(6 - start, 8 - start, score)], passage(start, 10), "a", 0)
    offer(ranking, [Span(0, 0, -3.0)], passage(20, 4), "a", 0)
    assert [c.text for c in ranking.candidates(Calibration())] == ["ghi", "u"]


def test_of_equal_scores_the_earlier_is_first_and_then_the_shorter() -> None:
    ranking = Ranking(3)
    offer(ranking, [Span(2, 4, 1.0), Span(7, 7, 1.0)], passage(4, 8), "b", 1)
    offer(ranking, [Span(6, 6, 1.0)], passage(0, 8), "b", 1)
    offer(ranking, [Span(3, 3, 1.0)], passage(0, 8), "a", 0)
    found = ranking.candidates(Calibration())
    assert [(c.source, c.text) for c in found] == [("a", "d"), ("b", "g"), ("b", "l")]


@given(
    st.lists(
        # Few scores and places, so that many are equal: of the passage, of the span in it, its length, its score.
        st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 2), st.integers(-1, 1)),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 4),
    st.randoms(),
)
def test_the_order_of_the_contexts_does_not_matter_even_among_equals(
    spans: list[tuple[int, int, int, int]], top: int, random: Random
) -> None:
    def rank(order: list[tuple[int, int, int, int]]) -> tuple[Candidate, ...]:
        ranking = Ranking(top)
        for place, first, more, score in order:
            offer(ranking, [Span(first, first + more, float(score))], passage(place, 8), "a", 0)
        return ranking.candidates(Calibration())

    found = rank(spans)
    shuffled = list(spans)
    random.shuffle(shuffled)
    assert rank(shuffled) == found
    assert found[0].score == max(score for *_, score in spans)


@given(st.floats(-1e6, 1e6), st.integers(0, 10**6))
def test_a_probability_is_one(score: float, contexts: int) -> None:
    assert 0 <= probability(score, contexts, Calibration(slope=2.0, contexts=-0.5, intercept=1.0)) <= 1


def test_a_probability_rises_with_the_score_and_falls_with_the_contexts() -> None:
    calibration = Calibration(slope=0.4, contexts=-0.3, intercept=0.1)
    assert probability(2.0, 1, calibration) == pytest.approx(1 / (1 + math.exp(-0.9)))
    assert probability(3.0, 1, calibration) > probability(2.0, 1, calibration) > probability(2.0, 9, calibration)


def test_spans_that_touch_are_two_candidates_and_those_that_share_a_character_one() -> None:
    for begin, kept in ((4, ["abcd", "efg"]), (3, ["abcd"])):
        ranking = Ranking(3)
        offer(ranking, [Span(0, 3, 5.0)], passage(0, 10), "a", 0)
        offer(ranking, [Span(begin - 2, 4, 4.0)], passage(2, 10), "a", 0)
        assert [c.text for c in ranking.candidates(Calibration())] == kept
        ranking = Ranking(3)
        offer(ranking, [Span(begin - 2, 4, 6.0)], passage(2, 10), "a", 0)
        offer(ranking, [Span(0, 3, 5.0)], passage(0, 10), "a", 0)
        assert len(ranking.candidates(Calibration())) == len(kept)
