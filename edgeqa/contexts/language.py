"""Whether a text is in another language than the model's: text in, a guess out that is seldom wrong. Pure.

By the commonest words of some languages, and by script. Tables and names have few words of any language: they are not
called foreign.
"""

from __future__ import annotations

import re
from functools import lru_cache

from edgeqa.contexts.terms import ENGLISH

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
    """Tells whether a text is in another language than English, where that is `language`; False where in doubt."""
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
