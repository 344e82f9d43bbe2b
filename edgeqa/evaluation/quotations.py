"""Finds quotations in a text as a reader of formats gives it, and accepted answers in a span.

Pure. Places in a text change when the reader that made it does: a table's row gets its headers, a hyphen at a line's
end goes. So a place is named by a quotation, and of both only letters and digits are compared, in any case. Nothing
here knows a question, a document or a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

NEAR_CHARACTERS = 400  # an answer so far from a quotation is still from its place
_WORD = re.compile(r"[^\W_]+")
_BROKEN = re.compile(r"[-\u00ad\u2010]\s*\n\s*")
_QUOTES = str.maketrans(dict.fromkeys('"`\u00ab\u00b4\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f', "'"))
_HYPHENS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))


@dataclass(frozen=True)
class Quoted:
    """A text in which quotations are looked for."""

    text: str

    @cached_property
    def _letters(self) -> tuple[str, list[int]]:
        return _letters_of(self.text)

    def find(self, quotation: str) -> list[tuple[int, int]]:
        """Returns where the quotation stands, each place as start and end; none where it does not.

        Where it does not stand as it is, its words may have others between them, at most NEAR_CHARACTERS in all: so is
        a row of a table found that is read with its headers. Of such places only the closest one is given.
        """
        letters, places = self._letters
        wanted, _ = _letters_of(quotation)
        if not wanted:
            return []
        found = []
        at = letters.find(wanted)
        while at >= 0:
            start, end = places[at], places[at + len(wanted) - 1] + 1
            if self._is_edge(start, quotation) and (end == len(self.text) or not self.text[end].isalnum()):
                found.append((start, end))
            at = letters.find(wanted, at + 1)
        return found or self._loosely(quotation)

    def locate(self, passage: str, at: int) -> list[int]:
        """Returns where the character `passage[at]` stands in the text, wherever the passage does.

        Of a character that is neither letter nor digit, it is where the next one of the passage stands, or the last.
        """
        letters, places = self._letters
        wanted, before = _letters_of(passage)[0], _letters_of(passage[:at])[0]
        found = []
        start = letters.find(wanted) if wanted else -1
        while start >= 0:
            found.append(places[start + min(len(before), len(wanted) - 1)])
            start = letters.find(wanted, start + 1)
        return found

    def _is_edge(self, start: int, quotation: str) -> bool:
        return start == 0 or not self.text[start - 1].isalnum() or not quotation[:1].isalnum()

    def _loosely(self, quotation: str) -> list[tuple[int, int]]:
        first, *rest = (re.escape(word) for word in _WORD.findall(quotation))
        best: tuple[int, int] | None = None
        for begin in re.finditer(rf"(?<![^\W_]){first}(?![^\W_])", self.text, re.IGNORECASE):
            end, limit = begin.end(), begin.start() + len(quotation) + NEAR_CHARACTERS
            for word in rest:
                found = re.compile(rf"(?<![^\W_]){word}(?![^\W_])", re.IGNORECASE).search(self.text, end, limit)
                if found is None:
                    break
                end = found.end()
            else:
                if best is None or end - begin.start() < best[1] - best[0]:
                    best = begin.start(), end
        return [best] if best else []


def _letters_of(text: str) -> tuple[str, list[int]]:
    """Returns the text's letters and digits, case folded, and where each of them stands."""
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isalnum():
            for letter in character.casefold():
                folded.append(letter)
                places.append(place)
    return "".join(folded), places


def is_near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tells whether two places overlap, or have at most NEAR_CHARACTERS between them."""
    return max(one[0], other[0]) - min(one[1], other[1]) <= NEAR_CHARACTERS


def evened(text: str) -> str:
    """Returns the text in lower case on one line, with one kind of quote and hyphen."""
    return " ".join(text.translate(_QUOTES).translate(_HYPHENS).casefold().split())


def holds(text: str, variants: tuple[str, ...]) -> bool:
    """Tells whether one of the variants stands in the text, as whole words and numbers.

    White space, quotes and case are evened out; a hyphen at the end of a line may belong to the word or not.
    """
    # A word that was broken is whole again without its hyphen, or with it: both are looked in.
    readings = {evened(_BROKEN.sub(joined, text)) for joined in ("", "-")}
    return any(_pattern(variant).search(reading) for variant in variants for reading in readings)


def _pattern(variant: str) -> re.Pattern[str]:
    wanted = evened(variant)
    # 50 is no word of 250, of 2.50 or of 1,500; it is one of the row 49,50,yes.
    before = r"(?<![^\W_])(?<!\d\.)(?!(?<=\d,)\d{3}(?!\d))" if wanted[:1].isalnum() else ""
    after = r"(?![^\W_])(?!\.\d)(?!,\d{3}(?!\d))" if wanted[-1:].isalnum() else ""
    return re.compile(before + re.escape(wanted) + after)
