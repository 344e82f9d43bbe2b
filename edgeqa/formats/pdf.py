"""PDF: each page with text is a record, called `FILE#12` after the page. It needs the extra `edgeqa[docs]`.

PDFium finds the text page by page, with its places. The document's outline tells which lines are headings, and a page
is titled after the heading that it begins in. A page that is a picture of text has no text: it is reported, and needs
OCR. PDFium is not safe from several threads, so only one page is read at a time in the whole process.

A page's lines become headings, paragraphs, items, and rows if columns are plainly aligned. A paragraph ends where a
line is short, the next one stands apart, or its letters have another size. A word that a hyphen divides at a line's end
is joined with or without the hyphen, whichever gives known words.
"""

from __future__ import annotations

import ctypes
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from statistics import median
from typing import IO, TYPE_CHECKING, Any

from edgeqa import forking
from edgeqa.formats.blocks import ExtraMissing, FileDamaged, FileEncrypted, FormatOptions, Record, TextMissing, one_line
from edgeqa.formats.notation import joined
from edgeqa.formats.prose import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgeqa.formats.blocks import Block, BlockKind

MAX_OUTLINE = 10_000  # so many entries are read
MAX_SEEN_WORDS = 100_000  # so many words of a document help to join divided words
MAX_PLACED_CHARACTERS = 20_000  # a page with more characters is no page
BOLD = 600  # letters of this weight are bold
RAISED = 0.1  # a character so far from its line, in sizes of its letters, is raised or lowered
SMALLER = 0.85  # for a character smaller than this part of the letters' size, half of that is enough
MAX_HEIGHTS = 3  # a word has at most so many heights
MAX_LOOKED_AT = 40  # so many characters of a word are looked at
WIDE_GAP = 1.2  # cells are at least so many sizes of letters apart
SCANNED = "a scanned page: a picture of text, which a program for OCR has to add first (ocrmypdf in.pdf out.pdf)"

_PDFIUM = forking.LibraryLock()
_BREAK = re.compile(r"\r?\n|\r|[\x02\ufffe](?:\r?\n)?")  # the last is a hyphen that divides a word
_WITH_DIGIT = re.compile(rf"(?=\S+\d|\d\S)\S{{2,{MAX_LOOKED_AT}}}(?!\S)")
_FROM_OFFICE = re.compile(r"^Microsoft \w+ - |^untitled$|^\((?:anonymous|unspecified)\)$", re.IGNORECASE)
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
    damage: FileDamaged | None = None
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
            try:
                lines, is_picture = _page(pypdfium2, document, number, name)
            except FileDamaged as error:
                damage = damage or error
                yield Record(f"{name}#{number}", "", (), note=str(error))
                continue
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
            if len(seen) > MAX_SEEN_WORDS:
                seen.clear()
    finally:
        with _PDFIUM.turn():
            document.close()
    if not has_text:
        raise damage or TextMissing(name)


def is_word(word: str) -> bool:
    """Tells whether a word, in small letters, is one that the bundled model knows whole."""
    return word in _vocabulary()


@lru_cache(maxsize=1)
def _vocabulary() -> frozenset[str]:
    data = files("edgeqa.models").joinpath("edgeqa-mini", "tokenizer.json").read_bytes()
    words: dict[str, int] = json.loads(data)["model"]["vocab"]
    return frozenset(word for word in words if word.isalpha() and len(word) > 1)


def _opened(pdfium: Any, stream: IO[bytes], name: str) -> tuple[Any, int, str]:  # noqa: ANN401 - it has no types
    with _PDFIUM.turn():
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
    with _PDFIUM.turn():
        try:
            for count, entry in enumerate(document.get_toc(max_depth=6)):
                if count == MAX_OUTLINE:
                    break
                place = entry.get_dest()
                page = place.get_index() if place is not None else None
                title = one_line(entry.get_title())
                if page is not None and title:
                    found.setdefault(page + 1, []).append((entry.level + 1, title))
        except (pdfium.PdfiumError, RecursionError, ValueError):  # a damaged outline is ignored
            pass
    return found


