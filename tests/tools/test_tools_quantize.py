"""Tests that weights rounded to int8 are the weights, to half a step of their column or row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

pytest.importorskip("onnx", reason="tools/ needs the extra edgeqa[tools]")

from quantize import by_column, by_row

if TYPE_CHECKING:
    from weights import Floats

WEIGHTS = st.floats(-8, 8, width=32).filter(lambda weight: abs(weight) > 1e-6)
MATRICES = arrays.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=WEIGHTS)


@given(matrix=MATRICES)
def test_each_row_uses_the_whole_range_and_is_right_to_half_a_step(matrix: Floats) -> None:
    rounded, scale = by_row(matrix)
    assert (rounded.dtype.name, scale.dtype.name, scale.shape) == ("int8", "float32", (len(matrix), 1))
    assert (np.abs(rounded.astype(np.int64)).max(axis=1) == 127).all()
    assert (np.abs(rounded * scale - matrix) <= scale * 0.501).all()


@given(matrix=MATRICES)
def test_columns_are_the_rows_of_the_transposed(matrix: Floats) -> None:
    (rounded, scale), (of_rows, row_scale) = by_column(matrix), by_row(matrix.T)
    assert scale.shape == (matrix.shape[1],)
    assert (rounded == of_rows.T).all()
    assert (scale == row_scale[:, 0]).all()


def test_zero_stays_zero() -> None:
    rounded, scale = by_column(np.array([[0.0, 2.0], [1.0, -2.0]], np.float32))
    assert rounded.tolist() == [[0, 127], [127, -127]]
    np.testing.assert_allclose(scale, [1 / 127, 2 / 127], rtol=1e-6)
