"""Tests reading Markdown: its syntax goes, its text and structure stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import read, text

from edgeqa.formats import markdown
from edgeqa.formats.blocks import Block, FormatOptions, text_of


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
        ("`code *x* [y](z)` and ``a ` b``", "code *x* [y](z) and a ` b"),
        ("[text](http://x (y) 'title') [t](<a>) [d]", "text t [d]".replace("text", "[text](http://x (y) 'title')")),
        ("[a][b] [c][]\n\n[b]: x\n[c]: <y> 'title'", "a c"),
        ("![alt](a.png) [![in](b.png)](c)", "alt in"),
        ("<http://x.y/z> <me@x.org>", "http://x.y/z me@x.org"),
        ("a<br/>b <b>c</b>d", "a\nb cd"),
        ("a < b > c <- d", "a < b > c <- d"),
        ("a <!-- gone --> b <!-- stays", "a b <!-- stays"),
        ("a <script>x()</script> b", "a b"),
        (r"\*not\* \[x\] \\ \a", r"*not* [x] \ \a"),
        ("one\\\ntwo  \nthree\nfour", "one\ntwo\nthree four"),
        ("&amp; &lt;b&gt; &#233; &none;", "& <b> é &none;"),
        ("10<sup>6</sup> H<sub>2</sub>O <span hidden>no</span>", "10^6 H2O"),
        (
            "[Chair]: The bridge was built.\n\n[10:32]: Two dollars.",
            "[Chair]: The bridge was built.\n\n[10:32]: Two dollars.",
        ),
    ],
)
def test_inline_syntax_goes_and_the_text_stays(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("# One #\ntext\n## Two {#two .x}\nmore", "One\n\ntext\n\nTwo\n\nmore"),
        ("# Set {x}\n\n## Map {a: b}", "Set {x}\n\nMap {a: b}"),
        ("One\nline\n===\ntext\n\nTwo\n---\nmore", "One line\n\ntext\n\nTwo\n\nmore"),
        ("#hashtag\n\n#\n", "#hashtag"),
        ("a\n\n---\n\n* * *\nb", "a\n\nb"),
        ("> quote\n> > twice\n>\n> more", "quote\n\ntwice\n\nmore"),
        ("> [!NOTE]\n> it", "Note\n\nit"),
        ("- [x] three\n  - four\n\n5. five\n6. six", "- [x] three\n  - four\n\n5. five\n6. six"),
        ("```c\n# no *heading*\n\n```\nafter", "# no *heading*\n\nafter"),
        ("~~~\n```\n~~~~\nafter", "```\n\nafter"),
        ("text\n\n      code **x**\n\nmore", "text\n\n  code **x**\n\nmore"),
        ("| a | b |\n|:--|--:|\n| 1 | **2** \\| 3 |", "a | b\n1 | 2 | 3"),
        ("a | b\n--|--\n1 | 2\n\nno bar", "a | b\n1 | 2\n\nno bar"),
        ("text[^n]\n\n[^n]: the note", "text\n\nthe note"),
        ("Term\n: What\n: Other", "Term\nWhat\nOther"),
        ("Text\n\n::: tip\n:smile: in\n:::\n\n> a\n> :b `:c`\n", "Text\n\n::: tip :smile: in :::\n\na :b :c"),
        ("Term\n: What\n\n```\n:wq\n```\n", "Term\nWhat\n\n:wq"),
        ("a\n\n<!-- hidden\n\n# no -->b\n\nc", "a\n\nb\n\nc"),
        ("<!-- x --> shown\n\n<!-- y -->", "shown"),
        ("<script>\nvar a\n\nb()\n</script>\n<style>p {}</style>\ntext", "text"),
        ("<div hidden>\n\nno *way*\n\n</div>\n\nyes", "yes"),
        ("<details><summary>Q?</summary>\n\nA *b*.\n\n</details>", "Q?\n\nA b."),
        ("<table><tr><td>\n\n*a*\n\n</td><td>b</td></tr></table>", "a | b"),
        ("line\r\nline\r\n\r\nend", "line line\n\nend"),
        ("![i](data:image/png;base64,AAAA+/9==) x\n\n[i]: <data:image/png;base64,BBBB>\n", "i x"),
    ],
)
def test_blocks_become_paragraphs(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize(
    ("source", "expected", "text"),
    [
        ("---\ntitle: x\n\ntags: [a]\n---\ntext", "x", "text"),
        ("\ufeff---\r\ntitle: 'x: y'\r\n---\r\ntext", "x: y", "text"),
        ("---\ntitle: x\n...\ntext", "x", "text"),
        ('+++\ntitle = "x"\ndraft = true\n+++\n# text', "x", "text"),
        ('{\n "title": "x", "a": {}\n}\n\ntext', "x", "text"),
        ('+++\ntitle = "x" # y\n+++\ntext', "x", "text"),
        ("---\nTitle: >\n  x\n  y\n---\ntext", "x", "text"),
        ("---\ntitle: x # y\n---\ntext", "x", "text"),
        ("---\ntitle:\ntags: y\n---\ntext", "", "text"),
        ("% x\n% Author\n\ntext", "x", "text"),
        ("---\n\na rule before\n", "", "a rule before"),
        ("---\nnever ended", "", "never ended"),
        ("{braces} in text", "", "{braces} in text"),
        ('{"title": 1', "", '{"title": 1'),
        ("---\n# y\n- a\n'b': c\n  more\n{}\n---\ntext", "", "text"),
        ("---\nThe pump may go deep.\n---\nmore", "The pump may go deep.", "The pump may go deep.\n\nmore"),
        ("---\nDepth: 12.\nThe motor.\n---\n", "Depth: 12. The motor.", "Depth: 12. The motor."),
        ("+++\nThe pump\n+++\nmore", "", "+++ The pump +++ more"),
        ("one\n\n---\nDepth: 12\n---\nmore", "Depth: 12", "one\n\nDepth: 12\n\nmore"),
        ("---\ntitle: x\n---\n---\na: b\n---\nc", "x", "a: b\n\nc"),
        ("---\n" + " \n" * 60 + "no\n---\n", "no", "no"),
    ],
)
def test_front_matter_is_no_text_but_has_the_title(source: str, expected: str, text: str) -> None:
    assert plain(source) == text
    assert title(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("[Ann]: 1932\n\n- [Bob]: Yes!\n\n> [Q]: Who?", "[Ann]: 1932\n\n- [Bob]: Yes!\n\n[Q]: Who?"),
        ("[a]: guide\n\nsee [the guide][a] and [A]", "see the guide and A"),
        ("[a]: guide.md\n\n[b]: /x\n\n[c]: #d\n\n[d]: <e>\n\n[//]: # (no)\n\ntext", "text"),
        ("```\n[Ann]: 1932\n```", "[Ann]: 1932"),
        (
            '[Ann]: "Never"\n\n[Bob]: Yes (laughs)\n\n[Cid]: 12.5\n\n[Dan]:\nMaybe/no',
            '[Ann]: "Never"\n\n[Bob]: Yes (laughs)\n\n[Cid]: 12.5\n\n[Dan]: Maybe/no',
        ),
        ('[a]: docs/guide.md "t"\n\n[b]: ../x\n\n[c]: x.org\n\n[d]: <> (no)\n\n[e]: mailto:a@b\n\ntext', "text"),
    ],
)
def test_what_somebody_said_is_no_definition_of_a_link(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("2*3*4, 2**3 and 4**5; 5~6 m, 7~8 m", "2*3*4, 2**3 and 4**5; 5~6 m, 7~8 m"),
        ("`2*3*4` and *6* **7**\n\n    2**3", "2*3*4 and 6 7\n\n2**3"),
        ("The <depth> of List<String> x; <T> y", "The <depth> of List<String> x; <T> y"),
        ("if a<b and c>d, mail <ann at home>", "if a<b and c>d, mail <ann at home>"),
        ("# Set <name>\n\n| <x> |\n|--|\n| a |", "Set <name>\n\n<x>\n\na"),
        ("The <script> and <title> tags\n\nand <nav>", "The <script> and <title> tags\n\nand <nav>"),
        ("<script> tags are\n\n*not* here", "<script> tags are\n\n*not* here"),
        ("a <nav>b</nav> <script src='x'/> c", "a\n\nc"),
        ("<kbd>a</kbd> <foo>b</foo> <my-x> <X/> c<wbr>d <a name=e>f", "a b cd f"),
    ],
)
def test_numbers_and_what_only_looks_like_a_tag_stay(source: str, expected: str) -> None:
    assert plain(source) == expected


def test_blocks_have_their_structure() -> None:
    (record,) = markdown.read(
        iter([b"# A\n\n## B\n\n1. a\n   - b\n\n     c\n\nT\n: d\n\n|x|y|\n|-|-|\n|1||\n\n```\ncode\n```\n"]),
        "name",
        FormatOptions(),
    )
    assert list(record.blocks) == [
        Block("A", "", "heading", 1),
        Block("B", "\n\n", "heading", 2),
        Block("1. a", "\n\n", "item", 1, begins=True),
        Block("- b", "\n  ", "item", 2, begins=True),
        Block("c", "\n\n", level=2),
        Block("T", "\n\n", "term", 1, begins=True),
        Block("d", "\n", level=1),
        Block("x | y", "\n\n", "header", 0, ((0, 1), (4, 5)), begins=True),
        Block("1", "\n", "row", 0, ((0, 1), (1, 1))),
        Block("code", "\n\n", "code"),
    ]


def test_a_large_file_is_parsed_in_parts_that_end_between_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "".join(f"# H{n}\n\npara *{n}*\n\n```\na\n\n b{n}\n```\n\n- x\n\n" for n in range(400))
    whole = plain(source)
    monkeypatch.setattr(markdown, "MAX_WHOLE_CHARACTERS", 2000)
    assert plain(source, (500,) * 60) == whole
    assert "*" not in whole


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("text\n\n## First *one*\n\n# Second", "First one"),
        ("Under\nlined\n---\n", "Under lined"),
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
    assert record.text == "T" + "\n\nword emphasis" * 20_000


def test_the_projects_own_pages_keep_their_words() -> None:
    page = Path(__file__).parents[2] / "docs" / "asking.md"
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
@example("data:a;base64,", [1])
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


MORE = ["- ", "1. ", "|-", "\n|a|b|\n|-|-|\n", "- a\n  ", "<div>\n\n", "[^a]: ", "[a]: b\n", "<b hidden>", "<sup>"]


@pytest.mark.parametrize("unit", [*UNITS, *MORE])
def test_marks_that_never_end_take_no_time(unit: str) -> None:
    # A quadratic reader would take minutes for this.
    assert plain(unit * (300_000 // len(unit))) is not None
    assert plain((unit * (8_000 // len(unit)) + "\n") * 30) is not None
