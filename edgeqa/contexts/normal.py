"""Text to NFC, piece by piece: the one normalisation that a context gets when it enters.

Pure. In: pieces of a text, cut anywhere. Out: blocks whose concatenation is the NFC form of the whole text, so that a
text larger than memory can be normalised, and offsets count characters of one well-defined string.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # what an undecodable byte of an argument becomes; not text


def nfc(text: str) -> str:
    """Returns `text` in Unicode's normal form C, with U+FFFD for what is no character."""
    return unicodedata.normalize("NFC", _LONE_SURROGATE.sub("\ufffd", text))


def nfc_blocks(pieces: Iterable[str]) -> Iterator[str]:
    """Yields blocks that together are the NFC form of all `pieces` together."""
    kept = ""
    for piece in pieces:
        text = kept + piece
        cut = _last_boundary(text)
        if cut:
            yield nfc(text[:cut])
        kept = text[cut:]
    if kept:
        yield nfc(kept)


def _last_boundary(text: str) -> int:
    """Returns the last place whose character composes with nothing before it; 0 if there is none but the start."""
    for place in range(len(text) - 1, 0, -1):
        if _begins_anew(text[place]):
            return place
    return 0


def _begins_anew(character: str) -> bool:
    # Only marks, and the vowels and finals of Hangul written in single jamo, join what stands before them.
    if character.isascii():
        return True
    return not ("\u1100" <= character <= "\u11ff") and unicodedata.category(character)[0] != "M"
