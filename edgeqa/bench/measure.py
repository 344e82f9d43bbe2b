"""Runs the workloads on the runtime that users run, in turns, until the time is over; figures come out.

In turns, because a device warms up, and because others work on it too: what comes later must not look slower. Answers
are remembered in memory only, so that the benchmark fills nobody's cache. How much of a question's time onnxruntime
itself takes is told by a clock around the library's own `run`, for the time of a measurement: the runtime that is
measured knows nothing of it.
"""

from __future__ import annotations

import platform
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any

from edgeqa.bench.figures import Figures, Measured, Setting, Throughput, Times
from edgeqa.bench.products import sessions
from edgeqa.bench.workloads import WORKLOADS, Texts, Workload
from edgeqa.models.session import SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.runtime import EdgeQA
    from edgeqa.timing import Progress

CALLERS = 8
_HITS = 2000  # one is too short for the clock
_VERSIONS = ("edgeqa", "onnxruntime", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds_s: float
    """For all workloads together."""
    callers_s: float
    least_rounds: int


USUAL = Effort(rounds_s=22, callers_s=3, least_rounds=5)
QUICK = Effort(rounds_s=1.5, callers_s=0.5, least_rounds=2)


def measure(qa: EdgeQA, effort: Effort, progress: Progress) -> Figures:
    """Returns the figures of a runtime.

    Raises:
        CapabilityError: if the device lacks what the smallest plan needs.
        BundleError: if the model fails its self-test on this device.
    """
    qa.self_test()  # loads the model: the first question would wait for it
    texts = Texts(Tokenizer(qa.bundle.file("tokenizer.json")))
    with watched() as inside:
        benches = [_Bench(qa, workload, texts, inside) for workload in WORKLOADS]
        hit = _Hit(qa, texts)
        began, rounds = time.perf_counter(), 0
        while rounds < effort.least_rounds or time.perf_counter() - began < effort.rounds_s:
            for bench in benches:
                bench.round()
            hit.round()
            rounds += 1
            gone_s = min(effort.rounds_s, time.perf_counter() - began)
            progress("measuring", int(gone_s * 1e3), int((effort.rounds_s + effort.callers_s) * 1e3))
    measured = {bench.workload.name: bench.measured() for bench in benches}
    alone_ms = measured[WORKLOADS[0].name].times.median_ms
    throughput = _many_callers(qa, texts, int(effort.callers_s * 1e3 / alone_ms))
    return Figures(_setting(qa), {**measured, "repeat": hit.measured()}, throughput)


class _Bench:
    """One workload: asked of contexts seen before, of contexts never seen, and its matrix products alone."""

    def __init__(self, qa: EdgeQA, workload: Workload, texts: Texts, inside: OnnxruntimeTime) -> None:
        self.workload = workload
        self._qa, self._texts, self._inside = qa, texts, inside
        self._contexts = texts.contexts(workload)
        self._asked_ms: list[float] = []
        self._plain_ms: list[float] = []
        self._products_ms: list[float] = []
        self._outside_ms: list[float] = []
        self._steps_ms: dict[str, list[float]] = defaultdict(list)
        is_split = qa.bundle.manifest.kind == "split"
        self._products = sessions(qa.bundle.manifest, workload, SessionOptions.of(qa.plan)) if is_split else []
        for _ in range(2):  # the first encodes the contexts, the second warms up
            qa.ask(texts.question(workload.question_tokens), self._contexts)
        for session in self._products:
            session.run()

    def round(self) -> None:
        """Takes each time some more times."""
        calls = self.workload.calls
        self._settle()
        for _ in range(calls):
            self._ask()
        for _ in range(calls if self._products else 0):
            began = time.perf_counter()
            for session in self._products:
                session.run()
            self._products_ms.append((time.perf_counter() - began) * 1e3)
        for contexts in [self._texts.contexts(self.workload) for _ in range(calls // 2)]:
            question = self._texts.question(self.workload.question_tokens)
            began = time.perf_counter()
            self._qa.ask(question, contexts)
            self._plain_ms.append((time.perf_counter() - began) * 1e3)

    def measured(self) -> Measured:
        """Returns the figures so far."""
        return Measured(
            about=self.workload.about,
            times=Times.of(self._asked_ms),
            steps_ms={step: median(times) for step, times in self._steps_ms.items()},
            outside_ms=median(self._outside_ms),
            question_tokens=self.workload.question_tokens,
            context_tokens=self.workload.context_tokens,
            contexts=self.workload.contexts,
            plain=Times.of(self._plain_ms),
            products=Times.of(self._products_ms) if self._products_ms else None,
        )

    def _settle(self) -> None:
        """Asks once without counting: what was run in between has taken the processor's caches."""
        self._qa.ask(self._texts.question(self.workload.question_tokens), self._contexts)
        self._inside.take_ms()

    def _ask(self) -> None:
        question = self._texts.question(self.workload.question_tokens)
        began = time.perf_counter()
        answer = self._qa.ask(question, self._contexts)
        asked_ms = (time.perf_counter() - began) * 1e3
        inside_ms = self._inside.take_ms()
        self._asked_ms.append(asked_ms)
        self._outside_ms.append(asked_ms - inside_ms)
        for step, ms in answer.timings_ms.items():
            if step != "total":
                self._steps_ms[step].append(ms)
        self._steps_ms["onnxruntime"].append(inside_ms)


class _Hit:
    """The same question again."""

    def __init__(self, qa: EdgeQA, texts: Texts) -> None:
        self._qa = qa
        self._question, self._context = texts.question(8), texts.context(32)
        self._times_ms: list[float] = []
        for _ in range(2):
            qa.ask(self._question, self._context)

    def round(self) -> None:
        """Asks some thousand times."""
        ask, question, context = self._qa.ask, self._question, self._context
        ask(question, context)  # what was asked in between may have dropped it
        began = time.perf_counter()
        for _ in range(_HITS):
            ask(question, context)
        self._times_ms.append((time.perf_counter() - began) * 1e3 / _HITS)

    def measured(self) -> Measured:
        """Returns the figures so far."""
        return Measured("a question asked before", Times.of(self._times_ms))


def _many_callers(qa: EdgeQA, texts: Texts, questions: int) -> Throughput:
    """Returns how many questions on a sentence a second are answered to callers who ask at once."""
    sentence = WORKLOADS[0]
    context = texts.context(sentence.context_tokens)
    qa.ask(texts.question(sentence.question_tokens), context)
    each = max(1, questions // CALLERS)
    asked = [[texts.question(sentence.question_tokens) for _ in range(each)] for _ in range(CALLERS)]

    def call(questions: list[str]) -> None:
        for question in questions:
            qa.ask(question, context)

    callers = [threading.Thread(target=call, args=(questions,)) for questions in asked]
    began = time.perf_counter()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return Throughput(each * CALLERS / (time.perf_counter() - began), CALLERS, each * CALLERS)


def _setting(qa: EdgeQA) -> Setting:
    from edgeqa.capabilities.probe import probe

    device, plan, manifest = probe(providers=False), qa.plan, qa.bundle.manifest
    return Setting(
        device=device.board.value or "unknown processor",
        machine=device.machine.value or platform.machine(),
        cores=device.cores.value,
        cpu_flags=device.cpu_flags.value or (),
        model=f"{manifest.name} {manifest.version}",
        precision=plan.precision.value,
        threads=plan.threads.value,
        batch_contexts=plan.batch_contexts.value,
        versions={**{name: version(name) for name in _VERSIONS}, "python": platform.python_version()},
    )


class OnnxruntimeTime(threading.local):
    """Time spent inside onnxruntime by the thread that looks."""

    def __init__(self) -> None:
        self._ms = 0.0

    def add(self, ms: float) -> None:
        """Counts a run."""
        self._ms += ms

    def take_ms(self) -> float:
        """Returns the milliseconds since this was last asked."""
        taken, self._ms = self._ms, 0.0
        return taken


@contextmanager
def watched() -> Iterator[OnnxruntimeTime]:
    """Gives the clock, which runs as long as the context manager lives."""
    import onnxruntime

    inside = OnnxruntimeTime()
    kind = onnxruntime.InferenceSession
    run = kind.run

    def timed(session: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the library's own signature
        began = time.perf_counter()
        try:
            return run(session, *arguments, **named)
        finally:
            inside.add((time.perf_counter() - began) * 1e3)

    kind.run = timed
    try:
        yield inside
    finally:
        kind.run = run
