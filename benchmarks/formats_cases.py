"""Makes documents that readers of formats are known to get wrong, each with what its text must and must not say.

Made here, in memory, after public bug reports of many readers; what is compared is text without white space, so that
only its characters count. One file a format is hostile: made to take time or memory.
"""

from __future__ import annotations

import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "formats"))
from office import W, archive, epub, pdf


@dataclass(frozen=True, slots=True)
class Case:
    """A document."""

    format: str
    name: str
    ending: str
    data: bytes
    says: tuple[str, ...]
    not_says: tuple[str, ...] = ()

    def is_right(self, text: str) -> bool:
        """Tells whether a reader's text is."""
        plain = "".join(text.split())
        return all("".join(one.split()) in plain for one in self.says) and not any(
            "".join(one.split()) in plain for one in self.not_says
        )


def _markdown(name: str, source: str, says: tuple[str, ...], not_says: tuple[str, ...] = ()) -> Case:
    return Case("Markdown", name, ".md", source.encode(), says, not_says)


def _page(name: str, source: str, says: tuple[str, ...], not_says: tuple[str, ...] = (), ending: str = ".html") -> Case:
    return Case("HTML", name, ending, source.encode(), says, not_says)


_SQRT = "<math><msup><mi>c</mi><mn>2</mn></msup><annotation>{\\displaystyle c}</annotation></math>"
_TEXT = (
    _markdown("superscript", "It holds 10<sup>6</sup> litres.", ("litres",), ("106litres",)),
    _markdown("text after a comment", "<!-- note --> The pump is blue.", ("The pump is blue.",), ("note",)),
    _markdown("word in brackets, colon", "[Chair]: The bridge was built.", ("The bridge was built.",)),
    _markdown("backslash at a line's end", "John\\\nBradfield", ("John", "Bradfield"), ("\\",)),
    _markdown("front matter in TOML", '+++\ntitle = "x"\ndraft = true\n+++\nThe pump', ("The pump",), ("draft",)),
    _markdown("front matter with a blank line", "---\ntitle: x\n\ntags: [a]\n---\nThe pump", ("The pump",), ("tags",)),
    _markdown("hidden element", "<div hidden>\n\nsecret *x*\n\n</div>\n\nseen", ("seen",), ("secret",)),
    _markdown("definition list", "Term\n: What it is", ("Term", "What it is"), (":What",)),
    _markdown("list that begins at 3", "3. three\n4. four", ("3. three", "4. four")),
    _page("superscript", "<p>It holds 10<sup>6</sup> litres.", ("litres",), ("106litres",)),
    _page("hidden attribute", "<p hidden>secret<p>seen", ("seen",), ("secret",)),
    _page("display: none", "<div style='display: none'>secret<div>x</div></div>seen", ("seen",), ("secret",)),
    _page("hidden by a rule", "<style>.a{display:none}</style><p class=a>secret<p>seen", ("seen",), ("secret",)),
    _page("formula", f"<p>It is {_SQRT}.", ("It is", "c"), ("displaystyle",)),
    _page("reading of characters", "<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", ("漢(kan)",)),
    _page("charset in a description", "<meta name=d content='charset=koi8-r'><p>Müller", ("Müller",)),
    _page("list that begins at 3", "<ol start=3><li>three<li>four</ol>", ("3. three", "4. four")),
    _page(
        "script that ends itself",
        "<?xml version='1.0'?><html><script src='a'/><p>seen</p></html>",
        ("seen",),
        (),
        ".xhtml",
    ),
    _page("forgotten end tags", "<ul><li>one<li>two</ul><p>three<p>four", ("one", "two", "three", "four")),
)


def _book(package: str, parts: dict[str, str]) -> bytes:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="O/a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    whole = {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "O/a.opf": package}
    return archive({**whole, **parts})


def _chapters(items: list[tuple[str, str]], title: str = "x") -> str:
    listed = "".join(f'<item id="i{n}" href="{href}" media-type="{kind}"/>' for n, (href, kind) in enumerate(items))
    order = "".join(f'<itemref idref="i{n}"/>' for n in range(len(items)))
    return (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="2.0" unique-identifier="b">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title>'
        '<dc:language>en</dc:language><dc:identifier id="b">b</dc:identifier></metadata>'
        f"<manifest>{listed}</manifest><spine>{order}</spine></package>"
    )


_XHTML = "application/xhtml+xml"
_PART = {"O/a.xhtml": "<html><body><p>The pump is blue.</p></body></html>"}
_SAYS = ("The pump is blue.",)
_BOOKS = (
    Case("EPUB", "sound", ".epub", _book(_chapters([("a.xhtml", _XHTML)]), _PART), _SAYS),
    Case("EPUB", "absolute place", ".epub", _book(_chapters([("/O/a.xhtml", _XHTML)]), _PART), _SAYS),
    Case("EPUB", "media type", ".epub", _book(_chapters([("a.xhtml", "application/xml")]), _PART), _SAYS),
    Case("EPUB", "entity", ".epub", _book(_chapters([("a.xhtml", _XHTML)], "a&nbsp;b"), _PART), _SAYS),
    Case("EPUB", "missing part", ".epub", _book(_chapters([("a.xhtml", _XHTML), ("b.xhtml", _XHTML)]), _PART), _SAYS),
)


