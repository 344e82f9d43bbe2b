"""`/metrics`: the counts of the engine in Prometheus' text format, which is simple enough to be written here.

In: an engine. Out: text. The format is Prometheus' text format 0.0.4 ("Exposition formats").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgeqa.serving.callers import Caller
    from edgeqa.serving.engine import Engine

    Labels = Mapping[str, str]


async def text(engine: Engine, caller: Caller) -> str:
    """Returns the metrics of this moment; raises as `Engine.collections` does."""
    counters = engine.counters()
    steps: dict[str, float] = {}
    for one in counters.values():
        for step, seconds in one.read_s.items():
            steps[step] = steps.get(step, 0.0) + seconds
    found = await engine.collections(caller)
    version = {"version": edgeqa.__version__, "model": engine.runtime.bundle.manifest.name}
    lines = [
        *_metric(
            "questions_total",
            "counter",
            "Questions, by the way they came and what came of them.",
            [({"way": way, "outcome": outcome}, count) for (way, outcome), count in sorted(engine.outcomes.items())],
        ),
        *_metric(
            "reading_seconds_total",
            "counter",
            "Seconds that reading has taken, by step; total is all of it.",
            [({"step": step}, seconds) for step, seconds in sorted(steps.items())],
        ),
        *_metric("read_total", "counter", "Answers that were read.", [({}, sum(c.read for c in counters.values()))]),
        *_metric(
            "looked_up_total",
            "counter",
            "Remembered answers that came from the store.",
            [({}, sum(c.looked_up for c in counters.values()))],
        ),
        *_metric(
            "at_hand_total",
            "counter",
            "Remembered answers that were in memory.",
            [({}, max(c.at_hand for c in counters.values()))],
        ),
        *_metric("waiting", "gauge", "Questions that wait to be read.", [({}, engine.waiting)]),
        *_metric("reading", "gauge", "Questions that are being read.", [({}, engine.reading)]),
        *_metric("model_loaded", "gauge", "Whether the model is in memory.", [({}, int(engine.model_loaded))]),
        *_metric(
            "passages", "gauge", "Passages of a collection.", [({"collection": c.name}, c.contexts) for c in found]
        ),
        *_metric("rss_bytes", "gauge", "Memory of the process.", [({}, _rss_bytes())]),
        *_metric("build_info", "gauge", "What runs here.", [(version, 1)]),
    ]
    return "\n".join([*lines, ""])


def _metric(name: str, kind: str, about: str, values: Iterable[tuple[Labels, float]]) -> list[str]:
    lines = [f"# HELP edgeqa_{name} {about}", f"# TYPE edgeqa_{name} {kind}"]
    for labels, value in values:
        shown = ",".join(f'{label}="{_escaped(one)}"' for label, one in labels.items())
        lines.append(f"edgeqa_{name}{f'{{{shown}}}' if shown else ''} {value}")
    return lines


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _rss_bytes() -> int:
    import psutil  # imported here, because only monitoring needs it

    found: int = psutil.Process().memory_info().rss
    return found
