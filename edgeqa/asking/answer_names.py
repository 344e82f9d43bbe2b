"""Names of answers: text in, the address of a context and the question out, and back. Pure.

The name of an answer is the question's and the context's together: bertqa{TAG}_ADDRESS_QUESTION, as in
`bertqa{8YG}_PMC302072.xml:{8YG}:10_Who performs viral transmission among adults`. The braces once told Redis which
shard a key belongs to; here they keep shard and number apart from names, which may hold any character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.collection.naming import TAG, Address
from edgeqa.errors import EXIT_USAGE, CollectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(rf"bertqa\{{({TAG})\}}_(.*)", re.DOTALL)


class AnswerNameInvalid(CollectionError, ValueError):
    """This is not the name of an answer."""

    exit_code = EXIT_USAGE

    def __init__(self, name: object) -> None:
        super().__init__(
            f"not the name of an answer: {name!r}",
            'it is bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION; `edgeqa ask --json` shows DOCUMENT:{TAG}:N as "address"',
        )


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
