"""HTML: the text of a page, as it is shown, is one record, block by block, without scripts, navigation and controls.

Its title is the page's, else its first heading. The page is taken apart while it is read, in linear time and little
memory for any size and any nesting; no tree is built, and only the open elements are known. Text that the page hides is
left out: by attributes, or by plain rules of its own style sheets. A page may declare its encoding; without that it
must be UTF-8. Pages in XML (XHTML) are known by their name or their first line.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from edgeqa.formats import markup
from edgeqa.formats.blocks import MAX_TITLE_CHARACTERS, FormatOptions, Record, one_line, read_ahead
from edgeqa.formats.markup import Tag, Tokenizer, decode_page
from edgeqa.formats.notation import Formula, numeral, superscript
from edgeqa.formats.prose import Prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edgeqa.formats.blocks import Block

MAX_SPAN_CHARACTERS = 200  # raised or lowered text, or a reading of characters, is not longer

_XML_NAMES = (".xhtml", ".xht")
_XML_BEGINS = re.compile(r"\ufeff?\s*<\?xml\s", re.IGNORECASE)


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the page as one record."""
    source = decode_page(blocks, name)
    first = next(source, "")
    page = Page(is_xml=name.lower().endswith(_XML_NAMES) or bool(_XML_BEGINS.match(first)))
    found, _ = read_ahead(page.blocks(chain([first], source)), lambda: bool(page.title))
    yield Record(name, page.title or page.heading, found)


