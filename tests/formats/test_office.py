"""Tests reading PDF, DOCX and EPUB."""

from __future__ import annotations

import io
import os
import struct
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from office import PICTURE, RELATIONS, W, archive, docx, epub, paragraph, pdf
from reading import Read, read, text

from edgeqa import errors
from edgeqa.formats import archive as archives
from edgeqa.formats.blocks import (
    ExtraMissing,
    FileDamaged,
    FileEncrypted,
    FileExcessive,
    FormatOptions,
    TextMissing,
    text_of,
)
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Document = Callable[[str, bytes], Path]


@pytest.fixture
def document(tmp_path: Path) -> Document:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


# --- DOCX ------------------------------------------------------------------------------------------------------------


def item(content: str) -> str:
    return f'<w:p><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>{content}</w:t></w:r></w:p>'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (paragraph("One") + paragraph("two &amp; three"), "One\n\ntwo & three"),
        ("<w:p><w:r><w:t>wo</w:t></w:r><w:r><w:t xml:space='preserve'>rd </w:t><w:t>x</w:t></w:r></w:p>", "word x"),
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/></w:r></w:p>", "a b\nc-"),
        (paragraph("x") + item("one") + item("two") + paragraph("y"), "x\n\n- one\n- two\n\ny"),
        (
            f"<w:tbl><w:tr><w:tc>{paragraph('A')}</w:tc><w:tc>{paragraph('B')}</w:tc></w:tr>"
            f"<w:tr><w:tc>{paragraph('1')}</w:tc><w:tc>{paragraph('2')}</w:tc></w:tr></w:tbl>{paragraph('y')}",
            "A | B\n1 | 2\n\ny",
        ),
        (
            "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>",
            "new",
        ),
        (f"<w:moveFrom>{paragraph('from')}</w:moveFrom><w:moveTo>{paragraph('to')}</w:moveTo>", "to"),
        (
            "<w:p><AlternateContent><Choice><w:t>a</w:t></Choice><Fallback><w:t>a</w:t></Fallback></AlternateContent></w:p>",
            "a",
        ),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>", ""),
    ],
)
def test_the_text_of_a_word_document(document: Document, body: str, expected: str) -> None:
    assert text(document("a.docx", docx(body))) == expected


def test_a_word_document_is_titled_after_its_first_heading_or_its_properties(document: Document) -> None:
    core = '<p xmlns:dc="x"><dc:title>Of the  properties</dc:title><dc:creator>no</dc:creator></p>'
    headed = paragraph("x") + paragraph("The heading", "Heading1") + paragraph("Second", "Heading1")
    path = document("a.docx", docx(headed, core=core))
    assert read(path) == [Read(str(path), "The heading", "x\n\nThe heading\n\nSecond")]
    assert read(document("a.docx", docx(paragraph("x"), core=core)))[0].title == "Of the properties"
    assert read(document("a.docx", docx(paragraph("x"))))[0].title == ""


def test_notes_come_after_the_text(document: Document) -> None:
    assert text(document("a.docx", docx(paragraph("x"), footnotes=paragraph("note")))) == "x\n\nnote"


def test_a_word_document_is_known_by_its_content(document: Document) -> None:
    assert text(document("a.unknown", docx(paragraph("x")))) == "x"


# --- EPUB ------------------------------------------------------------------------------------------------------------


def test_the_chapters_of_a_book_are_records_in_their_order(document: Document) -> None:
    chapters = {
        "z z.xhtml": "<title/><script src='x'/><h1>One &amp; only</h1><p>text",
        "cover.xhtml": "<body><img/></body>",
        "a.xhtml": "<title>The book</title><p>more",
    }
    path = document("a.epub", epub(chapters))
    assert read(path) == [
        Read(f"{path}#1", "The Book: One & only", "One & only\n\ntext"),
        Read(f"{path}#3", "The Book", "more"),
    ]
    assert [r.text for r in read(document("book", epub({"a": "x"})))] == ["x"]


def test_a_copy_protected_book_is_an_error(document: Document) -> None:
    with pytest.raises(FileEncrypted, match=r"encrypted: .*a\.epub: it is copy-protected"):
        read(document("a.epub", epub({"a b.xhtml": "x"}, encryption="OEBPS/a%20b.xhtml")))
    assert read(document("a.epub", epub({"a.xhtml": "x"}, encryption="OEBPS/font.ttf")))


