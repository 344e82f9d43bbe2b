"""Tests that an answer takes the signs with it that belong to its words, such as a currency, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.models.spans import with_signs


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("It freezes at -38.8 °C.", "38.8 °C", "-38.8 °C"),
        ("It freezes at \u221238.8 °C.", "38.8", "\u221238.8"),
        ("Fat: <1 %; sugar 5 %", "1 %", "<1 %"),
        ("it needs >=512 MB", "512 MB", ">=512 MB"),
        ("lies at -120 m below", "120 m", "-120 m"),
        ("see /etc/apt/sources.list, and", "etc/apt/sources.list", "/etc/apt/sources.list"),
        ("see /etc/apt/sources.list, and", "etc/apt/sources", "/etc/apt/sources.list"),
        ("see /etc/apt/sources.list.", "sources.list", "/etc/apt/sources.list"),
        ("in ~/.config/x now", "config", "~/.config/x"),
        ("in (./configure) now", "configure", "./configure"),
        ("call +49 30 1234567 now", "49 30 1234567", "+49 30 1234567"),
        ("costs about ~$5 now", "5", "~$5"),
        ("costs US$5 now", "5", "$5"),
        ("costs 5€, or 10%.", "5", "5€"),
        ("costs 5€, or 10%.", "10", "10%"),
        ("at 38.8°C or less", "38.8", "38.8°C"),
        ("take --list-all or -q", "list-all", "--list-all"),
        ("take --list-all or -q", "q", "-q"),
        ("issue #12 is open", "12", "#12"),
        ("ask @ada for it", "ada", "@ada"),
        ("set $HOME first", "HOME", "$HOME"),
        ("edit .bashrc first", "bashrc", ".bashrc"),
        ("about .5 of it", "5", ".5"),
        ("written in C++ and C#.", "C", "C++"),
        ("written in C++ and C#.", "C++ and C", "C++ and C#"),
        ("call printf() first", "printf", "printf"),
        ("call log(n) first", "log(n", "log(n)"),
        ("mail ada@example.org, please", "ada", "ada@example.org"),
        ("see https://example.org/a?b=c.", "example.org", "https://example.org/a?b=c"),
        ("set max_wal_size to 1", "max", "max_wal_size"),
        ("for example, XZ_DEFAULTS=--memlimit=150MiB.", "--memlimit=150MiB", "XZ_DEFAULTS=--memlimit=150MiB"),
        ("turn over the openshading.example.org domain", "org", "openshading.example.org"),
        ("size = (encoded_size + 1) * 4", "encoded_size + 1) * 4", "(encoded_size + 1) * 4"),
        ("grow (as f(n) does) then", "as f(n)", "as f(n)"),
        ("1.0.4 of 2009-08-27, the last", "2009", "2009-08-27"),
        ("open 2009-10 and after", "2009", "2009"),
        ("It ends.Then more.", "Then", "Then"),
        ("define __init__ here", "init", "__init__"),
        ("run systemctl get-default now", "systemctl get", "systemctl get-default"),
        ("run `systemctl get-default` now", "systemctl", "systemctl get-default"),
    ],
)
def test_what_belongs_to_the_first_and_the_last_word_is_not_left_behind(text: str, words: str, expected: str) -> None:
    start = text.index(words)
    begin, stop = with_signs(text, start, start + len(words))
    assert text[begin:stop] == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from 10-20 of them", "20"),
        ("from 10\u201320 of them", "20"),
        ("and/or nothing", "or"),
        ("at 50 km/h now", "h"),
        ("the 9-year-old boy", "9"),
        ("a Spanish-language paper", "Spanish"),
        ("x = 5; y", "5"),
        ("(Paris), the", "Paris"),
        ('"Paris", the', "Paris"),
        ("It is Paris. Then", "Paris"),
        ("ends in Paris! Yes", "Paris"),
        ("some _emphasis_ here", "emphasis"),
        ("some **emphasis** here", "emphasis"),
        ("the <b>word</b> here", "word"),
        ("a - b", "b"),
        ("Berlin \u2014a city", "a city"),
        ("1+2 is", "1"),
    ],
)
def test_punctuation_and_the_other_half_of_a_word_stay_where_they_are(text: str, words: str) -> None:
    start = text.index(words)
    assert with_signs(text, start, start + len(words)) == (start, start + len(words))


SIGNED = st.text(st.sampled_from("ab1 2.-+</$€#@%~_`()°\n\u2212é"), max_size=30)


@given(SIGNED, st.integers(0, 30), st.integers(0, 30))
def test_a_span_only_grows_and_never_over_a_blank_outside_of_code(text: str, first: int, second: int) -> None:
    start, end = sorted((min(first, len(text)), min(second, len(text))))
    begin, stop = with_signs(text, start, end)
    assert 0 <= begin <= start <= end <= stop <= len(text)
    if "`" not in text:
        assert not any(c.isspace() for c in text[begin:start] + text[end:stop])


@given(SIGNED, st.integers(0, 30), st.integers(0, 30))
def test_a_span_that_has_its_signs_gets_no_more(text: str, first: int, second: int) -> None:
    start, end = sorted((min(first, len(text)), min(second, len(text))))
    once = with_signs(text, start, end)
    assert with_signs(text, *once) == once
