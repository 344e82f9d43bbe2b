"""Tests what is recognised in plain text: headings, terms, tables, lists, and prose that is none of these."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.formats.blocks import Block, text_of
from edgeqa.formats.plain import MAX_GROUP_CHARACTERS, structured

MANUAL = """\
PUMPCTL(8)                    System manual                    PUMPCTL(8)

NAME
       pumpctl - controls the pump

OPTIONS
       -a, --all
              Starts every pump.

              They start one after the other.

       -t, --timeout SECONDS  How long to wait,
                              at most 60.

       PUMP_HOME=
              Where it keeps its files.

   Sizes
       The sizes are these:
              size      litres
              small     10-20
              large     30 (or more)
"""


def found(text: str) -> list[tuple[str, str]]:
    """Returns kind and text of the blocks, a row's cells parted by bars."""
    blocks = structured([text])
    return [
        (b.kind, " | ".join(b.text[begin:end] for begin, end in b.cells) if b.cells else b.text)
        for b in blocks
        if b.text
    ]


def rows(text: str) -> list[str]:
    return [cells for kind, cells in found(text) if kind in ("row", "header")]


def test_a_manual_page_has_headings_terms_and_a_table() -> None:
    blocks = [b for b in structured([MANUAL]) if b.text]
    assert [(b.kind, b.level, b.text.split("\n")[0]) for b in blocks[1:]] == [
        ("heading", 1, "NAME"),
        ("paragraph", 0, "pumpctl - controls the pump"),
        ("heading", 1, "OPTIONS"),
        ("term", 1, "-a, --all"),
        ("paragraph", 1, "Starts every pump."),
        ("paragraph", 1, "They start one after the other."),
        ("term", 1, "-t, --timeout SECONDS"),
        ("paragraph", 1, "How long to wait,"),
        ("term", 1, "PUMP_HOME="),
        ("paragraph", 1, "Where it keeps its files."),
        ("heading", 2, "Sizes"),
        ("paragraph", 0, "The sizes are these:"),
        ("header", 0, "size      litres"),
        ("row", 0, "small     10-20"),
        ("row", 0, "large     30 (or more)"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Item     Price\n----     -----\nSaw      19.00\n", ["Item | Price", "Saw | 19.00"]),
        ("Item      Price\nSaw        9.00\nHammer    12.50\n", ["Item | Price", "Saw | 9.00", "Hammer | 12.50"]),
        ("a\tb\nc\td\ne\tf\n", ["a | b", "c | d", "e | f"]),
        ("oil\t\tblack\nwater\t\tclear\nmilk\t\twhite\n", ["oil | black", "water | clear", "milk | white"]),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n", ["a | b", "1 | 2"]),
        ("+---+---+\n| a | b |\n+===+===+\n| 1 |   |\n+---+---+\n", ["a | b", "1 | "]),
        ("x:1:red\ny:2:blue\nz:3:green\n", ["x | 1 | red", "y | 2 | blue", "z | 3 | green"]),
        ("Depth: 12 m\nWeight: 4 kg\n", ["Depth | 12 m", "Weight | 4 kg"]),
        ("port = 80\nhost = any\n", ["port | 80", "host | any"]),
        (
            "Colour: red\nNote: one that\n  goes on\nSize: 4\n",
            ["Colour | red", "Note | one that\n  goes on", "Size | 4"],
        ),
        ("north    cold winds\n         and rain\nsouth    warm\neast     dry\n", None),
    ],
)
def test_rows_of_tables(text: str, expected: list[str] | None) -> None:
    assert rows(text) == (expected or ["north | cold winds\n         and rain", "south | warm", "east | dry"])


def test_the_first_row_names_the_columns_where_it_stands_over_figures_or_a_rule() -> None:
    kinds = [kind for kind, _ in found("Item      Price\nSaw        9.00\nHammer    12.50\n")]
    assert kinds == ["header", "row", "row"]
    assert [kind for kind, _ in found("north    cold\nsouth    warm\neast     dry\n")] == ["row"] * 3


@pytest.mark.parametrize(
    "prose",
    [
        "He said: wait.\nShe did not wait.\nThey left: at once.",
        "The wind  was  cold,  and  nobody\nwanted to  go  out,  so  they all\nstayed  in and  told stories.",
        "It was built in\n1914. Then the war began\nand it was shut.",
        "a price of\n10:30 Opening\n11:00 Talk\n12:00 Lunch",
        "See https://example.org/a\nand http://example.org/b\nor http://example.org/c",
        "O rose, thou art sick!\n  The invisible worm,\nThat flies in the night,\n  In the howling storm,",
        "with --quiet.  With\n--verbose, the program says more about what it does",
    ],
)
def test_prose_stays_prose(prose: str) -> None:
    assert {kind for kind, _ in found(prose)} == {"paragraph"}


