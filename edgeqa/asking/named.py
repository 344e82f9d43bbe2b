"""Answers by their names: in goes one string of a context's address and a question, out comes the answer.

The name of an answer is the question's and the context's together: bertqa{TAG}_ADDRESS_QUESTION, as in
`bertqa{8YG}_PMC302072.xml:{8YG}:10_Who performs viral transmission among adults`. The braces once told Redis which
shard a key belongs to; here they keep shard and number apart from names, which may hold any character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.answer import as_remembered
from edgeqa.asking.collection_scope import CollectionScope
from edgeqa.asking.documents import on_one_line
from edgeqa.asking.pipe import decide
from edgeqa.asking.question import Asking, NotRemembered
from edgeqa.asking.records import Options
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.errors import ContextGone
from edgeqa.collection.naming import TAG, Address
from edgeqa.errors import EXIT_USAGE, CollectionError
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from edgeqa.answer import Answer
    from edgeqa.asking.equipment import Equipment
    from edgeqa.cache import Key
    from edgeqa.collection.collection import Collection, StoredContext

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
    """The name of an answer, taken apart."""

    address: Address
    question: str

    def __str__(self) -> str:
        return f"bertqa{{{self.address.tag}}}_{self.address}_{self.question}"


def meanings(name: str) -> list[AnswerName]:
    """Returns the answers that `name` may be the name of; the one with the longest document name comes first.

    There is more than one only where a document's name, or the question, contains the end of an address with the same
    tag. The documents of the collection then decide which of them is meant.

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


def get(equipment: Equipment, name: str, *, force: bool, alias: tuple[Hashable, ...]) -> Answer:
    """Returns the answer to a question on one context, as `EdgeQA.get` does.

    Args:
        equipment: of the runtime.
        name: of the answer.
        force: whether to give the best span in any case.
        alias: what the answer is put at hand under, after the collection's stamp.

    Raises:
        AnswerNameInvalid: if the name is not of the form.
        ContextGone: if the collection has no such context.
    """
    return _answer_of(equipment, name, force, alias, may_read=True)[0]


def remembered(equipment: Equipment, name: str, *, force: bool, alias: tuple[Hashable, ...]) -> Answer | None:
    """Returns the answer of `get` if it is remembered, and None if it must be read; raises as `get` does."""
    try:
        return _answer_of(equipment, name, force, alias, may_read=False)[0]
    except NotRemembered:
        return None


def forget(equipment: Equipment, name: str, *, force: bool, alias: tuple[Hashable, ...]) -> bool:
    """Deletes what `get` would find remembered; tells whether it was there; raises as `get` does."""
    try:
        _, key = _answer_of(equipment, name, force, alias, may_read=False)
    except NotRemembered:
        return False
    return key is not None and equipment.cache.forget(key)


def _answer_of(
    equipment: Equipment,
    name: str,
    force: bool,  # noqa: FBT001 - as `get` was given it
    alias: tuple[Hashable, ...],
    *,
    may_read: bool,
) -> tuple[Answer, Key | None]:
    """Returns the answer of a name, and what it is remembered under.

    Raises:
        NotRemembered: if its context would have to be read, and may not.
    """
    watch = Stopwatch()
    # This comes before the look at the collection, so that the result is of this moment or later.
    digest, stamp = equipment.scope.now()
    meant, context = _find(equipment.scope.collection(), name)
    watch.over("context")
    asked = on_one_line(meant.question)
    scope, options = CollectionScope(equipment.scope, digest), Options(force=bool(force))
    scope.is_given = True
    asking = Asking(equipment, scope, asked, options, watch, may_read=may_read)
    passage = scope.passage_of(context)
    if asking.is_careful(passage):  # the fast reader is not needed
        asking.look_again(passage)
    else:
        asking.offer(passage, share=1.0)
    outcome = asking.outcome()
    scope.locate(outcome.passages())
    answer = decide(equipment, asked, outcome, options, watch, cached=not asking.read_anew)
    key, stored = asking.part or (None, None)
    if stamp is not None and key is not None:
        equipment.cache.bind((stamp, *alias), key, as_remembered(answer), of=stored)
    return answer, key


def _find(collection: Collection, name: str) -> tuple[AnswerName, StoredContext]:
    """Returns the parts of an answer's name, and the context that it names."""
    possible = meanings(name)
    with Catalogue.read(collection.directory) as catalogue:
        for meant in possible:
            for row in catalogue.documents_named(meant.address.document):
                if row.tag == meant.address.tag and meant.address.number <= row.contexts:
                    return meant, collection.context(row.first + meant.address.number - 1)
    raise ContextGone(possible[0].address)
