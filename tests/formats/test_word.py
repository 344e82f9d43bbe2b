"""Tests reading Word documents: what Word shows, with its structure, and nothing that it does not show."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from office import RELATIONS, W, archive, docx, paragraph

from edgeqa.formats import docx as reader
from edgeqa.formats.blocks import FileExcessive, FormatOptions, text_of
from edgeqa.formats.wordstyles import written

if TYPE_CHECKING:
    from edgeqa.formats.blocks import Block


def blocks(data: bytes) -> list[Block]:
    return [block for r in reader.read(io.BytesIO(data), "a.docx", FormatOptions()) for block in r.blocks]


def text(body: str, **parts: str) -> str:
    return "".join(text_of(blocks(docx(body, **parts))))


def shape(body: str, **parts: str) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in blocks(docx(body, **parts))]


def p(*runs: str, properties: str = "") -> str:
    return f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}{''.join(runs)}</w:p>"


def r(content: str, properties: str = "") -> str:
    return f"<w:r>{f'<w:rPr>{properties}</w:rPr>' if properties else ''}<w:t xml:space='preserve'>{content}</w:t></w:r>"


def m(content: str) -> str:
    return f"<m:r><m:t>{content}</m:t></m:r>"


LOW = "<w:vertAlign w:val='subscript'/>"

STYLES = """
<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/><w:basedOn w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="Kapitel"><w:name w:val="Kapitel"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:type="paragraph" w:styleId="Deep"><w:name w:val="Deep"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Heading9"><w:name w:val="Not one"/></w:style>
<w:style w:type="paragraph" w:styleId="Secret"><w:name w:val="Secret"/><w:rPr><w:vanish/></w:rPr></w:style>
<w:style w:type="paragraph" w:styleId="MoreSecret"><w:name w:val="x"/><w:basedOn w:val="Secret"/></w:style>
<w:style w:type="character" w:styleId="Hide"><w:name w:val="Hide"/><w:rPr><w:vanish/></w:rPr></w:style>
<w:style w:type="character" w:styleId="Up"><w:name w:val="Up"/><w:rPr><w:vertAlign w:val="superscript"/></w:rPr></w:style>
<w:style w:type="paragraph" w:styleId="ListNumber"><w:name w:val="List Number"/>
  <w:pPr><w:numPr><w:numId w:val="3"/></w:numPr></w:pPr></w:style>
<w:style w:type="table" w:styleId="Grid"><w:name w:val="Table Grid"/></w:style>
<w:style w:type="table" w:styleId="Fancy"><w:name w:val="Fancy"/>
  <w:tblStylePr w:type="firstRow"><w:rPr><w:b/><w:vanish/></w:rPr></w:tblStylePr></w:style>
