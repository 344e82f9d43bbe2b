"""Raised and lowered text in a line: `10^6` for ten to the sixth, `H2O`, `21st`, and a note's number as `[3]`.

Pure. In: what stands before, and the raised or lowered text. Out: how to write it, so that no digit of it joins a
number that it does not belong to.
"""

from __future__ import annotations

import re

_ORDINAL = re.compile(r"(?:st|nd|rd|th|er?|[èe]re?|[ei]?[èe]?me|os?|as?|te[rn]?|[ºª])\.?", re.IGNORECASE)
_SIGNS = {"TM": "™", "(TM)": "™", "SM": "℠", "(R)": "®", "(C)": "©"}
_MARKS = re.compile(r"[*†‡§¶#™®©℠°º'′″]+|[\[(][^\[\]()]{0,8}[\])]")  # noqa: RUF001 - a prime is one
_ONE = re.compile(r"[+\-−–±]?[\w.,∞′∗*°]+[+\-−–]?|[+\-−–]")  # noqa: RUF001 - minus signs as they are printed
_AFTER = re.compile(r"[\w)\]}|°²³%]")


def superscript(before: str, text: str, *, is_note: bool = False) -> str:
    """Returns how raised text is written.

    Args:
        before: the character that it directly follows, "" where there is none.
        text: what is raised.
        is_note: whether it leads to a note.
    """
    text = " ".join(text.split())
    if not text or not before or not _AFTER.match(before):
        return text
    if is_note:
        return text if _MARKS.fullmatch(text) else f"[{text}]"
    if before.isdigit() and _ORDINAL.fullmatch(text):
        return text
    if text.upper() in _SIGNS:
        return _SIGNS[text.upper()]
    if _MARKS.fullmatch(text):
        return text
    return f"^{text}" if _ONE.fullmatch(text) else f"^({text})"


def subscript(before: str, text: str) -> str:
    """Returns how lowered text is written.

    Args:
        before: the character that it directly follows, "" where there is none.
        text: what is lowered.
    """
    text = " ".join(text.split())
    if not text or not before or not before.isalnum():
        return text
    if _ONE.fullmatch(text):
        return f"_{text}" if before.isdigit() == text[0].isdigit() else text
    return f"_({text})"
