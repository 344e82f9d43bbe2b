"""Tests the expected calibration error, and the bins that it is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.models.metrics import reliability

JUDGED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40)


def test_a_bin_ends_before_the_next_and_the_last_at_one() -> None:
    found = reliability([(0.0, False), (0.1, True), (0.99, True), (1.0, True)])
    assert [one.questions for one in found.bins] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert [(one.start, one.end) for one in found.bins][-2:] == [(0.8, 0.9), (0.9, 1.0)]
    assert found.bins[9].mean_probability == pytest.approx(0.995)
    assert found.bins[2].to_json() == {
        "from": 0.2,
        "to": 0.3,
        "questions": 0,
        "mean_probability": None,
        "share_right": None,
    }


def test_the_error_weighs_bins_by_their_questions() -> None:
    # Three at 0.5 of which one is right; one at 0.9 that is right.
    found = reliability([(0.5, True), (0.5, False), (0.5, False), (0.9, True)])
    assert found.ece == pytest.approx(3 / 4 * (0.5 - 1 / 3) + 1 / 4 * 0.1)


@given(JUDGED)
def test_every_question_is_in_one_bin(judged: list[tuple[float, bool]]) -> None:
    found = reliability(judged)
    assert sum(one.questions for one in found.bins) == len(judged)
    assert 0 <= found.ece <= 1
    for one in found.bins:
        assert one.mean_probability is None or one.start - 1e-9 <= one.mean_probability <= one.end + 1e-9
