"""Measures how a collection's costs grow with it, from 1,000 contexts on: route, ask and open times, memory, disk.

    python benchmarks/collection_growth.py                 # 1,000, 10,000 and 100,000 contexts, about three minutes
    python benchmarks/collection_growth.py --most 1000000  # and a million
    python benchmarks/collection_growth.py --results benchmarks/results/growth.json  # what `gallery.py` draws

The texts are made: sentences of words as frequent as those of a language, each context with one fact of its own that
the questions ask for. They are stored without encodings. At each size a new process opens the collection, and asks;
nothing is remembered. Medians; memory is what the process holds in all, and what of it is not mapped from files.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import edgeqa
from edgeqa import collection, state
from edgeqa.capabilities.probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = (1_000, 10_000, 100_000, 1_000_000)
WORDS, SENTENCES, QUESTIONS = 30_000, 3, 100
_SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "ti", "vo", "za", "dri", "fel", "gan", "hop", "jun", "kral")
_FACTS = (
    ("The {} is {} metres long.", "How long is the {}?"),
    ("The {} weighs {} kilograms.", "How much does the {} weigh?"),
    ("The {} was built in {}.", "When was the {} built?"),
    ("The {} cost {} pounds.", "What did the {} cost?"),
    ("The {} has {} inhabitants.", "How many inhabitants has the {}?"),
    ("The {} opens at {} bar.", "At what pressure does the {} open?"),
    ("The {} lies {} miles from the sea.", "How far from the sea does the {} lie?"),
    ("The {} was sold to {} people.", "To how many people was the {} sold?"),
)


def word(number: int) -> str:
    """Returns the word with this number."""
    syllables = ""
    while True:
        number, rest = divmod(number, len(_SYLLABLES))
        syllables += _SYLLABLES[rest]
        if not number:
            return syllables


def fact(number: int) -> tuple[str, str]:
    """Returns what only the context with this number says, and the question for it."""
    said, asked = _FACTS[number % len(_FACTS)]
    kind = word(7 + number * 31 % 400)
    name = f"{word(number * 7919 % 1_000_003)} {word(number * 104_729 % 1_000_003)}"
    return said.format(f"{kind} of {name}", 100 + number % 9000), asked.format(f"{kind} of {name}")


def texts(first: int, after: int) -> Iterator[str]:
    """Yields the texts with these numbers."""
    for number in range(first, after):
        chance = random.Random(number)
        said = [fact(number)[0]]
        for _ in range(SENTENCES):
            # The n-th most frequent of a language's words is about 1 / n as frequent as the first.
            words = [word(int(WORDS ** chance.random())) for _ in range(chance.randint(6, 18))]
            said.append(" ".join(words).capitalize() + ".")
        yield " ".join(said)


def measure(size: int) -> dict[str, float]:
    """Returns what this process finds of the collection that it is started on."""
    from edgeqa.collection.collection import LiveCollection
    from edgeqa.collection.snapshot import EncoderIdentity

    chance = random.Random(size)
    asked = [fact(chance.randrange(size))[1] for _ in range(QUESTIONS)]
    with edgeqa.open(reader="fast", persist="off") as qa:
        qa.self_test()
        began = time.perf_counter()
        _, index = LiveCollection(collection.directory(), EncoderIdentity.of(qa.bundle)).routed()
        index.search(asked[0], 20)
        open_ms = 1e3 * (time.perf_counter() - began)
        qa.ask(asked[0])
        route_ms = [timed(index.search, question, 20) for question in asked]
        ask_ms = [timed(qa.ask, question) for question in asked]
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "route_ms": median(route_ms),
        "ask_ms": median(ask_ms),
        "open_ms": open_ms,
        "resident_mib": int(status["VmRSS"].split()[0]) / 1024,
        "anonymous_mib": int(status["RssAnon"].split()[0]) / 1024,
    }


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Returns the milliseconds that one call takes."""
    began = time.perf_counter()
    work(*arguments)
    return 1e3 * (time.perf_counter() - began)


def grow(scratch: Path, before: int, size: int) -> None:
    """Adds texts up to `size`."""
    file = scratch / f"{size}.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for text in texts(before, size):
            stream.write(json.dumps({"text": text}) + "\n")
    with edgeqa.open(reader="fast", persist="off") as qa:
        qa.add(file, encodings_bytes=0)
    file.unlink()


def main() -> None:
    """Prints a row for each size, and how each figure grew from the size before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=100_000, help="the largest size")
    parser.add_argument("--results", type=Path, help="where the figures are kept, as JSON")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure)))
        return
    names = ("route_ms", "ask_ms", "open_ms", "resident_mib", "anonymous_mib", "disk_bytes", "add_per_s")
    print(f"{'contexts':>10}" + "".join(f"{name:>15}" for name in names))
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[state.HOME_VARIABLE] = f"{scratch}/home"
        before = 0
        last: dict[str, float] = {}
        rows: list[dict[str, float]] = []
        load_before = round(os.getloadavg()[0], 2)
        for size in (size for size in SIZES if size <= asked.most):
            began = time.perf_counter()
            grow(Path(scratch), before, size)
            per_second = (size - before) / (time.perf_counter() - began)
            command = [sys.executable, __file__, "--measure", str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            on_disk = sum(f.stat().st_size for f in collection.directory().rglob("*") if f.is_file())
            found |= {"disk_bytes": on_disk / size, "add_per_s": per_second}
            print(f"{size:>10}" + "".join(f"{found[name]:>15.2f}" for name in names))
            if last:
                print(f"{'':>10}" + "".join(f"{f'x {found[name] / last[name]:.2f}':>15}" for name in names))
            before, last = size, found
            rows.append({"contexts": size} | {name: round(found[name], 2) for name in names})
    if asked.results is not None:
        device = probe(providers=False)
        with edgeqa.open(reader="fast", persist="off") as qa:
            about = {"edgeqa": edgeqa.__version__, "model": f"{qa.bundle.manifest.name} {qa.bundle.manifest.version}"}
        about |= {"device": device.board.value, "cores": device.cores.value, "load_before": load_before}
        asked.results.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
