from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read, text

from edgeqa.formats import FormatOptions, markdown
from edgeqa.formats.blocks import text_of
from edgeqa.formats.inline import inline


def plain(source: str, sizes: tuple[int, ...] = ()) -> str:
    data, parts = source.encode(), []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    (record,) = markdown.read(iter([part for part in [*parts, data] if part]), "name", FormatOptions())
    return "".join(text_of(record.blocks))


def title(source: str) -> str:
    (record,) = markdown.read(iter([source.encode()]), "name", FormatOptions())
    list(record.blocks)
    return record.title


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain", "plain"),
        ("a **b** _c_ ***d*** ~~e~~ __f__", "a b c d e f"),
        ("snake_case_name and 2 * 3 * 4 and a*b", "snake_case_name and 2 * 3 * 4 and a*b"),
        ("**bold *nested* end**", "bold nested end"),
        ("`code *x* [y](z)` and ``a ` b``", "code *x* [y](z) and a ` b"),
        ("`` ` `` and `open", "` and `open"),
        ("[text](http://x (y) 'title') [t](<a>) [a][b] [c][] [d]", "text t a c [d]"),
        ("[several\nlines](http://x/(a)/b)", "several\nlines"),
        ("![alt](a.png) [![in](b.png)](c)", "alt in"),
        ("<http://x.y/z> <me@x.org>", "http://x.y/z me@x.org"),
        ("a<br/>b <b>c</b>d <td>e</td>", "a b cd  e "),
        ("a < b > c <- d", "a < b > c <- d"),
        ("a <!-- gone --> b <!-- stays", "a  b <!-- stays"),
        (r"\*not\* \[x\] \\ \a", r"*not* [x] \ \a"),
        ("&amp; &lt;b&gt; &#233; &#99999999999; &none;", "& <b> é \ufffd &none;"),
        ("note[^1] end", "note end"),
        ("array[0](x) = ]", "array = ]".replace("array", "array0")),
    ],
)
def test_inline_syntax_goes_and_the_text_stays(source: str, expected: str) -> None:
    assert inline(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("# One #\ntext\n## Two\nmore", "One\n\ntext\n\nTwo\n\nmore\n\n"),
        ("One\nline\n===\ntext\n\nTwo\n---\nmore", "One\nline\n\ntext\n\nTwo\n\nmore\n\n"),
        ("#hashtag\n\n#\n", "#hashtag\n\n"),
        ("a\n\n---\n\n* * *\nb", "a\n\nb\n\n"),
        ("> quote\n> > twice\n>\n> more", "quote\ntwice\n\nmore\n\n"),
        (
            "* one\n+ two\n- [x] three\n  - four\n1. five\n2) six",
            "- one\n- two\n- three\n  - four\n1. five\n2) six\n\n",
        ),
        ("```c\n# no *heading*\n\n```\nafter", "# no *heading*\n\n\nafter\n\n"),
        ("~~~\n```\n~~~~\nafter", "```\n\nafter\n\n"),
        ("text\n\n    code **x**\n\nmore", "text\n\n    code **x**\nmore\n\n"),
        ("| a | b |\n|:--|--:|\n| 1 | **2** \\| 3 |", "a | b\n1 | 2 | 3\n\n"),
        ("a | b\n--|--\n1 | 2\n\nno bar", "a | b\n1 | 2\n\nno bar\n\n"),
        ("[ref]: http://x.y 'title'\ntext [ref][ref]", "text ref\n\n"),
        ("text[^n]\n\n[^n]: the note", "text\n\nthe note\n\n"),
        ("a\n\n<!-- hidden\n\n# no -->\nb", "a\n\nb\n\n"),
        ("<script>\nvar a\n\nb()\n</script>\n<style>p {}</style>\ntext", "text\n\n"),
        ("line\r\nline\r\n\r\nend", "line\nline\n\nend\n\n"),
        ("---\ntitle: x\ntags: [a]\n---\ntext", "text\n\n"),
        ("---\n\na rule before\n", "a rule before\n\n"),
        ("![i](data:image/png;base64,AAAA+/9==) x\n\n[i]: <data:image/png;base64,BBBB>\n", "i x\n\n"),
    ],
)
def test_blocks_become_paragraphs(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("text\n\n## First *one*\n\n# Second", "First one"),
        ("Under\nlined\n---\n", "Under lined"),
        ('---\ntitle: "Front"\n---\n# Heading', "Front"),
        ("```\n# code\n```\n", ""),
        ("no heading", ""),
        ("word " * 100_000 + "\n# far away\n", ""),
        ("# " + "long " * 10_000, ("long " * 60).strip()),
    ],
)
def test_the_title_is_the_first_heading(source: str, expected: str) -> None:
    assert title(source) == expected


def test_a_file_is_one_record(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("# T\n\n" + "word *emphasis*\n\n" * 20_000)
    (record,) = read(file)
    assert (record.name, record.title) == (str(file), "T")
    assert record.text == "T\n\n" + "word emphasis\n\n" * 20_000


def test_the_projects_own_pages_keep_their_words() -> None:
    page = Path(__file__).parents[2] / "README.md"
    found = text(page)
    for kept in (
        "The text may be several files, a pipe, or an argument, of any length",
        "edgeqa ask",
        "logits of the span",
    ):
        assert kept in " ".join(found.split())
    assert "](" not in found
    assert "```" not in found


MARKS = st.lists(
    st.sampled_from([*"#*_`[]()!<>-|=~\\&;: \n\n\tab1", "data:a;base64,", "\n```\n", "<!--", "-->"]), max_size=40
).map("".join)


@given(MARKS, st.lists(st.integers(1, 10), max_size=10))
def test_any_text_is_read_alike_however_it_is_cut(source: str, sizes: list[int]) -> None:
    assert plain(source, tuple(sizes)) == plain(source)


UNITS = [
    "[",
    "]",
    "](",
    "![",
    "*",
    "*a ",
    "_a_",
    "`",
    "` `` ",
    "<",
    "<a ",
    "<!--",
    "&",
    "&#",
    "&#1",
    "~~",
    "\\",
    "> ",
    "a|",
    "(",
    "[a](b",
    "data:",
]


@pytest.mark.parametrize("unit", UNITS)
def test_marks_that_never_end_take_no_time(unit: str) -> None:
    # A quadratic reader would take minutes for this.
    assert plain(unit * (1_000_000 // len(unit))) is not None
    assert plain((unit * (8_000 // len(unit)) + "\n") * 125) is not None
