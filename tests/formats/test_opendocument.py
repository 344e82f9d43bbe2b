"""Tests reading documents of LibreOffice: text, presentations and spreadsheets."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest
from office import archive, opendocument

from edgeqa.formats import opendocument as reader
from edgeqa.formats import spreadsheets, stories
from edgeqa.formats.blocks import FileDamaged, FileEncrypted, FileExcessive, FormatOptions, text_of

if TYPE_CHECKING:
    from edgeqa.formats.blocks import Block

STYLES = """
<style:style style:name="Secret"><style:text-properties text:display="none"/></style:style>
<style:style style:name="More" style:parent-style-name="Secret"/>
<style:style style:name="Up"><style:text-properties style:text-position="super 58%"/></style:style>
<style:style style:name="High"><style:text-properties style:text-position="33% 58%"/></style:style>
<style:style style:name="Low"><style:text-properties style:text-position="sub 58%"/></style:style>
<style:style style:name="Gone"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>
<style:style style:name="InList" style:list-style-name="L"/>
<text:list-style style:name="L">
 <text:list-level-style-number text:level="1" style:num-format="I" style:num-prefix="Article " text:start-value="3"/>
 <text:list-level-style-number text:level="2" style:num-format="1" style:num-suffix="." text:display-levels="2"/>
 <text:list-level-style-bullet text:level="3"/>
</text:list-style>
<text:outline-style><text:outline-level-style text:level="1" style:num-format="1" style:num-suffix="."/>
 <text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style>
