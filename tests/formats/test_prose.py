"""Tests how the elements of a page become blocks: headings, paragraphs, lists, terms, rows of tables."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from edgeqa.formats import BLOCK_BYTES, nfc, prose
from edgeqa.formats.blocks import Block, text_of
from edgeqa.formats.prose import Prose

if TYPE_CHECKING:
    from collections.abc import Callable


def cells(block: Block) -> list[str]:
    """Returns the text of each column."""
    return [block.text[begin:end] for begin, end in block.cells]


def test_raised_text_is_written_when_all_of_it_is_there_and_before_what_ends_it() -> None:
    made = Prose()
    made.text("10")
    made.text("1", 1)
    made.text("2 ", 1)
    made.text("l, H")
    made.text("2", -1)
    made.line()
    made.text("O")
    made.text("9", 1)
    assert "".join(text_of(made.finish())) == "10^12 l, H2\nO^9"


def test_of_raised_text_without_an_end_little_is_held() -> None:
    made = Prose()
    made.text("a")
    for _ in range(2000):
        made.text("bcdefghij ", 1)
        assert sum(map(len, made._raised)) <= prose.MAX_RAISED_CHARACTERS
    assert "".join(text_of(made.finish())).count("bcdefghij") == 2000


def test_headings_paragraphs_and_lists_are_blocks() -> None:
    made = Prose()
    made.heading(2)
    made.text(" The\n pump ")
    made.paragraph()
    made.text("One ")
    made.line()
    made.text("two")
    made.begin_list()
    made.item()
    made.paragraph(1)
    made.text("first")
    made.paragraph(1)
    made.text("more")
    made.begin_list()
    made.item(2, "7. ")
    made.text("deep")
    made.item(1)
    made.text("second")
    made.end()
    made.text("after")
    assert made.finish() == [
        Block("The pump", "", "heading", 2),
        Block("One\ntwo", "\n\n"),
        Block("- first", "\n", "item", 1, begins=True),
        Block("more", "\n\n", level=1),
        Block("7. deep", "\n  ", "item", 2, begins=True),
        Block("- second", "\n", "item", 1),
        Block("after", "\n\n"),
    ]


def test_a_term_is_explained_by_paragraphs_of_its_level_and_code_stands_as_it_is() -> None:
    made = Prose()
    made.begin_list()
    made.term()
    made.text("-v, --verbose")
    made.paragraph(1, apart=False)
    made.text("Says more.")
    made.code(1)
    made.verbatim("\n  a  b\n\n c\n\n")
    assert made.finish() == [
        Block("-v, --verbose", "", "term", 1, begins=True),
        Block("Says more.", "\n", level=1),
        Block("  a  b\n\n c", "\n\n", "code", 1),
    ]


def test_an_item_without_text_is_none() -> None:
    made = Prose()
    made.item()
    made.end_block()
    made.text("no item")
    assert made.finish() == [Block("no item")]


def test_a_row_has_a_place_for_each_column() -> None:
    made = Prose()
    made.text("before")
    made.table()
    for row in (["a", "", "b"], ["", "c", ""], ["", "", ""], ["d", "e", "f"]):
        made.row()
        for cell in row:
            made.cell()
            made.paragraph()
            made.text(cell)
    made.end_table()
    made.text("after")
    _, one, two, three, after = made.finish()
    assert [cells(block) for block in (one, two, three)] == [["a", "", "b"], ["", "c", ""], ["d", "e", "f"]]
    assert [block.text for block in (one, two, three)] == ["a | | b", "| c", "d | e | f"]
    assert [block.begins for block in (one, two, three)] == [True, False, False]
    assert [block.before for block in (one, two, three, after)] == ["\n\n", "\n", "\n", "\n\n"]


def test_a_cell_that_spans_rows_and_columns_holds_for_each() -> None:
    made = Prose()
    made.row()
    made.cell(is_header=True)
    made.text("Year")
    made.cell(2, is_header=True)
    made.text("Depth")
    made.row()
    made.cell(rows=2)
    made.text("2019")
    made.cell()
    made.text("12")
    made.cell()
    made.text("13")
    made.row()
    made.cell(2)
    made.text("99")
    made.row()
    made.cell(3)
    made.text("all")
    header, *rows = made.finish()
    assert header.kind == "header"
    assert cells(header) == ["Year", "Depth", "Depth"]
    assert header.text == "Year | Depth"
    assert [cells(row) for row in rows] == [["2019", "12", "13"], ["2019", "99", "99"], ["all"] * 3]
    assert [row.text for row in rows] == ["2019 | 12 | 13", "2019 | 99", "all"]


def _heading(made: Prose) -> None:
    made.heading(1)
    made.text("h")


def _table(made: Prose) -> None:
    made.table()
    made.row()
    for _ in range(2):
        made.cell()
        made.text("x")
    made.end_table()


def _long(made: Prose) -> None:
    for _ in range(prose.MAX_ROW_CHARACTERS // 4):
        made.text("long ")


def _many(made: Prose) -> None:
    for _ in range(prose.MAX_CELL_BLOCKS + 1):
        made.paragraph()
        made.text("x")


def test_what_a_page_is_laid_out_with_is_no_table() -> None:
    fill: Callable[[Prose], None]
    for fill in (_heading, _table, _long, _many):
        made = Prose()
        made.table()
        made.row()
        made.cell()
        made.text("menu")
        made.cell()
        fill(made)
        made.cell()
        made.text("end")
        first, *between, last = made.finish()
        assert first == Block("menu")
        assert last == Block("end", "\n\n")
        assert between
        assert all(block.before for block in between)
    made = Prose()
    made.row()
    made.cell()
    made.text("alone")
    assert made.finish() == [Block("alone")]


def test_a_long_block_comes_in_parts_and_in_little_memory() -> None:
    for word in ("word ", "endless", "e\u0301", "\u0301"):
        made = Prose()
        made.item(2)
        blocks = []
        for _ in range(200_000):
            made.text(word)
            blocks += made.pop()
        blocks += made.finish()
        assert len(blocks) > 2
        assert all(len(block.text) <= 2 * BLOCK_BYTES for block in blocks)
        assert {block.before for block in blocks} == {""}
        text = "".join(text_of(blocks))
        if word != "\u0301":
            assert text == nfc("- " + word * 200_000).rstrip()


def test_spans_take_no_more_than_the_text_allows() -> None:
    made = Prose()
    made.row()
    for _ in range(2000):
        made.cell(1000, 65534)
    made.cell()
    made.text("x" * 400)
    characters = 0
    for _ in range(20_000):
        made.row()
        made.cell()
        made.text("y")
        characters += sum(len(block.text) + len(block.cells) for block in made.pop())
    assert characters < 1_000_000


WORDS = st.text(st.sampled_from("ab \n\t|e\u0301\u00ad\u1100\u1161\ud800"), max_size=5)
CALLS = st.one_of(
    WORDS.map(lambda words: ("text", words)),
    WORDS.map(lambda words: ("verbatim", words)),
    st.sampled_from(
        [
            "line",
            "paragraph",
            "code",
            "begin_list",
            "item",
            "term",
            "end",
            "end_block",
            "table",
            "row",
            "cell",
            "end_row",
            "end_table",
        ]
    ).map(lambda name: (name,)),
    st.integers(1, 6).map(lambda level: ("heading", level)),
    st.tuples(st.just("cell"), st.integers(0, 3), st.integers(0, 3)),
)


@given(st.lists(CALLS, max_size=40))
def test_every_word_is_in_the_text_once_and_in_order(calls: list[tuple[object, ...]]) -> None:
    made = Prose()
    given_words = ""
    for name, *arguments in calls:
        getattr(made, str(name))(*arguments)
        if name in ("text", "verbatim"):
            given_words += str(arguments[0])
    blocks = made.finish()
    text = "".join(text_of(blocks))
    assert unicodedata.is_normalized("NFC", text)
    assert all(block.text.strip() for block in blocks)
    assert all(block.before or not number for number, block in enumerate(blocks))
    assert all(block.before.isspace() or not number for number, block in enumerate(blocks))
    for block in blocks:
        assert bool(block.cells) == (block.kind in ("row", "header"))
        assert all(0 <= begin <= end <= len(block.text) for begin, end in block.cells)
    spans = any(call[0] == "cell" and len(call) > 2 and int(str(call[2])) > 1 for call in calls)
    if not spans:

        def letters(found: str) -> str:
            return "".join(c for c in unicodedata.normalize("NFD", found) if c.isalpha())

        assert letters(text) == letters(given_words)
