"""Man pages, written in the macros of man(7) or mdoc(7): a page is one record, titled after its name and section.

In: the page's source. Out: its text as a terminal shows it, with its structure. The line at the top of the page is the
first heading, and those of `.SH` and `.SS` lie below it. Options and other tagged paragraphs are terms, and their
explanation lies a level deeper. A page that only points to another (`.so`) has no text of its own. Tables are read in
the language of tbl; equations and pictures are left out.
"""

from __future__ import annotations

import codecs
import re
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from edgeqa.formats import checked, lines_of
from edgeqa.formats.blocks import FileExcessive, FormatOptions, Record, one_line
from edgeqa.formats.mdoc import MANUALS, Mdoc
from edgeqa.formats.prose import LINE, PARAGRAPH, Draft
from edgeqa.formats.roff import GLUED, Call, Roff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.formats.blocks import Block

MAX_LINE_BYTES = 1 << 20
MAX_LEVELS = 40
MAX_TERM_CHARACTERS = 200  # a longer text before something indented is a paragraph

_BULLET = re.compile(r"([•·*+o○□✓‣▪-])\s*\Z")
_NUMBER = re.compile(r"\(?(?:[0-9]{1,3}|[a-zA-Z]|[ivx]{1,5})[.)]\s*\Z|\[[0-9]{1,3}\]\s*\Z|[0-9]{1,2}\Z")
_MARKED = re.compile(r"(?:([•·‣▪○])|([0-9]{1,3}[.)]))[ \t]+(?=\S)")
_NO_TERM_END = (".", ":", ";", "!", "?", ",")


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the page as one record; none if it has no text of its own.

    Raises:
        FormatError: if it is no text, or expands to more than a page has.
    """
    page = _Page(Roff(_lines(checked(blocks, name), name), name))
    made = page.blocks()
    seen: list[Block] = []
    while not page.title and len(seen) < 2 and (block := next(made, None)) is not None:
        seen.append(block)
    if seen:
        yield Record(name, page.title, chain(seen, made))


def _lines(blocks: Iterator[bytes], name: str) -> Iterator[str]:
    """Yields lines without their ends, read as UTF-8, else as Windows or Latin 1: old pages do not say which."""
    long = FileExcessive(name, f"one of its lines is longer than {MAX_LINE_BYTES} bytes")
    for number, line in enumerate(lines_of(blocks, b"\n", MAX_LINE_BYTES, lambda _: long)):
        bare = (line if number else line.removeprefix(codecs.BOM_UTF8)).removesuffix(b"\n")
        try:
            yield bare.decode().rstrip("\r")
        except UnicodeDecodeError:
            yield bare.decode("cp1252", "replace").rstrip("\r")


class _Page:
    """Writes blocks for the macros of man(7), and passes those of mdoc(7) on."""

    def __init__(self, roff: Roff) -> None:
        self.title = ""
        self.draft = Draft()
        self._roff = roff
        self._mdoc = Mdoc(self.draft, roff, self._set_title)
        self._is_mdoc = False
        self._footer = ""
        self._depth = 0  # the depth of .RS
        self._hangs = 0  # 1 within the text that hangs under a term or an item
        self._outer: list[int] = []
        self._is_tag = False  # the next line is the term of .TP
        self._is_code = False
        self._glued = False
        self._link = ""
        self._heading_line = 0  # the next line is the name of a section of this level
        self._macros: dict[str, Callable[[list[str]], None]] = {
            "TH": self._name_page, "SH": partial(self._name_section, 2), "SS": partial(self._name_section, 3),
            "PP": self._begin_paragraph, "P": self._begin_paragraph, "LP": self._begin_paragraph,
            "HP": self._begin_paragraph, "TP": self._term, "TQ": self._term, "IP": self._begin_indented,
            "RS": self._deeper, "RE": self._shallower, "nf": self._begin_code, "EX": self._begin_code,
            "Vb": self._begin_code, "fi": self._end_code, "EE": self._end_code, "Ve": self._end_code,
            "sp": self._space, "Sp": self._space, "br": self._break, "ce": self._break, "ti": self._break,
            "UR": self._begin_link, "MT": self._begin_link, "UE": self._end_link, "ME": self._end_link,
            "SY": self._begin_synopsis, "YS": self._end_synopsis, "OP": self._optional, "MR": self._reference,
        }  # fmt: skip

    def blocks(self) -> Iterator[Block]:
        """Yields the blocks of the page."""
        for line in self._roff:
            if isinstance(line, str):
                self._text(line)
            elif line.name in ("TS", "EQ", "PS", "G1"):
                self._foreign(line.name)
            elif self._is_mdoc or line.name in ("Dd", "Dt"):
                self._is_mdoc = True
                self._mdoc.take(line)
            else:
                self._call(line)
            yield from self.draft.pop()
        self.draft.end()
        if footer := self._mdoc.footer if self._is_mdoc else self._footer:
            self.draft.begin("paragraph")
            self.draft.add(footer)
            self.draft.end()
        yield from self.draft.pop()

    def _set_title(self, name: str, section: str, manual: str) -> None:
        self.title = self.title or one_line(f"{name}({section})" if section else name)
        self.draft.begin("heading", 1)
        self.draft.add(" ".join([self.title, *([manual] if manual else [])]))
        self.draft.end()

    # --- text --------------------------------------------------------------------------------------------------------

    def _text(self, raw: str) -> None:
        if self._is_mdoc:
            self._mdoc.text(raw)
            return
        if self._heading_line and raw.strip():
            self._heading(self._heading_line, self._roff.plain(raw).replace(GLUED, ""))
            return
        if self._is_tag and raw.strip():
            self._put(self._roff.plain(raw))
            self._is_tag = self._glued
            if not self._is_tag:
                self._hang()
            return
        shown = self._roff.plain(raw)
        if self._is_code:
            self._verbatim(shown)
        elif not shown.strip(f" \t{GLUED}"):
            if not raw.strip():
                self._paragraph()
        else:
            if shown[0] in " \t":
                self.draft.line()
            self._put(shown)

    def _put(self, shown: str) -> None:
        """Adds words to what was begun."""
        glued, self._glued = self._glued, shown.endswith(GLUED)
        shown = shown.replace(GLUED, "").lstrip(" ")
        shown = shown if self._glued else shown.rstrip(" ")
        if not shown.strip():
            return
        if self.draft.is_empty and self.draft.kind == "paragraph" and (found := _MARKED.match(shown)) is not None:
            self.draft.turn("item", max(1, self._depth))
            shown = ("- " if found[1] else f"{found[2]} ") + shown[found.end() :]
        if glued:
            self.draft.add(shown)
        else:
            self.draft.words(shown)

    def _verbatim(self, shown: str) -> None:
        if self.draft.kind != "code":
            self.draft.begin("code", self._level, LINE if self.draft.kind == "term" else PARAGRAPH)
        if not self._glued:
            self.draft.line()
        self._glued = shown.endswith(GLUED)
        self.draft.add(shown.replace(GLUED, "") + ("" if self._glued else "\n"))

    @property
    def _level(self) -> int:
        return min(self._depth + self._hangs, MAX_LEVELS)

    # --- blocks ------------------------------------------------------------------------------------------------------

    def _paragraph(self) -> None:
        self._glued = False
        if not (self.draft.is_empty and self.draft.kind == "paragraph"):
            self.draft.begin("paragraph", self._level)

    def _hang(self) -> None:
        """Begins the explanation of a term."""
        self._hangs = 1
        self._glued = False
        if not self.draft.is_empty:
            self.draft.begin("paragraph", self._level, LINE)

    def _heading(self, level: int, text: str) -> None:
        self._depth = self._hangs = 0
        self._outer.clear()
        self._is_tag = self._is_code = self._glued = False
        self._heading_line = 0
        self.draft.begin("heading", level)
        self.draft.add(text)
        self.draft.begin("paragraph", 0)

    def _term(self, _arguments: list[str]) -> None:
        self._is_tag, self._hangs, self._glued = True, 1, False
        self.draft.begin("term", self._level)

    def _begin_indented(self, arguments: list[str]) -> None:
        """Begins a paragraph of `.IP`: an item, the explanation of a term, or more text under either."""
        self._is_tag = self._glued = False
        mark = arguments[0].replace(GLUED, "").strip() if arguments else ""
        self._hangs = int(bool(arguments or self._hangs))
        is_bullet = _BULLET.match(mark) is not None
        if not mark:
            self.draft.begin("paragraph", self._level)
        elif is_bullet or _NUMBER.match(mark):
            self.draft.begin("item", self._level)
            self.draft.add("- " if is_bullet else f"{mark} ")
        else:
            self.draft.begin("term", self._level)
            self.draft.add(mark)
            self._hang()

    def _deeper(self, _arguments: list[str]) -> None:
        # Many programs write a term as a paragraph of one short line, with something indented below.
        text = self.draft.text.strip()
        if (
            self.draft.kind == "paragraph"
            and 0 < len(text) <= MAX_TERM_CHARACTERS
            and (not text.endswith(_NO_TERM_END) or text.endswith("..."))
            and not self._is_code
        ):
            self.draft.turn("term", self._level + 1)
        gap = LINE if self.draft.kind == "term" else PARAGRAPH
        self._outer.append(self._hangs)
        del self._outer[: -4 * MAX_LEVELS]
        self._depth, self._hangs = min(self._depth + 1, MAX_LEVELS), 0
        if not self.draft.is_empty:
            self.draft.begin("paragraph", self._level, gap)
        elif self.draft.kind == "paragraph":
            self.draft.turn("paragraph", self._level)

    def _shallower(self, _arguments: list[str]) -> None:
        self._depth = max(0, self._depth - 1)
        self._hangs = self._outer.pop() if self._outer else 0
        self.draft.begin("paragraph", self._level)

    # --- macros ------------------------------------------------------------------------------------------------------

    def _call(self, call: Call) -> None:
        arguments = [self._roff.plain(raw) for raw in self._roff.arguments(call.rest)]
        if call.name in _FONTS:
            self._font(call.name, arguments)
        elif (macro := self._macros.get(call.name)) is not None:
            macro(arguments)

    def _begin_paragraph(self, _arguments: list[str]) -> None:
        self._hangs = 0
        self._is_tag = False
        self._paragraph_anew()

    def _name_section(self, level: int, arguments: list[str]) -> None:
        if arguments:
            self._heading(level, " ".join(arguments).replace(GLUED, ""))
        else:
            self._heading_line = level

    def _begin_code(self, _arguments: list[str]) -> None:
        self._is_code, self._is_tag = True, False

    def _end_code(self, _arguments: list[str]) -> None:
        if self._is_code:
            self._is_code = False
            self.draft.begin("paragraph", self._level)

    def _space(self, _arguments: list[str]) -> None:
        if self._is_code:
            self._verbatim("")
        elif not self._is_tag:
            self._paragraph()

    def _break(self, _arguments: list[str]) -> None:
        if not self._is_code:
            self.draft.line()

    def _paragraph_anew(self) -> None:
        if self._is_code:
            self._verbatim("")
            return
        self._glued = False
        self.draft.begin("paragraph", self._level)

    def _font(self, name: str, arguments: list[str]) -> None:
        if not arguments:
            return
        # A macro of two letters alternates two fonts from word to word, without blanks.
        parts = arguments if len(name) == 1 or name in ("SM", "SB") else ["".join(arguments)]
        shown = " ".join(parts)
        if self._heading_line:
            self._heading(self._heading_line, shown.replace(GLUED, ""))
            return
        if self._is_code and not self._is_tag:
            self._verbatim(shown)
            return
        self._put(shown)
        if self._is_tag and not self._glued:
            self._is_tag = False
            self._hang()

    def _name_page(self, arguments: list[str]) -> None:
        title, section, date, source, manual = [*arguments, "", "", "", "", ""][:5]
        self._footer = " ".join(part.strip() for part in (source, date) if part.strip())
        self._set_title(title, section, manual or MANUALS.get(section, ""))

    def _begin_link(self, arguments: list[str]) -> None:
        self._link = " ".join(arguments)

    def _end_link(self, arguments: list[str]) -> None:
        if self._link:
            self._put(f"⟨{self._link}⟩{' '.join(arguments)}")
        self._link = ""

    def _begin_synopsis(self, arguments: list[str]) -> None:
        self._paragraph_anew()
        self._put(" ".join(arguments))

    def _end_synopsis(self, _arguments: list[str]) -> None:
        self._paragraph()

    def _optional(self, arguments: list[str]) -> None:
        self._put(f"[{' '.join(arguments)}]")

    def _reference(self, arguments: list[str]) -> None:
        page, section, after = [*arguments, "", "", ""][:3]
        self._put(f"{page}({section}){after}")

    # --- what other languages are within a page ---------------------------------------------------------------------

    def _foreign(self, name: str) -> None:
        self.draft.end()
        end = {"TS": ".TE", "EQ": ".EN", "PS": ".PE", "G1": ".G2"}[name]
        table = _Table(self._roff)
        while (line := self._roff.raw()) is not None and line.split(" ")[0].rstrip() != end:
            if name == "TS":
                table.take(line, self.draft)
        table.end(self.draft)
        if not self._is_mdoc:
            self.draft.begin("paragraph", self._level)


_FONTS = frozenset(("B", "I", "R", "SM", "SB", "BI", "BR", "IB", "IR", "RB", "RI"))


MAX_CELLS = 200
_TAB = re.compile(r"\btab\s*\((.)\)")
_RULE = re.compile(r"[_=]+\Z")
_BOLD = re.compile(r"[a-z^][^a-z]*(?:f?b\b|b|f\[?b)", re.IGNORECASE)
_TEXT_BEGINS, _TEXT_ENDS = "T{", "T}"


class _Table:
    """One table. A row is written once the next one is seen, since a rule below may make the first a header."""

    def __init__(self, roff: Roff) -> None:
        self._roff = roff
        self._tab = "\t"
        self._formats: list[str] = []
        self._in_head = True  # options and formats
        self._held: list[str] | None = None
        self._cells: list[str] = []  # cells of an unfinished row, whose text goes over several lines
        self._text: list[str] | None = None
        self._rows = 0

    def take(self, raw: str, draft: Draft) -> None:
        """Takes a line."""
        if self._in_head:
            self._head(raw)
        elif self._text is not None:
            self._in_text(raw)
            if self._text is None:
                self._row(draft)
        elif raw.startswith(".T&"):
            self._in_head = True
            self._formats.clear()
        elif raw.startswith(".") and not raw[1:2].isdigit():
            return
        elif _RULE.match(raw.strip()):
            if self._rows == 1:
                self._write(draft, is_header=True)
        else:
            self._split(raw)
            if self._text is None:
                self._row(draft)

    def end(self, draft: Draft) -> None:
        """Writes the last row."""
        if self._cells:
            self._row(draft)
        self._write(draft, is_header=False)

    def _head(self, raw: str) -> None:
        line = self._roff.plain(raw).strip()
        if found := _TAB.search(line):
            self._tab = found[1]
        if line.endswith(";"):
            return
        self._formats.append(line)
        self._in_head = not line.endswith(".")

    def _split(self, raw: str) -> None:
        for cell in raw.split(self._tab)[:MAX_CELLS]:
            if cell.strip() == _TEXT_BEGINS:
                self._text = []
                return
            self._cells.append("" if cell.strip() in ("\\^", "\\_", "_", "=") else self._shown(cell))

    def _in_text(self, raw: str) -> None:
        if self._text is None:
            return
        if raw.startswith(_TEXT_ENDS):
            self._cells.append(" ".join(self._text))
            self._text = None
            rest = raw[len(_TEXT_ENDS) :]
            if rest.startswith(self._tab):
                self._split(rest[len(self._tab) :])
        elif raw[:1] in (".", "'"):
            name, _, rest = raw[1:].strip().partition(" ")
            if name in ("B", "I", "R", "BR", "IR", "RB", "BI", "IB", "RI", "SM", "Nm", "Xr", "Ev", "Fa", "Ar", "Sy"):
                between = "" if len(name) == 2 and name.isupper() and name != "SM" else " "
                self._text.append(between.join(map(self._shown, self._roff.arguments(rest))))
        elif raw.strip():
            self._text.append(self._shown(raw))

    def _shown(self, raw: str) -> str:
        return self._roff.plain(raw).replace(GLUED, "")

    def _row(self, draft: Draft) -> None:
        self._write(draft, is_header=self._rows == 1 and self._is_bold())
        self._held, self._cells = self._cells, []
        self._rows += 1

    def _is_bold(self) -> bool:
        """Whether the format of the first row is in bold, and another format follows it."""
        first, *others = [one for line in self._formats for one in line.split(",")] or [""]
        return bool(others) and bool(_BOLD.match(first.strip()))

    def _write(self, draft: Draft, *, is_header: bool) -> None:
        if self._held is not None:
            draft.row(self._held, is_header=is_header, begins=self._rows == 1)
        self._held = None
