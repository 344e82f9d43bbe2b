"""Makes a split reader of a few narrow layers with seeded random weights, for tests that have no trained ones.

The weights are large enough for attention to pick, for GELU to bend and for biases to matter: a wrong graph shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from weights import HEAD_WIDTH, Sizes

if TYPE_CHECKING:
    from weights import Floats

WIDTH, INNER = 2 * HEAD_WIDTH, 96
SIZES = Sizes(layers=4, split=2, heads=2)


def small_weights(*, vocabulary: int, seed: int = 0) -> dict[str, Floats]:
    """Returns weights under the names of the trained ones."""
    random = np.random.default_rng(seed)

    def normal(*shape: int, deviation: float = 1.0, mean: float = 0.0) -> Floats:
        return (mean + deviation * random.standard_normal(shape)).astype(np.float32)

    weights = {
        "word.weight": normal(vocabulary, WIDTH),
        "pos.weight": normal(512, WIDTH, deviation=0.5),
        "typ.weight": normal(2, WIDTH, deviation=0.5),
        "span.weight": normal(2, WIDTH, deviation=WIDTH**-0.5),
        "span.bias": normal(2),
    }
    norms = ["ln"]
    for i in range(SIZES.layers):
        shapes = {"qkv": (3 * WIDTH, WIDTH), "o": (WIDTH, WIDTH), "f1": (INNER, WIDTH), "f2": (WIDTH, INNER)}
        for name, (rows, columns) in shapes.items():
            weights[f"layers.{i}.{name}.weight"] = normal(rows, columns, deviation=1.5 * columns**-0.5)
            weights[f"layers.{i}.{name}.bias"] = normal(rows, deviation=0.3)
        norms += [f"layers.{i}.ln1", f"layers.{i}.ln2"]
    for name in norms:
        weights[f"{name}.weight"] = normal(WIDTH, deviation=0.2, mean=1.0)
        weights[f"{name}.bias"] = normal(WIDTH, deviation=0.2)
    return weights
