"""Tests what holds of the blocks of every reader, whatever it reads."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from edgeqa.errors import EdgeQAError
from edgeqa.formats import jsonfile, markdown, tables, webpage
from edgeqa.formats.blocks import FormatOptions, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.blocks import Record

TAGS = [
    "<p>",
    "</p>",
    "<ul>",
    "<ol start=3>",
    "</ul>",
    "</ol>",
    "<li>",
    "</li>",
    "<li value=9>",
    "<dl>",
    "<dt>",
    "<dd>",
    "</dl>",
    "<h2>",
    "</h2>",
    "<table>",
    "</table>",
    "<tr>",
    "<td>",
    "<th>",
    "<td rowspan=2 colspan=2>",
    "</td>",
    "</tr>",
    "<thead>",
    "</thead>",
    "<pre>",
    "</pre>",
    "<br>",
    "<hr>",
    "<sup>",
    "</sup>",
    "<sub>",
    "</sub>",
    "<ruby>",
    "<rt>",
    "</rt>",
    "</ruby>",
    "<math>",
    "<msup>",
    "</math>",
    "<mn>",
    "<div hidden>",
    "</div>",
    "<div>",
    "<span style='display:none'>",
    "</span>",
    "<details>",
    "<summary>",
    "</summary>",
    "</details>",
    "<button>",
    "</button>",
    "<nav>",
    "</nav>",
    "<b>",
    "</b>",
    "<q>",
    "</q>",
    "<a href='#x'>",
    "</a>",
]
PIECES = st.lists(
    st.sampled_from([*TAGS, "word", " ", "\n", "10", "e\u0301", "\u0301", "&nbsp;", "\u1100\u1161"]), max_size=60
)
MARKS = st.lists(
    st.sampled_from(
        [*"#*_`[]()!<>-|=~\\&;: \n\n\tab1", "\n\n", "- ", "\n1. ", "|a|b|\n|-|-|\n", "<td>", "e\u0301", *TAGS[:20]]
    ),
    max_size=60,
)
CELLS = st.lists(st.sampled_from([*',;\t|"\n ab1', "e\u0301", "sep=;", "1.5"]), max_size=60)
VALUES = st.sampled_from([*'{}[]:,"\n ', '"a"', '"b": ', "1", "NaN", '{"a": 1}', "\n"])


def check(read: Callable[[Iterator[bytes], str, FormatOptions], Iterator[Record]], source: str) -> None:
    try:
        for record in read(iter([source.encode()] if source else []), "name", FormatOptions()):
            found = list(record.blocks)
            text = "".join(text_of(found))
            assert unicodedata.is_normalized("NFC", text)
            assert not found or found[0].before == ""
            for block in found:
                assert block.text
                assert not block.before or block.before.isspace()
                assert block.level >= 0
                assert (block.kind == "heading") <= (1 <= block.level <= 6)
                assert not block.cells or block.kind in ("row", "header")
                for begin, end in block.cells:
                    assert 0 <= begin <= end <= len(block.text)
                    assert block.text[begin:end] == block.text[begin:end].strip()
    except EdgeQAError:  # no such file; that it is named is tested elsewhere
        return


@given(PIECES)
def test_of_pages(pieces: list[str]) -> None:
    check(webpage.read, "".join(pieces))


@given(MARKS)
def test_of_markdown(pieces: list[str]) -> None:
    check(markdown.read, "".join(pieces))


@given(CELLS)
def test_of_tables(pieces: list[str]) -> None:
    check(tables.read, "".join(pieces))


@given(st.lists(VALUES, max_size=40), st.booleans())
def test_of_json(pieces: list[str], is_lines: bool) -> None:  # noqa: FBT001 - given by hypothesis
    check(jsonfile.read_lines if is_lines else jsonfile.read, "".join(pieces))
