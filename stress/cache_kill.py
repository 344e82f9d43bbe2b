"""Kills processes at random moments of put, evict, open and close: the next must start, and get no wrong value.

    python stress/cache_kill.py -n 1000 -p 2 --seed 1

In each round, `-p` processes open the cache, put, evict and close in a loop, and are killed with SIGKILL, each after a
time of its own. Then a process opens the cache, looks at everything, and must end by itself with exit code 0.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from edgeqa.cache import Cache
from edgeqa.cache.guard import Guard

MAP_BYTES = 1 << 20
NAMES = 3000
MAX_LIFE_S = 0.06
OFF, WRONG = 10, 20  # exit codes of the process that looks


def victim(directory: Path, seed: int) -> None:
    """Works until it is killed."""
    chance = random.Random(seed)
    while True:
        cache = Cache.open(directory, map_bytes=MAP_BYTES)
        for _ in range(chance.randint(1, 600)):
            name = f"n{chance.randrange(NAMES)}"
            cache.put(name, {"name": name, "filler": "x" * chance.choice((10, 300, 3000))})
            if chance.random() < 0.02:
                cache.flush()
        cache.close()


def look(directory: Path) -> int:
    """Opens the cache, gets everything, stores something and closes; returns an exit code."""
    with Cache.open(directory, map_bytes=MAP_BYTES) as cache:
        stats = cache.stats()
        if stats.state != "open":
            print(stats, file=sys.stderr)
            return OFF if "died inside the cache" in stats.note else WRONG
        for number in range(NAMES):
            value = cache.get(f"n{number}")
            if value is not None and value["name"] != f"n{number}":
                return WRONG
        cache.put("looked", 1)
        cache.flush()
        cache.front.clear()
        return 0 if cache.get("looked") == 1 and cache.check() == [] else WRONG


def fork(function: object, *arguments: object) -> int:
    """Runs a function in a forked child, which ends with what the function returns; returns its pid."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = function(*arguments) or 0  # type: ignore[operator]
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def run(directory: Path, *, rounds: int, processes: int, seed: int) -> collections.Counter[str]:
    """Returns how the rounds ended."""
    chance = random.Random(seed)
    tally: collections.Counter[str] = collections.Counter()
    for number in range(rounds):
        pids = [fork(victim, directory, seed * 100_000 + number * 10 + worker) for worker in range(processes)]
        for pid in pids:
            time.sleep(chance.random() * MAX_LIFE_S)
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(os.waitpid(fork(look, directory), 0)[1])
        tally["fine" if code == 0 else "off after two deaths" if code == OFF else f"WRONG: exit code {code}"] += 1
        if code == OFF:
            damage = Guard(directory / "format-1").repair()
            tally["WRONG: damaged after being off"] += bool(damage)
    with Cache.open(directory) as cache:
        tally["WRONG: check()"] += len(cache.check())
        for name, count in cache.stats().faults.items():
            tally[f"fault {name}"] += count
    return +tally


def main() -> int:
    """Runs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=1000, help="rounds")
    parser.add_argument("-p", type=int, default=1, help="processes that are killed in each round")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tally = run(Path(place), rounds=options.n, processes=options.p, seed=options.seed)
    print(", ".join(f"{count} {name}" for name, count in tally.items()))
    return 1 if any(name.startswith("WRONG") for name in tally) else 0


if __name__ == "__main__":
    sys.exit(main())
