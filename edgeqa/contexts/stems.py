"""English words to their stems, by the Snowball project's English stemmer (Porter2; Porter, 2001). Pure.

The same stems as tantivy's, without tantivy: a text is asked with the packages of the core alone. In: a word in lower
case, of ASCII letters and apostrophes. Out: what the words of one family share, which need not be a word.
"""

from __future__ import annotations

import re

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
    """Returns the word's stem."""
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
    """Returns the word with each y that is a consonant as Y."""
    if "y" not in word:
        return word
    letters = list(word)
    for place, letter in enumerate(letters):
        if letter == "y" and (not place or letters[place - 1] in _VOWELS):
            letters[place] = "Y"
    return "".join(letters)


def _regions(word: str) -> tuple[int, int]:
    """Returns where the regions begin that are after the first and the second vowel with a consonant behind it."""
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
