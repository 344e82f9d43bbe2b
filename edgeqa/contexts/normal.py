"""Text to NFC, piece by piece: the one normalisation that a context gets when it enters.

Pure. In: pieces of a text, cut anywhere. Out: blocks whose concatenation is the NFC form of the whole text, so that a
text larger than memory can be normalised, and offsets count characters of one well-defined string.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from edgeqa.errors import EmptyQuestion, QuestionType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_RUN = 1024  # characters; a letter of a living language has a few marks
_UNDECODED = re.compile("[\udc80-\udcff]+")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # what an undecodable byte of an argument becomes; not text


def nfc(text: str) -> str:
    """Returns `text` in Unicode's normal form C, with U+FFFD for what is no character."""
    if text.isascii():  # known at once, and most are
        return text
    return unicodedata.normalize("NFC", _LONE_SURROGATE.sub("\ufffd", in_utf8(text)))


def in_utf8(text: str) -> str:
    """Returns `text` with what Python could not decode read as UTF-8, as in an argument where the locale is ASCII."""
    return _UNDECODED.sub(
        lambda found: found.group().encode("ascii", "surrogateescape").decode("utf-8", "replace"), text
    )


def nfc_blocks(pieces: Iterable[str]) -> Iterator[str]:
    """Yields blocks that together are the NFC form of all `pieces` together.

    A run of more than LONGEST_RUN characters that each compose with what stands before is no text. It is normalised in
    parts of that length, wherever the pieces end: to sort its marks takes time that grows with the square of it.
    """
    kept = ""
    for piece in pieces:
        text = kept + piece
        parts, place = [], 0
        while (cut := _next_cut(text, place)) > place:
            parts.append(nfc(text[place:cut]))
            place = cut
        kept = text[place:]
        if parts:
            yield "".join(parts)
    if kept:
        yield nfc(kept)


def _next_cut(text: str, place: int) -> int:
    """Returns where the part from `place` on ends that can be normalised by itself; `place` if more must be seen."""
    if not place and text.isascii():
        return max(0, len(text) - 1)
    for cut in range(min(place + LONGEST_RUN, len(text) - 1), place, -1):
        if _begins_anew(text[cut]):
            return cut
    return place + LONGEST_RUN if len(text) > place + LONGEST_RUN else place


def _begins_anew(character: str) -> bool:
    # Only marks, and the vowels and finals of Hangul written in single jamo, join what stands before them.
    if character.isascii():
        return True
    return not ("\u1100" <= character <= "\u11ff") and unicodedata.category(character)[0] != "M"


def one_line(question: str) -> str:
    """Returns the question as it is asked: NFC, its white space collapsed.

    Raises:
        QuestionError: if nothing is left of it, or it is no string.
    """
    if not isinstance(question, str):
        raise QuestionType(question)
    asked = " ".join(nfc(question).split())
    if not asked:
        raise EmptyQuestion
    return asked
