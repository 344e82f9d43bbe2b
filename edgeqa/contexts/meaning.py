"""Which tokens of a text mean something by themselves: a text and its tokens' places in, a mask out. Pure.

A full stop, a quotation mark or a dash is part of many answers and is none alone. Letters, digits and symbols
(currencies, emoji) may be.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEANINGLESS = "PZC"  # Unicode's categories of punctuation, separators, and controls


def meaningful(text: str, offsets: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Returns, bool [tokens], whether a token is more than punctuation.

    Args:
        text: the text.
        offsets: int32 [tokens, 2]: first character of each token, and the one after the last.
    """
    pieces = (text[begin:end] for begin, end in offsets.tolist())
    return np.fromiter((piece.isalnum() or any(map(_means, piece)) for piece in pieces), np.bool_, len(offsets))


def _means(character: str) -> bool:
    return unicodedata.category(character)[0] not in _MEANINGLESS