def _page(pdfium: Any, document: Any, number: int, name: str) -> tuple[list[Line], bool]:  # noqa: ANN401
    """Returns the lines of a page, and whether it has only a picture."""
    with _PDFIUM.turn():
        try:
            page = document[number - 1]
            text_page = page.get_textpage()
            text: str = text_page.get_text_range()
            text, places = _at_heights(text, _Places(pdfium.raw, text_page, text))
            lines = [line for line in _lines(text, places) if line.text.strip()]
            is_picture = not lines and any(True for _ in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE]))
            text_page.close()
            page.close()
        except pdfium.PdfiumError as error:
            raise FileDamaged(name, "PDF", f"page {number}: {error}") from error
    return lines, is_picture


class _Places:
    """The places of the characters on a page."""

    def __init__(self, raw: Any, text_page: Any, text: str) -> None:  # noqa: ANN401
        self._raw = raw
        self._text_page = text_page
        # If characters and their numbers differ, as beyond the Basic Multilingual Plane, places are unknown.
        self.are_known = len(text) == text_page.count_chars() <= MAX_PLACED_CHARACTERS
        self._box = raw.FS_RECTF()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self.numbers: list[int] | None = None
        """The number on the page of each character of the text; None if the numbers are the same."""

    def at(self, index: int) -> tuple[float, float, float, float] | None:
        """Returns left, right, bottom and top of a character, None if it has no place."""
        number = index if self.numbers is None else self.numbers[index]
        if not self._raw.FPDFText_GetLooseCharBox(self._text_page, number, ctypes.byref(self._box)):
            return None
        box = self._box
        return box.left, box.right, box.bottom, box.top

    def base(self, index: int) -> float:
        """Returns the height of the line that a character stands on."""
        number = index if self.numbers is None else self.numbers[index]
        self._raw.FPDFText_GetCharOrigin(self._text_page, number, ctypes.byref(self._x), ctypes.byref(self._y))
        return self._y.value

    def are_bold(self, *indexes: int) -> bool:
        """Tells whether characters have a bold font."""
        numbers = indexes if self.numbers is None else [self.numbers[index] for index in indexes]
        return all(self._raw.FPDFText_GetFontWeight(self._text_page, number) >= BOLD for number in numbers)


def _at_heights(text: str, places: _Places) -> tuple[str, _Places]:
    """Returns a page's text with raised and lowered characters in plain notation, and the places of that text.

    PDFium gives ten to the sixth as 106, and ends the line behind it, since the next character stands on another line.
    """
    if not places.are_known:
        return text, places
    kept: list[str] = []
    numbers: list[int] = []
    done = 0
    for found in _BREAK.finditer(text):
        if found.group()[0] in "\r\n" and _goes_on(places, found.start() - 1, found.end(), len(text)):
            kept.append(text[done : found.start()])
            numbers += range(done, found.start())
            done = found.end()
    text = "".join((*kept, text[done:]))
    places.numbers = [*numbers, *range(done, done + len(text) - len(numbers))] if done else None
    kept, numbers, done = [], [], 0
    for found in _WITH_DIGIT.finditer(text):
        begin, end = found.span()
        heights = _heights(places, begin, end)
        if not any(heights):
            continue
        written = joined(zip(text[begin:end], heights, strict=True))
        kept += (text[done:begin], written)
        numbers += range(done, begin)
        numbers += (min(begin + at, end - 1) for at in range(len(written)))  # these places are near enough
        done = end
    if not kept:
        return text, places
    numbers += range(done, len(text))
    before = places.numbers
    places.numbers = numbers if before is None else [before[number] for number in numbers]
    return "".join((*kept, text[done:])), places


