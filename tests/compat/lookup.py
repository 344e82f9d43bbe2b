"""Makes a network that is the same anywhere from a seed: a token's logits are looked up by its id and its place.

It stands for a reader where what is tested is what comes before and after one: its logits are the same to the last bit
here and in the library that golden answers are recorded with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

POSITIONS = 512


def tables(vocabulary: int, seed: int) -> tuple[Floats, Floats]:
    """Returns start and end logits by token id and by position, float32 [vocabulary, 2] and [POSITIONS, 2]."""
    random = np.random.default_rng(seed)
    by_id = 2.5 * random.standard_normal((vocabulary, 2), dtype=np.float32)
    return by_id, random.standard_normal((POSITIONS, 2), dtype=np.float32)
