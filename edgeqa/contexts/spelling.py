"""Words that a misspelt word may be: all that are one slip away. Pure.

A slip leaves a letter out, adds one, takes another, or swaps two neighbours (Damerau, 1964): 54 * n + 25 words for one
of n letters, of which the caller knows which there are. Only Latin letters without accents are tried.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST, LONGEST = 4, 20  # letters: shorter words are one slip from too many, longer ones take too long


def near(word: str) -> set[str]:
    """Returns the words one slip away from `word`; none for a word that is not tried."""
    if not (SHORTEST <= len(word) <= LONGEST and word.isascii() and word.isalpha()):
        return set()
    return set(_near(word)) - {word}


def _near(word: str) -> Iterator[str]:
    for place in range(len(word) + 1):
        before, after = word[:place], word[place:]
        for letter in ascii_lowercase:
            yield before + letter + after
            if after:
                yield before + letter + after[1:]
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
