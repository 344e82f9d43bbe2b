"""A JSON object that is one record, of JSON Lines or of an array: bytes in, a record out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeqa.formats.errors import FieldUnknown, RecordInvalid
from edgeqa.formats.fields import choose
from edgeqa.formats.records import record

if TYPE_CHECKING:
    from edgeqa.formats.records import FormatOptions, Record


class Objects:
    """Makes records of one file's objects; the first one settles which fields are read."""

    def __init__(self, name: str, options: FormatOptions) -> None:
        self._name = name
        self._options = options
        self._fields: tuple[str, str | None] | None = None
        self._decode = msgspec.json.Decoder().decode

    def record(self, data: bytes, number: int, place: str) -> Record | None:
        """Returns the record of an object, None if its text is null or white space.

        Args:
            data: the object.
            number: what names it among the file's records.
            place: in the file, for an error.

        Raises:
            FormatError: if it is no JSON object, or has no text.
        """
        try:
            found = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordInvalid(self._name, place, f"not JSON: {error}", "mend or remove it") from error
        if not isinstance(found, dict):
            raise RecordInvalid(self._name, place, "not a JSON object", 'a record is an object: {"text": "..."}')
        if self._fields is None:
            self._fields = choose(found, self._options, self._name, place)
        text_field, title_field = self._fields
        if text_field not in found:
            raise FieldUnknown(self._name, place, text_field, "--text-field", found)
        text = self._string(found, text_field, place)
        if not text.strip():
            return None
        title = "" if title_field is None else self._string(found, title_field, place)
        return record(f"{self._name}#{number}", title, text)

    def _string(self, found: dict[str, object], field: str, place: str) -> str:
        value = found.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            reason = f"the field {field!r} is not a string"
            raise RecordInvalid(self._name, place, reason, "name a field that holds text: --text-field, --title-field")
        return value
