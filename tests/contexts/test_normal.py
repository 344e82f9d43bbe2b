"""Tests that text in blocks is normalised as the whole text would be, wherever it is cut."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeqa.formats import MAX_RUN_CHARACTERS, nfc, nfc_blocks

# What composes: letters and marks, Hangul in jamo, Indic vowel signs, an emoji with joiners, Windows line ends.
COMPOSING = "aeo\u0301\u0308\u0327\u1112\u1161\u11ab\uac00\u09c7\u09be\u0b47\u0b3e\U0001f469\u200d\U0001f467 \r\n"
TEXTS = st.text(st.sampled_from(COMPOSING) | st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXTS, st.lists(st.integers(0, 60), max_size=6))
def test_blocks_are_the_whole_text_normalised_wherever_it_is_cut(text: str, places: list[int]) -> None:
    cuts = [0, *sorted(places), len(text)]
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    assert "".join(nfc_blocks(pieces)) == unicodedata.normalize("NFC", text)


def test_what_is_no_character_becomes_a_replacement_of_the_same_length() -> None:
    assert nfc("caf\udce9 ok") == "caf\ufffd ok"
    assert nfc("caf\udcc3\udca9 \ud800") == "café \ufffd"  # an argument in UTF-8 where the locale is ASCII


@settings(max_examples=20)
@given(st.integers(1, 3 * MAX_RUN_CHARACTERS), st.integers(1, 4000))
def test_an_endless_run_of_marks_is_cut_wherever_it_comes_from(before: int, piece: int) -> None:
    text = "x" * before + "e" + "\u0301\u0323" * (2 * MAX_RUN_CHARACTERS) + "end"
    blocks = list(nfc_blocks(text[i : i + piece] for i in range(0, len(text), piece)))
    begin = before + MAX_RUN_CHARACTERS
    expected = unicodedata.normalize("NFC", text[:begin])
    for place in range(begin, len(text), MAX_RUN_CHARACTERS):
        expected += unicodedata.normalize("NFC", text[place : place + MAX_RUN_CHARACTERS])
    assert "".join(blocks) == expected
    # What waits for more stays short, so that nothing is gone through again and again.
    assert all(len(block) <= piece + MAX_RUN_CHARACTERS for block in blocks)


def test_a_run_of_marks_of_any_letter_is_left_whole() -> None:
    text = ("e" + "\u0301\u0323" * ((MAX_RUN_CHARACTERS - 1) // 2) + "x") * 3
    assert "".join(nfc_blocks(text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "text",
    [
        "\u1112\u1161\u11ab",  # a syllable of Hangul in three jamo
        "\u1112\u1161",
        "\ud558\u11ab",  # a syllable that a final still joins
        "\u1112\u1175\u11c2",  # the last vowel and the last final that compose
        "\u1100\u1161\u11a8",  # the first ones
        "e\u0301",
        "\u09c7\u09be",  # vowel signs of Bengali, and of Tamil
        "\u0bc6\u0bbe",
        "\u0327\u0301",  # marks that change places
    ],
)
def test_what_composes_does_so_over_the_border_of_two_pieces(text: str) -> None:
    text = f"x{text}y"
    whole = unicodedata.normalize("NFC", text)
    assert whole != text or text[1] == "\u0327"
    for cut in range(len(text)):
        assert "".join(nfc_blocks([text[:cut], text[cut:]])) == whole
    assert "".join(nfc_blocks(text)) == whole
