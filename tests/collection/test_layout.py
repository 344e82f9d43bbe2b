from __future__ import annotations

import numpy as np
import pytest
from filling import layout, passages_of
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.collection.layout import (
    NO_ENCODING,
    ROW_BYTES,
    Layout,
    Record,
    Row,
    encoding_bytes,
    encoding_in,
    pack_encoding,
    pack_record,
    row_at,
)
from edgeqa.contexts.passages import Passage
from edgeqa.models.reader import Encoding
from edgeqa.models.tokenizer import Tokens

ROW = Row(258, 7, 3, 4096, 99, 5, NO_ENCODING, 0x0102030405060708, 0)


def packed(passage: Passage, of: Layout, tag: str = "8YG", name: str = "notes.txt", title: str = "Pumps") -> bytes:
    return pack_record(
        start=passage.start, tag=tag, name=name, title=title, text=passage.text, tokens=passage.tokens, layout=of
    )


def made(
    ids: list[int], offsets: list[tuple[int, int]], words: list[int], paragraphs: list[int]
) -> tuple[Tokens, Layout]:
    numbers = [np.array(of, np.int32) for of in (words, paragraphs)]
    tokens = Tokens(np.array(ids, np.int64), np.array(offsets, np.int32).reshape(-1, 2), numbers[0])
    return tokens, Layout(numbers[0], numbers[1], np.arange(len(ids)) % 2 == 0)


def test_the_bytes_of_a_row() -> None:
    assert ROW.pack().hex() == (
        "0201000000000000" "07000000" "03000000" "0010000000000000" "63000000" "05000000"
        "ffffffffffffffff" "0807060504030201" "0000000000000000" "1c6ab78edbf55677"
    )  # fmt: skip
    assert len(ROW.pack()) == ROW_BYTES == 64


def test_the_bytes_of_a_narrow_record() -> None:
    tokens, of = made([2, 65535], [(0, 2), (3, 9)], [0, 1], [0, 1])
    assert packed(Passage("A\u00e9 tokens", 77, tokens), of).hex() == (
        "4d00000000000000" "3859470000000000" "0a000000" "09000000" "05000000" "00000000"
        "0200" "ffff" "0001" "0206" "80" "21"
        "41c3a920746f6b656e73" "6e6f7465732e747874" "50756d7073"
    )  # fmt: skip


def test_the_bytes_of_a_wide_record() -> None:
    tokens, of = made([65536, 1], [(0, 2), (300, 309)], [0, 1], [0, 1])
    assert packed(Passage("x" * 4, 0, tokens), of, name="n", title="").hex() == (
        "0000000000000000" "3859470000000000" "04000000" "01000000" "00000000" "03000000"
        "00000100" "01000000" "00000000" "2c010000" "02000000" "09000000" "00000000" "01000000" "00000000" "01000000"
        "01" "00"
        "78787878" "6e"
    )  # fmt: skip


def test_the_bytes_of_an_encoding() -> None:
    encoding = Encoding(np.array([[1, -1], [127, -127]], np.int8), np.array([[0.5], [2.0]], np.float32))
    raw = pack_encoding(encoding)
    assert raw.hex() == "01ff7f81" "0000003f" "00000040"  # fmt: skip
    assert len(raw) == encoding_bytes(1, 2)
    again = encoding_in(memoryview(b"...." + raw), 4, 1, 2)
    assert np.array_equal(again.hidden, encoding.hidden)
    assert np.array_equal(again.scale, encoding.scale)


@given(st.integers(0, ROW_BYTES - 1), st.integers(1, 255))
def test_a_row_with_any_byte_changed_is_damaged(at: int, by: int) -> None:
    raw = bytearray(ROW.pack())
    assert row_at(memoryview(raw), 0) == ROW
    raw[at] ^= by
    assert row_at(memoryview(raw), 0) is None


@given(st.text(max_size=300))
def test_a_real_passage_comes_back(text: str) -> None:
    for passage in passages_of(text):
        same(passage.tokens, layout(passage), passage)


numbers = st.integers(0, 1 << 20)
rises = st.one_of(st.integers(0, 3), st.integers(0, 500))


@given(st.lists(st.tuples(numbers, st.integers(-200, 400), st.integers(0, 400), rises, rises), max_size=40), st.text())
def test_any_tokens_come_back(drawn: list[tuple[int, int, int, int, int]], text: str) -> None:
    begins = np.cumsum([gap for _, gap, *_ in drawn])
    offsets = [(max(0, int(b)), max(0, int(b)) + length) for b, (_, _, length, _, _) in zip(begins, drawn, strict=True)]
    words, paragraphs = ([int(n) for n in np.cumsum([d[at] for d in drawn])] for at in (3, 4))
    tokens, of = made([d[0] for d in drawn], offsets, words, paragraphs)
    same(tokens, of, Passage(text.encode("utf-8", "replace").decode(), 5, tokens))


def same(tokens: Tokens, of: Layout, passage: Passage) -> None:
    record = Record(packed(passage, of), len(tokens))
    assert (record.text, record.name, record.title, record.tag) == (passage.text, "notes.txt", "Pumps", "8YG")
    assert record.head.start == passage.start
    for found, expected in (
        (record.ids(), tokens.ids),
        (record.offsets(), tokens.offsets),
        (record.layout().words, of.words),
        (record.layout().paragraphs, of.paragraphs),
        (record.layout().meaningful, of.meaningful),
    ):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_content_is_the_same_wherever_the_context_stands() -> None:
    passage = passages_of("The pump may be submerged to 60 metres.")[0]
    elsewhere = Passage(passage.text, 1000, passage.tokens)
    one = Record(packed(passage, layout(passage)), len(passage.tokens))
    other = Record(packed(elsewhere, layout(passage), "AAA", "other.txt", ""), len(passage.tokens))
    changed = Record(packed(Passage("THE" + passage.text[3:], 0, passage.tokens), layout(passage)), len(passage.tokens))
    assert one.content == other.content != changed.content


@pytest.mark.parametrize("name", ["two\nlines.txt", "a_b{c}:d.txt", "naïve\u202e.md"])
def test_names_come_back_as_they_are(name: str) -> None:
    passage = passages_of("Text.")[0]
    assert Record(packed(passage, layout(passage), name=name), len(passage.tokens)).name == name
