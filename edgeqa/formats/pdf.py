"""PDF: each page that has text is a record, named `FILE#12` after the page; needs the extra `edgeqa[docs]`.

Text comes as PDFium finds it, page by page, with its places. The document's outline says what headings are, and a
page's title says which of them it begins in. Pages that are pictures of text have none: they are named, and need OCR.
PDFium is not safe from several threads, so one page is read at a time in the whole process.
"""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from importlib.resources import files
from typing import IO, TYPE_CHECKING, Any

import msgspec

from edgeqa import forking
from edgeqa.formats.errors import ExtraMissing, FileDamaged, FileEncrypted, TextMissing
from edgeqa.formats.pdfpage import Line, blocks_of, plain_title
from edgeqa.formats.records import FormatOptions, Record, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_OUTLINE = 10_000  # entries
MOST_SEEN_WORDS = 100_000  # of a document, to tell what a hyphen divides
MOST_PLACED_CHARACTERS = 20_000  # of a page; more is no page
BOLD = 600  # weight
WIDE_GAP = 1.2  # letters' sizes between cells
SCANNED = "a scanned page: a picture of text, which a program for OCR has to add first (ocrmypdf in.pdf out.pdf)"

_PDFIUM = forking.lock()
_BREAK = re.compile(r"\r?\n|\r|[\x02\ufffe](?:\r?\n)?")  # the last is a hyphen at the end of a line: the word goes on
_FROM_OFFICE = re.compile(r"^Microsoft \w+ - |^untitled$", re.IGNORECASE)
_PASSWORD_NEEDED = 4  # FPDF_ERR_PASSWORD


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a page.

    Raises:
        FormatError: if it is no PDF file, is encrypted, or has no text at all; or if the extra is not installed.
    """
    try:
        import pypdfium2
    except ImportError as error:
        raise ExtraMissing(name, "PDF", "pypdfium2") from error
    document, count, title = _opened(pypdfium2, stream, name)
    seen: set[str] = set()
    has_text = False
    path: dict[int, str] = {}
    try:
        outline = _outline(pypdfium2, document)
        has_outline = bool(outline)
        for number in range(1, count + 1):
            headings: dict[str, int] = {}
            begins_in = path
            for level, heading in outline.get(number, ()):
                headings[plain_title(heading)] = min(level, 6)
                path = {**{at: one for at, one in path.items() if at < level}, level: heading}
            lines, is_picture = _page(pypdfium2, document, number, name)
            if lines:
                has_text = True
                begins_in = begins_in or path
                where = " / ".join(begins_in[level] for level in sorted(begins_in))
                blocks = list(blocks_of(lines, None if not has_outline else headings, is_word, seen))
                yield Record(
                    f"{name}#{number}", one_line(f"{title}: {where}" if title and where else title or where), blocks
                )
            elif is_picture:
                yield Record(f"{name}#{number}", "", (), note=SCANNED)
            if len(seen) > MOST_SEEN_WORDS:
                seen.clear()
    finally:
        with _PDFIUM:
            document.close()
    if not has_text:
        raise TextMissing(name)


def is_word(word: str) -> bool:
    """Tells whether a word, in small letters, is one that the bundled model knows whole."""
    return word in _vocabulary()


@lru_cache(maxsize=1)
def _vocabulary() -> frozenset[str]:
    data = files("edgeqa.models").joinpath("edgeqa-mini", "tokenizer.json").read_bytes()
    words: dict[str, int] = msgspec.json.decode(data)["model"]["vocab"]
    return frozenset(word for word in words if word.isalpha() and len(word) > 1)


def _opened(pdfium: Any, stream: IO[bytes], name: str) -> tuple[Any, int, str]:  # noqa: ANN401 - it has no types
    with _PDFIUM:
        try:
            document = pdfium.PdfDocument(stream)
        except pdfium.PdfiumError as error:
            if getattr(error, "err_code", None) == _PASSWORD_NEEDED:
                raise FileEncrypted(name, "it needs a password") from error
            raise FileDamaged(name, "PDF", str(error)) from error
        title = document.get_metadata_value("Title")
        return document, len(document), _FROM_OFFICE.sub("", title)


def _outline(pdfium: Any, document: Any) -> dict[int, list[tuple[int, str]]]:  # noqa: ANN401
    """Returns the headings of each page, with their levels from 1."""
    found: dict[int, list[tuple[int, str]]] = {}
    with _PDFIUM:
        try:
            for count, entry in enumerate(document.get_toc(max_depth=6)):
                if count == MOST_OUTLINE:
                    break
                place = entry.get_dest()
                page = place.get_index() if place is not None else None
                title = one_line(entry.get_title())
                if page is not None and title:
                    found.setdefault(page + 1, []).append((entry.level + 1, title))
        except (pdfium.PdfiumError, RecursionError, ValueError):  # a damaged outline is none
            pass
    return found


def _page(pdfium: Any, document: Any, number: int, name: str) -> tuple[list[Line], bool]:  # noqa: ANN401
    """Returns the lines of a page, and whether it has none but a picture."""
    with _PDFIUM:
        try:
            page = document[number - 1]
            text_page = page.get_textpage()
            text: str = text_page.get_text_range()
            places = _Places(pdfium.raw, text_page, text)
            lines = [line for line in _lines(text, places) if line.text.strip()]
            is_picture = not lines and any(True for _ in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE]))
            text_page.close()
            page.close()
        except pdfium.PdfiumError as error:
            raise FileDamaged(name, "PDF", f"page {number}: {error}") from error
    return lines, is_picture


class _Places:
    """Where the characters of a page are."""

    def __init__(self, raw: Any, text_page: Any, text: str) -> None:  # noqa: ANN401
        self._raw = raw
        self._text_page = text_page
        # Where characters and their numbers are not the same, as beyond the Basic Multilingual Plane, places are none.
        self.are_known = len(text) == text_page.count_chars() <= MOST_PLACED_CHARACTERS
        self._box = raw.FS_RECTF()

    def at(self, index: int) -> tuple[float, float, float, float] | None:
        """Returns left, right, bottom and top of a character, None if it has no place."""
        if not self._raw.FPDFText_GetLooseCharBox(self._text_page, index, ctypes.byref(self._box)):
            return None
        box = self._box
        return box.left, box.right, box.bottom, box.top

    def are_bold(self, *indexes: int) -> bool:
        """Tells whether characters are of a bold font."""
        return all(self._raw.FPDFText_GetFontWeight(self._text_page, index) >= BOLD for index in indexes)


def _lines(text: str, places: _Places) -> Iterator[Line]:
    begin = 0
    for found in _BREAK.finditer(text):
        yield _line(text, begin, found.start(), places, is_parted=found.group()[0] in "\x02\ufffe")
        begin = found.end()
    yield _line(text, begin, len(text), places, is_parted=False)


def _line(text: str, begin: int, end: int, places: _Places, *, is_parted: bool) -> Line:
    while begin < end and text[begin].isspace():
        begin += 1
    while begin < end and text[end - 1].isspace():
        end -= 1
    written = text[begin:end].replace("\0", "")
    first = places.at(begin) if places.are_known and begin < end else None
    last = places.at(end - 1) if first is not None else None
    if first is None or last is None:
        return Line(((0, written),), is_parted=is_parted)
    size = max(first[3] - first[2], last[3] - last[2])
    cells: list[tuple[float, str]] = []
    left, cell_begin = first[0], begin
    for blank in re.finditer(r"\s+", text[begin:end]):
        before, after = begin + blank.start(), begin + blank.end()
        one, other = places.at(before - 1), places.at(after)
        if one is not None and other is not None and other[0] - one[1] > WIDE_GAP * size:
            cells.append((left, text[cell_begin:before].replace("\0", "")))
            left, cell_begin = other[0], after
    cells.append((left, text[cell_begin:end].replace("\0", "")))
    is_bold = places.are_bold(begin, end - 1)
    return Line(tuple(cells), first[0], last[1], first[3], size, is_bold=is_bold, is_parted=is_parted)
