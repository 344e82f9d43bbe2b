"""Tests reading presentations."""

from __future__ import annotations

import io
import zipfile

import pytest
from office import archive, pptx, relations

from edgeqa.formats import slides
from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOptions, text_of


def records(data: bytes) -> list[tuple[str, str, list[tuple[str, int, str]]]]:
    return [
        (r.name, r.title, [(block.kind, block.level, block.text) for block in r.blocks])
        for r in slides.read(io.BytesIO(data), "a.pptx", FormatOptions())
    ]


def shape(*paragraphs: str, place: str | None = None, more: str = "") -> str:
    held = "" if place is None else f'<p:ph type="{place}"/>' if place else '<p:ph idx="1"/>'
    return f"<p:sp><p:nvSpPr><p:cNvPr {more}/><p:nvPr>{held}</p:nvPr></p:nvSpPr><p:txBody>{''.join(paragraphs)}</p:txBody></p:sp>"


def p(*runs: str, properties: str = "") -> str:
    return f"<a:p>{properties}{''.join(run if run.startswith('<') else r(run) for run in runs)}</a:p>"


def r(content: str, look: str = "") -> str:
    return f"<a:r><a:rPr {look}/><a:t>{content}</a:t></a:r>"


def one(*shapes: str) -> list[tuple[str, int, str]]:
    ((_, _, blocks),) = records(pptx(["".join(shapes)]))
    return blocks


def test_a_slide_is_a_record_with_its_title_first() -> None:
    body = shape(
        p("deep"),
        p("deeper", properties='<a:pPr lvl="1"/>'),
        p("plain", properties="<a:pPr><a:buNone/></a:pPr>"),
        place="",
    )
    number = shape(p("<a:fld><a:t>7</a:t></a:fld>"), place="sldNum")
    deck = pptx(
        [body + shape(p("The", "<a:br/>", "pump"), place="title") + number, "", shape(p("alone"))],
        notes={1: shape(p("say this"), place="body") + shape(p("1"), place="sldNum")},
        core="<p xmlns:dc='x'><dc:title>Manual</dc:title></p>",
    )
    assert records(deck) == [
        (
            "a.pptx#1",
            "Manual: The pump",
            [
                ("heading", 1, "The pump"),
                ("item", 1, "- deep"),
                ("item", 2, "- deeper"),
                ("paragraph", 0, "plain"),
                ("paragraph", 0, "say this"),
            ],
        ),
        ("a.pptx#3", "Manual", [("paragraph", 0, "alone")]),
    ]
    (first, _) = slides.read(io.BytesIO(deck), "a.pptx", FormatOptions())
    assert "".join(text_of(first.blocks)) == "The pump\n\n- deep\n  - deeper\n\nplain\n\nsay this"


def test_numbers_of_lists_are_kept() -> None:
    def numbered(content: str, kind: str = "arabicPeriod", level: int = 0, more: str = "") -> str:
        return p(content, properties=f'<a:pPr lvl="{level}"><a:buAutoNum type="{kind}" {more}/></a:pPr>')

    found = one(
        shape(
            numbered("a"),
            numbered("b"),
            numbered("x", "alphaLcParenR", 1),
            numbered("c"),
            p("text"),
            numbered("d", more='startAt="5"'),
        )
    )
    assert [text for _, _, text in found] == ["1. a", "2. b", "a) x", "3. c", "text", "5. d"]


def test_what_is_hidden_is_left_out() -> None:
    hidden = shape(p("99"), more='hidden="1"')
    group = f'<p:grpSp><p:nvGrpSpPr><p:cNvPr hidden="1"/></p:nvGrpSpPr>{shape(p("99"))}</p:grpSp>'
    assert [text for _, _, text in one(shape(p("seen")), hidden, group)] == ["seen"]
    whole = f'<p:sld show="0"><p:cSld>{shape(p("99"))}</p:cSld></p:sld>'
    assert [name for name, _, _ in records(pptx([whole, shape(p("x"))]))] == ["a.pptx#2"]


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        (p("10", r("6", 'baseline="30000"'), " l"), "10^6 l"),
        (p("H", r("2", 'baseline="-25000"'), "O"), "H2O"),
        (p("10", r("6", 'baseline="30000"'), "5 log", r("2", 'baseline="-25000"'), "8"), "10^6 5 log2 8"),
        (p("Depth_x000B_12 m"), "Depth 12 m"),
        (p("x", '<m:oMath><m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath>'), "x1/2"),
    ],
)  # fmt: skip
def test_what_stands_in_a_line(paragraph: str, expected: str) -> None:
    assert [text for _, _, text in one(shape(paragraph))] == [expected]


def test_tables_are_rows() -> None:
    def cell(content: str, more: str = "") -> str:
        return f"<a:tc {more}><a:txBody>{p(content)}</a:txBody></a:tc>"

    tall, wide, covered = (f'{name}="2"' for name in ("rowSpan", "gridSpan", "hMerge"))
    rows = (
        f"<a:tr>{cell('Pump')}{cell('Depth')}{cell('Weight')}</a:tr>"
        f"<a:tr>{cell('A', tall)}{cell('12', wide)}{cell('', covered.replace('2', '1'))}</a:tr>"
        f"<a:tr>{cell('', 'vMerge=' + repr('1'))}{cell('3')}{cell('4')}</a:tr>"
    )
    table = f'<p:graphicFrame><a:tbl><a:tblPr firstRow="1"/>{rows}</a:tbl></p:graphicFrame>'
    (record,) = slides.read(io.BytesIO(pptx([table])), "a.pptx", FormatOptions())
    assert [(b.kind, [b.text[i:j] for i, j in b.cells]) for b in record.blocks] == [
        ("header", ["Pump", "Depth", "Weight"]),
        ("row", ["A", "12", "12"]),
        ("row", ["A", "3", "4"]),
    ]


