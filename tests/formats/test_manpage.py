"""Tests reading man pages and source code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import text

from edgeqa.formats import manpage, plain, roff
from edgeqa.formats.blocks import FileExcessive, FormatOptions, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.formats.blocks import Block


def blocks(source: str) -> list[Block]:
    return [block for r in manpage.read(iter([source.encode()]), "a.1", FormatOptions()) for block in r.blocks]


def shape(source: str) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in blocks(source)]


MAN = r""".\" comment
.TH PUMP 8 2026\-01\-02 "Pump 1.2" "Pump Manual"
.SH NAME
pump \- raise water
.SH OPTIONS
Options are
these.
.TP
\fB\-d\fR, \fB\-\-depth\fR=\fIMETRES\fR
How deep it is lowered;
.I METRES
may be 12.
.IP
More of it.
.TP
.BR \-v " or " \-\-verbose
Say more.
.PP
.B \-\-level
.RS 4
Of the water.
.IP \(bu 2
high
.IP \(bu 2
low
.RE
.SS "Exit status"
.nf
0  done
1  dry
.fi
Back to \(lqtext\(rq.
"""


def test_the_structure_of_a_man_page() -> None:
    assert shape(MAN) == [
        ("heading", 1, "PUMP(8) Pump Manual"),
        ("heading", 2, "NAME"),
        ("paragraph", 0, "pump - raise water"),
        ("heading", 2, "OPTIONS"),
        ("paragraph", 0, "Options are these."),
        ("term", 1, "-d, --depth=METRES"),
        ("paragraph", 1, "How deep it is lowered; METRES may be 12."),
        ("paragraph", 1, "More of it."),
        ("term", 1, "-v or --verbose"),
        ("paragraph", 1, "Say more."),
        ("term", 1, "--level"),
        ("paragraph", 1, "Of the water."),
        ("item", 2, "- high"),
        ("item", 2, "- low"),
        ("heading", 3, "Exit status"),
        ("code", 0, "0  done\n1  dry"),
        ("paragraph", 0, "Back to “text”."),
        ("paragraph", 0, "Pump 1.2 2026-01-02"),
    ]
    (record,) = manpage.read(iter([MAN.encode()]), "pump.8", FormatOptions())
    assert record.title == "PUMP(8)"


MDOC = r""".Dd January 2, 2026
.Dt PUMP 8
.Os Pump
.Sh NAME
.Nm pump
.Nd raise water
.Sh SYNOPSIS
.Nm
.Op Fl d Ar metres
.Op Fl Fl verbose
.Ar
.Sh DESCRIPTION
The
.Nm
utility, see
.Xr well 7 ,
reads
.Pa /etc/pump.conf
.Pq or Dq none .
.Bl -tag -width indent
.It Fl d Ar metres
Lower it.
.It Fl v , Fl Fl verbose
Say more.
.Bl -bullet
.It
high
.It
low
.El
.El
.Bd -literal
pump  -d 12
.Ed
.Oo Ar user Ns @ Oc Ns Ar host
.Sm off
.Ar a : Ar b
.Sm on
.Ar c
"""


def test_the_structure_of_a_page_in_mdoc() -> None:
    assert shape(MDOC) == [
        ("heading", 1, "PUMP(8) System Manager's Manual"),
        ("heading", 2, "NAME"),
        ("paragraph", 0, "pump — raise water"),
        ("heading", 2, "SYNOPSIS"),
        ("paragraph", 0, "pump [-d metres] [--verbose] file ..."),
        ("heading", 2, "DESCRIPTION"),
        ("paragraph", 0, "The pump utility, see well(7), reads /etc/pump.conf (or “none”)."),
        ("term", 1, "-d metres"),
        ("paragraph", 1, "Lower it."),
        ("term", 1, "-v, --verbose"),
        ("paragraph", 1, "Say more."),
        ("item", 2, "- high"),
        ("item", 2, "- low"),
        ("code", 0, "pump  -d 12"),
        ("paragraph", 0, "[user@]host a:b c"),
        ("paragraph", 0, "Pump January 2, 2026"),
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r".ds v 1.2" "\n" r"Version \*v.", "Version 1.2."),
        (r"10\u\s-26\s0\d l, 10\v'-0.4m'6\v'0.4m'5, H\d2\uO, log\d2\u8", "10^6 l, 10^6 5, H2O, log2 8"),
        (r".de X" "\n" r"\\$1 and \\$2" "\n.." "\n" '.X "a b" c', "a b and c"),
        (".if n shown\n.if t hidden\n.ie t hidden\n.el too", "shown too"),
        (".ie 1>2 \\{\\\nhidden\n.\\}\n.el \\{\\\nshown\n.\\}\nend", "shown end"),
        (".nr x 3\n.if \\nx=3 three\n.if !'a'a' no", "three"),
        (".de Y\n..\n.if dY yes\n.ig\nignored\n..\nend", "yes end"),
        (
            r"10\(di2 \(+- \[u00E9] \('e \[rs] a\fBb\fPc \s-2x\s0 a\&b a\%b \h'-04'\(bu\h'+03'x",
            r"10÷2 ± é é \ abc x ab ab • x",
        ),
        ('.B bold\n.BR a b\n.I "two words"', "bold ab two words"),
        ("a\\c\nb\nc\\\nd", "ab cd"),
        (".so man1/other.1", None),
        (".UR https://example.org\nthe page\n.UE .", "the page ⟨https://example.org⟩."),
        ("one\n two\n\nthree\n.br\nfour", "one\ntwo\n\nthree\nfour"),
        (".de loop\n.loop\n..\nx", "x"),
        ("\\(xx\\[nothing]\\*(zz\\n(yy.", "0."),
        ("caf\xe9", "café"),
    ],
)
def test_what_a_terminal_shows(source: str, expected: str | None) -> None:
    found = list(manpage.read(iter([source.encode("latin-1", "replace")]), "a", FormatOptions()))
    assert [text for r in found for text in ["".join(text_of(r.blocks))]] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('.ds a one\n.as a " two\n\\*a', ["paragraph:0 one two"]),
        (".de X\nfirst\n..\n.am X\nsecond\n..\n.X", ["paragraph:0 first second"]),
        (".de X\nx\n..\n.als Y X\n.rn X Z\n.Z\n.Y\n.rm Z\n.Z\nend", ["paragraph:0 x x end"]),
        (".tr ab\na\\(aq", ["paragraph:0 b'"]),
        (".nop shown\n.do B bold", ["paragraph:0 shown bold"]),
        (".nr x 2\n.nr x +3\n\\nx \\n+x \\n[x]", ["paragraph:0 5 6 6"]),
        (".if r none no\n.if c\\(em yes\n.if e even\n.if o odd", ["paragraph:0 yes odd"]),
        (
            ".ie (1+2)*3=9 yes\n.el no\n.if 7/2=3&5%3=2 and\n.if 1=2:3<>4 or\n.if 5>=5 ge\n.if 4<=3 le\n.if 10/0 zero",
            ["paragraph:0 yes or ge"],
        ),
        (".if \\w'abc'=72 wide", ["paragraph:0 wide"]),
        ("a\\N'65'b\\o'ab'c\\zdx\\C'em'\\[char65]\\s'12'y\\s(12z\\m[red]w\\X'x'", ["paragraph:0 aAbacdx—Ayzw"]),
        (".SH\nName here\n.SS\n.B Bold name\ntext", ["heading:2 Name here", "heading:3 Bold name", "paragraph:0 text"]),
        (
            ".IP 1.\none\n.IP 2.\ntwo\n.IP\nmore\n.IP \\-x\ngloss",
            ["item:1 1. one", "item:1 2. two", "paragraph:1 more", "term:1 -x", "paragraph:1 gloss"],
        ),
        (".EX\ncode  here\n.B bold\n\n.sp\nmore\n.EE\ntext", ["code:0 code  here\nbold\n\n\nmore", "paragraph:0 text"]),
        (".SY cmd\n.OP \\-a file\n.YS\n.MR page 7 ,", ["paragraph:0 cmd [-a file]", "paragraph:0 page(7),"]),
        (".TP\n.B a\n.TQ\n.B b\nboth", ["term:1 a", "term:1 b", "paragraph:1 both"]),
        ("one\n  two \\c\nthree", ["paragraph:0 one\ntwo three"]),
        (
            ".Dd today\n.Dt X 1\n.Os\n.Sh S\n.Rs\n.%A Ann\n.%A Bob\n.%T Title\n.%D 2020\n.Re",
            ["heading:2 S", "paragraph:0 Ann and Bob, Title, 2020.", "paragraph:0 today"],
        ),
        (
            ".Dt X 1\n.Sh S\n.Bl -enum\n.It\none\n.It\ntwo\n.El\n.Bl -column a b\n.It A Ta B\n.It C\tD\n.El\n.Bl -item\n.It\nplain\n.El",
            ["heading:2 S", "item:1 1. one", "item:1 2. two", "row:0 A | B", "row:0 C | D", "paragraph:1 plain"],
        ),
        (
            '.Dt X 3\n.Sh SYNOPSIS\n.In stdio.h\n.Ft int\n.Fn f "int a" "char *b"\n.Fo g\n.Fa "int x"\n.Fa y\n.Fc',
            ["heading:2 SYNOPSIS", "paragraph:0 #include <stdio.h>\nint\nf(int a, char *b); g(int x, y);"],
        ),
        (
            ".Dt X 1\n.Sh S\n.Ss Sub\n.Dl one line\n.Bd -ragged\ntext\n.Ed\n.Bd -literal\n.Ic code x\n\n.Ed\n.Pf a Ar b\n.Bx 4.3\n.Fx 2\n.Ux\n.At\n.Lb libc\n.St -p1003.1\n.Ex -std x\n.Rv -std f\n.Lk http://x name\n.Ap s\n.Xr a 1\n.Fl\n.Ar",
            [
                "heading:2 S",
                "heading:3 Sub",
                "code:0 one line",
                "paragraph:0 text",
                "code:0 code x",
                "paragraph:0 ab 4.3BSD FreeBSD 2 UNIX AT&T UNIX library (libc, -lc) IEEE Std 1003.1 (“POSIX.1”) The x utility exits 0 on success, and >0 if an error occurs. The f() function returns the value 0 if successful; otherwise the value -1 is returned and the global variable errno is set to indicate the error. name <http://x> 's a(1) -file ...",
            ],
        ),
        (
            ".Dt X 1\n.Sh S\n.Bl -tag\n.It Xo\n.Fl a\n.Ar b\n.Xc\ntext\n.El\n.Pq Dq a , b .\n.Do x Dc y\n.Po a\n.Pc\n.br\nz",
            ["heading:2 S", "term:1 -a b", "paragraph:1 text", "paragraph:0 (“a, b”). “x” y (a)\nz"],
        ),
        (
            ".TS\nl l;\nc | c.\na\tb\n=\nc\t\\^\n.T&\nl.\nd\n.TE\nx",
            ["header:0 a | b", "row:0 c", "row:0 d", "paragraph:0 x"],
        ),
        (".TS\nl l.\nT{\n.B bold\ntext\nT}\tT{\nmore\nT}\n.TE", ["row:0 bold text | more"]),
    ],
)
def test_requests_and_macros(source: str, expected: list[str]) -> None:
    found = [f"{block.kind}:{block.level} {block.text}" for block in blocks(source)]
    assert [line for line in found if not line.startswith("heading:1 X(")] == expected


def test_tables_in_man_pages_are_rows() -> None:
    source = ".TS\nallbox tab(:);\nlb lb\nl l.\nName:Depth\nA:T{\n12\nmetres\nT}\n_\nB:\n.TE\nend"
    found = blocks(source)
    assert [(block.kind, block.text) for block in found] == [
        ("header", "Name | Depth"),
        ("row", "A | 12 metres"),
        ("row", "B"),
        ("paragraph", "end"),
    ]
    assert [[b.text[i:j] for i, j in b.cells] for b in found[:3]] == [["Name", "Depth"], ["A", "12 metres"], ["B", ""]]
    assert [block.begins for block in found[:3]] == [True, False, False]


@pytest.mark.parametrize(
    "source",
    [
        ".de a\n.a\n.a\n..\n.a",
        ".ds a \\*b\\*b\\*b\\*b\n.ds b \\*c\\*c\\*c\\*c\n.ds c \\*d\\*d\\*d\\*d\n.ds d "
        + "x" * 1000
        + "\n"
        + "\\*a\n" * 300,
        "x" * (1 << 21),
    ],
)
def test_a_page_made_to_fill_memory_is_refused(source: str) -> None:
    with pytest.raises(FileExcessive, match=r"refused: a\.1: "):
        blocks(source)


@given(st.text(alphabet="\\.'\"{}()[]*nfshwcdeTSIPRBlix$1 \t\n", max_size=200))
def test_any_page_is_read(source: str) -> None:
    before = roff.MAX_EXPANDED_CHARACTERS
    assert before  # whatever stands in it, it ends, and the text is its blocks
    for found in blocks(source):
        assert found.text


def test_a_page_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    for name in ("a.1", "a.3pm", "a.8.gz"):
        path = tmp_path / name
        path.write_text(".TH A 1\n.SH NAME\na \\- b")
        assert text(path) == "A(1)\n\nNAME\n\na - b".replace("A(1)", "A(1) General Commands Manual")
    (tmp_path / "log.1").write_text("12:00 started\n.hidden\n")
    assert text(tmp_path / "log.1") == "12:00 started\n.hidden\n"


def test_source_code_stands_as_it_is_in_pieces(tmp_path: Path) -> None:
    source = "import os\n\n\ndef f():\n    return 1\n\n    # more\n\n" + "x" * 200_000 + "\n"
    path = tmp_path / "a.py"
    path.write_text(source)
    assert text(path) == source
    (record,) = plain.read_code(iter([source.encode()]), "a.py", FormatOptions())
    found = list(record.blocks)
    assert [(block.kind, block.text) for block in found[:3]] == [
        ("code", "import os"),
        ("code", "def f():\n    return 1"),
        ("code", "    # more"),
    ]


@given(st.text(alphabet="a \n\t", max_size=60), st.integers(1, 9))
def test_source_code_keeps_every_character(source: str, step: int) -> None:
    pieces = [source[at : at + step].encode() for at in range(0, len(source), step)]
    (record,) = plain.read_code(iter(pieces), "a.py", FormatOptions())
    assert "".join(text_of(record.blocks)) == source
