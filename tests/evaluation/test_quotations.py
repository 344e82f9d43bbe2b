"""Tests that quotations are found whatever a reader made of a text, and answers only as whole words and numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.evaluation.documents import NEAR_CHARACTERS, SearchedText, holds, is_near


def quoted(text: str, quotation: str) -> list[str]:
    return [text[start:end] for start, end in SearchedText(text).find(quotation)]


@pytest.mark.parametrize(
    ("text", "quotation", "found"),
    [
        ("It defaults to 100.", "defaults to 100", ["defaults to 100"]),
        ("KDE | 4584 |  1316", "KDE 4584 1316", ["KDE | 4584 |  1316"]),
        ("is com\u2010\n    pressed now", "IS COMPRESSED", ["is com\u2010\n    pressed"]),
        ("port 6379, port 6379", "port 6379", ["port 6379", "port 6379"]),
        ("on a path of 250", "path of 25", []),
        ("sport 6379", "port 6379", []),
        ("Größe: GROSSE", "grösse", ["Größe"]),
        ("Name: KDE; Disk: 4584; RAM: 1316", "KDE 4584 1316", ["KDE; Disk: 4584; RAM: 1316"]),
        ("a b. a x b", "a b", ["a b"]),
        ("a x b. a y y y y b", "a b", ["a x b"]),
        ("a" + " x" * NEAR_CHARACTERS + " b", "a b", []),
        ("no letters", "---", []),
    ],
)
def test_finds_a_quotation_by_its_letters(text: str, quotation: str, found: list[str]) -> None:
    assert quoted(text, quotation) == found


@given(st.text(alphabet="abc ,-\n", min_size=1), st.data())
def test_any_whole_words_of_a_text_are_found(text: str, data: st.DataObject) -> None:
    words = [i for i in range(len(text)) if text[i].isalnum() and (i == 0 or not text[i - 1].isalnum())]
    ends = [i for i in range(1, len(text) + 1) if text[i - 1].isalnum() and (i == len(text) or not text[i].isalnum())]
    if not words:
        return
    start = data.draw(st.sampled_from(words))
    end = data.draw(st.sampled_from([e for e in ends if e > start]))
    assert (start, end) in SearchedText(text).find(text[start:end])


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("The default is “auto”.", '"auto"'),
        ("THE   default\n", "the default"),
        ("an auto\u2010\nmatically set value", "automatically"),
        ("multi-\nthreaded mode", "multi-threaded"),
        ("49,50,yes", "50"),
        ("-k, --keep", "--keep"),
        ("at 20 %", "20 %"),
        ("96.00,19", "96.00"),
        ("1\u20132", "1-2"),
    ],
)
def test_holds_an_answer_whatever_its_quotes_and_breaks(text: str, variant: str) -> None:
    assert holds(text, ("something else", variant))


@pytest.mark.parametrize(
    ("text", "variant"),
    [("250", "50"), ("50th", "50"), ("2.50", "50"), ("50.5", "50"), ("1,500", "500"), ("1,500", "1"), ("none", "no")],
)
def test_holds_no_part_of_a_word_or_number(text: str, variant: str) -> None:
    assert not holds(text, (variant,))


def test_near_is_400_characters_on_either_side() -> None:
    assert is_near((0, 10), (410, 420))
    assert is_near((410, 420), (0, 10))
    assert not is_near((0, 10), (411, 420))
    assert is_near((5, 6), (0, 100))
