"""Measures puts a second, written behind, by one and by eight processes; every value is read back and compared.

python benchmarks/cache_write.py -n 100000 -p 8
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa.cache import Cache

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

MAP_BYTES = 1 << 30


def value(number: int) -> dict[str, object]:
    """Returns an answer's worth of value, about 200 bytes."""
    return {"text": "the nurses of the ward", "start": number, "probability": 0.5, "sentence": "s" * 150}


def write(directory: Path, worker: int, count: int, start: Barrier) -> None:
    """Puts the values when all are ready, and ends when they are committed."""
    with Cache.open(directory, map_bytes=MAP_BYTES) as cache:
        cache.get("warm up")
        start.wait()
        for number in range(count):
            cache.put(f"{worker} {number}", value(number))
        cache.flush()


def measure(count: int, processes: int) -> tuple[float, int]:
    """Returns puts a second over all processes, until committed, and how many values were lost or wrong."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        start = context.Barrier(processes + 1)
        share = count // processes
        workers = [
            context.Process(target=write, args=(Path(place), worker, share, start)) for worker in range(processes)
        ]
        for worker in workers:
            worker.start()
        start.wait()
        began_s = time.perf_counter()
        for worker in workers:
            worker.join()
        took_s = time.perf_counter() - began_s
        with Cache.open(place) as cache:
            wrong = sum(
                cache.get(f"{worker} {number}") != value(number)
                for worker in range(processes)
                for number in range(share)
            )
            wrong += len(cache.check())
    return processes * share / took_s, wrong


def main() -> int:
    """Runs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=100_000, help="puts in all")
    parser.add_argument("-p", type=int, default=8, help="processes")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lost = 0
    for processes in (1, options.p):
        results = sorted(measure(options.n, processes) for _ in range(options.rounds))
        lost += sum(wrong for _, wrong in results)
        rates = ", ".join(f"{rate:,.0f}" for rate, _ in results)
        print(
            f"{processes} processes: median {results[len(results) // 2][0]:,.0f} puts/s ({rates}); {lost} lost or wrong"
        )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
