"""Tests reading HTML: what a page shows is read, and what it hides is not."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import Read, read

from edgeqa.formats import webpage
from edgeqa.formats.blocks import Block, FormatOptions, text_of
from edgeqa.formats.markup import Tag, Tokenizer

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
        ("a<!-- x --!>b<!--->c<!--!>no-->d<!--", "abcd"),
        ("a<xmp><b>&amp;</xmp>b<listing>c  d</listing>", "a\n\n<b>&amp;\n\nb\n\nc  d"),
        ("<p>It is <del>two</del><ins>three</ins>, <s>old</s>.<p><del>no<p>yes", "It is three, old.\n\nyes"),
        ("<nav>a<nav>b</nav>c</nav>d", "d"),
        ("<nav>a<main>never closed</main>", "never closed"),
        ("<div role=navigation>a<ul><li>b</ul></div>c<p role=note>d", "c\n\nd"),
        ("a<svg><title>t</title><text>no</text></svg>b<button>no</button>c", "a b c"),
        ("<textarea><p>no</textarea>a", "a"),
        ("<a href='x>y' title=\"a>b\" c = '>'>t</a><a b=c>u</a><a '>v</a>", "tuv"),
        (
            "x<ul><li>one<li><p>two</p><p>more</p></li><ol><li>in</ol></ul>y",
            "x\n\n- one\n- two\n\nmore\n\n  1. in\n\ny",
        ),
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
        ("a<p hidden>b<p>c", "a\n\nc"),
        ("a<span HIDDEN>b<span>c</span></span>d<i hidden=''>e</i>", "ad"),
        ("<div style='color: red; DISPLAY : none !important'>a<div>b</div>c</div>d", "d"),
        ("<div style=visibility:hidden>a</div>b<tr style='visibility:collapse'>", "b"),
        ("<p aria-hidden=true>a<p popover>b<dialog>c</dialog><dialog open>d</dialog>", "d"),
        ("<p hidden=until-found>a<body style='visibility:hidden'><p>b", "a\n\nb"),
        ("<ul><li hidden>a<li>b</ul><table><tr hidden><td>c<tr><td>d<td hidden>e<td>f</table>", "- b\n\nd | f"),
        ("<div hidden>a<section>b</div>c", "c"),
        ("<div style='position:absolute; left:-9999px'>a</div><div style='max-height:0;overflow:hidden'>b</div>c", "c"),
        ("<style>.a, #b {display:none} p.c{visibility:hidden}</style><p class='x a'>a<p id=b>b<p class=c>c<p>d", "d"),
        ("<style media=print>.a{display:none}</style><p class=a>a", "a"),
        ("<style>@media print{.a{display:none}} .b .a{display:none}</style><p class=a>a", "a"),
        ("<style>.t{display:none}.t.on{display:block}/*.a{display:none}*/</style><p class=t>a<p class=a>b", "a\n\nb"),
        ("<template>a</template><template shadowrootmode=open>b</template><noscript>c</noscript>", "b"),
        ("<h2><button>What?</button></h2><button>no</button>", "What?"),
        ("<nav>a<svg>b</nav>c<svg>d<p>e", "c\n\ne"),
        ("go<b style='display:none'>x</b>od 10<i style='visibility:hidden'>0</i>5", "good 10 5"),
        ("<p style='display:none!important;display:block'>a<p style='mask-display:none'>b", "b"),
        ("<p style='/* x */display:none'>a<p style='--x-display:none'>b", "b"),
        ("<p style='display:none;display:block'>a<p style='display:block;display:none'>b", "a"),
        ("<style>@media screen{.a{display:none}}</style><p class=a>a<p>b", "b"),
        ("<style>@media (width:9px){.a{display:none}}</style><p class=a>a", "a"),
        ("<style>@charset 'utf-8'; .a{display:none}</style><p class=a>a<p>b", "b"),
        ("<style><!-- .a{display:none} --></style><p class=a>a<p>b", "b"),
        ("<style>p.a.b{display:none}</style><p class='b c a'>a<p class=a>b<i class='a b'>c</i>", "bc"),
        ("<style>.a{display:none;display:block}</style><p class=a>a", "a"),
        ("a<span epub:type='pagebreak' title='5'>5</span>b<i role=doc-pagebreak>6</i>c", "abc"),
        ("<style>.m li{display:none}</style><ul class=m><li>a</ul><ul><li>b</ul>", "- b"),
        ("<style>.a>.b{display:none}</style><p class=a><i class=b>a</i><i id=i><b class=b>b</b></i>", "b"),
        ("<style>#a i{display:none}</style><p id=a>go<i>x</i>od <b><i>x</i></b><p><i>b</i>", "good\n\nb"),
        ("<style>.t .p{display:none}.t .on{display:block}</style><div class=t><p class=p>a</div>", "a"),
        ("<style>div p{display:none}</style><div><p>a</div>", "a"),
        (
            "<a><span class=sr-only>Jump to</span>x</a><h2>Depth<span class='mw-editsection'>[edit]</span></h2>",
            "x\n\nDepth",
        ),
        ("<b style='position:absolute;clip:rect(0 0 0 0)'>a</b><b style='clip-path: inset(50%)'>b</b>c", "c"),
        ("<style>.v{clip:rect(1px, 1px, 1px, 1px)}</style><b class=v>a</b>b", "b"),
        ("<b style='font-size:0'>a</b>b<div style='font-size:0px'><i style='font-size:9px'>c</i></div>", "b\n\nc"),
    ],
)
def test_what_a_page_hides_is_not_read(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("10<sup>6</sup> litres, 10<sup>-3</sup>, x<sup>n+1</sup>", "10^6 litres, 10^-3, x^(n+1)"),
        ("10 <sup>6</sup> and a <sup>1</sup>", "10 ^6 and a 1"),
        ("21<sup>st</sup>, X<sup>TM</sup>, <sup>1</sup> note, m<sup></sup>", "21st, X™, 1 note, m"),
        ("1932<sup><a href='#n'>3</a></sup>, 1933<a href='#n'><sup>[4]</sup></a>", "1932[3], 1933[4]"),
        ("1934<sup class=reference>5</sup>, 1935<a epub:type='noteref' href='n.xhtml'>6</a>.", "1934[5], 1935[6]."),
        ("H<sub>2</sub>O, 10<sub>2</sub>, v<sub>max</sub>, a<sub>i+1</sub>", "H2O, 10_2, v_max, a_(i+1)"),
        ("10<span style='vertical-align: super'>6</span>", "10^6"),
        ("1<sup>1</sup>&frasl;<sub>2</sub> cups, <sup>3</sup>\u2044<sub>4</sub>", "1 1\u20442 cups, 3\u20444"),
        ("10<sup>6<p>b", "10^6\n\nb"),
        ("10<sup>6 litres" + " of water" * 40, "10 6 litres" + " of water" * 40),
        ("10<b style='vertical-align:0.4em'>6</b> 10<b style='position:relative;top:-.5em'>6</b>", "10^6 10^6"),
        ("10<b style='vertical-align:-1px'>6</b> 10<b style='top:-2em;position:static'>6</b>", "106 106"),
        ("10<sup>6</sup>5 10<sup>6 </sup>l log<sub>2</sub>8 a <sup>1</sup>12", "10^6 5 10^6 l log2 8 a 1 12"),
        (
            "1<sup>1</sup>/<sub>2</sub> in, 2<sup>2<sup>3</sup></sup>, x<sup>a<sub>1</sub></sup>",
            "1 1/2 in, 2^(2^3), x^a_1",
        ),
        ("<style>.e{vertical-align:super}</style>10<b class=e>6</b>", "10^6"),
        ("<style>.e b{vertical-align:super}</style><p class=e>10<b>6</b> <p>10<b>6</b>", "10^6\n\n106"),
        ("10<b style='font-size:70%;vertical-align:top'>6</b>", "10^6"),
        ("x<b style='vertical-align:text-bottom;font-size:.7em'>i</b>", "x_i"),
        ("10<b style='vertical-align:top'>6</b> 10<b style='font-variant-position:super'>6</b>", "106 10^6"),
        ("<style>i.f{vertical-align:-4px}</style>x<i class=f>i</i>", "x_i"),
        ("10<span class='big superscript'>6</span> H<span class=subscript>2</span>O", "10^6 H2O"),
        ("3<math><mfrac><mn>1</mn><mn>2</mn></mfrac></math>5", "3 1/2 5"),
        ("<math><mn>2</mn><msup><mn>10</mn><mn>6</mn></msup></math>", "2 10^6"),
        ("<math><mn>5</mn><mo>&#x2062;</mo><mn>6</mn></math> <math><mn>1</mn><mn>0</mn></math>", "5 6 10"),
        ("<math><mn>1</mn><mspace width=1em /><mn>000</mn></math>", "1 000"),
        ("<p>E<m:math><m:mi>a</m:mi><m:annotation>TeX</m:annotation></m:math>", "Ea"),
        ("<ruby><rb>Tokyo</rb><rtc>toukyou</rtc></ruby>", "Tokyo(toukyou)"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</rt></ruby>", "漢(kan)字(ji)"),
        ("in&shy;ter\u200bnal <q>q</q>", "internal “q”"),
        ("<math><mi>E</mi><mo>=</mo><msup><mi>c</mi><mn>2</mn></msup></math>", "E = c^2"),
        ("<math><semantics><mn>1</mn><annotation>TeX</annotation></semantics></math>", "1"),
        ("<span class=mwe-math style='display:none'><math><mn>1</mn></math></span>", "1"),
        (
            "<span class=katex-mathml><math><mn>1</mn></math></span><span class=katex-html aria-hidden=true>1</span>",
            "1",
        ),
        ("<math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac><p>x", "(a + b)/2\n\nx"),
    ],
)
def test_what_is_raised_lowered_or_a_formula_is_told_apart(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<b style='display:block'>Depth</b><b style='display: block'>12 m</b>", "Depth\n\n12 m"),
        ("<style>.l{display:block}</style><span class=l>Depth</span><span class=l>12 m</span>", "Depth\n\n12 m"),
        ("<i style='display:table-cell'>Depth</i><i style='display:table-cell'>12 m</i>", "Depth 12 m"),
        (
            "<div role=table><div role=row><b role=columnheader>Part</b><b role=columnheader>Weight</b></div>"
            "<div role=row><span role=cell>motor</span><span role=cell>40 kg</span></div></div>",
            "Part | Weight\nmotor | 40 kg",
        ),
        ("<td>Depth</td><td>12 m</td>", "Depth 12 m"),
    ],
)
def test_words_that_a_page_sets_apart_are_not_welded(source: str, expected: str) -> None:
    assert plain(source) == expected


@pytest.mark.parametrize("tag", ["script src='x'", "title", "style", "textarea", "iframe src=x", "noembed"])
def test_what_ends_itself_takes_no_text_with_it(tag: str) -> None:
    assert plain(f"<{tag} /><p>12 metres") == "12 metres"


def test_what_a_document_in_xml_defines_is_what_its_references_mean() -> None:
    begin = "<?xml version='1.0'?><!DOCTYPE html [<!ENTITY m '12&#160;metres'> <!ENTITY n \"&m;\">]>"
    assert plain(f"{begin}<p>&m; deep, &n;, &amp; &o;") == "12\xa0metres deep, &m;, & &o;"
    assert plain("<?xml version='1.0'?><!DOCTYPE html PUBLIC 'a' 'b'><p>a") == "a"
    assert plain(f"<?xml version='1.0'?><!DOCTYPE html [<!-- it's -->{' ' * 20_000}]><p>a").endswith("a")


def test_names_in_xml_may_have_a_prefix() -> None:
    page = "<h:html><h:title>T</h:title><h:h1>H</h:h1><h:p>a<h:br/>10<h:sup>6</h:sup></h:p></h:html>"
    (record,) = webpage.read(iter([f"<?xml version='1.0'?>{page}".encode()]), "name", FormatOptions())
    assert (record.title, "".join(text_of(record.blocks))) == ("T", "H\n\na\n10^6")


def blocks(source: str) -> list[Block]:
    (record,) = webpage.read(iter([source.encode()]), "name", FormatOptions())
    return list(record.blocks)


def test_lists_have_their_numbers_and_terms_what_explains_them() -> None:
    assert [block.text for block in blocks("<ol start=3><li>a<li value=7>b<li>c</ol>")] == ["3. a", "7. b", "8. c"]
    assert [block.text for block in blocks("<ol type=i reversed start=4><li>a<li>b</ol>")] == ["iv. a", "iii. b"]
    assert plain("<ol reversed><li>a</ol><ol style='list-style: upper-alpha'><li>b</ol>") == "- a\n\nA. b"
    assert blocks("<dl><dt>Term<dd>What<p>more</dl><details><summary>Q?</summary>A.</details>end") == [
        Block("Term", "", "term", 1, begins=True),
        Block("What", "\n", level=1),
        Block("more", "\n\n", level=1),
        Block("Q?", "\n\n", "term", 1),
        Block("A.", "\n", level=1),
        Block("end", "\n\n"),
    ]
    assert blocks("<ul><li>a<ul><li>b</ul>c</div><li>d</ul>") == [
        Block("- a", "", "item", 1, begins=True),
        Block("- b", "\n  ", "item", 2, begins=True),
        Block("c", "\n\n", level=1),
        Block("- d", "\n", "item", 1),
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<ol style='list-style: none'><li>(a) x</ol>", "- (a) x"),
        ("<style>ol{list-style-type:upper-roman}</style><ol><li>x</ol>", "I. x"),
        ("<style>ol{list-style-type:decimal} ol.p{list-style:none inside}</style><ol class=p><li>y</ol>", "- y"),
        ("<style>ol{list-style:none}</style><ol style='list-style-type:lower-alpha'><li>x</ol>", "a. x"),
        ("<ul><li><input type=checkbox checked> x<li><label><input type='checkbox'>y</label></ul>", "- [x] x\n- [ ] y"),
        ("<p>a <input type=checkbox>z", "a z"),
    ],
)
def test_items_are_marked_as_the_page_has_them_marked(source: str, expected: str) -> None:
    assert plain(source) == expected


def test_style_sheets_may_name_others() -> None:
    sheets = {"a.css": "@import url('b.css');\n@import \"a.css\";", "b.css": ".x{display:none}"}
    page = webpage.Page(sheet=lambda place: sheets.get(place, ""))
    found = page.blocks(["<link rel=stylesheet href=a.css><p class=x>a<p>b"])
    assert "".join(text_of(found)) == "b"


def test_headings_have_their_levels() -> None:
    found = blocks("<h1>A</h1><h3>B</h3><div role=heading aria-level=4>C</div>x")
    assert [(block.kind, block.level) for block in found] == [
        ("heading", 1),
        ("heading", 3),
        ("heading", 4),
        ("paragraph", 0),
    ]


def test_cells_keep_their_columns() -> None:
    found = blocks(
        "<table><thead><tr><th>Year<th colspan=2>Depth</thead>"
        "<tr><th scope=row rowspan=2>2019<td>1<td>2<tr><td>3<td><tr><td colspan=0>4</table>"
        "<table role=presentation><tr><td>a<td>b</table><table><tr><td>c<td><table><tr><td>d<td>e</table></table>"
    )
    assert [(block.kind, [block.text[begin:end] for begin, end in block.cells]) for block in found] == [
        ("header", ["Year", "Depth", "Depth"]),
        ("row", ["2019", "1", "2"]),
        ("row", ["2019", "3", ""]),
        ("paragraph", []),
        ("paragraph", []),
        ("paragraph", []),
        ("paragraph", []),
        ("row", ["d", "e"]),
    ]


def test_a_first_row_in_bold_names_the_columns() -> None:
    first, bold, last = (
        "<tr><td><b>A</b><td><strong>B</strong>",
        "<tr><td><b>1</b><td><b>2</b>",
        "<tr><td><b>3</b><td>4",
    )
    assert [block.kind for block in blocks(f"<table>{first}{bold}{last}</table>")] == ["header", "row", "row"]
    assert [block.kind for block in blocks(f"<table>{last}{first}</table>")] == ["row", "row"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<title> The\n pump &amp; co </title><h1>Other</h1>", "The pump & co"),
        ("<h2>First <i>heading</i></h2><h1>Second</h1>", "First heading"),
        ("<h1><img></h1><h2>Second</h2>", "Second"),
        ("<p>none", ""),
        ("<title>" + "long " * 10_000, ("long " * 60).strip()),
        ("<h1>" + "long " * 10_000, ("long " * 60).strip()),
        ("<h1>Tank of<br>10<sup>6</sup> l</h1>", "Tank of 10^6 l"),
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
        ("<!-- <meta charset=koi8-r> --><script>'<meta charset=koi8-r>'</script><p>café".encode(), "café"),
        ('<meta name=description content="charset=koi8-r"><p>café'.encode(), "café"),
        ('<meta name=x content="a" data-charset="koi8-r"><p>café'.encode(), "café"),
        (b"<META HTTP-EQUIV='content-type' CONTENT='text/html;CHARSET=koi8-r'><p>\xed\xc9\xd2", "Мир"),
        (b"<meta charset=gb2312><p>\xe9F", "镕"),
        (b"<meta charset=x-sjis><p>\x87\x40", "①"),
        ("\ufeff<p>café".encode("utf-16-le"), "café"),
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
        found = tokens([source[:cut], source[cut:]], is_xml=True)
        assert [Tag(one.name, one.is_end) if isinstance(one, Tag) else one for one in found] == ended
        assert [one.attributes() for one in found if isinstance(one, Tag)][2] == {"src": "a"}


@pytest.mark.parametrize("name", ["a.xhtml", "a.xht", "a.html"])
def test_a_page_in_xml_is_read_as_such(tmp_path: Path, name: str) -> None:
    page = tmp_path / name
    first = '<?xml version="1.0"?>\n' if name == "a.html" else ""
    page.write_text(first + '<html xmlns="x"><title/><script src="a"/><p>one<![CDATA[ < two]]><br/>three</p></html>')
    assert [record.text for record in read(page)] == ["one < two\nthree"]


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
    ours = [Tag(token.name, token.is_end) for token in tokens(pieces) if isinstance(token, Tag)]
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


DEEP = [
    "<li>",
    "<dt>",
    "<tr>",
    "<td rowspan=99>x",
    "<td colspan=99>x",
    "</td>",
    "</li>",
    "<p hidden>",
    "<b hidden>",
    "<sup>",
    "<math><msup>",
    "<style>.a{display:none}</style><p class=a>",
    "<style>/*",
    "<q>",
    "<ruby><rt>",
]


@pytest.mark.parametrize("unit", DEEP)
def test_what_is_nested_or_hidden_takes_no_time(unit: str) -> None:
    source = unit * (200_000 // len(unit))
    assert plain(source) is not None
    assert plain("<ul><li><table><tr><td>" + "<div>" * 300 + source) is not None


@pytest.mark.parametrize("unit", [*UNITS, "<script>", "<table><tr><td>", "<![CDATA[", "<h1>", "<nav>", "<pre>"])
def test_what_never_ends_takes_no_time(unit: str) -> None:
    # A quadratic reader would take minutes for this.
    assert plain(unit * (1_000_000 // len(unit))) is not None
