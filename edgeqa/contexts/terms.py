"""Terms: the units by which passages are searched, in a text as in a collection. Pure.

In: text. Out: its terms, made in the same way for passages and questions. Letters are folded (case, accents);
possessives and the grouping of digits are dropped ("1,250" becomes "1250", "12m" becomes "12" and "m"). In the model's
language, stop words are left out and words are cut to their stems; if the language is unknown, words stay as they are.
In scripts that are written without spaces, each character is a term. The module also knows which words are one slip
apart, and whether a text seems to be in another language.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from string import ascii_lowercase

MAX_TERM_CHARACTERS = 40  # a longer run of letters is no word, and is found by its beginning
ENGLISH = "en"

_GROUPED = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")
# These scripts are written without spaces between words: Thai to Myanmar, Khmer, kana, ideographs.
UNSPACED_RANGES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)
_UNSPACED = "".join(f"{chr(low)}-{chr(high)}" for low, high in UNSPACED_RANGES)
_TERM = re.compile(
    rf"\d+(?:\.\d+)*|[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W\d_])+(?:['’](?:(?![{_UNSPACED}])[^\W\d_])+)?"
)
_ASCII_TERM = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:\.\d+)*")
_APOSTROPHE = re.compile(r"['’]")
# Stop words are in most texts, or only make a question of a sentence.
_STOP_WORDS = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have how if in into is it its many much no
    not of on or such that the their then there these they this to was were what when where which who whom whose why
    will with
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)


def terms(text: str, language: str = ENGLISH) -> list[str]:
    """Returns the terms of a text, in order."""
    found = words(text, language)
    return list(map(_stem, found)) if language == ENGLISH else found


@lru_cache(maxsize=32)  # for the passages that the current question is read against
def distinct(text: str, language: str = ENGLISH) -> frozenset[str]:
    """Returns the different terms of a text."""
    every = set(map(bare, all_words(text)))
    return frozenset(map(_stem, every - _STOP_WORDS) if language == ENGLISH else every)


def words(text: str, language: str = ENGLISH) -> list[str]:
    """Returns the words of a text without stop words, folded but whole; `term` makes terms of them."""
    found = all_words(text)
    stop_words = _STOP_WORDS if language == ENGLISH else frozenset[str]()
    if text.isascii() and "'" not in text:  # most questions and spans are so, and have no possessives
        return [word[:MAX_TERM_CHARACTERS] for word in found if word not in stop_words]
    return [word for word in map(bare, found) if word not in stop_words]


def all_words(text: str) -> list[str]:
    """Returns all words of a text, folded, with their possessives; `bare` drops the possessive."""
    if "," in text or not text.isascii():
        text = _GROUPED.sub("", text)
    return _ASCII_TERM.findall(text.lower()) if text.isascii() else _TERM.findall(_folded(text))


def is_stop_word(word: str, language: str = ENGLISH) -> bool:
    """Tells whether a word says nothing about the subject of a text."""
    return language == ENGLISH and word in _STOP_WORDS


def term(word: str, language: str = ENGLISH) -> str:
    """Returns the term of a word."""
    return _stem(word) if language == ENGLISH else word


def bare(word: str) -> str:
    """Returns a word without its possessive, and no longer than a term may be."""
    if "'" in word or "’" in word:
        first, rest = _APOSTROPHE.split(word, maxsplit=1)
        word = first if rest == "s" else first + rest
    return word[:MAX_TERM_CHARACTERS]


@lru_cache(maxsize=1 << 15)  # for the common words of a language and of a collection
def _stem(word: str) -> str:
    return stem(word) if word.isascii() and not word[0].isdigit() else word


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


# The next functions find words that a misspelt word may stand for.

MIN_LETTERS, MAX_LETTERS = 4, 20  # a shorter word is one slip from too many others, a longer one takes too long
FIRST_KEPT = 5  # in a word of at most so many letters, the first is taken for right: "sold" does not stand for "cold"


def is_one_slip_away(word: str, other: str) -> bool:
    """Tells whether `other` is among `one_slip_away(word)`, for a word that is tried."""
    if word == other or not -1 <= len(other) - len(word) <= 1 or not (other.isascii() and other.isalpha()):
        return False
    same = next((n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    left, its = word[same:], other[same:]
    if len(word) < len(other):
        return left == its[1:]
    if len(word) > len(other):
        return left[1:] == its
    takes_another = left[1:] == its[1:] and (same > 0 or len(word) > FIRST_KEPT)
    return takes_another or left[1:2] + left[:1] + left[2:] == its


def is_tried(word: str) -> bool:
    """Tells whether the search looks for slips of a word."""
    return MIN_LETTERS <= len(word) <= MAX_LETTERS and word.isascii() and word.isalpha()


def swapped_stop_word(word: str, language: str = ENGLISH) -> str | None:
    """Returns the question word of which `word` has two neighbouring letters swapped; None if there is none.

    The caller asks only for a word that no passage has, since "form" is a word and also "from" with a slip.
    """
    if language != ENGLISH or not is_tried(word):
        return None
    swapped = (word[:place] + word[place + 1] + word[place] + word[place + 2 :] for place in range(len(word) - 1))
    return next((other for other in swapped if other in _STOP_WORDS), None)


def one_slip_away(word: str) -> set[str]:
    """Returns the words one slip away from `word`; none for a word that is not tried.

    A slip leaves a letter out, adds one, takes another, or swaps two neighbours (Damerau, 1964). That makes 54 * n + 25
    words for a word of n letters; the caller keeps those that exist. Only Latin letters without accents are tried, and
    the first letter of a short word is taken for right.
    """
    if not is_tried(word):
        return set()
    parts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    found = {before + letter + after for before, after in parts for letter in ascii_lowercase}
    changed = parts[len(word) <= FIRST_KEPT : -1]
    found.update([before + letter + after[1:] for before, after in changed for letter in ascii_lowercase])
    found.update([before + after[1:] for before, after in parts[:-1]])
    found.update([before + after[1] + after[0] + after[2:] for before, after in parts[:-2]])
    return found - {word}


# The next functions tell whether a text is in another language.

MIN_WORDS = 12
MIN_SHARE, MAX_SHARE_OF_ANOTHER = 0.12, 0.2  # share of common words in a text of a language, and in one of another
SEEN_CHARACTERS = 600  # about a hundred words are enough to tell
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
    """Tells whether a text is in another language, if `language` is English; False if in doubt.

    The commonest words of some languages decide, and the script. Tables and names have few words of any language, and
    leave it in doubt.
    """
    if language != ENGLISH:
        return False
    return _is_foreign(text[:SEEN_CHARACTERS])


@lru_cache(maxsize=32)  # for the beginnings of the texts that are asked
def _is_foreign(text: str) -> bool:
    found = _WORD.findall(text.lower())
    if len(found) < MIN_WORDS:
        return False
    own = sum(map(_WORDS[ENGLISH].__contains__, found)) / len(found)
    if own > MAX_SHARE_OF_ANOTHER:
        return False
    letters = "".join(found)
    if not letters.isascii() and sum(letter >= "\u0250" for letter in letters) * 2 > len(letters):
        return True
    best = max(sum(map(words.__contains__, found)) for words in _WORDS.values()) / len(found)
    return best >= MIN_SHARE and best > 2 * own


# The rest makes stems of English words, by the English stemmer of the Snowball project (Porter2; Porter, 2001). The
# stems are those of tantivy. A text is asked with the packages of the core alone, so that tantivy is not used here.

_VOWELS = "aeiouy"
_EXCEPTIONS = {
    "skis": "ski", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "idly": "idl", "gently": "gentl",
    "ugly": "ugli", "early": "earli", "only": "onli", "singly": "singl",
}  # fmt: skip
_INVARIANT = frozenset("sky news howe atlas cosmos bias andes".split())  # noqa: SIM905 - a list of words
_KEPT_AFTER_1A = frozenset("inning outing canning herring earring evening proceed exceed succeed".split())  # noqa: SIM905
_DOUBLES = ("bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt")
_LI_BEFORE = "cdeghkmnrt"
_STEP_2 = (
    ("ization", "ize"), ("ational", "ate"), ("fulness", "ful"), ("ousness", "ous"), ("iveness", "ive"),
    ("tional", "tion"), ("biliti", "ble"), ("lessli", "less"), ("entli", "ent"), ("ation", "ate"), ("alism", "al"),
    ("aliti", "al"), ("ousli", "ous"), ("iviti", "ive"), ("fulli", "ful"), ("enci", "ence"), ("anci", "ance"),
    ("abli", "able"), ("izer", "ize"), ("ator", "ate"), ("alli", "al"), ("ogist", "og"),
    ("bli", "ble"), ("ogi", "og"), ("li", ""),
)  # fmt: skip
_STEP_3 = (
    ("ational", "ate"), ("tional", "tion"), ("alize", "al"), ("icate", "ic"), ("iciti", "ic"), ("ative", ""),
    ("ical", "ic"), ("ness", ""), ("ful", ""),
)  # fmt: skip
_STEP_4 = (
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ion",
    "al", "er", "ic",
)  # fmt: skip
_REGION = re.compile(r"[aeiouy][^aeiouy]")


def stem(word: str) -> str:
    """Returns the stem of a word, which all words of its family share and which need not be a word itself.

    Args:
        word: in lower case, of ASCII letters and apostrophes.
    """
    if len(word) <= 2:
        return word
    if word in _EXCEPTIONS:
        return _EXCEPTIONS[word]
    if word in _INVARIANT:
        return word
    word = _marked(word.lstrip("'"))
    first, second = _regions(word)
    word = _step_1a(_without_possessive(word))
    if word in _KEPT_AFTER_1A:
        return word
    word = _step_1b(word, first)
    if len(word) > 2 and word[-1] in "yY" and word[-2] not in _VOWELS:
        word = word[:-1] + "i"
    word = _step_2(word, first)
    word = _step_3(word, first, second)
    word = _step_4(word, second)
    return _step_5(word, first, second).replace("Y", "y")


def _marked(word: str) -> str:
    """Returns the word with a Y for each y that is a consonant."""
    if "y" not in word:
        return word
    letters = list(word)
    for place, letter in enumerate(letters):
        if letter == "y" and (not place or letters[place - 1] in _VOWELS):
            letters[place] = "Y"
    return "".join(letters)


def _regions(word: str) -> tuple[int, int]:
    """Returns the beginnings of the stemmer's regions: each after a vowel and a consonant, R2 within R1."""
    for beginning in ("gener", "commun", "arsen", "past", "univers", "later", "emerg", "organ", "inter"):
        if word.startswith(beginning):
            first = len(beginning)
            break
    else:
        found = _REGION.search(word)
        first = found.end() if found else len(word)
    found = _REGION.search(word, first)
    return first, found.end() if found else len(word)


