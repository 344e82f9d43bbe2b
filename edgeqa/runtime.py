"""`EdgeQA`: the parts, opened and wired; `ask` is the pipe from a question and texts to an `Answer`.

In: questions, and texts as strings or paths. Out: answers cut from the texts, remembered or read now. What fits the
device is decided in `capabilities`, what is remembered in `cache`, what the model says in `reading`; here they only
meet. The device is probed and the model loaded when a question misses the cache. Nothing goes to the network.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa import state
from edgeqa.answer import Answer
from edgeqa.cache import Cache, answer_keys, answers
from edgeqa.cache.cache import FORMAT_DIRECTORY
from edgeqa.capabilities.overrides import Overrides, Persist
from edgeqa.capabilities.processor import precision_here
from edgeqa.contexts.documents import Given, documents
from edgeqa.contexts.normal import nfc
from edgeqa.errors import Closed, ContextMissing, EmptyQuestion, OptionError, QuestionType
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from edgeqa.answer import Candidate
    from edgeqa.cache import Key
    from edgeqa.cache.front import Front
    from edgeqa.capabilities.plan import Plan
    from edgeqa.capabilities.readings import Capabilities
    from edgeqa.contexts.routing import Progress
    from edgeqa.models.selftest import Verdict
    from edgeqa.reading import Found, Reading

MOST_CONTEXTS = 1000  # about 1.2 MB of English; a longer text is skimmed first
AT_HAND_CHARACTERS = 1 << 14  # of a longer text, answers are not kept at hand: it would be kept too


def open(
    *,
    bundle: str | Path | None = None,
    threads: int | None = None,
    batch_contexts: int | None = None,
    window_tokens: int | None = None,
    budget_bytes: int | None = None,
    encoding_store_bytes: int | None = None,
    answer_cache_bytes: int | None = None,
    persist: Persist | None = None,
) -> EdgeQA:
    """Returns a runtime for this device; close it, or use it as a context manager.

    Args:
        bundle: directory of the model; the bundled one by default.
        threads: cores to use, instead of the plan's choice.
        batch_contexts: contexts held in memory at a time.
        window_tokens: length of the contexts that a long text is split into.
        budget_bytes: memory that edgeqa may use, instead of what the probe finds free.
        encoding_store_bytes: memory for encodings of contexts seen before.
        answer_cache_bytes: size of the answer cache, when it is made.
        persist: whether answers are remembered on "disk", in "memory" until the process ends, or not at all ("off").

    Raises:
        BundleError: if the bundle is not what its manifest says.
        OptionError: for an override that makes no sense.
    """
    overrides = Overrides(
        threads=threads,
        batch_contexts=batch_contexts,
        window_tokens=window_tokens,
        budget_bytes=budget_bytes,
        encoding_store_bytes=encoding_store_bytes,
        answer_cache_bytes=answer_cache_bytes,
        persist=persist,
    )
    return EdgeQA(Bundle.load(DEFAULT_BUNDLE if bundle is None else Path(bundle)), overrides)


class EdgeQA:
    """Answers questions from texts. Safe from many threads. Made by `edgeqa.open`."""

    def __init__(self, bundle: Bundle, overrides: Overrides) -> None:
        self.bundle = bundle
        self._overrides = overrides
        self._precision = precision_here(bundle.manifest.precision)
        # What an answer depends on besides the question, the texts and the options of `ask`. A window that the plan
        # shrank is left out: answers would come and go with the memory that happens to be free.
        self._identity = f"{bundle.digest}|{self._precision}|{overrides.window_tokens}"
        self._lock = threading.RLock()
        self._closed = False
        self._device: Capabilities | None = None
        self._plan: Plan | None = None
        self._reading: Reading | None = None
        self._cache: Cache | None = None
        self._front: Front | None = None

    def ask(
        self,
        question: str,
        context: Given,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int = MOST_CONTEXTS,
        refresh: bool = False,
        progress: Progress | None = None,
    ) -> Answer:
        """Returns the answer to `question` from `context`: the one remembered, or one read now and then remembered.

        Args:
            question: in the model's language; what is beyond its limit of tokens is cut, and the answer says so.
            context: a text (str), a file (Path), or several of them; of any length.
            top: how many distinct spans to give as `candidates`.
            force: give the best span even where "no answer" is likelier.
            most_contexts: how many contexts to read; of a longer text those that share most with the question.
            refresh: read anew even if the answer is remembered.
            progress: called as reading goes on.

        Raises:
            QuestionError: for an empty question.
            ContextError: for a text that cannot be read, or is empty.
            CapabilityError: if the device lacks what the smallest plan needs.
            BundleError: if the model fails its self-test on this device.
        """
        front = self._front
        at_hand = front is not None and type(context) is str and type(question) is str and not refresh
        if front is not None and at_hand:
            entry = front.get((self._identity, question, context, top, force, most_contexts))
            # Since then the record may have been looked up for a file, or for the same question in other letters.
            if entry is not None and type(remembered := entry.value) is Answer and remembered.question == question:
                return remembered
        watch = Stopwatch()
        cache = self._open_cache()
        asked = _asked(question)
        texts = documents(context)
        found: Found | None = None

        def read() -> answers.Record:
            nonlocal found
            with watch.step("load"):
                reading = self._load()
            found = reading.read(
                asked, texts, top=top, most_contexts=most_contexts, progress=progress or _no_progress, watch=watch
            )
            return answers.Record(answers.spans(found.candidates), found.contexts, found.skimmed, found.question_cut)

        with watch.step("key"):
            key = self.key(asked, texts, top=top, force=force, most_contexts=most_contexts)
        record = cache.compute(key, read, as_type=answers.Record, refresh=refresh)
        candidates = found.candidates if found else answers.candidates(record.spans, texts)
        if candidates is None:  # what is remembered does not fit the text: read it
            record = cache.compute(key, read, as_type=answers.Record, refresh=True)
            candidates = found.candidates if found else ()
        answer = self._answer(asked, candidates, record, force=force, cached=found is None, watch=watch)
        if isinstance(context, str) and len(context) <= AT_HAND_CHARACTERS:
            alias = (self._identity, question, context, top, force, most_contexts)
            cache.bind(alias, key, replace(answer, cached=True))
        return answer

    def ask_many(
        self,
        pairs: Iterable[tuple[str, Given]],
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int = MOST_CONTEXTS,
        refresh: bool = False,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """Returns the answers to (question, context) pairs, in their order; options and errors as for `ask`.

        Questions on the same context are asked one after the other, so that it is encoded once.
        """
        asked = list(pairs)
        first_use: dict[object, int] = {}
        for number, (_, context) in enumerate(asked):
            first_use.setdefault(_which(context), number)
        found: dict[int, Answer] = {}
        for number in sorted(range(len(asked)), key=lambda n: first_use[_which(asked[n][1])]):
            question, context = asked[number]
            found[number] = self.ask(
                question, context, top=top, force=force, most_contexts=most_contexts, refresh=refresh
            )
            if progress:
                progress("asking", len(found), len(asked))
        return [found[number] for number in range(len(asked))]

    def key(
        self, question: str, context: Given, *, top: int = 1, force: bool = False, most_contexts: int = MOST_CONTEXTS
    ) -> Key:
        """Returns what the answer to a question is remembered under; arguments and errors as for `ask`."""
        for name, value in (("top", top), ("most_contexts", most_contexts)):
            if type(value) is not int or value < 1:
                raise OptionError(name, value, "a whole number from 1 on")
        texts = documents(context)
        if not texts:
            raise ContextMissing
        key_of = answer_keys(
            bundle_digest=self.bundle.digest,
            precision=self._precision,
            options={
                "top": top,
                "force": bool(force),
                "most_contexts": most_contexts,
                "window_tokens": self._overrides.window_tokens,
            },
            scope_digest=answers.scope_digest(texts),
            lowercase=self.bundle.manifest.lowercase,
        )
        return key_of(_asked(question))

    @property
    def device(self) -> Capabilities:
        """What the device has, probed when this is first asked for."""
        with self._lock:
            if self._device is None:
                from edgeqa.capabilities.probe import probe

                self._device = probe(providers=False)
            return self._device

    @property
    def plan(self) -> Plan:
        """What fits the device, planned when this is first asked for.

        Raises:
            NotEnoughMemory: if not even the smallest plan fits.
        """
        with self._lock:
            if self._plan is None:
                from edgeqa.capabilities.plan import make_plan

                self._plan = make_plan(self.device, self.bundle.needs(), self._overrides)
            return self._plan

    def self_test(self) -> Verdict:
        """Returns how the bundle's golden cases come out on this device, tested now or remembered.

        Raises:
            BundleSelfTestFailed: if they come out wrong.
        """
        return self._load().verdict

    def close(self) -> None:
        """Lets the model and the cache go. May be called again; asking after it is an error."""
        with self._lock:
            self._closed = True
            self._front = self._reading = None
            if self._cache is not None:
                self._cache.close()
                self._cache = None

    def __enter__(self) -> EdgeQA:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open_cache(self) -> Cache:
        with self._lock:
            if self._closed:
                raise Closed
            if self._cache is None:
                persist, map_bytes = self._overrides.persist, self._overrides.answer_cache_bytes
                made = (state.home() / "cache" / FORMAT_DIRECTORY).exists()
                if persist != "off" and not (made and persist != "memory"):
                    persist, map_bytes = self.plan.persist.value, self.plan.answer_cache_bytes.value
                manifest = self.bundle.manifest
                provenance = f"{manifest.name} {manifest.version} {self._precision}"
                if map_bytes:
                    self._cache = Cache.open(map_bytes=map_bytes, persist=persist or "disk", provenance=provenance)
                else:
                    self._cache = Cache.open(persist=persist or "disk", provenance=provenance)
                self._front = self._cache.front
            return self._cache

    def _load(self) -> Reading:
        with self._lock:
            if self._closed:
                raise Closed
            if self._reading is None:
                plan = self.plan  # refuses before anything large is imported
                from edgeqa.reading import Reading

                self._reading = Reading(self.bundle, plan, self.device.int8_flags)
            return self._reading

    def _answer(
        self,
        question: str,
        candidates: tuple[Candidate, ...],
        record: answers.Record,
        *,
        force: bool,
        cached: bool,
        watch: Stopwatch,
    ) -> Answer:
        manifest = self.bundle.manifest
        best = candidates[0] if candidates else None  # none in a text of nothing but an endless word
        found = best if best and (force or best.probability >= manifest.calibration.no_answer_below) else None
        return Answer(
            question=question,
            text=found.text if found else None,
            start=found.start if found else None,
            end=found.end if found else None,
            context=found.context if found else None,
            context_start=found.context_start if found else None,
            source=found.source if found else None,
            score=best.score if best else 0.0,
            probability=best.probability if best else 0.0,
            model=f"{manifest.name} {manifest.version}",
            candidates=candidates,
            question_cut=record.question_cut,
            contexts=record.contexts,
            skimmed=record.skimmed,
            cached=cached,
            timings_ms=watch.timings_ms(),
        )


def _asked(question: str) -> str:
    """Returns the question as it is asked.

    Raises:
        QuestionError: if nothing is left of it.
    """
    if not isinstance(question, str):
        raise QuestionType(question)
    asked = " ".join(nfc(question).split())
    if not asked:
        raise EmptyQuestion
    return asked


def _no_progress(doing: str, done: int, total: int) -> None:
    """Stands for a progress callback where nobody watches."""


def _which(context: Given) -> object:
    return context if isinstance(context, (str, Path)) else id(context)