COVERAGE = """
                         Sans          Serif
Basic Latin              100% (95)     100% (95)
Greek and Coptic          98% (132)     87% (117)
Cyrillic                  90% (230)     11% (28)
Georgian                  94% (83)      93% (82)
Runic                      0% (0)        0% (0)
Unified Canadian Aboriginal Syllabics Extended    2% (1)
Ogham                    100% (29)      50% (14)
"""


def test_a_name_that_reaches_into_the_next_column_ends_a_table_and_undoes_none() -> None:
    assert rows(COVERAGE) == [
        " | Sans | Serif",
        "Basic Latin | 100% (95) | 100% (95)",
        "Greek and Coptic | 98% (132) | 87% (117)",
        "Cyrillic | 90% (230) | 11% (28)",
        "Georgian | 94% (83) | 93% (82)",
        "Runic | 0% (0) | 0% (0)",
    ]
    assert found(COVERAGE)[0][0] == "header"


HISTORY = """\
Releases

   Release   Date         What is new

   2.0       2021-03-04   Doors open at night, when
                          nobody is there

   1.9       2020-11-30   Paint

STATUS
       0      All doors are shut.

       1      A door is open,  and  the
              lamp is lit.

              Shut it.

       2      Nobody knows.

Doors are counted.
"""


def test_rows_that_blank_lines_part_are_rows_and_terms_with_the_text_beside_them() -> None:
    assert found(HISTORY) == [
        ("heading", "Releases"),
        ("header", "Release | Date | What is new"),
        ("row", "2.0 | 2021-03-04 | Doors open at night, when\n                          nobody is there"),
        ("row", "1.9 | 2020-11-30 | Paint"),
        ("heading", "STATUS"),
        ("term", "0"),
        ("paragraph", "All doors are shut."),
        ("term", "1"),
        ("paragraph", "A door is open,  and  the\n              lamp is lit."),
        ("paragraph", "Shut it."),
        ("term", "2"),
        ("paragraph", "Nobody knows."),
        ("paragraph", "Doors are counted."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "It ended.  Then they left the town\nand came back.\n\nIt rained.  Nobody was out that day\nbut them.\n",
        "One  two words are here\n\nOld  men are there\n",  # two blanks alone part no cells
        "From the pump   to the sieve is one metre.\n\nOut of the pump it comes fast   and cold.\n",
        "o  The pump is red.\n\n   o  The sieve is blue.\n",
        "London,          May 3.\n\nMy dear friend, how are you\ntoday?\n",
    ],
)
def test_two_paragraphs_with_wide_blanks_are_no_rows(text: str) -> None:
    assert {kind for kind, _ in found(text)} <= {"paragraph", "heading"}


WORD = st.text("abcxyz", min_size=2, max_size=8)


@given(st.lists(st.tuples(WORD, WORD, st.lists(WORD, min_size=1, max_size=3)), min_size=2, max_size=6))
def test_a_table_with_blank_lines_between_its_rows_is_found_whatever_is_in_it(
    table: list[tuple[str, str, list[str]]],
) -> None:
    text = "".join(f"    {a:<12}{b:<12}{(chr(10) + ' ' * 28).join(lines)}\n\n" for a, b, lines in table)
    blocks = [block for block in structured([text]) if block.text]
    assert [block.kind for block in blocks] == ["row"] * len(table)
    assert [block.text[slice(*block.cells[0])] for block in blocks] == [a for a, _, _ in table]
    assert [block.text[slice(*block.cells[1])] for block in blocks] == [b for _, b, _ in table]
    assert [block.text[slice(*block.cells[2])].split() for block in blocks] == [lines for _, _, lines in table]


def test_a_question_of_an_faq_is_a_term_that_its_answer_belongs_to() -> None:
    text = "Q: Why is it\n   loud?\nA: Air is in it.\n\n   Let it out.\n\nQ: Is it safe?\nA: Yes.\n"
    assert [(b.kind, b.level, b.text) for b in structured([text]) if b.text] == [
        ("term", 1, "Q: Why is it\n   loud?"),
        ("paragraph", 1, "A: Air is in it."),
        ("paragraph", 1, "Let it out."),
        ("term", 1, "Q: Is it safe?"),
        ("paragraph", 1, "A: Yes."),
    ]