"""


def test_headings_have_the_level_of_their_styles() -> None:
    styled = [paragraph(style, style) for style in ("berschrift1", "Kapitel", "Deep", "Heading9", "Normal")]
    direct = p(r("direct"), properties="<w:outlineLvl w:val='1'/>") + p(
        r("body"), properties="<w:pStyle w:val='Deep'/><w:outlineLvl w:val='9'/>"
    )
    assert [(kind, level) for kind, level, _ in shape("".join(styled) + direct, styles=STYLES)] == [
        ("heading", 1),
        ("heading", 1),
        ("heading", 3),
        ("paragraph", 0),
        ("paragraph", 0),
        ("heading", 2),
        ("paragraph", 0),
    ]
    assert [level for _, level, _ in shape(paragraph("a", "Heading2") + paragraph("b", "Title"))] == [2, 1]


BOX = f"<w:txbxContent>{p(r('99'))}</w:txbxContent>"


@pytest.mark.parametrize(
    "body",
    [
        p(r("seen "), r("99", "<w:vanish/>"), r("here")),
        p(r("seen "), r("99", "<w:rStyle w:val='Hide'/>"), r("here")),
        p(r("seen here")) + p(r("99"), properties="<w:pStyle w:val='Secret'/>"),
        p(r("seen here")) + p(r("99"), properties="<w:pStyle w:val='MoreSecret'/>"),
        p(r("seen here", "<w:vanish w:val='0'/>"), properties="<w:pStyle w:val='Secret'/>"),
        p(r("seen here", "<w:vanish w:val='false'/><w:webHidden/>")),
        p(r("seen here", "<w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange>")),
        p(r("seen "), "<w:del><w:r><w:delText>99</w:delText></w:r></w:del>", "<w:ins>" + r("here") + "</w:ins>"),
        p(r("seen "), "<w:moveFrom>" + r("99") + "</w:moveFrom>", "<w:moveTo>" + r("here") + "</w:moveTo>"),
        p(r("seen here"), properties="<w:rPr><w:vanish/></w:rPr>"),
        p(r("seen "), "<w:r><w:fldChar w:fldCharType='begin'/></w:r>", r("99"), "<w:r><w:instrText>PAGE</w:instrText>"
          "<w:fldChar w:fldCharType='separate'/></w:r>", r("here"), "<w:r><w:fldChar w:fldCharType='end'/></w:r>"),
        p(r("seen here"), "<w:r><w:instrText>MACROBUTTON x [99]</w:instrText></w:r>"),
        p(r("seen "), "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>" + r("99") + "</w:sdtContent></w:sdt>",
          "<w:sdt><w:sdtPr><w:rPr><w:vanish/></w:rPr></w:sdtPr><w:sdtContent>" + r("here") + "</w:sdtContent></w:sdt>"),
        p(r("seen here")) + "<w:sdt><w:sdtPr><w:showingPlcHdr w:val='1'/></w:sdtPr><w:sdtContent>" + paragraph("99") + "</w:sdtContent></w:sdt>",
        p(r("seen "), "<w:sdt><w:sdtPr/><w:sdtContent>" + r("99", "<w:rStyle w:val='PlaceholderText'/>") + r("here") + "</w:sdtContent></w:sdt>"),
        "<w:sdt><w:sdtPr><w:showingPlcHdr w:val='0'/></w:sdtPr><w:sdtContent>" + p(r("seen here")) + "</w:sdtContent></w:sdt>",
        p(r("seen here"), "<w:r><w:pict><v:shape style='width:1pt; visibility:hidden'>" + BOX + "</v:shape></w:pict></w:r>"),
        p(r("seen here"), "<w:r><w:drawing><wp:docPr hidden='1'/>" + BOX + "</w:drawing></w:r>"),
        "<w:tbl><w:tr><w:tc><w:tcPr><w:cellDel/></w:tcPr>" + p(r("99")) + "</w:tc></w:tr></w:tbl>" + p(r("seen here")),
    ],
)  # fmt: skip
def test_what_word_does_not_show_is_left_out(body: str) -> None:
    assert text(body, styles=STYLES) == "seen here"


def row(*cells: str, properties: str = "") -> str:
    made = "".join(f"<w:tc>{cell if cell.startswith('<') else paragraph(cell)}</w:tc>" for cell in cells)
    return f"<w:tr>{f'<w:trPr>{properties}</w:trPr>' if properties else ''}{made}</w:tr>"


def table(*rows: str, properties: str = "") -> str:
    return f"<w:tbl><w:tblPr>{properties}</w:tblPr><w:tblGrid/>{''.join(rows)}</w:tbl>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (p(r("D"), properties="<w:framePr w:dropCap='drop' w:lines='3'/>") + p(r("epth is 12 m.")) + p(r("Next.")),
         "Depth is 12 m.\n\nNext."),
        (p(r("D"), properties="<w:framePr w:dropCap='none'/>") + p(r("epth")), "D\n\nepth"),
        (p(r("One "), properties="<w:rPr><w:del/></w:rPr>") + p(r("line."), properties="<w:pStyle w:val='Secret'/>")
         + p(r("Next.")), "One line.\n\nNext."),
        (p(properties="<w:rPr><w:del/></w:rPr>") + p(r("One")), "One"),
        (table(row(p(r("a"), properties="<w:rPr><w:del/></w:rPr>"), "b")) + p(r("c")), "a | b\n\nc"),
    ],
)  # fmt: skip
def test_a_paragraph_whose_end_is_gone_goes_on_in_the_next(body: str, expected: str) -> None:
    assert text(body) == expected


def code(text: str, result: str = "") -> str:
    marks = [f"<w:r><w:fldChar w:fldCharType='{kind}'/></w:r>" for kind in ("begin", "separate", "end")]
    return f"{marks[0]}<w:r><w:instrText>{text}</w:instrText></w:r>{marks[1]}{result}{marks[2]}"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (code("EQ \\f(1,2)"), "1 1/2 m"),
        (code("EQ \\f(1,2)", r("5")), "15 m"),
        (code(" eq \\f(\\r(2);a+b)"), "1(√2)/(a+b) m"),
        (code("EQ \\s\\up8(6)"), "1^6 m"),
        (code("EQ x\\s\\up8(6)\\s\\do4(2)\\b\\bc\\[(y)\\r(3,z)\\i(0,1,\\,t)"), "1x^6_2(y)z^(1/3)∫_0^1 ,t m"),
        (code("SYMBOL 109 \\f &quot;Symbol&quot; \\s 12"), "1μ m"),
        (code("SYMBOL 0xFC \\f Wingdings"), "1✓ m"),
        (code("EQ \\a(1,2)"), "1 1, 2 m"),
        (code("SYMBOL"), "1 m"),
        (code("PAGE"), "1 m"),
    ],
)
def test_a_field_without_a_result_is_shown_by_its_code(field: str, expected: str) -> None:
    assert text(p(r("1"), field, r(" m"))) == expected


def test_a_code_that_never_ends_is_read_to_a_bound() -> None:
    assert len(text(p(code("EQ " + "\\f(" * 30_000)))) < 4000


def test_a_field_without_an_end_hides_no_more_than_its_paragraph() -> None:
    assert text(p("<w:r><w:fldChar w:fldCharType='begin'/></w:r>") + paragraph("seen")) == "seen"


def kinds(*rows: str, properties: str = "") -> list[str]:
    return [kind for kind, _, _ in shape(table(*rows, properties=properties), styles=STYLES)]


def test_the_header_of_a_table_is_marked_or_looks_so() -> None:
    rows = (row("Name", "Depth"), row("A", "12"))
    look = "<w:tblLook w:val='04A0'/>"
    assert kinds(*rows) == ["row", "row"]
    assert kinds(row("Name", "Depth", properties="<w:tblHeader/>"), rows[1]) == ["header", "row"]
    assert kinds(row("Name", "Depth", properties="<w:tblHeader w:val='0'/>"), rows[1]) == ["row", "row"]
    assert kinds(*rows, properties=look) == ["header", "row"]
    assert kinds(*rows, properties="<w:tblLook w:val='04A0' w:firstRow='0'/>") == ["row", "row"]
    assert kinds(*rows, properties=f"<w:tblStyle w:val='Fancy'/>{look}") == ["header", "row"]
    assert kinds(*rows, properties=f"<w:tblStyle w:val='Grid'/>{look}") == ["row", "row"]
    bold = row(p(r("Name", "<w:b/>")), p(r("Depth", "<w:b/>")))
    assert kinds(bold, rows[1], properties=f"<w:tblStyle w:val='Grid'/>{look}") == ["header", "row"]


def test_merged_cells_keep_their_columns() -> None:
    def cell(properties: str, content: str) -> str:
        return f"<w:tcPr>{properties}</w:tcPr>{paragraph(content) if content else '<w:p/>'}"

    rows = (
        row("Pump", "Depth", "Weight"),
        row(cell("<w:vMerge w:val='restart'/>", "A</w:t></w:r></w:p><w:p><w:r><w:t>a"), "12", "5"),
        row(cell("<w:vMerge/>", ""), cell("<w:gridSpan w:val='2'/>", "none")),
        row("B", "3", properties="<w:gridBefore w:val='1'/>"),
        row("gone", "gone", "gone", properties="<w:hidden/>"),
        row("gone", "gone", "gone", properties="<w:del/>"),
    )
    found = blocks(docx(table(*rows)))
    assert [[block.text[i:j] for i, j in block.cells] for block in found] == [
        ["Pump", "Depth", "Weight"],
        ["A\na", "12", "5"],
        ["A\na", "none", "none"],
        ["", "B", "3"],
    ]


def test_an_unfilled_control_keeps_the_place_of_its_cell() -> None:
    control = f"<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:tc>{paragraph('Enter')}</w:tc></w:sdtContent></w:sdt>"
    found = blocks(docx(table(f"<w:tr>{control}<w:tc>{paragraph('b')}</w:tc></w:tr>", row("c", "d"))))
    assert [[block.text[i:j] for i, j in block.cells] for block in found] == [["", "b"], ["c", "d"]]


NUMBERING = """
<w:abstractNum w:abstractNumId="7">
 <w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="Article %1"/></w:lvl>
 <w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%2)"/></w:lvl>
 <w:lvl w:ilvl="2"><w:numFmt w:val="decimal"/><w:isLgl/><w:lvlText w:val="%1.%2.%3"/></w:lvl>