def book(package: str, parts: dict[str, str] | dict[str, str | bytes], container: str | None = None) -> bytes:
    """Returns a book with this package."""
    found = {"mimetype": "application/epub+zip", "OEBPS/a.opf": package, **parts}
    whole = container or '<container><rootfiles><rootfile full-path="OEBPS/a.opf"/></rootfiles></container>'
    return archive({**found, "META-INF/container.xml": whole} if whole != "none" else found)


ITEM = '<item id="{0}" href="{1}" media-type="{2}"/>'
SPINE = '<spine><itemref idref="a"/><itemref idref="b"/></spine>'
PAGE = "application/xhtml+xml"


@pytest.mark.parametrize(
    ("items", "spine"),
    [
        ([("a", "a.xhtml", PAGE), ("b", "b%20c.xhtml", PAGE)], SPINE),
        ([("a", "/OEBPS/a.xhtml", PAGE), ("b", "OEBPS/b c.xhtml#top", PAGE)], SPINE),
        (
            [("a", "A.XHTML", "Application/XHTML+XML; charset=utf-8"), ("b", ".\\b c.xhtml", "text/x-oeb1-document")],
            SPINE,
        ),
        ([("a", "./x/../a.xhtml", "application/xml"), ("b", "b c.xhtml", ""), ("c", "c.png", "image/png")], SPINE),
        ([("a", "a.xhtml", PAGE), ("b", "b c.xhtml", "")], "<spine/>"),
        (
            [("a", "a.xhtml", PAGE), ("i", "c.svg", "image/svg+xml"), ("b", "b c.xhtml", "")],
            SPINE.replace('"b"/>', '"i"/><itemref idref="b"/>'),
        ),
    ],
)
@pytest.mark.parametrize("container", [None, "none", "\n<?xml version='1.0'?><rootfile full-path='OEBPS/a.opf'>&nbsp;"])
def test_a_books_package_is_read_leniently(
    document: Document, items: list[tuple[str, str, str]], spine: str, container: str | None
) -> None:
    listed = "".join(ITEM.format(*item) for item in items)
    package = (
        f"\n<?xml version='1.0'?><opf:package><dc:title>A&nbsp;book</dc:title><manifest>{listed}</manifest>{spine}"
    )
    parts = {"OEBPS/a.xhtml": "<h1>One</h1>", "OEBPS/b c.xhtml": "<h1>Two</h1>"}
    path = document("a.epub", book(package, parts, container))
    found = [(record.title, record.text) for record in read(path)]
    assert found == [("A\xa0book: One".replace("\xa0", " "), "One"), ("A book: Two", "Two")]


def test_a_missing_chapter_is_named_and_the_others_are_read(document: Document) -> None:
    items = "".join(ITEM.format(*item) for item in [("a", "a.xhtml", PAGE), ("b", "gone.xhtml", PAGE)])
    spine = '<spine><itemref idref="b"/><itemref idref="a"/><itemref idref="x"/></spine>'
    path = document("a.epub", book(f"<manifest>{items}</manifest>{spine}", {"OEBPS/a.xhtml": "<p>One"}))
    (source,) = walk([path], FormatOptions())
    assert ["".join(text_of(record.blocks)) for record in source.records()] == ["One"]
    assert source.notes == [
        (f"{path}#1", "the book names 'gone.xhtml', but has no such part"),
        (f"{path}#3", "the book names 'x', but has no such part"),
    ]


@pytest.mark.parametrize(
    ("href", "part"),
    [
        (" a.xhtml?x=1 ", "OEBPS/a.xhtml"),
        ("f\u00fcr.xhtml", "OEBPS/fu\u0308r.xhtml"),
        ("a%2520b.xhtml", "OEBPS/a b.xhtml"),
        ("text/a.xhtml", "OEBPS/Text2/a.xhtml"),
        ("a.xhtml", "OEBPS\\A.xhtml"),
        ("a b.xhtml", "OEBPS/a%20b.xhtml"),
    ],
)
def test_a_chapter_is_found_however_it_is_named(document: Document, href: str, part: str) -> None:
    package = f"<manifest>{ITEM.format('a', href, PAGE)}</manifest><spine><itemref idref='a'/></spine>"
    assert [record.text for record in read(document("a.epub", book(package, {part: "<p>One"})))] == ["One"]


