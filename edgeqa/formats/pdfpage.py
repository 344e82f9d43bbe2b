"""A page's lines, as they lie on it, to blocks: headings, paragraphs, items, rows where columns are plainly aligned.

Pure. In: lines with their places and sizes, what the document's outline calls headings on this page. Out: blocks. A
paragraph ends where a line is short, the next stands apart, or its letters are of another size. What a hyphen at a
line's end parts is one word or two, by the words that there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from edgeqa.formats.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgeqa.formats.blocks import Block, BlockKind

APART = 1.35  # times the usual distance of lines: a paragraph ends
LARGER = 1.15  # times the usual size: a heading
MOST_HEADING_CHARACTERS = 120
SHORT = 0.85  # of the width of the page's text: a line that ends a paragraph, if it ends a sentence
HALF = 0.6  # of that width: a line that ends one anyway
LEAST_ROWS = 3
ALIGNED_SIZES = 0.6  # letters' sizes that the beginnings of a column may differ by

_BULLET = re.compile(r"([•‣◦·▪●○■□–*-]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+\S")  # noqa: RUF001 - dashes as they are printed
_ENDS = re.compile(r"[.!?:;)\]”\"']$")
_DASH = re.compile(r"(?<=\w)[-\u2010\u2011\u2013\u2014\u00ad]$")
_WORD_END = re.compile(r"[^\W_]+$")
_WORD_BEGIN = re.compile(r"[^\W_]+")
_TOKEN_END = re.compile(r"\S+$")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
# What is written with a hyphen before a whole word.
_PREFIXES = frozenset(
    "all anti co cross ex full half high ill long low mid multi non off on one part post pre pro quasi self semi "  # noqa: SIM905
    "short three two well".split()
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or what of one stands apart from the rest."""

    cells: tuple[tuple[float, str], ...]
    """Text with where it begins; several where wide gaps part it."""
    left: float = 0
    right: float = 0
    top: float = 0
    size: float = 0
    """Height of its letters; 0 where places are not known."""
    is_bold: bool = False
    is_parted: bool = False
    """Whether it ends with a hyphen that PDFium took for the division of a word, which is no part of the text."""

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(text for _, text in self.cells)


def blocks_of(
    lines: Sequence[Line], outline: Mapping[str, int] | None, is_word: Callable[[str], bool], seen: set[str]
) -> Iterator[Block]:
    """Yields the blocks of a page.

    Args:
        lines: in reading order.
        outline: titles that the outline has for this page, as `plain_title` writes them, with their levels; None where
            the document has no outline, and its headings have to be told by their letters.
        is_word: tells whether a word, in small letters, is one of the language.
        seen: words of the document so far, in small letters; those of this page are added.
    """
    seen.update(word.lower() for line in lines for word in re.findall(r"[^\W\d_]{3,}(?:-[^\W\d_]+)*", line.text))
    headings = outline or {}
    layout = _Layout(lines, headings, by_size=outline is not None)
    rows = Rows()
    at = 0
    while at < len(lines):
        after = layout.table_end(at)
        if after > at:
            rows.table()
            for cells in layout.table(at, after):
                yield from rows.row(cells)
            at = after
            continue
        after = layout.heading_end(at) or layout.paragraph_end(at)
        text = _joined(lines[at:after], is_word, seen)
        level = headings.get(plain_title(text)) or layout.heading_level(lines[at:after], text)
        kind: BlockKind = "heading" if level else "item" if _BULLET.match(text) else "paragraph"
        yield from rows.paragraph(text, kind, level or int(kind == "item"))
        at = after


def plain_title(title: str) -> str:
    """Returns a title without what may differ between an outline and its page: white space, case, its number."""
    return re.sub(r"^[\divxlc]+(?:\.\d+)*\.?(?=[^\W\d_])", "", "".join(title.casefold().split())).strip(".:")


class _Layout:
    """What a page's lines have in common."""

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
        if not size or len(text) > MOST_HEADING_CHARACTERS or not re.search(r"[^\W\d_]{2}", text):
            return 0
        if size >= LARGER * self._size:
            return 1 if size > 1.6 * self._size else 2 if size > 1.3 * self._size else 3
        if self._by_size or _BULLET.match(text):
            return 0
        is_bold = all(line.is_bold for line in lines) and not self._has_bold_text
        stands_out = is_bold or (text.isupper() and len(re.findall(r"[^\W\d_]", text)) > 3)
        return 4 if len(lines) == 1 and len(self._lines) > 1 and stands_out and not text.endswith((".", ",")) else 0

    def table_end(self, at: int) -> int:
        """Returns the line after the table that begins here, `at` if none does: some lines parted alike."""
        after = at
        while after < len(self._lines) and len(self._lines[after].cells) > 1 and self._is_alike(at, after):
            after += 1
        return after if after - at >= LEAST_ROWS else at

    def _is_alike(self, first: int, at: int) -> bool:
        starts = [x for line in self._lines[first : min(first + LEAST_ROWS, at + 1)] for x, _ in line.cells]
        allowed = ALIGNED_SIZES * max(self._size, 1)
        widest = max(len(self._lines[n].cells) for n in range(first, min(first + LEAST_ROWS, at + 1)))
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
    """Returns lines as one text, a line break between them, words that a hyphen divides put together."""
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
    """Returns "-" where a hyphen at a line's end belongs to what it parts, else ""."""
    before = before[-100:]
    left, right = _WORD_END.search(before), _WORD_BEGIN.match(after)
    token = _TOKEN_END.search(before)
    if left is None or right is None or (token and re.search(r"[-/@_.:\\]\S", token.group())):
        return "-"
    first, second = left.group(), right.group()
    if first[-1].isupper() or first[-1].isdigit() or second[0].isdigit() or second[0].isupper():
        return "-"
    first, second = first.lower(), second.lower()
    if f"{first}-{second}" in seen:
        return "-"
    if first + second in seen or is_word(first + second):
        return ""
    return "-" if first in _PREFIXES or (is_word(first) and is_word(second)) else ""