def _pdf(name: str, lines: list[str], says: tuple[str, ...], not_says: tuple[str, ...] = ()) -> Case:
    return Case("PDF", name, ".pdf", pdf([lines]), says, not_says)


_PDFS = (
    _pdf("identifier", ["the seal ABC-", "001 is blue"], ("ABC-001",)),
    _pdf("compound", ["the water is non-", "potable here"], ("non-potable",)),
    _pdf("divided word", ["the pump is sub-", "mersible here"], ("submersible",)),
    _pdf("years", ["made in 1995-", "2000 here"], ("1995-2000",)),
)


def _sheet(name: str, ending: str, data: bytes, says: tuple[str, ...], not_says: tuple[str, ...] = ()) -> Case:
    return Case("CSV", name, ending, data, says, not_says)


_SHEETS = (
    _sheet("sound", ".csv", b"a,b\nx,y\nz,w\n", ("x | y",)),
    _sheet("sep=;", ".csv", b"sep=;\r\na;b\r\nx;y\r\nz;w\r\n", ("x | y",), ("sep=",)),
    _sheet("quote between tabs", ".tsv", b'a\tb\n"x" is\ty\nz\tw\n', ('"x" is | y', "z | w")),
    _sheet("line break in a cell", ".csv", b'a,b\n"x\nx",y\n', ("x x | y",)),
    _sheet("text with commas", ".csv", b"a;b\nx, or y, or z;w\np, q;r\n", ("x, or y, or z | w",)),
)


def _docx(body: str, **parts: str) -> bytes:
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relations = "".join(
        f'<Relationship Id="{n}" Type="{kind}/{n}" Target="{t}"/>'
        for n, t in (("numbering", "numbering.xml"), ("footnotes", "notes.xml"))
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Override PartName="/word/document.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    main = f'<Relationship Id="a" Type="{kind}/officeDocument" Target="word/document.xml"/>'
    space = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
    found = {
        "[Content_Types].xml": types,
        "_rels/.rels": f"<Relationships {space}>{main}</Relationships>",
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/numbering.xml": f"<w:numbering {W}>{parts.get('numbering', '')}</w:numbering>",
        "word/notes.xml": f"<w:footnotes {W}>{parts.get('notes', '')}</w:footnotes>",
        "word/_rels/document.xml.rels": f"<Relationships {space}>{relations}</Relationships>",
    }
    return archive({name: f'<?xml version="1.0"?>{part}' for name, part in found.items()})


_NUMBERING = (
    '<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="decimal"/>'
    '<w:lvlText w:val="%1."/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
)
_ITEM = '<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>{}</w:t></w:r></w:p>'
_RUN = "<w:p><w:r><w:t>a10</w:t></w:r><w:r><w:rPr>{}</w:rPr><w:t>6</w:t></w:r><w:r><w:t> litres</w:t></w:r></w:p>"
_WORD = (
    ("sound", _docx("<w:p><w:r><w:t>The pump is blue.</w:t></w:r></w:p>"), ("The pump is blue.",), ()),
    ("numbers of lists", _docx(_ITEM.format("x") + _ITEM.format("y"), numbering=_NUMBERING), ("3. x", "4. y"), ()),
    ("hidden text", _docx(_RUN.format("<w:vanish/>")), ("a10 litres",), ("6",)),
    ("superscript", _docx(_RUN.format('<w:vertAlign w:val="superscript"/>')), ("litres",), ("106litres",)),
    (
        "notes under another name",
        _docx(
            '<w:p><w:r><w:t>text</w:t><w:footnoteReference w:id="1"/></w:r></w:p>',
            notes='<w:footnote w:id="1"><w:p><w:r><w:t>the note</w:t></w:r></w:p></w:footnote>',
        ),
        ("text", "the note"),
        (),
    ),
)

CASES = (*_TEXT, *_BOOKS, *_PDFS, *_SHEETS, *(Case("DOCX", n, ".docx", d, s, no) for n, d, s, no in _WORD))


def hostile() -> dict[str, tuple[str, bytes]]:
    """Returns for each format the ending and the content of a file that is made to take time or memory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, part in {"word/document.xml": f"<w:document {W}><w:body>" + "<w:p><w:r><w:t>x" * 100_000}.items():
            made.writestr(name, part)
    return {
        "Markdown": (".md", b"> " * 300_000 + b"\n" + b"[" * 300_000),
        "HTML": (".html", b"<div><span><ul><li>" * 50_000),
        "EPUB": (".epub", epub({"a.xhtml": "<div>" * 200_000})),
        "PDF": (".pdf", pdf([["x " * 500] * 50] * 100)),
        "CSV": (".csv", b'a,b\n"' + b"line\n" * 2_000_000),
        "DOCX": (".docx", out.getvalue()),
    }
