"""`EdgeQA`: the parts, opened and wired; `ask` is the pipe from a question and a text to an `Answer`.

In: questions, and texts as strings or paths. Out: answers cut from the texts. What fits the device is decided in
`capabilities`, how a text is cut up in `contexts`, what the model says in `models`; here they only meet. Nothing goes
to the network.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa.answer import Answer
from edgeqa.capabilities.plan import Overrides, make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.contexts.documents import Given, documents
from edgeqa.contexts.normal import nfc
from edgeqa.contexts.passages import Limits
from edgeqa.contexts.routing import Router
from edgeqa.errors import Closed, ContextEmpty, ContextMissing, EmptyQuestion, OptionError, QuestionType
from edgeqa.models import selftest
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.encodings import Encodings
from edgeqa.models.ranking import Ranking
from edgeqa.models.reader import SplitReader
from edgeqa.models.session import SessionOptions
from edgeqa.models.spans import best_spans
from edgeqa.models.tokenizer import Tokenizer
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from edgeqa.capabilities.plan import Plan
    from edgeqa.capabilities.readings import Capabilities
    from edgeqa.contexts.routing import Progress
    from edgeqa.models.tokenizer import Ids

MOST_CONTEXTS = 1000  # about 1.2 MB of English; a longer text is skimmed first


def open(
    *,
    bundle: str | Path | None = None,
    threads: int | None = None,
    batch_contexts: int | None = None,
    window_tokens: int | None = None,
    budget_bytes: int | None = None,
    encoding_store_bytes: int | None = None,
) -> EdgeQA:
    """Returns a runtime for this device; close it, or use it as a context manager.

    Args:
        bundle: directory of the model; the bundled one by default.
        threads: cores to use, instead of the plan's choice.
        batch_contexts: contexts held in memory at a time.
        window_tokens: length of the contexts that a long text is split into.
        budget_bytes: memory that edgeqa may use, instead of what the probe finds free.
        encoding_store_bytes: memory for encodings of contexts seen before.

    Raises:
        BundleError: if the bundle is not what its manifest says.
        CapabilityError: if the device lacks what the smallest plan needs.
        OptionError: for an override that makes no sense.
    """
    found = Bundle.load(DEFAULT_BUNDLE if bundle is None else Path(bundle))
    device = probe(providers=False)
    overrides = Overrides(
        threads=threads,
        batch_contexts=batch_contexts,
        window_tokens=window_tokens,
        budget_bytes=budget_bytes,
        encoding_store_bytes=encoding_store_bytes,
    )
    return EdgeQA(found, device, make_plan(device, found.needs(), overrides))


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is loaded when the first question needs the model."""

    tokenizer: Tokenizer
    reader: SplitReader
    encodings: Encodings


