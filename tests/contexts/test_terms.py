"""Tests the terms that texts are searched by: stems, spellings of one thing, and words that are one slip away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.contexts.terms import (
    MAX_TERM_CHARACTERS,
    UNSPACED_RANGES,
    distinct,
    is_one_slip_away,
    one_slip_away,
    swapped_stop_word,
    terms,
    words,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,250 metres", "1250 metres"),
        ("12m", "12 m"),
        ("pumps", "pump"),
        ("Newton's laws", "NEWTON law"),
        ("café", "CAFE"),
        ("Straße", "strasse"),
        ("O’Brien", "O'Brien"),
        ("self-test", "self test"),
        ("12\u202f000", "12000"),
    ],
)
def test_one_thing_written_in_two_ways_has_the_same_terms(one: str, other: str) -> None:
    assert terms(one) == terms(other) != []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the pump?", ["pump"]),
        ("1,25 and 3.14 and 1,2500", ["1", "25", "3.14", "1", "2500"]),
        ("東京に行く", ["東", "京", "に", "行", "く"]),
        ("who is it", []),
        ("snake_case", ["snake", "case"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@given(st.text())
def test_a_term_of_any_text_is_a_word_and_a_text_of_terms_keeps_its_count(text: str) -> None:
    found = terms(text)
    assert all(term and not any(c.isspace() for c in term) and len(term) <= 2 * MAX_TERM_CHARACTERS for term in found)
    assert " ".join(found).split() == found


@given(st.text() | st.text("aes ,.'1\u00e9"), st.sampled_from(["en", ""]))
def test_the_different_terms_of_a_text_are_its_terms(text: str, language: str) -> None:
    assert distinct(text, language) == set(terms(text, language))


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"])))
def test_case_does_not_matter(text: str) -> None:
    assert terms(text.casefold()) == terms(text)


def test_words_one_slip_away() -> None:
    assert {"pumps", "plump", "ump", "pupm", "pimp"} <= one_slip_away("pump")
    assert all("pump" in one_slip_away(word) for word in ("pumpe", "pamp", "upmp", "pumpp"))
    assert not any(map(one_slip_away, ("no", "x" * 30, "où_est", "1234", "")))


def test_the_first_letter_of_a_short_word_is_taken_for_right() -> None:
    for word, other in (("sold", "cold"), ("slate", "plate")):
        assert other not in one_slip_away(word)
        assert not is_one_slip_away(word, other)
    assert "cables" in one_slip_away("tables")
    assert is_one_slip_away("tables", "cables")


@pytest.mark.parametrize(
    ("word", "meant"), [("whcih", "which"), ("waht", "what"), ("form", "from"), ("pump", None), ("teh", None)]
)
def test_words_that_only_make_a_question_are_known_with_two_letters_swapped(word: str, meant: str | None) -> None:
    assert swapped_stop_word(word) == meant
    assert swapped_stop_word(word, "") is None


def test_of_scripts_without_spaces_each_character_is_a_term_as_the_tokenizer_has_them() -> None:
    for low, high in UNSPACED_RANGES:
        for code in (low + 1, high - 1):
            if chr(code).isalpha():
                assert len(words(f"x{chr(code)}{chr(code)}")) == 3, hex(code)
    assert words("\u31f0\u31f1") == ["\u31f0", "\u31f1"]
    assert words("\u4dc0") == []  # a sign, no letter of a script
