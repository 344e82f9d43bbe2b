"""Single contexts of a collection: those closest to a question, and the one that an answer's name tells."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgeqa.answer import ClosePassage, as_remembered
from edgeqa.asking.answer_names import AnswerName, meanings
from edgeqa.asking.collected import Collected
from edgeqa.asking.options import Options
from edgeqa.asking.pipe import decide
from edgeqa.asking.question import Asking, NotRemembered
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.errors import ContextGone
from edgeqa.contexts.normal import one_line
from edgeqa.contexts.pieces import extent
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Hashable

    from edgeqa.answer import Answer
    from edgeqa.collection.collection import Collection, StoredContext
    from edgeqa.collection.naming import Within
    from edgeqa.parts import Parts


def closest(parts: Parts, asked: str, most: int, within: Within | None = None) -> list[ClosePassage]:
    """Returns the passages closest to the question, best first, as `EdgeQA.closest` does."""
    ranges = None if within is None else parts.scope.ranges_within(within)
    collection, index = parts.scope.routed()
    found = []
    hits = parts.scope.search(index, asked, most, ranges).best
    paths = parts.scope.paths(hit.number for hit in hits)
    for hit in hits:
        with contextlib.suppress(ContextGone):  # removed since the index was opened
            context = collection.context(hit.number)
            start, end = extent(context.text, context.start, context.pieces)
            found.append(
                ClosePassage(
                    text=context.text,
                    heading=context.heading,
                    document=context.document,
                    address=context.address,
                    source=context.document,
                    source_start=start,
                    source_end=end,
                    score=hit.score,
                    path=paths[hit.number],
                )
            )
    return found


def get(parts: Parts, name: str, *, force: bool, alias: tuple[Hashable, ...]) -> Answer:
    """Returns the answer to a question on one context, as `EdgeQA.get` does.

    Args:
        parts: of the runtime.
        name: of the answer.
        force: whether to give the best span in any case.
        alias: what the answer is put at hand under, after the collection's stamp.

    Raises:
        AnswerNameInvalid: if the name is not of the form.
        ContextGone: if the collection has no such context.
    """
    return _named(parts, name, force, alias, may_read=True)


def remembered(parts: Parts, name: str, *, force: bool, alias: tuple[Hashable, ...]) -> Answer | None:
    """Returns what `get` would, and None if the context would have to be read for it; raises as `get` does."""
    try:
        return _named(parts, name, force, alias, may_read=False)
    except NotRemembered:
        return None


def _named(parts: Parts, name: str, force: bool, alias: tuple[Hashable, ...], *, may_read: bool) -> Answer:  # noqa: FBT001 - as `get` was given it
    """Returns the answer of a name.

    Raises:
        NotRemembered: if its context would have to be read, and may not.
    """
    watch = Stopwatch()
    digest, stamp = parts.scope.now()  # before the collection is looked at: what is found is of this moment, or later
    meant, context = _find(parts.scope.collection(), name)
    watch.over("context")
    asked = one_line(meant.question)
    scope, options = Collected(parts.scope, digest), Options(force=bool(force))
    scope.is_given = True
    asking = Asking(parts, scope, asked, options, watch, may_read=may_read)
    asking.offer(scope.placed(context), share=1.0)
    outcome = asking.outcome()
    scope.locate(outcome.placed())
    answer = decide(parts, asked, outcome, options, watch, cached=not asking.read_anew)
    if stamp is not None and asking.part is not None:
        key, stored = asking.part
        parts.cache.bind((stamp, *alias), key, as_remembered(answer), of=stored)
    return answer


def _find(collection: Collection, name: str) -> tuple[AnswerName, StoredContext]:
    """Returns what the name means, and the context that it names."""
    possible = meanings(name)
    with Catalogue.read(collection.directory) as catalogue:
        for meant in possible:
            for row in catalogue.documents_named(meant.address.document):
                if row.tag == meant.address.tag and meant.address.number <= row.contexts:
                    return meant, collection.context(row.first + meant.address.number - 1)
    raise ContextGone(possible[0].address)
