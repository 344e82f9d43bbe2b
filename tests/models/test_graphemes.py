"""Tests that no character that a person sees is cut in two at the border of an answer."""

from __future__ import annotations

import pytest

from edgeqa.models.spans import widen

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "start", "end", "expected"),
    [
        ("plain words", 0, 5, "plain"),
        ("x\u0302 y", 0, 1, "x\u0302"),  # no single character for x with a circumflex
        ("a \u2764\ufe0f b", 2, 3, "\u2764\ufe0f"),  # a heart and its variation selector
        (f"a {FAMILY} b", 2, 3, FAMILY),
        (f"a {FAMILY} b", 4, 5, FAMILY),  # from its middle
        ("a \U0001f44d\U0001f3fd b", 2, 3, "\U0001f44d\U0001f3fd"),  # a thumb and its skin tone
        ("\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", 0, 1, "\u05e9\u05b8"),  # Hebrew with points
    ],
)
def test_no_character_is_cut_in_two(text: str, start: int, end: int, expected: str) -> None:
    begin, stop = widen(text, start, end)
    assert text[begin:stop] == expected
