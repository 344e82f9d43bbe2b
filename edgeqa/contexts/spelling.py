"""Words that a misspelt word may be: all that are one slip away. Pure.

A slip leaves a letter out, adds one, takes another, or swaps two neighbours (Damerau, 1964): 54 * n + 25 words for one
of n letters, of which the caller knows which there are. Only Latin letters without accents are tried.
"""

from __future__ import annotations

from string import ascii_lowercase

SHORTEST, LONGEST = 4, 20  # letters: shorter words are one slip from too many, longer ones take too long


def near(word: str) -> set[str]:
    """Returns the words one slip away from `word`; none for a word that is not tried."""
    if not (SHORTEST <= len(word) <= LONGEST and word.isascii() and word.isalpha()):
        return set()
    parts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    found = {before + letter + after for before, after in parts for letter in ascii_lowercase}
    found.update([before + letter + after[1:] for before, after in parts[:-1] for letter in ascii_lowercase])
    found.update([before + after[1:] for before, after in parts[:-1]])
    found.update([before + after[1] + after[0] + after[2:] for before, after in parts[:-2]])
    return found - {word}
