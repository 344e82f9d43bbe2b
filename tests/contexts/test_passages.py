"""Tests passages of documents: rows, entries, lists and paragraphs, with their headings and their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeqa.contexts import KINDS
from edgeqa.contexts.passages import MAX_PENDING, WHOLE_LENGTH, Passage, length, passages
from edgeqa.formats.blocks import Block, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.formats.blocks import BlockKind


def cut(blocks: Iterable[Block]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(p.kind, p.text, p.heading) for p in passages(blocks)]


def test_a_row_stands_alone_with_the_names_of_its_columns() -> None:
    blocks = [
        Block("Flow", "", "heading", 2),
        Block(
            "Head (m)  Flow (l/h)",
            "\n\n",
            "header",
            0,
            ((0, 8), (10, 20)),
            begins=True,
        ),
        Block("4         6,300", "\n", "row", 0, ((0, 1), (10, 15))),
        Block("6              ", "\n", "row", 0, ((0, 1), (10, 10))),
        Block("Fuse: 10 A", "\n\n", "row", 0, ((0, 5), (6, 10)), begins=True),
        Block("a b c", "\n\n", "row", 0, ((0, 1), (2, 3), (4, 5)), begins=True),
    ]
    text = "".join(text_of(blocks))
    found = list(passages(blocks))
    assert [(p.kind, p.text, p.heading) for p in found] == [
        ("row", "Head (m): 4; Flow (l/h): 6,300", ("Flow",)),
        ("row", "Head (m): 6", ("Flow",)),
        ("row", "Fuse: 10 A", ("Flow",)),
        ("row", "a; b; c", ("Flow",)),
    ]
    for p in found:
        assert [text[at : at + end - start] for start, end, at in p.pieces] == [p.text[a:b] for a, b, _ in p.pieces]
    assert text[found[0].start :].startswith("4         6,300")


def test_the_line_above_a_table_is_among_its_headings() -> None:
    blocks = [Block("Spare parts"), Block("Sieve 6.20", "\n", "row", 0, ((0, 5), (6, 10)), begins=True)]
    assert cut(blocks)[-1] == ("row", "Sieve: 6.20", ("Spare parts",))


def test_an_entry_keeps_its_term_and_a_long_one_says_it_again() -> None:
    sentence = "It keeps the file and says so. "
    blocks = [
        Block("OPTIONS", "", "heading", 1),
        Block("-q", "\n\n", "term", 1),
        Block("Be quiet.", "\n   ", "paragraph", 1),
        Block("-k", "\n", "term", 1),
        Block("--keep", "\n", "term", 1),
        Block(sentence * 40, "\n   ", "paragraph", 1),
        Block(sentence * 40, "\n\n   ", "paragraph", 1),
        Block("After all.", "\n\n"),
    ]
    text = "".join(text_of(blocks))
    found = list(passages(blocks))
    assert found[0].text == "OPTIONS\n\n-q\n   Be quiet."
    assert found[1].text.startswith("-k\n--keep\n   It keeps")
    assert (found[2].kind, found[2].text[:14]) == ("paragraph", "--keep\nIt keep")
    assert [text[at : at + end - start] for start, end, at in found[2].pieces] == ["--keep", found[2].text[7:]]
    assert (found[3].text, found[3].heading) == ("After all.", ("OPTIONS",))


def test_the_last_entry_stands_under_its_term_too() -> None:
    blocks = [
        Block("-q", "", "term", 1),
        Block("Be quiet.", "\n", "paragraph", 1),
        Block("-v", "\n", "term", 1),
        Block("Be loud.", "\n", "paragraph", 1),
        Block("These are all.", "\n\n"),
    ]
    assert [(text, heading) for _, text, heading in cut(blocks)] == [
        ("-q\nBe quiet.", ("-q",)),
        ("-v\nBe loud.", ("-v",)),
        ("These are all.", ()),
    ]


def test_a_list_stays_with_the_sentence_before_it() -> None:
    items = [Block(f"- item number {n} of the list", "\n", "item", 1) for n in range(40)]
    blocks = [Block("Some words first. " * 25), Block("You need:", "\n\n"), *items, Block("Then go.", "\n\n")]
    text = "".join(text_of(blocks))
    found = list(passages(blocks))
    assert found[0].text == ("Some words first. " * 25).strip()
    assert found[1].text.startswith("You need:\n- item number 0")
    assert found[2].text.startswith("You need:\n- item number")
    assert "number 0" not in found[2].text
    assert all(p.kind == "list" for p in found[1:3])
    assert len(found[1].borders) == found[1].text.count("- item")
    assert all(text[at : at + b - a] == p.text[a:b] for p in found for a, b, at in p.pieces)


def test_items_with_paragraphs_below_are_terms() -> None:
    blocks = [
        Block("- Attached databases", "", "item", 1),
        Block("There are ten at most.", "\n\n", "paragraph", 1),
        Block("- Pages", "\n", "item", 1),
        Block("There are many.", "\n\n", "paragraph", 1),
    ]
    assert [text for _, text, _ in cut(blocks)] == [
        "- Attached databases\n\nThere are ten at most.",
        "- Pages\n\nThere are many.",
    ]


def test_headings_lie_above_what_follows_them_and_stay_with_it() -> None:
    blocks = [
        Block("Pump", "", "heading", 1),
        Block("Care", "\n\n", "heading", 2),
        Block("Clean the filter.", "\n\n"),
        Block("Parts", "\n\n", "heading", 2),
        Block("None", "\n\n", "heading", 2),
    ]
    assert cut(blocks) == [
        ("paragraph", "Pump\n\nCare\n\nClean the filter.", ("Pump", "Care")),
        ("paragraph", "Parts", ("Pump", "Parts")),
        ("paragraph", "None", ("Pump", "None")),
    ]


def test_a_paragraph_stays_whole_and_short_neighbours_are_together() -> None:
    long = "The pump is rated for continuous use. " * 40
    found = [text for _, text, _ in cut([Block(f"{long}\n\nShort one.\n\nAnother.\n\n{long}")])]
    assert found == [long.strip(), "Short one.\n\nAnother.", long.strip()]


def test_what_is_too_long_is_cut_where_sentences_end() -> None:
    found = list(passages([Block("The pump is rated for continuous use. " * 200)]))
    assert len(found) > 3
    assert all(p.text.endswith(".") and p.text.startswith("The pump") for p in found)
    assert all(length(p.text) <= WHOLE_LENGTH for p in found)


def test_scripts_without_spaces_make_shorter_passages() -> None:
    assert length("abc") == 3
    assert length("東京é") == 9
    found = list(passages([Block("ポンプは連続使用に適しています。" * 200)]))
    assert all(length(p.text) <= WHOLE_LENGTH for p in found)


def test_an_endless_word_or_white_space_does_not_pile_up() -> None:
    assert list(passages([Block(" " * (1 << 16))] * 10)) == []
    found = list(passages([Block("x" * (1 << 16))] * 4))
    assert "".join(p.text for p in found) == "x" * (1 << 18)
    assert max(len(p.text) for p in found) <= MAX_PENDING


WORDS = ["A few words. ", "Line\nline", "One: two\n\nThree. Four", "東京。", "x" * 50, "Words:", "  ", "a\n \nb "]
TEXTS = ["One two three. ", "line\n", "\n\n", "a b c, ", "x" * 130, "東京。", "\r\n \r\n"]
BLOCKS = st.lists(
    st.tuples(
        st.sampled_from(
            ["A few words. ", "Line\nline", "One: two\n\nThree. Four", "東京。", "x" * 50, "Words:", "  ", "a\n \nb "]
        ),
        st.integers(1, 60),
        st.sampled_from(["heading", "paragraph", "paragraph", "item", "term", "code", "row", "header"]),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=12,
)


def made(seed: list[tuple[str, int, BlockKind, int, bool]]) -> list[Block]:
    blocks = []
    for number, (words, times, kind, level, begins) in enumerate(seed):
        text = words * (times if kind in ("paragraph", "item", "code") else 1)
        if kind in ("row", "header"):
            text = " ".join(text.split()) or "a b"
            middle = len(text) // 2
            blocks.append(Block(text, "\n", kind, 0, ((0, middle), (middle, len(text))), begins))
        else:
            blocks.append(Block(text, "\n\n" if number else "", kind, max(1, level) if kind == "heading" else level))
    return blocks


@settings(max_examples=200)
@given(BLOCKS)
def test_what_a_passage_says_stands_where_it_says(seed: list[tuple[str, int, BlockKind, int, bool]]) -> None:
    blocks = made(seed)
    text = "".join(text_of(blocks))
    for p in passages(blocks):
        assert p.kind in KINDS
        assert p.text.strip()
        if not p.pieces:
            assert text[p.start : p.start + len(p.text)] == p.text
        else:
            ends = [0, *(end for _, end, _ in p.pieces)]
            assert all(at <= start < end for at, (start, end, _) in zip(ends, p.pieces, strict=False))
            assert ends[-1] == len(p.text)
            assert all(text[at : at + end - start] == p.text[start:end] for start, end, at in p.pieces)
        assert list(p.borders) == sorted(set(p.borders))
        assert all(0 < border < len(p.text) for border in p.borders)


@settings(max_examples=100)
@given(BLOCKS)
def test_all_words_but_those_over_tables_are_in_a_passage(seed: list[tuple[str, int, BlockKind, int, bool]]) -> None:
    blocks = made(seed)
    text = "".join(text_of(blocks))
    read = bytearray(len(text))
    for p in passages(blocks):
        for start, end, at in p.pieces or ((0, len(p.text), p.start),):
            read[at : at + end - start] = b"x" * (end - start)
    place = 0
    for block in blocks:
        begin = place + len(block.before)
        place = begin + len(block.text)
        if block.kind not in ("header", "heading"):
            assert all(read[at] or text[at].isspace() for at in range(begin, place))


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(["One two three. ", "line\n", "\n\n", "a b c, ", "x" * 130, "東京。", "\r\n \r\n"]), max_size=12
    ),
    st.integers(1, 400),
    st.integers(20, 5000),
)
def test_passages_do_not_depend_on_how_a_text_was_cut_up(seed: list[str], times: int, size: int) -> None:
    text = "".join(seed) * times
    at_once = list(passages([Block(text)]))
    parts: list[Block] = [Block(text[at : at + size]) for at in range(0, len(text), size)]
    found: list[Passage] = list(passages(parts))
    assert found == at_once