def _goes_on(places: _Places, before: int, after: int, end: int) -> bool:
    """Tells whether a character directly follows one on the same line, but at another height."""
    if before < 0 or after >= end:
        return False
    one, other = places.at(before), places.at(after)
    if one is None or other is None or other[0] < one[1] - 1:
        return False
    size = max(one[3] - one[2], other[3] - other[2])
    overlap = min(one[3], other[3]) - max(one[2], other[2])
    is_near = other[0] - one[1] < size and overlap > 0.3 * min(one[3] - one[2], other[3] - other[2])
    return is_near and abs(places.base(before) - places.base(after)) > RAISED * size


def _heights(places: _Places, begin: int, end: int) -> list[int]:
    """Returns whether each character of a word is raised, 1, or lowered, -1, against the largest of them."""
    bases = [places.base(index) for index in range(begin, end)]
    low, high = min(bases), max(bases)
    if high - low < 0.5 or len({round(base * 2) for base in bases}) > MAX_HEIGHTS:  # the text is on a slant
        return [0] * (end - begin)
    boxes = [places.at(index) or (0.0, 0.0, 0.0, 0.0) for index in range(begin, end)]
    sizes = [box[3] - box[2] for box in boxes]
    size = max(sizes)
    if boxes[-1][1] - boxes[0][0] < 0.2 * size * (end - begin) or high - low > size:  # the text runs from top to bottom
        return [0] * (end - begin)
    line = next(base for base, one in zip(bases, sizes, strict=True) if one > 0.95 * size)
    shifts = [base - line for base in bases]
    least = [RAISED * size * (1 if one > SMALLER * size else 0.5) for one in sizes]
    return [(shift > limit) - (shift < -limit) for shift, limit in zip(shifts, least, strict=True)]


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


APART = 1.35  # a paragraph ends if the next line is so many times the usual distance away
LARGER = 1.15  # letters of so many times the usual size make a heading
MAX_HEADING_CHARACTERS = 120
SHORT = 0.85  # a line that ends a sentence ends its paragraph if it is shorter than this part of the text's width
HALF = 0.6  # any line shorter than this part of the width ends its paragraph
MIN_ROWS = 3
ALIGNED_SIZES = 0.6  # the beginnings of a column differ by at most so many sizes of letters

