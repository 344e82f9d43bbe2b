"""Plain text: this module finds the headings, lists, terms and tables that people lay out with blanks and a few marks.

In: a file in UTF-8, or NFC text in pieces, cut anywhere. Out: blocks, which together are that text to the last
character. The module looks at one group at a time, which is lines without a blank line between them, and at the next
group. It takes a line for more than prose only if its neighbours confirm it, since a wrong guess cuts a sentence and
loses its answer. So a term must be shorter than the text that hangs below it; `plaintables` finds tables. Anything else
is a paragraph, or an item if a mark says so. Words of a language do not count, except "Q:", "A:" and the usual names of
chapters. Source code is read here, too: it stays as it stands, in pieces between blank lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from edgeqa.formats import BLOCK_BYTES, decode, nfc_blocks
from edgeqa.formats.blocks import Block, FormatOptions, Record, one_line
from edgeqa.formats.plaintables import GAP, Line, Span, Table, table_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.formats.blocks import BlockKind

MAX_GROUP_CHARACTERS = 1 << 15  # a longer group is handled in parts
MAX_GROUP_LINES = 400
MAX_NAME_CHARACTERS = 80  # a heading is not longer
MAX_LABEL_CHARACTERS = 32  # nor is a name with its text beside it
MAX_TERM_CHARACTERS = 60  # a term is not longer: a line that is nearly full goes on below
_BULLET = re.compile(r"(?:[-*+•‣◦·▪\u2013]|\(?(\d{1,3})[.)]|\(?[a-zA-Z]\))\s+(?=\S)")
_OPTION = re.compile(r"(?!--[A-Z][a-z]|-\d+-$)--?[A-Za-z0-9?#@]|[+/][A-Za-z0-9?](?=[ \t,:]|$)")
_QUESTION = re.compile(r"[ \t]*(?:Q|Question)[ \t]*\d*[ \t]*[:.)][ \t]*(?=\S)")
_REPLY = re.compile(r"[ \t]*(?:A|Answer)[ \t]*\d*[ \t]*[:.)][ \t]*(?=\S)")
_NUMBERED_HEADING = re.compile(r"((?:\d{1,3}|[A-Z])(?:\.\d{1,3}){0,4})\.?[ \t]+[^\W\d_]")
_CHAPTER = re.compile(
    r"(?:chapter|part|section|appendix|article|book|annex)[ \t]+(?:\d|[ivxlc]+\b|[a-z]\b)", re.IGNORECASE
)
_UNDERLINE = re.compile(r"([=\-~^#*\"'`+_])\1{2,}[ \t]*$")
_UNDERLINE_LEVEL = {"=": 1, "#": 1, "-": 2, "*": 2}


@dataclass(frozen=True, slots=True)
class Group:
    """Lines without a blank line between them."""

    before: str
    """White space since the last group."""
    text: str
    lines: tuple[Line, ...]
    is_rest: bool
    """Whether it continues the previous group, which was too long."""

    @property
    def indent(self) -> int:
        """The number of columns by which all its lines are indented."""
        return min(line.indent for line in self.lines)


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the file as one record."""
    yield Record(name, "", structured(nfc_blocks(decode(blocks, name))))


def record(name: str, title: str, text: str) -> Record:
    """Returns a record of text that is in memory."""
    pieces = (text[place : place + BLOCK_BYTES] for place in range(0, len(text), BLOCK_BYTES))
    return Record(name, one_line(title), structured(nfc_blocks(pieces)))


def structured(pieces: Iterable[str]) -> Iterator[Block]:
    """Yields the blocks of a plain text.

    Args:
        pieces: NFC text, cut anywhere; the blocks do not depend on where.
    """
    state = _State()
    held: Group | None = None
    for group in _groups(pieces):
        if held is not None:
            yield from state.blocks(held, group)
        held = group
    if held is not None:
        yield from state.blocks(held, None)
    yield from state.rest()


