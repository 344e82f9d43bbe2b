"""Several processes do mixed operations on one small cache: none may get a wrong value, and `check()` ends the run.

python stress/cache_mixed.py -n 100000 -p 8 --seed 1
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

from edgeqa.cache import Cache

NAMES = 20_000
MAP_BYTES = 4 << 20


def value_of(name: str, chance: random.Random) -> dict[str, object]:
    """Returns a value that says itself whose it is, of any size."""
    filler = chance.choice("abc") * chance.choice((0, 10, 200, 2000))
    return {"name": name, "filler": filler, "length": len(filler)}


def is_right(name: str, value: object) -> bool:
    """Returns whether a value is one that `value_of` made for this name."""
    return isinstance(value, dict) and value["name"] == name and len(value["filler"]) == value["length"]


def work(directory: Path, operations: int, seed: int) -> tuple[int, int, list[str]]:
    """Does the operations; returns how many gets hit, how many missed, and what was wrong."""
    chance = random.Random(seed)
    hits, misses, wrong = 0, 0, []
    cache = Cache.open(directory, map_bytes=MAP_BYTES, front_entries=256)
    for _ in range(operations):
        name = f"n{int(NAMES * chance.random() ** 3)}"
        deed = chance.random()
        if deed < 0.60:
            value = cache.get(name)
            hits, misses = hits + (value is not None), misses + (value is None)
            if value is not None and not is_right(name, value):
                wrong.append(f"{name}: {value!r}")
        elif deed < 0.95:
            cache.put(name, value_of(name, chance), ttl_s=chance.choice((None, None, 0.001, 60)))
        elif deed < 0.99:
            value = cache.compute(name, lambda name=name: value_of(name, chance))  # type: ignore[misc]
            if not is_right(name, value):
                wrong.append(f"{name}: {value!r}")
        elif deed < 0.998:
            cache.forget(name)
        elif deed < 0.9995:
            cache.flush()
        else:
            cache.close()
            cache = Cache.open(directory, map_bytes=MAP_BYTES, front_entries=256)
    state = cache.stats().state
    if state != "open":
        wrong.append(f"the cache is not open at the end: {cache.stats().note}")
    cache.close()
    return hits, misses, wrong


def run(directory: Path, *, operations: int, processes: int, seed: int) -> tuple[list[str], str]:
    """Returns what was wrong, and a line about the rest."""
    started_s = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        results = pool.starmap(work, [(directory, operations, seed * 1000 + worker) for worker in range(processes)])
    took_s = time.monotonic() - started_s
    wrong = [line for _, _, lines in results for line in lines]
    with Cache.open(directory) as cache:
        wrong += cache.check()
        stats = cache.stats()
    hits, misses = sum(result[0] for result in results), sum(result[1] for result in results)
    rate = processes * operations / took_s
    return wrong, (
        f"{processes} x {operations} operations in {took_s:.1f} s ({rate:,.0f}/s): {hits} hits, {misses} misses, "
        f"{stats.puts} puts, {stats.evictions} evictions, faults {stats.faults}, {len(wrong)} wrong"
    )


def main() -> int:
    """Runs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=100_000, help="operations a process")
    parser.add_argument("-p", type=int, default=8, help="processes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        wrong, line = run(Path(place), operations=options.n, processes=options.p, seed=options.seed)
    print(line)
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