def test_a_book_may_be_in_the_file_in_another_form_too(document: Document) -> None:
    container = '<rootfile full-path="a.pdf" media-type="application/pdf"/><rootfile full-path="OEBPS/a.opf"/>'
    package = f"<manifest>{ITEM.format('a', 'a.xhtml', PAGE)}</manifest>"
    parts = {"OEBPS/a.xhtml": "<p>One", "a.pdf": "%PDF-1.7"}
    assert [record.text for record in read(document("a.epub", book(package, parts, container)))] == ["One"]


def test_a_chapter_that_is_not_in_the_encoding_of_books_is_read_as_windows_has_it(document: Document) -> None:
    package = f"<manifest>{ITEM.format('a', 'a.xhtml', PAGE)}</manifest>"
    parts: dict[str, str | bytes] = {"OEBPS/a.opf": package, "OEBPS/a.xhtml": "<p>Müller, 5  cafÃ©".encode("latin-1")}
    assert [record.text for record in read(document("a.epub", book("", parts)))] == ["Müller, 5 € café"]


def test_a_damaged_chapter_is_named_and_the_others_are_read(document: Document) -> None:
    made = bytearray(epub({"a.xhtml": "<p>" + "12 metres " * 99, "b.xhtml": "<p>\0One\0", "c.xhtml": ""}))
    begin = made.index(b"OEBPS/a.xhtml") + len("OEBPS/a.xhtml")
    made[begin + 1] ^= 0x7F
    path = document("a.epub", bytes(made))
    (source,) = walk([path], FormatOptions())
    assert ["".join(text_of(record.blocks)) for record in source.records()] == ["One"]
    assert source.notes == [(f"{path}#1", "its part 'OEBPS/a.xhtml' is damaged")]


def test_a_book_of_chapters_that_are_not_there_says_so(document: Document) -> None:
    package = f"<manifest>{ITEM.format('a', 'gone.xhtml', PAGE)}</manifest><spine><itemref idref='a'/></spine>"
    with pytest.raises(FileDamaged, match=r"it names chapters that are not in it, as 'gone\.xhtml'"):
        read(document("a.epub", book(package, {})))


def test_what_stands_in_for_no_page_is_read(document: Document) -> None:
    items = '<item id="a" href="a.pdf" media-type="application/pdf" fallback="b"/>' + ITEM.format("b", "b.xhtml", PAGE)
    package = f"<manifest>{items}</manifest><spine><itemref idref='a'/></spine>"
    assert [record.text for record in read(document("a.epub", book(package, {"OEBPS/b.xhtml": "<p>One"})))] == ["One"]


def test_the_style_sheets_of_a_book_say_what_is_hidden_or_raised(document: Document) -> None:
    links = "<link rel='stylesheet' href='../s%201.css'/><link rel='alternate stylesheet' href='../t.css'/>"
    seen = "<p>10<span class='up'>6</span> <b class='h'>99</b><i class='t'>seen</i></p>"
    page = f"<html><head>{links}</head>{seen}</html>"
    parts = {
        "OEBPS/x/a.xhtml": page,
        "OEBPS/s 1.css": ".up{vertical-align:super}.h{display:none}",
        "OEBPS/t.css": ".t{display:none}",
    }
    package = f"<manifest>{ITEM.format('a', 'x/a.xhtml', PAGE)}</manifest><spine><itemref idref='a'/></spine>"
    assert [record.text for record in read(document("a.epub", book(package, parts)))] == ["10^6 seen"]


def test_a_books_package_may_be_in_any_encoding_that_it_declares(document: Document) -> None:
    package = (
        "<?xml version='1.0' encoding='iso-8859-1'?><!DOCTYPE package [<!ENTITY x 'B\xfccher'>]>"
        f"<dc:title>&x; <b>\xfc</b></dc:title><manifest>{ITEM.format('a', 'a.xhtml', PAGE)}</manifest>"
    )
    parts: dict[str, str | bytes] = {"OEBPS/a.opf": package.encode("latin-1"), "OEBPS/a.xhtml": "<p>One"}
    made = book("", parts)
    assert [record.title for record in read(document("a.epub", made))] == ["B\xfccher \xfc"]


def test_what_a_book_names_again_is_read_once(document: Document) -> None:
    """Nor is it noted again: a small file could name one part for ever."""
    names = [("a", "a.xhtml"), ("b", "b.xhtml#top"), ("c", "./A.xhtml#end"), ("gone", "gone.xhtml")]
    items = "".join(ITEM.format(*name, PAGE) for name in names)
    order = "".join(f'<itemref idref="{name}"/>' for name in ["a", "b", "c", "gone", "x"] * 4000)
    pages = {"OEBPS/a.xhtml": "<p>One", "OEBPS/b.xhtml": "<p>Two"}
    path = document("a.epub", book(f"<manifest>{items}</manifest><spine>{order}</spine>", pages))
    (source,) = walk([path], FormatOptions())
    found = [(record.name, "".join(text_of(record.blocks))) for record in source.records()]
    assert found == [(f"{path}#1", "One"), (f"{path}#2", "Two")]
    assert [place for place, _ in source.notes] == [f"{path}#4", f"{path}#5"]


