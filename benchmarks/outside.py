"""Measures what a question costs outside onnxruntime, step by step: from string to `Answer`, with the graphs stubbed.

    python benchmarks/outside.py -n 2000

The graphs run once for each shape; after that, what they gave is given again at once. So the figures are of edgeqa's
own code alone, on any device, and can be compared before and after a change.
"""

from __future__ import annotations

import argparse
import platform
from collections import defaultdict
from statistics import median
from time import perf_counter
from typing import Any

import onnxruntime

import edgeqa
from edgeqa.bench import WORKLOADS, Texts, Times, show
from edgeqa.models.tokenizer import Tokenizer


def stub_graphs() -> None:
    """Has every session give again what it gave for inputs of the same shapes."""
    run = onnxruntime.InferenceSession.run
    given: dict[Any, Any] = {}

    def again(session: Any, names: Any, feed: Any, options: Any = None) -> Any:  # noqa: ANN401 - the library's signature
        key = (id(session), *(array.shape for array in feed.values()))
        if key not in given:
            given[key] = run(session, names, feed, options)
        return given[key]

    onnxruntime.InferenceSession.run = again


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=2000, help="questions of each workload")
    count = parser.parse_args().n
    taken_ms: dict[str, list[float]] = {}
    steps: dict[str, dict[str, list[float]]] = {}
    with edgeqa.open(reader="fast", persist="memory") as qa:
        qa.self_test()
        stub_graphs()
        texts = Texts(Tokenizer(qa.bundle.file("tokenizer.json")))
        for workload in WORKLOADS:
            contexts = texts.contexts(workload)
            questions = [texts.question(workload.question_tokens) for _ in range(count)]
            qa.ask(texts.question(workload.question_tokens), contexts)
            taken_ms[workload.name], steps[workload.name] = [], defaultdict(list)
            for question in questions:
                began = perf_counter()
                answer = qa.ask(question, contexts)
                taken_ms[workload.name].append((perf_counter() - began) * 1e3)
                for step, ms in answer.timings_ms.items():
                    steps[workload.name][step].append(ms)
    print(f"{platform.machine()}, Python {platform.python_version()}, {count} questions each, graphs stubbed")
    print(f"{'medians':<12}" + "".join(f"{w.name:>12}" for w in WORKLOADS))
    for step in dict.fromkeys(step for of in steps.values() for step in of):
        if step != "total":
            print(f"{step:<12}" + "".join(f"{show(median(of[step])):>12}" for of in steps.values()))
    summed = [Times.of(taken) for taken in taken_ms.values()]
    print(f"{'all':<12}" + "".join(f"{show(times.median_ms):>12}" for times in summed))
    print(f"{'p99':<12}" + "".join(f"{show(times.p99_ms):>12}" for times in summed))


if __name__ == "__main__":
    main()
