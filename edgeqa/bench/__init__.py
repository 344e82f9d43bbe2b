"""The benchmark of `edgeqa bench`: it measures how fast a device answers.

In: workloads of known lengths. Out: `Figures`, with their JSON, their table and a line to be pasted. The workloads are
asked of the runtime that users run, in turns, until the time is over. The texts are common words in random order, the
same for the same seed: the length of a text decides how long it takes to read, not its words. No two questions are
alike, so that none is in the answer cache.

The workloads take turns because a device warms up, and because other programs run on it: a later workload must not look
slower for that. Answers are remembered in memory only, so that the benchmark fills nobody's cache. During a measurement
a clock around onnxruntime's own `run` counts the time inside the library; the measured runtime knows nothing of it.
"""

from __future__ import annotations

import platform
import random
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any

from edgeqa.bench.products import Products, sessions
from edgeqa.capabilities.computing import onnxruntime_version
from edgeqa.models.session import SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgeqa.runtime import EdgeQA
    from edgeqa.timing import Progress


_WORDS = (
    "a about after again all also always an and another any are around as at away back be because been before began "
    "being below between big book both boy built but by called came can car change city close cold come could "
    "country cut day did different do does door down draw each earth east easy end enough even every example eye "
    "face fall far farm father feet few field find fire first fish five follow food for form found four from front "
    "full game gave get girl give go good got great green ground group grow had half hand hard has have he head "
    "hear help her here high him his hold home horse hot hour house how idea if in into is island it just keep kind "
    "king know land large last late learn leave left let letter life light like line list little live long look low "
    "made main make man many map mark may me mean men might mile more most mother mountain move much must my name "
    "near need never new next night no north not now number of off often old on one only open or order other our "
    "out over own page paper part people picture place plan plant play point power press problem pull put question "
    "rain ran read real red rest right river road rock room round rule run said same saw say school sea second see "
    "set seven she ship short should show side sing sit six sleep slow small snow so some song soon south space "
    "stand star start state stay step still stop story street strong study such sun sure table take talk teach tell "
    "ten than that the their them then there these they thing think this those though thought three through time to "
    "today together told too took top town travel tree true try turn two under unit until up us use very voice walk "
    "wall want war warm was watch water way we week well went were west what wheel when where which while white who "
    "whole why wind with wood word work world would write year you young your"
)
_SENTENCE_WORDS = 12


@dataclass(frozen=True, slots=True)
class Workload:
    """A question of a fixed length that is asked of contexts of a fixed length."""

    name: str
    about: str
    question_tokens: int
    context_tokens: int
    contexts: int = 1
    calls: int = 1
    """How often a round asks it: quick workloads are asked more often, so that all figures are about equally sure."""


WORKLOADS = (
    Workload("sentence", "a short question, one sentence", 8, 32, calls=12),
    Workload("paragraph", "a question, one paragraph", 12, 160, calls=6),
    Workload("long", "a question, a long paragraph", 12, 320, calls=4),
    Workload("page", "a question, five paragraphs", 12, 160, contexts=5, calls=2),
)


class Texts:
    """A maker of questions and contexts; their lengths do not count special tokens."""

    def __init__(self, tokenizer: Tokenizer, seed: int = 0) -> None:
        self._tokenizer = tokenizer
        self._random = random.Random(seed)  # noqa: S311 - texts, not secrets
        self._words = _WORDS.split()

    def question(self, tokens: int) -> str:
        """Returns a question that was not asked before, of so many tokens."""
        return self._text(tokens, "?")

    def context(self, tokens: int) -> str:
        """Returns a text of so many tokens."""
        return self._text(tokens, ".")

    def contexts(self, workload: Workload) -> str | list[str]:
        """Returns the text or texts that a workload's questions are asked of."""
        made = [self.context(workload.context_tokens) for _ in range(workload.contexts)]
        return made[0] if len(made) == 1 else made

    def _text(self, tokens: int, end: str) -> str:
        words = [self._random.choice(self._words) for _ in range(tokens)]
        for place in range(_SENTENCE_WORDS, tokens - 1, _SENTENCE_WORDS):
            words[place] = ". " + words[place]
        # In the usual vocabularies, every word is one token. In others, the text may be short by up to a word.
        while True:
            text = " ".join(words).replace(" .", ".") + end
            if len(self._tokenizer.tokenize(text)) <= tokens or len(words) == 1:
                return text
            words.pop()


