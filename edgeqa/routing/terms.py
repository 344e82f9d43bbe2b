"""Text to the terms that a route index holds and looks for. Pure.

The same for contexts and questions: letters are folded (case, accents), possessives and grouping of digits dropped
("1,250" is "1250", "12m" is "12", "m"), stop words left out, words cut to their stems (Snowball's English stemmer,
which tantivy has). Of scripts that are written without spaces, each character is a term.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import tantivy

LONGEST_TERM = 40  # characters; what is longer is no word, and is found by its beginning

_GROUPED = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TERM = re.compile(
    rf"\d+(?:\.\d+)*|[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W\d_])+(?:['’](?:(?![{_UNSPACED}])[^\W\d_])+)?"
)
_APOSTROPHE = re.compile(r"['’]")
# Words that are in most texts, and those that only make a question of a sentence.
_STOP_WORDS = frozenset(
    """
    a an and are as at be been but by can did do does for from had has have how if in into is it its many much no not of
    on or such that the their then there these they this to was were what when where which who whom whose why will with
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)

_stemmer = (
    tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).filter(tantivy.Filter.stemmer("english")).build().analyze
)


def terms(text: str) -> list[str]:
    """Returns the terms of a text, in order."""
    return [stem(word) for word in words(text)]


def words(text: str) -> list[str]:
    """Returns the words of a text that count, folded but whole; `stem` makes terms of them."""
    found = (_bare(word) for word in _TERM.findall(_folded(_GROUPED.sub("", text))))
    return [word for word in found if word not in _STOP_WORDS]


@lru_cache(maxsize=1 << 15)  # a language's common words, and a collection's
def stem(word: str) -> str:
    """Returns the term of a word."""
    if not word.isascii() or word[0].isdigit():
        return word
    stemmed: str = _stemmer(word)[0]
    return stemmed


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


def _bare(word: str) -> str:
    if "'" in word or "’" in word:
        first, rest = _APOSTROPHE.split(word, maxsplit=1)
        word = first if rest == "s" else first + rest
    return word[:LONGEST_TERM]
