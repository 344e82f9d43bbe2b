"""Measures edgeqa beside the programs that people use today, from strings to an answer, in one run: `make bench`.

    make bench                        # its own environment, then everything; ten minutes and more
    make bench QUICK=1                # fewer rounds
    .venv-bench/bin/python benchmarks/compare.py --networks distilbert,minilm

Every peer is a process of its own; they take turns, and are silent between them. Peers: the question-answering pipeline
of transformers on PyTorch, and a short script around onnxruntime in float32 and in dynamic int8, each with BERT-large,
BERT-base, DistilBERT and a MiniLM of edgeqa's size, made from their configurations with random weights (the time is the
same); edgeqa with contexts added before, and from plain text with nothing stored; and for a question asked before,
functools.lru_cache, cachetools, diskcache, and Redis on loopback where there is a `redis-server`. A table goes to the
screen; `benchmarks/results/` gets the figures as JSON and as a plot.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plot import svg

from edgeqa.bench import WORKLOADS, Texts, Times, show
from edgeqa.capabilities.probe import probe
from edgeqa.models.bundle import Bundle
from edgeqa.models.tokenizer import Tokenizer

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NETWORKS = ("bert-large", "bert-base", "distilbert", "minilm")
HITS = ("edgeqa", "functools.lru_cache", "cachetools", "diskcache", "Redis")
OURS, PLAIN = "edgeqa", "edgeqa, nothing stored"
REPEAT = "repeat"
MAX_CALLS = 60  # in a turn


@dataclass
class Peer:
    """A program under comparison, and its times by workload."""

    name: str
    process: subprocess.Popen[str]
    about: dict[str, Any]
    taken_ms: dict[str, list[float]] = field(default_factory=dict)

    @staticmethod
    def start(name: str, stack: ExitStack, script: str, *arguments: str) -> Peer:
        """Starts it, and waits until it is ready."""
        command = [sys.executable, str(HERE / "peers" / script), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(_end, process)
        return Peer(name, process, json.loads(_line(process, name)))

    def turn(self, workload: str, asked: list[tuple[str, list[str]]], seconds: float) -> None:
        """Has it answer for so long."""
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        self.process.stdin.write(json.dumps({"seconds": seconds, "asked": asked}) + "\n")
        self.process.stdin.flush()
        self.taken_ms.setdefault(workload, []).extend(json.loads(_line(self.process, self.name)))


def _end(process: subprocess.Popen[str]) -> None:
    """Lets a peer end by itself, as it may have started another program."""
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    process.stdin.close()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def _line(process: subprocess.Popen[str], name: str) -> str:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    line = process.stdout.readline()
    if not line:
        sys.exit(f"{name} ended with {process.wait()}")
    return line


def start_all(networks: list[str], threads: int, directory: Path, stack: ExitStack) -> tuple[list[Peer], list[Peer]]:
    """Returns the peers that read, and those that remember."""
    count = str(threads)
    readers = [
        Peer.start(OURS, stack, "edgeqa_itself.py", "stored", count),
        Peer.start(PLAIN, stack, "edgeqa_itself.py", "plain", count),
    ]
    for network in networks:
        print(f"starting {network}", file=sys.stderr)
        readers.append(
            Peer.start(f"{network}, transformers pipeline", stack, "transformers_pipeline.py", network, count)
        )
        graphs = {precision: directory / f"{network}-{precision}.onnx" for precision in ("float32", "int8")}
        if not all(file.exists() for file in graphs.values()):
            maker = [sys.executable, str(HERE / "peers" / "random_networks.py"), network, *map(str, graphs.values())]
            subprocess.run(maker, check=True, capture_output=True)
        for precision, file in graphs.items():
            name = f"{network}, onnxruntime {precision}"
            readers.append(Peer.start(name, stack, "onnxruntime_script.py", str(file), precision, count))
    hits = [name for name in HITS if name != "Redis" or shutil.which("redis-server")]
    return readers, [Peer.start(name, stack, "hits.py", name) for name in hits]


def run(readers: list[Peer], hits: list[Peer], rounds: int, seconds: float) -> None:
    """Gives every peer its turns on every workload."""
    texts = Texts(Tokenizer(Bundle.load().file("tokenizer.json")))
    fixed = {w.name: [texts.context(w.context_tokens) for _ in range(w.contexts)] for w in WORKLOADS}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for workload in WORKLOADS:
            questions = [texts.question(workload.question_tokens) for _ in range(MAX_CALLS)]
            same = [(question, fixed[workload.name]) for question in questions]
            for peer in readers:
                peer.turn(workload.name, same, seconds)
        question = texts.question(WORKLOADS[1].question_tokens)
        for peer in hits:
            peer.turn(REPEAT, [(question, fixed[WORKLOADS[1].name])] * MAX_CALLS, min(seconds, 0.3))


def figures(peers: list[Peer], threads: int) -> list[dict[str, Any]]:
    """Returns a row for every peer and workload, with everything that the number depends on."""
    tokens = {w.name: w for w in WORKLOADS}
    medians = {
        workload: statistics.median(taken)
        for peer in peers
        if peer.name == OURS
        for workload, taken in peer.taken_ms.items()
    }
    return [
        {
            "peer": peer.name,
            "workload": workload,
            **Times.of(taken).to_json(),
            "times_edgeqa": float(f"{statistics.median(taken) / medians[workload]:.3g}"),
            "question_tokens": tokens[workload].question_tokens if workload in tokens else None,
            "context_tokens": tokens[workload].context_tokens if workload in tokens else None,
            "contexts": tokens[workload].contexts if workload in tokens else None,
            "threads": threads,
            **peer.about,
        }
        for peer in peers
        for workload, taken in peer.taken_ms.items()
    ]


def table(rows: list[dict[str, Any]], workloads: list[str]) -> str:
    """Returns medians and how many times edgeqa's they are, a line a peer."""
    lines = [f"{'median, and times edgeqa':<38}" + "".join(f"{name:>22}" for name in workloads)]
    for peer in dict.fromkeys(row["peer"] for row in rows):
        cells = []
        for workload in workloads:
            found = [row for row in rows if (row["peer"], row["workload"]) == (peer, workload)]
            cells.append(f"{show(found[0]['median_ms'])} {found[0]['times_edgeqa']:>8g}x" if found else "-")
        if any(cell != "-" for cell in cells):
            lines.append(f"{peer:<38}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def setting(threads: int, versions: dict[str, str]) -> dict[str, Any]:
    """Returns what all figures have in common."""
    device = probe(providers=False)
    return {
        "device": device.board.value,
        "machine": device.machine.value,
        "cores": device.cores.value,
        "cpu_flags": device.cpu_flags.value,
        "system": platform.system(),
        "python": platform.python_version(),
        "threads": threads,
        "versions": versions,
        "networks": "from their configurations, with random weights",
        "load_before": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int, help="turns of every peer on every workload")
    parser.add_argument("--threads", type=int, default=probe(providers=False).cores.value or 1)
    parser.add_argument("--networks", default=",".join(NETWORKS), help="which, with commas")
    parser.add_argument("--graphs", type=Path, default=HERE.parent / "build" / "networks", help="where ONNX graphs are")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 5)
    networks = [name for name in options.networks.split(",") if name]
    if unknown := set(networks) - set(NETWORKS):
        parser.error(f"no such network: {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # PyTorch's threads sleep when it is not their turn
    found = setting(options.threads, {})
    with ExitStack() as stack:
        readers, hits = start_all(networks, options.threads, options.graphs, stack)
        run(readers, hits, rounds, 0.3 if options.quick else 0.6)
    versions: dict[str, str] = {}
    for peer in [*readers, *hits]:
        versions |= peer.about.pop("versions")
    found["versions"] = versions
    rows, repeated = figures(readers, options.threads), figures(hits, 1)
    print(f"{found['device']}, {found['cores']} cores, {options.threads} threads, Python {found['python']}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"all networks but edgeqa's {found['networks']}\n")
    print(table(rows, [w.name for w in WORKLOADS]))
    print()
    print(table(repeated, [REPEAT]))
    options.results.mkdir(exist_ok=True)
    lines = ",\n  ".join(json.dumps(row) for row in [*rows, *repeated])
    text = json.dumps({**found, "figures": []}, indent=1).replace('"figures": []', f'"figures": [\n  {lines}\n ]')
    (options.results / "compare.json").write_text(text + "\n", encoding="utf-8")
    about = f"{found['device']}, {options.threads} threads; medians from strings to an answer, log scale"
    plotted = {w.name: {r["peer"]: r["median_ms"] for r in rows if r["workload"] == w.name} for w in WORKLOADS}
    plotted[REPEAT] = {r["peer"]: r["median_ms"] for r in repeated}
    (options.results / "compare.svg").write_text(svg(plotted, about), encoding="utf-8")


if __name__ == "__main__":
    main()
