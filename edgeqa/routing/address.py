"""Addresses of contexts, and names of answers: text in, parts out, and back. Pure.

An address is DOCUMENT:{TAG}:N, as in `manuals/pump.md:{8YG}:10`. The name of an answer is the question's and the
context's together: bertqa{TAG}_ADDRESS_QUESTION, as in
`bertqa{8YG}_PMC302072.xml:{8YG}:10_Who performs viral transmission among adults`. The braces once told Redis which
shard a key belongs to; here they keep shard and number apart from names, which may hold any character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.routing.errors import AnswerNameInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG = r"[A-Za-z0-9]{1,8}"
_NAME = re.compile(rf"bertqa\{{({_TAG})\}}_(.*)", re.DOTALL)
_ADDRESS = re.compile(rf"(.*):\{{({_TAG})\}}:([1-9][0-9]{{0,17}})", re.DOTALL)


class Address(NamedTuple):
    """Where a context is."""

    document: str
    tag: str
    """Of the shard that the document was added in."""
    number: int
    """Which of the document's contexts it is, counted from 1."""

    def __str__(self) -> str:
        return f"{self.document}:{{{self.tag}}}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """Returns the address that `text` is, or None."""
        found = _ADDRESS.fullmatch(text)
        return cls(found[1], found[2], int(found[3])) if found else None


class AnswerName(NamedTuple):
    """What an answer is asked for by."""

    address: Address
    question: str

    def __str__(self) -> str:
        return f"bertqa{{{self.address.tag}}}_{self.address}_{self.question}"


def meanings(name: str) -> list[AnswerName]:
    """Returns what `name` may be the name of; the longest document name first.

    It is more than one only where a document's name, or the question, has what looks like the end of an address in it,
    with the same tag: which of them is meant can then be seen by which document there is.

    Raises:
        AnswerNameInvalid: if it is not of the form.
    """
    found = list(_meanings(name))
    if not found:
        raise AnswerNameInvalid(name)
    return found[::-1]


def _meanings(name: str) -> Iterator[AnswerName]:
    matched = _NAME.fullmatch(name)
    if matched is None:
        return
    tag, rest = matched.groups()
    for end in re.finditer(rf":\{{{tag}\}}:([1-9][0-9]{{0,17}})_", rest):
        yield AnswerName(Address(rest[: end.start()], tag, int(end[1])), rest[end.end() :])
