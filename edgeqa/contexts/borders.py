"""Borders: where paragraphs, sentences, lines and words end, and which signs belong to an answer's words. Pure.

In: text. Out: places in it. Punctuation alone decides where paragraphs and sentences end. A wrong guess ("Dr. | Smith")
costs only a less pretty border, because contexts overlap. An answer's span may grow, and never shrinks: it takes in the
rest of a character as people see it, and the signs that belong to its words. It does not grow over white space, except
to the other end of code in backticks.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n\s*|\r\n[^\S\n]*\r\n\s*")
# A full stop after a single letter or digit ends no sentence: it belongs to initials ("R. N.") or numbers of a list.
_SENTENCE_END = re.compile(r"(?:(?<!\b\w)\.|[!?…])['\"”’»)\]]*\s+|[。！？]['\"”’»)\]]*")
# A full stop after one of these ends no sentence, even if a capital follows.
_ABBREVIATIONS = frozenset(
    """
    al approx apr aug bros ca capt cf co col corp dec dr ed eds etc feb fig figs ft gen gov hon inc jan jr lt ltd messrs
    mr mrs ms mt no nos nov oct op pp prof pt rep rev sen sept sgt sp sr st vol vols vs
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)
_LAST_WORD = re.compile(r"\w+\Z")
_OPENING = "\"'“\u2018([«"
_LINE_END = re.compile(r"\n\s*")


def paragraph_ends(text: str) -> Iterator[int]:
    """Yields the places where a paragraph begins after another."""
    return (m.end() for m in _PARAGRAPH_END.finditer(text))


def sentence_ends(text: str) -> Iterator[int]:
    """Yields the places where a sentence begins after another in the same paragraph."""
    return (m.end() for m in _SENTENCE_END.finditer(text))


def sure_sentence_ends(text: str) -> Iterator[int]:
    """Yields the sentence ends that no answer crosses: none is before a small letter or after an abbreviation.

    One answer in 1,000 of SQuAD 1.1 crosses such an end.
    """
    for found in _SENTENCE_END.finditer(text):
        following = text[found.end() : found.end() + 4].lstrip(_OPENING)
        if following[:1].islower() or not following:
            continue
        if text[found.start()] == ".":
            last = _LAST_WORD.search(text, max(0, found.start() - 12), found.start())
            if last is not None and last[0].lower() in _ABBREVIATIONS:
                continue
        yield found.end()


def line_ends(text: str) -> Iterator[int]:
    """Yields the places where a line begins after another. A line may end anywhere in a sentence."""
    return (m.end() for m in _LINE_END.finditer(text))


# The next functions find characters as people see them. The tokenizer drops combining marks, joiners and variation
# selectors, so that a token's last offset may stand before them. These are the rules of Unicode (UAX 29) that matter
# here.

_JOINER = "\u200d"