def _without_possessive(word: str) -> str:
    for suffix in ("'s'", "'s", "'"):
        if word.endswith(suffix):
            return word[: -len(suffix)]
    return word


def _step_1a(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith(("us", "ss")) or not word.endswith("s"):
        return word
    return word[:-1] if any(letter in _VOWELS for letter in word[:-2]) else word


def _step_1b(word: str, first: int) -> str:
    for suffix in ("eedly", "eed"):
        if word.endswith(suffix):
            return word[: -len(suffix)] + "ee" if len(word) - len(suffix) >= first else word
    for suffix in ("ingly", "edly", "ing", "ed"):
        if word.endswith(suffix):
            rest = word[: -len(suffix)]
            if not any(letter in _VOWELS for letter in rest):
                return word
            if rest.endswith(("at", "bl", "iz")):
                return rest + "e"
            if rest.endswith(_DOUBLES):
                return rest if len(rest) == 3 and rest[0] in "aeo" else rest[:-1]
            return rest + "e" if len(rest) <= first and _ends_short(rest) else rest
    return word


def _ends_short(word: str) -> bool:
    """Tells whether the word ends in a short syllable."""
    if len(word) == 2:
        return word[0] in _VOWELS and word[1] not in _VOWELS
    return len(word) > 2 and word[-1] not in _VOWELS + "wxY" and word[-2] in _VOWELS and word[-3] not in _VOWELS


def _step_2(word: str, first: int) -> str:
    for suffix, put in _STEP_2:
        if word.endswith(suffix):
            begin = len(word) - len(suffix)
            before = word[begin - 1 : begin]
            if begin < first or (suffix == "ogi" and before != "l"):
                return word
            if suffix == "li" and (not before or before not in _LI_BEFORE):
                return word
            return word[:begin] + put
    return word


def _step_3(word: str, first: int, second: int) -> str:
    for suffix, put in _STEP_3:
        if word.endswith(suffix):
            begin = len(word) - len(suffix)
            return word if begin < (second if suffix == "ative" else first) else word[:begin] + put
    return word


def _step_4(word: str, second: int) -> str:
    for suffix in _STEP_4:
        if word.endswith(suffix):
            begin = len(word) - len(suffix)
            if begin < second or (suffix == "ion" and word[begin - 1 : begin] not in ("s", "t")):
                return word
            return word[:begin]
    return word


def _step_5(word: str, first: int, second: int) -> str:
    if word.endswith("e"):
        begin = len(word) - 1
        return word[:-1] if begin >= second or (begin >= first and not _ends_short(word[:-1])) else word
    return word[:-1] if word.endswith("ll") and len(word) - 1 >= second else word