class EdgeQA:
    """Answers questions from texts. Safe from many threads. Made by `edgeqa.open`."""

    def __init__(self, bundle: Bundle, device: Capabilities, plan: Plan) -> None:
        self.bundle = bundle
        self.device = device
        self.plan = plan
        self._parts: _Parts | None = None
        self._lock = threading.Lock()
        self._closed = False

    def ask(
        self,
        question: str,
        context: Given,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int = MOST_CONTEXTS,
        progress: Progress | None = None,
    ) -> Answer:
        """Returns the answer to `question` from `context`.

        Args:
            question: in the model's language; what is beyond its limit of tokens is cut, and the answer says so.
            context: a text (str), a file (Path), or several of them; of any length.
            top: how many distinct spans to give as `candidates`.
            force: give the best span even where "no answer" is likelier.
            most_contexts: how many contexts to read; of a longer text those that share most with the question.
            progress: called as the work goes on.

        Raises:
            QuestionError: for an empty question.
            ContextError: for a text that cannot be read, or is empty.
            BundleError: if the model fails its self-test on this device.
        """
        for name, value in (("top", top), ("most_contexts", most_contexts)):
            if value < 1:
                raise OptionError(name, value, "a whole number from 1 on")
        watch = Stopwatch()
        texts = documents(context)
        if not texts:
            raise ContextMissing
        with watch.step("load"):
            parts = self._load()
        with watch.step("question"):
            asked, ids, cut = self._question(question, parts.tokenizer)
            hidden = parts.reader.encode_question(ids)
        most_tokens = self.bundle.manifest.max_context_tokens - 1  # [SEP] is of the context
        limits = Limits(most_tokens, min(most_tokens, self.plan.window_tokens.value))
        router = Router(parts.tokenizer.tokenize, limits, most_contexts)
        routed = router.route(texts, asked, progress or _no_progress)
        ranking = Ranking(top)
        while True:
            with watch.step("split"):
                batch = list(islice(routed, self.plan.batch_contexts.value))
            if not batch:
                break
            with watch.step("encode"):
                encodings = [parts.encodings.of(r.passage.tokens.ids) for r in batch]
            with watch.step("read"):
                logits = [parts.reader.read(hidden, encoding) for encoding in encodings]
            with watch.step("decode"):
                for r, of_context in zip(batch, logits, strict=True):
                    spans = best_spans(of_context, r.passage.tokens.words, r.passage.paragraphs, top=top)
                    ranking.offer(spans, r.passage, r.source, r.source_number)
        if not ranking.contexts:
            raise ContextEmpty(", ".join(t.name for t in texts))
        return self._answer(
            asked, ranking, force=force, question_cut=cut, skimmed=router.skims(texts), timings_ms=watch.timings_ms()
        )

    def ask_many(
        self,
        pairs: Iterable[tuple[str, Given]],
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int = MOST_CONTEXTS,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """Returns the answers to (question, context) pairs, in their order; options and errors as for `ask`.

        Questions on the same context are asked one after the other, so that it is encoded once.
        """
        asked = list(pairs)
        first_use: dict[object, int] = {}
        for number, (_, context) in enumerate(asked):
            first_use.setdefault(_identity(context), number)
        answers: dict[int, Answer] = {}
        for number in sorted(range(len(asked)), key=lambda n: first_use[_identity(asked[n][1])]):
            question, context = asked[number]
            answers[number] = self.ask(question, context, top=top, force=force, most_contexts=most_contexts)
            if progress:
                progress("asking", len(answers), len(asked))
        return [answers[number] for number in range(len(asked))]

    def self_test(self) -> selftest.Verdict:
        """Returns how the bundle's golden cases come out on this device, tested now or remembered.

        Raises:
            BundleSelfTestFailed: if they come out wrong.
        """
        known = selftest.remembered(self.bundle, self.device.int8_flags, self.plan.precision.value)
        if known is not None:
            return known
        parts = self._load()
        return selftest.assure(
            self.bundle, self.device.int8_flags, self.plan.precision.value, parts.tokenizer, parts.reader
        )

    def close(self) -> None:
        """Lets the model go. May be called again; asking after it is an error."""
        with self._lock:
            self._closed = True
            self._parts = None

    def __enter__(self) -> EdgeQA:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _load(self) -> _Parts:
        with self._lock:
            if self._closed:
                raise Closed
            if self._parts is None:
                plan = self.plan
                tokenizer = Tokenizer(self.bundle.file("tokenizer.json"))
                reader = SplitReader(
                    self.bundle,
                    SessionOptions(
                        threads=plan.threads.value,
                        spinning=plan.spinning.value,
                        memory_arena=plan.memory_arena.value,
                        x64_quant_precision=plan.precision.value == "int8-u8u8",
                    ),
                )
                selftest.assure(self.bundle, self.device.int8_flags, plan.precision.value, tokenizer, reader)
                encodings = Encodings(reader.encode_context, plan.encoding_store_bytes.value)
                self._parts = _Parts(tokenizer, reader, encodings)
            return self._parts

    def _question(self, question: str, tokenizer: Tokenizer) -> tuple[str, Ids, bool]:
        """Returns the question as asked, its token ids, and whether it had to be cut."""
        if not isinstance(question, str):
            raise QuestionType(question)
        asked = " ".join(nfc(question).split())
        ids = tokenizer.tokenize(asked).ids
        if not len(ids):
            raise EmptyQuestion
        most_tokens = self.bundle.manifest.max_question_tokens - 2  # [CLS] and [SEP] are of the question
        return asked, ids[:most_tokens], len(ids) > most_tokens

    def _answer(
        self,
        question: str,
        ranking: Ranking,
        *,
        force: bool,
        question_cut: bool,
        skimmed: bool,
        timings_ms: dict[str, float],
    ) -> Answer:
        manifest = self.bundle.manifest
        candidates = ranking.candidates(manifest.calibration)
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
            question_cut=question_cut,
            contexts=ranking.contexts,
            skimmed=skimmed,
            timings_ms=timings_ms,
        )


def _no_progress(doing: str, done: int, total: int) -> None:
    """Stands for a progress callback where nobody watches."""


def _identity(context: Given) -> object:
    return context if isinstance(context, (str, Path)) else id(context)