def test_a_book_without_text_is_an_error(document: Document) -> None:
    with pytest.raises(TextMissing, match=r"no text in .*a\.epub"):
        read(document("a.epub", epub({"a.xhtml": "<img/>"})))


# --- PDF -------------------------------------------------------------------------------------------------------------


def test_the_pages_of_a_pdf_are_records(document: Document) -> None:
    path = document(
        "a.pdf", pdf([["The pump is rated IP68.", "It is blue."], [], ["Caf\xe9"]], title="Microsoft Word - Pump")
    )
    assert read(path) == [
        Read(f"{path}#1", "Pump", "The pump is rated IP68.\nIt is blue."),
        Read(f"{path}#3", "Pump", "Café"),
    ]
    assert [r.text for r in read(document("unknown", pdf([["text"]])))] == ["text"]


def test_a_word_cut_at_the_end_of_a_line_is_put_together(document: Document) -> None:
    assert text(document("a.pdf", pdf([["a sub-", "mersible pump"]]))) == "a submersible pump"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a sub-", "mersible pump"], "a submersible pump"),
        (["the seal ABC-", "001 of X-", "rays"], "the seal ABC-001 of X-rays"),
        (["non-", "potable and cost-", "effective"], "non-potable and cost-effective"),
        (["the state-of-the-", "art part, Smith-", "Jones"], "the state-of-the-art part, Smith-Jones"),
        (["see a/b-", "c.txt in 1995-", "2000"], "see a/b-c.txt in 1995-2000"),
        (["the zorgs-", "blat, a zorgs-blat"], "the zorgs-blat, a zorgs-blat"),
        (["the mega-", "watt, a megawatt"], "the megawatt, a megawatt"),
        (["pages 3\u2013", "5 of it"], "pages 3\u20135 of it"),
        (["along the x-", "axis"], "along the x-axis"),
    ],
)
def test_a_hyphen_at_a_lines_end_stays_where_it_belongs(document: Document, lines: list[str], expected: str) -> None:
    assert " ".join(text(document("a.pdf", pdf([lines]))).split()) == expected


def blocks(path: Path) -> list[tuple[str, int, str]]:
    (source,) = walk([path], FormatOptions())
    return [(block.kind, block.level, block.text) for record in source.records() for block in record.blocks]


SIX = ") Tj 4 Ts /F1 7 Tf ({}) Tj 0 Ts /F1 11 Tf ("
TWO = ") Tj -2 Ts /F1 7 Tf ({}) Tj 0 Ts /F1 11 Tf ("


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"The tank holds 10{SIX.format(6)} litres.", "The tank holds 10^6 litres."),
        ("The tank holds 10) Tj 4 Ts (6) Tj 0 Ts ( litres.", "The tank holds 10^6 litres."),
        (f"It takes 10{SIX.format(-6)}5 seconds.", "It takes 10^-6 5 seconds."),
        (f"The log{TWO.format(2)}8 of H{TWO.format(2)}O.", "The log2 8 of H2O."),
        (f"A pipe of 1{SIX.format(1)}/{TWO.format(2)} inch.", "A pipe of 1 1/2 inch."),
        (f"Built in 1932{SIX.format(1)} on the 19{SIX.format('th')}.", "Built in 1932^1 on the 19th."),
        (f"{SIX.format(1)}12 metres is the depth.", "1 12 metres is the depth."),
    ],
)
def test_numbers_at_different_heights_of_a_page_stay_apart(document: Document, line: str, expected: str) -> None:
    assert [record.text for record in read(document("a.pdf", pdf([[line]])))] == [expected]


def test_a_damaged_page_is_named_and_the_others_are_read(document: Document) -> None:
    path = document("a.pdf", pdf([["one"], ["two"]]).replace(b"/Type /Page /", b"/Type /Pagx /", 1))
    (source,) = walk([path], FormatOptions())
    assert ["".join(text_of(record.blocks)) for record in source.records()] == ["two"]
    assert source.notes == [(f"{path}#1", f"not a readable PDF file: {path}: page 1: Failed to load page.")]
    with pytest.raises(FileDamaged, match="page 1"):
        read(document("a.pdf", pdf([["one"]]).replace(b"/Type /Page /", b"/Type /Pagx /")))


