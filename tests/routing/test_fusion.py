from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from edgeqa.routing.fusion import ENOUGH_BELOW, chance_of_better, lift

SCORES = st.floats(-60, 60)
SHARES = st.floats(0, 1, exclude_min=True)


@given(SCORES, SHARES, st.integers(1, 1000))
def test_the_chance_of_a_better_answer_is_a_probability_and_falls_as_it_should(
    best: float, share: float, read: int
) -> None:
    chance = chance_of_better(best, share, read)
    assert 0 <= chance <= 1
    assert chance_of_better(best + 1, share, read) <= chance
    assert chance_of_better(best, share / 2, read) <= chance
    assert chance_of_better(best, share, read + 1) <= chance


def test_before_there_is_an_answer_any_other_is_better() -> None:
    assert chance_of_better(-math.inf, 0.01, 8) == 1


def test_a_sure_answer_ends_reading_and_an_unsure_one_does_not() -> None:
    assert chance_of_better(15, 0.5, 1) < ENOUGH_BELOW < chance_of_better(0, 0.9, 1)


def test_the_best_context_is_not_lifted_and_the_others_are_lowered() -> None:
    assert lift(1.0) == 0
    assert lift(0.5) < lift(0.9) < 0