</w:abstractNum>
<w:abstractNum w:abstractNumId="8"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="&#xF0B7;"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="9"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:pStyle w:val="ListNumber"/><w:lvlText w:val="%1)"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>
<w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="9"/></w:num>
<w:num w:numId="4"><w:abstractNumId w:val="9"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>
"""


def item(content: str, list_id: int = 1, level: int = 0, more: str = "") -> str:
    return p(r(content), properties=f"<w:numPr><w:ilvl w:val='{level}'/><w:numId w:val='{list_id}'/></w:numPr>{more}")


def test_lists_have_the_numbers_that_word_shows() -> None:
    body = (
        item("rent")
        + item("first", level=1)
        + item("second", level=1)
        + item("deep", level=2)
        + item("roof")
        + item("again", level=1)
        + item("dot", 2)
        + paragraph("between")
        + paragraph("styled", "ListNumber")
        + p(properties="<w:pStyle w:val='ListNumber'/>")
        + paragraph("styled", "ListNumber")
        + item("anew", 4)
        + item("goes on", 3)
        + p(r("out"), properties="<w:pStyle w:val='ListNumber'/><w:numPr><w:numId w:val='0'/></w:numPr>")
    )
    assert shape(body, styles=STYLES, numbering=NUMBERING) == [
        ("item", 1, "Article III rent"),
        ("item", 2, "(a) first"),
        ("item", 2, "(b) second"),
        ("item", 3, "3.2.1 deep"),
        ("item", 1, "Article IV roof"),
        ("item", 2, "(a) again"),
        ("item", 1, "- dot"),
        ("paragraph", 0, "between"),
        ("item", 1, "1) styled"),
        ("item", 1, "3) styled"),
        ("item", 1, "1) anew"),
        ("item", 1, "2) goes on"),
        ("paragraph", 0, "out"),
    ]


def test_headings_keep_their_numbers() -> None:
    body = item("Rent", more="<w:pStyle w:val='berschrift1'/>") + paragraph("text")
    assert shape(body, styles=STYLES, numbering=NUMBERING) == [
        ("heading", 1, "Article III Rent"),
        ("paragraph", 0, "text"),
    ]


@pytest.mark.parametrize(
    ("number", "form", "expected"),
    [
        (4, "decimal", "4"),
        (28, "lowerLetter", "bb"),
        (3, "decimalZero", "03"),
        (14, "lowerRoman", "xiv"),
        (22, "ordinal", "22nd"),
        (12, "ordinalText", "Twelfth"),
        (30, "ordinalText", "Thirtieth"),
        (21, "cardinalText", "Twenty-one"),
        (2, "decimalEnclosedCircle", "②"),
        (5, "chicago", "**"),
        (255, "hex", "FF"),
        (9, "unknown", "9"),
        (0, "upperLetter", "0"),
        (10**6, "lowerLetter", "1000000"),
    ],
)
def test_numbers_are_written_as_word_writes_them(number: int, form: str, expected: str) -> None:
    assert written(number, form) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (p(r("10"), r("6", "<w:vertAlign w:val='superscript'/>"), r(" l")), "10^6 l"),
        (p(r("10"), r("6", "<w:rStyle w:val='Up'/>"), r(" l")), "10^6 l"),
        (p(r("10"), r("-", "<w:rStyle w:val='Up'/>"), r("6", "<w:rStyle w:val='Up'/>"), r(" l")), "10^-6 l"),
        (p(r("10"), r("6", "<w:position w:val='8'/>")), "10^6"),
        (p(r("H"), r("2", "<w:vertAlign w:val='subscript'/>"), r("O")), "H2O"),
        (p(r("10"), r("6", "<w:rStyle w:val='Up'/>"), r("5 log"), r("2", LOW), r("8")), "10^6 5 log2 8"),
        (p(r("1"), r("1", "<w:rStyle w:val='Up'/>"), r("/"), r("2", LOW), r(" in")), "1 1/2 in"),
        (p(r("3"), "<m:oMath><m:f><m:num>" + m("1") + "</m:num><m:den>" + m("2") + "</m:den></m:f></m:oMath>", r("5")), "3 1/2 5"),
        (p("<m:oMath>" + m("5") + "<m:sSup><m:e>" + m("10") + "</m:e><m:sup>" + m("6") + "</m:sup></m:sSup></m:oMath>"), "5 10^6"),
        (p(r("1"), r("st", "<w:rStyle w:val='Up'/>")), "1st"),
        (p(r("10"), r("6", "<w:vertAlign w:val='baseline'/><w:position w:val='1'/>")), "106"),
        (p("<w:r><w:t>Depth</w:t><w:ptab/><w:t>12</w:t><w:tab/><w:t>m</w:t><w:cr/><w:t>b</w:t></w:r>"), "Depth 12 m\nb"),
        (p(r("x"), properties="<w:tabs><w:tab w:val='left'/></w:tabs>"), "x"),
        (p("<w:r><w:t>a</w:t><w:softHyphen/><w:t>b</w:t><w:noBreakHyphen/><w:t>c</w:t></w:r>"), "ab-c"),
        (p("<w:r><w:sym w:font='Symbol' w:char='F06D'/><w:t>m </w:t><w:sym w:font='Wingdings' w:char='F0FC'/></w:r>"), "μm ✓"),
        (p(r("a &#xF0B3; b", "<w:rFonts w:ascii='Symbol'/>")), "a ≥ b"),
        (p("<w:ruby><w:rubyPr/><w:rt>" + r("toukyou") + "</w:rt><w:rubyBase>" + r("Tokyo") + "</w:rubyBase></w:ruby>"), "Tokyo (toukyou)"),
        (p("<w:hyperlink>" + r("link") + "</w:hyperlink><w:smartTag>" + r("ed") + "</w:smartTag>"), "linked"),
        (p("<w:fldSimple w:instr='PAGE'>" + r("7") + "</w:fldSimple>"), "7"),
        (p("<w:r><w:fldChar w:fldCharType='begin'><w:ffData><w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox>"
           "</w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType='end'/></w:r>", r(" agreed")), "☒ agreed"),
        (p("<w:r><w:fldChar w:fldCharType='begin'><w:ffData><w:ddList><w:result w:val='1'/><w:listEntry w:val='a'/>"
           "<w:listEntry w:val='b'/></w:ddList></w:ffData></w:fldChar><w:fldChar w:fldCharType='end'/></w:r>"), "b"),
        (p("<m:oMath xmlns:m='m'><m:r><m:t>E=m</m:t></m:r><m:sSup><m:e><m:r><m:t>c</m:t></m:r></m:e><m:sup><m:r><m:t>2"
           "</m:t></m:r></m:sup></m:sSup></m:oMath>"), "E=mc^2"),
        (p("<m:oMath xmlns:m='m'><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>"
           "<m:d><m:dPr><m:begChr m:val='['/><m:endChr m:val=']'/></m:dPr><m:e><m:r><m:t>x</m:t></m:r></m:e></m:d>"
           "<m:rad><m:deg><m:r><m:t>3</m:t></m:r></m:deg><m:e><m:r><m:t>y</m:t></m:r></m:e></m:rad></m:oMath>"), "(a+b)/2[x]y^(1/3)"),
    ],
)  # fmt: skip
def test_what_stands_in_a_line(body: str, expected: str) -> None:
    assert text(body, styles=STYLES) == expected


def box(content: str) -> str:
    return (
        f"<w:r><mc:AlternateContent xmlns:mc='m'><mc:Choice><w:drawing><w:txbxContent>{content}</w:txbxContent></w:drawing>"
        f"</mc:Choice><mc:Fallback><w:pict><w:txbxContent>{content}</w:txbxContent></w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )


def test_text_boxes_stand_after_what_holds_them() -> None:
    inner = paragraph("inner") + p(box(paragraph("innermost")))
    body = (
        p(box(paragraph("alone")))
        + p(r("one "), box(inner), r("sentence"))
        + table(row(p(r("a"), box(paragraph("in a cell"))), "b"), row("c", "d"))
        + paragraph("last")
    )
    found = blocks(docx(body))
    assert [block.text for block in found] == [
        *("alone", "one sentence", "inner", "innermost", "a | b", "c | d", "in a cell", "last")
    ]
    assert [block.before for block in found] == ["", "\n\n", "\n\n", "\n\n", "\n\n", "\n", "\n\n", "\n\n"]


def test_a_fallback_is_read_where_nothing_else_is() -> None:
    alternatives = "<mc:AlternateContent xmlns:mc='m'><mc:Fallback>{0}</mc:Fallback></mc:AlternateContent>"
    assert text(p(alternatives.format(r("x")))) == "x"


def test_text_boxes_within_each_other_are_bounded() -> None:
    content = "x"
    for _ in range(30):
        content = p("<w:txbxContent>", content, "</w:txbxContent>")
    with pytest.raises(FileExcessive, match=r"a\.docx: its text boxes are nested more than 20 deep"):
        text(content)


def test_notes_are_found_by_their_relation_and_read_if_they_are_referred_to() -> None:
    relation = "http://purl.oclc.org/ooxml/officeDocument/relationships"
    notes = (
        "<w:footnote w:id='-1' w:type='separator'><w:p><w:r><w:t>---</w:t></w:r></w:p></w:footnote>"
        f"<w:footnote w:id='2'>{paragraph('kept')}</w:footnote><w:footnote w:id='3'>{paragraph('dropped')}</w:footnote>"
    )
    body = p(r("x"), "<w:r><w:footnoteReference w:id='2'/></w:r>")
    parts = {
        "_rels/.rels": RELATIONS.replace("word/document", "text/main"),
        "text/main.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "text/_rels/main.xml.rels": f"<Relationships><Relationship Type='{relation}/footnotes' Target='../n/fn%201.xml'/>"
        f"<Relationship Type='{relation}/endnotes' Target='/n/en.xml'/></Relationships>",
        "n/fn 1.xml": f"<w:footnotes {W}>{notes}</w:footnotes>",
        "n/en.xml": f"<w:endnotes {W}><w:endnote w:id='2'>{paragraph('not referred to')}</w:endnote></w:endnotes>",
    }
    assert "".join(text_of(blocks(archive(parts)))) == "x\n\nkept"


def test_what_is_held_until_it_ends_is_bounded() -> None:
    long = r("ab " * (1 << 18))
    (found,) = blocks(docx(p(f"<w:ruby><w:rt>{long}</w:rt><w:rubyBase>{r('Tokyo')}</w:rubyBase></w:ruby>")))
    assert found.text.startswith("Tokyo (ab ab ")
    assert len(found.text) < 1 << 14
    formula = p(f"<m:oMath xmlns:m='m'><m:r><m:t>{'ab ' * (1 << 18)}</m:t></m:r></m:oMath>")
    assert sum(len(block.text) for block in blocks(docx(formula))) < 1 << 18


def related(**relations: tuple[str, str]) -> str:
    """Returns the relations of the main part: by their ids, type and target."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    made = (f'<Relationship Id="{key}" Type="{kind}/{of}" Target="{to}"/>' for key, (of, to) in relations.items())
    return f"<Relationships>{''.join(made)}</Relationships>"


