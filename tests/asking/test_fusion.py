"""Tests how the score of a span and the place of its passage become one rank and one probability."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.asking.ranking import MAX_MARGIN, is_enough, lift, probability, sigmoid
from edgeqa.models.manifest import Searched

SCORES = st.floats(-60, 60)
SHARES = st.floats(0, 1)
FITTED = Searched(
    route=20.0, slope=0.25, coverage=1.0, margin=0.1, intercept=-1.5, chance=(-0.144, 9.438, -0.566, -9.58)
)


@given(SCORES, SHARES, st.integers(1, 1000))
def test_what_is_enough_stays_enough_with_a_better_answer_a_worse_passage_and_more_of_them(
    best: float, share: float, read: int
) -> None:
    if is_enough(best, share, read, FITTED):
        assert is_enough(best + 1, share, read, FITTED)
        assert is_enough(best, share / 2, read, FITTED)
        assert is_enough(best, share, read + 1, FITTED)


def test_before_there_is_an_answer_nothing_is_enough_nor_where_the_model_has_no_numbers_for_it() -> None:
    assert not is_enough(-math.inf, 0.01, 8, FITTED)
    assert not is_enough(50.0, 0.0, 0, FITTED)
    assert not is_enough(50.0, 0.0, 3, Searched())


def test_a_sure_answer_ends_reading_and_an_unsure_one_does_not() -> None:
    assert is_enough(15, 0.5, 1, FITTED)
    assert not is_enough(0, 0.9, 1, FITTED)


def test_the_best_passage_is_not_lifted_and_the_others_are_lowered() -> None:
    assert lift(1.0, FITTED) == 0
    assert lift(0.5, FITTED) < lift(0.9, FITTED) < 0


@given(st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(-60, 60))
def test_a_probability_is_one_and_rises_with_rank_coverage_and_margin(
    rank: float, coverage: float, margin: float
) -> None:
    assert 0 <= probability(rank, coverage, margin, FITTED) <= 1
    assert probability(rank + 1, coverage, margin, FITTED) >= probability(rank, coverage, margin, FITTED)
    assert probability(rank, coverage, margin, FITTED) >= probability(rank, coverage / 2, margin, FITTED)
    assert probability(rank, coverage, margin + 1, FITTED) >= probability(rank, coverage, margin, FITTED)
    assert probability(rank, coverage, math.inf, FITTED) == probability(rank, coverage, MAX_MARGIN, FITTED)


def test_without_numbers_a_score_above_no_answer_is_an_answer_and_the_route_breaks_ties() -> None:
    numbers = Searched()
    assert probability(0.1, 0.0, 0.0, numbers) > numbers.no_answer_below > probability(-0.1, 0.0, 0.0, numbers)
    assert -0.05 < lift(0.0, numbers) < lift(0.5, numbers) < 0


def test_a_sigmoid() -> None:
    assert sigmoid(0) == 0.5
    assert sigmoid(0.9) == pytest.approx(1 / (1 + math.exp(-0.9)))
    assert (sigmoid(-1e4), sigmoid(1e4)) == (0, 1)
