"""Markdown to text: what it says stays, the syntax goes.

Headings, also underlined ones, become paragraphs of their own; the first one, or `title:` of the front matter, is the
title. Links and images keep their text, code its lines, tables a row a line with bars between the cells; emphasis,
fences, HTML tags and comments, link definitions and the front matter go. Read line by line and paragraph by paragraph,
in linear time and little memory; it renders nothing and follows CommonMark only as far as text goes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeqa.contexts.documents import decode
from edgeqa.formats.inline import inline
from edgeqa.formats.records import FormatOptions, Record, begun, one_line, unstructured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_LINE_CHARACTERS = 1 << 14  # longer lines are taken in parts
MOST_PARAGRAPH_LINES = 200

_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_HIDDEN = re.compile(r" {0,3}(<!--|<script(?=[\s>])|<style(?=[\s>]))", re.IGNORECASE)
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+|$)")
_HEADING_END = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_QUOTE = re.compile(r"(?: {0,3}> ?)+")
_BULLET = re.compile(r"([ \t]*)[-*+][ \t]+(?:\[[ xX]\][ \t]+)?")
_NUMBERED = re.compile(r"[ \t]*\d{1,9}[.)][ \t]")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*$")
_DEFINITION = re.compile(r" {0,3}\[[^\[\]]+\]:[ \t]*\S")
_FOOTNOTE = re.compile(r" {0,3}\[\^[^\[\]]+\]:[ \t]*")
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_DATA = re.compile(r"data:[a-zA-Z0-9/+.=;-]{0,64};base64,[A-Za-z0-9+/=]*")
_MOST_DATA_HEAD = 80
_FRONT_TITLE = re.compile(r"title:[ \t]*(.*)")


def read(blocks: Iterator[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields the file as one record."""
    text = _Text()
    found = unstructured(text.pieces(_lines(_without_data(decode(blocks, name)))))
    found, _ = begun(found, lambda: bool(text.title))
    yield Record(name, one_line(text.title), found)


def _without_data(blocks: Iterable[str]) -> Iterator[str]:
    """Yields the text without the data of embedded images, which may be megabytes in one line."""
    kept, in_data = "", False
    for block in blocks:
        text = kept + (block.lstrip(_BASE64) if in_data else block)
        if in_data and not text:
            continue
        *parts, last = _DATA.split(text)
        in_data = bool(parts) and not last
        begun = last.rfind("data:", -_MOST_DATA_HEAD)
        kept, last = (last[begun:], last[:begun]) if begun >= 0 else ("", last)
        yield "".join(parts) + last
    yield kept


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    """Yields the lines without their ends; one that is too long in parts."""
    kept = ""
    for block in blocks:
        *lines, kept = (kept + block).split("\n")
        for line in lines:
            yield from _parts(line.removesuffix("\r"))
        if len(kept) > MOST_LINE_CHARACTERS:
            *parts, kept = _parts(kept)
            yield from parts
    yield from _parts(kept)


def _parts(line: str) -> Iterator[str]:
    while len(line) > MOST_LINE_CHARACTERS:
        cut = line.rfind(" ", 0, MOST_LINE_CHARACTERS) + 1 or MOST_LINE_CHARACTERS
        yield line[:cut]
        line = line[cut:]
    yield line


class _Text:
    """The text of one file, line by line."""

    def __init__(self) -> None:
        self.title = ""
        """The first heading, as soon as it was read."""
        self._paragraph: list[str] = []
        self._fence = ""
        self._hidden = ""  # what ends a comment or a script

    def pieces(self, lines: Iterator[str]) -> Iterator[str]:
        """Yields the text of the lines."""
        for line in self._after_front_matter(lines):
            if self._hidden:
                if self._hidden in line.lower():
                    self._hidden = ""
            elif self._fence:
                if line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0]):
                    self._fence = ""
                    yield "\n"
                else:
                    yield line + "\n"
            else:
                yield from self._line(line)
        yield from self._end()

    def _after_front_matter(self, lines: Iterator[str]) -> Iterator[str]:
        first = next(lines, "")
        if first.rstrip() != "---":
            yield first
        else:
            held: list[str] = []
            for line in lines:
                if line.rstrip() in ("---", "..."):
                    held = []
                    break
                held.append(line)
                if len(held) == MOST_PARAGRAPH_LINES or not line.strip():  # a rule, and a text below it
                    self.title = ""
                    break
                if found := _FRONT_TITLE.match(line):
                    self.title = found[1].strip().strip("\"'")
            yield from held
        yield from lines

    def _line(self, line: str) -> Iterator[str]:
        """Yields what a line outside of code ends or is."""
        if (quote := _QUOTE.match(line)) is not None:
            line = line[quote.end() :]
        if not line.strip():
            yield from self._end()
        elif (hidden := _HIDDEN.match(line)) is not None:
            yield from self._end()
            end = "-->" if hidden[1] == "<!--" else f"</{hidden[1][1:].lower()}>"
            self._hidden = end if end not in line.lower() else ""
        elif (fence := _FENCE.match(line)) is not None:
            yield from self._end()
            self._fence = fence[1]
        else:
            yield from self._prose(line)

    def _prose(self, line: str) -> Iterator[str]:
        """Yields what a line ends or is that is neither blank nor begins something of its own rules."""
        if (heading := _HEADING.match(line)) is not None:
            yield from self._end()
            yield from self._heading([_HEADING_END.sub("", line[heading.end() :])])
        elif self._paragraph and _UNDERLINE.match(line) and "|" not in self._paragraph[-1]:
            lines, self._paragraph = self._paragraph, []
            yield from self._heading(lines)
        elif _RULE.match(line):
            yield from self._end()
        elif not self._paragraph and line.startswith(("    ", "\t")):
            yield line + "\n"
        elif _DEFINITION.match(line) and not _FOOTNOTE.match(line):
            yield from self._end()
        elif not ("|" in line and _TABLE_RULE.match(line)):
            self._paragraph.append(line)
            if len(self._paragraph) == MOST_PARAGRAPH_LINES:
                yield self._taken()

    def _heading(self, lines: list[str]) -> Iterator[str]:
        text = inline("\n".join(lines)).strip()
        self.title = self.title or text
        if text:
            yield text + "\n\n"

    def _end(self) -> Iterator[str]:
        """Yields the paragraph that ends here."""
        if self._paragraph:
            yield self._taken() + "\n"

    def _taken(self) -> str:
        lines, self._paragraph = self._paragraph, []
        is_table = sum("|" in line for line in lines) == len(lines)
        return inline("\n".join(_row(line) if is_table else _item(line) for line in lines)) + "\n"


def _row(line: str) -> str:
    # A bar within code or behind a backslash ends no cell.
    return " | ".join(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|")))


def _item(line: str) -> str:
    if (footnote := _FOOTNOTE.match(line)) is not None:
        return line[footnote.end() :]
    if (bullet := _BULLET.match(line)) is not None:
        return f"{bullet[1]}- {line[bullet.end() :]}"
    return line