def test_the_words_of_diagrams_are_items() -> None:
    points = "".join(f'<d:pt type="{kind}">{p(kind)}</d:pt>' for kind in ("node", "pres", "asst"))
    ((_, _, blocks),) = records(pptx([shape(p("x"))], diagram=points))
    assert [text for _, _, text in blocks] == ["x", "- node", "- asst"]


CHART = """<c:chartSpace xmlns:c="c" xmlns:a="a"><c:chart>
<c:title><c:tx><c:rich><a:p><a:r><a:t>Sales in </a:t></a:r><a:r><a:t>millions</a:t></a:r></a:p></c:rich></c:tx></c:title>
<c:plotArea><c:barChart>
<c:ser><c:tx><c:strRef><c:f>A1</c:f><c:strCache><c:pt idx="0"><c:v>2019</c:v></c:pt></c:strCache></c:strRef></c:tx>
<c:cat><c:strRef><c:strCache><c:pt idx="0"><c:v>East</c:v></c:pt><c:pt idx="1"><c:v>West</c:v></c:pt></c:strCache></c:strRef></c:cat>
<c:val><c:numRef><c:numCache><c:formatCode>0.0%</c:formatCode><c:pt idx="0"><c:v>0.125</c:v></c:pt></c:numCache></c:numRef></c:val>
<c:extLst><c:ext><c:tx><c:v>99</c:v></c:tx></c:ext></c:extLst></c:ser>
<c:ser><c:tx><c:v>2020</c:v></c:tx><c:val><c:numLit><c:pt idx="1"><c:v>4.5</c:v></c:pt></c:numLit></c:val></c:ser>
</c:barChart><c:valAx><c:title><c:tx><c:rich><a:p><a:r><a:t>99</a:t></a:r></a:p></c:rich></c:tx></c:title></c:valAx>
</c:plotArea></c:chart></c:chartSpace>"""
CHARTED = [
    ("paragraph", "Sales in millions"),
    ("header", " | 2019 | 2020"),
    ("row", "East | 12.5%"),
    ("row", "West |  | 4.5"),
]


@pytest.mark.parametrize(
    ("chart", "expected"),
    [
        (CHART, CHARTED),
        ("<c", []),
        (
            "<chartSpace><ser><val><numCache><pt idx='0'><v>x</v></pt></numCache></val></ser></chartSpace>",
            [("row", "x")],
        ),
    ],
)
def test_the_numbers_of_charts_are_rows(chart: str, expected: list[tuple[str, str]]) -> None:
    with zipfile.ZipFile(io.BytesIO(pptx([shape(p("one"))]))) as made:
        parts = {name: made.read(name) for name in made.namelist()}
    parts["ppt/slides/_rels/s1.xml.rels"] = relations(chart="../charts/c.xml").encode()
    parts["ppt/charts/c.xml"] = chart.encode()
    (record,) = slides.read(io.BytesIO(archive(parts)), "a.pptx", FormatOptions())
    found = [(block.kind, block.text) for block in record.blocks]
    assert found == [("paragraph", "one"), *expected]


def test_of_two_forms_one_is_read() -> None:
    both = f"<mc:AlternateContent><mc:Choice>{shape(p('a'))}</mc:Choice><mc:Fallback>{shape(p('a'))}</mc:Fallback></mc:AlternateContent>"
    assert [text for _, _, text in one(both)] == ["a"]


def test_another_programs_document_and_one_made_to_fill_memory_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileDamaged, match="it is another program's document"):
        records(archive({"ppt/presentation.xml": "<workbook/>"}))
    monkeypatch.setattr(slides, "MAX_SLIDE_CHARACTERS", 100)
    with pytest.raises(FileExcessive, match=r"refused: a\.pptx: slide 2 has more than 100 characters"):
        records(pptx(["", shape(p("x" * 200))]))


def test_slides_that_are_missing_or_damaged_are_named_and_the_others_are_read() -> None:
    with zipfile.ZipFile(io.BytesIO(pptx([shape(p("one")), shape(p("two")), shape(p("three"))]))) as made:
        parts = {name: made.read(name) for name in made.namelist()}
    first, second = (name for name in parts if name.endswith(("slides/s1.xml", "slides/s2.xml")))
    del parts[first]
    parts[second] = b"<p:sld"
    found = [*slides.read(io.BytesIO(archive(parts)), "a.pptx", FormatOptions())]
    assert [(record.name, "".join(text_of(record.blocks))) for record in found if not record.note] == [
        ("a.pptx#3", "three")
    ]
    assert [(record.name, record.note[:50]) for record in found if record.note] == [
        ("a.pptx#1", "the presentation names it, but has no such part"),
        ("a.pptx#2", "not a readable PPTX file: a.pptx: not XML: unclose"),
    ]
    parts["ppt/slides/s3.xml"] = b""
    with pytest.raises(FileDamaged):
        [*slides.read(io.BytesIO(archive(parts)), "a.pptx", FormatOptions())]
