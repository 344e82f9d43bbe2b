"""Which field of a record holds its text, and which its title.

Pure. In: the fields' names, and what the user said. Out: the names to use, or an error that lists what there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.formats.errors import FieldUnknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.formats.records import FormatOptions

MOST_RECORD_BYTES = 1 << 24  # of a line, or an element of an array: so much is held in memory

# The usual names, the likeliest first; upper and lower case are alike.
TEXT_FIELDS = ("text", "content", "contents", "body", "context", "passage", "paragraph", "document", "article")
TITLE_FIELDS = ("title", "headline", "heading", "subject")
_SHOWN_FIELDS = 30


def find(names: Iterable[object], options: FormatOptions, source: str, place: str) -> tuple[str, str | None] | None:
    """Returns the fields of the text and of the title, the latter None if there is none; None if no field holds text.

    Args:
        names: of the fields that there are.
        options: what the user said.
        source: name of the file, for an error.
        place: in the file, for an error.

    Raises:
        FieldUnknown: if a field that the user named is not there, or only one for the title was named.
    """
    known = [name for name in names if isinstance(name, str)]
    for field, option in ((options.text_field, "--text-field"), (options.title_field, "--title-field")):
        if field is not None and field not in known:
            raise FieldUnknown(source, place, field, option, known[:_SHOWN_FIELDS])
    text = options.text_field if options.text_field is not None else _usual(known, TEXT_FIELDS)
    if text is None:
        if options.title_field is None:
            return None
        raise FieldUnknown(source, place, None, "--text-field", known[:_SHOWN_FIELDS])
    title = options.title_field if options.title_field is not None else _usual(known, TITLE_FIELDS)
    return text, title if title != text else None


def _usual(names: list[str], usual: tuple[str, ...]) -> str | None:
    found = {name.strip().casefold(): name for name in reversed(names)}
    return next((found[name] for name in usual if name in found), None)
