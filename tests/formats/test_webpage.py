from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import Read, read

from edgeqa.formats import FormatOptions, webpage
from edgeqa.formats.blocks import text_of
from edgeqa.formats.tags import Tag, Tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def plain(source: str | bytes) -> str:
    data = source if isinstance(source, bytes) else source.encode()
    (record,) = webpage.read(iter([data] if data else []), "name", FormatOptions())
    return "".join(text_of(record.blocks))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>One<p>two</p>three<div>four</div>", "One\n\ntwo\n\nthree\n\nfour"),
        ("a <b>b</b>c\n  d<br>e", "a bc d\ne"),
        ("&amp;&eacute;&#8217;&#x41; &nbsp;x &xyzzy; &#99999999999; & a&b", "&é’A \xa0x &xyzzy; \ufffd & a&b"),
        ("a < b <3 <= c</ d", "a < b <3 <= c"),
        ("<script>if (a < b) '<p>'</script><style>p {}</style>x<!-- <p>no --><!-->y<!doctype html><?php ?>z", "xyz"),
        ("<SCRIPT></Script >a<noscript>b<p>c</noscript><template>d</template>e", "a e"),
        ("<nav>a<nav>b</nav>c</nav>d", "d"),
        ("<nav>a<main>never closed</main>", "never closed"),
        ("a<svg><title>t</title><text>no</text></svg>b<button>no</button>c", "a b c"),
        ("<textarea><p>no</textarea>a", "a"),
        ("<a href='x>y' title=\"a>b\" c = '>'>t</a><a b=c>u</a><a '>v</a>", "tuv"),
        ("x<ul><li>one<li><p>two</p><p>more</p></li><ol><li>in</ol></ul>y", "x\n\n- one\n- two\n\nmore\n\n  - in\n\ny"),
        ("<dl><dt>term<dd>what</dl>x", "term\nwhat\n\nx"),
        (
            "<table><caption>T</caption><tr><th>A<th><p>B</p><tbody><tr><td>1</td>\n<td></td><td>2</table>x",
            "T\n\nA | B\n1 | | 2\n\nx",
        ),
        ("a<pre>  b\n    c<br>d\n</pre> e", "a\n\n  b\n    c\nd\n\ne"),
        ("<title>no</title><h1>yes</h1>text", "yes\n\ntext"),
        ("", ""),
        ("<p", ""),
        ("text<!-- never ends", "text"),
        ("<a href='never ends>text", ""),
    ],
)
def test_the_text_of_a_page(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<title> The\n pump &amp; co </title><h1>Other</h1>", "The pump & co"),
        ("<h2>First <i>heading</i></h2><h1>Second</h1>", "First heading"),
        ("<h1><img></h1><h2>Second</h2>", "Second"),
        ("<p>none", ""),
        ("<title>" + "long " * 10_000, ("long " * 60).strip()),
        ("<h1>" + "long " * 10_000, ("long " * 60).strip()),
        ("<svg><title>icon</title></svg><title>T</title>", "T"),
    ],
)
def test_the_title_is_the_pages_or_its_first_heading(source: str, expected: str) -> None:
    (record,) = webpage.read(iter([source.encode()]), "name", FormatOptions())
    assert record.title == expected


def test_a_page_is_one_record_also_by_its_content(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("\n<!-- saved --><!DOCTYPE html>\n<title>T</title><p>text")
    assert read(page) == read(tmp_path) == [Read(str(page), "T", "text")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<p>café".encode(), "café"),
        (b'<meta charset="iso-8859-1"><p>caf\xe9 \x93q\x94', "café “q”"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>\xcc\xe8\xf0', "Мир"),
        (b'<?xml version="1.0" encoding="shift_jis"?><p>\x93\xfa\x96{', "日本"),
        ('\ufeff<meta charset="latin1"><p>café'.encode(), "café"),
        ('<meta charset="utf-16"><p>café'.encode(), "café"),
        ('<meta charset="nonsense"><p>café'.encode(), "café"),
        (b'<meta charset="unicode_escape"><p>\\x41', "\\x41"),
    ],
)
def test_a_declared_encoding_is_used(data: bytes, expected: str) -> None:
    assert plain(data) == expected


def test_an_undeclared_encoding_is_an_error() -> None:
    with pytest.raises(ValueError, match="not UTF-8: name has the byte 0xe9 at offset 6"):
        plain(b"<p>caf\xe9")


def tokens(pieces: list[str], *, is_xml: bool = False) -> list[str | Tag]:
    """Returns the tokens, text that was taken in parts put together."""
    tokenizer = Tokenizer(is_xml=is_xml)
    found: list[str | Tag] = []
    for number, piece in enumerate([*pieces, ""]):
        for token in tokenizer.feed(piece, is_last=number == len(pieces)):
            if isinstance(token, str) and found and isinstance(found[-1], str):
                found[-1] += token
            else:
                found.append(token)
    return found


def test_a_tag_may_end_itself_in_xml() -> None:
    source = "<title/><script src='a'/><p>x<![CDATA[a<b]]>"
    names = [("title", False), ("title", True), ("script", False), ("script", True), ("p", False)]
    ended = [*(Tag(name, is_end) for name, is_end in names), "xa<b"]
    for cut in range(len(source)):
        assert tokens([source[:cut], source[cut:]], is_xml=True) == ended


MARKS = [
    "<p>",
    "</p>",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "<title>",
    "</title>",
    "<a b=",
    "&amp;",
    "&#12",
    "<br/>",
]
PIECES = st.lists(st.sampled_from([*"<>/\"'=! \n-&;ab]", *MARKS, "<![CDATA[", "]]>", "= '"]), max_size=40)


@given(PIECES, st.integers(1, 7), st.booleans())
def test_a_page_is_taken_apart_alike_however_it_is_cut(pieces: list[str], size: int, is_xml: bool) -> None:  # noqa: FBT001
    source = "".join(pieces)
    cut = [source[place : place + size] for place in range(0, len(source), size)]
    assert tokens(cut, is_xml=is_xml) == tokens([source], is_xml=is_xml)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tag] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the parser's method
        self.found.append(Tag(tag, is_end=False))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(Tag(tag, is_end=True))


@given(
    st.lists(
        st.sampled_from(
            ["text", "<p>", "</p>", "<a href='>'>", '<b c="<i>" d>', "<br />", "<!-- <p> -->", "&lt;p&gt;"]
        ),
        max_size=20,
    )
)
def test_on_sound_pages_the_tags_are_those_of_pythons_parser(pieces: list[str]) -> None:
    parser = _Parser()
    parser.feed("".join(pieces))
    parser.close()
    ours = [token for token in tokens(pieces) if isinstance(token, Tag)]
    assert [tag for tag in ours if tag.name != "br"] == [tag for tag in parser.found if tag.name != "br"]


UNITS = [
    "<",
    "<a",
    "<a>",
    "<div><ul><li>",
    "<!--",
    "</",
    "&",
    "&#",
    "&#1",
    "<a b='",
    '<a ">',
    "<a =",
    "= ",
    "<title>",
    "<script>",
]


@pytest.mark.parametrize("unit", [*UNITS, "<script>", "<table><tr><td>", "<![CDATA[", "<h1>", "<nav>", "<pre>"])
def test_what_never_ends_takes_no_time(unit: str) -> None:
    # A quadratic reader would take minutes for this.
    assert plain(unit * (1_000_000 // len(unit))) is not None
