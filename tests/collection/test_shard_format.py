"""Tests the bytes of a shard's rows and records, of both formats, and that all of it comes back."""

from __future__ import annotations

import numpy as np
import pytest
from filling import groups, passages_of
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.collection.shard_format import (
    NO_ENCODING,
    ROW_BYTES,
    Record,
    Row,
    TokenGroups,
    encoding_bytes,
    pack_encoding,
    pack_record,
    record_again,
    row_at,
    unpack_encoding,
)
from edgeqa.contexts import KINDS, Piece, Tokens
from edgeqa.contexts.windows import Window

ROW = Row(258, 7, 3, 4096, 99, 5, NO_ENCODING, 0x0102030405060708, 0)


def packed(passage: Window, of: TokenGroups, tag: str = "8YG", name: str = "notes.txt", title: str = "Pumps") -> bytes:
    return pack_record(passage, of, tag=tag, name=name, title=title)


def made(
    ids: list[int], offsets: list[tuple[int, int]], words: list[int], paragraphs: list[int]
) -> tuple[Tokens, TokenGroups]:
    numbers = [np.array(of, np.int32) for of in (words, paragraphs)]
    tokens = Tokens(np.array(ids, np.int64), np.array(offsets, np.int32).reshape(-1, 2), numbers[0])
    return tokens, TokenGroups(numbers[0], numbers[1], np.arange(len(ids)) % 2 == 0)


def test_the_bytes_of_a_row() -> None:
    assert ROW.pack().hex() == (
        "0201000000000000" "07000000" "03000000" "0010000000000000" "63000000" "05000000"
        "ffffffffffffffff" "0807060504030201" "0000000000000000" "1c6ab78edbf55677"
    )  # fmt: skip
    assert len(ROW.pack()) == ROW_BYTES == 64


def test_the_bytes_of_a_narrow_record() -> None:
    tokens, of = made([2, 65535], [(0, 2), (3, 9)], [0, 1], [0, 1])
    assert packed(Window("A\u00e9 tokens", 77, tokens), of).hex() == (
        "4d00000000000000" "3859470000000000" "0a000000" "09000000" "05000000" "00000000"
        "00000000" "00000000" "00" "000000"
        "0200" "ffff" "0001" "0206" "80" "21"
        "41c3a920746f6b656e73" "6e6f7465732e747874" "50756d7073"
    )  # fmt: skip


def test_the_bytes_of_a_wide_record() -> None:
    tokens, of = made([65536, 1], [(0, 2), (300, 309)], [0, 1], [0, 1])
    assert packed(Window("x" * 4, 0, tokens), of, name="n", title="").hex() == (
        "0000000000000000" "3859470000000000" "04000000" "01000000" "00000000" "03000000"
        "00000000" "00000000" "00" "000000"
        "00000100" "01000000" "00000000" "2c010000" "02000000" "09000000" "00000000" "01000000" "00000000" "01000000"
        "01" "00"
        "78787878" "6e"
    )  # fmt: skip


ROW_OF_A_TABLE = "Type: rotor; Price: 120"
PIECES = (Piece(0, 4, 10), Piece(6, 11, 30), Piece(13, 18, 15), Piece(20, 23, 36))


def test_the_bytes_of_a_tables_row_under_headings() -> None:
    tokens, of = made([7, 8], [(0, 4), (6, 11)], [0, 1], [0, 0])
    passage = Window("Type: rotor", 30, tokens, ("Parts", "\u00c9l\u00e9ments"), "row", PIECES[:2])
    assert packed(passage, of).hex() == (
        "1e00000000000000" "3859470000000000" "0b000000" "09000000" "05000000" "00000000"
        "02000000" "17000000" "01" "000000"
        "0700" "0800" "0002" "0405" "80" "01"
        "547970653a20726f746f72"
        "0000" "0400" "ecffffff" "0600" "0b00" "00000000"
        "05000000" "5061727473" "0a000000" "c3896cc3a96d656e7473"
        "6e6f7465732e747874" "50756d7073"
    )  # fmt: skip


def test_the_bytes_of_pieces_far_away() -> None:
    tokens, of = made([7], [(0, 4)], [0], [0])
    passage = Window("Type: rotor", 1 << 33, tokens, (), "entry", PIECES[:1])
    assert packed(passage, of, name="", title="").hex() == (
        "0000000002000000" "3859470000000000" "0b000000" "00000000" "00000000" "04000000"
        "01000000" "00000000" "02" "000000"
        "0700" "00" "04" "80"
        "547970653a20726f746f72"
        "00000000" "04000000" "0a00000000000000"
    )  # fmt: skip


places = st.tuples(st.integers(0, 70_000), st.integers(0, 300), st.one_of(st.integers(0, 400), st.integers(0, 1 << 40)))


@given(st.lists(places, max_size=5), st.lists(st.text(), max_size=4), st.sampled_from(KINDS), st.integers(0, 1 << 40))
def test_heading_kind_and_pieces_come_back(
    drawn: list[tuple[int, int, int]], heading: list[str], kind: str, start: int
) -> None:
    plain = passages_of(ROW_OF_A_TABLE)[0]
    heading = [part.encode("utf-8", "replace").decode() for part in heading]
    pieces = tuple(Piece(begin, begin + length, place) for begin, length, place in drawn)
    passage = Window(plain.text, start, plain.tokens, tuple(heading), kind, pieces)
    record = Record(packed(passage, groups(plain)), len(plain.tokens))
    assert (record.kind, record.heading, record.pieces) == (kind, tuple(heading), pieces)
    same(plain.tokens, groups(plain), passage)