_BULLET = re.compile(r"([•‣◦·▪●○■□–*-]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+\S")  # noqa: RUF001 - dashes as they are printed
_ENDS = re.compile(r"[.!?:;)\]”\"']$")
_DASH = re.compile(r"(?<=\w)[-\u2010\u2011\u2013\u2014\u00ad]$")
_WORD_END = re.compile(r"[^\W_]+$")
_WORD_BEGIN = re.compile(r"[^\W_]+")
_TOKEN_END = re.compile(r"\S+$")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
# These parts stand with a hyphen before a whole word.
_PREFIXES = frozenset(
    "all anti co cross ex full half high ill long low mid multi non off on one part post pre pro quasi self semi "  # noqa: SIM905
    "short three two well".split()
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or a part of one that stands apart from the rest."""

    cells: tuple[tuple[float, str], ...]
    """The parts of its text between wide gaps, each with its place."""
    left: float = 0
    right: float = 0
    top: float = 0
    size: float = 0
    """The height of its letters; 0 if places are unknown."""
    is_bold: bool = False
    is_parted: bool = False
    """Whether it ends with a hyphen that PDFium takes for a divided word; the text does not include it."""

    @property
    def text(self) -> str:
        """The text of the whole line."""
        return " ".join(text for _, text in self.cells)


def blocks_of(
    lines: Sequence[Line], outline: Mapping[str, int] | None, is_word: Callable[[str], bool], seen: set[str]
) -> Iterator[Block]:
    """Yields the blocks of a page.

    Args:
        lines: the page's lines, in reading order.
        outline: the outline's titles for this page, as `plain_title` writes them, with their levels; None if the
            document has no outline, so that the letters must tell which lines are headings.
        is_word: a function that tells whether a word, in small letters, belongs to the language.
        seen: the words of the document so far, in small letters; those of this page are added.
    """
    seen.update(word.lower() for line in lines for word in re.findall(r"[^\W\d_]{3,}(?:-[^\W\d_]+)*", line.text))
    headings = outline or {}
    page = _Page(lines, headings, by_size=outline is not None)
    rows = Rows()
    at = 0
    while at < len(lines):
        after = page.table_end(at)
        if after > at:
            rows.table()
            for cells in page.table(at, after):
                yield from rows.row(cells)
            at = after
            continue
        after = page.heading_end(at) or page.paragraph_end(at)
        text = _joined(lines[at:after], is_word, seen)
        level = headings.get(plain_title(text)) or page.heading_level(lines[at:after], text)
        kind: BlockKind = "heading" if level else "item" if _BULLET.match(text) else "paragraph"
        yield from rows.paragraph(text, kind, level or int(kind == "item"))
        at = after


def plain_title(title: str) -> str:
    """Returns a title without white space, case and number, which may differ between an outline and its page."""
    return re.sub(r"^[\divxlc]+(?:\.\d+)*\.?(?=[^\W\d_])", "", "".join(title.casefold().split())).strip(".:")


class _Page:
    """The usual measures of a page's lines."""

    def __init__(self, lines: Sequence[Line], headings: Mapping[str, int], *, by_size: bool) -> None:
        self._lines = lines
        self._headings = headings
        self._by_size = by_size
        placed = [line for line in lines if line.size]
        self._size = median(line.size for line in placed) if placed else 0
        self._left = min((line.left for line in placed), default=0)
        self._right = max((line.right for line in placed), default=0)
        steps = [a.top - b.top for a, b in pairwise(placed) if 0 < a.top - b.top < 4 * a.size]
        self._has_bold_text = sum(line.is_bold for line in placed) > len(placed) // 3
        self._step = median(steps) if steps else 0

    def paragraph_end(self, at: int) -> int:
        """Returns the number of the line that begins the next paragraph."""
        after = at + 1
        while after < len(self._lines) and not self._is_border(after):
            if self.table_end(after) > after or self.heading_end(after):
                break
            after += 1
        return after

    def _is_border(self, at: int) -> bool:
        before, line = self._lines[at - 1], self._lines[at]
        if before.is_parted:
            return False
        if _BULLET.match(line.text) and not _DASH.search(before.text):
            return True
        if not (before.size and line.size and self._step):
            return False
        step = before.top - line.top
        if step > APART * self._step or step < -self._size or abs(before.size - line.size) > 0.1 * self._size:
            return True
        if before.is_bold != line.is_bold and not self._has_bold_text and before.right < self._right - line.size:
            return True
        filled = (before.right - self._left) / max(self._right - self._left, 1)
        ends = filled < HALF or (filled < SHORT and bool(_ENDS.search(before.text)))
        return ends and not line.text[:1].islower()

    def heading_end(self, at: int) -> int:
        """Returns the line after a title of the outline that begins here, 0 if none does."""
        text = ""
        if not self._headings:
            return 0
        for count, line in enumerate(self._lines[at : at + 3], 1):
            text = f"{text} {line.text}"
            if plain_title(text) in self._headings:
                return at + count
        return 0

    def heading_level(self, lines: Sequence[Line], text: str) -> int:
        """Returns the level of a heading by the size of its letters, else by their weight; 0 if it is none."""
        size = min((line.size for line in lines), default=0)
        if not size or len(text) > MAX_HEADING_CHARACTERS or not re.search(r"[^\W\d_]{2}", text):
            return 0
        if size >= LARGER * self._size:
            return 1 if size > 1.6 * self._size else 2 if size > 1.3 * self._size else 3
        if self._by_size or _BULLET.match(text):
            return 0
        is_bold = all(line.is_bold for line in lines) and not self._has_bold_text
        stands_out = is_bold or (text.isupper() and len(re.findall(r"[^\W\d_]", text)) > 3)
        return 4 if len(lines) == 1 and len(self._lines) > 1 and stands_out and not text.endswith((".", ",")) else 0

    def table_end(self, at: int) -> int:
        """Returns the line after the table that begins here, `at` if none does. A table is lines with equal gaps."""
        after = at
        while after < len(self._lines) and len(self._lines[after].cells) > 1 and self._is_alike(at, after):
            after += 1
        return after if after - at >= MIN_ROWS else at

    def _is_alike(self, first: int, at: int) -> bool:
        starts = [x for line in self._lines[first : min(first + MIN_ROWS, at + 1)] for x, _ in line.cells]
        allowed = ALIGNED_SIZES * max(self._size, 1)
        widest = max(len(self._lines[n].cells) for n in range(first, min(first + MIN_ROWS, at + 1)))
        aligned = [x for x, _ in self._lines[at].cells if sum(abs(x - other) <= allowed for other in starts) > 1]
        is_near = at == first or abs(self._lines[at - 1].top - self._lines[at].top) < 3 * max(self._step, self._size)
        return is_near and (at == first or (len(aligned) >= 2 and len(self._lines[at].cells) <= widest))

    def table(self, at: int, after: int) -> Iterator[list[str]]:
        """Yields the cells of the rows of a table, by column."""
        allowed = ALIGNED_SIZES * max(self._size, 1)
        columns: list[float] = []
        for x in sorted(x for line in self._lines[at:after] for x, _ in line.cells):
            if not columns or x - columns[-1] > 2 * allowed:
                columns.append(x)
        for line in self._lines[at:after]:
            cells = [""] * len(columns)
            for x, text in line.cells:
                column = max((n for n, begin in enumerate(columns) if begin <= x + allowed), default=0)
                cells[column] = f"{cells[column]} {text}".strip()
            yield cells


def _joined(lines: Sequence[Line], is_word: Callable[[str], bool], seen: set[str]) -> str:
    """Returns lines as one text, with line breaks; words that a hyphen divides are joined."""
    out: list[str] = []
    is_parted = False
    for line in lines:
        text = line.text.translate(_LIGATURES).strip()
        before = out[-1] if out else ""
        dash = _DASH.search(before[-2:])
        if is_parted:
            out += (_hyphen(before, text, is_word, seen), text)
        elif dash is not None and text[:1].isalnum():
            if dash.group() in "\u2010-\u00ad":
                out[-1] = before[:-1]
                hyphen = _hyphen(before[:-1], text, is_word, seen)
                out.append(hyphen and dash.group().replace("\u00ad", "-"))
            out.append(text)
        else:
            out += ("\n" if out else "", text)
        is_parted = line.is_parted
    return "".join(out) + ("-" if is_parted else "")


def _hyphen(before: str, after: str, is_word: Callable[[str], bool], seen: set[str]) -> str:
    """Returns "-" if a hyphen at a line's end belongs to the word, else ""."""
    before = before[-100:]
    left, right = _WORD_END.search(before), _WORD_BEGIN.match(after)
    token = _TOKEN_END.search(before)
    if left is None or right is None or (token and re.search(r"[-/@_.:\\]\S", token.group())):
        return "-"
    first, second = left.group(), right.group()
    if len(first) == 1:  # nobody leaves one letter of a word behind, so that this is one as in x-axis
        return "-"
    if first[-1].isupper() or first[-1].isdigit() or second[0].isdigit() or second[0].isupper():
        return "-"
    first, second = first.lower(), second.lower()
    if f"{first}-{second}" in seen:
        return "-"
    if first + second in seen or is_word(first + second):
        return ""
    return "-" if first in _PREFIXES or (is_word(first) and is_word(second)) else ""
