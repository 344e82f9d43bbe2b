"""Reads the file of trained weights that a bundle is made from.

In: a safetensors file in half precision, with the number of layers and the split in its metadata. Out: float32 arrays
by name, and the `Sizes` that the weights alone do not tell. `reference.py` says what the names mean; nothing here
computes with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

if TYPE_CHECKING:
    from pathlib import Path

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Weights = Mapping[str, Floats]

HEAD_WIDTH = 32  # MiniLM's, which the reader was trained from: 384 wide, 12 heads


@dataclass(frozen=True, slots=True)
class Sizes:
    """How the layers are used: `split` of `layers` see question and context apart, each attends with `heads` heads."""

    layers: int
    split: int
    heads: int


def load_weights(path: Path) -> tuple[dict[str, Floats], Sizes]:
    """Returns the weights in float32, and their sizes."""
    with safe_open(path, framework="np") as file:
        metadata, names = file.metadata(), file.keys()
        weights = {name: file.get_tensor(name).astype(np.float32) for name in names}
    heads = weights["ln.weight"].size // HEAD_WIDTH
    return weights, Sizes(layers=int(metadata["layers"]), split=int(metadata["split"]), heads=heads)