def test_a_record_of_format_1_is_read_and_written_again() -> None:
    tokens, of = made([2, 65535], [(0, 2), (3, 9)], [0, 1], [0, 1])
    former = bytes.fromhex(
        "4d00000000000000" "3859470000000000" "0a000000" "09000000" "05000000" "00000000"
        "0200" "ffff" "0001" "0206" "80" "21"
        "41c3a920746f6b656e73" "6e6f7465732e747874" "50756d7073"
    )  # fmt: skip
    now = packed(Window("A\u00e9 tokens", 77, tokens), of)
    assert record_again(former) == now
    one, two = Record(former, 2, format=1), Record(now, 2)
    assert (one.name, one.title, one.text, one.content) == (two.name, two.title, two.text, two.content)
    assert (one.kind, one.heading, one.pieces) == ("paragraph", (), ())
    assert np.array_equal(one.ids(), two.ids())
    assert np.array_equal(one.offsets(), two.offsets())


def test_what_decoding_depends_on_is_in_the_content() -> None:
    plain = passages_of(ROW_OF_A_TABLE)[0]
    contents = {
        Record(packed(passage, groups(plain)), len(plain.tokens)).content
        for passage in (
            plain,
            Window(plain.text, plain.start, plain.tokens, (), "row"),
            Window(plain.text, plain.start, plain.tokens, (), "row", PIECES),
            Window(plain.text, plain.start, plain.tokens, (), "row", PIECES[1:]),
        )
    }
    assert len(contents) == 4


def test_the_bytes_of_an_encoding() -> None:
    hidden, scale = np.array([[1, -1], [127, -127]], np.int8), np.array([[0.5], [2.0]], np.float32)
    raw = pack_encoding(hidden, scale)
    assert raw.hex() == "01ff7f81" "0000003f" "00000040"  # fmt: skip
    assert len(raw) == encoding_bytes(1, 2)
    again = unpack_encoding(raw, 1, 2)
    assert np.array_equal(again[0], hidden)
    assert np.array_equal(again[1], scale)


@given(st.integers(0, ROW_BYTES - 1), st.integers(1, 255))
def test_a_row_with_any_byte_changed_is_damaged(at: int, by: int) -> None:
    raw = bytearray(ROW.pack())
    assert row_at(bytes(raw), 0) == ROW
    raw[at] ^= by
    assert row_at(bytes(raw), 0) is None


@given(st.text(max_size=300))
def test_a_real_passage_comes_back(text: str) -> None:
    for passage in passages_of(text):
        same(passage.tokens, groups(passage), passage)


numbers = st.integers(0, 1 << 20)
rises = st.one_of(st.integers(0, 3), st.integers(0, 500))


@given(st.lists(st.tuples(numbers, st.integers(-200, 400), st.integers(0, 400), rises, rises), max_size=40), st.text())
def test_any_tokens_come_back(drawn: list[tuple[int, int, int, int, int]], text: str) -> None:
    begins = np.cumsum([gap for _, gap, *_ in drawn])
    offsets = [(max(0, int(b)), max(0, int(b)) + length) for b, (_, _, length, _, _) in zip(begins, drawn, strict=True)]
    words, paragraphs = ([int(n) for n in np.cumsum([d[at] for d in drawn])] for at in (3, 4))
    tokens, of = made([d[0] for d in drawn], offsets, words, paragraphs)
    same(tokens, of, Window(text.encode("utf-8", "replace").decode(), 5, tokens))


def same(tokens: Tokens, of: TokenGroups, passage: Window) -> None:
    record = Record(packed(passage, of), len(tokens))
    assert (record.text, record.name, record.title, record.tag) == (passage.text, "notes.txt", "Pumps", "8YG")
    assert record.head.start == passage.start
    for found, expected in (
        (record.ids(), tokens.ids),
        (record.offsets(), tokens.offsets),
        (record.groups().words, of.words),
        (record.groups().paragraphs, of.paragraphs),
        (record.groups().meaningful, of.meaningful),
    ):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_content_is_the_same_wherever_the_context_stands() -> None:
    passage = passages_of("The pump may be submerged to 60 metres.")[0]
    elsewhere = Window(passage.text, 1000, passage.tokens)
    one = Record(packed(passage, groups(passage)), len(passage.tokens))
    other = Record(packed(elsewhere, groups(passage), "AAA", "other.txt", ""), len(passage.tokens))
    changed = Record(packed(Window("THE" + passage.text[3:], 0, passage.tokens), groups(passage)), len(passage.tokens))
    assert one.content == other.content != changed.content


@pytest.mark.parametrize("name", ["two\nlines.txt", "a_b{c}:d.txt", "naïve\u202e.md"])
def test_names_come_back_as_they_are(name: str) -> None:
    passage = passages_of("Text.")[0]
    assert Record(packed(passage, groups(passage), name=name), len(passage.tokens)).name == name


@pytest.mark.parametrize("length", [0, 255, 256, 257])
@pytest.mark.parametrize("gap", [-129, -128, 127, 128])
def test_places_at_the_border_of_a_byte_come_back(length: int, gap: int) -> None:
    begin = 200 + gap
    end = begin + length
    tokens, of = made([5, 6, 7], [(0, 200), (begin, end), (end, end + 1)], [0, 1, 2], [0, 0, 0])
    same(tokens, of, Window("text", 0, tokens))


@pytest.mark.parametrize("word", [31, 32, 33])
@pytest.mark.parametrize("paragraph", [3, 4, 5])
@pytest.mark.parametrize("token", [65_535, 65_536])
def test_numbers_at_the_border_of_their_bits_come_back(word: int, paragraph: int, token: int) -> None:
    tokens, of = made([5, token], [(0, 4), (5, 9)], [0, word], [0, paragraph])
    same(tokens, of, Window("text", 0, tokens))
