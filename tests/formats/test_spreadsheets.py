"""Tests reading spreadsheets: rows come as they are shown."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import archive, relations, xlsx

from edgeqa.formats import cells, spreadsheets
from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOptions, text_of
from edgeqa.formats.notation import joined

if TYPE_CHECKING:
    from edgeqa.formats.blocks import Block


def records(data: bytes) -> list[tuple[str, str, list[Block]]]:
    return [(r.name, r.title, list(r.blocks)) for r in spreadsheets.read(io.BytesIO(data), "a.xlsx", FormatOptions())]


def shape(rows: str, *, strings: str = "", styles: str = "") -> list[tuple[str, str]]:
    ((_, _, blocks),) = records(xlsx({"S": rows}, strings=strings, styles=styles))
    return [(block.kind, block.text) for block in blocks[1:]]


def row(*cells: object, number: int | None = None, more: str = "") -> str:
    made = "".join(
        f'<c t="inlineStr"><is><t>{cell}</t></is></c>' if isinstance(cell, str) and not cell.startswith("<")
        else cell if isinstance(cell, str) else "<c/>" if cell is None else f"<c><v>{cell}</v></c>"
        for cell in cells
    )  # fmt: skip
    place = f'r="{number}"' if number else ""
    return f"<row {place} {more}>{made}</row>"


def data(*rows: str) -> str:
    return f"<sheetData>{''.join(rows)}</sheetData>"


def test_rows_are_rows_and_the_first_names_the_columns() -> None:
    rows = data(
        row("Price list"),
        row(),
        row("Pump", "Depth", "Weight"),
        row("A", 12.5, 5),
        row("B", None, 7),
        row("Total", number=9),
        row("Name", "Ann", number=20),
        row("Age", 33),
        row("Town", "Bern"),
    )
    assert shape(rows) == [
        ("paragraph", "Price list"),
        ("header", "Pump | Depth | Weight"),
        ("row", "A | 12.5 | 5"),
        ("row", "B |  | 7"),
        ("paragraph", "Total"),
        ("row", "Name | Ann"),
        ("row", "Age | 33"),
        ("row", "Town | Bern"),
    ]
    ((name, title, blocks),) = records(xlsx({"S 1": rows, "Empty": data(row())}))
    assert (name, title, blocks[0].kind, blocks[0].text) == ("a.xlsx#S 1", "S 1", "heading", "S 1")
    assert [block.begins for block in blocks] == [False, False, True, False, False, False, True, False, False]
    assert [blocks[4].text[i:j] for i, j in blocks[4].cells] == ["B", "", "7"]


def test_rows_know_their_numbers_hidden_ones_counted() -> None:
    rows = data(
        row("a", "b", "c"), row(1, 2, 3), row(9, 9, 9, more="hidden='1'"), row(4, 5, 6), row(7, 8, 9, number=40)
    )
    ((_, _, blocks),) = records(xlsx({"S": rows}))
    assert [(block.kind, block.row) for block in blocks] == [
        ("heading", 0), ("header", 1), ("row", 2), ("row", 4), ("row", 40),
    ]  # fmt: skip


def test_two_columns_have_a_header_where_it_looks_like_one() -> None:
    styles = "<fonts><font/><font><b/></font></fonts><cellXfs><xf/><xf fontId='1'/></cellXfs>"
    bold = "".join(f"<c s='1' t='inlineStr'><is><t>{text}</t></is></c>" for text in ("Name", "Town"))
    others = (row("Ann", "Bern"), row("Bob", "Rome"))
    assert [kind for kind, _ in shape(data(row("Name", "Town"), *others))] == ["row"] * 3
    assert [kind for kind, _ in shape(data(f"<row>{bold}</row>", *others), styles=styles)] == ["header", "row", "row"]
    frozen = "<sheetViews><sheetView><pane ySplit='1' state='frozen'/></sheetView></sheetViews>"
    assert [kind for kind, _ in shape(frozen + data(row("Name", "Town"), *others))] == ["header", "row", "row"]
    assert [kind for kind, _ in shape(data(row("Name", "Age"), row("A", 1), row("B", 2)))] == ["header", "row", "row"]


def test_what_is_hidden_is_left_out() -> None:
    columns = '<cols><col min="2" max="3" hidden="1"/><col min="5" max="5" width="0"/></cols>'
    rows = data(
        row("a", "b", "c", "d", "e", "f"),
        row("x", "x", "x", "x", "x", "x", more='hidden="1"'),
        row(1, 2, 3, 4, 5, 6),
    )
    assert shape(columns + rows) == [("header", "a | d | f"), ("row", "1 | 4 | 6")]
    hidden = {"Gone": "hidden", "Deep": "veryHidden"}
    found = records(xlsx({"Gone": rows, "Seen": rows, "Deep": rows}, state=hidden))
    assert [name for name, _, _ in found] == ["a.xlsx#Seen"]


def test_a_cell_that_goes_on_below_is_repeated_where_there_are_others() -> None:
    rows = data(
        row("Pump", "Depth", "Weight"),
        row("A", 12, 5),
        row(None, 13, 6),
        row(None, 14, 7),
        row("B", 1, 2),
        row(),
        row("Title", number=9),
        row(),
    )
    merges = (
        "<mergeCells>" + "".join(f'<mergeCell ref="{ref}"/>' for ref in ("A2:A4", "B5:C5", "A9:C10")) + "</mergeCells>"
    )
    assert shape(rows + merges) == [
        ("header", "Pump | Depth | Weight"),
        ("row", "A | 12 | 5"),
        ("row", "A | 13 | 6"),
        ("row", "A | 14 | 7"),
        ("row", "B | 1 | 2"),
        ("paragraph", "Title"),
    ]


def test_a_cell_that_goes_on_to_the_right_is_under_each_of_its_columns() -> None:
    rows = data(row("Pump", "Size", None, None, "Weight"), row("A", 1, 2, 3, 4), row("B", 5, 6, 7, 8))
    merges = "<mergeCells><mergeCell ref='B1:D1'/><mergeCell ref='A2:B3'/></mergeCells>"
    for columns, expected in (
        ("", [["Pump", *["Size"] * 3, "Weight"], ["A", "1", "2", "3", "4"]]),
        ("<cols><col min='3' max='3' hidden='1'/></cols>", [["Pump", "Size", "Size", "Weight"], ["A", "1", "3", "4"]]),
    ):
        ((_, _, blocks),) = records(xlsx({"S": columns + rows + merges}))
        assert [[b.text[i:j] for i, j in b.cells] for b in blocks[1:3]] == expected
        assert blocks[1].text == "Pump | Size | Weight"


def test_the_words_of_boxes_over_a_sheet_stand_at_its_end() -> None:
    made = xlsx({"S": data(row("a", 1)) + "<drawing r:id='d'/>", "T": data(row("b", 2)) + "<drawing r:id='d'/>"})
    with zipfile.ZipFile(io.BytesIO(made)) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    for number, shapes in enumerate(("", "<sp>")):
        parts[f"xl/_rels/s{number}.xml.rels"] = relations(drawing=f"d{number}.xml").encode()
        paragraph = "<a:p><a:r><a:t>10</a:t></a:r><a:r><a:rPr baseline='30000'/><a:t>6</a:t></a:r></a:p>"
        hidden = "<sp><cNvPr hidden='1'/><txBody><a:p><a:r><a:t>99</a:t></a:r></a:p></txBody></sp>"
        drawing = f"<wsDr xmlns:a='a'>{hidden}<sp><txBody>{paragraph}</txBody></sp>{shapes}</wsDr>"
        parts[f"xl/d{number}.xml"] = drawing.encode()  # the second is damaged
    found = records(
        archive({name: part.replace(b"<worksheet>", b"<worksheet xmlns:r='r'>") for name, part in parts.items()})
    )
    assert [[block.text for block in blocks][1:] for _, _, blocks in found] == [["a | 1", "10^6"], ["b | 2"]]


def test_strings_are_shared_or_not() -> None:
    strings = "<si><t>one</t></si><si><r><t>tw</t></r><r><t>o_x0041_</t></r><rPh><t>too</t></rPh></si>"
    cells = (
        '<c r="B1" t="s"><v>1</v></c><c r="D1" t="s"><v>0</v></c><c t="s"><v>9</v></c>'
        '<c t="str"><f>A1</f><v>three</v></c>'
        '<c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c><c t="d"><v>2026-01-02T00:00:00</v></c>'
    )
    assert shape(data(f"<row>{cells}</row>"), strings=strings) == [
        ("row", " | twoA |  | one |  | three | TRUE | #N/A | 2026-01-02")
    ]


def test_what_is_raised_or_lowered_in_a_cell_is_told_apart() -> None:
    runs = (
        '<r><t>10</t></r><r><rPr><vertAlign val="superscript"/></rPr><t>6</t></r><r><t> l, H</t></r>'
        '<r><rPr><vertAlign val="subscript"/></rPr><t>2</t></r><r><rPr><vertAlign val="baseline"/></rPr><t>O</t></r>'
    )
    cells = f'<c t="s"><v>0</v></c><c t="inlineStr"><is>{runs}</is></c><c><v>7</v></c>'
    assert shape(data(f"<row>{cells}</row>"), strings=f"<si>{runs}</si>") == [("row", "10^6 l, H2O | 10^6 l, H2O | 7")]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([("10", 0), ("6", 1), ("5 l", 0)], "10^6 5 l"),
        ([("1", 0), ("1", 1), ("/", 0), ("2", -1), (" in", 0)], "1 1/2 in"),
        ([("1", 1), ("12 m", 0)], "1 12 m"),
        ([("10", 0), ("6 ", 1), ("l", 0)], "10^6 l"),
        ([("log", 0), ("2", -1), ("8", 0)], "log2 8"),
        ([("1", 0), ("2", 0)], "12"),
    ],
)
def test_numbers_that_stand_at_another_height_stay_apart(pieces: list[tuple[str, int]], expected: str) -> None:
    assert joined(pieces) == expected


def test_strings_are_found_without_a_relation_and_sheets_that_are_missing_are_named() -> None:
    made = xlsx({"S": data(row('<c t="s"><v>0</v></c>', 12))}, strings="<si><t>pump</t></si>")
    with zipfile.ZipFile(io.BytesIO(made)) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    relations = parts["xl/_rels/workbook.xml.rels"].decode()
    parts["xl/_rels/workbook.xml.rels"] = re.sub(r"<Relationship [^>]*sharedStrings[^>]*>", "", relations).encode()
    parts["xl/sharedStrings.xml"] = parts.pop("xl/strings.xml")
    parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace(b"</sheets>", b'<sheet name="X" r:id="none"/></sheets>')
    found = [*spreadsheets.read(io.BytesIO(archive(parts)), "a.xlsx", FormatOptions())]
    assert [block.text for block in found[0].blocks][1:] == ["pump | 12"]
    assert [(record.name, record.note) for record in found[1:]] == [
        ("a.xlsx#X", "the workbook names it, but has no such part")
    ]


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (1234567.891, "General", "1234567.891"),
        (0.1 + 0.2, "General", "0.3"),
        (4915112345678, "General", "4915112345678"),
        (1e20, "General", "1E+20"),
        (0.00001, "General", "0.00001"),
        (1234.5, "#,##0.00", "1,234.50"),
        (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
        (-1234.5, '#,##0.00 "EUR";[Red]-#,##0.00 "EUR"', "-1,234.50 EUR"),
        (0, '0;-0;"none"', "none"),
        (0.5, ".00", ".50"),
        (0.125, "0%", "13%"),
        (12.5, "0", "13"),
        (-0.5, "0;-0", "-1"),
        (1.005, "0.00", "1.01"),
        (2.675, "#,##0.00", "2.68"),
        (1234567.5, "#,##0", "1,234,568"),
        (0.1 + 0.2 - 0.05, "0.0", "0.3"),
        (0.45, "0.0%", "45.0%"),
        (0.1234, "0.0 %", "12.3 %"),
        (1234.5, "[$€-407]#,##0.00", "€1,234.50"),
        (12000, "0.0,", "12.0"),
        (7, "000", "007"),
        (12345, "0.00E+00", "1.23E+04"),
        (1.25, "# ?/?", "1 1/4"),
        (0.5, "?/8", "4/8"),
        (5, '[<10]"few";[>=10]"many"', "few"),
        (50, '[<10]"few";[>=10]"many"', "many"),
        (5, ";;;", ""),
        (46024, "yyyy-mm-dd", "2026-01-02"),
        (46024.75, "d.m.yy h:mm", "2.1.26 18:00"),
        (46024.75, "mmm d, yyyy h:mm AM/PM", "Jan 2, 2026 6:00 PM"),
        (1.5, "[h]:mm:ss", "36:00:00"),
        (0.5 / 86400, "mm:ss.0", "00:00.5"),
        (59, "d/m/yyyy", "28/2/1900"),
        (61, "d/m/yyyy", "1/3/1900"),
        (46024, "dddd", "Friday"),
        (3, "@", "3"),
        (-0.001, "0.0", "0.0"),
        (1e300, "yyyy", "1E+300"),
    ],
)
def test_numbers_are_shown_as_in_excel(value: float, code: str, expected: str) -> None:
    assert cells.shown(value, code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("General", "x"),
        (";;;", ""),
        ("0;-0;0;@", "x"),
        ('0;-0;0;"~ "@', "~ x"),
        ('@" m"', "x m"),
        ("0;-0", "x"),
        ("0.0", "x"),
    ],
)
def test_texts_are_shown_as_in_excel(code: str, expected: str) -> None:
    assert cells.text_shown("x", code) == expected
    styles = (
        f"<numFmts><numFmt numFmtId='170' formatCode='{code}'/></numFmts><cellXfs><xf/><xf numFmtId='170'/></cellXfs>"
    )
    made = data("<row><c s='1' t='inlineStr'><is><t>x</t></is></c><c><v>1</v></c><c><v>2</v></c></row>")
    assert shape(made, styles=styles) == [("row", f"{expected} | 1 | 2")]


def test_dates_may_count_from_1904() -> None:
    assert cells.shown(0, "yyyy-mm-dd", since_1904=True) == "1904-01-01"
    assert cells.shown(46024, cells.BUILT_IN[14]) == "2026-01-02"


@given(st.floats(), st.text(alphabet='0#?,.%;"\\[]<>=1E+-/@ymdhsAPMGeneral_* ', max_size=20))
def test_any_number_is_shown_in_any_format(value: float, code: str) -> None:
    assert isinstance(cells.shown(value, code), str)


def test_a_far_cell_takes_no_memory() -> None:
    far = '<row r="1048576"><c r="A1048576"><v>1</v></c><c r="XFD1048576"><v>2</v></c></row>'
    ((_, _, blocks),) = records(xlsx({"S": data(row("a", "b"), far)}))
    assert [len(block.cells) for block in blocks[1:]] == [2, 1000]
    assert [blocks[2].text[i:j] for i, j in (blocks[2].cells[0], blocks[2].cells[1], blocks[2].cells[-1])] == [
        "1",
        "",
        "2",
    ]


def test_workbooks_made_to_fill_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MAX_SHARED_BYTES", 1000)
    monkeypatch.setattr(spreadsheets, "MAX_TEXT_CHARACTERS", 1000)
    with pytest.raises(FileExcessive, match=r"refused: a\.xlsx: its cells share more than 1000 bytes of text"):
        records(xlsx({"S": data(row(1))}, strings=f"<si><t>{'x' * 2000}</t></si>"))
    many = data(row(*["<c t='s'><v>0</v></c>"] * 20))
    with pytest.raises(FileExcessive, match=r"refused: a\.xlsx: one of its sheets shows more than 1000 characters"):
        records(xlsx({"S": many}, strings=f"<si><t>{'x' * 100}</t></si>"))


def test_another_programs_document_is_an_error() -> None:
    with pytest.raises(FileDamaged, match="it is another program's document"):
        records(archive({"xl/workbook.xml": "<document/>"}))


def test_the_text_is_the_rows() -> None:
    (found,) = spreadsheets.read(io.BytesIO(xlsx({"S": data(row("a", 1), row("b", 2))})), "a.xlsx", FormatOptions())
    assert "".join(text_of(found.blocks)) == "S\n\na | 1\nb | 2"
