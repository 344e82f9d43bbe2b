"""Rounds weights to int8: a float32 matrix in, int8 and scales out, so that int8 times scale is nearly the matrix.

Rounding is symmetric, from -127 to 127, and zero stays zero. The module knows no graph and looks at no data: the
operators themselves scale activations while a graph runs (`operators.Int8Graph`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from weights import Floats

    Int8 = NDArray[np.int8]

INT8_MAX = 127


def by_column(matrix: Floats) -> tuple[Int8, Floats]:
    """Returns int8 `[rows, columns]` and one scale a column, float32 `[columns]`."""
    rounded, scale = by_row(np.ascontiguousarray(matrix.T))
    return np.ascontiguousarray(rounded.T), scale[:, 0]


def by_row(matrix: Floats) -> tuple[Int8, Floats]:
    """Returns int8 `[rows, columns]` and one scale a row, float32 `[rows, 1]`."""
    scale = (np.abs(matrix).max(1, keepdims=True) / INT8_MAX).astype(np.float32)
    return np.rint(matrix / scale).astype(np.int8), scale
