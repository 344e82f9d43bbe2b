from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.contexts.passages import Passage
from edgeqa.models.manifest import Calibration
from edgeqa.models.ranking import Ranking, probability
from edgeqa.models.spans import Span
from edgeqa.models.tokenizer import Tokens

TEXT = "abcdefghijklmnopqrstuvwxyz"


def passage(start: int, length: int) -> Passage:
    """A passage of TEXT with one token a letter."""
    places = np.arange(length, dtype=np.int32)
    tokens = Tokens(places.astype(np.int64), np.stack([places, places + 1], axis=1), places)
    return Passage(TEXT[start : start + length], start, tokens)


def test_the_same_place_seen_from_two_windows_is_one_candidate() -> None:
    ranking = Ranking(3)
    ranking.offer([Span(4, 6, 5.0)], passage(0, 10), "a", 0)
    ranking.offer([Span(0, 2, 4.0), Span(8, 9, 1.0)], passage(4, 10), "a", 0)
    found = ranking.candidates(Calibration())
    assert [(c.text, c.source_start, c.source_end) for c in found] == [("efg", 4, 7), ("mn", 12, 14)]


def test_the_same_words_elsewhere_are_another_candidate() -> None:
    ranking = Ranking(3)
    for number, name in enumerate(("a", "b")):
        ranking.offer([Span(0, 1, 5.0)], passage(0, 4), name, number)
    assert [c.source for c in ranking.candidates(Calibration())] == ["a", "b"]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3), st.integers(-4, 4)), min_size=1, max_size=40),
    st.randoms(),
)
def test_the_order_of_the_contexts_does_not_matter(spans: list[tuple[int, int, int]], random: object) -> None:
    def rank(order: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
        ranking = Ranking(4)
        for start, length, score in order:
            ranking.offer([Span(0, length, score)], passage(start, 5), "a", 0)
        return [(c.source_start, c.source_end, c.score) for c in ranking.candidates(Calibration())]

    distinct = list(
        {(start, length): (start, length, score + start / 64 + length / 512) for start, length, score in spans}.values()
    )
    found = rank(distinct)
    shuffled = list(distinct)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rank(shuffled) == found
    assert found[0][2] == max(score for _, _, score in distinct)


@given(st.floats(-1e6, 1e6), st.integers(0, 10**6))
def test_a_probability_is_one(score: float, contexts: int) -> None:
    assert 0 <= probability(score, contexts, Calibration(slope=2.0, contexts=-0.5, intercept=1.0)) <= 1


def test_a_probability_rises_with_the_score_and_falls_with_the_contexts() -> None:
    calibration = Calibration(slope=0.4, contexts=-0.3, intercept=0.1)
    assert probability(2.0, 1, calibration) == pytest.approx(1 / (1 + math.exp(-0.9)))
    assert probability(3.0, 1, calibration) > probability(2.0, 1, calibration) > probability(2.0, 9, calibration)