def test_text_on_a_slant_is_left_as_it_is(document: Document) -> None:
    for matrix in ("0.9 0.4 -0.4 0.9 99 99", "0 1 -1 0 99 99"):
        path = document("a.pdf", pdf([[f") Tj {matrix} Tm (holds 1066 litres"]]))
        assert "1066" in read(path)[0].text


def test_the_outline_of_a_pdf_says_what_headings_are(document: Document) -> None:
    pages = [["1. Pumps", "They pump."], ["and pump on.", "2 Motors", "They turn."]]
    path = document("a.pdf", pdf(pages, title="Manual", outline=[("Pumps", 0), ("2 Motors", 1)]))
    assert blocks(path) == [
        ("heading", 1, "1. Pumps"),
        ("paragraph", 0, "They pump."),
        ("paragraph", 0, "and pump on."),
        ("heading", 1, "2 Motors"),
        ("paragraph", 0, "They turn."),
    ]
    assert [record.title for record in read(path)] == ["Manual: Pumps", "Manual: Pumps"]


def test_short_lines_end_paragraphs_and_aligned_columns_are_rows(document: Document) -> None:
    long = "This line is as long as the page is wide, and so the paragraph goes on after it"
    lines = [long, "until here.", long, "and here.", "• one", "• two", "last", "on"]
    assert [(kind, found) for kind, _, found in blocks(document("a.pdf", pdf([lines])))] == [
        ("paragraph", f"{long}\nuntil here."),
        ("paragraph", f"{long}\nand here."),
        ("item", "• one"),
        ("item", "• two\nlast\non"),
    ]
    rows = ["Pump\tDepth", "P-1\t12 m", "P-2\t15 m"]
    found = blocks(document("a.pdf", pdf([[long, *rows]])))
    assert [one[2] for one in found] == [long, "Pump | Depth", "P-1 | 12 m", "P-2 | 15 m"]
    assert [one[0] for one in found] == ["paragraph", "row", "row", "row"]


def test_a_scanned_page_is_named_as_such(document: Document) -> None:
    (source,) = walk([document("a.pdf", pdf([["text"], [PICTURE], []]))], FormatOptions())
    assert [record.name.rpartition("#")[2] for record in source.records()] == ["1"]
    ((name, why),) = source.notes
    assert name.endswith("a.pdf#2")
    assert why.startswith("a scanned page: a picture of text")


def test_a_pdf_without_text_or_password_is_an_error(document: Document) -> None:
    with pytest.raises(TextMissing, match=r"no text in .*a\.pdf") as raised:
        read(document("a.pdf", pdf([[], []])))
    assert "ocrmypdf" in raised.value.hint
    with pytest.raises(FileEncrypted, match=r"encrypted: .*a\.pdf: it needs a password"):
        read(document("a.pdf", pdf([["x"]], encrypted=True)))


