"""Text to the terms that passages are looked for by, in a text as in a collection; slips; a language's words. Pure.

The same for passages and questions: letters are folded (case, accents), possessives and grouping of digits dropped
("1,250" is "1250", "12m" is "12", "m"). In the model's language, stop words are left out and words cut to their stems;
where that is unknown, words stay as they are. Of scripts that are written without spaces, each character is a term.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from string import ascii_lowercase

from edgeqa.contexts import stems

LONGEST_TERM = 40  # characters; what is longer is no word, and is found by its beginning
ENGLISH = "en"

_GROUPED = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TERM = re.compile(
    rf"\d+(?:\.\d+)*|[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W\d_])+(?:['’](?:(?![{_UNSPACED}])[^\W\d_])+)?"
)
_ASCII_TERM = re.compile(r"\d+(?:\.\d+)*|[a-z]+(?:'[a-z]+)?")
_APOSTROPHE = re.compile(r"['’]")
# Words that are in most texts, and those that only make a question of a sentence.
_STOP_WORDS = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have how if in into is it its many much no
    not of on or such that the their then there these they this to was were what when where which who whom whose why
    will with
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)


def terms(text: str, language: str = ENGLISH) -> list[str]:
    """Returns the terms of a text, in order."""
    return [term(word, language) for word in words(text, language)]


@lru_cache(maxsize=32)  # passages of the text that is asked about
def distinct(text: str, language: str = ENGLISH) -> frozenset[str]:
    """Returns the different terms of a text."""
    every = set(map(bare, all_words(text)))
    return frozenset(map(_stem, every - _STOP_WORDS) if language == ENGLISH else every)


def words(text: str, language: str = ENGLISH) -> list[str]:
    """Returns the words of a text that count, folded but whole; `term` makes terms of them."""
    found = (bare(word) for word in all_words(text))
    return [word for word in found if word not in _STOP_WORDS] if language == ENGLISH else list(found)


def all_words(text: str) -> list[str]:
    """Returns all words of a text, folded, with their possessives; `bare` takes those off."""
    if "," in text or not text.isascii():
        text = _GROUPED.sub("", text)
    return _ASCII_TERM.findall(text.lower()) if text.isascii() else _TERM.findall(_folded(text))


def is_stop_word(word: str, language: str = ENGLISH) -> bool:
    """Tells whether a word says nothing about what a text is about."""
    return language == ENGLISH and word in _STOP_WORDS


def term(word: str, language: str = ENGLISH) -> str:
    """Returns the term of a word."""
    return _stem(word) if language == ENGLISH else word


def bare(word: str) -> str:
    """Returns a word without its possessive, and no longer than a term may be."""
    if "'" in word or "’" in word:
        first, rest = _APOSTROPHE.split(word, maxsplit=1)
        word = first if rest == "s" else first + rest
    return word[:LONGEST_TERM]


@lru_cache(maxsize=1 << 15)  # a language's common words, and a collection's
def _stem(word: str) -> str:
    return stems.stem(word) if word.isascii() and not word[0].isdigit() else word


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


# Words that a misspelt word may be.

SHORTEST, LONGEST = 4, 20  # letters: shorter words are one slip from too many, longer ones take too long


def one_slip_away(word: str) -> set[str]:
    """Returns the words one slip away from `word`; none for a word that is not tried.

    A slip leaves a letter out, adds one, takes another, or swaps two neighbours (Damerau, 1964): 54 * n + 25 words for
    one of n letters, of which the caller knows which there are. Only Latin letters without accents are tried.
    """
    if not (SHORTEST <= len(word) <= LONGEST and word.isascii() and word.isalpha()):
        return set()
    parts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    found = {before + letter + after for before, after in parts for letter in ascii_lowercase}
    found.update([before + letter + after[1:] for before, after in parts[:-1] for letter in ascii_lowercase])
    found.update([before + after[1:] for before, after in parts[:-1]])
    found.update([before + after[1] + after[0] + after[2:] for before, after in parts[:-2]])
    return found - {word}


# Whether a text is in another language.

LEAST_WORDS = 12
LEAST_SHARE, MOST_SHARE_OF_ANOTHER = 0.12, 0.2  # of the commonest words, in a text of a language and of another
SEEN_CHARACTERS = 600  # some hundred words tell as much as more
_WORD = re.compile(r"[^\W\d_]+")
_COMMON = {
    "en": "the of and to in is that for it as was with be by on are this from or an which not",
    "de": "der die und das den von zu mit sich des auf ist im dem nicht ein eine als auch werden",
    "fr": "de la le et les des en du une est dans que pour qui par sur au avec ne sont",
    "es": "de la que el en los del las por con una para es se no al lo como su",
    "it": "di che la il un per non una del con sono della le da si dei nel anche al",
    "pt": "de que os do da em um para uma com não no na se por mais as dos como",
    "nl": "de van het een en in is dat op te zijn met voor niet aan er om ook als",
    "pl": "w i na z do się że nie jest o od po przez dla za jak są oraz co",
    "sv": "och att det som en på är av för med till den har inte om ett",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}


def looks_foreign(text: str, language: str) -> bool:
    """Tells whether a text is in another language than English, where that is `language`; False where in doubt.

    By the commonest words of some languages, and by script. Tables and names have few words of any language.
    """
    if language != ENGLISH:
        return False
    return _is_foreign(text[:SEEN_CHARACTERS])


@lru_cache(maxsize=32)  # beginnings of texts that are asked about
def _is_foreign(text: str) -> bool:
    found = _WORD.findall(text.lower())
    if len(found) < LEAST_WORDS:
        return False
    own = sum(map(_WORDS[ENGLISH].__contains__, found)) / len(found)
    if own > MOST_SHARE_OF_ANOTHER:
        return False
    letters = "".join(found)
    if not letters.isascii() and sum(letter >= "\u0250" for letter in letters) * 2 > len(letters):
        return True
    best = max(sum(map(words.__contains__, found)) for words in _WORDS.values()) / len(found)
    return best >= LEAST_SHARE and best > 2 * own