CALLERS = 8
_HITS = 2000  # a single hit is too short for the clock
_VERSIONS = ("edgeqa", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds_s: float
    """The time for all workloads together."""
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
    qa.self_test()  # this loads the model, for which the first question would wait
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
    """The measurement of one workload: on contexts seen before, on new ones, and of its matrix products alone."""

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
        self._products = products_of(qa, workload) if is_split else []
        for _ in range(2):  # the first encodes the contexts, the second warms up
            qa.ask(texts.question(workload.question_tokens), self._contexts)
        for session in self._products:
            session.run()

    def round(self) -> None:
        """Measures each kind of time a few times more."""
        calls = self.workload.calls
        self._warm_caches()
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

    def _warm_caches(self) -> None:
        """Asks once without counting: the other workloads have filled the processor's caches with their own data."""
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


def products_of(qa: EdgeQA, workload: Workload) -> list[Products]:
    """Returns a session for each run that a question of a workload needs."""
    lengths = (workload.question_tokens, workload.context_tokens, workload.contexts)
    return sessions(qa.bundle.manifest, SessionOptions.of(qa.plan), *lengths)


class _Hit:
    """The measurement of a hit: the same question is asked again and again."""

    def __init__(self, qa: EdgeQA, texts: Texts) -> None:
        self._qa = qa
        self._question, self._context = texts.question(8), texts.context(32)
        self._times_ms: list[float] = []
        for _ in range(2):
            qa.ask(self._question, self._context)

    def round(self) -> None:
        """Asks a few thousand times."""
        ask, question, context = self._qa.ask, self._question, self._context
        ask(question, context)  # the questions in between may have pushed the answer out
        began = time.perf_counter()
        for _ in range(_HITS):
            ask(question, context)
        self._times_ms.append((time.perf_counter() - began) * 1e3 / _HITS)

    def measured(self) -> Measured:
        """Returns the figures so far."""
        return Measured("a question asked before", Times.of(self._times_ms))


def _many_callers(qa: EdgeQA, texts: Texts, questions: int) -> Throughput:
    """Measures the questions a second, each on one sentence, that callers are answered who ask at the same time."""
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
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in _VERSIONS} | {"python": platform.python_version()}
    return found | {"onnxruntime": onnxruntime_version() or "unknown"}  # of any distribution


class OnnxruntimeTime(threading.local):
    """The time that the current thread has spent inside onnxruntime."""

    def __init__(self) -> None:
        self._ms = 0.0

    def add(self, ms: float) -> None:
        """Adds the time of a run."""
        self._ms += ms

    def take_ms(self) -> float:
        """Returns the milliseconds since the last call."""
        taken, self._ms = self._ms, 0.0
        return taken


@contextmanager
def watched() -> Iterator[OnnxruntimeTime]:
    """Yields a clock, which runs until the context manager ends."""
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


