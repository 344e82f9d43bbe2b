"""Tests how spans of many contexts become candidates: which are the same one, and which comes first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.asking import SourcePassage
from edgeqa.asking.ranking import MAX_MARGIN, Ranking, probability, sigmoid
from edgeqa.contexts import Piece, Place, Tokens
from edgeqa.contexts.windows import Window
from edgeqa.models.manifest import Searched
from edgeqa.models.spans import Span, locate

if TYPE_CHECKING:
    from random import Random


TEXT = "abcdefghijklmnopqrstuvwxyz"


def offer(ranking: Ranking, spans: list[Span], context: Window, source: str, number: int) -> None:
    for place in locate(spans, context):
        ranking.offer(place.score, place, SourcePassage(context, source, number))


def texts(ranking: Ranking) -> list[str]:
    return [found.passage.text.text[found.place.start : found.place.end] for found in ranking.spans()]


def passage(start: int, length: int) -> Window:
    """A passage of TEXT with one token a letter."""
    places = np.arange(length, dtype=np.int32)
    tokens = Tokens(places.astype(np.int64), np.stack([places, places + 1], axis=1), places)
    return Window(TEXT[start : start + length], start, tokens)


def test_the_same_place_seen_from_two_windows_is_one_candidate() -> None:
    ranking = Ranking(3)
    offer(ranking, [Span(4, 6, 5.0)], passage(0, 10), "a", 0)
    offer(ranking, [Span(0, 2, 4.0), Span(8, 9, 1.0)], passage(4, 10), "a", 0)
    assert texts(ranking) == ["efg", "mn"]
    assert [found.at for found in ranking.spans()] == [(4, 7), (12, 14)]


def test_the_same_words_elsewhere_are_another_candidate() -> None:
    ranking = Ranking(3)
    for number, name in enumerate(("a", "b")):
        offer(ranking, [Span(0, 1, 5.0)], passage(0, 4), name, number)
    assert [found.passage.source for found in ranking.spans()] == ["a", "b"]


def test_of_what_two_windows_show_enough_is_kept_for_every_candidate_asked_for() -> None:
    ranking = Ranking(2)
    for start, score in ((0, 5.0), (2, 4.5), (4, 4.0)):  # three windows show "ghi"
        offer(ranking, [Span(6 - start, 8 - start, score)], passage(start, 10), "a", 0)
    offer(ranking, [Span(0, 0, -3.0)], passage(20, 4), "a", 0)
    assert texts(ranking) == ["ghi", "u"]


def test_of_equal_scores_the_earlier_is_first_and_then_the_shorter() -> None:
    ranking = Ranking(3)
    offer(ranking, [Span(2, 4, 1.0), Span(7, 7, 1.0)], passage(4, 8), "b", 1)
    offer(ranking, [Span(6, 6, 1.0)], passage(0, 8), "b", 1)
    offer(ranking, [Span(3, 3, 1.0)], passage(0, 8), "a", 0)
    assert [found.passage.source for found in ranking.spans()] == ["a", "b", "b"]
    assert texts(ranking) == ["d", "g", "l"]


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
    def rank(order: list[tuple[int, int, int, int]]) -> list[tuple[float, tuple[int, int], str]]:
        ranking = Ranking(top)
        for place, first, more, score in order:
            offer(ranking, [Span(first, first + more, float(score))], passage(place, 8), "a", 0)
        return [(found.rank, found.at, found.passage.text.text) for found in ranking.spans()]

    found = rank(spans)
    shuffled = list(spans)
    random.shuffle(shuffled)
    assert rank(shuffled) == found
    assert found[0][0] == max(score for *_, score in spans)


def test_spans_that_touch_are_two_candidates_and_those_that_share_a_character_one() -> None:
    for begin, kept in ((4, ["abcd", "efg"]), (3, ["abcd"])):
        ranking = Ranking(3)
        offer(ranking, [Span(0, 3, 5.0)], passage(0, 10), "a", 0)
        offer(ranking, [Span(begin - 2, 4, 4.0)], passage(2, 10), "a", 0)
        assert texts(ranking) == kept
        ranking = Ranking(3)
        offer(ranking, [Span(begin - 2, 4, 6.0)], passage(2, 10), "a", 0)
        offer(ranking, [Span(0, 3, 5.0)], passage(0, 10), "a", 0)
        assert len(ranking.spans()) == len(kept)


def test_a_row_s_spans_are_told_apart_by_where_they_stand_in_the_document() -> None:
    row = Window("Head: 4; Flow: 6", 40, passage(0, 16).tokens, kind="row", pieces=(Piece(6, 7, 40), Piece(15, 16, 50)))
    plain = Window("4         6", 40, passage(0, 11).tokens)
    ranking = Ranking(3)
    for context, place in ((row, Place(6, 7, 3.0)), (row, Place(15, 16, 2.0)), (plain, Place(0, 1, 1.0))):
        ranking.offer(place.score, place, SourcePassage(context, "a", 0))
    assert [found.at for found in ranking.spans()] == [(40, 41), (50, 51)]


def test_a_span_leads_by_what_it_is_above_the_best_of_another_passage() -> None:
    ranking = Ranking(3)
    first, window, other = (SourcePassage(passage(start, 10), "a", 0) for start in (0, 2, 14))
    ranking.offer(7.0, Place(4, 6, 7.0), first)
    assert ranking.lead(ranking.spans()[0]) == math.inf
    ranking.offer(6.0, Place(0, 2, 6.0), first)  # of the same passage
    ranking.offer(6.5, Place(2, 4, 6.5), window)  # the same place, in another window
    ranking.offer(3.0, Place(0, 2, 3.0), other)
    assert ranking.lead(ranking.spans()[0]) == 4.0


@given(st.floats(-50, 50) | st.just(math.inf))
def test_who_leads_by_more_is_surer_up_to_a_limit(lead: float) -> None:
    numbers = Searched(slope=0.1, lead=0.2, intercept=-1.0)
    expected = sigmoid(0.1 * 3 + 0.2 * max(-MAX_MARGIN, min(MAX_MARGIN, lead)) - 1.0)
    assert probability(3.0, 0.0, 0.0, numbers, lead) == expected
    assert probability(3.0, 0.0, 0.0, numbers._replace(agrees=0.5), lead) == expected
    assert probability(3.0, 0.0, lead, Searched(slope=0.1, margin=0.2, intercept=-1.0), 0.0) == expected