def test_items_know_their_list() -> None:
    text = "Do this:\n1. First\n   of all\n2. Then\n   - one\n   - two\n\n3. Last\n"
    assert [(b.kind, b.level, b.text, b.begins) for b in structured([text]) if b.text] == [
        ("paragraph", 0, "Do this:", False),
        ("item", 1, "1. First\n   of all", True),
        ("item", 1, "2. Then", False),
        ("item", 2, "- one", False),
        ("item", 2, "- two", False),
        ("item", 1, "3. Last", False),
    ]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Care\n====\n\nWipe it.", 1),
        ("Care\n----\nWipe it.", 2),
        ("1.2 Care of the pump\n\nWipe it.", 2),
        ("CHAPTER IV\n\nIn which it rains.", 1),
        ("CARE AND CLEANING\n\nWipe it.", 1),
        ("Care and cleaning\n\nWipe the pump with a wet cloth after each use, and dry it well.", 3),
    ],
)
def test_headings(text: str, level: int) -> None:
    first, *_ = structured([text])
    assert (first.kind, first.level) == ("heading", level)


_MARKS = r"word| |  |   |\t|\n|\n\n|\r\n|:|: | = |--|-a|- |1. |2. |====|+--+|Q: |A: |12|NAME|a:b:c\n|x    y\n|key: v\n"
_PIECE = st.sampled_from(
    [*_MARKS.replace(r"\n", "\n").replace(r"\t", "\t").replace(r"\r", "\r").split("|"), *"|│é\u2028\x0c\xa0"]
)


@given(st.lists(_PIECE, max_size=60).map("".join), st.lists(st.integers(0, 200), max_size=4))
def test_the_blocks_are_the_text_however_it_comes(text: str, cuts: list[int]) -> None:
    blocks = list(structured([text]))
    assert "".join(text_of(blocks)) == text
    assert all(block.before.isspace() or not block.before for block in blocks)
    for block in blocks:
        assert block.text == block.text.strip() or block.text[0] in "\x0c\x1c" or not block.text
        assert all(0 <= begin <= end <= len(block.text) for begin, end in block.cells)
        assert all(a[1] <= b[0] for a, b in pairwise(block.cells))
    places = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    pieces = [text[begin:end] for begin, end in pairwise(places)]
    assert list(structured(pieces)) == blocks


@pytest.mark.parametrize("size", [MAX_GROUP_CHARACTERS - 1, MAX_GROUP_CHARACTERS, 3 * MAX_GROUP_CHARACTERS + 1])
@pytest.mark.parametrize("word", ["x", "word ", "a\tb\n", "key: value\n", "    ", "1. one\n"])
def test_a_long_group_comes_in_parts(word: str, size: int) -> None:
    text = (word * (size // len(word) + 1))[:size]
    whole = list(structured([text]))
    assert "".join(text_of(whole)) == text
    assert max(len(block.text) for block in whole) <= 2 * MAX_GROUP_CHARACTERS
    assert list(structured(text[i : i + 1000] for i in range(0, size, 1000))) == whole


def test_a_long_table_goes_on_after_its_first_part() -> None:
    text = "name\tvalue\n" + "".join(f"row {n}\t{n}\n" for n in range(2000))
    kinds = [block.kind for block in structured([text])]
    assert kinds == ["header", *["row"] * 2000, "paragraph"]  # the last holds the line's end


def test_names_of_columns_may_stand_a_little_to_the_left_of_their_figures() -> None:
    text = (
        "        Filter   Alignment   Description\n          0x04     1 byte    x86\n         0x05     4 bytes   ARM\n"
    )
    assert rows(text) == ["Filter | Alignment | Description", "0x04 | 1 byte | x86", "0x05 | 4 bytes | ARM"]


def test_a_word_of_a_dictionary_is_a_term_with_what_sort_of_word_it_is() -> None:
    text = (
        "flag day\n n.\n\n    A change that is hard to undo.\n\n    Named after it.\n\nflaky\n adj.\n\n    Not sure.\n"
    )
    assert found(text) == [
        ("term", "flag day"),
        ("paragraph", "n."),
        ("paragraph", "A change that is hard to undo."),
        ("paragraph", "Named after it."),
        ("term", "flaky"),
        ("paragraph", "adj."),
        ("paragraph", "Not sure."),
    ]


@pytest.mark.parametrize("text", ["A verse\n of two lines\n\n    and more.\n", "A name\n n.\n\nand more.\n"])
def test_two_lines_with_nothing_that_explains_them_are_no_term(text: str) -> None:
    assert "term" not in {kind for kind, _ in found(text)}


@pytest.mark.parametrize("line", ["* * * * *", "-21-", "--Othello", "--The Merchant of Venice"])
def test_what_parts_scenes_or_names_a_page_or_a_source_is_no_item_and_no_term(line: str) -> None:
    text = f"The ship was lost.\n\n{line}\n\n     In the morning they found her.\n\n{line}\n\n     All was well.\n"
    assert {kind for kind, _ in found(text)} == {"paragraph"}


def test_a_block_with_nothing_but_white_space_ends_the_text() -> None:
    assert list(structured([" \n"])) == [Block("", " \n")]
    assert list(structured([])) == []
