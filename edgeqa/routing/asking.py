"""Asking a collection: a question in, an `Answer` out, remembered or read now from the contexts closest to it.

The whole answer is remembered under the collection's digest. What an answer that is remembered does not need is
imported when it is missing: the index, the model, and `reading`, which uses both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from edgeqa.answer import as_remembered, decide
from edgeqa.cache import answer_keys
from edgeqa.errors import OptionError
from edgeqa.routing import fusion, records
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Hashable

    from edgeqa.answer import Answer
    from edgeqa.cache import Key
    from edgeqa.contexts.routing import Progress
    from edgeqa.parts import Parts
    from edgeqa.routing.reading import RoutedReading


class Options(TypedDict):
    """What an answer depends on besides question, collection and model."""

    top: int
    force: bool
    most_contexts: int | None
    """Exactly so many contexts are read; None for as many as can still change the answer."""


def ask(
    parts: Parts, asked: str, options: Options, *, alias: tuple[Hashable, ...], refresh: bool, progress: Progress
) -> Answer:
    """Returns the answer from the collection, as `EdgeQA.ask` does without a context.

    Args:
        parts: of the runtime.
        asked: the question, on one line.
        options: how the answer is chosen.
        alias: what the answer is put at hand under, after the collection's stamp.
        refresh: whether to read anew what is remembered.
        progress: called as reading goes on.

    Raises:
        CollectionError: if there is no collection, or it cannot be read.
    """
    watch = Stopwatch()
    cache, scope = parts.cache, parts.scope
    digest, stamp = scope.now()
    read_now: list[RoutedReading] = []

    def read() -> dict[str, Any]:
        from edgeqa.routing.reading import RoutedReading

        watch.over("remember")
        reading = RoutedReading(parts, asked, options["top"], watch, refresh=refresh)
        reading.read(options["most_contexts"], progress)
        read_now.append(reading)
        return reading.record(digest)

    key = _answer_key(parts, asked, digest, options)
    watch.over("key")
    record = cache.compute(key, read, refresh=refresh)
    found = None if read_now else records.found_again(record, scope.collection())
    if found is None and not read_now:  # what is remembered does not fit the collection
        record = read()
        if record["whole"]:
            cache.put(key, record)
    watch.over("remember")
    answer = decide(
        asked,
        found or read_now[0].found(),
        no_answer_below=0.0 if options["force"] else fusion.CALIBRATION.no_answer_below,
        model=parts.model,
        cached=not read_now,
        timings_ms=watch.timings_ms(),
    )
    if record["whole"] and stamp is not None:
        cache.bind((stamp, *alias), key, as_remembered(answer), of=record)
    return answer


def answer_key(parts: Parts, asked: str, options: Options) -> Key:
    """Returns what the answer from the collection as it is now is remembered under."""
    return _answer_key(parts, asked, parts.scope.now()[0], options)


def key_in(parts: Parts, asked: str, scope_digest: str, options: dict[str, object]) -> Key:
    """Returns what an answer to the question is remembered under, in a scope."""
    key_of = answer_keys(
        bundle_digest=parts.bundle.digest,
        precision=parts.precision,
        options=options,
        scope_digest=scope_digest,
        lowercase=parts.bundle.manifest.lowercase,
    )
    return key_of(asked)


def _answer_key(parts: Parts, asked: str, digest: str, options: Options) -> Key:
    for name, value in (("top", options["top"]), ("most_contexts", options["most_contexts"])):
        if not (type(value) is int and value >= 1) and not (name == "most_contexts" and value is None):
            raise OptionError(name, value, "a whole number from 1 on")
    return key_in(parts, asked, digest, dict(options))
