"""Makes the files that office programs and publishers make: PDF, DOCX, EPUB."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

W = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:wp="wp" xmlns:v="v" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
)
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
RELATIONS = f'<Relationships><Relationship Id="1" Type="{_RELATION}" Target="word/document.xml"/></Relationships>'


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """Returns a zip archive of the parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, part in parts.items():
            # By the rules of EPUB this one is stored as it is.
            made.writestr(name, part, zipfile.ZIP_STORED if name == "mimetype" else None)
    return out.getvalue()


def docx(body: str, **parts: str) -> bytes:
    """Returns a Word document with this body; `core`, `footnotes`, `styles` and the like are other parts."""
    found = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": RELATIONS,
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
    }
    for name, content in parts.items():
        if name == "core":
            found["docProps/core.xml"] = content
        else:
            found[f"word/{name}.xml"] = f"<w:{name} {W}>{content}</w:{name}>"
    return archive(found)


def paragraph(text: str, style: str = "") -> str:
    """Returns a paragraph of a Word document."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def epub(chapters: Mapping[str, str], *, title: str = "The Book", encryption: str = "") -> bytes:
    """Returns a book of chapters, each under the name of its file, in the order given."""
    items = "".join(
        f'<item id="i{n}" href="{name.replace(" ", "%20")}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(chapters)
    )
    order = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{title}</dc:title></metadata><manifest>{items}"
        f'<item id="css" href="a.css" media-type="text/css"/></manifest><spine>{order}</spine></package>'
    )
    container = '<container><rootfiles><rootfile full-path="OEBPS/a.opf"/></rootfiles></container>'
    parts = {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OEBPS/a.opf": package}
    if encryption:
        data = f'<encryption><CipherData><CipherReference URI="{encryption}"/></CipherData></encryption>'
        parts["META-INF/encryption.xml"] = data
    pages = {f"OEBPS/{name}": f'<?xml version="1.0"?><html>{page}</html>' for name, page in chapters.items()}
    return archive({**parts, **pages})


def _shown(line: str) -> str:
    if line == PICTURE:
        return ""
    first, *cells = line.split("\t")
    moved = "".join(f"200 0 Td ({cell}) Tj\n" for cell in cells)
    return f"({first}) Tj\n{moved}{-200 * len(cells)} 0 Td T*\n"


def _outline(entries: Sequence[tuple[str, int]], kids: Sequence[bytes], number: int, made: int) -> list[bytes]:
    """Returns the objects of an outline that is object `number`, where `made` were made before."""
    first, last = number + 1, number + len(entries)
    parts = [b"null"] * (number - 1 - made)
    parts.append(b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>" % (first, last, len(entries)))
    for at, (title, page) in enumerate(entries, first):
        near = (b"/Prev %d 0 R " % (at - 1) if at > first else b"") + (
            b"/Next %d 0 R " % (at + 1) if at < last else b""
        )
        place = (title.encode("latin1"), number, near, kids[page])
        parts.append(b"<< /Title (%s) /Parent %d 0 R %s/Dest [%s /Fit] >>" % place)
    return parts


PICTURE = "\0"
"""Instead of a line: a picture."""


def pdf(
    pages: Sequence[Sequence[str]],
    *,
    title: str = "",
    encrypted: bool = False,
    outline: Sequence[tuple[str, int]] = (),
) -> bytes:
    """Returns a PDF of pages of lines, in which "\\t" goes on 200 points to the right.

    Args:
        pages: their lines.
        title: of the document.
        encrypted: whether it needs a password.
        outline: titles, each with its page from 0.
    """
    parts = [b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]
    tree = 2 + 2 * len(pages)
    kids = []
    for lines in pages:
        shown = "".join(map(_shown, lines))
        picture = "q 99 0 0 99 9 9 cm BI /W 1 /H 1 /CS /G /BPC 8 ID x EI Q\n" if PICTURE in lines else ""
        content = zlib.compress(f"{picture}BT /F1 11 Tf 72 760 Td 14 TL\n{shown}ET".encode("cp1252"))
        parts.append(b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        parts.append(
            b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 1 0 R >> >> >>" % (tree, len(parts))
        )
        kids.append(b"%d 0 R" % len(parts))
    parts.append(b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), b" ".join(kids)))
    outlines = b"/Outlines %d 0 R" % (tree + 4) if outline else b""
    parts.append(b"<< /Type /Catalog /Pages %d 0 R %s >>" % (tree, outlines))
    parts.append(b"<< /Title (%s) >>" % title.encode("latin1"))
    trailer = b"/Root %d 0 R /Info %d 0 R" % (tree + 1, tree + 2)
    if encrypted:
        parts.append(b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -44 >>" % (b"41" * 32, b"42" * 32))
        trailer += b" /Encrypt %d 0 R /ID [<41><41>]" % (tree + 3)
    if outline:
        parts += _outline(outline, kids, tree + 4, len(parts))
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, part in enumerate(parts, 1):
        places.append(b"%010d 00000 n \n" % len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(parts) + 1, b"".join(places))
    out += b"trailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF" % (len(parts) + 1, trailer, table)
    return bytes(out)


RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def relations(**targets: str) -> str:
    """Returns a part of relations: `{type: part}`, the identity of each being its type."""
    types = {name: f"{RELATIONSHIPS}/{name.rstrip('0123456789')}" for name in targets}
    made = (f'<Relationship Id="{n}" Type="{types[n]}" Target="{target}"/>' for n, target in targets.items())
    return f"<Relationships>{''.join(made)}</Relationships>"


def xlsx(
    sheets: Mapping[str, str], *, state: Mapping[str, str] | None = None, strings: str = "", styles: str = ""
) -> bytes:
    """Returns a workbook.

    Args:
        sheets: the XML within each worksheet, by its name.
        state: "hidden" and the like, by the sheet's name.
        strings: what stands within the part of strings that cells share.
        styles: what stands within the part of styles.
    """
    states = state or {}
    named = "".join(
        f'<sheet name="{name}" r:id="worksheet{number}" state="{states.get(name, "visible")}"/>'
        for number, name in enumerate(sheets)
    )
    parts = {f"worksheet{number}": f"s{number}.xml" for number in range(len(sheets))}
    return archive(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": relations(officeDocument="xl/workbook.xml"),
            "xl/workbook.xml": f'<workbook xmlns:r="r"><sheets>{named}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": relations(sharedStrings="strings.xml", styles="styles.xml", **parts),
            "xl/strings.xml": f"<sst>{strings}</sst>",
            "xl/styles.xml": f"<styleSheet>{styles}</styleSheet>",
            **{
                f"xl/s{number}.xml": f"<worksheet>{content}</worksheet>"
                for number, content in enumerate(sheets.values())
            },
        }
    )


def opendocument(body: str, *, kind: str = "text", automatic: str = "", styles: str = "", **parts: str) -> bytes:
    """Returns a document of LibreOffice.

    Args:
        body: what stands within its body.
        kind: "text", "spreadsheet" or "presentation".
        automatic: the styles within its content.
        styles: those in a part of their own.
        parts: others, by their names without the ending.
    """
    names = "".join(
        f' xmlns:{prefix}="{prefix}"'
        for prefix in ("office", "text", "table", "draw", "style", "fo", "presentation", "math", "xlink")
    )
    content = f"<office:automatic-styles>{automatic}</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}></office:body>"
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content{names}>{content}</office:document-content>",
            "styles.xml": f"<office:document-styles{names}><office:styles>{styles}</office:styles></office:document-styles>",
            **{f"{name.replace('_', '/')}.xml": part for name, part in parts.items()},
        }
    )


def pptx(slides: Sequence[str], *, notes: Mapping[int, str] | None = None, diagram: str = "", core: str = "") -> bytes:
    """Returns a presentation.

    Args:
        slides: the shapes of each; what begins with "<p:sld" is the whole slide.
        notes: the shapes of the notes of slides, by their numbers from 1 on.
        diagram: the points of a diagram on the first slide.
        core: the properties.
    """
    names = 'xmlns:p="p" xmlns:a="a" xmlns:r="r" xmlns:mc="mc" xmlns:m="m"'
    numbers = range(1, len(slides) + 1)
    listed = "".join(f'<p:sldId r:id="slide{n}" id="{255 + n}"/>' for n in numbers)
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(officeDocument="ppt/presentation.xml"),
        "ppt/presentation.xml": f"<p:presentation {names}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(**{f"slide{n}": f"slides/s{n}.xml" for n in numbers}),
    }
    for number, shapes in enumerate(slides, 1):
        whole = (
            shapes if shapes.startswith("<p:sld") else f"<p:sld><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        )
        parts[f"ppt/slides/s{number}.xml"] = whole.replace("<p:sld", f"<p:sld {names}", 1)
        others = {}
        if notes and number in notes:
            others["notesSlide"] = f"../notes/n{number}.xml"
            parts[f"ppt/notes/n{number}.xml"] = f"<p:notes {names}>{notes[number]}</p:notes>"
        if diagram and number == 1:
            others["diagramData"] = "/ppt/d.xml"
            parts["ppt/d.xml"] = f'<d:dataModel xmlns:d="d" {names}>{diagram}</d:dataModel>'
        parts[f"ppt/slides/_rels/s{number}.xml.rels"] = relations(**others)
    return archive({**parts, **({"docProps/core.xml": core} if core else {})})
