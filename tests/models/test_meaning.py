"""Tests which tokens are more than punctuation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeqa.contexts.windows import meaningful

if TYPE_CHECKING:
    from edgeqa.models.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada , 1843 .", [True, False, True, False]),
        ("“ ” — … ¿", [False] * 5),
        ("$ € + 👍 ½", [True] * 5),
        ("東 京 。", [True, True, False]),
        ("", []),
    ],
)
def test_punctuation_alone_means_nothing(tokenizer: Tokenizer, text: str, expected: list[bool]) -> None:
    offsets = tokenizer.tokenize(text).offsets
    assert meaningful(text, offsets).tolist() == expected
