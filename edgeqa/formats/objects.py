"""JSON objects that are records, of JSON Lines or of an array: bytes in, records out.

Where they have a field with the text, each is a document. Where they have none, they are the rows of one document,
under the names of their fields. What Python writes beyond JSON is taken, too: NaN, halves of surrogate pairs.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from edgeqa.formats.errors import FieldUnknown, RecordInvalid
from edgeqa.formats.fields import find
from edgeqa.formats.plain import record
from edgeqa.formats.records import Record, one_line
from edgeqa.formats.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from edgeqa.formats.blocks import Block
    from edgeqa.formats.records import FormatOptions

    Numbered: TypeAlias = tuple[int, str, bytes]

MOST_FLAT_DEPTH = 4
_decode = msgspec.json.Decoder().decode


def decoded(data: bytes) -> object:
    """Returns what JSON says.

    Raises:
        ValueError: if it is none.
        RecursionError: if it is nested too deep.
    """
    try:
        found: object = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = json.loads(data, strict=False)
    return found


def records(objects: Iterable[Numbered], name: str, options: FormatOptions) -> Iterator[Record]:
    """Yields a record an object, without those whose text is null or white space, or one of all as rows.

    Args:
        objects: each with what names it among the file's records, its place in the file, for an error, and its JSON.
        name: of the file.
        options: which fields are read; else the first object settles it.

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
        found = decoded(data)
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(name, place, f"not JSON: {error}", "mend or remove it") from error
    if not isinstance(found, dict):
        raise RecordInvalid(name, place, "not a JSON object", 'a record is an object: {"text": "..."}')
    return found


def _string(found: dict[str, object], field: str, name: str, place: str) -> str:
    value = found.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        reason = f"the field {field!r} is not a string"
        raise RecordInvalid(name, place, reason, "name a field that holds text: --text-field, --title-field")
    return value


def row_blocks(objects: Iterable[dict[str, object]], rows: Rows) -> Iterator[Block]:
    """Yields objects as rows under the names of their fields, named anew where there is one that was not named."""
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
        if isinstance(value, dict) and value and depth < MOST_FLAT_DEPTH:
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
    """Returns what an object is called by one of the usual names; "" if by none."""
    return next((one_line(str(found[key])) for key in ("title", "name") if isinstance(found.get(key), str)), "")
