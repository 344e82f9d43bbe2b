"""Text to the terms that passages are looked for by, in a text as in a collection. Pure.

The same for passages and questions: letters are folded (case, accents), possessives and grouping of digits dropped
("1,250" is "1250", "12m" is "12", "m"). In the model's language, stop words are left out and words cut to their stems;
where that is unknown, words stay as they are. Of scripts that are written without spaces, each character is a term.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

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