def widen(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns `start` and `end`, moved outwards until `text[start:end]` cuts no character that people see as one."""
    while 0 < start < len(text) and _continues(text, start):
        start -= 1
    while end < len(text) and _continues(text, end):
        end += 1
    return start, end


def _continues(text: str, place: int) -> bool:
    """Tells whether the code point at `place` belongs to the same character as the one before it."""
    character = text[place]
    if character.isascii():
        return False
    return (
        unicodedata.category(character)[0] == "M"
        or character in (_JOINER, "\u200c")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags, as in the flags of regions
        or text[place - 1] == _JOINER
    )


# The next functions add signs. The reader chooses words, which are letters and digits. In "-38.8 °C", "<1 %",
# "/etc/apt/sources.list" or "C++" it may leave out the signs around the letters, and the meaning is lost with them.

_OPENING, _CLOSING = "([{«“\u2018\"'`|,;:=", ")]}»”’\"'`|,;:.!?"
_CURRENCIES = "$€£¥₹₽₩"
_BEFORE_DIGITS = frozenset("-\u2212+<>=~≤≥≈±.#№§@^" + _CURRENCIES)
_BEFORE_LETTERS = frozenset("-+~$#@%.&\\/")
_AFTER = frozenset("%‰°+#\u2033\u2032" + _CURRENCIES)
# A path, an address or a name in code: a part of it does not mean the same as the whole.
_WHOLE = re.compile(
    r"(?<![\w/.~)\]}%°<])(?:~|\.{1,2})?/[^\s/<>]+(?:/[^\s/<>]*)*"
    r"|\b[A-Za-z]:\\\S+"
    r"|\b[a-z][a-z+.-]*://\S+"
    r"|[^\s@<>(\[]+@[^\s@]+\.\w+"
    r"|(?<![\w-])[a-z]+(?:-[a-z]+)+(?![\w-])"  # not of "41-yard" and "Spanish-language", whose parts are answers
    r"|\b[A-Z][A-Z0-9_]+=[^\s,;]+"
    r"|\b\d{4}-\d\d-\d\d\b"
    r"|\b[A-Za-z][\w-]{2,}(?:\.[a-z]\w*)+"
    r"|__\w+__|\w*[^\W_]_+[^\W_]\w*"
)
_CODE = re.compile(r"`([^`\n]{1,80})`")
_MAX_WORD_CHARACTERS = 256  # on each side: nobody reads a longer run without a blank as a word


def with_signs(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns `start` and `end`, moved outwards over the signs that belong to the span's first and last word."""
    if _stands_free(text, start, end):  # most spans do; a closer look takes longer than the rest of decoding
        return start, end
    low, high = _word_begin(text, start), _word_end(text, end)
    start, end = _whole(text, start, end, low, high)
    start = _bracket_begin(text, _signs_begin(text, start, low), end)
    while end < high and text[end] in _AFTER and _is_word(text[end - 1], _AFTER):
        if end + 1 < high and text[end + 1].isalnum() and text[end] not in "°%":
            break  # the sign stands between two words, as in "1+2" and "a#b"
        end += 1
        if text[end - 1] == "°" and end < high and text[end] in "CFK" and not text[end + 1 : end + 2].isalnum():
            end += 1
    return start, _bracket_end(text, start, end, high)


def _stands_free(text: str, start: int, end: int) -> bool:
    """Tells, after a quick look, that nothing around the span can belong to it."""
    before, after = text[start - 1 : start], text[end : end + 2]
    return (
        (not before or before.isspace())
        and (not after or after[0].isspace() or (after[0] in ".,;" and not after[1:].strip()))
        and "`" not in text[max(0, start - 80) : end + 80]
        and "(" not in text[start:end]
    )


def _word_begin(text: str, place: int) -> int:
    least = max(0, place - _MAX_WORD_CHARACTERS)
    while place > least and not text[place - 1].isspace():
        place -= 1
    return place


def _word_end(text: str, place: int) -> int:
    most = min(len(text), place + _MAX_WORD_CHARACTERS)
    while place < most and not text[place].isspace():
        place += 1
    return place


def _whole(text: str, start: int, end: int, low: int, high: int) -> tuple[int, int]:
    """Returns the span, widened so that it cuts no path, address, name or code."""
    first, last = start, end
    for found in _WHOLE.finditer(text, low, _word_end(text, start)):
        begins = found.start() + _leading(found[0])
        if begins < start < _trimmed(text, found):
            first = min(first, begins)
    for found in _WHOLE.finditer(text, _word_begin(text, end), high):
        if found.start() < end < (after := _trimmed(text, found)):
            last = max(last, after)
    for found in _CODE.finditer(text, max(0, start - 80), min(len(text), end + 80)):
        if found.start(1) <= first and last <= found.end(1):
            return found.start(1), found.end(1)
    return first, last


def _leading(word: str) -> int:
    """Returns how many opening brackets and quotes a word begins with."""
    return len(word) - len(word.lstrip(_OPENING + "<"))


def _trimmed(text: str, found: re.Match[str]) -> int:
    """Returns the end of a match, without the punctuation of the sentence around it."""
    end = found.end()
    while end > found.start() + 1 and text[end - 1] in _CLOSING + ">":
        end -= 1
    return end


def _signs_begin(text: str, start: int, low: int) -> int:
    """Returns where the signs directly before `start` begin that belong to the word there."""
    signs = _BEFORE_DIGITS if text[start : start + 1].isdigit() else _BEFORE_LETTERS
    begin = start
    while begin > low and text[begin - 1] in signs:
        begin -= 1
    if begin == start:
        return start
    if begin == low or text[begin - 1] in _OPENING or (text[begin - 1] in "/" and text[begin] in _CURRENCIES):
        return begin
    # Within a word, as in "10-20" and "and/or", only a currency belongs to the number behind it.
    while begin < start and text[begin] not in _CURRENCIES:
        begin += 1
    return begin


def _bracket_begin(text: str, start: int, end: int) -> int:
    """Returns `start`, moved before a bracket that the span closes, as in "(n + 1) * 4"."""
    opening = text[start - 1 : start]
    closing = {"(": ")", "[": "]"}.get(opening)
    if closing is None or text.count(closing, start, end) <= text.count(opening, start, end):
        return start
    return start - 1


def _bracket_end(text: str, start: int, end: int, high: int) -> int:
    """Returns `end`, moved behind the bracket that closes one in the span's last word, as in "printf()"."""
    begin = max(start, _word_begin(text, end))
    while end < high and text[end] in ")]" and not text[begin : end + 1].startswith(tuple("([")):
        opening = "(" if text[end] == ")" else "["
        if text.count(opening, begin, end) <= text.count(text[end], begin, end):
            break
        end += 1
    return end


def _is_word(character: str, signs: frozenset[str]) -> bool:
    return character.isalnum() or character in signs
