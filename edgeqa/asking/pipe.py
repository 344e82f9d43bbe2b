"""The pipe: key, cache, read, decide, remember, whatever the question is asked of.

In: a question, a scope, options. Out: an `Answer`, remembered or read now. A remembered answer needs neither the search
nor the model nor numpy, so these are imported only when no answer was found.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from edgeqa.answer import Answer, Candidate, as_remembered
from edgeqa.asking.records import keys_of_answers, pack_outcome, unpack_outcome

if TYPE_CHECKING:
    from collections.abc import Hashable

    from edgeqa.asking import Scope
    from edgeqa.asking.equipment import Equipment
    from edgeqa.asking.records import FoundSpan, Options, Outcome
    from edgeqa.cache import Key
    from edgeqa.timing import Progress, Stopwatch


def answer_key(equipment: Equipment, scope: Scope, asked: str, options: Options, *, careful: bool) -> Key:
    """Returns the key that the answer is remembered under; `careful` tells whether the careful reader decides."""
    bundle, reader = equipment.bundle, equipment.careful_key if careful else None
    lowercase, window_tokens = bundle.manifest.lowercase, equipment.overrides.window_tokens
    return keys_of_answers(bundle.digest, equipment.computed, scope.digest, lowercase, options, window_tokens, reader)(
        asked
    )


def ask(
    equipment: Equipment,
    scope: Scope,
    asked: str,
    options: Options,
    watch: Stopwatch,
    *,
    alias: tuple[Hashable, ...] | None,
    refresh: bool,
    progress: Progress,
) -> Answer:
    """Returns the answer to a question, remembered or read now and then remembered.

    Args:
        equipment: of the runtime.
        scope: what is asked.
        asked: the question, on one line.
        options: how the answer is chosen.
        watch: where the time goes.
        alias: what the answer is put at hand under; None where it is not.
        refresh: whether to read anew what is remembered.
        progress: called as reading goes on.
    """
    cache = equipment.cache
    read_now: list[Outcome] = []

    def read() -> dict[str, Any]:
        from edgeqa.asking.question import Asking

        watch.over("remember")
        asking = Asking(equipment, scope, asked, options, watch, refresh=refresh)
        asking.read(progress)
        if careful and not asking.is_looked_up:
            asking.look_again()
        outcome = asking.outcome()
        scope.locate(outcome.passages())
        read_now.append(outcome)
        made = pack_outcome(outcome, scope, whole=scope.is_whole())
        watch.over("rank")
        return made

    if not equipment.has_fingerprint:  # the key is known only after the self-test, so nothing can be remembered yet
        _ = equipment.reading
        watch.over("load")
    careful = equipment.is_careful(partial(answer_key, equipment, scope, asked, options, careful=True), may_load=True)
    key = answer_key(equipment, scope, asked, options, careful=careful)
    if equipment.may_compute_otherwise and (refresh or cache.peek(key) is None):
        _ = equipment.reading
        key = answer_key(equipment, scope, asked, options, careful=careful)
    watch.over("key")
    record = cache.compute(key, read, refresh=refresh)
    outcome = None if read_now else unpack_outcome(record, scope)
    if outcome is None and not read_now:  # the remembered outcome does not fit the question
        record = read()
        if record["whole"]:
            cache.put(key, record)
    outcome = outcome or read_now[0]
    watch.over("remember")
    answer = decide(equipment, asked, outcome, options, watch, cached=not read_now)
    if alias is not None and record["whole"]:
        cache.bind(alias, key, answer if answer.cached else as_remembered(answer), of=record)
    return answer


def remembered(
    equipment: Equipment,
    scope: Scope,
    asked: str,
    options: Options,
    watch: Stopwatch,
    *,
    alias: tuple[Hashable, ...] | None,
) -> Answer | None:
    """Returns the answer to a question if it is remembered, and puts it at hand; arguments as for `ask`.

    A hit is counted as one; what is not there is not counted as a miss, because whoever looks need not want it read.
    """
    if not equipment.has_fingerprint:
        return None
    careful = equipment.is_careful(partial(answer_key, equipment, scope, asked, options, careful=True), may_load=False)
    if careful and equipment.second.key is None:
        return None
    cache, key = equipment.cache, answer_key(equipment, scope, asked, options, careful=careful)
    watch.over("key")
    if cache.peek(key) is None:
        return None
    record = cache.get(key)
    outcome = unpack_outcome(record, scope)
    if outcome is None:
        return None
    watch.over("remember")
    answer = decide(equipment, asked, outcome, options, watch, cached=True)
    if alias is not None:
        cache.bind(alias, key, answer, of=record)
    return answer


def decide(
    equipment: Equipment, asked: str, outcome: Outcome, options: Options, watch: Stopwatch, *, cached: bool
) -> Answer:
    """Returns the answer: the best span, or none where that is right with too little probability."""
    manifest = equipment.bundle.manifest
    below = (manifest.calibration if outcome.is_given else manifest.searched).no_answer_below
    model, below = outcome.careful or (equipment.model, below)
    documents: dict[int, int] = {}  # of a collection's documents: counted in the order in which they come
    candidates = tuple(
        _candidate(span, documents.setdefault(span.passage.number, len(documents)) if span.passage.address else None)
        for span in outcome.spans
    )
    best = candidates[0] if candidates else None  # a text of one endless word has none
    given = best if best and (options.force or best.probability >= below) else None
    return Answer(
        question=asked,
        text=given.text if given else None,
        start=given.start if given else None,
        end=given.end if given else None,
        context=given.context if given else None,
        context_start=given.context_start if given else None,
        source=given.source if given else None,
        score=best.score if best else 0.0,
        probability=best.probability if best else 0.0,
        model=model,
        candidates=candidates,
        question_cut=outcome.question_cut,
        contexts=outcome.contexts,
        damaged=outcome.damaged,
        cached=cached,
        timings_ms=watch.timings_ms(),
        closest=tuple(near.passage.as_close(near.rank, near.marked) for near in outcome.closest),
        question_mended=outcome.question_mended,
        reader="careful" if outcome.careful else "fast",
        notes=outcome.notes,
    )


def _candidate(span: FoundSpan, number: int | None) -> Candidate:
    passage, (start, end, score) = span.passage, span.place
    text = passage.text
    return Candidate(
        text=text.text[start:end],
        start=start,
        end=end,
        context=text.text,
        context_start=text.start,
        source=passage.source,
        source_number=passage.number if number is None else number,
        score=score,
        probability=span.probability,
        address=passage.address,
        part=passage.part,
        part_start=passage.part_start,
        heading=text.heading,
        pieces=text.pieces,
        path=passage.path,
    )
