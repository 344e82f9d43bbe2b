"""Short tags of shards, like 8YG: a number in, the tag with that number out. Pure.

A catalogue counts its shards, so that no tag is given twice. Neighbours look nothing alike, so that a tag that was
misread or mistyped is most likely none.
"""

from __future__ import annotations

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing that looks like something else
_SHORTEST = 3
_STEP = 20_021  # odd, so that steps reach every tag of a length once


def tag(number: int, salt: int = 0) -> str:
    """Returns the tag with this number, counted from 0: of three characters, as long as there are any left.

    Collections with different salts count in another order.
    """
    length = _SHORTEST
    while number >= len(_LETTERS) ** length:
        number -= len(_LETTERS) ** length
        length += 1
    rest = (number + salt) * _STEP % len(_LETTERS) ** length
    characters = ""
    for _ in range(length):
        rest, digit = divmod(rest, len(_LETTERS))
        characters += _LETTERS[digit]
    return characters
