"""RTF: the text of a document, as it is shown, is one record; its notes stand at the end.

Headings have the levels of their styles, items have the bullets and numbers that the file gives, and tables are rows.
Hidden and deleted text, comments, the codes of fields, headers and footers are left out. A field without a result is
written by its code, if that is a formula, a sign or a form. The file is read as it comes, one control word or run of
text at a time.

The format is the Rich Text Format Specification 1.9.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOptions, Record, first_heading, one_line
from edgeqa.formats.notation import MAX_FIELD_CHARACTERS, OfficeMath, field_shown, symbol
from edgeqa.formats.stories import NOTE, Stories, Story
from edgeqa.formats.wordstyles import named_level, outline_level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edgeqa.formats.blocks import Block

MAX_DEPTH = 1000
MAX_HELD_BYTES = 1 << 14
MAX_STYLES = MAX_FONTS = 1 << 14
MAX_COLUMNS = 500
MAX_MARKER_CHARACTERS = 40
MAX_NAME_PARTS = 100  # the name of a font or a style has at most so many parts

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}\r\n]+)|[\r\n]+", re.DOTALL
)
_WORD, _NUMBER, _CODE, _ESCAPED, _BRACE, _TEXT = range(1, 7)  # the last group of the pattern that matched
_MAX_TOKEN_BYTES = 64  # tokens are not longer, except text, of which any part is a token
_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\\rtf", re.IGNORECASE)
_BULLETS = re.compile(r"[^\w\s]")

# These groups are no text of the document. Unknown groups with the mark for "skip if unknown" are skipped, too.
_SKIPPED = frozenset(
    """
    colortbl pict header headerl headerr headerf footer footerl footerr footerf xe tc rxe nonshppict filetbl
    revtbl listtable listoverridetable rsidtbl generator themedata colorschememapping datastore latentstyles mmathPr
    xmlnstbl template pgptbl nonesttables atnid atnauthor annotation bkmkstart bkmkend datafield objdata
    objclass sp shprslt
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)
_BOXES = ("shptxt", "dptxbxtext")
_KINDS = _SKIPPED | {
    *(
        "fonttbl",
        "stylesheet",
        "info",
        "listtext",
        "pntext",
        "title",
        "footnote",
        "upr",
        "field",
        "fldinst",
        "formfield",
    ),
    *("moMath", *_BOXES),
}
_KNOWN = frozenset(
    (
        *("shpinst", "do", "ud", "fldrslt", "footnote", "listtext", "pntext", "fldinst", "formfield", "ffl"),
        *("moMath", "moMathPara", *_BOXES),
    )
)
# The elements of formulas, by their names in Office, without the letter `m` that RTF puts before them.
_OF_FORMULAS = frozenset(
    """
    f num den sSup sSub sSubSup sPre e sup sub rad deg d nary func fName limLow limUpp lim acc bar groupChr box
    borderBox eqArr m mr r phant
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)
_SIGNS_OF_FORMULAS = frozenset(("begChr", "endChr", "sepChr", "chr"))
MAX_ENTRIES = 2000  # choices of a form
_UNDEFINED = 25  # means that nobody has chosen
_CHARSETS = {
    0: "cp1252", 77: "mac-roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 254: "cp437", 255: "cp437",
}  # fmt: skip
_SYMBOLS = 2
_CHARACTERS = {
    "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "tab": " ", "enspace": " ", "emspace": " ", "qmspace": " ", "zwj": "\u200d", "zwnj": "\u200c",
}  # fmt: skip
_ONE = {b"~": "\xa0", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "", b"\r": "", b"-": "", b":": ""}


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the document as one record.

    Raises:
        FormatError: if it is no RTF, or more than a document would be.
    """
    document = _Document(name)
    title, found = first_heading(_read(blocks, document, name))
    yield Record(name, title or one_line(document.title), found)


def _read(blocks: Iterable[bytes], document: _Document, name: str) -> Iterator[Block]:
    held = b""
    is_begun = False
    for block in blocks:
        held += block
        if not is_begun and len(held) >= _MAX_TOKEN_BYTES:
            _check(held, name)
            is_begun = True
        if is_begun:
            held = document.take(held, is_last=False)
            yield from document.stories.pop()
    if not is_begun:
        _check(held, name)
    document.take(held, is_last=True)
    document.end()
    yield from document.stories.finish()


def _check(head: bytes, name: str) -> None:
    if not _BEGINS.match(head):
        raise FileDamaged(name, "RTF", r"it does not begin with {\rtf" if head else "it is empty")


@dataclass(slots=True)
class _State:
    """The state within a group; the groups in it share it until they change it."""

    kind: str = ""
    """The purpose of the group; "" for text."""
    is_star: bool = False
    is_hidden: bool = False
    raised: int = 0
    skip: int = 1
    """The number of replacement characters after one in Unicode, for programs without Unicode."""
    font: int = 0
    is_aside: bool = False
    upr: int = 0
    is_field: bool = False
    element: str = ""
    """The element of a formula that the group stands for."""

    def inherited(self) -> _State:
        """Returns the state at the beginning of an inner group."""
        return _State(self.kind, is_hidden=self.is_hidden, raised=self.raised, skip=self.skip, font=self.font)


@dataclass(slots=True)
class _Field:
    """An open field: its code, and the choices of its form."""

    code: list[str] = field(default_factory=list)
    characters: int = 0
    is_shown: bool = False
    """Whether its result has text."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The numbers of its form: `fftype`, `ffres` and `ffdefres`."""
    entries: list[str] = field(default_factory=list)

    def add(self, text: str, *, is_code: bool) -> None:
        """Adds a part of its code, or of the last choice."""
        if not is_code:
            self.entries[-1] = (self.entries[-1] + text)[:MAX_FIELD_CHARACTERS]
        elif self.characters < MAX_FIELD_CHARACTERS:
            self.code.append(text)
            self.characters += len(text)

    def shown(self) -> str:
        """Returns the text that is shown if it has no result."""
        if "fftype" not in self.numbers:
            return field_shown("".join(self.code))
        chosen = self.numbers.get("ffres", _UNDEFINED)
        chosen = self.numbers.get("ffdefres", 0) if chosen == _UNDEFINED else chosen
        if self.numbers["fftype"] == 1:
            return "☒" if chosen else "☐"
        return self.entries[chosen] if self.numbers["fftype"] == 2 and 0 <= chosen < len(self.entries) else ""


@dataclass(slots=True)
class _Paragraph:
    """The properties of a paragraph."""

    style: int = 0
    outline: int | None = None
    level: int = 0
    in_table: bool = False


@dataclass(slots=True)
class _Row:
    """The cells of the row: for each, whether it continues the cell to the left, or the one above."""

    is_header: bool = False
    cells: list[tuple[str, str]] = field(default_factory=list)
    across: str = ""
    down: str = ""


@dataclass(slots=True)
class _Story(Story):
    paragraph: _Paragraph = field(default_factory=_Paragraph)
    is_settled: bool = False


def _is_on(number: int | None) -> bool:
    return number != 0


# By word: the object and the attribute that it sets, and the function that reads its number.
_SETTINGS: dict[str, tuple[str, str, Callable[[int | None], Any]]] = {
    "v": ("state", "is_hidden", _is_on),
    "deleted": ("state", "is_hidden", _is_on),
    "super": ("state", "raised", lambda number: int(number != 0)),
    "sub": ("state", "raised", lambda number: -int(number != 0)),
    "nosupersub": ("state", "raised", lambda _: 0),
    "up": ("state", "raised", lambda number: int(number is None or number > 3)),
    "dn": ("state", "raised", lambda number: -int(number is None or number > 3)),
    "uc": ("state", "skip", lambda number: max(0, min(number if number is not None else 1, 100))),
    "ilvl": ("paragraph", "level", lambda number: max(0, min(number or 0, 8))),
    "intbl": ("paragraph", "in_table", _is_on),
    "trhdr": ("row", "is_header", lambda _: True),
    "clmgf": ("row", "across", lambda _: "first"),
    "clmrg": ("row", "across", lambda _: "next"),
    "clvmgf": ("row", "down", lambda _: "first"),
    "clvmrg": ("row", "down", lambda _: "next"),
    "mac": ("document", "codec", lambda _: "mac-roman"),
    "pc": ("document", "codec", lambda _: "cp437"),
    "bin": ("document", "binary", lambda number: max(0, number or 0)),
}


class _Document:
    """Takes the tokens of a document."""

    def __init__(self, name: str) -> None:
        self.title = ""
        """The title in the properties."""
        self.codec = "cp1252"
        self.binary = 0
        """The number of bytes that follow and are no text."""
        self._name = name
        self.stories = Stories(_Story, name)
        self._state = _State()
        self._states: list[_State] = []
        self._fonts: dict[int, tuple[int, str]] = {}
        self._styles: dict[int, tuple[str, int | None]] = {}
        self._style: tuple[int, int | None] = (0, None)
        self._name_parts: list[str] = []
        self._marker: list[str] = []
        self._bytes = bytearray()
        self._left_out = 0  # so many replacement characters must still be skipped
        self._high = 0  # the first half of a surrogate pair
        self._fields: list[_Field] = []  # the open fields
        self._math: OfficeMath | None = None
        self._sign_of_formula = ""
        self._row = _Row()
        self._in_table = self._in_row = False
        self._column = 0
        self._in_items = False
        self._words: dict[str, Callable[[int | None], None]] = {
            **dict.fromkeys(("par", "sect", "page", "column"), self._end_paragraph),
            "line": self._break, "pard": self._plain_paragraph, "plain": self._plain, "s": self._set_style,
            "outlinelevel": self._set_outline, "trowd": self._begin_row_definition, "cellx": self._define_cell,
            "cell": self._end_cell, "nestcell": self._end_cell, "row": self._end_row, "nestrow": self._end_row,
            "ansicpg": self._set_code_page, "f": self._set_font, "fcharset": self._set_charset, "u": self._unicode,
        }  # fmt: skip

    @property
    def _story(self) -> _Story:
        return self.stories.story

    def end(self) -> None:
        """Takes the end of the file."""
        while self._states:
            self._end_group()
        self._flush_bytes()

    # --- tokens

    def take(self, data: bytes, *, is_last: bool) -> bytes:
        """Takes the whole tokens of the data; returns the rest."""
        place, end = 0, len(data)
        while place < end:
            if self.binary:
                skipped = min(self.binary, end - place)
                self.binary -= skipped
                place += skipped
                continue
            if not is_last and end - place < _MAX_TOKEN_BYTES and data[place] == 0x5C:
                break
            found = _TOKEN.match(data, place)
            if found is None:  # the data ends in a backslash
                break
            place = found.end()
            self._token(found)
        return data[place:]

    def _token(self, found: re.Match[bytes]) -> None:
        what = found.lastindex
        if what == _TEXT:
            text = found[_TEXT]
            skipped = min(self._left_out, len(text)) if self._left_out else 0
            self._left_out -= skipped
            self._bytes += text[skipped:] if skipped else text
            if len(self._bytes) > MAX_HELD_BYTES:
                self._flush_bytes()
        elif what == _BRACE:
            (self._begin_group if found[_BRACE] == b"{" else self._end_group)()
        elif what == _CODE:
            if self._left_out:
                self._left_out -= 1
            else:
                self._bytes.append(int(found[_CODE], 16))
        elif what == _ESCAPED:
            self._flush_bytes()
            self._sign(found[_ESCAPED])
        elif what is not None:
            self._flush_bytes()
            self._word(found[_WORD].decode("ascii"), int(found[_NUMBER]) if what == _NUMBER else None)

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self._own_state().is_star = True
        elif sign in (b"\n", b"\r"):
            self._end_paragraph(None)
        else:
            self._add(_ONE.get(sign, ""))

    def _word(self, word: str, number: int | None) -> None:
        state = self._state
        if self._left_out and word != "u" and not state.kind:
            self._left_out -= 1
        if state.is_star:
            state.is_star = False
            is_known = word in _KNOWN or (state.kind == "math" and word.endswith("Pr") and word != "mctrlPr")
            state.kind = state.kind if is_known else "skipped"
        if state.kind == "skipped":
            if word == "bin":
                self._set(word, number)
        elif state.kind == "math" and word[:1] == "m" and not self._own_state().element and self._math is not None:
            self._begin_part_of_formula(word[1:])
        elif state.kind == "form":
            self._take_form(word, number)
        elif word in _CHARACTERS:
            self._add(_CHARACTERS[word])
        elif (handler := self._words.get(word)) is not None:
            handler(number)
        elif word in _SETTINGS:
            self._set(word, number)
        else:
            self._begin_kind(word)

    def _set(self, word: str, number: int | None) -> None:
        holder, attribute, value = _SETTINGS[word]
        if holder == "state":
            setattr(self._own_state(), attribute, value(number))
        else:
            holders = {"paragraph": self._story.paragraph, "row": self._row, "document": self}
            setattr(holders[holder], attribute, value(number))

    def _begin_kind(self, word: str) -> None:
        """Takes a word that names the purpose of its group."""
        if word not in _KINDS:
            return
        state = self._own_state()
        if word in _SKIPPED:
            state.kind = "skipped"
        elif word in ("fonttbl", "stylesheet", "info"):
            state.kind = word
        elif word in ("listtext", "pntext"):
            state.kind = "marker"
            self._marker = []
        elif word == "title" and state.kind == "info":
            state.kind = "title"
        elif word == "footnote" and self.stories.in_body:
            state.is_aside = True
            self.stories.enter(NOTE)
        elif word in _BOXES and self.stories.has_room:
            state.is_aside, state.is_hidden, state.raised = True, False, 0
            self.stories.enter("box")
        elif word == "upr":
            state.upr = 1
        else:
            self._begin_field_or_formula(word, state)

    def _begin_field_or_formula(self, word: str, state: _State) -> None:
        if word == "field" and not state.kind and len(self._fields) < MAX_DEPTH:
            state.is_field = True
            self._fields.append(_Field())
        elif word in ("fldinst", "formfield"):
            state.kind = ("code" if word == "fldinst" else "form") if self._fields else "skipped"
        elif word == "moMath" and self._math is None and not state.kind:
            state.kind, state.element = "math", word
            self._math = OfficeMath()

    def _take_form(self, word: str, number: int | None) -> None:
        """Takes a word that describes a form."""
        if word == "ffl":
            self._own_state().kind = "entry"
            if len(self._fields[-1].entries) < MAX_ENTRIES:
                self._fields[-1].entries.append("")
        elif word.startswith("ff"):
            self._fields[-1].numbers[word] = number or 0

    # --- formulas

    def _begin_part_of_formula(self, name: str) -> None:
        if self._math is None or not (name in _OF_FORMULAS or name in _SIGNS_OF_FORMULAS or name.endswith("Pr")):
            return
        self._own_state().element = name
        if name in _SIGNS_OF_FORMULAS:
            self._sign_of_formula = ""
        else:
            self._math.start("t" if name == "r" else name, {})

    def _end_part_of_formula(self, name: str) -> None:
        math = self._math
        if math is None:
            return
        if name == "moMath":
            formula, self._math = math.line(), None
            self._show(formula, is_formula=True)
            return
        if name in _SIGNS_OF_FORMULAS:
            math.start(name, {"val": self._sign_of_formula.strip()})
        math.end("t" if name == "r" else name)

    def _begin_group(self) -> None:
        if len(self._states) >= MAX_DEPTH:
            raise FileExcessive(self._name, f"its groups are nested more than {MAX_DEPTH} deep")
        self._left_out = 0
        outer = self._state
        self._states.append(outer)
        is_apart = outer.is_star or outer.is_aside or outer.upr or outer.is_field
        if not is_apart and outer.kind not in ("fonttbl", "stylesheet", "math", "code", "form"):
            return
        self._flush_bytes()
        self._state = outer.inherited()
        if outer.upr == 1:  # this form is for programs without Unicode; the other one follows
            self._state.kind = "skipped"
            outer.upr = 2
        if outer.kind in ("fonttbl", "stylesheet"):
            self._name_parts = []
            self._style = (0, None)

    def _end_group(self) -> None:
        if not self._states:
            return
        self._left_out = 0
        state, outer = self._state, self._states.pop()
        if state is not outer:
            self._flush_bytes()
            if state.kind in ("fonttbl", "stylesheet"):
                self._end_entry()
            if state.is_aside:
                self.stories.leave()
            self._state = outer
            if state.element:
                self._end_part_of_formula(state.element)
            if state.is_field and self._fields:
                ended = self._fields.pop()
                if not ended.is_shown:
                    self._show(ended.shown(), is_formula=True)

    def _own_state(self) -> _State:
        """Returns the state of this group alone, which may be changed."""
        if self._states and self._state is self._states[-1]:
            self._state = self._state.inherited()
        return self._state

    # --- text

    def _flush_bytes(self) -> None:
        if not self._bytes:
            return
        data, self._bytes = bytes(self._bytes), bytearray()
        charset, name = self._fonts.get(self._state.font, (1, ""))
        if charset == _SYMBOLS and not self._state.kind:
            self._add("".join(symbol(code, name or "Symbol") for code in data))
            return
        try:
            text = data.decode(_CHARSETS.get(charset, self.codec), "replace")
        except LookupError:
            text = data.decode("cp1252", "replace")
        self._add(text)

    def _add(self, text: str) -> None:
        kind = self._state.kind
        text = text.replace("\0", "")
        if not text or kind in ("skipped", "info", "form"):
            return
        if not kind:
            self._show(text)
        elif kind == "math":
            self._add_to_formula(text)
        elif kind in ("code", "entry"):
            self._fields[-1].add(text, is_code=kind == "code")
        else:
            self._take_name(kind, text)

    def _take_name(self, kind: str, text: str) -> None:
        """Takes a part of the name of a font or style, of the title, or of an item's number."""
        if kind in ("fonttbl", "stylesheet"):
            if len(self._name_parts) < MAX_NAME_PARTS:
                self._name_parts.append(text[:200])
            if ";" in text:
                self._end_entry()
        elif kind == "title":
            self.title += text[: 1 << 10] if len(self.title) < 1 << 10 else ""
        elif kind == "marker" and len(self._marker) < MAX_MARKER_CHARACTERS:
            self._marker.append(text[:MAX_MARKER_CHARACTERS])

    def _add_to_formula(self, text: str) -> None:
        if self._state.element in _SIGNS_OF_FORMULAS:
            self._sign_of_formula += text[:MAX_MARKER_CHARACTERS]
        elif self._math is not None:
            self._math.text(text)

    def _show(self, text: str, *, is_formula: bool = False) -> None:
        """Writes text or a formula, if it is shown."""
        if not text or self._state.is_hidden or self._state.kind:
            return
        for one in self._fields if not text.isspace() else ():
            one.is_shown = True
        self._settle()
        if is_formula:
            self._story.prose.apart(text)
        else:
            self._story.prose.text(text, self._state.raised)

    def _unicode(self, number: int | None) -> None:
        code = (number or 0) % 65536
        self._left_out = self._state.skip
        if 0xD800 <= code < 0xDC00:
            self._high = code
            return
        if 0xDC00 <= code < 0xE000:
            high, self._high = self._high, 0
            if high:
                self._add(chr(0x10000 + ((high - 0xD800) << 10) + code - 0xDC00))
            return
        charset, name = self._fonts.get(self._state.font, (1, ""))
        is_private = 0xF000 <= code < 0xF100
        self._add(symbol(code, name if charset == _SYMBOLS else "Symbol") if is_private else chr(code) if code else "")

    # --- fonts, styles and code pages

    def _set_code_page(self, number: int | None) -> None:
        self.codec = f"cp{number}" if number and number != 10000 else "mac-roman" if number else "cp1252"
        try:
            b"".decode(self.codec)
        except LookupError:
            self.codec = "cp1252"

    def _set_font(self, number: int | None) -> None:
        self._own_state().font = number or 0
        if self._state.kind == "fonttbl" and len(self._fonts) < MAX_FONTS:
            self._fonts.setdefault(self._state.font, (1, ""))

    def _set_charset(self, number: int | None) -> None:
        if self._state.kind == "fonttbl" and self._state.font in self._fonts:
            self._fonts[self._state.font] = (number or 0, self._fonts[self._state.font][1])

    def _end_entry(self) -> None:
        """Takes the name of a font or of a style."""
        name, self._name_parts = "".join(self._name_parts).partition(";")[0].strip(), []
        if self._state.kind == "fonttbl" and self._state.font in self._fonts and name:
            self._fonts[self._state.font] = (self._fonts[self._state.font][0], name)
        elif self._state.kind == "stylesheet" and name and len(self._styles) < MAX_STYLES:
            number, outline = self._style
            self._styles.setdefault(number, (name, outline))

    def _set_style(self, number: int | None) -> None:
        if self._state.kind == "stylesheet":
            self._style = (number or 0, self._style[1])
        else:
            self._story.paragraph.style = number or 0

    def _set_outline(self, number: int | None) -> None:
        if self._state.kind == "stylesheet":
            self._style = (self._style[0], number)
        else:
            self._story.paragraph.outline = number

    # --- how text looks

    def _plain(self, _number: int | None) -> None:
        state = self._own_state()
        state.is_hidden, state.raised = False, 0

    # --- paragraphs

    def _plain_paragraph(self, _number: int | None) -> None:
        self._story.paragraph = _Paragraph()

    def _settle(self) -> None:
        """Begins the paragraph, item or heading at its first text."""
        story, prose = self._story, self._story.prose
        if story.is_settled:
            return
        story.is_settled = True
        if self.stories.in_body:
            self._settle_table()
        marker, self._marker = " ".join("".join(self._marker).split()), []
        level = self._heading_level()
        if marker:
            self._begin_item(marker)
        elif self._in_items:
            prose.end()
            self._in_items = False
        if level and not (self._in_row and level > 2):
            prose.heading(level)
        elif not marker:
            prose.paragraph()

    def _begin_item(self, marker: str) -> None:
        if not self._in_items:
            self._story.prose.begin_list()
        self._in_items = True
        is_bullet = len(marker) == 1 and (_BULLETS.match(marker) is not None or marker == "o")
        marker = "-" if is_bullet else marker[:MAX_MARKER_CHARACTERS]
        self._story.prose.item(self._story.paragraph.level + 1, f"{marker} ")

    def _heading_level(self) -> int:
        paragraph = self._story.paragraph
        name, outline = self._styles.get(paragraph.style, ("", None))
        if paragraph.outline is not None:
            return outline_level(paragraph.outline)
        if (level := named_level(name)) is not None:
            return level
        return outline_level(outline) if outline is not None else 0

    def _end_paragraph(self, _number: int | None) -> None:
        if self._state.kind:
            return
        self._end_block()

    def _end_block(self) -> None:
        self._story.prose.end_block()
        self._story.is_settled = False
        self._marker = []
        if not self._in_table:
            self.stories.settle()

    def _break(self, _number: int | None) -> None:
        if not self._state.kind:
            self._story.prose.line()

    # --- tables

    def _begin_row_definition(self, _number: int | None) -> None:
        if not self._in_row:
            self._row = _Row()

    def _define_cell(self, _number: int | None) -> None:
        if len(self._row.cells) < MAX_COLUMNS and not self._in_row:
            self._row.cells.append((self._row.across, self._row.down))
        self._row.across = self._row.down = ""

    def _settle_table(self) -> None:
        """Begins or ends a table, if the new paragraph lies in one or does not."""
        if self._story.paragraph.in_table and not self._in_table:
            self._story.prose.table()
            self._in_table = True
        elif not self._story.paragraph.in_table and self._in_table:
            self._story.prose.end_table()
            self._in_table = self._in_row = False
        if self._in_table and not self._in_row:
            self._story.prose.row(is_header=self._row.is_header)
            self._in_row, self._column = True, 0
            self._begin_cell()

    def _begin_cell(self) -> None:
        cells, at = self._row.cells, self._column
        across, down = cells[at] if at < len(cells) else ("", "")
        if across == "next" or at >= MAX_COLUMNS:  # the cell to the left covers this one
            return
        columns = 1
        while at + columns < len(cells) and cells[at + columns][0] == "next":
            columns += 1
        self._story.prose.cell(columns, merge=down)

    def _end_cell(self, _number: int | None) -> None:
        if self._state.kind or not self.stories.in_body:
            return
        self._story.paragraph.in_table = True
        self._settle_table()
        self._end_block()
        self._column += 1
        # The cell after the last one does not exist; it begins only if it gets text.
        if self._column < len(self._row.cells) or not self._row.cells:
            self._begin_cell()

    def _end_row(self, _number: int | None) -> None:
        if self._in_row:
            self._story.prose.end_row()
            self.stories.settle()
        self._in_row = False
        self._story.is_settled = False
