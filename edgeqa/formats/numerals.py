"""Numbers as lists write them: 3, c, C, iii, III.

Pure. In: a number, and how it is to be written. Out: a string; where the way of writing ends, digits.
"""

from __future__ import annotations

_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_MOST_ROMAN = 3999


def numeral(number: int, style: str) -> str:
    """Returns the number as it is written.

    Args:
        number: which.
        style: "a", "A", "i", "I"; any other means digits.
    """
    if number > 0 and style in ("a", "A"):
        written = _letters(number)
    elif 0 < number <= _MOST_ROMAN and style in ("i", "I"):
        written = _roman(number)
    else:
        return str(number)
    return written.upper() if style.isupper() else written


def _letters(number: int) -> str:
    written = ""
    while number:
        number, letter = divmod(number - 1, 26)
        written = chr(ord("a") + letter) + written
    return written


def _roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        written += letters * count
    return written
