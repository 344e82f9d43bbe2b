"""Tests words and offsets of any tokenizer: spans of whole words have no white space at their ends."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from edgeqa.models.tokenizer import place_words

CORPUS = ["The pump (IP68) isn't made for salt water.", "東京は日本の首都です。 กรุงเทพ", "naïve café, 2,850 km 🌊"]
UNKNOWN = "<unk>"


@cache
def library(kind: str) -> Tokenizer:
    if kind == "byte level":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        made.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
        return made
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=90, unk_token=UNKNOWN, special_tokens=[UNKNOWN])
    )
    return made


def words_of(text: str, kind: str) -> list[str]:
    offsets, words = place_words(text, offsets_of(text, kind))
    spans = [offsets[words == word] for word in range(words[-1] + 1)] if len(words) else []
    return [text[span[0, 0] : span[-1, 1]] for span in spans]


def offsets_of(text: str, kind: str) -> np.ndarray:
    found = library(kind).encode(text, add_special_tokens=False).offsets
    return np.array(found, np.int32).reshape(-1, 2)


@pytest.mark.parametrize("kind", ["byte level", "metaspace"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The pump (IP68).", ["The", "pump", "(", "IP68", ")", "."]),
        (" salt  water \n", ["salt", "water"]),
        ("IP68-rated", ["IP68", "-", "rated"]),
        ("café 2,850", ["café", "2", ",", "850"]),
        ("", []),
        ("x", ["x"]),
        ("🌊🌊 wave", ["🌊", "🌊", "wave"]),
    ],
)
def test_words_are_those_of_bert(kind: str, text: str, expected: list[str]) -> None:
    found = words_of(text, kind)
    if kind == "byte level" or "," not in text:  # a token may hold two words, which are one then
        assert found == expected
    assert "".join(found) == "".join(expected)


@pytest.mark.parametrize("kind", ["byte level", "metaspace"])
def test_where_nobody_writes_spaces_each_token_is_a_word(kind: str) -> None:
    for text in ("東京は日本の首都です", "กรุงเทพ"):
        found = words_of(text, kind)
        assert "".join(found) == text
        assert len(found) > 1


@pytest.mark.parametrize("kind", ["byte level", "metaspace"])
@pytest.mark.parametrize("text", [" ", "  \n\t ", "\u3000", "\u00a0 x", "x \u2028 "])
def test_white_space_alone_is_no_part_of_a_word(kind: str, text: str) -> None:
    assert [word for word in words_of(text, kind) if word] == text.split()


TEXTS = st.text(st.sampled_from("ab Z.,'()-\n\t\u00a0\u3000é\u0301ß東京ก็한🌊👩\u200d\u1680ﬁ0"), max_size=60) | st.text(
    max_size=40
)


@given(TEXTS, st.sampled_from(["byte level", "metaspace"]))
def test_offsets_rise_and_no_word_begins_or_ends_in_white_space(text: str, kind: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    given_offsets = offsets_of(text, kind)
    offsets, words = place_words(text, given_offsets)
    assert offsets.shape == given_offsets.shape
    assert offsets.dtype == words.dtype == np.int32
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    assert (np.diff(offsets[:, 0]) >= 0).all()
    assert set(np.diff(words, prepend=-1).tolist()) <= {0, 1}
    assert len(text) == 0 or offsets.size == 0 or (offsets.min() >= 0 and offsets.max() <= len(text))
    for word in words_of(text, kind):
        assert word == word.strip()


@given(TEXTS)
def test_nothing_but_white_space_lies_between_words(text: str) -> None:
    """Byte-level tokens leave nothing out, so that words and white space are the whole text."""
    text = text.encode("utf-8", "ignore").decode()
    assert "".join("".join(words_of(text, "byte level")).split()) == "".join(text.split())