def test_without_the_extra_a_pdf_is_an_error_that_says_how_to_get_it(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(ExtraMissing, match="PDF files need pypdfium2, which is not installed") as raised:
        read(document("a.pdf", pdf([["x"]])))
    assert raised.value.hint == "pip install 'edgeqa[docs]'"


# --- whatever can be wrong -------------------------------------------------------------------------------------------

GOOD = {
    "a.docx": docx(paragraph("x") * 50),
    "a.epub": epub({"a.xhtml": "<p>x" * 50}),
    "a.pdf": pdf([["x"] * 50]),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04", b"%PDF-1.4", b"\0" * 100])
def test_another_files_content_is_an_error(document: Document, name: str, data: bytes) -> None:
    with pytest.raises(errors.FormatError, match=name):
        read(document(name, data))


def outcome(path: Path) -> list[str] | None:
    """Returns the texts, or None if the file is refused with an error that names it."""
    try:
        return [record.text for record in read(path)]
    except errors.ContextError as error:
        return None if path.name in str(error) else [str(error)]


@pytest.mark.parametrize("name", ["a.docx", "a.epub"])
def test_every_cut_and_every_flipped_byte_is_an_error_or_the_text(document: Document, name: str) -> None:
    good = GOOD[name]
    flipped = [good[:at] + bytes([good[at] ^ 0x40]) + good[at + 1 :] for at in range(0, len(good), 7)]
    found = [outcome(document(name, data)) for data in (*flipped, *(good[:at] for at in range(0, len(good), 7)))]
    # Where the change is in what nobody reads, the text is the same; where it is in the media type, there is none.
    assert all(texts in (None, [], outcome(document(name, good))) for texts in found)
    assert found.count(None) > len(found) // 4


def test_a_file_of_the_office_before_2007_is_an_error(document: Document) -> None:
    with pytest.raises(FileEncrypted, match="with a password, or in the format that Office had before 2007"):
        read(document("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)))


def test_another_programs_document_is_an_error(document: Document) -> None:
    sheet = {"_rels/.rels": RELATIONS.replace("word/document", "xl/workbook"), "xl/workbook.xml": "<workbook/>"}
    with pytest.raises(FileDamaged, match="it is another program's document"):
        read(document("a.docx", archive(sheet)))
    with pytest.raises(FileDamaged, match=r"it has no part 'word/document\.xml'"):
        read(document("a.docx", archive({"a": "b"})))
    with pytest.raises(FileDamaged, match=r"it has no part 'META-INF/container\.xml'"):
        read(document("a.epub", archive({"a": "b"})))


def encrypted(name: str) -> bytes:
    """Returns the file with all its parts marked as encrypted."""
    data = bytearray(GOOD[name])
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


@pytest.mark.parametrize("name", ["a.docx", "a.epub"])
def test_a_part_with_a_password_is_an_error(document: Document, name: str) -> None:
    with pytest.raises(FileEncrypted, match="has a password"):
        read(document(name, encrypted(name)))


def test_an_archive_made_to_fill_memory_is_refused(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1 << 20)
    bomb = archive({"word/document.xml": f"<w:document {W}><w:p>" + "<w:r/>" * 400_000 + "</w:p></w:document>"})
    assert len(bomb) < 10_000
    with pytest.raises(FileExcessive, match="it unpacks to more than 1048576 bytes"):
        read(document("a.docx", bomb))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<w:p>" * 2000, "nested more than 1000 deep"),
        (f"<w:p a='{'x' * (1 << 24)}'/>", "longer than 8388608 bytes"),
        ("<w:p>", "not XML: mismatched tag"),
    ],
)
def test_xml_that_no_program_writes_is_refused(document: Document, body: str, message: str) -> None:
    with pytest.raises(errors.FormatError, match=message):
        read(document("a.docx", docx(body)))


@pytest.mark.parametrize("encoding", ["UTF-0", "UTF-7", "shift_jis"])
def test_xml_in_an_encoding_that_is_not_known_is_damaged(document: Document, encoding: str) -> None:
    part = f"<?xml version='1.0' encoding='{encoding}'?><document/>"
    with pytest.raises(FileDamaged, match="not XML: "):
        read(document("a.docx", archive({"word/document.xml": part})))


@pytest.mark.parametrize(
    "entities",
    [
        "<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>",
        "<!ENTITY c SYSTEM 'file:///etc/passwd'>",
        "<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;",
    ],
)
def test_entities_are_refused(document: Document, entities: str) -> None:
    xml = f"<!DOCTYPE d [{entities}]><w:document {W}><w:p><w:t>&c;</w:t></w:p></w:document>"
    with pytest.raises(FileExcessive, match="it defines entities"):
        read(document("a.docx", archive({"word/document.xml": xml})))


def test_a_list_of_parts_that_fills_memory_is_refused(document: Document) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 1 << 25, 0, 0)
    with pytest.raises(FileExcessive, match="its list of parts is too long"):
        read(document("a.docx", b"PK\x03\x04" + bytes(100) + end))


@pytest.mark.parametrize("name", GOOD)
def test_a_document_that_changes_while_it_is_read_is_an_error(document: Document, name: str) -> None:
    path = document(name, GOOD[name])
    (source,) = walk([path], FormatOptions())
    records = source.records()
    "".join(text_of(next(records).blocks))
    with path.open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(errors.ContextChanged):
        list(records)


@pytest.mark.parametrize("name", GOOD)
def test_a_document_comes_through_a_pipe_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    padding = b"" if name == "a.pdf" else os.urandom(5 << 20)
    data = GOOD[name]
    if padding:  # so that the copy is on disk
        out = io.BytesIO(data)
        with zipfile.ZipFile(out, "a") as made:
            made.writestr("padding", padding)
        data = out.getvalue()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert "x" in read("-", format=name[2:])[0].text
