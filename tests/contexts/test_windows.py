"""Tests the windows of passages, which are what the reader takes at a time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeqa.contexts import Piece, extent, place_of
from edgeqa.contexts.passages import Passage
from edgeqa.contexts.windows import OVERLAP_TOKENS, Limits, Window, again, windows

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


def cut(text: str, tokenizer: Tokenizer) -> list[Window]:
    return list(windows(Passage(text, 7), tokenizer.tokenize, LIMITS))


@settings(max_examples=40)
@given(SENTENCES, st.integers(1, 20))
def test_every_run_of_thirty_tokens_lies_in_a_window(tokenizer: Tokenizer, seed: list[str], times: int) -> None:
    text = text_of(seed, times)
    whole = tokenizer.tokenize(text)
    found = cut(text, tokenizer)
    ranges = [(w.start - 7, w.start - 7 + len(w.text)) for w in found]
    for first in range(max(0, len(whole) - OVERLAP_TOKENS + 1)):
        start, end = whole.offsets[first, 0], whole.offsets[first + OVERLAP_TOKENS - 1, 1]
        assert any(a <= start and end <= b for a, b in ranges)
    assert bool(found) == bool(len(whole))


@settings(max_examples=40)
@given(SENTENCES, st.integers(1, 20))
def test_a_window_is_a_slice_of_its_passage_with_its_own_tokens(
    tokenizer: Tokenizer, seed: list[str], times: int
) -> None:
    text = text_of(seed, times)
    for w in cut(text, tokenizer):
        assert text[w.start - 7 : w.start - 7 + len(w.text)] == w.text
        anew = tokenizer.tokenize(w.text)
        assert np.array_equal(anew.ids, w.tokens.ids)
        assert np.array_equal(anew.offsets, w.tokens.offsets)
        assert np.array_equal(np.diff(anew.words) > 0, np.diff(w.tokens.words) > 0)
        assert w.tokens.words[0] == 0
        assert len(w.tokens) <= LIMITS.whole_tokens


def test_a_long_text_is_cut_where_paragraphs_and_sentences_end(tokenizer: Tokenizer) -> None:
    paragraph = "The pump is rated for continuous use. " * 9
    found = cut((paragraph.strip() + "\n\n") * 40, tokenizer)
    assert len(found) > 20
    assert all(w.text.rstrip().endswith(".") for w in found)
    assert all(w.text.startswith("The pump") for w in found)
    assert all(len(w.tokens) <= LIMITS.window_tokens for w in found)


def test_no_span_goes_over_paragraphs_sentences_items_and_pieces(tokenizer: Tokenizer) -> None:
    def stretches(passage: Passage) -> list[int]:
        (window,) = windows(passage, tokenizer.tokenize, LIMITS)
        return list(map(int, window.paragraphs))

    assert stretches(Passage("Head\nline\n\nBody. \n \n\r\n\r\nEnd", 0)) == [0, 0, 1, 1, 2]
    assert stretches(Passage("It hums. Then Dr. No of St. Ives, e.g. not. so", 0)) == [0] * 4 + [1] * 16
    assert stretches(Passage("- one\n- two", 0, kind="list", borders=(6,))) == [0, 0, 1, 1]
    row = Passage(
        "Head: 4; Flow: 6", 40, (), "row", (Piece(0, 4, 2), Piece(6, 7, 40), Piece(9, 13, 8), Piece(15, 16, 50))
    )
    assert stretches(row) == [1, 2, 3, 4, 5, 6, 7]


def test_the_names_of_a_row_s_columns_are_no_answers_and_its_own_cells_are(tokenizer: Tokenizer) -> None:
    pieces = (Piece(0, 4, 2), Piece(6, 7, 40), Piece(9, 13, 8), Piece(15, 16, 50))
    (row,) = windows(Passage("Head: 4; Flow: 6", 40, (), "row", pieces), tokenizer.tokenize, LIMITS)
    assert row.meaningful.tolist() == [False, False, True, False, False, False, True]
    own = (Piece(0, 4, 40), Piece(6, 7, 46))
    (pair,) = windows(Passage("Head: 4", 40, (), "row", own), tokenizer.tokenize, LIMITS)
    assert pair.meaningful.tolist() == [True, False, True]


def test_windows_of_a_passage_in_pieces_keep_their_places(tokenizer: Tokenizer) -> None:
    lead, body = "--option", "It does this and that, as it always did. " * 90
    source = lead + "\n\n" + "Something else. " * 90 + body
    start = source.index(body)
    pieces = (Piece(0, len(lead), 0), Piece(len(lead) + 1, len(lead) + 1 + len(body), start))
    passage = Passage(f"{lead}\n{body}", start, (), "entry", pieces)
    found = list(windows(passage, tokenizer.tokenize, LIMITS))
    assert len(found) > 2
    for window in found:
        for piece in window.pieces:
            assert window.text[piece.start : piece.end] == source[piece.place : piece.place + piece.end - piece.start]
        begin = len(window.text) - 10
        begins, ends = place_of(window.start, window.pieces, begin, begin + 5)
        assert source[begins:ends] == window.text[begin : begin + 5]


def test_a_context_is_read_again_in_the_same_stretches(tokenizer: Tokenizer) -> None:
    (window,) = windows(Passage("- one\n- two", 5, ("H",), "list", (), (6,)), tokenizer.tokenize, LIMITS)
    (anew,) = windows(again(window), tokenizer.tokenize, LIMITS)
    assert anew.paragraphs.tolist() == window.paragraphs.tolist()
    assert (anew.text, anew.start, anew.heading, anew.kind) == (window.text, 5, ("H",), "list")


def test_a_passage_reaches_from_its_first_own_piece_to_its_last() -> None:
    pieces = (Piece(0, 4, 2), Piece(6, 7, 40), Piece(9, 13, 8), Piece(15, 16, 50))
    assert extent("Head: 4; Flow: 6", 40, pieces) == (40, 51)
    assert extent("whole", 7, ()) == (7, 12)
