"""JSON: files in SQuAD's format, objects in an array or one a line, and JSON of any other kind.

In: blocks of bytes. Out: records. In SQuAD's format, each paragraph is a record, called `FILE#Article/3`. If the
objects have a field with text, each object is a record, called `FILE#3` after its place in the array or its line. If
they have none, they are the rows of one record, under the names of their fields. An array is cut into its elements,
which are parsed one by one, so that a file of any size takes little memory. Other JSON, as a configuration, is read as
names with their values; beyond MAX_WHOLE_BYTES it is read as plain text. Some things that Python writes are no JSON,
and are read all the same: NaN, halves of surrogate pairs.
"""

from __future__ import annotations

import codecs
import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from edgeqa.formats import checked, decode, lines_of, nfc_blocks
from edgeqa.formats.blocks import (
    MAX_RECORD_BYTES,
    FieldUnknown,
    FileDamaged,
    Record,
    RecordInvalid,
    RecordTooLong,
    find,
    one_line,
)
from edgeqa.formats.plain import record, structured
from edgeqa.formats.prose import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from edgeqa.formats.blocks import Block, FormatOptions

    Numbered: TypeAlias = tuple[int, str, bytes]

MAX_WHOLE_BYTES = 1 << 22
MAX_DEPTH = 20
MAX_ARTICLE_BYTES = 4 * MAX_RECORD_BYTES
_OBJECTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{")
_BEGINS = re.compile(rb'\A\s*(?:\xef\xbb\xbf)?\s*\[\s*\{|"data"\s*:\s*\[')
_EXPECTED = 'expected {"data": [{"title": "...", "paragraphs": [{"context": "..."}]}]}, or an array of objects'


def read(blocks: Iterator[bytes], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record a paragraph, or an object.

    Raises:
        FormatError: naming the article or the element.
    """
    checked_blocks = checked(blocks, name)
    held = list(_held(checked_blocks))
    whole = b"".join(held) if sum(map(len, held)) <= MAX_WHOLE_BYTES else None
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
    """Yields blocks until there is more than is parsed as a whole."""
    size_bytes = 0
    for block in blocks:
        yield block
        size_bytes += len(block)
        if size_bytes > MAX_WHOLE_BYTES:
            return


def _squad(articles: Iterable[tuple[int, bytes]], name: str) -> Iterator[Record]:
    titles: dict[str, int] = {}
    for number, element in articles:
        try:
            called, contexts = _article(decoded(element))
        except (ValueError, RecursionError) as error:
            raise RecordInvalid(name, f"article {number}", f"not SQuAD: {error}", _EXPECTED) from error
        title = one_line(called) or str(number)
        titles[title] = titles.get(title, 0) + 1
        if titles[title] > 1:
            title = f"{title} ({titles[title]})"
        for place, context in enumerate(contexts, 1):
            if context.strip():
                yield record(f"{name}#{title}/{place}", called.replace("_", " "), context)


def _article(found: Any) -> tuple[str, list[str]]:  # noqa: ANN401 - any JSON value
    """Returns an article's title and its contexts.

    Raises:
        ValueError: if it is no article.
    """
    match found:
        case {"paragraphs": [*paragraphs]} if isinstance(title := found.get("title", ""), str):
            contexts = [one["context"] for one in paragraphs if isinstance(one, dict) and "context" in one]
            if len(contexts) == len(paragraphs) and all(isinstance(context, str) for context in contexts):
                return title, contexts
            message = "a paragraph has no context"
        case _:
            message = "it has no list of paragraphs"
    raise ValueError(message)


def _whole(data: bytes, name: str) -> Record:
    try:
        found = decoded(data.removeprefix(codecs.BOM_UTF8))
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(name, "the whole", f"not JSON: {error}", "mend it, or give it as --format text") from error
    return Record(name, title_of(found) if isinstance(found, dict) else "", _blocks(found, Rows()))


def _blocks(found: object, rows: Rows, path: str = "", depth: int = 0) -> Iterator[Block]:
    """Yields the content of any JSON: names with their values, and tables of equal objects, each under its path."""
    if depth == MAX_DEPTH or not (_is_nested(found) or isinstance(found, list)):
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
    """Cuts JSON into the elements of its array, which is the file itself, or the member `data` of its object."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.is_squad = False
        """Whether the array is the member `data`; it is known once the first element is there."""

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
                if len(element) > MAX_ARTICLE_BYTES:
                    raise RecordTooLong(self._name, f"element {number}", MAX_ARTICLE_BYTES)
            elif before.strip() not in ((b",",) if number and mark in _OPENING else (b"", b"," * (number > 0))):
                reason = "not a JSON object, or a comma is missing"
                raise RecordInvalid(self._name, f"element {number + 1}", reason, _EXPECTED)
            if mark in _OPENING:
                depth += 1
                if not element:
                    number += 1
                    element += mark
            elif mark:
                depth -= 1
                if depth < array_depth:  # the rest after the array does not matter
                    return
                if depth == array_depth:
                    yield bytes(element)
                    element.clear()
        raise FileDamaged(self._name, "JSON", f"it ends in the middle, after element {number}")

    def _find(self, marks: Iterator[tuple[bytes, bytes]]) -> int:
        """Takes the marks up to the beginning of the array; returns the depth of its elements."""
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
    """Yields each bracket outside of strings, with the bytes since the last one; at the end an empty one."""
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
        if held_bytes > MAX_ARTICLE_BYTES:
            raise RecordTooLong(name, "a string", MAX_ARTICLE_BYTES)
    yield b"".join(parts), b""


MAX_FLAT_DEPTH = 4


def decoded(data: bytes) -> object:
    """Returns the value of JSON.

    Raises:
        ValueError: if it is no JSON.
        RecursionError: if it is nested too deep.
    """
    found: object = json.loads(data, strict=False, parse_constant=_no_number)
    return found


def _no_number(_name: str) -> None:
    """Returns None for NaN and Infinity, which mean no value to the programs that write them."""


def records(objects: Iterable[Numbered], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record for each object whose text is more than white space, or one record of all objects as rows.

    Args:
        objects: each with its name among the file's records, its place in the file (for an error), and its JSON.
        name: the name of the file.
        options: the fields to read; if they name none, the first object decides.

    Raises:
        FormatError: if one is no JSON object, or has no text where others have.
    """
    found = ((number, place, _object(data, name, place)) for number, place, data in objects)
    first = next(found, None)
    if first is None:
        return
    fields = find(first[2], options, name, first[1])
    if fields is None:
        yield Record(name, "", row_blocks((one for _, _, one in chain([first], found)), Rows()))
        return
    for number, place, one in chain([first], found):
        text_field, title_field = fields
        if text_field not in one:
            raise FieldUnknown(name, place, text_field, "--text-field", one)
        text = _string(one, text_field, name, place)
        if text.strip():
            title = "" if title_field is None else _string(one, title_field, name, place)
            yield record(f"{name}#{number}", title, text)


def _object(data: bytes, name: str, place: str) -> dict[str, object]:
    try:
        found = decoded(data.removesuffix(b","))  # lines that were an array's end in a comma
    except UnicodeDecodeError as error:
        reason = f"not UTF-8: the byte 0x{error.object[error.start]:02x}"
        raise RecordInvalid(name, place, reason, "convert the file: iconv -f WINDOWS-1252 -t UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(name, place, f"not JSON: {error}", "mend or remove it") from error
    if not isinstance(found, dict):
        raise RecordInvalid(name, place, "not a JSON object", 'a record is an object: {"text": "..."}')
    return found


def _string(found: dict[str, object], field: str, name: str, place: str) -> str:
    value = found.get(field)
    if value is None or isinstance(value, str):
        return value or ""
    reason = f"the field {field!r} is not a string"
    raise RecordInvalid(name, place, reason, "name a field that holds text: --text-field, --title-field")


def row_blocks(objects: Iterable[dict[str, object]], rows: Rows) -> Iterator[Block]:
    """Yields objects as rows under the names of their fields; a new field makes a new row of names."""
    columns: list[str] = []
    known: set[str] = set()
    for one in objects:
        flat = dict(flattened(one))
        if not flat.keys() <= known or not columns:
            columns = list(flat)
            known = set(columns)
            rows.table()
            yield from rows.row(columns, is_header=True)
        yield from rows.row(flat.get(column, "") for column in columns)


def flattened(found: dict[str, object], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yields the fields of an object with their values as text, those of objects in it as `outer.inner`."""
    for key, value in found.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and depth < MAX_FLAT_DEPTH:
            yield from flattened(value, f"{name}.", depth + 1)
        else:
            yield name, written(value)


def written(value: object) -> str:
    """Returns a value as people write it: without quotes, a list with commas, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value):
        return ", ".join(map(written, value))
    if isinstance(value, (dict, list)):
        try:
            return json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return ""
    return str(value)


def title_of(found: dict[str, object]) -> str:
    """Returns the value of an object's first field with a usual name; "" if it has none."""
    return next((one_line(str(found[key])) for key in ("title", "name") if isinstance(found.get(key), str)), "")


_BLANK = b" \t\r\n\x1e"  # the last one begins a text of a JSON sequence


def read_lines(blocks: Iterator[bytes], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record a line, or a row; blank lines are left out.

    Raises:
        FormatError: naming the line.
    """
    first = next(blocks, b"")
    if _OBJECTS.match(first):  # it is an array, whatever the file is called
        yield from read(chain([first], blocks), name, options)
        return
    text = checked(chain([first], blocks), name)
    found = lines_of(text, b"\n", MAX_RECORD_BYTES, lambda n: RecordTooLong(name, f"line {n}", MAX_RECORD_BYTES))
    lines = (
        (n, (line if n > 1 else line.removeprefix(codecs.BOM_UTF8)).strip(_BLANK)) for n, line in enumerate(found, 1)
    )
    yield from records(((n, f"line {n}", line) for n, line in lines if line), name, options)