def whole(body: str, **parts: str) -> tuple[str, list[str]]:
    """Returns the text of a document with more parts, `__` for a slash in their names, and what is noted about it."""
    made = {name.replace("__", "/"): part for name, part in parts.items()}
    namespaces = W + ' xmlns:r="r"'
    main = {
        "word/document.xml": f"<w:document {namespaces}><w:body>{body}</w:body></w:document>",
        "_rels/.rels": RELATIONS,
    }
    records = [*reader.read(io.BytesIO(archive({**main, **made})), "a.docx", FormatOptions())]
    return "".join(text_of(records[0].blocks)), [record.note for record in records[0:] if record.note]


def test_what_a_document_includes_is_read_in_its_place() -> None:
    relations = related(
        a=("aFChunk", "chunk.html"), b=("aFChunk", "chunk.mht"), c=("aFChunk", "x.docx"), d=("aFChunk", "n")
    )
    mail = "MIME-Version: 1.0\nContent-Type: text/html\n\n<p>mail</p>"
    body = p(r("one")) + "".join(f'<w:altChunk r:id="{key}"/>' for key in "abcd") + p(r("two"))
    parts = {
        "word/_rels/document.xml.rels": relations, "word/chunk.html": "<h1>Page</h1><p>10<sup>6</sup>",
        "word/chunk.mht": mail, "word/x.docx": "x",
    }  # fmt: skip
    assert whole(body, **parts) == (
        "one\n\nPage\n\n10^6\n\nmail\n\ntwo",
        ["it includes 'word/x.docx', which is not read", "it includes 'word/n', which is not read"],
    )


