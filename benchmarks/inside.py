"""Measures where the time inside onnxruntime goes, operator by operator, and how near it is to the products alone.

    python benchmarks/inside.py -n 100

The bundled model's graphs run on one workload under onnxruntime's profiler, in sessions set up as the runtime sets them
up; the same without the profiler, which takes time of its own, and the network's matrix products alone take turns.
Medians over the runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import onnxruntime

import edgeqa
from edgeqa.bench import WORKLOADS, Texts, Workload, products_of, watched
from edgeqa.models.tokenizer import Tokenizer

PRODUCTS = ("MatMul", "Gemm", "Attention")  # in the names of operators that multiply matrices, with what they add


def profiled(prefix: str) -> None:
    """Has every session that is opened from now on write a profile."""
    options = onnxruntime.SessionOptions

    def made() -> Any:  # noqa: ANN401 - the library's own type is untyped
        setup = options()
        setup.enable_profiling = True
        setup.profile_file_prefix = prefix
        return setup

    onnxruntime.SessionOptions = made


def operators(file: Path) -> list[dict[str, float]]:
    """Returns, of each run in a profile, microseconds by operator."""
    runs: list[dict[str, float]] = []
    for event in json.loads(file.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            if not runs:
                runs.append(defaultdict(float))
            runs[-1][event["args"]["op_name"]] += event["dur"]
        elif event.get("name") == "model_run":
            runs.append(defaultdict(float))  # is written when the run has ended
    return [run for run in runs if run]


def show_operators(workload: Workload, count: int, threads: int | None) -> None:
    """Prints what each graph spends on each operator."""
    with tempfile.TemporaryDirectory() as place:
        kind = onnxruntime.SessionOptions
        profiled(str(Path(place) / "profile"))
        try:
            with edgeqa.open(reader="fast", persist="off", threads=threads) as qa:
                texts = Texts(Tokenizer(qa.bundle.file("tokenizer.json")))
                contexts = texts.contexts(workload)
                for _ in range(count):
                    qa.ask(texts.question(workload.question_tokens), contexts)
        finally:
            onnxruntime.SessionOptions = kind
        gc.collect()  # a session writes its profile when it goes
        for file in sorted(Path(place).glob("*.json")):
            runs = operators(file)
            by_shape = runs[-count * workload.contexts // 2 :]  # the self-test and the contexts came first
            sums = {name: median(run.get(name, 0.0) for run in by_shape) for name in {n for r in by_shape for n in r}}
            whole = sum(sums.values())
            products = sum(us for name, us in sums.items() if any(part in name for part in PRODUCTS))
            share = f"{products / whole:.0%} in those with products"
            print(f"\na graph, {len(runs)} runs, {whole:.0f} us in operators, {share}")
            for name, us in sorted(sums.items(), key=lambda item: -item[1]):
                print(f"  {name:<32}{us:>9.0f} us{us / whole:>7.0%}")


def ask(qa: edgeqa.EdgeQA, workload: Workload, count: int) -> tuple[list[float], list[float]]:
    """Returns milliseconds inside onnxruntime, and of the products alone, question by question."""
    inside_ms, alone_ms = [], []
    texts = Texts(Tokenizer(qa.bundle.file("tokenizer.json")))
    contexts = texts.contexts(workload)
    products = products_of(qa, workload)
    with watched() as inside:
        qa.ask(texts.question(workload.question_tokens), contexts)
        for _ in range(count):
            for _ in range(2):  # the second counts: the products have taken the processor's caches
                inside.take_ms()
                qa.ask(texts.question(workload.question_tokens), contexts)
            inside_ms.append(inside.take_ms())
            for _ in range(2):
                began = perf_counter()
                for session in products:
                    session.run()
                taken_ms = (perf_counter() - began) * 1e3
            alone_ms.append(taken_ms)
    return inside_ms, alone_ms


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=100, help="questions")
    parser.add_argument("--workload", choices=[w.name for w in WORKLOADS], default="paragraph")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    workload = next(w for w in WORKLOADS if w.name == options.workload)
    with edgeqa.open(reader="fast", persist="off", threads=options.threads) as qa:
        inside_ms, alone_ms = ask(qa, workload, options.n)
    print(f"{platform.machine()}, onnxruntime {onnxruntime.__version__}, {workload.name}, {options.n} questions")
    print(f"inside onnxruntime {median(inside_ms):.2f} ms, the products alone {median(alone_ms):.2f} ms: ", end="")
    print(f"{median(alone_ms) / median(inside_ms):.0%} of the limit")
    show_operators(workload, options.n, options.threads)


if __name__ == "__main__":
    main()