@dataclass(frozen=True, slots=True)
class Times:
    """A summary of the times of many equal calls."""

    median_ms: float
    p99_ms: float
    spread_ms: tuple[float, float]
    """The 10th and the 90th percentile."""
    calls: int

    @staticmethod
    def of(times_ms: Sequence[float]) -> Times:
        """Returns the summary of at least one time."""
        ordered = sorted(times_ms)
        return Times(median(ordered), _at(ordered, 0.99), (_at(ordered, 0.10), _at(ordered, 0.90)), len(ordered))

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {
            "median_ms": _short(self.median_ms),
            "p99_ms": _short(self.p99_ms),
            "spread_ms": [_short(ms) for ms in self.spread_ms],
            "calls": self.calls,
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """A workload's figures."""

    about: str
    times: Times
    steps_ms: Mapping[str, float] = field(default_factory=dict)
    """The median time of each step; `onnxruntime` is the part of `question` and `read` inside the library."""
    outside_ms: float | None = None
    """The median time outside onnxruntime; None for a hit."""
    question_tokens: int = 0
    context_tokens: int = 0
    contexts: int = 0
    plain: Times | None = None
    """The times on texts never seen before, of which nothing is stored."""
    products: Times | None = None
    """The times of the network's matrix products alone; None for a network whose products are not known."""

    @property
    def share_of_limit(self) -> float | None:
        """The share of the time inside onnxruntime that the matrix products alone would take."""
        if self.products is None or not self.steps_ms.get("onnxruntime"):
            return None
        return self.products.median_ms / self.steps_ms["onnxruntime"]

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {
            "about": self.about,
            "question_tokens": self.question_tokens,
            "context_tokens": self.context_tokens,
            "contexts": self.contexts,
            **self.times.to_json(),
            "steps_ms": {step: _short(ms) for step, ms in self.steps_ms.items()},
            "outside_onnxruntime_ms": _short(self.outside_ms),
            "plain_text": self.plain and self.plain.to_json(),
            "products_alone": self.products and self.products.to_json(),
            "share_of_limit": _short(self.share_of_limit),
        }


@dataclass(frozen=True, slots=True)
class Throughput:
    """Questions a second, with many callers at once."""

    per_second: float
    callers: int
    questions: int

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {"per_second": _short(self.per_second), "callers": self.callers, "questions": self.questions}


@dataclass(frozen=True, slots=True)
class Setting:
    """The device, model and settings of a measurement: the figures mean nothing without them."""

    device: str
    machine: str
    cores: int | None
    cpu_flags: tuple[str, ...]
    model: str
    precision: str
    threads: int
    batch_contexts: int
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {
            "device": self.device,
            "machine": self.machine,
            "cores": self.cores,
            "cpu_flags": list(self.cpu_flags),
            "model": self.model,
            "precision": self.precision,
            "threads": self.threads,
            "batch_contexts": self.batch_contexts,
            "versions": dict(self.versions),
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one run."""

    setting: Setting
    workloads: Mapping[str, Measured]
    throughput: Throughput

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {
            **self.setting.to_json(),
            "workloads": {name: measured.to_json() for name, measured in self.workloads.items()},
            "many_callers": self.throughput.to_json(),
            "line": self.line(),
        }

    def line(self) -> str:
        """Returns the figures in one line, to be pasted into a chat."""
        s = self.setting
        times = ", ".join(f"{name} {show(m.times.median_ms)}" for name, m in self.workloads.items())
        where = f"{s.device}, {s.threads} thread{'s' if s.threads > 1 else ''}, {s.precision}"
        versions = f"onnxruntime {s.versions['onnxruntime']}, Python {s.versions['python']}"
        rate = f"{self.throughput.per_second:,.0f} questions/s"
        return f"edgeqa {s.versions['edgeqa']} ({s.model}) on {where}: {times}, {rate} [{versions}]"

    def table(self) -> str:
        """Returns the figures for the screen."""
        s = self.setting
        versions = ", ".join(f"{name} {version}" for name, version in s.versions.items())
        flags = " ".join(s.cpu_flags) or "no int8 instructions known"
        lines = [
            f"{s.device}, {s.machine}, {s.cores or '?'} cores ({flags})",
            f"{s.model}, {s.precision}, {s.threads} threads, {s.batch_contexts} passages at a time",
            versions,
            "",
            f"{'from string to Answer':<40}{'median':>10}{'p99':>10}{'10 - 90 %':>20}{'calls':>7}",
        ]
        for name, m in self.workloads.items():
            what = f"{name}, {_tokens(m)}"
            spread = " - ".join(show(ms) for ms in m.times.spread_ms)
            row = (show(m.times.median_ms), show(m.times.p99_ms))
            lines.append(f"{what:<40}{row[0]:>10}{row[1]:>10}{spread:>20}{m.times.calls:>7}")
        read = {name: m for name, m in self.workloads.items() if m.steps_ms}
        lines += ["", f"{'where it goes (medians)':<40}" + "".join(f"{name:>12}" for name in read)]
        steps = list(dict.fromkeys(step for m in read.values() for step in m.steps_ms))
        rows: list[tuple[str, list[float | None]]] = [(s, [m.steps_ms.get(s) for m in read.values()]) for s in steps]
        rows.append(("outside onnxruntime", [m.outside_ms for m in read.values()]))
        rows.append(("matrix products alone", [_median(m.products) for m in read.values()]))
        rows.append(("texts never seen before, in all", [_median(m.plain) for m in read.values()]))
        lines += [f"{step:<40}" + "".join(f"{show(ms):>12}" for ms in times) for step, times in rows]
        shares = [m.share_of_limit for m in read.values()]
        cells = [f"{share:.0%}" if share is not None else "-" for share in shares]
        lines += [f"{'products, of the time in onnxruntime':<40}" + "".join(f"{cell:>12}" for cell in cells)]
        t = self.throughput
        lines += ["", f"sentence, {t.callers} callers at once: {t.per_second:,.0f} questions a second"]
        return "\n".join([*lines, "", self.line()])


def show(ms: float | None) -> str:
    """Returns a time for a person, with three digits."""
    if ms is None:
        return "-"
    for factor, unit in ((1e-3, "s"), (1.0, "ms"), (1e3, "us")):
        if ms * factor >= 1:
            return f"{_digits(ms * factor)} {unit}"
    return f"{_digits(ms * 1e6)} ns"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _tokens(measured: Measured) -> str:
    if not measured.contexts:
        return measured.about
    many = f"{measured.contexts} x " if measured.contexts > 1 else ""
    return f"{measured.question_tokens} tokens on {many}{measured.context_tokens}"


def _median(times: Times | None) -> float | None:
    return None if times is None else times.median_ms


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