"""


HALF = (
    "<math:semantics><math:mfrac><math:mn>1</math:mn><math:mn>2</math:mn></math:mfrac>"
    "<math:annotation>1 over 2</math:annotation></math:semantics>"
)


def blocks(body: str, **options: str) -> list[Block]:
    data = io.BytesIO(opendocument(body, styles=STYLES, **options))
    return [block for r in reader.read(data, "a.odt", FormatOptions()) for block in r.blocks]


def shape(body: str, **options: str) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in blocks(body, **options)]


def text(body: str) -> str:
    return "".join(text_of(blocks(body)))


def p(content: str, style: str = "") -> str:
    return f'<text:p text:style-name="{style}">{content}</text:p>'


def span(content: str, style: str) -> str:
    return f'<text:span text:style-name="{style}">{content}</text:span>'


def item(*content: str, more: str = "") -> str:
    return f"<text:list-item {more}>{''.join(content)}</text:list-item>"


def items(*content: str, style: str = "L", more: str = "") -> str:
    return f'<text:list text:style-name="{style}" {more}>{"".join(content)}</text:list>'


def test_headings_and_lists_have_levels_and_numbers() -> None:
    body = (
        '<text:h text:outline-level="1">Lease</text:h><text:h text:outline-level="2">Rent</text:h>'
        '<text:h text:outline-level="2">Roof</text:h><text:h text:outline-level="1" text:is-list-header="true">End</text:h>'
        + items(item(p("tenant"), p("more"), f"<text:list>{item(p('inner'), '<text:list>' + item(p('dot')) + '</text:list>')}</text:list>"))
        + p("between")
        + items(item(p("landlord")), item(p("both")), more='text:continue-numbering="true"')
        + items(item(p("anew")), item(p("ninth"), more='text:start-value="9"'), "<text:list-header>" + p("header") + "</text:list-header>")
        + items(item(p("unknown")), style="X")
        + "<text:list>" + item(p("by its paragraph", "InList")) + "</text:list>"
    )  # fmt: skip
    assert shape(body) == [
        ("heading", 1, "1. Lease"),
        ("heading", 2, "1.1 Rent"),
        ("heading", 2, "1.2 Roof"),
        ("heading", 1, "End"),
        ("item", 1, "Article III tenant"),
        ("paragraph", 1, "more"),
        ("item", 2, "III.1. inner"),
        ("item", 3, "- dot"),
        ("paragraph", 0, "between"),
        ("item", 1, "Article IV landlord"),
        ("item", 1, "Article V both"),
        ("item", 1, "Article III anew"),
        ("item", 1, "Article IX ninth"),
        ("paragraph", 1, "header"),
        ("item", 1, "- unknown"),
        ("item", 1, "Article III by its paragraph"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        p(f"seen {span('99', 'Secret')}here"),
        p(f"seen {span('99', 'More')}here"),
        p("seen here") + p("99", "Secret"),
        p("seen here") + f'<text:section text:display="none">{p("99")}</text:section>',
        p('seen <text:hidden-text text:is-hidden="true">99</text:hidden-text>here'),
        p('seen <text:hidden-text text:is-hidden="false">here</text:hidden-text>'),
        p("seen here") + p('<text:hidden-paragraph text:is-hidden="true"/>99'),
        p("seen <office:annotation><text:p>99</text:p></office:annotation>here"),
        f"<text:tracked-changes><text:changed-region>{p('99')}</text:changed-region></text:tracked-changes>"
        + p("seen here"),
        p("seen here<text:placeholder>99</text:placeholder>"),
        p('seen<text:s text:c="3"/>here'),
        p("seen<text:tab/>here"),
        p("seen\n   here"),
        p('seen <text:variable-set text:display="none">99</text:variable-set>here'),
        p('seen <text:user-field-get text:display="none">99</text:user-field-get>here'),
        p("seen <text:script>99</text:script>here"),
        p("seen here") + f'<text:section text:display="condition" text:is-hidden="true">{p("99")}</text:section>',
        f'<text:section text:display="condition" text:condition="x">{p("seen here")}</text:section>',
    ],
)
def test_what_is_not_shown_is_left_out(body: str) -> None:
    assert text(body) == "seen here"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (p(f"10{span('6', 'Up')} l"), "10^6 l"),
        (p(f"10{span('6', 'High')}"), "10^6"),
        (p(f"H{span('2', 'Low')}O"), "H2O"),
        (p(f"10{span('6', 'Up')}5 log{span('2', 'Low')}8, 1{span('1', 'Up')}/{span('2', 'Low')}"), "10^6 5 log2 8, 1 1/2"),
        (p(f"3<draw:frame><draw:object><math:math>{HALF}</math:math></draw:object></draw:frame>5"), "3 1/2 5"),
        (p("a<text:line-break/>b"), "a\nb"),
        (p("<text:ruby><text:ruby-base>Tokyo</text:ruby-base><text:ruby-text>toukyou</text:ruby-text></text:ruby>."), "Tokyo (toukyou)."),
        (p("<text:a>link</text:a>ed"), "linked"),
        (p("x<text:note><text:note-citation>1</text:note-citation><text:note-body>" + p("note") + "</text:note-body></text:note> y") + p("z"), "x y\n\nz\n\nnote"),
        (p("one <draw:frame><draw:text-box>" + p("box") + "</draw:text-box></draw:frame>sentence") + p("z"), "one sentence\n\nbox\n\nz"),
        (p("one <draw:custom-shape>" + p("shape") + "</draw:custom-shape>sentence"), "one sentence\n\nshape"),
    ],
)  # fmt: skip
def test_what_stands_in_a_line_and_aside(body: str, expected: str) -> None:
    assert text(body) == expected


def test_tables_are_rows_with_a_header() -> None:
    def row(*cells: str, more: str = "") -> str:
        return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"

    def cell(content: str, more: str = "") -> str:
        return f"<table:table-cell {more}>{p(content)}</table:table-cell>"

    covered = "<table:covered-table-cell/>"
    body = (
        f"<table:table><table:table-header-rows>{row(cell('Pump'), cell('Depth'), cell('Weight'))}</table:table-header-rows>"
        + row(cell("A", 'table:number-rows-spanned="2"'), cell("12"), cell("5"))
        + row(covered, cell("none", 'table:number-columns-spanned="2"'), covered)
        + row(cell("x"), cell("x"), cell("x"), more='table:visibility="collapse"')
        + "</table:table>"
    )
    found = blocks(body)
    assert [(b.kind, [b.text[i:j] for i, j in b.cells]) for b in found] == [
        ("header", ["Pump", "Depth", "Weight"]),
        ("row", ["A", "12", "5"]),
        ("row", ["A", "none", "none"]),
    ]


def test_slides_have_their_titles_as_headings() -> None:
    def slide(title: str, content: str, style: str = "") -> str:
        frames = f'<draw:frame presentation:class="title"><draw:text-box>{p(title)}</draw:text-box></draw:frame>'
        frames += f"<draw:frame><draw:text-box>{items(item(p(content)), style='X')}</draw:text-box></draw:frame>"
        return f'<draw:page draw:style-name="{style}">{frames}</draw:page>'

    body = slide("Pump", "deep") + slide("Secret", "99", "Gone") + slide("Roof", "high")
    assert shape(body, kind="presentation") == [
        ("heading", 1, "Pump"),
        ("item", 1, "- deep"),
        ("heading", 1, "Roof"),
        ("item", 1, "- high"),
    ]


def test_a_document_is_titled_after_its_first_heading_or_its_properties() -> None:
    meta = '<m xmlns:dc="x"><dc:title>Of the properties</dc:title></m>'
    for body, title in (('<text:h text:outline-level="3">Head</text:h>', "Head"), (p("x"), "Of the properties")):
        (record,) = reader.read(io.BytesIO(opendocument(body, meta=meta)), "a.odt", FormatOptions())
        assert record.title == title


def test_another_programs_or_an_encrypted_document_is_an_error() -> None:
    encrypted = "<m><file-entry><encryption-data/></file-entry></m>"
    cases: list[tuple[bytes, type[Exception], str]] = [
        (opendocument("", kind="chart"), FileDamaged, "it is another program's document"),
        (archive({"mimetype": "x"}), FileDamaged, "it has no part 'content.xml'"),
        (archive({"content.xml": "\0\1", "META-INF/manifest.xml": encrypted}), FileEncrypted, "it needs a password"),
    ]
    for data, error, message in cases:
        for read in (reader.read, spreadsheets.read_ods):
            with pytest.raises(error, match=message):
                [list(record.blocks) for record in read(io.BytesIO(data), "a.odt", FormatOptions())]


def test_a_text_box_before_all_text_stands_apart_from_it() -> None:
    shape_of_text = "<draw:custom-shape>" + p("Beside") + "</draw:custom-shape>"
    assert text(p(shape_of_text) + p("Body")) == "Beside\n\nBody"


def test_notes_that_fill_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "MAX_HELD_CHARACTERS", 1000)
    with pytest.raises(
        FileExcessive, match=r"refused: a\.odt: its notes and text boxes hold more than 1000 characters"
    ):
        text(p("<text:note><text:note-body>" + p("x" * 2000) + "</text:note-body></text:note>"))
    box = "x"
    for _ in range(30):
        box = p(f"<draw:text-box>{box}</draw:text-box>")
    with pytest.raises(FileExcessive, match="its text boxes are nested more than 20 deep"):
        text(box)


# --- spreadsheets ----------------------------------------------------------------------------------------------------


def sheets(body: str, **options: str) -> list[tuple[str, list[tuple[str, str]]]]:
    data = io.BytesIO(opendocument(body, kind="spreadsheet", **options))
    return [
        (r.name, [(b.kind, b.text) for b in r.blocks]) for r in spreadsheets.read_ods(data, "a.ods", FormatOptions())
    ]


def row(*cells: object, more: str = "") -> str:
    made = "".join(
        str(cell)
        if str(cell).startswith("<")
        else f"<table:table-cell office:value-type='"
        f"{'string' if isinstance(cell, str) else 'float'}'>{p(str(cell))}</table:table-cell>"
        for cell in cells
    )
    return f"<table:table-row {more}>{made}</table:table-row>"


def sheet(name: str, *rows: str, style: str = "") -> str:
    return f'<table:table table:name="{name}" table:style-name="{style}">{"".join(rows)}</table:table>'


def test_rows_know_their_numbers_hidden_and_repeated_ones_counted() -> None:
    hidden = row("x", "y", "z", more="table:visibility='collapse' table:number-rows-repeated='3'")
    again = row(4, 5, 6, more="table:number-rows-repeated='2'")
    body = sheet("S", row("a", "b", "c"), row(1, 2, 3), hidden, again, row(7, 8, 9)) + sheet("T", row("a", 2, 3))
    data = io.BytesIO(opendocument(body, kind="spreadsheet"))
    found = [[block.row for block in r.blocks] for r in spreadsheets.read_ods(data, "a.ods", FormatOptions())]
    assert found == [[0, 1, 2, 6, 7, 8], [0, 1]]


def test_sheets_are_records_and_what_is_hidden_is_left_out() -> None:
    automatic = '<style:style style:name="Off"><style:table-properties table:display="false"/></style:style>'
    columns = '<table:table-column/><table:table-column table:number-columns-repeated="2" table:visibility="collapse"/>'
    value = "<table:table-cell office:value-type='percentage' office:value='0.125'/>"
    body = (
        sheet("Prices", columns, row("Pump", "x", "x", "Depth", "Share"), row("A", 1, 1, 12, value),
              row("no", 1, 1, 1, 1, more='table:visibility="filter"'),
              row("B", 1, 1, "<table:table-cell office:value-type='date' office:date-value='2026-01-02'/>"))
        + sheet("Gone", row("secret"), style="Off")
        + sheet("Empty", row())
        + sheet("Last", row("only <office:annotation><text:p>no</text:p></office:annotation>"))
    )  # fmt: skip
    assert sheets(body, automatic=automatic) == [
        (
            "a.ods#Prices",
            [
                ("heading", "Prices"),
                ("header", "Pump | Depth | Share"),
                ("row", "A | 12 | 12.5%"),
                ("row", "B | 2026-01-02"),
            ],
        ),
        ("a.ods#Last", [("heading", "Last"), ("paragraph", "only")]),
    ]


def test_a_cell_that_goes_on_below_is_repeated_and_what_it_covers_is_not_shown() -> None:
    north = "<table:table-cell table:number-rows-spanned='3'><text:p>North</text:p></table:table-cell>"
    covered = "<table:covered-table-cell><text:p>no</text:p></table:covered-table-cell>"
    hidden = row(covered, "Eve", 9, more='table:visibility="collapse"')
    ((_, found),) = sheets(sheet("S", row("Region", "Who", "Sum"), row(north, "Ann", 5), hidden, row(covered, "Bob", 6),
                                 row("", "Cid", 7)))  # fmt: skip
    assert [text for _, text in found[1:]] == ["Region | Who | Sum", "North | Ann | 5", "North | Bob | 6", " | Cid | 7"]


def test_a_cell_that_goes_on_to_the_right_is_under_each_of_its_columns() -> None:
    wide = "<table:table-cell table:number-columns-spanned='2'><text:p>Size</text:p></table:table-cell>"
    covered = "<table:covered-table-cell/>"
    body = sheet("S", row("Pump", wide, covered, "Weight"), row("A", 1, 2, 3))
    made = io.BytesIO(opendocument(body, kind="spreadsheet"))
    found = [block for record in spreadsheets.read_ods(made, "a.ods", FormatOptions()) for block in record.blocks]
    assert [[b.text[i:j] for i, j in b.cells] for b in found[1:]] == [
        ["Pump", "Size", "Size", "Weight"],
        ["A", "1", "2", "3"],
    ]


def test_boxes_over_a_sheet_are_read_after_it_and_links_to_others_are_not() -> None:
    box = f"<draw:frame><draw:text-box>{p('The <text:span>pump</text:span>')}{p('')}</draw:text-box></draw:frame>"
    links = f"<table:dde-links>{sheet('L', row('99', '99'))}</table:dde-links>"
    found = sheets(links + sheet("S", f"<table:shapes>{box}</table:shapes>", row("a", 1)) + sheet("T", row("b", 2)))
    assert [(name, [text for _, text in blocks][1:]) for name, blocks in found] == [
        ("a.ods#S", ["a | 1", "The pump"]),
        ("a.ods#T", ["b | 2"]),
    ]


def test_what_is_raised_or_lowered_in_a_cell_is_told_apart() -> None:
    automatic = "".join(
        f'<style:style style:name="{name}"><style:text-properties style:text-position="{name} 58%"/></style:style>'
        for name in ("super", "sub")
    )
    cell = "10<text:span text:style-name='super'>6</text:span> l, H<text:span text:style-name='sub'>2</text:span>O"
    ((_, found),) = sheets(sheet("S", row(cell, "x")), automatic=automatic)
    assert found[1:] == [("row", "10^6 l, H2O | x")]


def test_repeated_cells_and_rows_are_repeated_within_bounds() -> None:
    empty = '<table:table-cell table:number-columns-repeated="16384"/>'
    many = '<table:table-cell office:value-type="float" table:number-columns-repeated="3"><text:p>7</text:p></table:table-cell>'
    ((_, found),) = sheets(
        sheet(
            "S",
            row("a", many, more='table:number-rows-repeated="2"'),
            row(empty, more='table:number-rows-repeated="1048000"'),
        )
    )
    assert found[1:] == [("row", "a | 7 | 7 | 7")] * 2
    with pytest.raises(FileExcessive, match=r"refused: a\.ods: one of its rows stands for more than 10000"):
        sheets(sheet("S", row("a", "b", more='table:number-rows-repeated="1048576"')))
    wide = '<table:table-cell table:number-columns-repeated="999999"><text:p>7</text:p></table:table-cell>'
    ((_, found),) = sheets(sheet("S", row(wide)))
    assert found[1][1].count("7") == 1000


def test_sheets_that_show_more_than_is_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MAX_TEXT_CHARACTERS", 1000)
    with pytest.raises(FileExcessive, match=r"refused: a\.ods: its sheets show more than 1000 characters"):
        sheets(sheet("S", row("x" * 20, "y", more='table:number-rows-repeated="100"')))
    with pytest.raises(FileExcessive, match="its sheets show more than 1000 characters"):
        sheets(sheet("S", f"<table:shapes>{p('x' * 2000)}</table:shapes>", row("a", 1)))


@pytest.mark.parametrize("rows", [4000, 2])
def test_cells_that_stand_for_too_many_others_are_refused(rows: int) -> None:
    cell = "<table:table-cell table:number-columns-repeated='900'><text:p>x</text:p></table:table-cell>"
    repeated = row(cell, more="table:number-rows-repeated='3'")
    if rows == 2:
        assert [len(found) for _, found in sheets(sheet("S", *[repeated] * rows))] == [7]
        return
    with pytest.raises(FileExcessive, match="its cells stand for more than 1048576 others"):
        sheets(sheet("S", *[repeated] * rows))


def test_a_formula_in_a_part_of_its_own_is_written_in_its_place() -> None:
    frame = '<draw:frame><draw:object xlink:href="./{}"/></draw:frame>'
    body = p(f"E{frame.format('Object 1')} l{frame.format('Object 2')}{frame.format('../x')}{frame.format('none')}")
    with zipfile.ZipFile(io.BytesIO(opendocument(body))) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    formula = HALF.replace("math:", "")
    parts["Object 1/content.xml"] = f'<math xmlns="http://www.w3.org/1998/Math/MathML">{formula}</math>'.encode()
    parts["Object 2/content.xml"] = b"<office>99</office>"
    (record,) = reader.read(io.BytesIO(archive(parts)), "a.odt", FormatOptions())
    assert "".join(text_of(record.blocks)) == "E1/2 l"


def test_prompts_and_frames_that_are_not_shown_are_left_out() -> None:
    box = f"<draw:text-box>{p('99')}</draw:text-box>"
    page = f'<draw:page><draw:frame presentation:placeholder="true">{box}</draw:frame><draw:frame draw:display="none">'
    assert text(p("seen") + f'<draw:frame draw:display="none">{box}</draw:frame>' + p("here")) == "seen\n\nhere"
    shown = f"{page}{box}</draw:frame><draw:frame>{box.replace('99', 'seen')}</draw:frame></draw:page>"
    assert shape(shown, kind="presentation") == [("paragraph", 0, "seen")]
