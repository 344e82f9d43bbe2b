"""Tests the official SQuAD rules by cases worked out by hand, and the sweep against trying every threshold."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.models.metrics import Judged, QuestionScore, best_threshold, normalize, score_v1, score_v2

RIGHT, WRONG = QuestionScore(1.0, 1.0), QuestionScore(0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  \t\n ", ""),
        ("Denver Broncos", "denver broncos"),
        ("The  Denver\tBroncos.", "denver broncos"),
        ("a an the A AN THE", ""),
        ("the theatre of an Athenian", "theatre of athenian"),
        ("another anthem", "another anthem"),
        (string.punctuation, ""),
        ("U.S.A.", "usa"),
        ("$1,200.50", "120050"),
        ("well-known", "wellknown"),
        # Punctuation goes first: what it parted is joined before articles are looked for, and the other way round.
        ("a-b", "ab"),
        ("the-end", "theend"),
        ("(the) end", "end"),
        ("th'e end", "end"),
        # Only ASCII punctuation is stripped; a long dash or a curly quote stays, and is a border of words.
        ("“the” end", "“ ” end"),
        ("the \u2013 end", "\u2013 end"),
        ("a—b", "—b"),
        ("£5", "£5"),
        ("¿qué?", "¿qué"),
        # Any Unicode white space is collapsed, a zero-width space is none.
        ("one\u00a0two\u2003three\u3000four", "one two three four"),
        ("one\u200btwo", "one\u200btwo"),
        # Articles end at word borders by Unicode: é is a letter.
        ("aé thé an", "aé thé"),
        ("ÉCOLE İ", "école i\u0307"),
    ],
)
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("Denver Broncos", ["Denver Broncos"], RIGHT),
        ("the denver broncos!", ["Denver Broncos"], RIGHT),
        ("Broncos", ["Denver Broncos"], QuestionScore(0.0, 2 / 3)),
        ("Broncos Denver", ["Denver Broncos"], QuestionScore(0.0, 1.0)),
        ("Carolina Panthers", ["Denver Broncos"], WRONG),
        # The best gold counts, for each score by itself.
        ("in 1999", ["1998", "1999", "in the year 1999"], QuestionScore(0.0, 0.8)),
        ("x y", ["z", "y x", "x"], QuestionScore(0.0, 1.0)),
        # Tokens are a multiset: a repeated one counts as often as it is in both.
        ("new new york", ["new york"], QuestionScore(0.0, 0.8)),
        ("no no no", ["no no"], QuestionScore(0.0, 0.8)),
        ("a b b c", ["b b b"], QuestionScore(0.0, 2 / 3)),
        ("“Yes”", ["Yes"], WRONG),
    ],
)
def test_both_versions_agree_where_there_are_words(prediction: str, golds: list[str], expected: QuestionScore) -> None:
    for score in (score_v1(prediction, golds), score_v2(prediction, golds)):
        assert score.em == expected.em
        assert score.f1 == pytest.approx(expected.f1)


@pytest.mark.parametrize(
    ("prediction", "golds", "expected_v1", "expected_v2"),
    [
        ("", ["Denver"], WRONG, WRONG),
        # Nothing left on both sides: equal strings, but 1.1 counts no shared token.
        ("the", ["a"], QuestionScore(1.0, 0.0), RIGHT),
        ("", [""], QuestionScore(1.0, 0.0), RIGHT),
        ("Denver", [""], WRONG, WRONG),
        # 2.0 drops golds that are nothing but articles and punctuation, 1.1 does not.
        ("", ["Denver", "..."], QuestionScore(1.0, 0.0), WRONG),
        ("an", ["Denver", "the"], QuestionScore(1.0, 0.0), WRONG),
        ("", ["the", "?"], QuestionScore(1.0, 0.0), RIGHT),
    ],
)
def test_the_versions_differ_about_nothing(
    prediction: str, golds: list[str], expected_v1: QuestionScore, expected_v2: QuestionScore
) -> None:
    assert score_v1(prediction, golds) == expected_v1
    assert score_v2(prediction, golds) == expected_v2


def test_v1_no_prediction_scores_nothing_even_if_a_gold_is_empty() -> None:
    assert score_v1(None, ["Denver", ""]) == WRONG


def test_v2_no_answer_is_right_only_without_golds() -> None:
    assert score_v2("", []) == RIGHT
    assert score_v2("Denver", []) == WRONG
    assert score_v2("the", []) == RIGHT


def answerable(f1: float, no_answer_score: float) -> Judged:
    return Judged(f1, no_answer_score, has_answer=True, is_answered=True)


def unanswerable(no_answer_score: float) -> Judged:
    return Judged(0.0, no_answer_score, has_answer=False, is_answered=True)


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        ([answerable(1.0, -3.0)], (1.0, -3.0)),
        ([unanswerable(-3.0)], (1.0, 0.0)),
        ([answerable(0.0, -3.0)], (0.0, 0.0)),
        # Answering the third only makes up for the second: of equally good thresholds, the lower.
        (
            [
                answerable(0.5, -2.0),
                unanswerable(-1.0),
                answerable(1.0, 5.0),
                unanswerable(7.0),
            ],
            (2.5 / 4, -2.0),
        ),
        (
            [
                answerable(1.0, 0.4),
                unanswerable(0.2),
                answerable(0.75, 0.1),
                answerable(0.5, 0.3),
            ],
            (2.25 / 4, 0.4),
        ),
        # An empty prediction is no answer at any threshold, so it costs nothing.
        ([Judged(1.0, 0.1, has_answer=False, is_answered=False), answerable(1.0, 0.2)], (1.0, 0.2)),
    ],
)
def test_best_threshold_by_hand(judged: list[Judged], expected: tuple[float, float]) -> None:
    assert best_threshold(judged) == pytest.approx(expected)


def test_equal_no_answer_scores_are_taken_in_order_as_the_official_rules_do() -> None:
    can, cannot = answerable(1.0, 0.5), unanswerable(0.5)
    assert best_threshold([can, cannot]) == (1.0, 0.5)
    assert best_threshold([cannot, can]) == (0.5, 0.0)


def mean_f1(judged: list[Judged], threshold: float) -> float:
    """F1 where no answer is given above the threshold."""
    total = 0.0
    for one in judged:
        if one.no_answer_score > threshold or not one.is_answered:
            total += not one.has_answer
        else:
            total += one.f1 if one.has_answer else 0
    return total / len(judged)


# Quarters add up without rounding; an empty prediction of an answerable question has F1 0.
outcomes = st.builds(
    lambda f1, has_answer, is_answered: (f1 if is_answered else 0.0, has_answer, is_answered),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    st.booleans(),
    st.booleans(),
)


@given(st.dictionaries(st.integers(1, 40).map(float), outcomes, min_size=1, max_size=12))
def test_best_threshold_is_the_best_of_all_thresholds(by_score: dict[float, tuple[float, bool, bool]]) -> None:
    judged = [Judged(f1, score, has, answered) for score, (f1, has, answered) in by_score.items()]
    found, threshold = best_threshold(judged)
    everything = [0.0, *by_score]
    assert found == max(mean_f1(judged, one) for one in everything)
    assert found == mean_f1(judged, threshold)
    assert threshold == min(one for one in everything if mean_f1(judged, one) == found)
