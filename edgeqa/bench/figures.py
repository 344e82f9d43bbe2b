"""The figures of a benchmark: frozen values, with their JSON, their table and a line to be pasted. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
            f"{s.model}, {s.precision}, {s.threads} threads, {s.batch_contexts} contexts at a time",
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
