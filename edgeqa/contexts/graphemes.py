"""Where a character as people see it begins and ends: offsets in, offsets out that cut none in two.

Pure. The tokenizer drops combining marks, joiners and variation selectors, so that a token's last offset may stand
before them. This is the part of Unicode's grapheme rules (UAX 29) that such a text needs, not the whole of them.
"""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"


def widen(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns `start` and `end` moved outwards as far as the characters at the borders of `text[start:end]` reach."""
    while 0 < start < len(text) and _continues(text, start):
        start -= 1
    while end < len(text) and _continues(text, end):
        end += 1
    return start, end


def _continues(text: str, place: int) -> bool:
    """Tells whether the code point at `place` belongs to the same character as the one before it."""
    character = text[place]
    if character.isascii():
        return False
    return (
        unicodedata.category(character)[0] == "M"
        or character in (_JOINER, "\u200c")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags, as in the flags of regions
        or text[place - 1] == _JOINER
    )
