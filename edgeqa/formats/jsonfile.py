"""JSON: SQuAD files, a record a paragraph, and arrays of objects, a record an object.

In: blocks of bytes. Out: records, named `FILE#Article/3` after SQuAD's articles and paragraphs, `FILE#3` in an array.
The file is cut into the elements of its array, each parsed alone, so that a file of any size takes little memory.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

import msgspec

from edgeqa.contexts.documents import checked
from edgeqa.formats.errors import FileDamaged, RecordInvalid, RecordTooLong
from edgeqa.formats.fields import MOST_RECORD_BYTES
from edgeqa.formats.objects import Objects
from edgeqa.formats.records import one_line, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.records import FormatOptions, Record

MOST_ARTICLE_BYTES = 4 * MOST_RECORD_BYTES
_EXPECTED = 'expected {"data": [{"title": "...", "paragraphs": [{"context": "..."}]}]}, or an array of objects'


class _Paragraph(msgspec.Struct):
    context: str


class _Article(msgspec.Struct):
    paragraphs: list[_Paragraph]
    title: str = ""


def read(blocks: Iterator[bytes], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record a paragraph, or an object.

    Raises:
        FormatError: naming the article or the element.
    """
    elements = _Elements(name)
    objects = Objects(name, options)
    squad = msgspec.json.Decoder(_Article)
    titles: dict[str, int] = {}
    for number, element in enumerate(elements.cut(checked(blocks, name)), 1):
        if not elements.is_squad:
            if (found := objects.record(element, number, f"element {number}")) is not None:
                yield found
            continue
        try:
            article = squad.decode(element)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordInvalid(name, f"article {number}", f"not SQuAD: {error}", _EXPECTED) from error
        title = one_line(article.title) or str(number)
        titles[title] = titles.get(title, 0) + 1
        if titles[title] > 1:
            title = f"{title} ({titles[title]})"
        for place, paragraph in enumerate(article.paragraphs, 1):
            if paragraph.context.strip():
                yield record(f"{name}#{title}/{place}", article.title.replace("_", " "), paragraph.context)


_STRUCTURE = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')
_MEMBER = re.compile(rb'"data"\s*:\s*\Z')
_OPENING = (b"{", b"[")


class _Elements:
    """Cuts JSON into the elements of its array: the file itself, or the member `data` of the object that it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.is_squad = False
        """Whether the array is the member `data`; settled when the first element is there."""

    def cut(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yields the bytes of each element.

        Raises:
            FormatError: if there is no such array, or the file ends in the middle of it.
        """
        marks = _structure(blocks, self._name)
        array_depth = depth = self._find(marks)
        number = 0
        element = bytearray()
        for before, mark in marks:
            if element:
                element += before + mark
                if len(element) > MOST_ARTICLE_BYTES:
                    raise RecordTooLong(self._name, f"element {number}", MOST_ARTICLE_BYTES)
            elif before.strip() != (b"," if number and mark in _OPENING else b""):
                reason = "not a JSON object, or a comma is missing"
                raise RecordInvalid(self._name, f"element {number + 1}", reason, _EXPECTED)
            if mark in _OPENING:
                depth += 1
                if not element:
                    number += 1
                    element += mark
            elif mark:
                depth -= 1
                if depth < array_depth:  # what comes after the array is of no interest
                    return
                if depth == array_depth:
                    yield bytes(element)
                    element.clear()
        raise FileDamaged(self._name, "JSON", f"it ends in the middle, after element {number}")

    def _find(self, marks: Iterator[tuple[bytes, bytes]]) -> int:
        """Takes the marks up to the beginning of the array; returns how deep its elements lie."""
        depth = 0
        for before, mark in marks:
            if mark == b"[" and depth == 0 and not before.strip(codecs.BOM_UTF8 + b" \t\r\n"):
                return 1
            if mark == b"[" and depth == 1 and _MEMBER.search(before):
                self.is_squad = True
                return 2
            depth += 1 if mark in _OPENING else -1
        raise RecordInvalid(self._name, "the whole", "neither SQuAD nor an array of objects", _EXPECTED)


def _structure(blocks: Iterable[bytes], name: str) -> Iterator[tuple[bytes, bytes]]:
    """Yields each bracket outside of strings with what stands before it since the last; at the end an empty one."""
    parts: list[bytes] = []
    held_bytes = 0
    in_string = escaped = False
    for block in blocks:
        begin, place = 0, int(escaped)
        escaped = False
        while (found := (_IN_STRING if in_string else _STRUCTURE).search(block, place)) is not None:
            place = found.end()
            mark = found.group()
            if mark == b"\\":
                escaped = place == len(block)
                place += 1
            elif mark == b'"':
                in_string = not in_string
            else:
                parts.append(block[begin : place - 1])
                yield b"".join(parts), mark
                parts, begin, held_bytes = [], place, 0
        parts.append(block[begin:])
        held_bytes += len(parts[-1])
        if held_bytes > MOST_ARTICLE_BYTES:
            raise RecordTooLong(name, "a string", MOST_ARTICLE_BYTES)
    yield b"".join(parts), b""
