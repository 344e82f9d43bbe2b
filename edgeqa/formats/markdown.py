"""Markdown: pyromark parses it (CommonMark with the usual additions), and HTML in it is read as in pages.

In: blocks of bytes. Out: one record, titled after `title` in the front matter, else after the first heading. The front
matter itself (YAML, TOML, JSON, or Pandoc's title block) is no text, nor is the data of embedded images. A file of more
than MAX_WHOLE_CHARACTERS is parsed in parts that end at blank lines, so that it takes little memory; a link in one
part that is defined in another then shows its brackets.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING

try:
    import pyromark
except ImportError:  # the first file reports it, with the file's name
    pyromark = None  # type: ignore[assignment]  # asked below

from edgeqa.formats import decode
from edgeqa.formats.blocks import ExtraMissing, FormatOptions, Record, one_line, read_ahead
from edgeqa.formats.markup import ELEMENTS, IN_LINES, LEFT_OUT, Tag, Tokenizer
from edgeqa.formats.webpage import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from edgeqa.formats.blocks import Block

MAX_WHOLE_CHARACTERS = 1 << 22
MAX_FRONT_CHARACTERS = 1 << 16

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_DATA = re.compile(r"data:[a-zA-Z0-9/+.=;-]{0,64};base64,[A-Za-z0-9+/=]*")
_MAX_DATA_HEAD = 80
# Front matter stands between two such lines, at the beginning of the file.
_FRONT = re.compile(r"\s*^(?P<mark>---|\+\+\+)[ \t]*\r?\n", re.MULTILINE)
_YAML_LINE = re.compile(r"|[ \t#\]\[{}\"'].*|-(?:[ \t].*)?|[^\s:#][^:]{0,99}:(?:[ \t].*)?")
_TOML_LINE = re.compile(r"[\w.\"'-]+[ \t]*=.*|\[.*")
MAX_FRONT_LINES = 2000
_FRONT_TITLE = re.compile(r"^[\"']?title[\"']?[ \t]*[:=][ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
_ATTRIBUTES = re.compile(r"[ \t]*\{(?:[#.:][^{}]*|-)\}[ \t]*\Z")  # `{#id .class}`; the parser would take any braces
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
# These characters stand in for signs that the parser would misread. They are put back in what it gives.
_COLON, _STAR, _TILDE = "\ufdd0", "\ufdd1", "\ufdd2"
_BACK = str.maketrans({_COLON: ":", _STAR: "*", _TILDE: "~"})
_ASIDE = re.compile(f"[{_COLON}{_STAR}{_TILDE}]")
# A line with a colon and no blank at its beginning (`::: tip`, `:smile:`) is no definition, though the parser thinks
# so.
_DIRECTIVE = re.compile(r"^([ \t>]*):(?![ \t])", re.MULTILINE)
# The parser would join the numbers of `2*3*4` and of `5~6 or 7~8`.
_BETWEEN_DIGITS = re.compile(r"(?<=\d)(?:\*{1,2}|~)(?=\d)")
# By the rules, `[Ann]: 1932`, `[Q]: "Who?"` and `[Bob]: Yes (laughs)` define links, and show nothing. If no link uses
# them, and their target is a word and no address, they are text that somebody said.
_SAID = re.compile(
    r"^( {0,3}(?:[-*+>][ \t]+)?\[([^\]\n^/#][^\]\n]{0,99})\]):(?=[ \t]*(?:\r?\n[ \t]*)?([^\s]{0,999}))", re.MULTILINE
)
_PLACE = re.compile(
    r"[<#/]|\.{1,2}/|www\.|[a-zA-Z][a-zA-Z0-9+.-]{0,30}:.|[^/]*\.[a-zA-Z][a-zA-Z0-9]{0,9}(?:[#?/:].*)?$|.*/.*[./]"
)
_LINKED = re.compile(r"\[([^\]\n]{1,100})\](?!:)")
_TAG_NAME = re.compile(r"<([a-zA-Z][^\s/>]{0,63})")
_HOLDS_ALL = LEFT_OUT | {"title", "style", "plaintext", "xmp"}
_END_TAG = re.compile(r"</([a-zA-Z][\w.-]{0,63})")
_BLANK_LINE = re.compile(r"\n[ \t]*\r?\n(?=\S)")

# These elements of pages mean the same. Items of lists and cells are made elsewhere, with more detail.
_ELEMENTS = {
    "Paragraph": "p",
    "BlockQuote": "blockquote",
    "Item": "li",
    "Table": "table",
    "TableRow": "tr",
    "DefinitionList": "dl",
    "DefinitionListTitle": "dt",
    "DefinitionListDefinition": "dd",
    "FootnoteDefinition": "div",
    "CodeBlock": "pre",
}


@cache
def _options() -> pyromark.Options:
    """Returns the parser's options for the additions to Markdown that are read."""
    return (
        pyromark.Options.ENABLE_TABLES
        | pyromark.Options.ENABLE_FOOTNOTES
        | pyromark.Options.ENABLE_STRIKETHROUGH
        | pyromark.Options.ENABLE_TASKLISTS
        | pyromark.Options.ENABLE_DEFINITION_LIST
        | pyromark.Options.ENABLE_GFM
    )  # front matter is taken off before: the parser would take any text between two rules for it


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the file as one record.

    Raises:
        ExtraMissing: without pyromark. As plain text, the file would give other passages, and so other answers.
    """
    if pyromark is None:
        raise ExtraMissing(name, "Markdown", "pyromark", "pyromark")
    reader = _Reader()
    found, _ = read_ahead(reader.blocks(_parts(_without_data(decode(blocks, name)))), lambda: bool(reader.title))
    yield Record(name, one_line(reader.title), found)


def _without_data(blocks: Iterable[str]) -> Iterator[str]:
    """Yields the text without the data of embedded images, which may be megabytes in one line."""
    kept, in_data = "", False
    for block in blocks:
        text = kept + (block.lstrip(_BASE64) if in_data else block)
        if in_data and not text:
            continue
        *parts, last = _DATA.split(text)
        in_data = bool(parts) and not last
        begins = last.rfind("data:", -_MAX_DATA_HEAD)
        if begins < 0:  # the block may end within it
            begins = next((len(last) - n for n in range(4, 0, -1) if last.endswith("data:"[:n])), -1)
        kept, last = (last[begins:], last[:begins]) if begins >= 0 else ("", last)
        yield "".join(parts) + last
    yield kept


def _parts(pieces: Iterable[str]) -> Iterator[str]:
    """Yields the text in parts that can be parsed by themselves; nearly always it is one."""
    held: list[str] = []
    characters = 0
    for piece in pieces:
        held.append(piece)
        characters += len(piece)
        if characters > MAX_WHOLE_CHARACTERS:
            text = "".join(held)
            cut = _cut(text)
            yield text[:cut]
            held, characters = [text[cut:]], len(text) - cut
    yield "".join(held)


def _cut(text: str) -> int:
    """Returns the beginning of the last block outside of a fence; else that of the last line, else the end."""
    fences = [(found.start(), found[1]) for found in _FENCE.finditer(text)]
    opened, last = "", 0
    for place, fence in fences:
        if not opened:
            opened, last = fence, place
        elif fence.startswith(opened):
            opened = ""
    end = last if opened and last else len(text)
    begin = max(0, end - (MAX_WHOLE_CHARACTERS // 2))
    blank = [found.end() for found in _BLANK_LINE.finditer(text, begin, end)]
    return blank[-1] if blank else (text.rfind("\n", begin, end) + 1 or end)


class _Reader:
    """Writes the parser's events to a page."""

    def __init__(self) -> None:
        self.title = ""
        """The title of the front matter, else the first heading, as soon as it was read."""
        self._page = Page()
        self._html: list[str] | None = None
        self._cell = "td"
        self._in_heading = False
        self._ended: set[str] = set()  # the elements of HTML that have an end tag somewhere
        self._ending = ""  # the last text of a heading, held back because it may end in attributes

    def blocks(self, parts: Iterable[str]) -> Iterator[Block]:
        """Yields the blocks of the text in parts."""
        for number, whole in enumerate(parts):
            text = whole if number else self._after_front_matter(whole)
            self._ended = {name.lower() for name in _END_TAG.findall(text)}
            text = _BETWEEN_DIGITS.sub(_put_aside, _DIRECTIVE.sub(rf"\1{_COLON}", text))
            for event in pyromark.events(_said(text), options=_options()):
                self._take(event)
                yield from self._named_after(self._page.pop())
        yield from self._named_after(self._page.finish())

    def _named_after(self, blocks: list[Block]) -> list[Block]:
        """Returns the blocks; the first heading becomes the title if there is none yet."""
        self.title = self.title or self._page.heading
        return blocks

    def _after_front_matter(self, text: str) -> str:
        """Returns the text after the front matter, and takes its title; all of the text if there is no front matter."""
        if (begin := _FRONT.match(text)) is not None:
            front = _front_matter(text[begin.end() :][:MAX_FRONT_CHARACTERS], begin["mark"])
            if front is not None:
                self.title = _front_title(front)
                return text[begin.end() + len(front) :].partition("\n")[2]
        if text.startswith("{"):
            try:
                found, end = json.JSONDecoder().raw_decode(text[:MAX_FRONT_CHARACTERS])
            except (ValueError, RecursionError):
                return text
            if found and isinstance(found, dict) and text[end : end + 2].lstrip("\r")[:1] in ("\n", ""):
                self.title = str(found.get("title", ""))
                return text[end:]
        elif text.startswith("%"):
            lines = text[:MAX_FRONT_CHARACTERS].split("\n", 3)
            count = next((n for n, line in enumerate(lines) if not line.startswith("%")), 3)
            self.title = lines[0][1:].strip()
            return "\n" + "\n".join(lines[count:]) + text[MAX_FRONT_CHARACTERS:]
        return text

    def _take(self, event: Any) -> None:  # noqa: ANN401 - dicts, described by its package
        self._end_text(is_last=isinstance(event, dict) and "End" in event and "Heading" in event["End"])
        if isinstance(event, str):
            self._mark(event)
            return
        ((kind, value),) = event.items()
        value = value.translate(_BACK) if isinstance(value, str) and _ASIDE.search(value) else value
        if kind == "Text":
            self._text(value)
        elif kind == "Start":
            self._begin(value)
        elif kind == "End":
            self._end(value)
        elif kind == "Code":
            self._page.write([value])
        elif kind == "Html" and self._html is not None:
            self._html.append(value)
        elif kind == "InlineHtml":
            (self._text if self._is_text(value) else self._write_html)(value)
        elif kind == "Html":
            self._write_html(value)
        elif kind == "TaskListMarker":
            self._page.write(["[x] " if value else "[ ] "])

    def _mark(self, event: str) -> None:
        if event == "SoftBreak":
            self._page.write([" "])
        elif event == "HardBreak":
            self._page.write([Tag("br", is_end=False)])
        elif event == "Rule":
            self._page.write([Tag("hr", is_end=False)])

    def _text(self, text: str) -> None:
        if self._html is not None:
            self._html.append(text)
        elif self._in_heading:
            self._ending = text
        else:
            self._page.write([text])

    def _end_text(self, *, is_last: bool = False) -> None:
        """Writes the text of a heading that was held back."""
        if self._ending:
            self._page.write([_ATTRIBUTES.sub("", self._ending) if is_last else self._ending])
            self._ending = ""

    def _is_text(self, source: str) -> bool:
        """Tells whether something only looks like a tag: `<depth>`, `List<String>`, `a<b and c>d`."""
        tag = _TAG_NAME.match(source)
        if tag is None or source.endswith("/>") or (name := tag[1].lower()) in self._ended:
            return False
        if name in _HOLDS_ALL:  # without an end, the rest of the file would be lost
            return True
        if name in ELEMENTS:
            return name in IN_LINES and "=" not in source and bool(source[tag.end() : -1].strip())
        return "-" not in name and ":" not in name  # a name with a hyphen is a custom element

    def _write_html(self, source: str) -> None:
        self._page.write(list(Tokenizer().feed(source, is_last=True)))

    def _begin(self, value: Any) -> None:  # noqa: ANN401
        name, more = _named(value)
        if name == "HtmlBlock":
            self._html = []
        elif name == "Heading":
            self._in_heading = True
            self._open(more["level"].lower())
        elif name == "List":
            self._open("ul" if more is None else "ol", f' start="{more}"')
        elif name == "TableHead":
            self._cell = "th"
            self._open("thead")
            self._open("tr")
        elif name == "TableCell":
            self._open(self._cell)
        elif name in _ELEMENTS:
            self._open(_ELEMENTS[name])
            if name == "BlockQuote" and more is not None:  # GitHub writes the kind above such a quote
                self._open("p")
                self._page.write([str(more), Tag("p", is_end=True)])

    def _end(self, value: Any) -> None:  # noqa: ANN401
        name, more = _named(value)
        if name == "HtmlBlock":
            source, self._html = "".join(self._html or ()), None
            first = _TAG_NAME.match(source.lstrip())
            if first is not None and first[1].lower() in _HOLDS_ALL and self._is_text(first[0]):
                for paragraph in _BLANK_LINE.split(source):
                    self._page.write([Tag("p", is_end=False), paragraph, Tag("p", is_end=True)])
            else:
                self._write_html(source)
        elif name == "Heading":
            self._in_heading = False
            self._close(str(more).lower())
        elif name == "List":
            self._close("ol" if more else "ul")
        elif name == "TableHead":
            self._cell = "td"
            self._close("tr")
            self._close("thead")
        elif name == "TableCell":
            self._close(self._cell)
        elif name in _ELEMENTS:
            self._close(_ELEMENTS[name])

    def _open(self, name: str, attributes: str = "") -> None:
        self._page.write([Tag(name, is_end=False, source=attributes)])

    def _close(self, name: str) -> None:
        self._page.write([Tag(name, is_end=True)])