_MARKED = re.compile(
    r"hidden|style|role|popover|shadow|type|katex|mwe-math|rowspan|colspan|start|value|reversed|scope|href|open|reference|footnote"
    r"|superscript|subscript|exponent|sr-only|screen-reader|element-invisible|mw-",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\s*([+-]?\d{1,9})")
_MAX_IMPORTED = 20  # style sheets that others import
_UNNUMBERED = ("none", "disc", "circle", "square")
_STYLES = {"decimal": "1", "lower-alpha": "a", "lower-latin": "a", "upper-alpha": "A", "upper-latin": "A"}
_MEDIA = ("", "all", "screen")
_NOTE_ROLES = ("doc-noteref", "noteref")
_EFFECTS = {
    **dict.fromkeys(markup.BLOCKS | {"p"}, "block"),
    **dict.fromkeys(markup.HEADINGS, "heading"),
    **dict.fromkeys(markup.LISTS, "list"),
    "li": "item",
    "dt": "term",
    "summary": "term",
    "dd": "definition",
    "table": "table",
    "caption": "block",
    "tr": "row",
    "td": "cell",
    "th": "cell",
    **dict.fromkeys(("pre", "listing", "xmp"), "pre"),
    "sup": "sup",
    "sub": "sub",
    "rt": "rt",
    "rtc": "rt",
    "q": "quote",
}
_BY_ROLE = {
    "heading": "heading",
    **dict.fromkeys(("table", "grid", "treegrid"), "table"),
    "row": "row",
    **dict.fromkeys(("cell", "gridcell", "columnheader", "rowheader"), "cell"),
}
_BY_CLASS = {"superscript": "sup", "exponent": "sup", "subscript": "sub"}
_NEAR = 3  # so many open elements may hold a box: an item, a label, a paragraph
_NO_MARKS: frozenset[str] = frozenset()
_WITHIN_LINES = ("sup", "sub", "rt", "quote", "", "hidden")


class Page:
    """The text of one page."""

    def __init__(self, *, is_xml: bool = False, sheet: Callable[[str], str] | None = None) -> None:
        """Begins a page.

        Args:
            is_xml: whether it is XML.
            sheet: a function that returns the style sheet at a place that the page names, "" if there is none.
        """
        self.title = ""
        """The title of the page, as soon as it was read."""
        self.heading = ""
        """The first heading, as soon as it was read."""
        self._tokenizer = Tokenizer(is_xml=is_xml)
        self._is_xml = is_xml
        self._prose = Prose()
        self._opened = markup.OpenElements()
        self._effects: list[str] = []  # the effect of each open element
        self._marks: list[frozenset[str]] = []  # the marks of each open element, if any rule depends on them
        self._numbers: list[_Numbers | None] = []  # the numbers of each open list
        self._layouts: list[bool] = []  # for each open table: whether it is only layout
        self._sheet, self._read_sheet = markup.StyleSheet(), sheet
        self._styles: list[str] | None = None  # the style sheet that is being read
        self._style_characters = self._imported = 0
        self._is_for_screens = True
        self._hidden_from = -1  # the place of the hidden element among the open ones
        self._unpushed: dict[str, int] = {}  # elements within it that do not count as open
        self._preformatted = 0
        self._bold = 0
        self._is_bold_cell = False  # whether all text of the cell so far is bold
        self._formula: Formula | None = None
        self._spans: list[str] | None = None  # raised or lowered text, or a reading
        self._span_effect = ""  # the effect of that text
        self._is_note = False  # whether it leads to a note
        self._in_note_link = False
        self._named: list[str] | None = None  # the title, while it is read
        self._begins: dict[str, Callable[[str, dict[str, str]], None]] = {
            "block": self._begin_block,
            "heading": self._begin_heading,
            "list": self._begin_list,
            "item": self._begin_item,
            "term": self._begin_term,
            "definition": self._begin_definition,
            "table": self._begin_table,
            "row": self._begin_row,
            "cell": self._begin_cell,
            "pre": self._begin_pre,
            "sup": self._begin_span,
            "sub": self._begin_span,
            "rt": self._begin_span,
            "quote": self._begin_quote,
        }
        self._ends: dict[str, Callable[[], None]] = {
            "block": self._end_block,
            "heading": self._end_heading,
            "list": self._end_list,
            "item": self._end_item,
            "term": self._end_term,
            "definition": self._end_term,
            "table": self._end_table,
            "row": self._end_row,
            "cell": self._end_cell,
            "pre": self._end_pre,
            "quote": self._end_quote,
        }

    def blocks(self, source: Iterable[str]) -> Iterator[Block]:
        """Yields the blocks of the page."""
        for piece in source:
            self.write(self._tokenizer.feed(piece))
            yield from self.pop()
        self.write(self._tokenizer.feed("", is_last=True))
        yield from self.finish()

    def write(self, tokens: Iterable[str | Tag]) -> None:
        """Takes text and tags."""
        for token in tokens:
            if isinstance(token, Tag):
                self._tag(token)
            elif self._styles is not None:
                self._style_characters += len(token)
                if self._style_characters <= markup.MAX_SHEET_CHARACTERS:
                    self._styles.append(token)
            elif self._formula is not None:
                self._formula.text(token)
            elif self._hidden_from < 0:
                self._text(token)

    def pop(self) -> list[Block]:
        """Returns the finished blocks, in order, each of them once."""
        return self._named_after(self._prose.pop())

    def finish(self) -> list[Block]:
        """Ends the page, and returns the last blocks."""
        while self._opened.names:
            self._pop()
        self._end_formula()
        self._end_title()
        return self._named_after(self._prose.finish())

    def _named_after(self, blocks: list[Block]) -> list[Block]:
        """Returns the blocks; the first heading among them is the page's."""
        if not self.heading:
            self.heading = next((one_line(block.text) for block in blocks if block.kind == "heading"), "")
        return blocks

    # --- text

    def _text(self, text: str) -> None:
        if self._named is not None:  # the text belongs to the title
            if sum(map(len, self._named)) < 4 * MAX_TITLE_CHARACTERS:
                self._named.append(text)
            return
        if not self._bold and self._is_bold_cell and not text.isspace():
            self._is_bold_cell = False
        if self._spans is not None:
            self._spans.append(text)
            if sum(map(len, self._spans)) > MAX_SPAN_CHARACTERS:
                self._end_span(is_whole=False)
        elif self._preformatted:
            self._prose.verbatim(text)
        else:
            self._prose.text(text)

    def _end_span(self, *, is_whole: bool = True) -> None:
        """Writes raised or lowered text, or a reading; if its end tag is missing, it is too long, and is plain text."""
        if self._spans is None:
            return
        text, self._spans = "".join(self._spans), None
        effect = self._span_effect if is_whole else ""
        before = self._prose.last_character()
        if effect == "sup":
            if not before and text.strip().isdecimal():
                last = self._prose.last_character(over_space=True)
                before = last if last.isdigit() else ""
            self._prose.apart(superscript(before, text, is_note=self._is_note))
        elif effect == "sub":
            self._prose.lowered(text)
        elif effect == "rt":
            self._prose.text(f"({text.strip()})" if text.strip() else "")
        else:
            self._prose.apart(text)
        if effect and text[-1:].isspace():
            self._prose.text(" ")

    def _end_formula(self) -> None:
        if self._formula is not None:
            line, self._formula = self._formula.line(), None
            if self._spans is None and not self._preformatted:
                self._prose.apart(line)
            else:
                self._text(line)

    def _end_title(self) -> None:
        if self._named is not None:
            self.title = self.title or one_line("".join(self._named))
            self._named = None

    # --- tags

    def _tag(self, tag: Tag) -> None:
        if ":" in tag.name and (self._is_xml or tag.name.endswith(":math")):
            tag = tag._replace(name=tag.name.rpartition(":")[2])
        name = tag.name
        if name in ("b", "strong"):
            self._bold = max(0, self._bold + (-1 if tag.is_end else 1))
        if name not in markup.KNOWN and self._formula is None and self._hidden_from < 0:
            # Most tags are such: they change nothing, unless they hide something.
            is_marked = tag.source and (_MARKED.search(tag.source) or not self._sheet.is_empty)
            is_marked = is_marked or name in self._sheet.elements
            if name not in self._opened if tag.is_end else not is_marked:
                return
        if name == "style":
            self._style(tag)
        elif self._formula is not None and not markup.breaks_out(name, "math"):
            self._in_formula(tag)
        elif tag.is_end:
            self._end(name)
        else:
            self._begin(tag)

    def _style(self, tag: Tag) -> None:
        if tag.is_end:
            if self._is_for_screens:
                self._add_sheet("".join(self._styles or ()))
            self._styles = None
        else:
            self._styles, self._style_characters = [], 0
            self._is_for_screens = tag.attributes().get("media", "all").strip().lower() in _MEDIA

    def _in_formula(self, tag: Tag) -> None:
        formula = self._formula
        if tag.name.rpartition(":")[2] == "math" and tag.is_end:
            self._end_formula()
        elif formula is not None and tag.is_end:
            formula.end(tag.name)
        elif formula is not None and tag.name not in markup.VOID:
            formula.start(tag.name)
            if tag.source.endswith("/") and not self._is_xml:  # HTML's own elements never end themselves
                formula.end(tag.name)

    def _begin(self, tag: Tag) -> None:
        name = tag.name
        is_hidden = self._hidden_from >= 0
        if is_hidden and markup.breaks_out(name, self._opened.names[self._hidden_from]):
            self._pop_to(self._hidden_from)
        elif self._formula is not None:
            self._end_formula()
        for _ in range(self._opened.ended_by(name)):
            self._pop()
        if self._hidden_from >= 0:
            self._begin_unseen(name)
        elif name in markup.VOID:
            self._void(tag)
        else:
            marked = tag.source and (_MARKED.search(tag.source) or not self._sheet.is_empty)
            attributes = tag.attributes() if marked else {}
            may_hide = attributes or name == "dialog" or not self._sheet.is_empty
            if self._is_left_out(name, attributes) or (
                may_hide and markup.hides(name, attributes, self._sheet, self._marks)
            ):
                self._push(name, "hidden")
                self._hidden_from, self._unpushed = len(self._effects) - 1, {}
                if markup.leaves_gap(name, attributes):
                    self._prose.text(" ")
            else:
                self._begin_seen(name, attributes)

    def _is_left_out(self, name: str, attributes: dict[str, str]) -> bool:
        if name not in markup.LEFT_OUT:
            return False
        if name == "button":  # a button of an accordion is a heading
            return not any(effect in ("heading", "term") for effect in self._effects[-3:])
        return not (name == "template" and "shadowrootmode" in attributes)

    def _begin_unseen(self, name: str) -> None:
        if name in markup.VOID:
            return
        if len(self._effects) < markup.MAX_DEPTH:
            self._push(name, "")
        elif name in self._opened or name in self._unpushed or len(self._unpushed) < markup.MAX_DEPTH:
            self._unpushed[name] = self._unpushed.get(name, 0) + 1

    def _void(self, tag: Tag) -> None:
        name = tag.name
        if name == "link":
            self._link(tag.attributes())
        elif name == "br":
            self._end_span()
            if self._preformatted:
                self._prose.verbatim("\n")
            else:
                self._prose.line()
        elif name == "hr":
            self._prose.end_block(len(self._numbers))
        elif name == "input" and "item" in self._effects[-_NEAR:]:  # of a list of tasks
            attributes = tag.attributes()
            if attributes.get("type", "").strip().lower() == "checkbox":
                self._text("[x] " if "checked" in attributes else "[ ] ")

    def _link(self, attributes: dict[str, str]) -> None:
        """Takes the style sheet that a page names."""
        relations = attributes.get("rel", "").lower().split()
        is_for_screens = attributes.get("media", "all").strip().lower() in _MEDIA
        if (
            self._read_sheet is not None
            and "stylesheet" in relations
            and "alternate" not in relations
            and is_for_screens
        ):
            self._add_sheet(self._read_sheet(attributes.get("href", "")))

    def _add_sheet(self, source: str) -> None:
        """Takes a style sheet, after those that it imports."""
        if self._read_sheet is not None:
            for place in markup.imported(source):
                if self._imported < _MAX_IMPORTED:
                    self._imported += 1
                    self._add_sheet(self._read_sheet(place))
        self._sheet.add(source)

    def _begin_seen(self, name: str, attributes: dict[str, str]) -> None:
        effect = self._effect(name, attributes)
        self._begin_named(name, attributes)
        if not effect:
            if self._spans and name in ("sup", "sub"):  # the text is raised once more
                self._spans.append("^" if name == "sup" else "_")
            is_asked_for = self._sheet.asks_for_outer and ("class" in attributes or "id" in attributes)
            if is_asked_for or (name in markup.KNOWN and name not in ("a", "math", "title")):
                self._push(name, "", attributes)
            return
        if effect not in _WITHIN_LINES:
            self._end_span()
        if effect in ("row", "cell") and not self._layouts:  # it stands outside of a table
            if effect == "cell":
                self._prose.text(" ")
                return
            effect = "block"
        if len(self._effects) >= markup.MAX_DEPTH:
            self._pop()
        self._push(name, effect, attributes)
        self._begins[effect](name, attributes)

    def _begin_named(self, name: str, attributes: dict[str, str]) -> None:
        """Begins an element whose name alone decides."""
        if name == "title":
            self._named = self._named or []
        elif name == "math":
            self._formula = Formula()
        elif name == "a":
            href = attributes.get("href", "")
            self._in_note_link = href.startswith("#") or "#fn" in href or "#cite" in href
            self._is_note = self._is_note or "href" in attributes

    def _effect(self, name: str, attributes: dict[str, str]) -> str:
        """Returns the effect of an element; "" for none."""
        role = attributes.get("role", "")
        if name == "a" and (role in _NOTE_ROLES or attributes.get("epub:type") in _NOTE_ROLES):
            return "sup" if self._spans is None else ""
        effect = "heading" if role == "heading" and name not in markup.HEADINGS else _EFFECTS.get(name, "")
        if effect in ("", "block"):
            effect = _BY_ROLE.get(role, effect)
        if not effect and (attributes or name in self._sheet.elements):
            effect = self._styled(name, attributes)
        return "" if effect in ("sup", "sub", "rt") and self._spans is not None else effect

    def _styled(self, name: str, attributes: dict[str, str]) -> str:
        """Returns the effect of its style on an element of a line."""
        shown = markup.shown_as(markup.written(attributes.get("style", "")))
        classes = attributes.get("class", "")
        if not shown and not self._sheet.is_empty:
            shown = self._sheet.shown_as(markup.marks_of(name, attributes), self._marks)
        if not shown and classes:
            shown = next((_BY_CLASS[one] for one in classes.lower().split() if one in _BY_CLASS), "")
        return shown

    def _end(self, name: str) -> None:
        if self._hidden_from >= 0 and self._unpushed.get(name):
            self._unpushed[name] -= 1
            return
        if self._formula is not None:
            self._end_formula()
        if name == "title":
            self._end_title()
        elif name == "a":
            self._in_note_link = False
        elif name == "br" and not self._is_xml:
            self._void(Tag(name, is_end=False))
        count = self._opened.ended_with(name)
        if count:
            self._pop_to(len(self._effects) - count)
        elif name == "p" and self._hidden_from < 0:
            self._prose.paragraph(len(self._numbers))

    # --- the open elements

    def _push(self, name: str, effect: str, attributes: dict[str, str] | None = None) -> None:
        if len(self._effects) >= markup.MAX_DEPTH:
            self._pop()
        self._opened.push(name)
        self._effects.append(effect)
        asked = attributes is not None and self._sheet.asks_for_outer
        self._marks.append(markup.marks_of(name, attributes or {}) if asked else _NO_MARKS)

    def _pop_to(self, count: int) -> None:
        while len(self._effects) > count:
            self._pop()

    def _pop(self) -> None:
        self._opened.pop()
        self._marks.pop()
        effect = self._effects.pop()
        if self._hidden_from >= 0:
            if len(self._effects) == self._hidden_from:
                self._hidden_from = -1
        elif effect in ("sup", "sub", "rt"):
            self._end_span()
        elif effect in self._ends:
            if effect not in _WITHIN_LINES:
                self._end_span()
            self._ends[effect]()

    def _begin_block(self, _name: str, _attributes: dict[str, str]) -> None:
        self._prose.paragraph(len(self._numbers))

    def _end_block(self) -> None:
        self._prose.paragraph(len(self._numbers))

    def _begin_heading(self, name: str, attributes: dict[str, str]) -> None:
        level = int(name[1]) if name in markup.HEADINGS else _number(attributes.get("aria-level", ""), 2)
        self._prose.heading(max(1, min(level, 6)))

    def _end_heading(self) -> None:
        self._prose.end_block(len(self._numbers))

    def _begin_list(self, name: str, attributes: dict[str, str]) -> None:
        level = len(self._numbers)
        self._prose.paragraph(level, apart=not level)
        if name != "details":
            self._prose.begin_list()
        self._numbers.append(self._numbered(attributes) if name == "ol" else None)

    def _numbered(self, attributes: dict[str, str]) -> _Numbers | None:
        """Returns the numbers of a list, None if its style shows none."""
        style = markup.list_style(markup.written(attributes.get("style", "")))
        style = style or self._sheet.list_style(markup.marks_of("ol", attributes))
        return None if style in _UNNUMBERED else _Numbers(attributes, style)

    def _end_list(self) -> None:
        self._numbers.pop()
        self._prose.end(len(self._numbers))

    def _begin_item(self, _name: str, attributes: dict[str, str]) -> None:
        numbers = self._numbers[-1] if self._numbers else None
        marker = "- " if numbers is None else numbers.next(attributes.get("value", ""))
        self._prose.item(max(1, len(self._numbers)), marker)

    def _end_item(self) -> None:
        self._prose.end_block(len(self._numbers))

    def _begin_term(self, _name: str, _attributes: dict[str, str]) -> None:
        self._prose.term(max(1, len(self._numbers)))

    def _begin_definition(self, _name: str, _attributes: dict[str, str]) -> None:
        self._prose.paragraph(max(1, len(self._numbers)), apart=False)

    def _end_term(self) -> None:
        self._prose.end_block(len(self._numbers), apart=False)

    def _begin_table(self, _name: str, attributes: dict[str, str]) -> None:
        is_layout = attributes.get("role") in ("presentation", "none")
        self._layouts.append(is_layout)
        if is_layout:
            self._prose.paragraph(len(self._numbers))
        else:
            self._prose.table(len(self._numbers))

    def _end_table(self) -> None:
        if self._layouts.pop():
            self._prose.paragraph(len(self._numbers))
        else:
            self._prose.end_table()

    def _begin_row(self, _name: str, _attributes: dict[str, str]) -> None:
        if self._layouts[-1]:
            self._prose.paragraph(len(self._numbers))
        else:
            self._prose.row(is_header="thead" in self._opened.names[-4:])

    def _end_row(self) -> None:
        if not self._layouts[-1]:
            self._prose.end_row()

    def _begin_cell(self, name: str, attributes: dict[str, str]) -> None:
        if self._layouts[-1]:
            self._prose.paragraph(len(self._numbers))
            return
        rows = _number(attributes.get("rowspan", ""), 1)
        is_header = attributes.get("role") == "columnheader" or (
            name == "th" and attributes.get("scope") not in ("row", "rowgroup")
        )
        self._bold, self._is_bold_cell = 0, True
        self._prose.cell(_number(attributes.get("colspan", ""), 1), rows or 1 << 16, is_header=is_header)

    def _end_cell(self) -> None:
        if self._is_bold_cell and not self._layouts[-1]:  # pages from before <th>, or without it, mark headers so
            self._prose.names_column()
        self._is_bold_cell = False

    def _begin_pre(self, _name: str, _attributes: dict[str, str]) -> None:
        self._preformatted += 1
        self._prose.code(len(self._numbers))

    def _end_pre(self) -> None:
        self._preformatted -= 1
        self._prose.paragraph(len(self._numbers))

    def _begin_span(self, _name: str, attributes: dict[str, str]) -> None:
        is_note = any(mark in attributes.get("class", "").lower() for mark in ("reference", "footnote", "noteref"))
        role = attributes.get("role", attributes.get("epub:type", ""))
        self._spans, self._span_effect = [], self._effects[-1]
        self._is_note = self._in_note_link or is_note or role in _NOTE_ROLES

    def _begin_quote(self, _name: str, _attributes: dict[str, str]) -> None:
        self._text("“")

    def _end_quote(self) -> None:
        self._text("”")


class _Numbers:
    """The numbers of an ordered list's items."""

    def __init__(self, attributes: dict[str, str], style: str) -> None:
        """Takes the attributes of the list, and how its style has it numbered; "" if it does not say."""
        self._step = -1 if "reversed" in attributes else 1
        # If a list counts down from no given number, its numbers are known only at its end.
        self._next = _number(attributes.get("start", ""), 1) if self._step == 1 or "start" in attributes else None
        style = style or attributes.get("type", "1").strip()
        self._style = _STYLES.get(style, {"lower-roman": "i", "upper-roman": "I"}.get(style, style))

    def next(self, value: str) -> str:
        """Returns the next item's marker.

        Args:
            value: the number that the item itself names; "" if it names none.
        """
        number = _number(value, self._next) if self._next is not None or value else None
        if number is None:
            return "- "
        self._next = number + self._step
        return f"{numeral(number, self._style)}. "


def _number(value: str, otherwise: int | None) -> int:
    found = _NUMBER.match(value)
    return int(found[1]) if found else (otherwise if otherwise is not None else 0)
