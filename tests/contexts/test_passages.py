from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeqa.contexts.passages import OVERLAP_TOKENS, Limits, Passage, passages

if TYPE_CHECKING:
    from edgeqa.models.tokenizer import Tokenizer

LIMITS = Limits(whole_tokens=447, window_tokens=128)
SENTENCES = st.lists(
    st.sampled_from(
        [
            "One two three. ",
            "Is it 4.5 m? ",
            "naïve Tōkyō “東京”。",
            "line\n",
            "\r\n\r\n",
            "a b c d e f g h, ",
            "x" * 130,
        ]
    ),
    max_size=12,
)


def text_of(seed: list[str], times: int) -> str:
    return "".join(itertools.chain.from_iterable(itertools.repeat(seed, times)))


def split(text: str, tokenizer: Tokenizer, limits: Limits = LIMITS, block: int = 1 << 16) -> list[Passage]:
    blocks = (text[i : i + block] for i in range(0, len(text), block))
    return list(passages(blocks, tokenizer.tokenize, limits))


@settings(max_examples=40)
@given(SENTENCES, st.integers(1, 20))
def test_every_run_of_thirty_tokens_lies_in_a_passage(tokenizer: Tokenizer, seed: list[str], times: int) -> None:
    text = text_of(seed, times)
    whole = tokenizer.tokenize(text)
    found = split(text, tokenizer)
    ranges = [(p.start, p.start + len(p.text)) for p in found]
    for first in range(max(0, len(whole) - OVERLAP_TOKENS + 1)):
        start, end = whole.offsets[first, 0], whole.offsets[first + OVERLAP_TOKENS - 1, 1]
        assert any(a <= start and end <= b for a, b in ranges)
    assert bool(found) == bool(len(whole))


@settings(max_examples=40)
@given(SENTENCES, st.integers(1, 20))
def test_a_passage_is_a_slice_of_the_text_with_its_own_tokens(
    tokenizer: Tokenizer, seed: list[str], times: int
) -> None:
    text = text_of(seed, times)
    for p in split(text, tokenizer):
        assert text[p.start : p.start + len(p.text)] == p.text
        again = tokenizer.tokenize(p.text)
        assert np.array_equal(again.ids, p.tokens.ids)
        assert np.array_equal(again.offsets, p.tokens.offsets)
        assert np.array_equal(np.diff(again.words) > 0, np.diff(p.tokens.words) > 0)
        assert p.tokens.words[0] == 0
        assert len(p.tokens) <= LIMITS.whole_tokens


@settings(max_examples=40)
@given(SENTENCES, st.integers(30, 100), st.integers(40, 5000))
@example(["One two three. ", "line\n"], 600, 4096)
def test_passages_do_not_depend_on_how_the_text_came(
    tokenizer: Tokenizer, seed: list[str], times: int, block: int
) -> None:
    text = text_of(seed, times)
    at_once = [(p.start, p.text) for p in split(text, tokenizer, block=len(text) + 1)]
    assert [(p.start, p.text) for p in split(text, tokenizer, block=block)] == at_once


def test_a_short_text_is_one_context_white_space_and_all(tokenizer: Tokenizer) -> None:
    (passage,) = split("\n  A short text.  \n", tokenizer)
    assert (passage.start, passage.text) == (0, "\n  A short text.  \n")


def test_a_long_text_is_cut_where_paragraphs_and_sentences_end(tokenizer: Tokenizer) -> None:
    paragraph = "The pump is rated for continuous use. " * 9
    found = split((paragraph.strip() + "\n\n") * 40, tokenizer)
    assert len(found) > 20
    assert all(p.text.rstrip().endswith(".") for p in found)
    assert all(p.text.startswith("The pump") for p in found)
    assert all(len(p.tokens) <= LIMITS.window_tokens for p in found)


def test_an_endless_word_or_white_space_does_not_pile_up(tokenizer: Tokenizer) -> None:
    nothing = " " * (3 << 20)
    assert split(nothing, tokenizer) == []
    (*_, last) = split(nothing + "the end", tokenizer)
    assert last.text.endswith("the end")
    assert last.start + len(last.text) == len(nothing) + 7


def test_tokens_know_their_paragraph(tokenizer: Tokenizer) -> None:
    (passage,) = split("Head\nline\n\nBody. \n \n\r\n\r\nEnd", tokenizer)
    assert passage.paragraphs.tolist() == [0, 0, 1, 1, 2]