def _groups(pieces: Iterable[str]) -> Iterator[Group]:
    """Yields the groups of a text; if white space is left at its end, the last group has no lines."""
    gap: list[str] = []
    held: list[str] = []
    characters, is_rest = 0, False
    for line in _lines(pieces):
        if line.isspace():
            if held:
                yield _group("".join(gap), "".join(held), is_rest=is_rest)
                gap, held, characters, is_rest = [], [], 0, False
            gap.append(line)
            continue
        held.append(line)
        characters += len(line)
        if characters >= MAX_GROUP_CHARACTERS or len(held) == MAX_GROUP_LINES:
            yield _group("".join(gap), "".join(held), is_rest=is_rest)
            gap, held, characters, is_rest = [], [], 0, True
    if held or gap:
        yield _group("".join(gap), "".join(held), is_rest=is_rest)


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Yields the lines with their ends; a line that is longer than a group comes in parts."""
    kept = ""
    for piece in pieces:
        *lines, kept = (kept + piece).split("\n")
        for line in lines:
            yield from _parts(line + "\n")
        if len(kept) > 2 * MAX_GROUP_CHARACTERS:
            *parts, kept = _parts(kept)
            yield from parts
    if kept:
        yield from _parts(kept)


def _parts(line: str) -> Iterator[str]:
    while len(line) > MAX_GROUP_CHARACTERS:
        cut = line.rfind(" ", 1, MAX_GROUP_CHARACTERS)
        cut = cut if cut > 0 and not line[:cut].isspace() else MAX_GROUP_CHARACTERS
        yield line[:cut]
        line = line[cut:]
    yield line


def _group(before: str, text: str, *, is_rest: bool) -> Group:
    lines, place = [], 0
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped:
            begin = line.index(stripped[0])
            indent = len(line[:begin].expandtabs()) if begin else 0
            lines.append(Line(place + begin, place + begin + len(stripped), indent, stripped))
        place += len(line) + 1
    return Group(before, text, tuple(lines), is_rest)


class _State:
    """The state of a text so far: the open terms and items, and the look of its headings."""

    def __init__(self) -> None:
        self._open: list[tuple[int, BlockKind]] = []  # indentation and kind of blocks that later ones may belong to
        self._kept = ""  # white space at the end of a group
        self._number = 0  # the number of the last numbered item
        self._last: BlockKind = "heading"
        self._in_answers = False
        self._term_indents: set[int] = set()  # the indentations of terms in this section
        self._table: Table | None = None  # the table that the rest of a long group continues
        self._stops: tuple[int, ...] = ()  # the columns where the cells of rows begin that blank lines part

    def blocks(self, group: Group, following: Group | None) -> Iterator[Block]:
        """Yields the blocks of a group."""
        done = 0
        before = self._kept + group.before
        for span in self._spans(group, following) if group.lines else ():
            before += group.text[done : span.begin]
            cells = tuple((begin - span.begin, end - span.begin) for begin, end in span.cells)
            text = group.text[span.begin : span.end]
            yield Block(text, before, span.kind, span.level, cells, span.begins)
            self._last = span.kind
            before, done = "", span.end
        self._kept = before + group.text[done:]

    def rest(self) -> Iterator[Block]:
        """Yields the white space at the end of the text, if there is some."""
        if self._kept:
            yield Block("", self._kept)

    def _spans(self, group: Group, following: Group | None) -> Iterator[Span]:
        lines = group.lines
        if group.is_rest:
            if self._table is not None:
                first, *others = replace(self._table, has_header=False).rows(lines)
                yield from (first._replace(begins=False), *others)
                return
            yield Span(lines[0].begin, lines[-1].end, "paragraph", len(self._open))
            return
        self._table = None
        if (parted := self._parted(group, following)) is not None:
            yield from parted
            return
        if (level := _heading_level(group, following)) is not None:
            self._begin_section()
            yield Span(lines[0].begin, lines[0].end, "heading", level)
            lines = lines[2:] if len(lines) > 1 and _UNDERLINE.fullmatch(lines[1].text) else lines[1:]
            if lines and (parted := self._parted(replace(group, lines=lines), following)) is not None:
                yield from parted
                return
        at = 0
        while at < len(lines):
            spans, at = self._at(lines, at, is_first=not at, following=following)
            yield from spans

    def _begin_section(self) -> None:
        self._open.clear()
        self._term_indents.clear()
        self._stops = ()
        self._number, self._in_answers = 0, False

    def _parted(self, group: Group, following: Group | None) -> list[Span] | None:
        """Takes a row of a table whose rows blank lines part: a term with its text beside it if it has two cells."""
        begins = not (self._stops and _fits(group, self._stops))
        if begins:
            if self._stops and group.indent < self._stops[1]:  # else the text beside a term goes on
                self._stops = ()
            if "  " not in group.lines[0].text or following is None or not following.lines:
                return None
            stops = _stops(group, following)
            if not stops:
                return None
            self._stops = stops
        line, end = group.lines[0], group.lines[-1].end
        self._close(line.indent)
        places = [line.begin + stop - line.indent for stop in self._stops]
        if len(places) == 2:
            level = len(self._open) + 1
            self._open.append((line.indent, "term"))
            name = line.text[: places[1] - line.begin].rstrip()
            term = Span(line.begin, line.begin + len(name), "term", level)
            return [term, Span(places[1], end, "paragraph", level)]
        cells = [
            (begin, begin + len(group.text[begin:after].rstrip()))
            for begin, after in pairwise((*places, group.lines[-1].end))
        ]
        kind: BlockKind = "header" if begins and _names_columns(group) else "row"
        return [Span(line.begin, end, kind, len(self._open), tuple(cells), begins)]

    def _at(self, lines: Sequence[Line], at: int, *, is_first: bool, following: Group | None) -> tuple[list[Span], int]:
        """Returns the blocks that begin with a line of the group, and the line after them."""
        line = lines[at]
        if (asked := self._asked(lines, at)) is not None:
            return asked
        if (table := table_at(lines, at)) is not None:
            self._close(line.indent)
            self._table = table if table.end == len(lines) else None
            return table.rows(lines[at : table.end], len(self._open)), table.end
        if (hanging := self._hanging(lines, at, is_first=is_first, following=following)) is not None:
            return hanging
        if (item := self._item(lines, at, is_first=is_first)) is not None:
            return item
        after = at + 1
        while after < len(lines) and not self._begins(lines, after):
            after += 1
        self._close(min(one.indent for one in lines[at:after]))
        return [Span(line.begin, lines[after - 1].end, "paragraph", len(self._open))], after

    def _begins(self, lines: Sequence[Line], at: int) -> bool:
        """Tells whether something other than prose begins within a paragraph."""
        line = lines[at]
        opens = lines[at - 1].text.endswith(":")
        return (
            table_at(lines, at) is not None
            or (_OPTION.match(line.text) is not None and _is_option(lines, at))
            or (opens and _BULLET.match(line.text) is not None)
            or (_REPLY.match(line.text) is not None and self._in_answers)
            or _QUESTION.match(line.text) is not None
            or _is_list_at(lines, at)
        )

    def _close(self, indent: int) -> None:
        """Closes the terms and items that do not reach to this indentation."""
        if self._in_answers and self._open[0][0] < 0:  # the answer to a question may stand anywhere
            while len(self._open) > 1 and indent <= self._open[-1][0]:
                self._open.pop()
            return
        while self._open and indent <= self._open[-1][0]:
            self._open.pop()

    def _asked(self, lines: Sequence[Line], at: int) -> tuple[list[Span], int] | None:
        """Takes the question of an FAQ, up to its answer."""
        if _QUESTION.match(lines[at].text) is None:
            return None
        after = at + 1
        while after < len(lines) and not _REPLY.match(lines[after].text) and not _QUESTION.match(lines[after].text):
            after += 1
        self._open = [(-1, "term")]
        self._in_answers = True
        return [Span(lines[at].begin, lines[after - 1].end, "term", 1)], after

    def _hanging(
        self, lines: Sequence[Line], at: int, *, is_first: bool, following: Group | None
    ) -> tuple[list[Span], int] | None:
        """Takes a term, with the text that hangs below it or stands beside it."""
        line = lines[at]
        is_option = _OPTION.match(line.text) is not None and _is_option(lines, at)
        if not is_option and not (is_first and self._is_term(lines, following)):
            return None
        self._close(line.indent)
        level = len(self._open) + 1
        self._open.append((line.indent, "term"))
        self._term_indents.add(line.indent)
        gap = GAP.search(line.text)
        body = at + 1
        while body < len(lines) and lines[body].indent == line.indent and _is_term_line(lines[body].text):
            body += 1  # the next line names it again, as --all below -a
        if body >= len(lines) or lines[body].indent <= line.indent:
            body = at + 1
        after = body
        while after < len(lines) and lines[after].indent > line.indent:
            after += 1
        if gap is not None and body == at + 1:
            begin = line.begin + gap.end()
            term = Span(line.begin, line.begin + gap.start() + 1, "term", level)
            return [term, Span(begin, lines[after - 1].end, "paragraph", level)], after
        term = Span(line.begin, lines[body - 1].end, "term", level)
        return [term, *self._below(lines, body, after)], after

    def _below(self, lines: Sequence[Line], body: int, after: int) -> list[Span]:
        """Returns the blocks of the lines that hang below a term."""
        spans: list[Span] = []
        while body < after:
            found, body = self._at(lines[:after], body, is_first=False, following=None)
            spans += found
        return spans

    def _is_term(self, lines: Sequence[Line], following: Group | None) -> bool:
        """Tells whether the first line of a group is a term for the text that hangs below it."""
        first, rest = lines[0], lines[1:]
        if first.text.endswith(":") and len(first.text.split()) > 3:  # it is a sentence that introduces the next lines
            return False
        if len(first.text) > MAX_TERM_CHARACTERS or not _is_term_line(first.text) or _BULLET.match(first.text):
            return False
        if first.text.startswith("-") and not _OPTION.match(first.text):  # a page's number, or a speaker
            return False
        if rest:
            depth = min(line.indent for line in rest) - first.indent
            if depth < 2:
                return _is_headword(lines, following)
            return (
                depth >= 4
                or first.indent in self._term_indents
                or _is_code(first.text)
                or first.text.endswith("=")
                or (following is not None and bool(following.lines) and _hangs(following, first.indent))
            )
        # The term is alone in its group, and its explanation follows, deeper.
        is_deeper = following is not None and bool(following.lines) and following.indent >= first.indent + 2
        return is_deeper and (first.indent in self._term_indents or _is_code(first.text))

    def _item(self, lines: Sequence[Line], at: int, *, is_first: bool) -> tuple[list[Span], int] | None:
        """Takes an item of a list with the lines that go on from its first."""
        line = lines[at]
        mark = _BULLET.match(line.text)
        if mark is None or not self._is_item(lines, at, mark, is_first=is_first):
            return None
        if not any(map(str.isalnum, line.text[mark.end() :])):  # these are stars between two scenes
            return None
        self._number = int(mark[1] or 0)
        self._close(line.indent)
        begins = self._last != "item"
        level = len(self._open) + 1
        self._open.append((line.indent, "item"))
        after = at + 1
        while after < len(lines) and lines[after].indent >= line.indent and not self._ends_item(lines, after):
            after += 1
        return [Span(line.begin, lines[after - 1].end, "item", level, begins=begins)], after

    def _is_item(self, lines: Sequence[Line], at: int, mark: re.Match[str], *, is_first: bool) -> bool:
        is_listed = _is_list_at(lines, at) or (at > 0 and lines[at - 1].text.endswith(":")) or self._last == "item"
        if mark[1] is None:
            return is_first or is_listed
        # A number at the beginning of a line may be the end of a sentence: "it was built in\n1914. Then".
        return int(mark[1]) == self._number + 1 or (is_first and is_listed) or (is_first and int(mark[1]) <= 1)

    def _ends_item(self, lines: Sequence[Line], at: int) -> bool:
        mark = _BULLET.match(lines[at].text)
        if mark is not None and (mark[1] is None or int(mark[1]) == self._number + 1):
            return True
        return self._begins(lines, at)


def _begins_of(line: Line) -> tuple[int, ...]:
    """Returns the columns of a line where text begins after two blanks or more."""
    return (line.indent, *(line.indent + gap.end() for gap in GAP.finditer(line.text)))


def _stops(group: Group, following: Group) -> tuple[int, ...]:
    """Returns the columns where the cells of two groups begin, each of them a row; none if they are no rows."""
    first, second = group.lines[0], following.lines[0]
    if first.indent != second.indent or "  " not in second.text or "\t" in first.text + second.text:
        return ()
    stops = tuple(sorted({*_begins_of(first)} & {*_begins_of(second)}))
    if len(stops) < 2 or not (_fits(group, stops) and _fits(following, stops)):
        return ()
    has_lines_below = len(group.lines) + len(following.lines) > 2  # which stand in the last column
    is_wide = all(line.text[: stops[1] - line.indent].endswith("   ") for line in (first, second))
    return stops if has_lines_below or is_wide else ()


def _fits(group: Group, stops: tuple[int, ...]) -> bool:
    """Tells whether a group is a row with cells at these columns; only the last cell goes on in further lines."""
    line, *others = group.lines
    name = line.text[: stops[1] - line.indent].rstrip()
    is_name = len(name) > 1 or name.isdecimal()  # another sign alone counts items
    is_name &= len(name) <= MAX_LABEL_CHARACTERS and name[-1:] not in ".,;:!?" and any(map(str.isalnum, name))
    return (
        is_name
        and line.indent == stops[0]
        and set(stops) <= {*_begins_of(line)}
        and GAP.search(name) is None
        and all(one.indent == stops[-1] for one in others)
        and not any(mark.match(line.text) for mark in (_BULLET, _OPTION, _QUESTION, _REPLY))
    )


def _names_columns(group: Group) -> bool:
    """Tells whether a row of a table names its columns: short words without a figure."""
    text = group.lines[0].text
    return len(group.lines) == 1 and not any(map(str.isdigit, text)) and _is_term_line(text) and text[0].isupper()


def _heading_level(group: Group, following: Group | None) -> int | None:
    """Returns the level of the heading that the group is or begins with; None if it is none."""
    first = group.lines[0]
    text = first.text
    if len(text) > MAX_NAME_CHARACTERS or text.endswith((",", ";")) or not any(map(str.isalnum, text)):
        return None
    if len(group.lines) > 1:
        second = group.lines[1]
        mark = _UNDERLINE.fullmatch(second.text)
        if mark is not None and GAP.search(text) is None and len(second.text) >= len(text) // 2:
            return _UNDERLINE_LEVEL.get(mark[1], 3)
        # Manual pages have capitals at the margin, or a slightly indented name, and text right below, deeper.
        depth = min(line.indent for line in group.lines[1:]) - first.indent
        if not first.indent and depth >= 2 and _is_capitals(text):
            return 1
        return 2 if first.indent == 3 and depth == 4 and text[0].isupper() and not text.endswith(".") else None
    if following is None or not following.lines:
        return None
    if (number := _NUMBERED_HEADING.match(text)) is not None and not text.endswith((".", ":", "!")):
        is_list = _BULLET.match(following.lines[0].text) is not None and _BULLET.match(text) is not None
        return None if is_list else min(6, number[1].count(".") + 1)
    if _CHAPTER.match(text):
        return 1
    if _is_capitals(text) and not _OPTION.match(text):
        return 1 if not first.indent else 2
    is_name = text[0].isupper() and not text.endswith((".", ":", "!", "?")) and len(text.split()) <= 8
    is_over_text = len(following.text) > 2 * len(text) and following.indent >= first.indent
    has_room = not group.before or group.before.count("\n") > following.before.count("\n")
    return 3 if is_name and is_over_text and has_room and GAP.search(text) is None else None


def _is_capitals(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return len(letters) >= 3 and all(c.isupper() for c in letters) and text[0].isalnum() and not text.endswith(":")


def _is_headword(lines: Sequence[Line], following: Group | None) -> bool:
    """Tells whether a group is an entry of a dictionary: a word with its part of speech, and a deeper text below."""
    first, *rest = lines
    is_short = len(rest) == 1 and rest[0].indent - first.indent > 0 and len(rest[0].text) <= MAX_TERM_CHARACTERS
    return (
        is_short
        and rest[0].text.endswith(".")
        and following is not None
        and bool(following.lines)
        and following.indent >= first.indent + 4
    )


def _is_term_line(text: str) -> bool:
    return not text.endswith((".", ",", ";", "!")) or _is_code(text)


def _is_code(text: str) -> bool:
    """Tells whether a line looks like an option, a setting or a command rather than words."""
    if text[0] == "[" and " " in text:  # "[Illustration: the pump]"
        return False
    return bool(_OPTION.match(text)) or any(c in text for c in "=<>[]{}$_") or (" " not in text and not text.isalpha())


def _is_option(lines: Sequence[Line], at: int) -> bool:
    """Tells whether an option is explained on its line or below it, or another one is named below."""
    line = lines[at]
    is_in_prose = at > 0 and lines[at - 1].indent == line.indent and not _OPTION.match(lines[at - 1].text)
    if is_in_prose and (
        len(line.text) > MAX_NAME_CHARACTERS // 2 or len(lines) == at + 1 or lines[at + 1].indent <= line.indent
    ):
        return False
    if GAP.search(line.text) is not None:
        return True
    below = lines[at + 1 : at + 3]
    return any(one.indent > line.indent or _OPTION.match(one.text) for one in below[:1]) or not below


def _hangs(group: Group, indent: int) -> bool:
    first, rest = group.lines[0], group.lines[1:]
    return first.indent == indent and bool(rest) and min(line.indent for line in rest) >= indent + 2


def _is_list_at(lines: Sequence[Line], at: int) -> bool:
    """Tells whether two items of the same kind, one after the other, begin here."""
    first = _BULLET.match(lines[at].text)
    if first is None:
        return False
    for line in lines[at + 1 :]:
        if line.indent > lines[at].indent:
            continue
        then = _BULLET.match(line.text)
        if then is None or line.indent != lines[at].indent:
            return False
        return int(then[1]) == int(first[1]) + 1 if first[1] and then[1] else then[0].strip() == first[0].strip()
    return False


# The rest reads source code, which stays as it stands, in pieces between blank lines.

MAX_CODE_CHARACTERS = 1 << 16  # a longer piece goes on in the next one


def read_code(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the file as one record."""
    yield Record(name, "", _code_pieces(nfc_blocks(decode(blocks, name))))


def _code_pieces(text: Iterator[str]) -> Iterator[Block]:
    before = held = ""
    for line in _lines(text):
        if not line.isspace():
            held += line
        elif held:
            piece = held.rstrip()
            yield Block(piece, before, "code")
            before, held = held[len(piece) :] + line, ""
        else:
            before += line
        if max(len(held), len(before)) > MAX_CODE_CHARACTERS:
            yield Block(held, before, "code")
            before = held = ""
    piece = held.rstrip()
    if piece:
        yield Block(piece, before, "code")
        before = held[len(piece) :]
    if before:
        yield Block("", before, "code")