def test_charts_stand_after_what_holds_them() -> None:
    chart = "<w:r><w:drawing><c:chart xmlns:c='c' r:id='{}'/></w:drawing></w:r>"
    body = p(r("see "), chart.format("a"), chart.format("b"), chart.format("none"), r("here")) + p(r("end"))
    point = "<pt idx='0'><v>{}</v></pt>"
    series = f"<ser><tx>{point.format('Depth')}</tx><cat>{point.format('May')}</cat><val>{point.format(12)}</val></ser>"
    parts = {
        "word/_rels/document.xml.rels": related(a=("chart", "charts/c.xml"), b=("chart", "charts/d.xml")),
        "word/charts/c.xml": f"<chartSpace>{series}</chartSpace>",
        "word/charts/d.xml": "<c",
    }
    assert whole(body, **parts) == ("see here\n\n | Depth\nMay | 12\n\nend", [])


def test_parts_that_are_damaged_or_missing_leave_the_text() -> None:
    relations = related(
        a=("footnotes", "notes.xml"), b=("endnotes", "gone.xml"), c=("styles", "s.xml"), d=("numbering", "n.xml")
    )
    parts = {
        "word/_rels/document.xml.rels": relations,
        **dict.fromkeys(("word/notes.xml", "word/s.xml", "word/n.xml"), "<w"),
    }
    found, notes = whole(p(r("seen")), **parts, docProps__core="<title>a")
    assert found == "seen"
    assert notes[0].startswith("its part 'word/notes.xml': not a readable DOCX file")
    assert notes[1:] == ["it names 'word/gone.xml', but has no such part"]


@pytest.mark.parametrize("name", ["word/Footnotes.XML", "word\\footnotes.xml"])
def test_the_names_of_parts_are_the_same_in_any_case_and_with_any_slashes(name: str) -> None:
    notes = f"<w:footnotes {W}><w:footnote w:id='2'>{p(r('note'))}</w:footnote></w:footnotes>"
    relations = related(a=("footnotes", "footnotes.xml"))
    assert whole(p(r("seen")), **{"word/_rels/document.xml.rels": relations, name: notes})[0] == "seen\n\nnote"


def test_references_that_xml_does_not_know_and_a_blank_before_it_are_no_error() -> None:
    begin = '\n<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    main = f"{begin}<w:document {W}><w:body>{p(r('a&nbsp;b &amp; &eacute; &bogus;'))}</w:body></w:document>"
    assert whole("", **{"word/document.xml": main})[0] == "a\xa0b & é &bogus;"
