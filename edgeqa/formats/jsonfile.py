"""JSON: SQuAD files, a record a paragraph; arrays of objects, a record an object or a row; all else as one record.

In: blocks of bytes. Out: records, named `FILE#Article/3` after SQuAD's articles and paragraphs, `FILE#3` in an array.
Arrays are cut into their elements, each parsed alone, so that a file of any size takes little memory. A file of another
kind, as a configuration, is read as names with their values; beyond MOST_WHOLE_BYTES as it stands.
"""

from __future__ import annotations

import codecs
import re
from itertools import chain
from typing import TYPE_CHECKING, cast

import msgspec

from edgeqa.formats.errors import FileDamaged, RecordInvalid, RecordTooLong
from edgeqa.formats.fields import MOST_RECORD_BYTES
from edgeqa.formats.objects import decoded, records, row_blocks, title_of, written
from edgeqa.formats.plain import record, structured
from edgeqa.formats.records import Record, one_line
from edgeqa.formats.rows import Rows
from edgeqa.formats.text import checked, decode, nfc_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.blocks import Block
    from edgeqa.formats.records import FormatOptions

MOST_WHOLE_BYTES = 1 << 22
MOST_DEPTH = 20
MOST_ARTICLE_BYTES = 4 * MOST_RECORD_BYTES
_BEGINS = re.compile(rb'\A\s*(?:\xef\xbb\xbf)?\s*\[\s*\{|"data"\s*:\s*\[')
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
    checked_blocks = checked(blocks, name)
    held = list(_held(checked_blocks))
    whole = b"".join(held) if sum(map(len, held)) <= MOST_WHOLE_BYTES else None
    if whole is None and not _BEGINS.search(held[0]):
        yield Record(name, "", structured(nfc_blocks(decode(chain(held, checked_blocks), name))))
        return
    elements = _Elements(name)
    cut = elements.cut(chain(held, checked_blocks))
    del held
    try:
        first = next(cut, None)
    except RecordInvalid:
        if whole is not None:
            yield _whole(whole, name)
            return
        raise
    if first is not None:
        found = enumerate(chain([first], cut), 1)
        if elements.is_squad:
            yield from _squad(found, name)
        else:
            yield from records(((n, f"element {n}", element) for n, element in found), name, options)


def _held(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the blocks up to one more than are parsed as a whole."""
    size_bytes = 0
    for block in blocks:
        yield block
        size_bytes += len(block)
        if size_bytes > MOST_WHOLE_BYTES:
            return


def _squad(articles: Iterable[tuple[int, bytes]], name: str) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(_Article)
    titles: dict[str, int] = {}
    for number, element in articles:
        try:
            article = decoder.decode(element)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordInvalid(name, f"article {number}", f"not SQuAD: {error}", _EXPECTED) from error
        title = one_line(article.title) or str(number)
        titles[title] = titles.get(title, 0) + 1
        if titles[title] > 1:
            title = f"{title} ({titles[title]})"
        for place, paragraph in enumerate(article.paragraphs, 1):
            if paragraph.context.strip():
                yield record(f"{name}#{title}/{place}", article.title.replace("_", " "), paragraph.context)


def _whole(data: bytes, name: str) -> Record:
    try:
        found = decoded(data.removeprefix(codecs.BOM_UTF8))
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(name, "the whole", f"not JSON: {error}", "mend it, or give it as --format text") from error
    return Record(name, title_of(found) if isinstance(found, dict) else "", _blocks(found, Rows()))


def _blocks(found: object, rows: Rows, path: str = "", depth: int = 0) -> Iterator[Block]:
    """Yields what JSON of any kind says: names with their values, tables of what is alike, all under their path."""
    if depth == MOST_DEPTH or not (_is_nested(found) or isinstance(found, list)):
        yield from rows.pair(path.removesuffix("."), written(found))
    elif isinstance(found, dict):
        for key, value in found.items():
            if not _is_nested(value):
                yield from rows.pair(f"{path}{key}", written(value))
        for key, value in found.items():
            if _is_nested(value):
                rows.table()
                yield from _blocks(value, rows, f"{path}{key}.", depth + 1)
    elif isinstance(found, list):
        yield from _list_blocks(found, rows, path, depth)


def _list_blocks(found: list[object], rows: Rows, path: str, depth: int) -> Iterator[Block]:
    if all(isinstance(one, dict) for one in found):
        yield from rows.paragraph(path.removesuffix("."))
        yield from row_blocks(cast("list[dict[str, object]]", found), rows)
        return
    for one in found:
        if isinstance(one, list) and not any(map(_is_nested, one)):
            yield from rows.row(map(written, one))
        elif _is_nested(one):
            yield from _blocks(one, rows, path, depth + 1)
        else:
            yield from rows.paragraph(f"- {written(one)}", "item", 1)


def _is_nested(value: object) -> bool:
    """Tells whether a value is more than a word or a list of words."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value))


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
