"""Tests the tokenizer: words, places, special tokens in a text, threads, and files that are none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa import errors
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def test_special_tokens_written_in_a_text_are_plain_characters(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.tokenize("the [SEP] token")
    assert 102 not in tokens.ids
    assert len(tokens) > 4


def test_the_pieces_of_a_word_share_its_number(tokenizer: Tokenizer) -> None:
    text = "Unbelievably submersible."
    tokens = tokenizer.tokenize(text)
    assert len(tokens) > 3
    for word, expected in enumerate(["Unbelievably", "submersible", "."]):
        pieces = tokens.offsets[tokens.words == word]
        assert text[pieces[0, 0] : pieces[-1, 1]] == expected


def test_an_empty_text_has_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.tokenize("").offsets.shape == (0, 2)


@given(st.text(max_size=60) | st.text("aé 中.?[SEP]\u0301", max_size=60))
def test_ids_alone_are_those_with_places(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.ids(text).tolist() == tokenizer.tokenize(text).ids.tolist()


def test_many_threads_share_one_tokenizer(tokenizer: Tokenizer) -> None:
    texts = [f"Sentence number {n} of the text." for n in range(16)]
    expected = [tokenizer.tokenize(text).ids.tolist() for text in texts]
    wrong: list[int] = []

    def work(n: int) -> None:
        results = [tokenizer.tokenize(texts[n]).ids.tolist() for _ in range(200)]
        results += [tokenizer.ids(texts[n]).tolist() for _ in range(200)]
        wrong.extend(n for ids in results if ids != expected[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(errors.BundleGraphInvalid, match="not a tokenizer"):
        Tokenizer(file)
