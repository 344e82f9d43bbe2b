"""HTML: the text of a page without scripts, styles, navigation and controls, block by block, is one record.

Its title is the page's, else its first heading. The page is taken apart as it is read: time is linear and memory small
for a page of any size, and any nesting. An encoding that the page declares is used; without one it has to be UTF-8.
"""

from __future__ import annotations

import codecs
import re
from itertools import chain
from typing import TYPE_CHECKING

from edgeqa.contexts.documents import checked, decode
from edgeqa.formats.prose import Prose
from edgeqa.formats.records import MOST_TITLE_CHARACTERS, FormatOptions, Record, begun, one_line
from edgeqa.formats.tags import Tag, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.blocks import Block


_MAIN = frozenset(("main", "article"))  # never part of what is skipped: an end tag was forgotten
_ELEMENTS = {
    "paragraph": "address article aside blockquote body caption center details dialog div fieldset figcaption figure "
    "footer form header hgroup hr legend main p section summary",
    "named": "title h1 h2 h3 h4 h5 h6",
    "list": "ul ol dl menu",
    "table": "table",
    "line": "br dt dd li",
    "row": "tr",
    "cell": "td th",
    "pre": "pre",
    "skipped": "nav svg noscript template select button object canvas audio video datalist",
}
_KINDS = {name: kind for kind, names in _ELEMENTS.items() for name in names.split()}

_DECLARED = re.compile(
    rb"""<meta\s[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]+)|\A\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)""",
    re.IGNORECASE,
)
_DECLARED_WITHIN_BYTES = 4096
_LEGACY = re.compile(
    r"cp(125\d|866|874|932|936|949)|iso8859-\d+|koi8-[ru]|shift_jis|euc_(jp|kr)|gb2312|gbk|gb18030|big5|mac-roman"
    r"|iso2022_jp|tis-620"
)


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the page as one record."""
    page = Page()
    found, _ = begun(page.blocks(decode_page(blocks, name)), lambda: bool(page.title))
    yield Record(name, page.title or page.heading, found)


def decode_page(blocks: Iterator[bytes], name: str) -> Iterator[str]:
    """Yields the page's source, in the encoding that it declares, else UTF-8.

    Raises:
        ContextError: naming `name` and the offset of what is not text.
    """
    first = next(blocks, b"")
    whole = chain([first], blocks)
    declared = _DECLARED.search(first[:_DECLARED_WITHIN_BYTES])
    if declared is None or first.startswith(codecs.BOM_UTF8):
        return decode(whole, name)
    encoding = (declared[1] or declared[2]).decode("ascii", "replace")
    try:
        known = codecs.lookup(encoding).name
    except LookupError:
        return decode(whole, name)
    if known in ("iso8859-1", "ascii"):  # what browsers take it for
        known = "cp1252"
    if not _LEGACY.fullmatch(known):
        return decode(whole, name)
    return codecs.iterdecode(checked(whole, name), known, errors="replace")


class Page:
    """The text of one page."""

    def __init__(self, *, is_xml: bool = False) -> None:
        self.title = ""
        """Of the page, as soon as it was read."""
        self.heading = ""
        """The first heading, as soon as it was read."""
        self._tokenizer = Tokenizer(is_xml=is_xml)
        self._prose = Prose()
        self._skipped = ""
        self._depth = 0  # of elements of this name within what is skipped
        self._preformatted = 0
        self._lists = 0
        self._naming = ""  # the title or heading that is being read
        self._named: list[str] = []

    def blocks(self, source: Iterable[str]) -> Iterator[Block]:
        """Yields the blocks of the page."""
        for piece in source:
            yield from self._taken(self._tokenizer.feed(piece))
        yield from self._taken(self._tokenizer.feed("", is_last=True))
        yield from self._prose.ended()

    def _taken(self, tokens: Iterator[str | Tag]) -> list[Block]:
        for token in tokens:
            if isinstance(token, Tag):
                self._tag(token)
            elif not self._skipped:
                self._text(token)
        return self._prose.taken()

    def _text(self, text: str) -> None:
        if self._naming:
            self._named.append(text)
            if sum(map(len, self._named)) > 4 * MOST_TITLE_CHARACTERS:
                self._name()
        if self._naming == "title":
            return
        if self._preformatted:
            self._prose.verbatim(text)
        else:
            self._prose.text(text)

    def _name(self) -> None:
        """Settles the title or heading that was read."""
        found = one_line("".join(self._named))
        if self._naming == "title":
            self.title = self.title or found
        else:
            self.heading = self.heading or found
        self._naming, self._named = "", []

    def _tag(self, tag: Tag) -> None:
        if self._skipped and not self._is_shown_again(tag):
            return
        name, is_end = tag
        kind = _KINDS.get(name)
        if kind is None:
            return
        if kind == "paragraph":
            self._prose.paragraph()
        elif kind in ("table", "list"):
            self._group(name, is_end=is_end)
        elif kind == "line":
            self._line(tag)
        elif kind == "row":
            self._prose.row()
        elif kind == "named":
            self._begin_name(tag)
        elif kind == "pre":
            self._pre(is_end=is_end)
        elif not is_end:
            self._begin(name)

    def _begin(self, name: str) -> None:
        if name in ("td", "th"):
            self._prose.cell()
        else:
            self._skipped, self._depth = name, 1
            self._prose.text(" ")

    def _begin_name(self, tag: Tag) -> None:
        if self._naming:
            self._name()
        if not tag.is_end:
            self._naming = tag.name
        if tag.name != "title" and tag.is_end:
            self._prose.end_block()
        elif tag.name != "title":
            self._prose.heading(int(tag.name[1]))

    def _is_shown_again(self, tag: Tag) -> bool:
        """Tells whether what is skipped ended before this tag."""
        if tag.name == self._skipped:
            self._depth += -1 if tag.is_end else 1
            if not self._depth:
                self._skipped = ""
        elif tag.name in _MAIN and not tag.is_end:
            self._skipped = ""
            return True
        return False

    def _pre(self, *, is_end: bool) -> None:
        self._preformatted = max(0, self._preformatted + (-1 if is_end else 1))
        if self._preformatted:
            self._prose.code()
        else:
            self._prose.paragraph()

    def _group(self, name: str, *, is_end: bool) -> None:
        if name != "table":
            self._list(is_end=is_end)
        elif is_end:
            self._prose.end_table()
        else:
            self._prose.table()

    def _list(self, *, is_end: bool) -> None:
        self._lists = max(0, self._lists + (-1 if is_end else 1))
        if not is_end:
            self._prose.paragraph(self._lists - 1, apart=self._lists == 1)
            self._prose.begin_list()
        elif not self._lists:
            self._prose.end()
        else:
            self._prose.end_block(self._lists)

    def _line(self, tag: Tag) -> None:
        if tag.name == "li" and not tag.is_end:
            self._prose.item(max(1, self._lists))
        elif tag.name == "dt" and not tag.is_end:
            self._prose.term(max(1, self._lists))
        elif tag.name == "dd" and not tag.is_end:
            self._prose.paragraph(max(1, self._lists), apart=False)
        elif tag.name == "br" and self._preformatted:
            self._prose.verbatim("\n")
        else:
            self._prose.line()