def _said(text: str) -> str:
    """Returns text in which words that somebody said do not define a link."""
    if _SAID.search(text) is None:
        return text
    linked = {label.casefold() for label in _LINKED.findall(text)}

    def said(found: re.Match[str]) -> str:
        is_link = found[2].casefold() in linked or _PLACE.match(found[3]) is not None
        return found[0] if is_link else found[1] + _COLON

    return _SAID.sub(said, text)


def _put_aside(found: re.Match[str]) -> str:
    return found[0].replace("*", _STAR).replace("~", _TILDE)


def _front_matter(text: str, mark: str) -> str | None:
    """Returns the front matter; None if its end is missing, or it is neither YAML nor TOML.

    Args:
        text: the text after the line that begins it.
        mark: that line.
    """
    ends = (mark,) if mark == "+++" else (mark, "...")
    lines = text.split("\n", MAX_FRONT_LINES)
    count = next((number for number, line in enumerate(lines) if line.rstrip() in ends and line[:1] != " "), None)
    if count is None:
        return None
    found = [line.rstrip() for line in lines[:count]]
    if mark == "---":
        is_front = all(_YAML_LINE.fullmatch(line) for line in found)
    else:
        first = next((line for line in found if line and not line.startswith("#")), "[")
        is_front = _TOML_LINE.fullmatch(first) is not None
    return "".join(f"{line}\n" for line in lines[:count]) if is_front else None


def _front_title(front: str) -> str:
    """Returns the title in YAML or TOML, "" if there is none."""
    found = _FRONT_TITLE.search(front)
    if found is None:
        return ""
    value = found[1].strip()
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0]
    if value in (">", "|", ">-", "|-", ">+", "|+"):  # it follows, indented
        return front[found.end() :].lstrip().partition("\n")[0].strip()
    return value.partition(" #")[0].strip()


def _named(value: Any) -> tuple[str, Any]:  # noqa: ANN401
    """Returns the name of an event's element, and its properties."""
    if isinstance(value, str):
        return value, None
    ((name, more),) = value.items()
    return name, more
