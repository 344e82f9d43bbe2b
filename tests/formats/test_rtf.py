r"""Tests reading RTF: what a word processor shows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import text as text_of_file

from edgeqa.formats import rtf, stories
from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOptions

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.formats.blocks import Block

HEAD = (
    rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset2 Symbol;}}"
    rb"{\colortbl;\red0\green0\blue0;}"
    rb"{\stylesheet{\s0 Normal;}{\s1\outlinelevel4 heading 1;}{\s2\outlinelevel1 Kapitel;}}"
    rb"{\info{\title The title}{\author Ann}}{\*\generator Me;}{\header head}{\footer foot}"
)


def blocks(body: bytes, step: int = 1 << 16) -> list[Block]:
    data = HEAD + body + b"}"
    pieces = iter([data[at : at + step] for at in range(0, len(data), step)])
    return [block for r in rtf.read(pieces, "a.rtf", FormatOptions()) for block in r.blocks]


def text(body: bytes) -> str:
    return "".join(block.before + block.text for block in blocks(body))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb"One\par two\line three\par", "One\n\ntwo\nthree"),
        (rb"a\tab b\~c\_d\-e \emdash  \'e9 \u8364? \{x\}\\", "a b\xa0c-de — é € {x}\\"),
        (rb"split \b wo\b0 rd" b"\r\n" rb"s", "split words"),
        (rb"\uc2\u1055\'cf\'cfx \uc0\u1044 y \uc1{\u1046 ?}z", "Пx Дy Жz"),
        (rb"\u-10179?\u-8704?.", "😀."),
        (rb"{\f1 \'cf\'f0}{\f2 m\'b3} {\f2\u-3988?}", "Прμ≥ λ"),
        (rb"10{\super 6} l, H{\sub 2}O, 10{\up8 3}", "10^6 l, H2O, 10^3"),
        (rb"10{\super 6}5 log{\sub 2}8 1{\super 1}/{\sub 2} in", "10^6 5 log2 8 1 1/2 in"),
        (rb"sub{\shp{\*\shpinst{\sp{\sn a}{\sv 99}}{\shptxt box}}{\shprslt 99}}merged\par", "submerged\n\nbox"),
        (rb"a{\*\do\dobxcolumn{\dptxbxtext\pard box\par}}b\par c", "ab\n\nbox\n\nc"),
        (rb"a\column b\par" b"\0", "a\n\nb"),
        (rb"seen {\v 99}here\v 99\v0 , {\deleted 99}too", "seen here, too"),
        (rb"{\field{\*\fldinst PAGE 99}{\fldrslt 7}} {\*\unknown 99}{\pict 99}{\xe 99}{\*\bkmkstart 99}x", "7 x"),
        (rb"{\upr{99}{\*\ud{seen}}} {\*\annotation 99}{\shp{\*\shpinst{\shptxt box\par}}}", "seen\n\nbox"),
        (rb"a{\footnote \chftn{} the note}b\par c", "ab\n\nc\n\nthe note"),
        (rb"{{a}{{\v 99}b{}{\super 2}c}}{\v 99{99}}d{\pict {99}}{{\pict 99}e}", "ab^2cde"),
        (rb"{\footnote{{n}}}a{{\v{99}\v0 b}c}", "abc\n\nn"),
        (rb"\ansicpg932 {\'83}{\'41}", "ア"),
        (rb"\pard seen{\nonesttables 99\par}", "seen"),
        (rb"\bin5 }}\}}x", "x"),
        (rb"a\par}trailing}{", "a\n\ntrailing"),
        (rb"1{\field{\*\fldinst EQ \\f(1,2)}} in {\field{\*\fldinst EQ \\f(1,3)}{\fldrslt 5}}", "1 1/2 in 5"),
        (rb'{\field{\*\fldinst {EQ \\* jc2 \\* "Font:A" \\o\\ad(\\s\\up 9(toukyou),Tokyo)}}}.', "Tokyo (toukyou)."),
        (rb'5 {\field{\*\fldinst SYMBOL 109 \\f "Symbol"}}m {\v{\field{\*\fldinst EQ \\f(1,2)}}}', "5 μm"),
        (rb"{\field{\*\fldinst A{\*\formfield{\fftype1\ffres25\ffdefres1}}}{\fldrslt }} yes", "☒ yes"),
        (rb"{\field{\*\fldinst A{\*\formfield{\fftype2\ffres1{\*\ffl one}{\*\ffl t\'e9}}}}{\fldrslt }}", "té"),
        (rb"{\field{\*\fldinst A{\*\formfield{\fftype0{\*\ffdeftext 99}}}}{\fldrslt 12}} m", "12 m"),
        (rb"3{\mmath{\*\moMath{\mf{\*\mfPr{\*\mctrlPr 9}}{\mnum{\mr\mscr0 1}}{\mden{\mr 2}}}}} cups", "3 1/2 cups"),
        (rb"{\*\moMathPara{\*\moMathParaPr 9}{\*\moMath{\mr E=m}{\msSup{\me{\mr c}}{\msup{\mr\u178?}}}}}", "E=mc^²"),
        (rb"{\*\moMath{\md{\*\mdPr{\mbegChr [}{\mendChr ]}}{\me{\mr x}}}}", "[x]"),
        (rb"{\*\moMath{\mrad{\mdeg{\mr 3}}{\me{\mr y}}}}", "y^(1/3)"),
    ],
)  # fmt: skip
def test_what_is_shown(body: bytes, expected: str) -> None:
    assert text(body) == expected


def test_headings_items_and_title() -> None:
    body = (
        rb"\pard\s1 Lease\par\pard\s2 Rent\par\pard\outlinelevel2 Deep\par\pard Text\par"
        rb"{\listtext\f2\'b7\tab}\pard dot\par{\listtext 1.\tab}\pard\ilvl1 one\par{\pntext 2.\tab}two\par\pard end"
    )
    assert [(block.kind, block.level, block.text) for block in blocks(body)] == [
        ("heading", 1, "Lease"),
        ("heading", 2, "Rent"),
        ("heading", 3, "Deep"),
        ("paragraph", 0, "Text"),
        ("item", 1, "- dot"),
        ("item", 2, "1. one"),
        ("item", 2, "2. two"),
        ("paragraph", 0, "end"),
    ]
    for body, title in ((rb"\s1 Head\par", "Head"), (rb"x", "The title")):
        (record,) = rtf.read(iter([HEAD + body + b"}"]), "a.rtf", FormatOptions())
        assert (record.name, record.title) == ("a.rtf", title)


def test_tables_are_rows() -> None:
    def row(*cells: bytes, more: bytes = b"") -> bytes:
        return rb"\trowd" + more + rb"\pard\intbl " + rb"\cell ".join([*cells, b""]) + rb"\row "

    three = rb"\cellx1\cellx2\cellx3"
    body = (
        rb"before\par "
        + row(b"Pump", b"Depth", b"Weight", more=rb"\trhdr" + three)
        + row(b"A", b"12", b"", more=rb"\clvmgf\cellx1\clmgf\cellx2\clmrg\cellx3")
        + row(b"", b"3", b"4", more=rb"\clvmrg\cellx1\cellx2\cellx3")
        + rb"\pard after\par"
    )
    found = blocks(body)
    assert [(b.kind, [b.text[i:j] for i, j in b.cells] or b.text) for b in found] == [
        ("paragraph", "before"),
        ("header", ["Pump", "Depth", "Weight"]),
        ("row", ["A", "12", "12"]),
        ("row", ["A", "3", "4"]),
        ("paragraph", "after"),
    ]


@pytest.mark.parametrize("step", [1, 3, 64])
def test_it_does_not_matter_how_it_comes(step: int) -> None:
    body = rb"\pard\s1 Lease\par\pard \u8364?\'e9 10{\super 6} {\bin4 {{}}}text\par"
    assert blocks(body, step) == blocks(body)


def test_what_is_no_rtf_or_made_to_fill_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"text", b"PK\3\4"):
        with pytest.raises(FileDamaged, match=r"not a readable RTF file: a\.rtf: it does not begin with"):
            list(rtf.read(iter([data]), "a.rtf", FormatOptions()))
    with pytest.raises(FileDamaged, match="it is empty"):
        list(rtf.read(iter([]), "a.rtf", FormatOptions()))
    with pytest.raises(FileExcessive, match=r"refused: a\.rtf: its groups are nested more than 1000 deep"):
        text(b"{" * 2000)
    monkeypatch.setattr(stories, "MAX_HELD_CHARACTERS", 100)
    with pytest.raises(FileExcessive, match="its notes and text boxes hold more than 100 characters"):
        text(rb"{\footnote " + b"x" * 200 + b"}")


WORDS = [
    *(b"{", b"}", rb"\par ", rb"\cell ", rb"\row ", rb"\trowd ", rb"\intbl ", rb"\pard ", rb"\super ", rb"\v "),
    *(rb"\footnote ", b"x ", rb"\u-3913?", rb"\'e9", rb"\s1 ", rb"\*", rb"\listtext ", rb"\clmrg\cellx9 ", rb"\bin9 "),
    *(rb"\fonttbl ", b";", rb"\upr ", rb"\line ", rb"{\field ", rb"\*\fldinst ", rb"{\*\formfield ", rb"\ffl ", b"EQ "),
    *(rb"{\*\moMath ", rb"{\mf ", rb"{\mr ", rb"\mbegChr ", rb"\fftype2 "),
]


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_order_of_words_is_read(words: list[bytes]) -> None:
    for block in blocks(b"".join(words)):
        assert block.text


def test_it_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_bytes(rb"{\rtf1 Dear Ann\par}")
    assert text_of_file(path) == "Dear Ann"
